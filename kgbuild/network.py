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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

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
    first, second = _descend(standard, true, weight / weight.mean(), hidden, lists, seed)
    inward = first.weight.detach().numpy().astype(np.float64) / spread
    biases = first.bias.detach().numpy() - inward @ mean
    outward, constant = second.weight.detach().numpy()[0], float(second.bias.detach())
    whole = _spread_out(inward, columns, features.shape[1])
    return Network(_rounded(constant), [0.0] * features.shape[1], _rounded(whole), _rounded(biases), _rounded(outward))


def _descend(
    rows: Doubles, true: Booleans, weight: Doubles, hidden: int, lists: tuple[Doubles, Integers] | None, seed: int
) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    """Give the two layers after Adam with one cycle of rates."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # steps are of a millisecond: handing them to others takes longer
    try:
        return _steps(rows, true, weight, hidden, lists, seed)
    finally:
        torch.set_num_threads(threads)


def _steps(
    rows: Doubles, true: Booleans, weight: Doubles, hidden: int, lists: tuple[Doubles, Integers] | None, seed: int
) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    import torch
    from torch.nn import functional

    random = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = torch.nn.Linear(rows.shape[1], hidden), torch.nn.Linear(hidden, 1)
    x, y, w = (torch.tensor(array, dtype=torch.float32) for array in (rows, true, weight))
    steps = max(LEAST_STEPS, EPOCHS * len(rows) // BATCH)
    adam = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=RATE)
    rates = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, total_steps=steps + 1)
    if lists is not None:
        others, table = torch.tensor(lists[0], dtype=torch.float32), torch.tensor(lists[1])
    for _ in range(steps):
        of = torch.from_numpy(random.integers(0, len(rows), BATCH))
        loss = functional.binary_cross_entropy_with_logits(second(torch.tanh(first(x[of])))[:, 0], y[of], weight=w[of])
        if lists is not None:
            place = table[torch.from_numpy(random.integers(0, len(table), LISTS))]
            scores = second(torch.tanh(first(others[place.clamp(min=0)])))[:, :, 0].masked_fill(place < 0, -torch.inf)
            loss = loss + AMONG_RIVALS * functional.cross_entropy(scores, torch.zeros(LISTS, dtype=torch.long))
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
        rates.step()
    return first, second


def _spread_out(weights: Doubles, columns: Sequence[int], width: int) -> Doubles:
    """Put columns of weights where they belong among all features."""
    whole = np.zeros((len(weights), width))
    whole[:, columns] = weights
    return whole


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=np.float64), 6).tolist()
