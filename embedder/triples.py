"""Nodes with frozen vectors in, and typed edges between them: what a bridge is trained on, with its heads split off.

A node has a type, a type has a space (the encoder that its vectors come from), and the widths of spaces may differ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder.errors import TrainingError

__all__ = ["INVERSE", "TEXT", "TripleData", "distinct_triples"]

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

TEXT = "text"  # the space of a type that names none
INVERSE = "inverse of "  # how the other direction of a relation is named


@dataclass(frozen=True)
class TripleData:
    """Nodes, their vectors, and triples (head, relation, tail).

    Args:
        nodes: Distinct ids.
        types: Names of node types.
        node_types: (n,) of each node, an index into `types`.
        vectors: By type: one row per node of that type, in the order of `nodes`.
        relations: Names.
        triples: (m, 3) head, relation and tail as indices.
        spaces: By type: which encoder its vectors come from; types of one space share a projection. Left out: `text`.
        descriptions: (relations, width) vectors of what each relation means, so that one can be asked for that was not trained.
        groups: (n,) nodes of one number are kept from training together, being one thing under two ids, say.
    """

    nodes: Sequence[str]
    types: tuple[str, ...]
    node_types: Integers
    vectors: Mapping[str, Vectors]
    relations: tuple[str, ...]
    triples: Integers
    spaces: Mapping[str, str] = field(default_factory=dict)
    descriptions: Vectors | None = None
    groups: Integers | None = None

    @cached_property
    def rows(self) -> Integers:
        """Row of each node in the vectors of its type."""
        rows = np.empty(len(self.nodes), dtype=np.int64)
        for members in self.members:
            rows[members] = np.arange(len(members))
        return rows

    @cached_property
    def members(self) -> list[Integers]:
        """Nodes of each type."""
        return [np.flatnonzero(self.node_types == number) for number in range(len(self.types))]

    @property
    def untrained(self) -> tuple[str, ...]:
        """Relations without a triple, and types without a node in one."""
        relations = np.bincount(self.triples[:, 1], minlength=len(self.relations))
        types = np.bincount(self.node_types[self.triples[:, [0, 2]].ravel()], minlength=len(self.types))
        return (*_without(self.relations, relations), *_without(self.types, types))

    def space(self, type_: str) -> str:
        """Give the space of a type."""
        return self.spaces.get(type_, TEXT)

    def check(self, *, untrained: Collection[str] = ()) -> None:
        """Raise TrainingError when pieces do not fit; every misfit is named.

        Args:
            untrained: Relations that may be without a triple, and types that may be without a node in one.
        """
        if wrong := _misfits(self) or [f"{name}: there is not one triple of it" for name in self.untrained if name not in untrained]:
            raise TrainingError("the triples do not fit: " + "; ".join(wrong), advice="Check how they were built.")

    def with_inverses(self, symmetric: Collection[str] = ()) -> TripleData:
        """Add each triple the other way round: under the same relation where that is symmetric, else under its inverse.

        Descriptions are dropped: there are other relations now.
        """
        inverses = tuple(INVERSE + name for name in self.relations if name not in symmetric)
        names = (*self.relations, *inverses)
        turned = np.array([names.index(name if name in symmetric else INVERSE + name) for name in self.relations], dtype=np.int64)
        head, relation, tail = self.triples.T
        both = np.concatenate([self.triples, np.column_stack([tail, turned[relation], head])])
        return replace(self, relations=names, triples=distinct_triples(both), descriptions=None)

    def named(self, triples: Integers) -> list[tuple[str, str, str]]:
        """Give triples by name."""
        return [(self.nodes[head], self.relations[relation], self.nodes[tail]) for head, relation, tail in triples.tolist()]

    def naming(self, name: str, triples: Integers) -> npt.NDArray[np.bool_]:
        """Tell which triples have this relation, in either direction, or a node of this type.

        Raises:
            TrainingError: There is neither a relation nor a type of this name.
        """
        relations = [number for number, other in enumerate(self.relations) if other in (name, INVERSE + name)]
        types = [number for number, other in enumerate(self.types) if other == name]
        if not relations and not types:
            known = ", ".join((*(r for r in self.relations if not r.startswith(INVERSE)), *self.types))
            raise TrainingError(f"{name!r} is neither a relation nor a node type", advice=f"There are: {known}.")
        ends = np.isin(self.node_types[triples[:, [0, 2]]], types).any(axis=1)
        return np.asarray(np.isin(triples[:, 1], relations) | ends)

    def without(self, name: str) -> TripleData:
        """Leave out a relation in both its directions, or all triples of a node type."""
        return replace(self, triples=self.triples[~self.naming(name, self.triples)])

    def hold_out(self, share: float, seed: int) -> tuple[TripleData, Integers]:
        """Keep a share of nodes from training: give what remains, and the triples whose head is kept.

        No triple that remains has such a node at either end, so that a head to be asked for is new to the model.

        Raises:
            TrainingError: Nothing remains, or nothing is kept.
        """
        groups = np.arange(len(self.nodes)) if self.groups is None else self.groups
        drawn = np.unique(groups[self.triples[:, 0]])
        n = max(1, round(share * len(drawn))) if len(drawn) else 0
        held = np.isin(groups, np.random.default_rng(seed).choice(drawn, n, replace=False))
        head, tail = held[self.triples[:, 0]], held[self.triples[:, 2]]
        if not head.any() or (head | tail).all():
            raise TrainingError(
                f"{len(self.triples)} triples cannot be split: a share {share:g} of {len(drawn)} heads leaves nothing on one side",
                advice="Give more triples, or another share.",
            )
        return replace(self, triples=self.triples[~head & ~tail]), self.triples[head]


def distinct_triples(triples: Integers) -> Integers:
    """Give each triple once, sorted.

    >>> distinct_triples(np.array([[1, 0, 2], [0, 0, 1], [1, 0, 2]])).tolist()
    [[0, 0, 1], [1, 0, 2]]
    """
    return np.unique(np.asarray(triples, dtype=np.int64).reshape(-1, 3), axis=0)


def _without(names: Sequence[str], counts: npt.NDArray[Any]) -> list[str]:
    return [name for name, count in zip(names, counts, strict=True) if not count]


def _misfits(data: TripleData) -> list[str]:
    n, wrong = len(data.nodes), []
    if data.triples.ndim != 2 or data.triples.shape[1] != 3 or not len(data.triples):
        return [f"triples have the shape {data.triples.shape}, expected (m, 3) with at least one"]
    for what, column, size in (("head", 0, n), ("relation", 1, len(data.relations)), ("tail", 2, n)):
        wrong += _outside(what, data.triples[:, column], size)
    if len(data.node_types) != n:
        return [*wrong, f"{n} nodes have {len(data.node_types)} types"]
    wrong += _outside("node type", data.node_types, len(data.types))
    if data.groups is not None and len(data.groups) != n:
        wrong.append(f"{n} nodes have {len(data.groups)} groups")
    for names in (data.types, data.relations):
        wrong += [f"{name}: two of this name" for name in sorted({name for name in names if names.count(name) > 1})]
    for number, name in enumerate(data.types):
        wrong += _wrong_vectors(
            name, data.vectors.get(name), [data.nodes[node] for node in np.flatnonzero(data.node_types == number).tolist()]
        )
    return wrong or _wrong_widths(data)


def _outside(what: str, values: Integers, size: int) -> list[str]:
    inside = not len(values) or (values.min() >= 0 and values.max() < size)
    return [] if inside else [f"a {what} number is outside 0..{size - 1}"]


def _wrong_vectors(name: str, vectors: Vectors | None, nodes: Sequence[str]) -> list[str]:
    if vectors is None or vectors.ndim != 2 or len(vectors) != len(nodes):
        shape = None if vectors is None else vectors.shape
        return [f"{name}: vectors have the shape {shape}, expected ({len(nodes)}, width)"]
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    return (
        [f"{name}: {len(bad)} vectors hold something that is no number, or nothing; the first is that of {nodes[bad[0]]}"]
        if len(bad)
        else []
    )


def _wrong_widths(data: TripleData) -> list[str]:
    widths: dict[str, dict[int, str]] = {}
    for name in data.types:
        widths.setdefault(data.space(name), {}).setdefault(data.vectors[name].shape[1], name)
    wrong = [
        f"space {space}: {' and '.join(f'{name} is {width} wide' for width, name in found.items())}"
        for space, found in widths.items()
        if len(found) > 1
    ]
    if data.descriptions is not None and (
        data.descriptions.shape[:1] != (len(data.relations),) or not np.isfinite(data.descriptions).all()
    ):
        wrong.append(f"descriptions have the shape {data.descriptions.shape}, expected ({len(data.relations)}, width), all numbers")
    return wrong
