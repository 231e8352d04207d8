"""A task in, and for each of its batches a matrix out: which right sides are known to go with which left sides.

A known pair is no negative. What one member of a group (a concept, an LD block) is known to go with, all of its members are;
kin (a trait and its ancestor, two that were merged, two SNPs in LD) share their known partners likewise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from embedder.data import Integers, Task

__all__ = ["KnownPositives"]


class KnownPositives:
    """Which pairs of a task are known, by group, ready to be laid over a batch."""

    def __init__(self, task: Task) -> None:
        left_names, left = _numbered(task.left if task.left_group is None else task.left_group)
        right_names, right = _numbered(task.right if task.right_group is None else task.right_group)
        pairs = np.unique(np.stack([left, right], axis=1), axis=0)
        pairs = _with_kin(pairs, _kin(task.left_kin, left_names))
        pairs = _with_kin(pairs[:, ::-1], _kin(task.right_kin, right_names))[:, ::-1]
        # walk from the side whose members have fewer partners: the work is their number
        self._turned = _mean_partners(left) < _mean_partners(right)
        self._walked, self._other = (left, right) if self._turned else (right, left)
        walked, partners = (pairs if self._turned else pairs[:, ::-1]).T
        order = np.lexsort((partners, walked))
        self._partners = partners[order]
        self._starts = np.searchsorted(walked[order], np.arange(self._walked.max(initial=-1) + 2))
        self._column_of = np.full(self._other.max(initial=-1) + 1, -1)

    def mask(self, rows: Integers) -> npt.NDArray[np.bool_]:
        """Give (n, n): true where the left side of row i is known to go with the right side of row j."""
        walked, inverse = np.unique(self._walked[rows], return_inverse=True)
        others, other_inverse = np.unique(self._other[rows], return_inverse=True)
        self._column_of[others] = np.arange(len(others))
        counts = self._starts[walked + 1] - self._starts[walked]
        owner = np.repeat(np.arange(len(walked)), counts)
        places = np.arange(counts.sum()) + np.repeat(self._starts[walked] - np.cumsum(counts) + counts, counts)
        column = self._column_of[self._partners[places]]
        self._column_of[others] = -1
        known = np.zeros((len(walked), len(others)), dtype=bool)
        known[owner[column >= 0], column[column >= 0]] = True
        full = known[inverse][:, other_inverse]
        return full if self._turned else np.ascontiguousarray(full.T)


def _with_kin(pairs: Integers, kin: Integers) -> Integers:
    """Add, for each (a, b) of kin, the partners of a to b.

    >>> _with_kin(np.array([[0, 7], [0, 8], [1, 9]]), np.array([[0, 1]])).tolist()
    [[0, 7], [0, 8], [1, 7], [1, 8], [1, 9]]
    """
    if not len(kin):
        return pairs
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    starts, ends = (np.searchsorted(pairs[:, 0], kin[:, 0], side=side) for side in ("left", "right"))
    counts = ends - starts
    places = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    added = np.stack([np.repeat(kin[:, 1], counts), pairs[places, 1]], axis=1)
    return np.unique(np.concatenate([pairs, added]), axis=0)


def _kin(kin: Integers | None, names: Integers) -> Integers:
    """Give kin the numbers of their groups, both ways; those that no pair names are left out."""
    if kin is None or not len(kin):
        return np.empty((0, 2), dtype=np.int64)
    known = kin[np.isin(kin, names).all(axis=1)]
    numbers = np.searchsorted(names, known)
    return np.concatenate([numbers, numbers[:, ::-1]])


def _numbered(values: Integers) -> tuple[Integers, Integers]:
    names, numbers = np.unique(values, return_inverse=True)
    return names, numbers.astype(np.int64)


def _mean_partners(numbers: Integers) -> float:
    counts = np.bincount(numbers)
    return float((counts.astype(float) ** 2).sum() / max(1, counts.sum()))
