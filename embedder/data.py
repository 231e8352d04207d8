"""What a trainer is given: texts, SNPs and weighted pairs of them, as numbers; and how it should go about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from embedder.errors import TrainingError

__all__ = ["KINDS", "PRESETS", "Task", "TrainingData", "TrainingSettings"]

Integers = npt.NDArray[np.int64]

KINDS = ("text", "snp")


@dataclass(frozen=True)
class Task:
    """One task: pairs of texts or SNPs that belong together.

    Args:
        name: What metrics and errors call it.
        left: (n,) numbers of texts or SNPs, by `left_kind`.
        right: (n,) likewise.
        weight: (n,) positive, around 1.
        left_kind: `text` or `snp`.
        right_kind: `text` or `snp`.
        left_group: (n,) what each left side stands for (its concept); members of one group share their known positives,
            so that they are no negatives of each other's partners. None: each stands for itself.
        right_group: (n,) likewise (an LD block, say).
    """

    name: str
    left: Integers
    right: Integers
    weight: npt.NDArray[np.float32]
    left_kind: str = "text"
    right_kind: str = "text"
    left_group: Integers | None = None
    right_group: Integers | None = None

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True)
class TrainingData:
    """Everything that is trained on.

    Args:
        texts: Distinct texts; text i has row i of the vectors that the trainer is given.
        snps: Distinct ids; SNPs that no task names get a vector from their block alone.
        snp_blocks: (number of SNPs,) LD block of each, counted from 0; -1 for none that says something.
        tasks: At least one with pairs.
    """

    texts: Sequence[str]
    snps: Sequence[str]
    snp_blocks: Integers
    tasks: Sequence[Task]

    @property
    def n_blocks(self) -> int:
        return int(self.snp_blocks.max(initial=-1)) + 1

    @property
    def n_pairs(self) -> int:
        return sum(map(len, self.tasks))

    def check(self) -> None:
        """Raise TrainingError when pieces do not fit; every misfit is named."""
        wrong = [] if self.n_pairs else ["there is not one pair"]
        if len(self.snp_blocks) != len(self.snps):
            wrong.append(f"{len(self.snps)} SNPs have {len(self.snp_blocks)} blocks")
        sizes = {"text": len(self.texts), "snp": len(self.snps)}
        for task in self.tasks:
            wrong += _misfits(task, sizes)
        if wrong:
            raise TrainingError("the training data do not fit: " + "; ".join(wrong), advice="Check how the tasks were built.")


def _misfits(task: Task, sizes: dict[str, int]) -> list[str]:
    wrong = []
    for side, kind in ((task.left, task.left_kind), (task.right, task.right_kind)):
        if kind not in sizes:
            wrong.append(f"{task.name}: kind {kind!r} is not one of {', '.join(KINDS)}")
        elif len(side) and not (side.min() >= 0 and side.max() < sizes[kind]):
            wrong.append(f"{task.name}: a {kind} number is outside 0..{sizes[kind] - 1}")
    lengths = {len(column) for column in (task.left, task.right, task.weight, task.left_group, task.right_group) if column is not None}
    if len(lengths) > 1:
        wrong.append(f"{task.name}: columns of different lengths {sorted(lengths)}")
    elif not (np.isfinite(task.weight).all() and (task.weight > 0).all()):
        wrong.append(f"{task.name}: a weight is not a positive number")
    return wrong


@dataclass(frozen=True)
class TrainingSettings:
    """How to train with a frozen encoder. Which of these pay is measured in docs/experiments.md."""

    dimension: int | None = None  # of the common space; None: the encoder's own
    epochs: int = 4  # passes over all pairs
    batch_size: int = 512  # pairs; also the number of negatives
    head_rate: float = 1e-3  # AdamW, for the projection, the MLPs and the temperatures
    snp_rate: float = 2e-3  # row-wise Adam, for the SNP table and the block vectors
    residual_rate: float = 2e-3  # row-wise Adam, for the residuals of known texts
    head_decay: float = 1e-2  # weight decay of matrices; tables and temperatures have none
    symmetric: bool = False  # both directions count; else the left side (the text) finds the right one
    mask: bool = False  # known positives, and members of their groups, are no negatives
    normalise: bool = True  # divide by the sum of the weights, not their number
    block_vectors: bool = True  # each LD block has a vector that is added to its SNPs'
    snp_dropout: float = 0.3  # share of SNPs that go with their block's vector alone in a batch, so that blocks learn to stand in
    residuals: bool = True  # known texts have a vector of their own that is added to what the encoder says
    residual_dropout: float = 0.3  # share of texts that go without it in a batch, so that the heads learn too
    warm_start: bool = True  # tables begin at the weighted mean of their texts, and the MLP adds to a SNP's row instead of replacing it
    precision: str = "auto"  # of the heads: fp32, bf16, or auto: bf16 where the processor is fast at it
    seed: int = 20261121
    max_seconds: float | None = None  # stop after this long, at a whole batch

    def __post_init__(self) -> None:
        for name in ("dimension", "epochs", "batch_size", "head_rate", "snp_rate", "residual_rate"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("residual_dropout", "snp_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected at least 0 and less than 1")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise TrainingError(f"precision is {self.precision!r}, expected auto, fp32 or bf16")


_DEFAULT = TrainingSettings()

PRESETS: dict[str, TrainingSettings] = {
    "default": _DEFAULT,
    # as published: one direction, no mask, weights multiply, a plain SNP table
    "paper": replace(
        _DEFAULT,
        dimension=768,
        batch_size=1024,
        normalise=False,
        block_vectors=False,
        residuals=False,
        warm_start=False,
        snp_rate=2e-3,
    ),
}
