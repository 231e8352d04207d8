"""Numbers of texts in, language-model vectors out, with or without a gradient: the two ways in which a trainer reads texts.

`FrozenTexts` has every text's vector from the start. `TunedTexts` runs the model on the texts of each batch: each text once,
texts of one length together, so that there is neither padding nor a mask; a batch that is larger than memory is read in
chunks, twice (once for the vectors, once more for the gradients), which gives the same gradients.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as functional
from torch import nn

from embedder.data import Integers, TrainingSettings
from embedder.encoder import TextEncoder, TransformerEncoder
from embedder.errors import TrainingError
from embedder.processes import Processes

__all__ = ["FrozenTexts", "Texts", "TunedTexts"]

PADDING_ON_GPU = 0.25  # longest share of a group's length that is padding: few kernels matter more than none wasted


class Texts(Protocol):
    """How a trainer reads texts: `prepare` a batch, take `vectors`, and after the loss's backward `backward` and `step`."""

    dimension: int

    def prepare(self, ids: Integers, step: int) -> None:
        """Read the distinct texts of a batch."""
        ...

    def vectors(self, ids: Integers) -> torch.Tensor:
        """Give unit vectors of texts that were prepared."""
        ...

    def backward(self) -> None:
        """Finish the gradients that the loss began."""
        ...

    def step(self, processes: Processes) -> None:
        """Move what is trained."""
        ...

    def tensors(self) -> list[torch.Tensor]:
        """Give what is trained, for all processes to begin alike."""
        ...

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint must hold."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take it over again."""
        ...


class FrozenTexts:
    """Vectors that were made beforehand."""

    def __init__(self, vectors: torch.Tensor) -> None:
        self._vectors = vectors
        self.dimension = vectors.shape[1]

    def prepare(self, ids: Integers, step: int) -> None:
        """Do nothing: every text is ready."""

    def vectors(self, ids: Integers) -> torch.Tensor:
        """Take rows."""
        return self._vectors[torch.from_numpy(ids).to(self._vectors.device)]

    def backward(self) -> None:
        """Do nothing."""

    def step(self, processes: Processes) -> None:
        """Do nothing."""

    def tensors(self) -> list[torch.Tensor]:
        """Give nothing."""
        return []

    def state(self) -> dict[str, Any]:
        """Give nothing: the vectors come from outside."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""


class TunedTexts:
    """A language model that is trained: whole, or its last layers."""

    def __init__(self, encoder: TextEncoder, texts: Sequence[str], settings: TrainingSettings, *, device: torch.device, bf16: bool) -> None:
        if not isinstance(encoder, TransformerEncoder):
            raise TrainingError(
                f"mode is {settings.mode!r} and the encoder {encoder.spec.model!r} has no layers to train",
                advice="Take a Hugging Face model or `minilm`, or the mode frozen.",
            )
        self._encoder, self._settings, self._device = encoder, settings, device
        self.exact = encoder.module_to_train().to(device)  # what the optimiser moves, in fp32
        _choose_layers(self.exact, settings.last_layers)
        _set_dropout(self.exact, settings.lm_dropout)
        if device.type == "cpu" and hasattr(self.exact, "set_attn_implementation"):
            # on names of ten tokens the fused kernel's backward takes a fifth of a step, plain products half of that
            self.exact.set_attn_implementation("eager")
        # what runs; a copy in bf16 wastes no time on casting and holds half the activations
        self.module = copy.deepcopy(self.exact).to(torch.bfloat16) if bf16 else self.exact
        self.dimension = encoder.dimension
        self._starts, self._tokens = _flat(encoder.tokens(texts))
        self._lengths = np.diff(self._starts)
        self.parameters = [p for p in self.exact.parameters() if p.requires_grad]
        self._running = [p for p in self.module.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            [
                {"params": [p for p in self.parameters if p.ndim >= 2], "weight_decay": settings.lm_decay},
                {"params": [p for p in self.parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=settings.lm_rate,
            fused=True,
        )
        self._words = self._looked_up = torch.empty(0)  # vectors of the batch's distinct tokens, and where their gradient goes on
        self._slack = PADDING_ON_GPU if device.type == "cuda" else 0.0

    def prepare(self, ids: Integers, step: int) -> None:
        """Read the texts; with `chunk_tokens` without a graph, and `backward` reads them again."""
        self._ids, self._step_number = ids, step
        self.module.train()
        self._look_up(ids)
        if self._settings.chunk_tokens is None:
            self._read = self._encode(ids)
        else:
            self._looked_up = self._words
            self._words = self._words.detach().requires_grad_()
            with torch.no_grad():
                self._read = self._encode(ids)
            self._read.requires_grad_()

    def vectors(self, ids: Integers) -> torch.Tensor:
        """Give unit vectors of texts that were prepared."""
        places = torch.from_numpy(np.searchsorted(self._ids, ids)).to(self._device)
        return functional.normalize(self._read[places], dim=-1)

    @property
    def n_tokens(self) -> int:
        """Tokens of the batch that was prepared."""
        return int(self._lengths[self._ids].sum())

    def backward(self) -> None:
        """Read each chunk again, with a graph, and hand it the gradient of its vectors."""
        if self._settings.chunk_tokens is None or self._read.grad is None:
            return
        for rows, pooled in self._groups(self._ids):
            pooled.backward(self._read.grad[torch.from_numpy(rows).to(self._device)])  # type: ignore[no-untyped-call]
        if self._looked_up.requires_grad and self._words.grad is not None:
            self._looked_up.backward(self._words.grad)  # type: ignore[no-untyped-call]

    def step(self, processes: Processes) -> None:
        """Add the gradients of all processes up and move the weights."""
        for parameter, running in zip(self.parameters, self._running, strict=True):
            parameter.grad = torch.zeros_like(parameter) if running.grad is None else running.grad.float()
        processes.add_up([p.grad for p in self.parameters if p.grad is not None])
        if self._settings.lm_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self._settings.lm_clip)
        self._optimiser.step()
        for parameter, running in zip(self.parameters, self._running, strict=True):
            parameter.grad = running.grad = None
        self._refresh()

    @torch.no_grad()
    def _refresh(self) -> None:
        """Let what runs be what the optimiser has moved."""
        if self.module is not self.exact:
            for parameter, running in zip(self.exact.parameters(), self.module.parameters(), strict=True):
                running.copy_(parameter)

    def tensors(self) -> list[torch.Tensor]:
        """Give the weights that are trained."""
        return [parameter.data for parameter in self.parameters]

    def state(self) -> dict[str, Any]:
        """Give weights and optimiser; dropout draws by step and chunk, so that there is no stream to keep."""
        return {"module": self.exact.state_dict(), "optimiser": self._optimiser.state_dict()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over weights and optimiser."""
        self.exact.load_state_dict(state["module"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._refresh()

    def encoder(self) -> TransformerEncoder:
        """Give the trained model as an encoder."""
        return self._encoder.with_module(self.exact)

    @torch.no_grad()
    def all_vectors(self, ids: Integers) -> torch.Tensor:
        """Give unit vectors of any texts as they are now, without a graph or dropout."""
        self.module.eval()
        self._look_up(ids)
        return functional.normalize(self._encode(ids, limit=self._settings.chunk_tokens or 16384), dim=-1)

    def _look_up(self, ids: Integers) -> None:
        """Take the vectors of a batch's distinct tokens, once: each look-up's gradient is as large as the whole vocabulary."""
        counts = self._lengths[ids]
        places = np.repeat(self._starts[ids] - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
        self._distinct = np.unique(self._tokens[places])
        self._words = self.module.get_input_embeddings()(torch.from_numpy(self._distinct.astype(np.int64)).to(self._device))

    def _encode(self, ids: Integers, *, limit: int | None = None) -> torch.Tensor:
        """Give pooled vectors in the order of `ids`."""
        if not len(ids):
            return torch.zeros(0, self.dimension, device=self._device)
        parts = list(self._groups(ids, limit=limit))
        order = np.concatenate([rows for rows, _ in parts])
        return torch.cat([pooled for _, pooled in parts])[torch.from_numpy(np.argsort(order)).to(self._device)]

    def _groups(self, ids: Integers, *, limit: int | None = None) -> Iterator[tuple[Integers, torch.Tensor]]:
        """Give rows of one length (on a GPU of nearly one) with their pooled vectors, at most `limit` tokens at a time."""
        limit = limit or self._settings.chunk_tokens
        for number, rows in enumerate(_length_groups(self._lengths[ids], slack=self._slack, limit=limit)):
            if self._settings.lm_dropout and self.module.training:
                torch.manual_seed(hash((self._settings.seed, self._step_number, int(ids[rows[0]]), number)) % 2**63)
            yield rows, self._pooled(ids[rows])

    def _pooled(self, ids: Integers) -> torch.Tensor:
        lengths = self._lengths[ids]
        longest = int(lengths.max())
        offsets = self._starts[ids][:, None] + np.minimum(np.arange(longest), lengths[:, None] - 1)
        places = torch.from_numpy(np.searchsorted(self._distinct, self._tokens[offsets])).to(self._device)
        words = functional.embedding(places, self._words)  # not self._words[places]: see Learner._side
        mask = None
        if (lengths < longest).any():
            mask = torch.from_numpy(np.arange(longest) < lengths[:, None]).to(self._device)
        hidden: torch.Tensor = self.module(inputs_embeds=words, attention_mask=mask).last_hidden_state
        if self._encoder.spec.pooling == "cls":
            return hidden[:, 0].float()
        if mask is None:
            return hidden.float().mean(dim=1)
        return (hidden.float() * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def _length_groups(lengths: Integers, *, slack: float, limit: int | None) -> Iterator[Integers]:
    """Give rows whose lengths differ by at most `slack` of the longest, at most `limit` tokens at a time, longest first.

    >>> [rows.tolist() for rows in _length_groups(np.array([3, 8, 2, 3]), slack=0.0, limit=None)]
    [[1], [0, 3], [2]]
    >>> [rows.tolist() for rows in _length_groups(np.array([3, 8, 2, 3]), slack=0.5, limit=6)]
    [[1], [0, 3], [2]]
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start]])
        same = int(np.searchsorted(-lengths[order], -longest * (1 - slack), side="right"))
        most = same - start if limit is None else max(1, limit // max(1, longest))
        end = min(same, start + most)
        yield order[start:end]
        start = end


def _choose_layers(module: nn.Module, last: int | None) -> None:
    """Train all that has a part in the vectors, or the last layers only; a pooler has none."""
    layers = max((m for m in module.modules() if isinstance(m, nn.ModuleList)), key=len, default=nn.ModuleList())
    if last is not None and not 1 <= last <= len(layers):
        raise TrainingError(f"mode is 'last-{last}', and the model has {len(layers)} layers", advice="Name fewer layers, or the mode full.")
    module.requires_grad_(last is None)
    for layer in layers[len(layers) - last :] if last else []:
        layer.requires_grad_(True)
    for name, part in module.named_children():
        if name == "pooler":
            part.requires_grad_(False)


def _set_dropout(module: nn.Module, share: float) -> None:
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = share
        elif isinstance(getattr(part, "attention_dropout", None), float):  # attention that hands its share to a fused kernel
            part.attention_dropout = share  # type: ignore[assignment]


def _flat(tokens: Sequence[Sequence[int]]) -> tuple[Integers, np.ndarray[Any, np.dtype[np.int32]]]:
    """Lay lists one after the other, with where each begins: a tenth of the room that lists of numbers take."""
    starts = np.cumsum([0, *(len(ids) for ids in tokens)])
    return starts, np.fromiter((token for ids in tokens for token in ids), dtype=np.int32, count=int(starts[-1]))
