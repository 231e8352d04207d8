"""What a trainer is given: texts, SNPs and weighted pairs of them, as numbers; and how it should go about it."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from embedder.errors import TrainingError

__all__ = ["KINDS", "MAX_WEIGHT", "MODES", "PRESETS", "Task", "TrainingData", "TrainingSettings"]

Integers = npt.NDArray[np.int64]

KINDS = ("text", "snp")
_COLUMNS = ("left", "right", "weight", "left_group", "right_group", "left_kin", "right_kin")
MAX_WEIGHT = 2.0
MODES = r"frozen|full|last-[1-9]\d*"


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
        left_kin: (k, 2) groups of the left side (numbers themselves, where there are no groups) whose known positives hold for
            each other too: a trait and its ancestor, two that were merged.
        right_kin: (k, 2) likewise: a SNP and its LD mate.
    """

    name: str
    left: Integers
    right: Integers
    weight: npt.NDArray[np.float32]
    left_kind: str = "text"
    right_kind: str = "text"
    left_group: Integers | None = None
    right_group: Integers | None = None
    left_kin: Integers | None = None
    right_kin: Integers | None = None

    def __len__(self) -> int:
        return len(self.left)

    def part(self, rows: npt.ArrayLike) -> Task:
        """Give some of the pairs (row numbers, or a boolean for each), with everything else as it is."""
        columns = ("left", "right", "weight", "left_group", "right_group")
        taken = {name: getattr(self, name)[np.asarray(rows)] for name in columns if getattr(self, name) is not None}
        return replace(self, **taken)


@dataclass(frozen=True)
class TrainingData:
    """Everything that is trained on.

    Args:
        texts: Distinct texts; text i has row i of the vectors that the trainer is given.
        snps: Distinct ids; SNPs that no task names get a vector from their block alone.
        snp_blocks: (number of SNPs,) LD block of each, counted from 0; -1 for none that says something.
        tasks: At least one; each has pairs.
    """

    texts: Sequence[str]
    snps: Sequence[str]
    snp_blocks: Integers
    tasks: Sequence[Task]

    def save(self, folder: Path) -> None:
        """Write training.json and training.npz, for `python -m embedder` to read."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {"snp_blocks": self.snp_blocks}
        for number, task in enumerate(self.tasks):
            columns = {name: getattr(task, name) for name in _COLUMNS}
            arrays |= {f"{number}.{name}": column for name, column in columns.items() if column is not None}
        np.savez(folder / "training.npz", **arrays)  # type: ignore[arg-type]
        tasks = [{"name": task.name, "left_kind": task.left_kind, "right_kind": task.right_kind} for task in self.tasks]
        document = {"texts": list(self.texts), "snps": list(self.snps), "tasks": tasks}
        (folder / "training.json").write_text(json.dumps(document, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TrainingData:
        """Read what `save` wrote.

        Raises:
            TrainingError: It is not there, or damaged.
        """
        try:
            document = json.loads((folder / "training.json").read_text(encoding="utf-8"))
            with np.load(folder / "training.npz") as archive:
                arrays = dict(archive)
            tasks = [
                Task(**entry, **{name: arrays[f"{number}.{name}"] for name in _COLUMNS if f"{number}.{name}" in arrays})
                for number, entry in enumerate(document["tasks"])
            ]
            return cls(document["texts"], document["snps"], arrays["snp_blocks"], tasks)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise TrainingError(
                f"{folder} holds no training data that can be read ({error})", advice="Write it with TrainingData.save."
            ) from error

    @property
    def n_blocks(self) -> int:
        return int(self.snp_blocks.max(initial=-1)) + 1

    @property
    def n_pairs(self) -> int:
        return sum(map(len, self.tasks))

    def check(self) -> None:
        """Raise TrainingError when pieces do not fit; every misfit is named."""
        wrong = [f"{task.name}: there is not one pair" for task in self.tasks if not len(task)]
        wrong += [] if self.tasks else ["there is not one task"]
        names = [task.name for task in self.tasks]
        wrong += [f"{name}: two tasks of this name" for name in sorted({name for name in names if names.count(name) > 1})]
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
    elif not ((task.weight > 0) & (task.weight <= MAX_WEIGHT)).all():  # false for NaN too
        bad = task.weight[~((task.weight > 0) & (task.weight <= MAX_WEIGHT))]
        wrong.append(f"{task.name}: {len(bad)} weights are outside (0, {MAX_WEIGHT:g}], the first is {bad[0]:g}")
    for kin in (task.left_kin, task.right_kin):
        if kin is not None and (kin.ndim != 2 or kin.shape[1] != 2):
            wrong.append(f"{task.name}: kin of the shape {kin.shape}, expected (k, 2)")
    return wrong


@dataclass(frozen=True)
class TrainingSettings:
    """How to train. Which of these pay is measured in docs/experiments.md."""

    mode: str = "frozen"  # frozen: texts are read once, by the encoder as it is; full: it is trained too; last-2: its last two layers are
    dimension: int | None = None  # of the common space; None: the encoder's own
    epochs: int = 4  # passes over all pairs
    batch_size: int = 512  # pairs, of all processes together; also the number of negatives
    head_rate: float = 1e-3  # AdamW, for the projection, the MLPs and the temperatures
    snp_rate: float = 2e-3  # row-wise Adam, for the SNP table and the block vectors
    residual_rate: float = 2e-3  # row-wise Adam, for the residuals of known texts
    head_decay: float = 1e-2  # weight decay of matrices; tables and temperatures have none
    lm_rate: float = 2e-5  # AdamW, for the language model where it is trained
    lm_decay: float = 1e-2  # weight decay of its matrices
    lm_dropout: float = 0.0  # inside the language model while it is trained
    lm_clip: float | None = 1.0  # longest gradient of the language model; None: as long as it is
    chunk_tokens: int | None = None  # gradient cache: a batch's texts are read so many tokens at a time; None: all at once
    temperature: str = "task"  # each task learns its own, or all one: common
    symmetric: bool = False  # both directions count; else the left side (the text) finds the right one
    mask: bool = False  # known positives, and members of their groups, are no negatives
    normalise: bool = True  # divide by the sum of the weights, not their number
    ranking: float = 0.0  # share of the term by which, of two pairs of one left side, the one of the larger weight is to be nearer
    run_length: int = 1  # pairs of one left side that stay together in a batch, so that the ranking term meets them
    block_vectors: bool = True  # each LD block has a vector that is added to its SNPs'
    snp_dropout: float = 0.3  # share of SNPs that go with their block's vector alone in a batch, so that blocks learn to stand in
    residuals: bool = True  # known texts have a vector of their own that is added to what the encoder says
    residual_dropout: float = 0.3  # share of texts that go without it in a batch, so that the heads learn too
    warm_start: bool = True  # tables begin at the weighted mean of their texts, and the MLP adds to a SNP's row instead of replacing it
    precision: str = "auto"  # of what is trained: fp32, bf16, or auto: bf16 where the processor is fast at it
    seed: int = 20261121
    max_seconds: float | None = None  # stop after this long, at a whole batch
    development: float = 0.0  # share of groups of right sides (loci) whose pairs are kept for a figure after each epoch
    patience: int | None = None  # stop after so many epochs without a better figure, and keep the best; None: go on to the end
    checkpoint_seconds: float = 300.0  # between two checkpoints; one is also made after each epoch

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected more than 0")
        for name in ("residual_dropout", "snp_dropout", "lm_dropout", "development"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}, expected at least 0 and less than 1")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise TrainingError(f"precision is {self.precision!r}, expected auto, fp32 or bf16")
        if self.temperature not in ("task", "common"):
            raise TrainingError(f"temperature is {self.temperature!r}, expected task or common")
        if not re.fullmatch(MODES, self.mode):
            raise TrainingError(f"mode is {self.mode!r}, expected frozen, full, or last-1, last-2 and so on")
        if not self.ranking >= 0:
            raise TrainingError(f"ranking is {self.ranking}, expected 0 or more")
        if self.patience is not None and not self.development:
            raise TrainingError(
                f"patience is {self.patience} but development is 0", advice="Keep a share of pairs for it: development=0.05."
            )

    @property
    def last_layers(self) -> int | None:
        """Layers of the language model that are trained; None: all of them.

        >>> TrainingSettings().last_layers, TrainingSettings(mode="last-2").last_layers, TrainingSettings(mode="full").last_layers
        (0, 2, None)
        """
        return {"frozen": 0, "full": None}.get(self.mode, int(self.mode.rpartition("-")[2]) if "-" in self.mode else None)


_POSITIVE = (
    "dimension", "epochs", "batch_size", "head_rate", "snp_rate", "residual_rate", "lm_rate", "lm_clip", "chunk_tokens", "run_length",
    "max_seconds", "patience", "checkpoint_seconds",
)  # fmt: skip

_DEFAULT = TrainingSettings()

PRESETS: dict[str, TrainingSettings] = {
    "default": _DEFAULT,
    # as published: the language model is trained too; one direction, no mask, weights that multiply, a plain SNP table
    "paper": replace(
        _DEFAULT,
        mode="full",
        dimension=768,
        batch_size=512,
        epochs=25,
        head_rate=2e-3,
        snp_rate=2e-3,
        lm_rate=2e-5,
        temperature="common",
        normalise=False,
        block_vectors=False,
        residuals=False,
        warm_start=False,
    ),
}
