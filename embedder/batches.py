"""Tasks in, batches out: each pair once an epoch, in an order that the seed decides and that can be taken up anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embedder.data import Integers, Task, TrainingData

__all__ = ["Batch", "Batches", "development_split"]


@dataclass(frozen=True)
class Batch:
    """Rows of one task; `ends` says that the epoch is over with it."""

    epoch: int
    step: int
    task: int
    rows: Integers
    ends: bool


class Batches:
    """The batches of all tasks shuffled together, epoch after epoch.

    The generator is the trainer's: what else it draws comes from the same stream, so its state belongs to the place.
    """

    def __init__(self, tasks: Sequence[Task], *, epochs: int, size: int, run_length: int, random: np.random.Generator) -> None:
        self._tasks, self._size, self._run_length, self._random = tasks, size, run_length, random
        self._epochs = epochs
        self._epoch, self._place = 0, 0
        self._at_epoch_start = random.bit_generator.state
        self._resumed: Any = None

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return sum(math.ceil(len(task) / self._size) for task in self._tasks)

    def __iter__(self) -> Iterator[Batch]:
        while self._epoch < self._epochs:
            self._at_epoch_start = self._random.bit_generator.state
            orders, places = self._shuffled()
            if self._resumed is not None:
                self._random.bit_generator.state, self._resumed = self._resumed, None
            while self._place < len(places):
                number, start = places[self._place]
                self._place += 1
                ends = self._place == len(places)
                step = self._epoch * len(places) + self._place - 1
                yield Batch(self._epoch, step, number, orders[number][start : start + self._size], ends)
            self._epoch, self._place = self._epoch + 1, 0

    def state(self) -> dict[str, Any]:
        """Say where the next batch lies; to be asked between two batches."""
        return {
            "epoch": self._epoch,
            "place": self._place,
            "at_epoch_start": json.dumps(self._at_epoch_start),
            "now": json.dumps(self._random.bit_generator.state),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: the epoch is shuffled as it was, then the generator goes where it stood."""
        self._epoch, self._place = state["epoch"], state["place"]
        self._random.bit_generator.state = json.loads(state["at_epoch_start"])
        self._resumed = json.loads(state["now"]) if self._place else None  # with no batch taken, the shuffling is still to come

    def _shuffled(self) -> tuple[list[Integers], list[tuple[int, int]]]:
        orders = [self._random.permutation(len(task)) for task in self._tasks]
        if self._run_length > 1:
            orders = [self._in_runs(task, order) for task, order in zip(self._tasks, orders, strict=True)]
        places = [(number, start) for number, task in enumerate(self._tasks) for start in range(0, len(task), self._size)]
        return orders, [places[place] for place in self._random.permutation(len(places))]

    def _in_runs(self, task: Task, order: Integers) -> Integers:
        """Put pairs of one left side together, so many at a time, and shuffle these runs."""
        groups = (task.left if task.left_group is None else task.left_group)[order]
        by_group = np.argsort(groups, kind="stable")
        groups = groups[by_group]
        first = np.concatenate([[True], groups[1:] != groups[:-1]])
        within = np.arange(len(groups)) - np.flatnonzero(first)[np.cumsum(first) - 1]
        runs = np.cumsum(first | (within % self._run_length == 0)) - 1
        shuffled = self._random.permutation(int(runs[-1]) + 1)[runs]
        return order[by_group[np.argsort(shuffled, kind="stable")]]


def development_split(data: TrainingData, share: float, seed: int) -> tuple[TrainingData, list[Task]]:
    """Take pairs away for a figure: whole groups of right sides (an LD block with all its SNPs) of each task.

    A task that would lose everything keeps everything; then it has no figure.
    """
    random = np.random.default_rng([seed, 1])
    kept, held = [], []
    for task in data.tasks:
        numbers = np.unique(task.right if task.right_group is None else task.right_group, return_inverse=True)[1]
        chosen = random.random(int(numbers.max()) + 1)[numbers] < share
        if chosen.any() and not chosen.all():
            held.append(task.part(chosen))
            kept.append(task.part(~chosen))
        else:
            kept.append(task)
    return TrainingData(data.texts, data.snps, data.snp_blocks, kept), held
