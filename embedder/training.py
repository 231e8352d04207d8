"""Pairs and frozen text vectors in, a model out: weighted multi-task InfoNCE, a batch of one task at a time.

The encoder is frozen, so each text is read once, beforehand. Tables move by row-wise Adam on the rows that a batch
touches, heads by AdamW, in bfloat16 where the processor is fast at it. One seed gives one model on one machine.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from embedder.artifact import Model
from embedder.centroid import BLOCK_SHARE, centroids
from embedder.data import Integers, Task, TrainingData, TrainingSettings
from embedder.encoder import Progress, TextEncoder, unit_rows
from embedder.errors import TrainingError
from embedder.loss import weighted_info_nce
from embedder.model import Generel, RowTable

__all__ = ["train"]

REPORTS_PER_EPOCH = 10
SNP_SPREAD = 0.05  # standard deviation of a table's first values


def train(
    data: TrainingData,
    lm_vectors: npt.ArrayLike,
    settings: TrainingSettings,
    *,
    encoder: TextEncoder,
    metrics_path: Path | None = None,
    progress: Progress | None = None,
    description: dict[str, Any] | None = None,
) -> Model:
    """Train heads, SNP table, block vectors and residuals on the vectors of a frozen encoder.

    Args:
        data: Texts, SNPs and tasks.
        lm_vectors: (number of texts, encoder dimension), any length.
        settings: How.
        encoder: What made the vectors; only its names are kept.
        metrics_path: Where a line of JSON is added for each report.
        progress: Told the losses by task, pairs a second, and pairs done of all.
        description: More to keep in model.json.

    Raises:
        TrainingError: The data do not fit, or a loss is no longer a number (the task is named).
    """
    data.check()
    vectors = unit_rows(lm_vectors)
    if len(vectors) != len(data.texts):
        raise TrainingError(f"{len(data.texts)} texts have {len(vectors)} vectors", advice="Give one vector per text.")
    run = _Run(data, torch.from_numpy(vectors), settings)
    report = _Report(data.n_pairs * settings.epochs, metrics_path, progress)
    started = time.monotonic()
    finished = True
    for step, (epoch, task, rows) in enumerate(run.batches()):
        report.add(task.name, run.step(task, rows), len(rows))
        if step % run.report_every == 0:
            report.write(epoch, step, run.scales())
        if settings.max_seconds is not None and time.monotonic() - started > settings.max_seconds:
            finished = False
            break
    report.write(epoch, step, run.scales())
    return run.model(encoder, {"pairs_seen": report.pairs, "finished": finished, **(description or {})})


class _Run:
    """The state of one training: heads, tables, optimiser, random numbers."""

    def __init__(self, data: TrainingData, vectors: torch.Tensor, settings: TrainingSettings) -> None:
        torch.manual_seed(settings.seed)
        generator = torch.Generator().manual_seed(settings.seed)
        self.data, self.settings = data, settings
        self.dimension = settings.dimension or vectors.shape[1]
        self.tasks = [task for task in data.tasks if len(task)]
        self.bf16 = settings.precision == "bf16" or (settings.precision == "auto" and _fast_bf16())
        self.vectors = vectors.to(torch.bfloat16) if self.bf16 else vectors
        self.heads = Generel(vectors.shape[1], self.dimension, [task.name for task in self.tasks], add_rows=settings.warm_start)
        self.random = np.random.default_rng(settings.seed)
        self.snps = RowTable(len(data.snps), self.dimension, rate=settings.snp_rate, spread=SNP_SPREAD, generator=generator)
        self.blocks = RowTable(
            data.n_blocks if settings.block_vectors else 0, self.dimension, rate=settings.snp_rate, spread=0.0, generator=generator
        )
        if settings.warm_start:
            self._warm_up(vectors)
        self.residual_rows = _residual_rows(data) if settings.residuals else np.full(len(data.texts), -1)
        self.residuals = RowTable(
            int(self.residual_rows.max(initial=-1)) + 1, self.dimension, rate=settings.residual_rate, spread=0.0, generator=generator
        )
        self.optimiser = torch.optim.AdamW(_groups(self.heads, settings.head_decay), lr=settings.head_rate)
        self.known = {task.name: _KnownPositives(task) for task in self.tasks} if settings.mask else {}
        self.n_steps = sum(math.ceil(len(task) / settings.batch_size) for task in self.tasks)
        self.report_every = max(1, self.n_steps // REPORTS_PER_EPOCH)

    @torch.no_grad()
    def _warm_up(self, vectors: torch.Tensor) -> None:
        """Put each SNP and each block where its texts lie; the projection begins as a rotation, so their cosines are kept."""
        own, blocks = centroids(self.data, vectors.numpy())
        for table, means in ((self.snps, own), (self.blocks, BLOCK_SHARE * blocks)):
            for start in range(0, len(table.rows), 8192):
                table.rows[start : start + 8192] = torch.from_numpy(means[start : start + 8192]) @ self.heads.text.weight.T

    def batches(self) -> Iterator[tuple[int, Task, Integers]]:
        """Give (epoch, task, rows of the task): each pair once an epoch, the batches of all tasks shuffled together."""
        size = self.settings.batch_size
        for epoch in range(self.settings.epochs):
            orders = [self.random.permutation(len(task)) for task in self.tasks]
            places = [(number, start) for number, task in enumerate(self.tasks) for start in range(0, len(task), size)]
            for place in self.random.permutation(len(places)):
                number, start = places[place]
                yield epoch, self.tasks[number], orders[number][start : start + size]

    def step(self, task: Task, rows: Integers) -> float:
        """Take one step on a batch; give its loss."""
        self.optimiser.zero_grad(set_to_none=True)
        known = torch.from_numpy(self.known[task.name].mask(rows)) if self.settings.mask else None
        touched: list[tuple[RowTable, torch.Tensor, torch.Tensor]] = []
        with torch.autocast("cpu", dtype=torch.bfloat16) if self.bf16 else nullcontext():
            left = self._side(task.left_kind, task.left[rows], touched)
            right = self._side(task.right_kind, task.right[rows], touched)
            loss = weighted_info_nce(
                left,
                right,
                weight=torch.from_numpy(task.weight[rows]),
                scale=self.heads.scale(task.name),
                known=known,
                symmetric=self.settings.symmetric,
                normalise=self.settings.normalise,
            )
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss of the task {task.name!r} is {value}", advice="Lower the rates, or look at the weights of this task."
            )
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        with torch.no_grad():
            for table, ids, taken in touched:
                if taken.grad is not None:
                    table.step(ids, taken.grad)
        return value

    def scales(self) -> dict[str, float]:
        with torch.no_grad():
            return {task.name: round(float(self.heads.scale(task.name)), 3) for task in self.tasks}

    def _side(self, kind: str, ids: Integers, touched: list[tuple[RowTable, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Give the vectors of one side; each distinct text or SNP is computed once."""
        distinct, inverse = np.unique(ids, return_inverse=True)
        vectors = self._texts(distinct, touched) if kind == "text" else self._snps(distinct, touched)
        return vectors[torch.from_numpy(inverse)]

    def _texts(self, ids: Integers, touched: list[tuple[RowTable, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        lm = self.vectors[torch.from_numpy(ids)]
        own = self.residual_rows[ids]
        own = np.where(self.random.random(len(ids)) < self.settings.residual_dropout, -1, own) if self.settings.residuals else own
        if (own < 0).all():
            return self.heads.text_vectors(lm)
        return self.heads.text_vectors(lm, _added(self.residuals, own, touched))

    def _snps(self, ids: Integers, touched: list[tuple[RowTable, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        blocks = self.data.snp_blocks[ids]
        if not (self.settings.block_vectors and (blocks >= 0).any()):
            return self.heads.snp_vectors(_added(self.snps, ids, touched))
        dropped = (blocks >= 0) & (self.random.random(len(ids)) < self.settings.snp_dropout)
        return self.heads.snp_vectors(_added(self.snps, np.where(dropped, -1, ids), touched) + _added(self.blocks, blocks, touched))

    @torch.no_grad()
    def model(self, encoder: TextEncoder, description: dict[str, Any]) -> Model:
        """Freeze what was learned."""
        state = {name: value.numpy().copy() for name, value in self.heads.state_dict().items()}
        projection = {"weight": state["text.weight"], "bias": state["text.bias"]}
        snp_ids, snp_vectors = self._frozen_snps()
        kept = np.flatnonzero(self.residual_rows >= 0)
        return Model(
            encoder_spec=encoder.spec,
            encoder_key=encoder.key,
            dimension=self.dimension,
            method="generel",
            projection=projection,
            snp_ids=snp_ids,
            snp_vectors=snp_vectors,
            residuals={self.data.texts[text]: row for row, text in enumerate(kept.tolist())},
            residual_vectors=self.residuals.rows.numpy().astype(np.float16) if self.settings.residuals else None,
            description={
                "settings": asdict(self.settings),
                "head_precision": "bf16" if self.bf16 else "fp32",
                "scales": self.scales(),
                "pairs": {task.name: len(task) for task in self.tasks},
                "texts": len(self.data.texts),
                **description,
            },
        )

    def _frozen_snps(self) -> tuple[list[str], npt.NDArray[np.float16]]:
        """Give the SNPs that something is known of; one that no pair touched has its block's vector alone."""
        blocks = torch.from_numpy(self.data.snp_blocks) if self.settings.block_vectors else torch.full((len(self.data.snps),), -1)
        seen = self.snps.steps > 0
        by_block = torch.zeros_like(seen)
        if len(self.blocks.steps):
            by_block = (blocks >= 0) & (self.blocks.steps[blocks.clamp(min=0)] > 0)
        kept = torch.nonzero(seen | by_block).flatten()
        vectors = np.empty((len(kept), self.dimension), dtype=np.float16)
        for start in range(0, len(kept), 8192):
            ids = kept[start : start + 8192]
            rows = self.snps.rows[ids] * seen[ids].unsqueeze(1)
            rows = rows + _or_zero(self.blocks.rows, torch.where(by_block[ids], blocks[ids], -1))
            vectors[start : start + len(ids)] = self.heads.snp_vectors(rows).numpy()
        return [self.data.snps[row] for row in kept.tolist()], vectors


def _added(table: RowTable, rows: Integers, touched: list[tuple[RowTable, torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """Give a table's rows, zeros for -1; what was taken is noted in `touched`."""
    present, inverse = np.unique(rows[rows >= 0], return_inverse=True)
    ids = torch.from_numpy(present)
    taken = table.take(ids)
    touched.append((table, ids, taken))
    out = torch.zeros(len(rows), taken.shape[1])
    return out.index_copy(0, torch.from_numpy(np.flatnonzero(rows >= 0)), taken[torch.from_numpy(inverse)])


def _or_zero(rows: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    if not len(rows):
        return torch.zeros(len(ids), rows.shape[1])
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


def _groups(heads: Generel, decay: float) -> list[dict[str, Any]]:
    """Decay matrices; neither biases nor temperatures."""
    matrices = [p for p in heads.parameters() if p.ndim == 2]
    others = [p for p in heads.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _fast_bf16() -> bool:
    """Time one product of matrices both ways."""
    matrix = torch.randn(768, 768, generator=torch.Generator().manual_seed(0))
    return _seconds(matrix.to(torch.bfloat16)) < 0.7 * _seconds(matrix)


def _seconds(matrix: torch.Tensor) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - start)
    return min(times)


class _KnownPositives:
    """Which pairs of a task are known, by group, ready to be laid over a batch."""

    def __init__(self, task: Task) -> None:
        left = _numbered(task.left if task.left_group is None else task.left_group)
        right = _numbered(task.right if task.right_group is None else task.right_group)
        # walk from the side whose members have fewer partners: the work is their number
        self.turned = _mean_partners(left) < _mean_partners(right)
        self.walked, self.other = (left, right) if self.turned else (right, left)
        pairs = np.unique(self.walked * (self.other.max(initial=0) + 1) + self.other)
        walked, self.partners = np.divmod(pairs, self.other.max(initial=0) + 1)
        self.starts = np.searchsorted(walked, np.arange(self.walked.max(initial=-1) + 2))
        self.column_of = np.full(self.other.max(initial=-1) + 1, -1)

    def mask(self, rows: Integers) -> npt.NDArray[np.bool_]:
        """Give (n, n): true where the left side of row i is known to go with the right side of row j."""
        walked, inverse = np.unique(self.walked[rows], return_inverse=True)
        others, other_inverse = np.unique(self.other[rows], return_inverse=True)
        self.column_of[others] = np.arange(len(others))
        counts = self.starts[walked + 1] - self.starts[walked]
        owner = np.repeat(np.arange(len(walked)), counts)
        places = np.arange(counts.sum()) + np.repeat(self.starts[walked] - np.cumsum(counts) + counts, counts)
        column = self.column_of[self.partners[places]]
        self.column_of[others] = -1
        known = np.zeros((len(walked), len(others)), dtype=bool)
        known[owner[column >= 0], column[column >= 0]] = True
        full = known[inverse][:, other_inverse]
        return full if self.turned else np.ascontiguousarray(full.T)


def _numbered(values: Integers) -> Integers:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _mean_partners(numbers: Integers) -> float:
    counts = np.bincount(numbers)
    return float((counts.astype(float) ** 2).sum() / max(1, counts.sum()))


@dataclass
class _Report:
    """Losses since the last report, as a line of JSON and a word to whoever watches."""

    total: int
    path: Path | None
    progress: Progress | None
    pairs: int = 0

    def __post_init__(self) -> None:
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._since = (time.monotonic(), 0)

    def add(self, task: str, loss: float, pairs: int) -> None:
        self._losses[task].append(loss)
        self.pairs += pairs

    def write(self, epoch: int, step: int, scales: dict[str, float]) -> None:
        now = time.monotonic()
        speed = (self.pairs - self._since[1]) / max(1e-9, now - self._since[0])
        losses = {task: round(sum(values) / len(values), 5) for task, values in sorted(self._losses.items())}
        if not losses:
            return
        if self.path is not None:
            line = {"epoch": epoch, "step": step, "pairs": self.pairs, "loss": losses, "scale": scales, "pairs_per_second": round(speed)}
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps(line) + "\n")
        if self.progress is not None:
            words = ", ".join(f"{task} {loss:.3f}" for task, loss in losses.items())
            self.progress(f"train: {words}; {speed:,.0f} pairs/s", self.pairs, self.total)
        self._losses.clear()
        self._since = (now, self.pairs)
