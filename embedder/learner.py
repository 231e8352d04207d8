"""What a training knows and how one batch changes it: heads, tables, texts, and their optimisers.

Tables move by row-wise Adam on the rows that a batch touches, heads by AdamW, in bfloat16 where the processor is fast at
it. Several processes each compute a share of a batch's distinct texts and SNPs and take the same step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional

from embedder.artifact import Model
from embedder.centroid import BLOCK_SHARE, centroids
from embedder.data import Integers, Task, TrainingData, TrainingSettings
from embedder.encoder import TextEncoder, Vectors
from embedder.errors import TrainingError
from embedder.language_model import FrozenTexts, Texts, TunedTexts
from embedder.loss import ranking_loss, weighted_info_nce
from embedder.model import Generel, RowTable
from embedder.negatives import KnownPositives
from embedder.processes import Processes

__all__ = ["Learner", "fast_bf16"]

SNP_SPREAD = 0.05  # standard deviation of a table's first values
ROWS_AT_A_TIME = 8192

Touched = list[tuple[RowTable, torch.Tensor, torch.Tensor]]  # a table, the rows that were taken from it, and what was taken


class Learner:
    """The state of one training.

    Args:
        data: What is trained on.
        lm_vectors: Unit vectors of all texts; None where neither a frozen mode nor a warm start needs them.
        settings: How.
        encoder: Reads the texts; in the modes that train it, where training begins.
        processes: Which of how many this is.
        bf16: Whether bfloat16 is used; None: as the settings say.
    """

    def __init__(
        self,
        data: TrainingData,
        lm_vectors: Vectors | None,
        settings: TrainingSettings,
        *,
        encoder: TextEncoder,
        processes: Processes | None = None,
        bf16: bool | None = None,
    ) -> None:
        torch.manual_seed(settings.seed)
        generator = torch.Generator().manual_seed(settings.seed)
        self.data, self.settings, self.encoder = data, settings, encoder
        self.processes = processes or Processes()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.bf16 = self._chooses_bf16() if bf16 is None else bf16
        self.random = np.random.default_rng(settings.seed)
        self.texts = self._open_texts(lm_vectors)
        self.dimension = settings.dimension or self.texts.dimension
        names = [task.name for task in data.tasks]
        common = settings.temperature == "common"
        self.heads = Generel(self.texts.dimension, self.dimension, names, add_rows=settings.warm_start, common_scale=common).to(self.device)

        def table(n_rows: int, rate: float, spread: float = 0.0) -> RowTable:
            return RowTable(n_rows, self.dimension, rate=rate, spread=spread, generator=generator, device=self.device)

        self.snps = table(len(data.snps), settings.snp_rate, SNP_SPREAD)
        self.blocks = table(data.n_blocks if settings.block_vectors else 0, settings.snp_rate)
        if settings.warm_start and lm_vectors is not None:
            self._warm_up(lm_vectors)
        # a row that begins at its texts' mean says something from the start; any other only once a step has moved it
        self._begun = torch.from_numpy(_named_snps(data) if settings.warm_start else np.zeros(len(data.snps), bool)).to(self.device)
        self.residual_rows = _residual_rows(data) if settings.residuals else np.full(len(data.texts), -1)
        self.residuals = table(int(self.residual_rows.max(initial=-1)) + 1, settings.residual_rate)
        self.optimiser = torch.optim.AdamW(_groups(self.heads, settings.head_decay), lr=settings.head_rate)
        self.processes.copy_first(self._tensors())

    @cached_property
    def known(self) -> dict[str, KnownPositives]:
        return {task.name: KnownPositives(task) for task in self.data.tasks}

    @property
    def tables(self) -> dict[str, RowTable]:
        return {"snps": self.snps, "blocks": self.blocks, "residuals": self.residuals}

    def step(self, task: Task, rows: Integers, number: int) -> float:
        """Take one step on a batch of a task; give its loss.

        Raises:
            TrainingError: The loss is not a number any more.
        """
        self.optimiser.zero_grad(set_to_none=True)
        touched: Touched = []
        self._share_texts(task, rows, number)
        with self._autocast():
            left = self._side(task.left_kind, task.left[rows], touched)
            right = self._side(task.right_kind, task.right[rows], touched)
            loss = self._loss(task, rows, left, right)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of the task {task.name!r} is {value}", advice="Lower the rates, or look at the weights of this task."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.texts.backward()
        self._move(touched)
        return value

    def scales(self) -> dict[str, float]:
        """Give 1 / temperature of each task."""
        with torch.no_grad():
            return {task.name: round(float(self.heads.scale(task.name)), 3) for task in self.data.tasks}

    @torch.no_grad()
    def reciprocal_rank(self, task: Task, rows: Integers, known: KnownPositives) -> float:
        """Give the mean reciprocal rank of the right side of each pair among those of all these pairs, known others aside."""
        left, right = self._finished(task.left_kind, task.left[rows]), self._finished(task.right_kind, task.right[rows])
        logits = left @ right.T
        own = logits.diagonal()
        rivals = torch.from_numpy(~known.mask(rows)).to(self.device)
        ranks = 1 + ((logits > own[:, None]) & rivals).sum(dim=1) + ((logits == own[:, None]) & rivals).sum(dim=1) / 2
        says_something = right.square().sum(dim=1) > 0
        return float((1 / ranks)[says_something].mean()) if says_something.any() else 0.0

    def state(self) -> dict[str, Any]:
        """Give all that the next step depends on, but the place in the data."""
        return {
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "tables": {name: table.state() for name, table in self.tables.items()},
            "texts": self.texts.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        self.heads.load_state_dict(state["heads"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, table in self.tables.items():
            table.restore(state["tables"][name])
        self.texts.restore(state["texts"])

    @torch.no_grad()
    def model(self, description: Mapping[str, Any]) -> Model:
        """Freeze what was learned."""
        encoder = self.texts.encoder() if isinstance(self.texts, TunedTexts) else self.encoder
        weights = {name: value.cpu().numpy().copy() for name, value in self.heads.state_dict().items()}
        snps, vectors, by_block = self._frozen_snps()
        kept = np.flatnonzero(self.residual_rows >= 0)
        return Model(
            encoder_spec=encoder.spec,
            encoder_key=encoder.key,
            dimension=self.dimension,
            method="generel",
            projection={"weight": weights["text.weight"], "bias": weights["text.bias"]},
            snp_ids=snps,
            snp_vectors=vectors,
            snp_by_block=by_block,
            residuals={self.data.texts[text]: row for row, text in enumerate(kept.tolist())},
            residual_vectors=self.residuals.rows.cpu().numpy().astype(np.float16) if self.settings.residuals else None,
            encoder=encoder,
            tuned=isinstance(self.texts, TunedTexts),
            description={
                "settings": asdict(self.settings),
                "head_precision": "bf16" if self.bf16 else "fp32",
                "scales": self.scales(),
                "pairs": {task.name: len(task) for task in self.data.tasks},
                "texts": len(self.data.texts),
                **description,
            },
        )

    # ------------------------------------------------------------ how it begins

    def _chooses_bf16(self) -> bool:
        wanted = self.settings.precision
        return self.processes.agree(wanted == "bf16" or (wanted == "auto" and fast_bf16(self.device)))

    def _open_texts(self, lm_vectors: Vectors | None) -> Texts:
        if self.settings.mode != "frozen":
            return TunedTexts(self.encoder, self.data.texts, self.settings, device=self.device, bf16=self.bf16)
        if lm_vectors is None:
            raise TrainingError("the mode frozen has no text vectors", advice="Give one vector per text.")
        return FrozenTexts(torch.from_numpy(lm_vectors).to(self.device, torch.bfloat16 if self.bf16 else torch.float32))

    @torch.no_grad()
    def _warm_up(self, vectors: Vectors) -> None:
        """Put each SNP and each block where its texts lie; the projection begins as a rotation, so their cosines are kept."""
        own, blocks = centroids(self.data, vectors)
        for table, means in ((self.snps, own), (self.blocks, BLOCK_SHARE * blocks)):
            for start in range(0, len(table.rows), ROWS_AT_A_TIME):
                part = torch.from_numpy(means[start : start + ROWS_AT_A_TIME]).to(self.device)
                table.rows[start : start + ROWS_AT_A_TIME] = part @ self.heads.text.weight.T

    def _tensors(self) -> list[torch.Tensor]:
        tables = [table.rows for table in self.tables.values()]
        return [*(parameter.data for parameter in self.heads.parameters()), *tables, *self.texts.tensors()]

    # ------------------------------------------------------------ one step

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else nullcontext()

    def _share_texts(self, task: Task, rows: Integers, number: int) -> None:
        """Say which process reads which of the batch's texts, each text once, and read this one's."""
        sides = [side[rows] for kind, side in ((task.left_kind, task.left), (task.right_kind, task.right)) if kind == "text"]
        self._batch_texts = np.unique(np.concatenate([np.empty(0, np.int64), *sides]))
        self._text_owners = self.processes.owners(len(self._batch_texts))
        self.texts.prepare(self._batch_texts[self._text_owners == self.processes.rank], number)

    def _loss(self, task: Task, rows: Integers, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        weight = torch.from_numpy(task.weight[rows]).to(self.device)
        scale = self.heads.scale(task.name)
        known = torch.from_numpy(self.known[task.name].mask(rows)).to(self.device) if self.settings.mask else None
        loss = weighted_info_nce(
            left, right, weight=weight, scale=scale, known=known, symmetric=self.settings.symmetric, normalise=self.settings.normalise
        )
        if self.settings.ranking:
            group = torch.from_numpy((task.left if task.left_group is None else task.left_group)[rows]).to(self.device)
            loss = loss + self.settings.ranking * ranking_loss(left, right, weight=weight, group=group, scale=scale)
        return loss

    def _side(self, kind: str, ids: Integers, touched: Touched) -> torch.Tensor:
        """Give the vectors of one side; each distinct text or SNP is computed once, by one process.

        Rows that come more than once are looked up by `embedding`: the gradient of `rows[places]` adds up in whatever order
        threads come, so that a run would not end with the same bits twice.
        """
        distinct, inverse = np.unique(ids, return_inverse=True)
        if kind == "text":
            owners = self._text_owners[np.searchsorted(self._batch_texts, distinct)]
            part = self._texts(distinct, owners, touched)
        else:
            owners = self.processes.owners(len(distinct))
            part = self._snps(distinct, owners, touched)
        return functional.embedding(self._numbers(inverse), self.processes.gather(part, owners))

    def _texts(self, ids: Integers, owners: Integers, touched: Touched) -> torch.Tensor:
        lm = self.texts.vectors(ids[owners == self.processes.rank])
        own = self.residual_rows[ids]
        own = np.where(self.random.random(len(ids)) < self.settings.residual_dropout, -1, own) if self.settings.residuals else own
        if (own < 0).all():
            return self.heads.text_vectors(lm)
        return self.heads.text_vectors(lm, self._mine(_added(self.residuals, own, touched), owners))

    def _snps(self, ids: Integers, owners: Integers, touched: Touched) -> torch.Tensor:
        blocks = self.data.snp_blocks[ids]
        if not (self.settings.block_vectors and (blocks >= 0).any()):
            return self.heads.snp_vectors(self._mine(_added(self.snps, ids, touched), owners))
        dropped = (blocks >= 0) & (self.random.random(len(ids)) < self.settings.snp_dropout)
        rows = _added(self.snps, np.where(dropped, -1, ids), touched) + _added(self.blocks, blocks, touched)
        return self.heads.snp_vectors(self._mine(rows, owners))

    def _mine(self, rows: torch.Tensor, owners: Integers) -> torch.Tensor:
        return rows if self.processes.size == 1 else rows[self._numbers(np.flatnonzero(owners == self.processes.rank))]

    def _numbers(self, values: Integers) -> torch.Tensor:
        return torch.from_numpy(values).to(self.device)

    def _move(self, touched: Touched) -> None:
        """Add the gradients of all processes up, and move heads, texts and touched rows."""
        # a temperature's gradient is that of the whole loss in every process: it is not shared out, so not added up
        self.processes.add_up([p.grad for name, p in self.heads.named_parameters() if p.grad is not None and "log_scale" not in name])
        self.optimiser.step()
        self.texts.step(self.processes)
        with torch.no_grad():
            for table, ids, taken in touched:
                gradient = torch.zeros_like(taken) if taken.grad is None and self.processes.size > 1 else taken.grad
                if gradient is not None:
                    self.processes.add_up([gradient])
                    table.step(ids, gradient)

    # ------------------------------------------------------------ what was learned

    def _finished(self, kind: str, ids: Integers) -> torch.Tensor:
        """Give unit vectors as the model will have them: nothing is left out at random. A SNP that nothing is known of has zeros."""
        if kind == "snp":
            rows, known, _ = self._frozen_rows(self._numbers(ids))
            return self.heads.snp_vectors(rows) * known.unsqueeze(1)
        lm = self.texts.all_vectors(ids) if isinstance(self.texts, TunedTexts) else self.texts.vectors(ids).float()
        own = self._numbers(self.residual_rows[ids])
        return self.heads.text_vectors(lm, _or_zero(self.residuals.rows, own))

    def _frozen_snps(self) -> tuple[list[str], npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
        """Give the SNPs that something is known of, their vectors, and which of them no pair touched: they have their block's alone."""
        ids, vectors, by_block = [], [], []
        for start in range(0, len(self.data.snps), ROWS_AT_A_TIME):
            part = torch.arange(start, min(start + ROWS_AT_A_TIME, len(self.data.snps)), device=self.device)
            rows, known, block_alone = self._frozen_rows(part)
            ids.append(part[known].cpu().numpy())
            vectors.append(self.heads.snp_vectors(rows[known]).cpu().numpy().astype(np.float16))
            by_block.append(block_alone[known].cpu().numpy())
        kept = np.concatenate([np.empty(0, np.int64), *ids])
        empty = np.empty((0, self.dimension), np.float16)
        return (
            [self.data.snps[row] for row in kept.tolist()],
            np.concatenate([empty, *vectors]),
            np.concatenate([np.empty(0, bool), *by_block]),
        )

    def _frozen_rows(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give what the MLP gets for each SNP, whether anything is known of it, and whether it is its block alone."""
        seen = (self.snps.steps[ids] > 0) | self._begun[ids]
        by_block = torch.zeros_like(seen)
        blocks = self._numbers(self.data.snp_blocks)[ids]
        if self.settings.block_vectors and len(self.blocks.steps):
            by_block = (blocks >= 0) & (self.blocks.steps[blocks.clamp(min=0)] > 0)
        rows = self.snps.rows[ids] * seen.unsqueeze(1)
        rows = rows + _or_zero(self.blocks.rows, torch.where(by_block, blocks, -1))
        return rows, seen | by_block, by_block & ~seen


def fast_bf16(device: torch.device) -> bool:
    """Time one product of matrices both ways."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    matrix = torch.randn(768, 768, generator=torch.Generator().manual_seed(0))
    return _seconds(matrix.to(torch.bfloat16)) < 0.7 * _seconds(matrix)


def _seconds(matrix: torch.Tensor) -> float:
    times = []
    for _ in range(5):
        start = time.process_time()  # not the clock's: other work on the machine must not choose
        matrix @ matrix
        times.append(time.process_time() - start)
    return min(times)


def _added(table: RowTable, rows: Integers, touched: Touched) -> torch.Tensor:
    """Give a table's rows, zeros for -1; what was taken is noted in `touched`."""
    device = table.rows.device
    present, inverse = np.unique(rows[rows >= 0], return_inverse=True)
    ids = torch.from_numpy(present).to(device)
    taken = table.take(ids)
    touched.append((table, ids, taken))
    out = torch.zeros(len(rows), taken.shape[1], device=device)
    places = torch.from_numpy(np.flatnonzero(rows >= 0)).to(device)
    return out.index_copy(0, places, functional.embedding(torch.from_numpy(inverse).to(device), taken))


def _or_zero(rows: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    if not len(rows):
        return torch.zeros(len(ids), rows.shape[1], device=rows.device)
    return rows[ids.clamp(min=0)] * (ids >= 0).unsqueeze(1)


def _residual_rows(data: TrainingData) -> Integers:
    """Give a number to the texts of pairs with SNPs: only they get a vector of their own, synonyms and relations need none."""
    wanted = np.zeros(len(data.texts), dtype=bool)
    for task in data.tasks:
        if "snp" in (task.left_kind, task.right_kind):
            for kind, side in ((task.left_kind, task.left), (task.right_kind, task.right)):
                if kind == "text":
                    wanted[side] = True
    return np.where(wanted, np.cumsum(wanted) - 1, -1).astype(np.int64)


def _named_snps(data: TrainingData) -> npt.NDArray[np.bool_]:
    """Tell which SNPs a pair names."""
    named = np.zeros(len(data.snps), dtype=bool)
    for task in data.tasks:
        for kind, side in ((task.left_kind, task.left), (task.right_kind, task.right)):
            if kind == "snp":
                named[side] = True
    return named


def _groups(heads: Generel, decay: float) -> list[dict[str, Any]]:
    """Decay matrices; neither biases nor temperatures."""
    matrices = [p for p in heads.parameters() if p.ndim == 2]
    others = [p for p in heads.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
