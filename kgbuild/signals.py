"""Pairs of a text and a SNP in, what speaks for each out: one column for each feature of the score.

A feature is about the pair alone and needs nothing of what is judged, so a pair that training saw, one that was held out
and one of a new text have the same columns. Cosines are of the trained space, association cosines say how alike two texts'
loci are; a new text takes the mean of its nearest known texts for the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.effects import Effects
from kgbuild.evidence import LEVELS, Evidence, Lists

if TYPE_CHECKING:
    from embedder import Model

__all__ = ["FEATURES", "PARTS", "Encode", "Signals", "cosines"]

Floats = npt.NDArray[np.float32]
Encode = Callable[[list[str]], Floats]
Integers = npt.NDArray[np.int64]

SHARPNESS = 12.0  # of the soft count: a cosine of .9 counts a third of one of 1
NEAREST = 8  # known texts that a new one is a mean of
NEARNESS = 20.0  # sharpness of that mean
PRODUCT = 8_000_000  # cells of a product of texts and known texts at a time
_KERNELS = ("cosine", "association")

PARTS: dict[str, tuple[str, ...]] = {
    "similarity": ("similarity",),
    "neighbours": (
        *(f"{level}: {how} {kernel}" for level in LEVELS for how in ("best", "summed") for kernel in _KERNELS),
        "block: none",
        "region: none",
    ),
    "degree": ("text: SNPs", "snp: texts", "block: texts", "region: texts"),
    "effect": ("effect: expected size", "effect: expected size, whatever the trait"),
}
FEATURES: tuple[str, ...] = tuple(feature for features in PARTS.values() for feature in features)


class Signals:
    """A model with its evidence; `encode` gives the base encoder's vectors of texts.

    SNPs are rows of the model; after its last come those of the evidence that it does not place (`nearby`).
    """

    def __init__(self, model: Model, encode: Encode, evidence: Evidence, effects: Effects | None = None) -> None:
        self.model, self.encode, self.evidence, self.effects = model, encode, evidence, effects

    @cached_property
    def nearby(self) -> dict[str, int]:
        """Rows of the SNPs without a vector."""
        n = len(self.model.snp_ids)
        return {snp: n + number for number, snp in enumerate(self.evidence.beyond(self.model.snp_rows))}

    def __call__(self, texts: list[str], text: Integers, snp: Integers) -> Floats:
        """Give (pairs, features): `text` are rows of `texts`, `snp` of SNPs. The similarity is NaN where there is no vector."""
        return self._features(self._text_side(texts), text, snp)

    def of_known(self, text: Integers, snp: Integers) -> Floats:
        """Give the features of pairs of the evidence's texts, by number, and SNPs."""
        return self._features(self._known_side, text, snp)

    def similarities(self, snp: int) -> Floats:
        """Give the cosine of one SNP of the model with each of the evidence's texts."""
        return np.asarray(self._known_side.vectors @ self.model.snp_vectors[snp].astype(np.float32))

    def texts_near(self, snp: int) -> Integers:
        """Give the numbers of the evidence's texts that are linked to a SNP's LD block and its region."""
        row = self._evidence_rows[snp]
        lists = [self.evidence.by[level] for level in ("block", "region")]
        return np.unique(np.concatenate([of.of_units(of.units[[row]] if row >= 0 else np.array([-1]))[1] for of in lists]))

    def _features(self, side: _TextSide, text: Integers, snp: Integers) -> Floats:
        rows = self._evidence_rows[snp]
        found = np.zeros((len(text), len(FEATURES)), dtype=np.float32)
        placed = snp < len(self.model.snp_ids)
        found[placed, 0] = cosines(side.vectors, text[placed], self.model.snp_vectors, snp[placed])
        found[~placed, 0] = np.nan
        levels = [self.evidence.by[level] for level in LEVELS]
        owners = [np.where(rows >= 0, lists.units[rows], -1) for lists in levels]
        kernels = ((side.vectors, self._known_side.vectors), (side.association, self.evidence.association_vectors))
        found[:, 1:13] = _kin(kernels, text, list(zip(owners, levels, strict=True)))
        found[:, 13], found[:, 14] = owners[1] < 0, owners[2] < 0
        counts = [np.where(rows >= 0, count[rows], 0) for count in self._counts]
        found[:, 15:19] = np.stack([side.log_degree[text], *(np.log1p(count) for count in counts)], axis=1)
        if self.effects is not None:
            known = self.of_effects(side.vectors, text, snp)
            found[:, 19], found[:, 20] = self.effects.expected(known), self.effects.expected_of_snp(known)
        return found

    def of_effects(self, vectors: Floats, text: Integers, snp: Integers) -> Floats:
        """Give what the expected size of an effect is computed from: `vectors` are of texts, in the model's space."""
        assert self.effects is not None
        return self.effects.features(vectors, self._known_side.vectors, text, self._evidence_rows[snp])

    @cached_property
    def _counts(self) -> list[Integers]:
        return [self.evidence.by[level].counts for level in LEVELS]

    @cached_property
    def _known_side(self) -> _TextSide:
        e = self.evidence
        log_degree = np.log1p(e.text_degrees).astype(np.float32)
        return _TextSide(self.model.text_vectors(self.base, e.texts), e.association_vectors, log_degree)

    @cached_property
    def base(self) -> Floats:
        """Unit vectors of the evidence's texts in the base encoder's space."""
        from embedder import unit_rows

        return unit_rows(self.encode(list(self.evidence.texts)))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: number for number, text in enumerate(self.evidence.texts)}

    @cached_property
    def _evidence_rows(self) -> Integers:
        known = self.evidence.snp_rows
        return np.array([known.get(snp, -1) for snp in (*self.model.snp_ids, *self.nearby)], dtype=np.int64)

    def _text_side(self, texts: list[str]) -> _TextSide:
        """Give what each text brings; a new text has the association vector and the degree of its nearest."""
        from embedder import unit_rows

        base, known_side = unit_rows(self.encode(texts)), self._known_side
        rows = np.fromiter((self._numbers.get(text, -1) for text in texts), dtype=np.int64, count=len(texts))
        association = np.zeros((len(texts), known_side.association.shape[1]), dtype=np.float32)
        log_degree = np.zeros(len(texts), dtype=np.float32)
        known, new = np.flatnonzero(rows >= 0), np.flatnonzero(rows < 0)
        association[known], log_degree[known] = known_side.association[rows[known]], known_side.log_degree[rows[known]]
        for start in range(0, len(new) if len(self.base) else 0, 512):
            part = new[start : start + 512]
            near, weight = _nearest(base[part] @ self.base.T)
            association[part] = unit_rows(np.einsum("ij,ijk->ik", weight, known_side.association[near]))
            log_degree[part] = (weight * known_side.log_degree[near]).sum(axis=1)
        return _TextSide(self.model.text_vectors(base, texts), association, log_degree)


@dataclass(frozen=True)
class _TextSide:
    """Rows of texts: unit vectors of the model's space, association vectors, logarithms of degrees."""

    vectors: Floats
    association: Floats
    log_degree: Floats


def _nearest(similarity: Floats) -> tuple[Integers, Floats]:
    """Give the columns of the NEAREST largest of each row, and weights that sum to one.

    >>> near, weight = _nearest(np.array([[0.1, 0.9, 0.9]], dtype=np.float32))
    >>> (weight[0][np.argsort(near[0])]).round(3).tolist()
    [0.0, 0.5, 0.5]
    """
    n = min(NEAREST, similarity.shape[1])
    near = np.argpartition(-similarity, n - 1, axis=1)[:, :n]
    found = np.take_along_axis(similarity, near, axis=1)
    weight = np.exp(NEARNESS * (found - found.max(axis=1, keepdims=True)))
    return near, np.asarray(weight / weight.sum(axis=1, keepdims=True), dtype=np.float32)


def cosines(left: Floats, left_rows: Integers, right: npt.NDArray[Any], right_rows: Integers) -> Floats:
    """Multiply unit rows pair by pair, some at a time."""
    if len(right_rows) and _only(right_rows) is not None:
        return np.asarray((left @ right[right_rows[0]].astype(np.float32))[left_rows], dtype=np.float32)
    out = np.empty(len(left_rows), dtype=np.float32)
    for start in range(0, len(left_rows), 16384):
        part = slice(start, start + 16384)
        out[part] = np.einsum("ij,ij->i", left[left_rows[part]], right[right_rows[part]].astype(np.float32))
    return out


def _kin(kernels: tuple[tuple[Floats, Floats], ...], text: Integers, levels: list[tuple[Integers, Lists]]) -> Floats:
    """Give, for each level, the best and the summed cosine of each kernel between a pair's text and its unit's texts; 0 for none.

    Summed is ``log(1 + sum exp(SHARPNESS (cosine - 1)))``, a soft count of texts that are as good as the same. Pairs are
    taken by text, some hundred texts at a time, so that one product of matrices serves all pairs and levels of a text.
    """
    width = 2 * len(kernels)
    found = np.zeros((len(text), width * len(levels)), dtype=np.float32)
    counts = np.stack([np.where(owner >= 0, lists.starts[owner + 1] - lists.starts[owner], 0) for owner, lists in levels])
    pairs = np.flatnonzero(counts.any(axis=0))
    pairs = pairs[np.argsort(text[pairs], kind="stable")]
    for part in _portions(text[pairs], counts[:, pairs].sum(axis=0), most_texts=max(256, PRODUCT // max(1, _most_used(levels)))):
        rows = pairs[part]
        texts, line = np.unique(text[rows], return_inverse=True)
        same = [_only(owner[rows]) for owner, _ in levels]  # one SNP with many texts: its texts need not be listed for each
        linked = [
            lists.of_units(owner[rows] if one is None else np.array([one]))[1] for (owner, lists), one in zip(levels, same, strict=True)
        ]
        used = np.zeros(len(kernels[0][1]), dtype=bool)
        used[np.concatenate(linked)] = True
        n_used, column = int(used.sum()), np.cumsum(used) - 1
        for number, (asked, known) in enumerate(kernels):
            product = asked[texts] @ known[used].T
            for level, members in enumerate(linked):
                place = width * level + number
                if same[level] is not None:
                    if len(members):
                        of_unit = product[:, column[members]]
                        found[rows, place] = of_unit.max(axis=1)[line]
                        found[rows, place + len(kernels)] = np.log1p(np.exp(SHARPNESS * (of_unit - 1)).sum(axis=1))[line]
                    continue
                count = counts[level, rows]
                here = np.flatnonzero(count)
                if len(here):
                    flat = product.ravel()[np.repeat(line[here] * n_used, count[here]) + column[members]]
                    first = np.concatenate([[0], np.cumsum(count[here])[:-1]])
                    found[rows[here], place] = np.maximum.reduceat(flat, first)
                    found[rows[here], place + len(kernels)] = np.log1p(np.add.reduceat(np.exp(SHARPNESS * (flat - 1)), first))
    return found


def _only(numbers: Integers) -> int | None:
    """Give the number where all are one; None where they are not."""
    return int(numbers[0]) if (numbers == numbers[0]).all() else None


def _most_used(levels: list[tuple[Integers, Lists]]) -> int:
    """Give a bound on how many texts the pairs' units have: few, where one SNP is asked about with every text."""
    distinct = [(np.unique(owner[owner >= 0]), lists.starts) for owner, lists in levels]
    return int(sum((starts[owner + 1] - starts[owner]).sum() for owner, starts in distinct))


def _portions(texts: Integers, counts: Integers, *, most_texts: int = 256, most_links: int = 2_000_000) -> Iterator[slice]:
    """Cut pairs, sorted by text, into portions of few texts and few links.

    >>> list(_portions(np.array([1, 1, 2, 3]), np.array([5, 5, 5, 5]), most_texts=2))
    [slice(0, 3, None), slice(3, 4, None)]
    """
    if not len(texts):
        return
    number = np.cumsum(np.concatenate([[0], texts[1:] != texts[:-1]])) // most_texts
    weight = np.cumsum(counts) // most_links
    cuts = 1 + np.flatnonzero((number[1:] != number[:-1]) | (weight[1:] != weight[:-1]))
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True):
        yield slice(start, stop)
