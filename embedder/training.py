"""Pairs and text vectors in, a model out: batches one after the other, checkpoints, reports, and knowing when to stop.

One seed gives one model on one machine, also when a run was killed and resumed: on a CPU to the last bit.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder import checkpoint
from embedder.artifact import Model
from embedder.batches import Batch, Batches, development_split
from embedder.data import Task, TrainingData, TrainingSettings
from embedder.encoder import Progress, TextEncoder, Vectors, unit_rows
from embedder.errors import CheckpointError, TrainingError
from embedder.learner import Learner
from embedder.metrics import Report
from embedder.negatives import KnownPositives
from embedder.processes import Processes, joined

__all__ = ["train"]

REPORTS_PER_EPOCH = 10
DEVELOPMENT_PAIRS = 2048  # of a task, at most, that the development figure looks at
CHANGEABLE = ("epochs", "max_seconds", "patience", "checkpoint_seconds", "chunk_tokens")  # between a run and its resumption


def train(
    data: TrainingData,
    lm_vectors: npt.ArrayLike | None,
    settings: TrainingSettings,
    *,
    encoder: TextEncoder,
    checkpoints: Path | None = None,
    resume: bool = False,
    metrics_path: Path | None = None,
    progress: Progress | None = None,
    description: Mapping[str, Any] | None = None,
) -> Model:
    """Train heads, SNP table, block vectors and residuals, and in the modes full and last-n the language model.

    Under `torchrun` every process calls this with the same arguments; each gets the model, the first one writes files.

    Args:
        data: Texts, SNPs and tasks.
        lm_vectors: (number of texts, encoder dimension), any length; None: the encoder is asked.
        settings: How.
        encoder: What made the vectors, or where training of the language model begins.
        checkpoints: Folder for last.checkpoint and best.checkpoint; None: none are kept.
        resume: Go on from last.checkpoint.
        metrics_path: Where a line of JSON is added for each report.
        progress: Told the losses by task, pairs a second, the time left, and pairs done of all.
        description: More to keep in model.json.

    Raises:
        TrainingError: The data do not fit, or a loss is no longer a number (the task is named).
        CheckpointError: There is nothing to resume, it belongs to another training, or the disk is full.
    """
    data.check()
    with joined() as processes, ExitStack() as stack:
        if checkpoints is None and settings.development:  # the best state has to lie somewhere
            checkpoints = processes.agree(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        run = _Run.open(data, _text_vectors(data, lm_vectors, settings, encoder), settings, encoder, processes, checkpoints, resume)
        report = Report(
            run.n_pairs, metrics_path if processes.first else None, progress if processes.first else None, pairs=run.pairs, step=run.step
        )
        stack.callback(report.close)
        stopped = run.go(report)
        return run.model({"pairs_seen": run.pairs, "finished": stopped != "time", "stopped": stopped, **(description or {})})


def _text_vectors(data: TrainingData, lm_vectors: npt.ArrayLike | None, settings: TrainingSettings, encoder: TextEncoder) -> Vectors | None:
    if lm_vectors is None and (settings.mode == "frozen" or settings.warm_start):
        lm_vectors = encoder.encode(data.texts)
    if lm_vectors is None:
        return None
    vectors = unit_rows(lm_vectors)
    if len(vectors) != len(data.texts):
        raise TrainingError(f"{len(data.texts)} texts have {len(vectors)} vectors", advice="Give one vector per text.")
    return vectors


@dataclass
class _Run:
    """A learner on its way through the data."""

    learner: Learner
    batches: Batches
    development: list[tuple[Task, npt.NDArray[np.int64], KnownPositives]]
    identity: dict[str, Any]
    checkpoints: Path | None
    step: int = 0
    pairs: int = 0
    best: float = -1.0
    epochs_without_gain: int = 0

    @classmethod
    def open(
        cls,
        data: TrainingData,
        vectors: Vectors | None,
        settings: TrainingSettings,
        encoder: TextEncoder,
        processes: Processes,
        checkpoints: Path | None,
        resume: bool,
    ) -> _Run:
        """Start a run, or take up the one whose last checkpoint lies in the folder."""
        identity = _identity(data, settings, encoder)
        state = _resumed(checkpoints, identity) if resume else None
        kept, held = development_split(data, settings.development, settings.seed) if settings.development else (data, [])
        bf16 = None if state is None else bool(state["bf16"])
        learner = Learner(kept, vectors, settings, encoder=encoder, processes=processes, bf16=bf16)
        batches = Batches(
            kept.tasks, epochs=settings.epochs, size=settings.batch_size, run_length=settings.run_length, random=learner.random
        )
        run = cls(learner, batches, _development(data, held, settings), identity, checkpoints)
        if state is not None:
            run._restore(state)
        if checkpoints is not None and processes.first:
            checkpoint.clear_leftovers(checkpoints)
        return run

    @property
    def n_pairs(self) -> int:
        """Pairs of the whole training, each counted once an epoch."""
        return self.learner.data.n_pairs * self.learner.settings.epochs

    def go(self, report: Report) -> str:
        """Train to the end; say what the end was: `end`, `time` or `no gain`."""
        settings, tasks = self.learner.settings, self.learner.data.tasks
        report_every = max(1, self.batches.per_epoch // REPORTS_PER_EPOCH)
        started = saved = time.monotonic()
        if self._patience_is_over():
            return self._end("no gain")
        for batch in self.batches:
            task = tasks[batch.task]
            report.add(task.name, self.learner.step(task, batch.rows, batch.step), len(batch.rows))
            self.step, self.pairs = batch.step + 1, self.pairs + len(batch.rows)
            if batch.step % report_every == 0 or batch.ends:
                report.write(batch.epoch, batch.step, self.learner.scales())
            if batch.ends and self.development:
                self._develop(batch, report)
            out_of_time = settings.max_seconds is not None and self._agree(time.monotonic() - started > settings.max_seconds)
            if batch.ends or out_of_time or time.monotonic() - saved > settings.checkpoint_seconds:
                self._save(best=batch.ends and self.epochs_without_gain == 0)
                saved = time.monotonic()
            if out_of_time:
                report.write(batch.epoch, batch.step, self.learner.scales())
                return self._end("time")
            if self._patience_is_over():
                return self._end("no gain")
        return self._end("end")

    def model(self, description: Mapping[str, Any]) -> Model:
        """Give the model, of the best epoch where there is a development figure."""
        figures = {"best_development": round(self.best, 5)} if self.development else {}
        return self.learner.model({**figures, **description})

    def _develop(self, batch: Batch, report: Report) -> None:
        figures = {task.name: self.learner.reciprocal_rank(task, rows, known) for task, rows, known in self.development}
        mean = sum(figures.values()) / len(figures)
        report.develop(batch.epoch, batch.step, {**figures, "mean": mean})
        self.epochs_without_gain = 0 if mean > self.best else self.epochs_without_gain + 1
        self.best = max(self.best, mean)

    def _patience_is_over(self) -> bool:
        patience = self.learner.settings.patience
        return patience is not None and self.epochs_without_gain >= patience

    def _agree(self, value: bool) -> bool:
        return self.learner.processes.agree(value)

    def _end(self, reason: str) -> str:
        """Go back to the best state where there is one."""
        if self.development and self.epochs_without_gain and self.checkpoints is not None:
            self.learner.processes.wait()  # for the first one, who writes it
            self.learner.restore(checkpoint.read(self.checkpoints / checkpoint.BEST)["learner"])
            self.learner.processes.wait()  # until all have read it, before it may go
        return reason

    def _save(self, *, best: bool) -> None:
        """Write the last checkpoint; it is the best one too where its epoch had the best figure."""
        if self.checkpoints is None or not self.learner.processes.first:
            return
        state = {
            "identity": self.identity,
            "bf16": self.learner.bf16,
            "step": self.step,
            "pairs": self.pairs,
            "best": self.best,
            "epochs_without_gain": self.epochs_without_gain,
            "batches": self.batches.state(),
            "learner": self.learner.state(),
        }
        checkpoint.write(self.checkpoints / checkpoint.LAST, state)
        if best and self.development:
            checkpoint.mark_best(self.checkpoints)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.pairs = state["step"], state["pairs"]
        self.best, self.epochs_without_gain = state["best"], state["epochs_without_gain"]
        self.learner.restore(state["learner"])
        self.batches.restore(state["batches"])


def _development(
    data: TrainingData, held: Iterable[Task], settings: TrainingSettings
) -> list[tuple[Task, npt.NDArray[np.int64], KnownPositives]]:
    """Draw the pairs that the figure looks at; partners that are known from the whole data are no rivals."""
    random = np.random.default_rng([settings.seed, 2])
    whole = {task.name: task for task in data.tasks}
    drawn = []
    for task in held:
        rows = np.sort(random.permutation(len(task))[:DEVELOPMENT_PAIRS])
        both = _joined(task.part(rows), whole[task.name])
        drawn.append((both, np.arange(len(rows)), KnownPositives(both)))
    return drawn


def _joined(first: Task, second: Task) -> Task:
    """Put two lists of pairs one after the other."""
    columns = ("left", "right", "weight", "left_group", "right_group")
    pieces: dict[str, Any] = {name: (getattr(first, name), getattr(second, name)) for name in columns}
    together: dict[str, Any] = {name: np.concatenate(pair) for name, pair in pieces.items() if pair[0] is not None}
    return replace(first, **together)


def _resumed(checkpoints: Path | None, identity: Mapping[str, Any]) -> dict[str, Any]:
    if checkpoints is None:
        raise CheckpointError("resume needs the folder of the checkpoints", advice="Name it: checkpoints=...")
    state = checkpoint.read(checkpoints / checkpoint.LAST)
    if wrong := checkpoint.differences(state["identity"], identity):
        raise CheckpointError(
            f"{checkpoints / checkpoint.LAST} belongs to another training: {'; '.join(wrong)}",
            advice="Set that back, or train from the beginning without resume.",
        )
    return state


def _identity(data: TrainingData, settings: TrainingSettings, encoder: TextEncoder) -> dict[str, Any]:
    """Name everything that must be the same for a run to be taken up again."""
    facts: dict[str, Any] = {name: value for name, value in asdict(settings).items() if name not in CHANGEABLE}
    facts |= {"encoder": encoder.key, "texts": _hash(data.texts), "SNPs": _hash(data.snps), "LD blocks": _hash(data.snp_blocks)}
    for task in data.tasks:
        columns = (task.left, task.right, task.weight, task.left_group, task.right_group, task.left_kin, task.right_kin)
        facts[f"task {task.name}"] = _hash(*(column for column in columns if column is not None))
    return facts


def _hash(*columns: Any) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for column in columns:
        if isinstance(column, np.ndarray):
            digest.update(np.ascontiguousarray(column).tobytes())
        else:
            for text in column:
                digest.update(f"{text}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
