"""Batches: each pair once an epoch, an order that can be taken up anywhere, and which pairs are no negatives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from little_training import little_data

from embedder import Task
from embedder.batches import Batch, Batches, development_split
from embedder.negatives import KnownPositives


def two_tasks() -> list[Task]:
    ones = np.ones(50, dtype=np.float32)
    return [Task("gwas", np.arange(50) // 10, np.arange(50), ones, "text", "snp"), Task("words", np.arange(9), np.arange(9), ones[:9])]


def batches(run_length: int = 1, seed: int = 3) -> tuple[Batches, np.random.Generator]:
    random = np.random.default_rng(seed)
    return Batches(two_tasks(), epochs=3, size=8, run_length=run_length, random=random), random


def drawing(made: Batches, random: np.random.Generator) -> Iterator[tuple[int, int, int, list[int], bool, float]]:
    """Take a batch and draw a number, as dropout does."""
    for batch in made:
        yield batch.epoch, batch.step, batch.task, batch.rows.tolist(), batch.ends, float(random.random())


@pytest.mark.parametrize("run_length", [1, 4])
def test_each_pair_comes_once_an_epoch(run_length: int) -> None:
    made, _ = batches(run_length)
    seen: list[Batch] = list(made)
    for epoch in range(3):
        for number, task in enumerate(two_tasks()):
            rows = [batch.rows for batch in seen if (batch.epoch, batch.task) == (epoch, number)]
            assert sorted(np.concatenate(rows).tolist()) == list(range(len(task)))
    assert [batch.step for batch in seen] == list(range(3 * made.per_epoch))
    assert [batch.step + 1 for batch in seen if batch.ends] == [made.per_epoch * epoch for epoch in (1, 2, 3)]


@pytest.mark.parametrize("taken", [0, 1, 8, 9, 10, 26, 27])
def test_batches_go_on_where_they_were_taken_up_and_so_does_the_generator(taken: int) -> None:
    whole = list(drawing(*batches(4)))
    made, random = batches(4)
    start = drawing(made, random)
    before = [next(start) for _ in range(taken)]
    state = made.state()
    again, other_random = batches(4, seed=99)
    again.restore(state)
    assert before + list(drawing(again, other_random)) == whole


def test_runs_keep_pairs_of_one_left_side_together() -> None:
    made, _ = batches(4)
    task = two_tasks()[0]
    first = [batch.rows for batch in made if batch.task == 0][: 50 // 8 + 1]

    def neighbours_alike(rows: list[np.ndarray]) -> float:
        return float(np.mean([np.mean(task.left[r][1:] == task.left[r][:-1]) for r in rows]))

    plain, _ = batches(1)
    assert neighbours_alike(first) > 0.5 > neighbours_alike([batch.rows for batch in plain if batch.task == 0][:7])


def test_development_takes_whole_groups_of_right_sides() -> None:
    kept, held = development_split(little_data(8, 120), 0.3, seed=1)
    gwas, part = kept.tasks[0], next(task for task in held if task.name == "gwas")
    assert gwas.right_group is not None
    assert part.right_group is not None
    assert len(gwas) + len(part) == 119
    assert set(gwas.right_group.tolist()) & set(part.right_group.tolist()) == set()


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_mask_knows_groups_ancestors_and_mates(seed: int) -> None:
    random = np.random.default_rng(seed)
    left, right = random.integers(0, 8, 40), random.integers(0, 9 if seed else 3, 40)
    kin, mates = np.array([[0, 1], [2, 9]]), random.integers(0, 9, (3, 2))
    task = Task("gwas", left, right, np.ones(40, dtype=np.float32), "text", "snp", left_group=left // 2, left_kin=kin, right_kin=mates)
    rows = random.permutation(40)[:13]
    known = {(int(a) // 2, int(b)) for a, b in zip(left, right, strict=True)}
    known |= {(b, right_) for left_, right_ in known for a, b in [*kin.tolist(), *kin[:, ::-1].tolist()] if a == left_}
    known |= {(left_, b) for left_, right_ in known for a, b in [*mates.tolist(), *mates[:, ::-1].tolist()] if a == right_}
    expected = [[(int(left[i]) // 2, int(right[j])) in known for j in rows] for i in rows]
    assert KnownPositives(task).mask(rows).tolist() == expected
