"""Held-out SNP-trait pairs in, other SNPs and other traits for each out: negatives that training saw and that nothing says are true."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.evidence import Evidence
from kgbuild.kin import trait_kin
from kgbuild.splits import loci_of, trait_groups
from kgbuild.units import term_twins

if TYPE_CHECKING:
    import pandas as pd

    from embedder import Model

__all__ = ["N_NEGATIVES", "Draws", "World", "interval"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

N_NEGATIVES = 20


@dataclass(frozen=True)
class Draws:
    """Held-out pairs and negatives for them, as rows of `texts` and of the model's SNPs."""

    texts: list[str]
    n_with_vector: int
    loci: npt.NDArray[Any]  # of each positive
    traits: npt.NDArray[Any]  # trait group of each positive
    positive: tuple[Integers, Integers]  # (n,) text, SNP
    other_snp: tuple[Integers, Integers]  # (n * N_NEGATIVES,)
    other_text: tuple[Integers, Integers]
    valid_snp: npt.NDArray[np.bool_]  # (n, N_NEGATIVES)
    valid_text: npt.NDArray[np.bool_]
    snp_degree: Integers  # by row of the model
    text_degree: Integers  # by row of texts
    world: World

    @classmethod
    def of(
        cls, world: World, split: pd.DataFrame, part: str, *, most_pairs: int = 10_000, seed: int, matched: bool = False, draw: int = 0
    ) -> Draws | None:
        """Draw them; None when no held-out pair has a vector, or training saw no trait. Another `draw` has the same pairs and other negatives."""
        held = split[split["part"] == part]
        held = held[[variant in world.snp_rows for variant in held["variant_id"].tolist()]]
        held = held.drop_duplicates(["object_name", "variant_id"])
        n_with_vector = len(held)
        if not n_with_vector or not world.n_seen_texts:
            return None
        if len(held) > most_pairs:
            held = held.sample(most_pairs, random_state=seed)
        random = np.random.default_rng(seed + draw)
        texts = list(world.texts)
        numbers = {text: number for number, text in enumerate(texts)}
        text = np.array([numbers.setdefault(name, len(numbers)) for name in held["object_name"]], dtype=np.int64)
        snp = np.array([world.snp_rows[variant] for variant in held["variant_id"]], dtype=np.int64)
        world = world.with_texts(list(numbers), dict(zip(held["object_name"], held["trait_group"], strict=True)))
        other_snp, valid_snp = world.draw_snps(text, snp, random, matched=matched)
        other_text, valid_text = world.draw_texts(text, snp, random, matched=matched)
        return cls(
            texts=list(numbers),
            n_with_vector=n_with_vector,
            loci=held["locus"].to_numpy(dtype=object),
            traits=held["trait_group"].to_numpy(dtype=object),
            positive=(text, snp),
            other_snp=(np.repeat(text, N_NEGATIVES), other_snp.ravel()),
            other_text=(other_text.ravel(), np.repeat(snp, N_NEGATIVES)),
            valid_snp=valid_snp,
            valid_text=valid_text,
            snp_degree=world.snp_degree,
            text_degree=world.text_degree,
            world=world,
        )

    @property
    def n(self) -> int:
        return len(self.positive[0])

    def each_auc(self, positive: Floats, other: Floats, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Give each positive the share of its negatives that lie below it, ties half."""
        others = other.reshape(valid.shape)
        wins = (positive[:, None] > others) + 0.5 * (positive[:, None] == others)
        with np.errstate(invalid="ignore"):
            return np.asarray((wins * valid).sum(axis=1) / valid.sum(axis=1))

    def mean_aucs(self, positive: Floats, other_snp: Floats, other_text: Floats) -> npt.NDArray[np.float64]:
        """Give each positive the mean of its two shares."""
        return (self.each_auc(positive, other_snp, self.valid_snp) + self.each_auc(positive, other_text, self.valid_text)) / 2

    def figures(self, prefix: str, end: str, positive: Floats, other_snp: Floats, other_text: Floats) -> dict[str, float]:
        out: dict[str, float] = {}
        for name, other, valid in (("trait", other_snp, self.valid_snp), ("snp", other_text, self.valid_text)):
            values = self.each_auc(positive, other, valid)
            out[f"{prefix}auc_{name}{end}"] = float(np.nanmean(values))
            if not end:
                out[f"{prefix}auc_{name}_low"], out[f"{prefix}auc_{name}_high"] = interval(values, self.loci)
                out[f"{prefix}auc_{name}_seen"] = float(np.nanmean(values[self.seen])) if self.seen.any() else float("nan")
        return out

    @property
    def mate_seen(self) -> npt.NDArray[np.bool_]:
        """Tell which positives have their trait at their locus in training: with an LD mate, or under another name."""
        return self.world.trained(*self.positive)

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Tell which positives have a SNP that training linked to another trait; the others have their LD block only."""
        return np.asarray(self.snp_degree[self.positive[1]] > 0)

    def degree_figures(self) -> dict[str, float]:
        snps, texts = self.snp_degree.astype(np.float32), self.text_degree.astype(np.float32)
        return {
            "auc_trait_degree": float(np.nanmean(self.each_auc(snps[self.positive[1]], snps[self.other_snp[1]], self.valid_snp))),
            "auc_snp_degree": float(np.nanmean(self.each_auc(texts[self.positive[0]], texts[self.other_text[0]], self.valid_text))),
        }


@dataclass(frozen=True)
class World:
    """What is known to go together, as (trait group, locus): a negative must not be one of these."""

    texts: Sequence[str]  # that a trait task names
    snp_rows: Mapping[str, int]  # of the model
    nearby_rows: Mapping[str, int]  # of SNPs that it does not place, after its own
    snp_degree: Integers
    text_degree: Integers
    seen_snps: Integers  # rows of the model that a trait task names
    n_seen_texts: int
    text_group: Integers  # of each text
    snp_locus: Integers  # of each row
    n_loci: int
    taken: Integers  # sorted group * n_loci + locus, kin of known groups included
    in_training: Integers  # the same of what training linked, without kin
    group_numbers: Mapping[str, int]
    groups: Mapping[str, str]  # group of each text that the tables know, as a trait as written or as a name of a concept

    @classmethod
    def of(cls, model: Model, evidence: Evidence, tables_dir: Path) -> World:
        import pyarrow.compute as pc

        columns = ["kind", "variant_id", "object_id", "object_name", "term_ids"]
        rows = tables.read(tables_dir, "associations", columns)
        rows = rows.filter(pc.not_equal(rows["kind"], "eqtl"))
        loci = loci_of(tables.read(tables_dir, "variants", ["id", "kind", "chromosome", "position", "locus", "in_mhc"]))
        twins = term_twins(tables.read(tables_dir, "concepts", ["id", "name", "vocabulary", "kind"]))
        groups = trait_groups(rows, twins)

        def canonical(term: str) -> str:
            return twins.get(term, term)

        names = dict(zip(rows["object_name"].to_pylist(), rows["object_id"].to_pylist(), strict=True))
        labels = tables.names_by_id(tables_dir)
        by_label: dict[str, str] = {label: id_ for id_, label in labels.items()}
        group_of = {name: groups[object_id] for name, object_id in names.items()}
        locus_numbers: dict[str, int] = {}
        nearby = evidence.beyond(model.snp_rows)
        snp_ids = [*model.snp_ids, *nearby]
        snp_locus = np.array([locus_numbers.setdefault(loci.get(snp) or snp, len(locus_numbers)) for snp in snp_ids], dtype=np.int64)
        group_numbers: dict[str, int] = {}
        group_of = {label: canonical(id_) for label, id_ in by_label.items()} | group_of
        text_groups = [group_of.get(text, f"name:{text}") for text in evidence.texts]
        text_group = np.array([group_numbers.setdefault(group, len(group_numbers)) for group in text_groups], dtype=np.int64)
        units = {
            (group_numbers.setdefault(group, len(group_numbers)), locus_numbers[loci.get(snp) or snp])
            for trait, snp, terms in zip(*(rows[name].to_pylist() for name in ("object_id", "variant_id", "term_ids")), strict=True)
            if (loci.get(snp) or snp) in locus_numbers
            for group in {groups[trait], *map(canonical, terms)}  # what it is filed under among others is not said to be false
        }
        mappings = tables.read(tables_dir, "mappings").to_pandas()
        kin = trait_kin(tables_dir, group_numbers, codes=groups, mappings=mappings[mappings["judged"] == "valid"])
        taken = _with_kin(units, kin)
        known = evidence.snp_rows
        degrees = evidence.snp_degrees
        snp_degree = np.array([degrees[known[snp]] if snp in known else 0 for snp in snp_ids], dtype=np.int64)
        keys = np.unique(taken[:, 0] * len(locus_numbers) + taken[:, 1])
        return cls(
            evidence.texts,
            model.snp_rows,
            {snp: len(model.snp_ids) + number for number, snp in enumerate(nearby)},
            snp_degree,
            evidence.text_degrees,
            np.flatnonzero(snp_degree[: len(model.snp_ids)] > 0),
            len(evidence.texts),
            text_group,
            snp_locus,
            len(locus_numbers),
            keys,
            _keys_of_links(evidence, model, text_group, snp_locus, len(locus_numbers)),
            group_numbers,
            group_of,
        )

    def with_texts(self, texts: list[str], groups: Mapping[str, str]) -> World:
        """Append held-out texts that training did not see."""
        new = texts[self.n_seen_texts :]
        numbers = [self.group_numbers.get(groups[text], -1) for text in new]
        return replace(
            self,
            text_group=np.concatenate([self.text_group, np.array(numbers, dtype=np.int64)]),
            text_degree=np.concatenate([self.text_degree, np.zeros(len(new), dtype=np.int64)]),
        )

    def known(self, text: Integers, snp: Integers) -> npt.NDArray[np.bool_]:
        """Tell which pairs are known, or an LD mate or a relative of known ones."""
        return _among(self._keys(text, snp), self.taken)

    def trained(self, text: Integers, snp: Integers) -> npt.NDArray[np.bool_]:
        """Tell which pairs have their trait at their locus in training."""
        return _among(self._keys(text, snp), self.in_training)

    def _keys(self, text: Integers, snp: Integers) -> Integers:
        # a group that no table names (-1) has no known locus
        return np.where(self.text_group[text] < 0, -1, self.text_group[text] * self.n_loci + self.snp_locus[snp])

    def draw_snps(
        self, text: Integers, snp: Integers, random: np.random.Generator, *, matched: bool
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Draw SNPs for each text; those that are known to go with it are drawn again, some times."""
        draw = _drawer(self.seen_snps, self.snp_degree, snp, random, matched=matched)
        other, valid = _redrawn(draw, lambda other: self.known(np.repeat(text, N_NEGATIVES), other.ravel()).reshape(other.shape))
        return other, valid & (_same_degree(self.snp_degree, snp, other) if matched else True)

    def draw_texts(
        self, text: Integers, snp: Integers, random: np.random.Generator, *, matched: bool
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Draw texts for each SNP likewise."""
        draw = _drawer(np.arange(self.n_seen_texts), self.text_degree, text, random, matched=matched)
        other, valid = _redrawn(draw, lambda other: self.known(other.ravel(), np.repeat(snp, N_NEGATIVES)).reshape(other.shape))
        return other, valid & (_same_degree(self.text_degree, text, other) if matched else True)


def _keys_of_links(evidence: Evidence, model: Model, text_group: Integers, snp_locus: Integers, n_loci: int) -> Integers:
    """Give (group, locus) of what training linked, as sorted numbers; SNPs that the model does not have are passed over."""
    rows = np.fromiter((model.snp_rows.get(snp, -1) for snp in evidence.snps), dtype=np.int64, count=len(evidence.snps))
    row = np.repeat(rows, evidence.snp_degrees)
    return np.unique((text_group[evidence.snp_texts] * n_loci + snp_locus[row])[row >= 0]) if len(snp_locus) else row


def _among(keys: Integers, known: Integers) -> npt.NDArray[np.bool_]:
    """Tell which keys are in a sorted array."""
    at = np.minimum(np.searchsorted(known, keys), max(0, len(known) - 1))
    return known[at] == keys if len(known) else np.zeros(len(keys), dtype=bool)


def _drawer(pool: Integers, degree: Integers, anchor: Integers, random: np.random.Generator, *, matched: bool) -> Callable[[], Integers]:
    """Give a function that draws N_NEGATIVES of the pool for each anchor, from its own bin of degrees if `matched`."""
    if not matched:
        return lambda: pool[random.integers(0, len(pool), (len(anchor), N_NEGATIVES))]
    bins = _degree_bins(degree)
    ordered = pool[np.argsort(bins[pool], kind="stable")]
    first = np.searchsorted(bins[ordered], bins[anchor], side="left")
    last = np.searchsorted(bins[ordered], bins[anchor], side="right")
    # an anchor of a degree that nothing in training has (0: only its LD block is there) draws what `_same_degree` throws away
    first = np.minimum(first, len(ordered) - 1)
    size = np.maximum(1, last - first)
    return lambda: ordered[first[:, None] + (random.random((len(anchor), N_NEGATIVES)) * size[:, None]).astype(np.int64)]


def _same_degree(degree: Integers, anchor: Integers, other: Integers) -> npt.NDArray[np.bool_]:
    """Tell which of the drawn, (n, N_NEGATIVES), are in the bin of degrees of their anchor."""
    bins = _degree_bins(degree)
    return np.asarray(bins[anchor][:, None] == bins[other])


def _degree_bins(degree: Integers) -> Integers:
    """Bin degrees: each its own up to 8, then by eighths of an octave.

    >>> _degree_bins(np.array([0, 1, 2, 8, 100, 101])).tolist()
    [0, 1, 2, 8, 37, 37]
    """
    return np.where(degree <= 8, degree, 8 + (8 * np.log2(np.maximum(degree, 8) / 8)).astype(np.int64))


def _redrawn(draw: Callable[[], Integers], known: Callable[[Integers], npt.NDArray[np.bool_]]) -> tuple[Integers, npt.NDArray[np.bool_]]:
    other = draw()
    bad = known(other)
    for _ in range(5):
        if not bad.any():
            break
        other = np.where(bad, draw(), other)
        bad = known(other)
    return other, ~bad


def _with_kin(units: Iterable[tuple[int, int]], kin: Integers) -> Integers:
    """Add, for each known (group, locus), the same locus with each ancestor, descendant and twin of the group."""
    related: dict[int, list[int]] = {}
    for one, other in kin.tolist():
        related.setdefault(one, []).append(other)
        related.setdefault(other, []).append(one)
    rows = [(relative, locus) for group, locus in units for relative in (group, *related.get(group, ()))]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def interval(values: npt.NDArray[np.float64], units: npt.NDArray[Any], *, resamples: int = 500, seed: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of a mean under resampling of units."""
    known = np.isfinite(values)
    names, unit = np.unique(units[known].astype(str), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    sums, sizes = np.bincount(unit, weights=values[known]), np.bincount(unit)
    drawn = np.random.default_rng(seed).integers(0, len(names), (resamples, len(names)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
