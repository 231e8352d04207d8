"""Typed triples in, a bridge out: frozen vectors stay as they are, and a small transformer learns where a relation leads from them.

After Wang et al., "BioBridge: Bridging Biomedical Foundation Models via Knowledge Graphs" (ICLR 2024). Each node's vector is
projected to a common width by its type. Over the tokens [head, head type, relation, tail type] a transformer computes a shift
that is added to the head; what comes out is to lie nearest to the tail among the tails of the batch (InfoNCE).

Two things are added, so that what was not trained on can be asked for. Types of one space share a projection, from which each
departs by a part of its own; and relation and type tokens are now and then replaced by one that stands for any, beside which a
relation's description may say what it means.

A saved bridge is a folder: config.json, which names and hashes the weights, and bridge-<hash>.safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from embedder.errors import ArtifactError, EmbedderError, TrainingError
from embedder.learner import fast_bf16
from embedder.retrieval import Floats, Scorer, cosine_scorer, evaluate_scorers, filtered_ranks, popularity_scorer
from embedder.triples import TripleData

__all__ = ["Bridge", "BridgeSettings", "evaluate_bridge", "evaluate_unseen", "train_bridge"]

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]  # what, done, total

FORMAT = 1
CONFIGURATION = "config.json"
_ROWS = 8192  # rows that go through the network at a time when nothing is trained
_DEVELOPMENT = 2_000  # triples that the figure after each epoch is computed on


@dataclass(frozen=True)
class BridgeSettings:
    """How to train. Temperature and loss as published; the rest is by experiment, see docs/experiments.md."""

    dimension: int | None = None  # of the common space; None: that of the space with most nodes
    layers: int = 1
    heads: int = 4
    dropout: float = 0.1  # inside the transformer
    token_dropout: float = 0.1  # share of tokens that stand for any, and of batches in which types have no projection of their own
    epochs: int = 10
    batch_size: int = 512  # triples of one tail type
    rate: float = 1e-3  # AdamW, falling to 0 at the end
    decay: float = 1e-2  # of matrices; of projections, towards where they began
    temperature: float = 0.1
    further_tails: int = 2048  # nodes of the tail type that are negatives beside the tails of the batch, drawn by chance
    mask: bool = True  # a tail that is known of a head and relation is no negative
    clip: float = 1.0  # longest gradient
    precision: str = "auto"  # while training: fp32, bf16, or auto: bf16 where the processor is fast at it
    development: float = 0.05  # share of heads kept for a figure after each epoch; 0: none
    patience: int | None = 3  # epochs without a better figure
    max_seconds: float | None = None
    seed: int = 20261121

    def __post_init__(self) -> None:
        for name in ("dimension", "layers", "heads", "epochs", "batch_size", "rate", "temperature", "clip", "patience", "max_seconds"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected more than 0")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise TrainingError(f"precision is {self.precision!r}, expected auto, fp32 or bf16")
        if self.further_tails < 0:
            raise TrainingError(f"further_tails is {self.further_tails}, expected 0 or more")
        for name in ("dropout", "token_dropout", "development"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected at least 0 and less than 1")


@dataclass(frozen=True)
class _Shape:
    """What the network is made for."""

    dimension: int
    layers: int
    heads: int
    types: tuple[str, ...]
    spaces: tuple[str, ...]  # of each type
    widths: Mapping[str, int]  # of each space
    relations: tuple[str, ...]
    description: int  # width of a relation's description; 0: there are none

    @classmethod
    def of(cls, data: TripleData, settings: BridgeSettings) -> _Shape:
        spaces = tuple(data.space(name) for name in data.types)
        sizes: dict[str, int] = {}
        for name, members in zip(spaces, data.members, strict=True):
            sizes[name] = sizes.get(name, 0) + len(members)
        widths = {space: data.vectors[name].shape[1] for name, space in zip(data.types, spaces, strict=True)}
        dimension = settings.dimension or widths[max(sizes, key=lambda space: sizes[space])]
        if dimension % settings.heads:
            raise TrainingError(f"{settings.heads} heads do not divide the dimension {dimension}", advice="Set dimension or heads.")
        described = 0 if data.descriptions is None else data.descriptions.shape[1]
        return cls(dimension, settings.layers, settings.heads, data.types, spaces, widths, data.relations, described)


class _Network(torch.nn.Module):
    """Projections, tokens and the transformer. Before training a head's shift is 0: a bridge begins at the cosine of what it is given."""

    descriptions: torch.Tensor

    def __init__(self, shape: _Shape, dropout: float) -> None:
        super().__init__()
        self.shape, d = shape, shape.dimension
        self.base = torch.nn.ParameterDict(  # where a space's projection begins: as it is, or turned at random
            {f"s{n}": torch.nn.Parameter(_near_identity(d, width), requires_grad=False) for n, width in enumerate(shape.widths.values())}
        )
        self.of_space = torch.nn.ParameterDict({f"s{n}": torch.zeros(d, width) for n, width in enumerate(shape.widths.values())})
        self.bias = torch.nn.ParameterDict({f"s{n}": torch.zeros(d) for n in range(len(shape.widths))})
        self.of_type = torch.nn.ParameterDict({f"t{n}": torch.zeros(d, shape.widths[space]) for n, space in enumerate(shape.spaces)})
        self.head_type = torch.nn.Embedding(len(shape.types) + 1, d)  # the last row stands for any
        self.tail_type = torch.nn.Embedding(len(shape.types) + 1, d)
        self.relation = torch.nn.Embedding(len(shape.relations) + 1, d)
        self.describe = torch.nn.Linear(shape.description, d, bias=False) if shape.description else None
        self.register_buffer("descriptions", torch.zeros(len(shape.relations), shape.description))
        self.layers = torch.nn.ModuleList(_Layer(d, shape.heads, dropout) for _ in range(shape.layers))
        self.norm = torch.nn.LayerNorm(d)
        self.shift = torch.nn.Linear(d, d)
        torch.nn.init.zeros_(self.shift.weight)
        torch.nn.init.zeros_(self.shift.bias)

    def project(self, vectors: torch.Tensor, type_: int, own: bool) -> torch.Tensor:
        """Give unit rows of the common space; without `own`, as any type of the space is projected."""
        space = f"s{list(self.shape.widths).index(self.shape.spaces[type_])}"
        weight = self.base[space] + self.of_space[space]
        if own:
            weight = weight + self.of_type[f"t{type_}"]
        return functional.normalize(functional.linear(functional.normalize(vectors, dim=1), weight, self.bias[space]), dim=1)

    def forward(self, head: torch.Tensor, head_type: torch.Tensor, relation: torch.Tensor, tail_type: torch.Tensor, known: torch.Tensor) -> torch.Tensor:  # fmt: skip
        """Give unit rows: where the tails are to be looked for. The numbers are those of tokens.

        Args:
            known: The relation itself, whose description is read also where its token stands for any.
        """
        said = self.relation(relation)
        if self.describe is not None:
            said = said + self.describe(self.descriptions[known])
        tokens = torch.stack([head * head.shape[1] ** 0.5, self.head_type(head_type), said, self.tail_type(tail_type)], dim=1)
        for number, layer in enumerate(self.layers, start=1):
            tokens = layer(tokens, wanted=1 if number == len(self.layers) else 4)  # only the head's token is read in the end
        return functional.normalize(head + self.shift(self.norm(tokens[:, 0])), dim=1)


class _Layer(torch.nn.Module):
    """A transformer's layer, norms first, which computes only as many of the first tokens as are wanted."""

    def __init__(self, d: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_attention, self.norm_feed = torch.nn.LayerNorm(d), torch.nn.LayerNorm(d)
        self.query, self.key_value, self.out = torch.nn.Linear(d, d), torch.nn.Linear(d, 2 * d), torch.nn.Linear(d, d)
        self.feed = torch.nn.Sequential(torch.nn.Linear(d, 2 * d), torch.nn.GELU(), torch.nn.Dropout(dropout), torch.nn.Linear(2 * d, d))

    def forward(self, tokens: torch.Tensor, wanted: int) -> torch.Tensor:
        normed, kept = self.norm_attention(tokens), tokens[:, :wanted]
        query, (key, value) = self.query(normed[:, :wanted]), self.key_value(normed).chunk(2, dim=-1)
        share = self.dropout if self.training else 0.0
        query, key, value = (self._by_head(part) for part in (query, key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, dropout_p=share)
        kept = kept + functional.dropout(self.out(attended.transpose(1, 2).flatten(2)), share)
        return kept + functional.dropout(self.feed(self.norm_feed(kept)), share)

    def _by_head(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.reshape(*rows.shape[:2], self.heads, -1).transpose(1, 2)


def _near_identity(d: int, width: int) -> torch.Tensor:
    """Give a matrix that keeps angles as they are, or as well as a random one can."""
    return torch.eye(d) if d == width else torch.nn.init.orthogonal_(torch.empty(d, width))


# ---------------------------------------------------------------- the trained thing


@dataclass(frozen=True)
class Bridge:
    """A trained bridge: numpy in, numpy out.

    Args:
        untrained: Relations and types that training did not see.
        description: What a caller wants kept with it: sources, encoders, figures.
    """

    network: _Network = field(repr=False)
    settings: BridgeSettings
    untrained: frozenset[str] = frozenset()
    description: Mapping[str, Any] = field(default_factory=dict)

    @property
    def types(self) -> tuple[str, ...]:
        return self.network.shape.types

    @property
    def relations(self) -> tuple[str, ...]:
        return self.network.shape.relations

    @property
    def dimension(self) -> int:
        return self.network.shape.dimension

    def project(self, vectors: npt.ArrayLike, type_: str) -> Vectors:
        """Place nodes of a type in the common space, as unit rows: what `retrieve` is compared with, by cosine.

        Raises:
            EmbedderError: There is no such type, the vectors do not have the width of its space, or no type of that space was trained.
        """
        number = self._type(type_)
        given = self._checked(vectors, number)
        return self._in_parts(lambda part: self.network.project(part, number, type_ not in self.untrained), given)

    def retrieve(self, head_vectors: npt.ArrayLike, head_type: str, relation: str, tail_type: str) -> Vectors:
        """Give, for each head, the place where its tails are to be looked for, as unit rows.

        A relation or type that training did not see is asked for as any, by its description where there is one.

        Raises:
            EmbedderError: There is no such type or relation, or the vectors do not fit.
        """
        number, tail = self._type(head_type), self._type(tail_type)
        if relation not in self.relations:
            raise EmbedderError(f"the bridge knows no relation {relation!r}", advice=f"It knows: {', '.join(self.relations)}.")
        known = self.relations.index(relation)
        tokens = (
            self._token(number, head_type, self.types),
            self._token(known, relation, self.relations),
            self._token(tail, tail_type, self.types),
        )

        def part(vectors: torch.Tensor) -> torch.Tensor:
            head = self.network.project(vectors, number, head_type not in self.untrained)
            columns = [torch.full((len(head),), token, device=head.device) for token in (*tokens, known)]
            return torch.as_tensor(self.network(head, *columns))

        return self._in_parts(part, self._checked(head_vectors, number))

    def _token(self, number: int, name: str, names: Sequence[str]) -> int:
        return len(names) if name in self.untrained else number

    def _type(self, name: str) -> int:
        if name not in self.types:
            raise EmbedderError(f"the bridge knows no node type {name!r}", advice=f"It knows: {', '.join(self.types)}.")
        return self.types.index(name)

    def _checked(self, vectors: npt.ArrayLike, type_: int) -> Vectors:
        shape, given = self.network.shape, np.asarray(vectors, dtype=np.float32)
        space = shape.spaces[type_]
        if all(other in self.untrained for other, of in zip(shape.types, shape.spaces, strict=True) if of == space):
            raise EmbedderError(
                f"{shape.types[type_]} cannot be placed: no type of the space {space!r} was trained on",
                advice="Train with triples of it.",
            )
        if given.ndim != 2 or given.shape[1] != shape.widths[space]:
            raise EmbedderError(f"vectors of {shape.types[type_]} have the shape {given.shape}, expected (n, {shape.widths[space]})")
        if not np.isfinite(given).all():
            raise EmbedderError(f"vectors of {shape.types[type_]} hold something that is no number")
        return given

    def _in_parts(self, compute: Callable[[torch.Tensor], torch.Tensor], vectors: Vectors) -> Vectors:
        device = self.network.shift.weight.device
        self.network.eval()
        with torch.inference_mode():
            parts = [
                compute(torch.from_numpy(vectors[start : start + _ROWS]).to(device)).cpu().numpy()
                for start in range(0, len(vectors), _ROWS)
            ]
        return np.concatenate([np.empty((0, self.dimension), np.float32), *parts])

    def save(self, folder: Path) -> None:
        """Write the bridge; what stood in the folder before is valid until the new config.json takes its place, in one step."""
        from safetensors.torch import save

        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.network.state_dict().items() if tensor.numel()}
        weights = save(state)
        digest = hashlib.sha256(weights).hexdigest()
        name = f"bridge-{digest[:12]}.safetensors"
        _write(folder / name, weights)
        document = {
            "format": FORMAT,
            "method": "biobridge",
            "weights": name,
            "sha256": digest,
            "shape": asdict(self.network.shape),
            "settings": asdict(self.settings),
            "untrained": sorted(self.untrained),
            "description": dict(self.description),
        }
        _write(folder / CONFIGURATION, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
        for old in folder.glob("bridge-*.safetensors"):
            if old.name != name:
                old.unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Bridge:
        """Read a bridge.

        Raises:
            ArtifactError: There is none, a piece is missing or was changed, or another version wrote it.
        """
        from safetensors.torch import load

        advice = "Train it again; the folder must be kept as it was written."
        document = _document(folder / CONFIGURATION, advice)
        path = folder / document["weights"]
        if not path.exists():
            raise ArtifactError(f"{path} is missing", advice=advice)
        weights = path.read_bytes()
        if hashlib.sha256(weights).hexdigest() != document["sha256"]:
            raise ArtifactError(f"{path} is not the file that {CONFIGURATION} was written with", advice=advice)
        stored: dict[str, Any] = document["shape"]
        listed: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        shape = _Shape(**listed)
        network = _Network(shape, 0.0)
        network.load_state_dict(load(weights), strict=False)  # what is empty is not in the file
        settings = BridgeSettings(**document["settings"])
        return cls(network.to(_device()), settings, frozenset(document["untrained"]), document["description"])


def _document(path: Path, advice: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path.parent} holds no bridge: {path.name} is missing", advice="Train one first.") from None
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path} is damaged ({error})", advice=advice) from error
    if document.get("method") != "biobridge" or document.get("format") != FORMAT:
        found = f"{document.get('method')!r} of format {document.get('format')!r}"
        raise ArtifactError(f"{path} describes {found}, expected 'biobridge' of format {FORMAT}", advice="Train it with this version.")
    return document


def _write(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


# ---------------------------------------------------------------- training


def train_bridge(
    data: TripleData,
    settings: BridgeSettings | None = None,
    *,
    untrained: Collection[str] = (),
    description: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Bridge:
    """Train on all triples of the data but those kept for development, whose figure says which epoch is kept.

    Args:
        data: Its nodes may be more than the triples name.
        untrained: Relations that may be without a triple, and types without a node in one.

    Raises:
        TrainingError: The data do not fit, or the loss is no number.
    """
    settings = settings or BridgeSettings()
    data.check(untrained=untrained)
    trained, development = data.hold_out(settings.development, settings.seed) if settings.development else (data, data.triples[:0])
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = _Network(_Shape.of(data, settings), settings.dropout)
        if data.descriptions is not None:
            network.descriptions.copy_(torch.from_numpy(np.asarray(data.descriptions, dtype=np.float32)))
        bridge = Bridge(network.to(_device()), settings, frozenset(data.untrained))
        log = _fit(bridge, data, trained, development, progress)
    return replace(bridge, description={**log, **(description or {})})


def _fit(bridge: Bridge, data: TripleData, trained: TripleData, development: Integers, progress: Progress | None) -> dict[str, Any]:
    """Train the network where it is; give what happened."""
    settings, network, started = bridge.settings, bridge.network, time.monotonic()
    rng = np.random.default_rng(settings.seed)
    development = rng.permutation(development)[:_DEVELOPMENT]
    learner = _Learner(network, settings, trained, rng)
    best, best_state, since, stopped = -1.0, None, 0, "epochs"
    history: list[dict[str, float]] = []
    for epoch in range(settings.epochs):
        loss = learner.epoch(lambda: _out_of_time(settings, started))
        history.append({"loss": round(loss, 4)})
        if len(development):
            ranks = filtered_ranks(data, development, {"bridge": _bridge_scorer(bridge, data)})["bridge"]
            figure = float((1 / ranks).mean())
            history[-1]["mrr"] = round(figure, 4)
            best, since, better = (figure, 0, True) if figure > best else (best, since + 1, False)
            best_state = {name: tensor.clone() for name, tensor in network.state_dict().items()} if better else best_state
        if progress is not None:
            progress(f"train, loss {loss:.3f}", epoch + 1, settings.epochs)
        if _out_of_time(settings, started):
            stopped = "time"
        elif settings.patience is not None and since >= settings.patience:
            stopped = "development"
        if stopped != "epochs":
            break
    if best_state is not None:
        network.load_state_dict(best_state)
    return {"triples": len(trained.triples), "history": history, "stopped": stopped}


def _out_of_time(settings: BridgeSettings, started: float) -> bool:
    return settings.max_seconds is not None and time.monotonic() - started > settings.max_seconds


class _Learner:
    """Network, optimiser and batches."""

    def __init__(self, network: _Network, settings: BridgeSettings, data: TripleData, rng: np.random.Generator) -> None:
        self._network, self._settings, self._data, self._rng = network, settings, data, rng
        self._device = network.shift.weight.device
        bf16 = settings.precision == "bf16" or (settings.precision == "auto" and fast_bf16(self._device))
        self._precision = torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=bf16)
        self._vectors = [torch.from_numpy(np.asarray(data.vectors[name], np.float32)).to(self._device) for name in data.types]
        codes = (data.triples[:, 0] * len(data.relations) + data.triples[:, 1]) * len(data.nodes) + data.triples[:, 2]
        self._codes = np.sort(codes)
        named = np.unique(data.triples[:, [0, 2]])
        self._named = [named[data.node_types[named] == number] for number in range(len(data.types))]
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        groups = [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": settings.decay},
            {"params": [p for p in learned if p.ndim == 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=settings.rate)
        steps = settings.epochs * sum(1 for _ in self._batches())
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: max(0.0, 1 - step / max(1, steps)))

    def epoch(self, out_of_time: Callable[[], bool]) -> float:
        """Go through all triples once; give the mean loss."""
        self._network.train()
        total, n = 0.0, 0
        for rows in self._batches():
            with self._precision:
                loss = self._loss(self._data.triples[rows])
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss became {loss.item()}", advice="Lower the rate, or look for vectors out of proportion.")
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._settings.clip)
            self._optimiser.step()
            self._schedule.step()
            total, n = total + loss.item() * len(rows), n + len(rows)
            if out_of_time():
                break
        return total / max(1, n)

    def _batches(self) -> Iterator[Integers]:
        """Give rows of triples with one tail type, in an order of chance."""
        kinds = self._data.node_types[self._data.triples[:, 2]]
        batches: list[Integers] = []
        for kind in np.unique(kinds).tolist():
            rows = self._rng.permutation(np.flatnonzero(kinds == kind))
            batches += np.array_split(rows, -(-len(rows) // self._settings.batch_size))
        for number in self._rng.permutation(len(batches)).tolist():
            yield batches[number]

    def _loss(self, triples: Integers) -> torch.Tensor:
        """Compute InfoNCE of the batch's heads against its distinct tails."""
        data, any_ = self._data, self._settings.token_dropout
        head, relation, tail = triples.T
        tail_type = int(data.node_types[tail[0]])
        candidates = np.union1d(tail, self._further(tail_type))
        right = np.searchsorted(candidates, tail)
        own_head, own_tail = self._rng.random(2) >= any_
        tails = self._network.project(self._rows(tail_type, candidates), tail_type, bool(own_tail))
        head_types = data.node_types[head]
        tokens = [
            self._tokens(head_types, len(data.types)),
            self._tokens(relation, len(data.relations)),
            self._tokens(data.node_types[tail], len(data.types)),
            torch.from_numpy(relation.copy()).to(self._device),
        ]
        found = self._network(self._heads(head, head_types, bool(own_head)), *tokens)
        logits = (found @ tails.T).float() / self._settings.temperature
        if self._settings.mask:
            logits = logits.masked_fill(self._known(head, relation, candidates, right), -torch.inf)
        return functional.cross_entropy(logits, torch.from_numpy(right).to(self._device))

    def _further(self, type_: int) -> Integers:
        """Draw nodes of a type that training names."""
        nodes, n = self._named[type_], self._settings.further_tails
        return nodes if len(nodes) <= n else self._rng.choice(nodes, n, replace=False)

    def _heads(self, head: Integers, types: Integers, own: bool) -> torch.Tensor:
        """Project heads of several types, in their order."""
        order = np.argsort(types, kind="stable")
        parts = [
            self._network.project(self._rows(type_, head[order][types[order] == type_]), type_, own) for type_ in np.unique(types).tolist()
        ]
        return torch.cat(parts)[torch.from_numpy(np.argsort(order, kind="stable")).to(self._device)]

    def _rows(self, type_: int, nodes: Integers) -> torch.Tensor:
        return self._vectors[type_][torch.from_numpy(self._data.rows[nodes]).to(self._device)]

    def _tokens(self, numbers: Integers, any_: int) -> torch.Tensor:
        """Let a share of tokens stand for any."""
        dropped = self._rng.random(len(numbers)) < self._settings.token_dropout
        return torch.from_numpy(np.where(dropped, any_, numbers)).to(self._device)

    def _known(self, head: Integers, relation: Integers, candidates: Integers, right: Integers) -> torch.Tensor:
        """Tell which candidates are known tails of a row's head and relation, its own apart."""
        codes = (head * len(self._data.relations) + relation)[:, None] * len(self._data.nodes) + candidates[None, :]
        at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        known = self._codes[at] == codes
        known[np.arange(len(head)), right] = False
        return torch.from_numpy(known).to(self._device)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


# ---------------------------------------------------------------- evaluation


def evaluate_bridge(
    bridge: Bridge, data: TripleData, trained: TripleData, held: Integers, *, most: int = 20_000, seed: int = 0
) -> dict[str, Any]:
    """Compute filtered Recall@1, @10, @100 and MRR of triples kept from training, by relation, beside two baselines.

    `cosine` is that of the vectors as they come, `popularity` counts a tail's triples in training.

    Args:
        data: All triples: those known of a head are no rivals.
        trained: Those that the bridge was trained on.
        held: Those to find the tails of.
        most: So many of them at most, drawn by chance.
    """
    scorers = {"bridge": _or_none(_bridge_scorer(bridge, data)), "cosine": cosine_scorer(data), "popularity": popularity_scorer(trained)}
    return evaluate_scorers(data, _drawn(held, most, seed), scorers)


def evaluate_unseen(
    names: Collection[str],
    bridge: Bridge,
    data: TripleData,
    trained: TripleData,
    held: Integers,
    *,
    most: int = 20_000,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train again without each of these relations or node types, and compare on what is kept of it: `bridge` did not see it.

    `trained_on_it` is the bridge that did. The heads are new to both.

    Raises:
        TrainingError: There is neither a relation nor a type of such a name.
    """
    figures: dict[str, Any] = {}
    for name in names:
        those = _drawn(held[data.naming(name, held)], most, 0)
        rest = trained.without(name)
        other = train_bridge(rest, bridge.settings, untrained=rest.untrained, progress=progress)
        scorers = {
            "bridge": _or_none(_bridge_scorer(other, data)),
            "trained_on_it": _bridge_scorer(bridge, data),
            "cosine": cosine_scorer(data),
            "popularity": popularity_scorer(rest),
        }
        found = evaluate_scorers(data, those, scorers)
        figures[name] = {**found, "triples_left_out": len(trained.triples) - len(rest.triples)}
    return figures


def _drawn(triples: Integers, most: int, seed: int) -> Integers:
    return triples if len(triples) <= most else triples[np.random.default_rng(seed).permutation(len(triples))[:most]]


def _bridge_scorer(bridge: Bridge, data: TripleData) -> Scorer:
    placed: dict[int, Vectors] = {}

    def score(heads: Integers, relation: int, tail_type: int) -> Floats:
        if tail_type not in placed:
            placed[tail_type] = bridge.project(data.vectors[data.types[tail_type]], data.types[tail_type])
        name = data.types[int(data.node_types[heads[0]])]
        distinct, inverse = np.unique(heads, return_inverse=True)
        found = bridge.retrieve(data.vectors[name][data.rows[distinct]], name, data.relations[relation], data.types[tail_type])
        return np.asarray((found @ placed[tail_type].T)[inverse.reshape(-1)])

    return score


def _or_none(scorer: Scorer) -> Scorer:
    """Let what a bridge cannot place be without figures."""

    def score(heads: Integers, relation: int, tail_type: int) -> Floats | None:
        try:
            return scorer(heads, relation, tail_type)
        except EmbedderError:
            return None

    return score
