"""Odds ratios that are known in, how large the effect of a SNP on a trait is expected to be out.

No cosine holds it: the strongest SNPs are shared by many traits. What does are the odds ratios of alike traits at the same SNP,
block and region, and how rare the SNP is: its frequency where a table gives one; whether it has an LD block, which come
from common variants; and how late its rs id was given. A ridge regression on odds ratios that were kept from training joins
them. Only odds ratios count; a beta is of its own unit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.errors import ModelError
from kgbuild.evidence import LEVELS, Evidence, Lists, lists_by_level

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEATURES", "LEAST_PAIRS", "Effects", "fit", "known_effects"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

LARGEST = float(np.log(20))  # |log OR| above it counts as this: a few studies of few cases give thousands
SHARPNESS = 5.0  # of the mean over alike traits: one at a cosine of .5 counts a twelfth
NEARER = {"snp": 0.2, "block": 0.3, "region": 0.5}  # what an odds ratio of the region counts, and what more for each level it shares
PRIOR = 0.5  # how much the mean of all counts beside those
PENALTY = 10.0  # of ridge regression on standardised features; 1 and 100 gave the same
LEAST_PAIRS = 100  # fewer teach nothing
AT_A_TIME = 65_536  # pairs
FEATURES = ("odds ratios of alike traits nearby", "strongest p", "no LD block", "rs id", "late rs id", "log frequency", "frequency unknown")


@dataclass(frozen=True)
class Effects:
    """What is known of effects, and the weights of what speaks for a large one.

    Args:
        facts: (SNPs, 6) all of FEATURES but the first, by SNP of the evidence.
        by: Known odds ratios by level: numbers of `text` and `size`.
        text: (known,) number of the evidence's text.
        size: (known,) |log OR|.
        weights: A constant and a weight for each of FEATURES; empty: not fitted.
        weights_of_snp: The same for all of FEATURES but the first: what can be said of a SNP whatever the trait.
    """

    facts: Floats
    by: Mapping[str, Lists]
    text: Integers
    size: Floats
    weights: tuple[float, ...] = ()
    weights_of_snp: tuple[float, ...] = ()

    @classmethod
    def of(cls, evidence: Evidence, known: pd.DataFrame, regions: Mapping[str, tuple[str, int]]) -> Effects:
        """Gather them from `known_effects`."""
        numbers = {text: number for number, text in enumerate(evidence.texts)}
        ratios = known[
            known["size"].notna() & known["object_name"].isin(numbers.keys()) & known["variant_id"].isin(evidence.snp_rows.keys())
        ]
        ratios = ratios.sort_values("neg_log10_p", ascending=False, kind="stable").drop_duplicates(["object_name", "variant_id"])
        snp = ratios["variant_id"].map(evidence.snp_rows).to_numpy(dtype=np.int64)
        by = lists_by_level(evidence.snps, evidence.by["block"].units, regions, snp, np.arange(len(snp)))
        size = ratios["size"].to_numpy(dtype=np.float32)
        return cls(_facts(evidence, known), by, ratios["object_name"].map(numbers).to_numpy(dtype=np.int64), size)

    def features(self, vectors: Floats, known_vectors: Floats, text: Integers, snp: Integers) -> Floats:
        """Give (pairs, FEATURES).

        Args:
            vectors: Unit rows of texts.
            known_vectors: Those of the evidence's texts.
            text: Rows of `vectors`.
            snp: Rows of the evidence; -1 for a SNP that it does not have.
        """
        found = np.empty((len(text), len(FEATURES)), dtype=np.float32)
        for start in range(0, len(text), AT_A_TIME):
            part = slice(start, start + AT_A_TIME)
            texts, line = np.unique(text[part], return_inverse=True)
            found[part, 0] = self._nearby(vectors[texts], known_vectors, line, snp[part])
            found[part, 1:] = np.where((snp[part] >= 0)[:, None], self.facts[snp[part]], 0) if len(self.facts) else 0
        return found

    def _nearby(self, vectors: Floats, known_vectors: Floats, text: Integers, snp: Integers) -> npt.NDArray[np.float64]:
        """Give the mean of odds ratios nearby, weighed by how alike their traits are and by how near they lie."""
        weight, total = np.full(len(text), PRIOR), np.full(len(text), PRIOR * (float(self.size.mean()) if len(self.size) else 0.0))
        linked = {level: self.by[level].of_units(np.where(snp >= 0, self.by[level].units[snp], -1)) for level in LEVELS}
        # one product for all levels; where a SNP is asked about with every text, few known traits take part in it
        used = np.zeros(len(known_vectors), dtype=bool)
        for _, members in linked.values():
            used[self.text[members]] = True
        column = (np.cumsum(used) - 1)[self.text]
        alike = np.exp(SHARPNESS * (vectors @ known_vectors[used].T - 1))
        for level, (count, members) in linked.items():
            rows = np.flatnonzero(count)
            if len(rows):
                each = NEARER[level] * alike[np.repeat(text[rows], count[rows]), column[members]]
                first = np.cumsum(count[rows]) - count[rows]
                weight[rows] += np.add.reduceat(each, first)
                total[rows] += np.add.reduceat(each * self.size[members], first)
        return np.asarray(total / weight)

    def expected(self, features: Floats) -> Floats:
        """Give the expected |log OR|; 0 for all where there was nothing to fit on."""
        return _sums(features, self.weights)

    def expected_of_snp(self, features: Floats) -> Floats:
        """Give the same whatever the trait: the traits of one SNP have one number."""
        return _sums(features[:, 1:], self.weights_of_snp)

    def save(self, folder: Path, name: str = "effects") -> None:
        """Write effects.npz and effects.json, or files of another name."""
        arrays: dict[str, npt.NDArray[Any]] = {"facts": self.facts, "text": self.text.astype(np.int32), "size": self.size}
        for level, lists in self.by.items():
            arrays |= {f"{level}.{part}": getattr(lists, part).astype(np.int32) for part in ("units", "members", "starts")}
        np.savez_compressed(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        document = {"features": FEATURES, "weights": self.weights, "weights_of_snp": self.weights_of_snp}
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str = "effects") -> Effects | None:
        """Read them back; None where the model was saved without.

        Raises:
            ModelError: An earlier version wrote them.
        """
        if not (folder / f"{name}.json").exists():
            return None
        document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if document["features"] != list(FEATURES) or "weights_of_snp" not in document:
            raise ModelError(f"{folder / name}.json is of an earlier version", advice="Train again: kgbuild train")
        with np.load(folder / f"{name}.npz") as archive:
            arrays = dict(archive)
        parts = ("units", "members", "starts")
        by = {level: Lists(*(arrays[f"{level}.{part}"].astype(np.int64) for part in parts)) for level in LEVELS}
        return cls(
            arrays["facts"],
            by,
            arrays["text"].astype(np.int64),
            arrays["size"],
            *(tuple(document[name]) for name in ("weights", "weights_of_snp")),
        )


def known_effects(folder: Path, hidden: Collection[tuple[str, str]] = ()) -> pd.DataFrame:
    """Give variant_id, object_name, neg_log10_p, frequency (of the rarer allele) and size (|log OR|) of associations.

    Args:
        folder: Tables.
        hidden: (object_id, variant_id) that must not be seen.
    """
    columns = ["kind", "variant_id", "object_id", "object_name", "neg_log10_p", "effect_type", "effect", "effect_allele_frequency"]
    frame = tables.read(folder, "associations", columns).to_pandas()
    if hidden:
        held = set(hidden)
        frame = frame[[pair not in held for pair in zip(frame["object_id"], frame["variant_id"], strict=True)]]
    frequency, effect = frame["effect_allele_frequency"].astype(float), frame["effect"].astype(float)
    ratio = (frame["effect_type"] == "odds_ratio") & (effect > 0) & (frame["kind"] != "eqtl")
    size = np.abs(np.log(effect.where(ratio))).clip(upper=LARGEST)
    found = frame[["variant_id", "object_name"]].assign(frequency=np.minimum(frequency, 1 - frequency), size=size)
    return found.assign(neg_log10_p=frame["neg_log10_p"].where(frame["kind"] != "eqtl"))


def fit(effects: Effects, features: Floats, size: Floats) -> Effects:
    """Fit the weights on (pairs, FEATURES) and their |log OR|, which were kept from training; none where they are fewer than LEAST_PAIRS."""
    if len(size) < LEAST_PAIRS:
        return effects
    return replace(effects, weights=_ridge(features, size), weights_of_snp=_ridge(features[:, 1:], size))


def _ridge(features: Floats, size: Floats) -> tuple[float, ...]:
    """Give a constant and a weight for each feature."""
    from sklearn.linear_model import Ridge

    mean, spread = features.mean(axis=0, dtype=np.float64), np.maximum(features.std(axis=0, dtype=np.float64), 1e-6)
    model = Ridge(PENALTY).fit((features - mean) / spread, size)
    weights = model.coef_ / spread
    constant = float(model.intercept_ - weights @ mean)
    return tuple(round(float(value), 6) for value in (constant, *weights))


def _sums(features: Floats, weights: tuple[float, ...]) -> Floats:
    if not weights:
        return np.zeros(len(features), dtype=np.float32)
    of = np.asarray(weights)
    return np.asarray(np.clip(features @ of[1:] + of[0], 0, LARGEST), dtype=np.float32)


def _facts(evidence: Evidence, known: pd.DataFrame) -> Floats:
    """Give (SNPs, 6): what is known of a SNP whatever the trait."""
    by_snp = known.groupby("variant_id").agg({"neg_log10_p": "max", "frequency": "median"}).reindex(evidence.snps)
    frequency = by_snp["frequency"].to_numpy(dtype=float)
    digits = [snp.removeprefix("dbsnp:rs") for snp in evidence.snps]
    number = np.log10([float(text) if text.isdigit() and int(text) else 1e6 for text in digits])
    return np.stack(
        [
            np.log1p(by_snp["neg_log10_p"].fillna(0).to_numpy(dtype=float)),
            evidence.by["block"].units < 0,
            number,
            np.maximum(number - 7.5, 0),
            np.log(np.clip(np.nan_to_num(frequency, nan=0.25), 0.001, 0.5)),
            np.isnan(frequency),
        ],
        axis=1,
    ).astype(np.float32)
