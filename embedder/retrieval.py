"""Triples and ways to score their tails in; filtered Recall@k and MRR out, by relation and beside each other.

A head's other known tails and the head itself are no rivals. Equal scores share the mean of their ranks, so that a way of
scoring that says nothing of anything gets what chance gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder.encoder import unit_rows
from embedder.triples import TripleData

__all__ = ["AT", "Scorer", "cosine_scorer", "evaluate_scorers", "filtered_ranks", "popularity_scorer"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Scorer = Callable[
    [Integers, int, int], Floats | None
]  # heads of one type, relation, tail type -> (heads, nodes of that type); None: cannot

AT = (1, 10, 100)
_CELLS = 1 << 24  # scores that are looked at at a time


def evaluate_scorers(data: TripleData, triples: Integers, scorers: Mapping[str, Scorer]) -> dict[str, Any]:
    """Give the figures of each scorer: over all triples, by relation, and the mean over relations.

    Args:
        data: All that is known: its triples are the filter.
        triples: Those to find the tails of.
        scorers: By name. One that cannot score some of the triples of a line has no figures in that line.
    """
    ranks = filtered_ranks(data, triples, scorers)
    by_relation = {}
    for number in np.unique(triples[:, 1]).tolist():
        those = triples[:, 1] == number
        by_relation[data.relations[number]] = _line({name: found[those] for name, found in ranks.items()}, int(those.sum()))
    mean = {name: _mean([line[name] for line in by_relation.values()]) for name in scorers}
    return {"triples": len(triples), "all": _line(ranks, len(triples)), "mean_over_relations": mean, "by_relation": by_relation}


def filtered_ranks(data: TripleData, triples: Integers, scorers: Mapping[str, Scorer]) -> dict[str, npt.NDArray[np.float64]]:
    """Give the rank of each triple's tail among the nodes of its type, from 1; NaN where a scorer cannot."""
    ranks = {name: np.full(len(triples), np.nan) for name in scorers}
    known = _Known(data)
    kinds = np.column_stack([triples[:, 1], data.node_types[triples[:, [0, 2]]]]) if len(triples) else np.empty((0, 3), np.int64)
    for relation, head_type, tail_type in np.unique(kinds, axis=0).tolist():
        those = np.flatnonzero((kinds == (relation, head_type, tail_type)).all(axis=1))
        size = max(1, _CELLS // max(1, len(data.members[tail_type])))
        for start in range(0, len(those), size):
            part = those[start : start + size]
            heads, tails = triples[part, 0], triples[part, 2]
            place, node = known.tails(heads, relation, tail_type)
            for name, scorer in scorers.items():
                scores = scorer(heads, relation, tail_type)
                if scores is not None:
                    ranks[name][part] = _ranks(scores, data.rows[tails], place, data.rows[node])
    return ranks


def cosine_scorer(data: TripleData) -> Scorer:
    """Score by the cosine of the vectors as they come, where head and tail have one space."""
    units = {name: unit_rows(data.vectors[name]) for name in data.types}

    def score(heads: Integers, _: int, tail_type: int) -> Floats | None:
        head_name, tail_name = data.types[int(data.node_types[heads[0]])], data.types[tail_type]
        if data.space(head_name) != data.space(tail_name):
            return None
        return np.asarray(units[head_name][data.rows[heads]] @ units[tail_name].T)

    return score


def popularity_scorer(trained: TripleData) -> Scorer:
    """Score a tail by how often training has it under the relation; among equals, by how often under any."""
    n = len(trained.nodes)
    total = np.bincount(trained.triples[:, 2], minlength=n)
    under = {
        relation: np.bincount(trained.triples[trained.triples[:, 1] == relation, 2], minlength=n)
        for relation in np.unique(trained.triples[:, 1]).tolist()
    }

    def score(heads: Integers, relation: int, tail_type: int) -> Floats:
        nodes = trained.members[tail_type]
        counts = under.get(relation, np.zeros(n))[nodes] + total[nodes] / (1.0 + total.max(initial=0))
        return np.broadcast_to(counts, (len(heads), len(nodes)))

    return score


class _Known:
    """All triples, to find the known tails of a head and relation."""

    def __init__(self, data: TripleData) -> None:
        self._data = data
        order = np.lexsort(data.triples.T[::-1])
        self._tails = data.triples[order, 2]
        self._keys = data.triples[order, 0] * len(data.relations) + data.triples[order, 1]

    def tails(self, heads: Integers, relation: int, tail_type: int) -> tuple[Integers, Integers]:
        """Give (place in heads, node) of what is no rival: known tails of the type, and the head itself."""
        keys = heads * len(self._data.relations) + relation
        first, last = np.searchsorted(self._keys, keys), np.searchsorted(self._keys, keys, side="right")
        place = np.repeat(np.arange(len(heads)), last - first)
        node = self._tails[np.arange(len(place)) - np.repeat(np.cumsum(last - first) - last, last - first)]
        place, node = np.concatenate([place, np.arange(len(heads))]), np.concatenate([node, heads])
        both = np.unique(np.column_stack([place, node]), axis=0)  # a triple may be in the data twice, or lead to its own head
        both = both[self._data.node_types[both[:, 1]] == tail_type]
        return both[:, 0], both[:, 1]


def _ranks(scores: Floats, target: Integers, place: Integers, known: Integers) -> npt.NDArray[np.float64]:
    """Give 1 + those that score higher + half of those that score the same, among columns that are not known.

    >>> _ranks(np.array([[0.9, 0.5, 0.5, 0.1]]), np.array([1]), np.array([0, 0]), np.array([0, 1])).tolist()
    [1.5]
    """
    own = scores[np.arange(len(target)), target][:, None]
    rank = 1 + (scores > own).sum(axis=1) + 0.5 * ((scores == own).sum(axis=1) - 1)
    rivals = known != target[place]
    place, found = place[rivals], scores[place[rivals], known[rivals]]
    out = (found > own[place, 0]) + 0.5 * (found == own[place, 0])
    return np.asarray(rank - np.bincount(place, weights=out, minlength=len(target)))


def _line(ranks: Mapping[str, npt.NDArray[np.float64]], n: int) -> dict[str, Any]:
    return {"triples": n, **{name: _figures(found) for name, found in ranks.items()}}


def _figures(ranks: npt.NDArray[np.float64]) -> dict[str, float] | None:
    """Give MRR and the share of ranks up to k.

    >>> _figures(np.array([1.0, 2.0, 10.0, 200.0]))
    {'mrr': 0.4012, 'recall_at_1': 0.25, 'recall_at_10': 0.75, 'recall_at_100': 0.75}
    """
    if not len(ranks) or np.isnan(ranks).any():
        return None
    return {"mrr": round(float((1 / ranks).mean()), 4)} | {f"recall_at_{k}": round(float((ranks <= k).mean()), 4) for k in AT}


def _mean(figures: list[dict[str, float] | None]) -> dict[str, float] | None:
    known = [found for found in figures if found is not None]
    if not known or len(known) < len(figures):
        return None
    return {name: round(float(np.mean([found[name] for found in known])), 4) for name in known[0]}
