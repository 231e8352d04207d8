"""Judged subjects that nothing was fitted on come in; how often the first candidate is right, and whether its probability says so, goes out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgbuild.calibration import Calibration, GoldPairs
from kgbuild.features import FEATURES

__all__ = ["Firsts", "evaluate_links", "expected_calibration_error", "firsts"]

BINS = 10
RESAMPLES = 500


@dataclass(frozen=True)
class Firsts:
    """What came out of each judged subject: one entry each."""

    right: np.ndarray  # bool: the first candidate is a right one
    right_in_ten: np.ndarray  # bool
    reciprocal_rank: np.ndarray  # of the first right candidate; 0 where there is none
    probability: np.ndarray  # p_target of the first candidate; the similarity where there is no calibration
    vocabulary: np.ndarray
    component: np.ndarray


def firsts(gold: GoldPairs, calibration: Calibration | None) -> Firsts:
    """Order each subject's candidates as `harmonise` does and look at the first."""
    import pandas as pd

    subject = gold.pairs["subject"].to_numpy()
    vocabularies = gold.vocabularies
    similarity = gold.pairs["similarity"].to_numpy(float)
    p = similarity if calibration is None else calibration.p_target(gold.features[list(FEATURES)], vocabularies[subject])
    frame = pd.DataFrame({"subject": subject, "p": p, "equal": gold.pairs["equal"], "similarity": similarity, "right": gold.pairs["right"]})
    frame["target"] = gold.pairs["target"]
    frame = frame.sort_values(["subject", "p", "equal", "similarity", "target"], ascending=[True, False, False, False, True])
    frame["rank"] = frame.groupby("subject").cumcount() + 1
    first = frame.drop_duplicates("subject").set_index("subject")
    best = frame[frame["right"]].groupby("subject")["rank"].min().reindex(first.index)
    rows = first.index.to_numpy()
    found = best.fillna(np.inf).to_numpy()
    return Firsts(
        first["right"].to_numpy(bool), found <= 10, 1 / found, first["p"].to_numpy(float), vocabularies[rows], gold.components[rows]
    )


def expected_calibration_error(probability: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Average how far probability and share of right ones lie apart, over bins of equal width, weighted by their size.

    >>> expected_calibration_error(np.array([0.95, 0.95]), np.array([True, False]))
    0.45
    """
    if not len(probability):
        return float("nan")
    place = np.minimum((probability * bins).astype(int), bins - 1)
    size = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, probability, bins) - np.bincount(place, right.astype(float), bins))
    return round(float(gap[size > 0].sum() / len(probability)), 6)


def evaluate_links(gold: GoldPairs, calibration: Calibration | None, *, precision: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Measure ranking and calibration on held-out judged subjects, for all of them and by vocabulary.

    Args:
        gold: Subjects that neither encoder nor calibration was fitted on, each with its candidates by text alone.
        calibration: None measures the plain cosine's ranking.
        precision: The wanted precision, for coverage.

    Returns:
        `subjects`, `hits_at_1`, `hits_at_10`, `mrr`, and with a calibration `ece` with its 95 % bootstrap interval over
        components, `brier`, `accepted` (share) and `accepted_right` (share of those that are right); `by_vocabulary` likewise, and
        `macro_hits_at_1` over vocabularies of 20 subjects or more.
    """
    f = firsts(gold, calibration)
    figures = _figures(f, np.ones(len(f.right), bool), calibration, precision)
    if calibration is not None and len(f.right):
        figures["ece_low"], figures["ece_high"] = _ece_interval(f, seed)
    by_vocabulary = {str(v): _figures(f, f.vocabulary == v, calibration, precision) for v in sorted(set(f.vocabulary))}
    large = [part["hits_at_1"] for part in by_vocabulary.values() if part["subjects"] >= 20]
    if large:
        figures["macro_hits_at_1"] = round(float(np.mean(large)), 4)
    return {**figures, "by_vocabulary": by_vocabulary}


def _figures(f: Firsts, rows: np.ndarray, calibration: Calibration | None, precision: float) -> dict[str, Any]:
    n = int(rows.sum())
    if not n:
        return {"subjects": 0}
    right, p = f.right[rows], f.probability[rows]
    figures: dict[str, Any] = {
        "subjects": n,
        "hits_at_1": _mean(right),
        "hits_at_10": _mean(f.right_in_ten[rows]),
        "mrr": _mean(f.reciprocal_rank[rows]),
    }
    if calibration is not None:
        accepted = p >= np.array([calibration.threshold(str(v), precision) for v in f.vocabulary[rows]])
        figures |= {"ece": expected_calibration_error(p, right), "brier": _mean((p - right) ** 2), "accepted": _mean(accepted)}
        figures["accepted_right"] = _mean(right[accepted]) if accepted.any() else None
    return figures


def _mean(values: np.ndarray) -> float:
    return round(float(np.mean(values)), 4)


def _ece_interval(f: Firsts, seed: int) -> tuple[float, float]:
    """Resample components, for subjects of one component share texts and targets."""
    random = np.random.default_rng(seed)
    _, component = np.unique(f.component, return_inverse=True)
    order = np.argsort(component, kind="stable")
    starts = np.searchsorted(component[order], np.arange(component.max() + 2))
    members = [order[a:b] for a, b in itertools.pairwise(starts)]
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[c] for c in random.integers(0, len(members), len(members))])
        drawn.append(expected_calibration_error(f.probability[rows], f.right[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return round(float(low), 4), round(float(high), 4)
