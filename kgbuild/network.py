"""Features of pairs in, a small network out: a number for each pair, high where it is likely to be true.

    number = constant + weights · features + sum over units of weight · tanh(constant + weights · features)

It is fitted to tell true pairs from drawn ones, which decides how pairs lie in all, and to find each pair's text among its
rivals, the texts that are hardest to tell from it, which decides the order at the top of a list:

    loss = mean cross-entropy of true and drawn pairs + AMONG_RIVALS · mean cross-entropy of a softmax over a pair and its rivals

The second is kept small: rivals are all alike, so that by themselves they would teach that the alike are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Network", "Rivals", "fit_network"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

AT_A_TIME = 65_536  # rows whose hidden units are there at a time
PENALTY = 0.1  # scikit-learn's C, on standardised features; 0.01 and 1 gave the same
EPOCHS = 12
LEAST_STEPS = 100
BATCH = 4096  # drawn pairs of a step; 1024 took twice as long for the same
LISTS = 32  # pairs with their rivals of a step
FIRST, SECOND = 0.9, 0.999  # what Adam keeps of its means
RATE = 0.02  # the highest; 0.01 gave .003 less in AUC, more epochs nothing
AMONG_RIVALS = 0.03  # a third of it: MRR .232 instead of .254; twice: up to .006 less in AUC


@dataclass(frozen=True)
class Network:
    """Features in, a number out: a weighted sum of features, and one of hidden units of them.

    Args:
        constant: What is there without features.
        direct: (features,) weight of each feature; 0 for those that do not count.
        inward: (units, features) weights of a hidden unit; no rows where the score is linear.
        biases: (units,) its constant.
        outward: (units,) its own weight.
    """

    constant: float
    direct: Sequence[float]
    inward: Sequence[Sequence[float]] = field(default_factory=list)
    biases: Sequence[float] = field(default_factory=list)
    outward: Sequence[float] = field(default_factory=list)

    def __call__(self, features: Floats) -> Floats:
        """Give the number of each row of features; those that a network does not use may be NaN."""
        features = np.nan_to_num(features)
        found = features @ np.asarray(self.direct, dtype=np.float32) + np.float32(self.constant)
        if len(self.biases):
            inward, biases, outward = (np.asarray(array, dtype=np.float32) for array in (self.inward, self.biases, self.outward))
            for start in range(0, len(features), AT_A_TIME):
                part = slice(start, start + AT_A_TIME)
                found[part] += np.tanh(features[part] @ inward.T + biases) @ outward
        return np.asarray(found, dtype=np.float32)


@dataclass(frozen=True)
class Rivals:
    """Pairs with their rivals, list after list; the first row of each is the true pair.

    Args:
        features: (rows, features).
        starts: (lists + 1,) where each begins.
        loci: (lists,) of the true pairs.
    """

    features: Floats
    starts: Integers
    loci: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.loci)

    def part(self, chosen: Booleans) -> Rivals:
        """Give some of the lists."""
        sizes = np.diff(self.starts)
        rows = np.repeat(chosen, sizes)
        return Rivals(self.features[rows], np.concatenate([[0], np.cumsum(sizes[chosen])]), self.loci[chosen])

    def table(self) -> Integers:
        """Give (lists, longest) rows; -1 where a list is at its end."""
        place = self.starts[:-1, None] + np.arange(int(np.diff(self.starts).max(initial=0)))
        return np.where(place < self.starts[1:, None], place, -1)


def fit_network(
    features: Floats, label: Booleans, used: Booleans, columns: Sequence[int], *, hidden: int, rivals: Rivals | None = None, seed: int = 0
) -> Network:
    """Fit a network on some columns of the rows that are used; positives weigh as much as negatives.

    Args:
        features: (rows, features).
        label: (rows,) which are true.
        used: (rows,) which may be used; rows without one of the columns are not.
        columns: Those that count.
        hidden: Units; 0: a weighted sum, by logistic regression, for which rivals do not count.
        rivals: What else true pairs are to be told from.
        seed: Of the first weights and of the order.
    """
    from sklearn.linear_model import LogisticRegression

    columns = list(columns)
    used = used & np.isfinite(features[:, columns]).all(axis=1)
    chosen = features[used][:, columns].astype(np.float64)
    mean, spread = chosen.mean(axis=0), np.maximum(chosen.std(axis=0), 1e-6)
    standard, true = (chosen - mean) / spread, label[used]
    weight = np.where(true, (~true).sum() / max(1, true.sum()), 1.0)
    if not hidden:
        linear = LogisticRegression(C=PENALTY, max_iter=500).fit(standard, true, sample_weight=weight)
        direct = _spread_out(linear.coef_ / spread, columns, features.shape[1])[0]
        return Network(_rounded(linear.intercept_[0] - linear.coef_[0] @ (mean / spread)), _rounded(direct))
    lists = None
    if rivals is not None and len(rivals):
        lists = (rivals.features[:, columns].astype(np.float64) - mean) / spread, rivals.table()
    (inward, biases), (outward, constant) = _descend(standard, true, weight / weight.mean(), hidden, lists, seed)
    inward = inward / spread
    whole = _spread_out(inward, columns, features.shape[1])
    return Network(_rounded(constant), [0.0] * features.shape[1], _rounded(whole), _rounded(biases - inward @ mean), _rounded(outward))


def _descend(
    rows: Doubles, true: Booleans, weight: Doubles, hidden: int, lists: tuple[Doubles, Integers] | None, seed: int
) -> tuple[tuple[Doubles, Doubles], tuple[Doubles, float]]:
    """Give weights and constants of the hidden units and of the sum over them, after Adam with one cycle of rates.

    The gradients of so small a network are written out: a step takes a millisecond, and the program without torch can do it.
    """
    random = np.random.default_rng(seed)
    width = rows.shape[1]
    shapes = [(hidden, width), (hidden,), (hidden,), (1,)]
    bounds = [width**-0.5, width**-0.5, hidden**-0.5, hidden**-0.5]
    layers = [random.uniform(-bound, bound, shape).astype(np.float32) for shape, bound in zip(shapes, bounds, strict=True)]
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in layers]
    x, y, w = (array.astype(np.float32) for array in (rows, true, weight))
    others, table = (lists[0].astype(np.float32), lists[1]) if lists is not None else (x[:0], np.empty((0, 0), dtype=np.int64))
    steps = max(LEAST_STEPS, EPOCHS * len(x) // BATCH)
    for step, rate in enumerate(_cycle(steps), start=1):
        of = random.integers(0, len(x), BATCH)
        place = table[random.integers(0, len(table), LISTS)] if len(table) else table
        there = place >= 0
        given = np.concatenate([x[of], others[place[there]]])
        units = np.tanh(given @ layers[0].T + layers[1])
        found = units @ layers[2] + layers[3]
        pull = np.concatenate([w[of] * (_sigmoid(found[:BATCH]) - y[of]) / BATCH, _pull_of_lists(found[BATCH:], there)])
        back = np.outer(pull, layers[2]) * (1 - units * units)
        for layer, (first, second), slope in zip(
            layers, moments, (back.T @ given, back.sum(axis=0), units.T @ pull, pull.sum(keepdims=True)), strict=True
        ):
            first += (1 - FIRST) * (slope - first)
            second += (1 - SECOND) * (slope * slope - second)
            layer -= np.float32(rate / (1 - FIRST**step)) * first / (np.sqrt(second / (1 - SECOND**step)) + 1e-8)
    inward, biases, outward, constant = (layer.astype(np.float64) for layer in layers)
    return (inward, biases), (outward, float(constant[0]))


def _pull_of_lists(found: Floats, there: Booleans) -> Floats:
    """Give the slope of the softmax loss for each row of some lists; the first of each is the one to be found."""
    if not len(there):
        return found
    scores = np.full(there.shape, -np.inf, dtype=np.float32)
    scores[there] = found
    share = np.exp(scores - scores.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    share[:, 0] -= 1
    return np.asarray(AMONG_RIVALS / len(there) * share[there], dtype=np.float32)


def _cycle(steps: int) -> Doubles:
    """Give each step's rate: up to RATE in three tenths of them, then down, by half cosines (Smith and Topin, "Super-convergence", 2019).

    >>> (_cycle(10) / RATE).round(2).tolist()
    [0.04, 0.28, 0.76, 1.0, 0.95, 0.81, 0.61, 0.39, 0.19, 0.05]
    """
    rise = round(0.3 * steps)
    up = 0.04 + 0.96 * (1 - np.cos(np.pi * np.arange(rise) / rise)) / 2
    down = (1 + np.cos(np.pi * np.arange(steps - rise) / (steps - rise))) / 2
    return np.asarray(RATE * np.concatenate([up, down]))


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)), dtype=np.float32)


def _spread_out(weights: Doubles, columns: Sequence[int], width: int) -> Doubles:
    """Put columns of weights where they belong among all features."""
    whole = np.zeros((len(weights), width))
    whole[:, columns] = weights
    return whole


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), 6).tolist()
