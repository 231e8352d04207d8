"""Held-out SNPs with odds ratios in; how often the stronger of two SNPs of a trait comes first, by the gap between them, out."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.evaluation.drawing import COLOURS, Drawing
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparisons", "compare_effects", "evaluate", "rows_by_gap"]

Array = npt.NDArray[Any]

GAPS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)  # least difference of two odds ratios, each at least 1
MOST_SNPS = 300  # of one trait: 44,850 comparisons; more are drawn down to it
COLUMNS = {
    "gap": "odds ratios apart by more than", "ranked_by": "ranked by", "n": "comparisons", "n_snps": "SNPs", "n_traits": "traits",
    "first": "stronger first", "interval": "95 % (SNPs)",
}  # fmt: skip


def evaluate(evaluated: Evaluated) -> Section:
    """Compare held-out SNPs of one trait two by two: the one with the larger odds ratio should have the larger score.

    Raises:
        WorkspaceError: There is no model that places SNPs.
    """
    scorer, split = evaluated.model()
    held = _with_effects(evaluated, split[split["part"] == evaluated.options.part])
    held = held[[snp in scorer.model.snp_rows for snp in held["variant_id"]]].reset_index(drop=True)
    notes = [f"{len(held):,} held-out pairs have an odds ratio and a vector."]
    if not len(held):
        return Section("Stronger SNP first", COLUMNS, [], ("gap", "ranked_by"), notes)
    texts = sorted(set(held["object_name"]))
    numbers = {text: number for number, text in enumerate(texts)}
    text = held["object_name"].map(numbers).to_numpy(np.int64)
    snp = held["variant_id"].map(scorer.model.snp_rows).to_numpy(np.int64)
    similarity, score = scorer.text_snp(texts, text, snp)
    degree = scorer.world(evaluated.tables_dir).snp_degree[snp].astype(float)
    made = compare_effects(
        held["trait_group"].to_numpy(str), held["variant_id"].to_numpy(str), held["odds_ratio"].to_numpy(float), seed=evaluated.options.seed
    )
    ranked = {"similarity": similarity, "score": score, "degree alone": degree}
    if (expected := scorer.expected_sizes(texts, text, snp)) is not None:
        ranked["effect alone"] = expected
    rows = rows_by_gap(made, ranked, resamples=evaluated.options.resamples, seed=evaluated.options.seed)
    notes.append("Odds ratios below 1 are inverted. Ties count half. The interval resamples SNPs: few distinct SNPs carry the large gaps.")
    return Section("Stronger SNP first, by the gap of odds ratios", COLUMNS, rows, ("gap", "ranked_by"), notes, _plots(rows))


def _with_effects(evaluated: Evaluated, held: pd.DataFrame) -> pd.DataFrame:
    """Join each held-out pair with its odds ratio, the median where it was measured several times."""
    import pyarrow.compute as pc

    rows = tables.read(evaluated.tables_dir, "associations", ["object_id", "variant_id", "effect_type", "effect"])
    frame = rows.filter(pc.equal(rows["effect_type"], "odds_ratio")).select(["object_id", "variant_id", "effect"]).to_pandas()
    frame = frame[frame["effect"] > 0]
    frame["odds_ratio"] = np.exp(np.abs(np.log(frame["effect"].to_numpy(float))))
    effects = frame.groupby(["object_id", "variant_id"])["odds_ratio"].median().reset_index()
    held = held.drop_duplicates(["object_id", "variant_id"])
    # one SNP of a trait counts once, under whatever name the trait is written
    return held.merge(effects, on=["object_id", "variant_id"]).drop_duplicates(["trait_group", "variant_id"])


@dataclass(frozen=True)
class Comparisons:
    """Pairs of rows of one trait, the first with the larger odds ratio.

    Args:
        larger: (n,) rows.
        smaller: (n,) rows.
        gap: (n,) difference of their odds ratios.
        snps: SNP of each row.
        traits: Trait of each row.
    """

    larger: Array
    smaller: Array
    gap: Array
    snps: Array
    traits: Array


def compare_effects(traits: Array, snps: Array, odds_ratios: Array, *, seed: int = 0) -> Comparisons:
    """List all pairs of rows of one trait whose odds ratios differ.

    >>> made = compare_effects(np.array(["a", "a", "b"]), np.array(["x", "y", "z"]), np.array([1.2, 2.0, 9.0]))
    >>> made.larger.tolist(), made.smaller.tolist(), made.gap.round(1).tolist()
    ([1], [0], [0.8])
    """
    random = np.random.default_rng(seed)
    larger, smaller = [], []
    for trait in np.unique(traits):
        rows = np.flatnonzero(traits == trait)
        if len(rows) > MOST_SNPS:
            rows = np.sort(random.choice(rows, MOST_SNPS, replace=False))
        first, second = np.triu_indices(len(rows), 1)
        first, second = rows[first], rows[second]
        swap = odds_ratios[second] > odds_ratios[first]
        larger.append(np.where(swap, second, first))
        smaller.append(np.where(swap, first, second))
    high, low = (np.concatenate([np.empty(0, np.int64), *parts]) for parts in (larger, smaller))
    gap = odds_ratios[high] - odds_ratios[low]
    differ = gap > 0
    return Comparisons(high[differ], low[differ], gap[differ], snps, traits)


def rows_by_gap(made: Comparisons, ranked: Mapping[str, Array], *, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Give, by gap and ranker, the share of comparisons in which the stronger comes first, with its interval over SNPs."""
    rows = []
    for gap, (name, values) in itertools.product(GAPS, ranked.items()):
        chosen = made.gap > gap
        high, low = made.larger[chosen], made.smaller[chosen]
        wins = (values[high] > values[low]) + 0.5 * (values[high] == values[low])
        both = np.concatenate([high, low])
        row = {"gap": gap, "ranked_by": name, "n": len(high), "n_snps": len(set(made.snps[both])), "n_traits": len(set(made.traits[both]))}
        if len(high):
            row |= {"first": float(wins.mean()), "interval": _interval(wins, made.snps[high], made.snps[low], resamples, seed)}
        rows.append(row)
    return rows


def _interval(wins: Array, high: Array, low: Array, resamples: int, seed: int) -> tuple[float, float]:
    """Give the 95 % interval of a mean when SNPs are drawn with replacement: a comparison counts as often as both were."""
    _, numbers = np.unique(np.concatenate([high, low]), return_inverse=True)
    one, other = np.split(numbers, 2)
    n = int(numbers.max()) + 1
    random = np.random.default_rng(seed)
    values = []
    for _ in range(resamples):
        times = np.bincount(random.integers(0, n, n), minlength=n)
        weight = times[one] * times[other]
        if weight.sum():
            values.append(float((weight * wins).sum() / weight.sum()))
    if not values:
        return float("nan"), float("nan")
    low_end, high_end = np.quantile(values, [0.025, 0.975])
    return float(low_end), float(high_end)


def _plots(rows: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """Draw the share by gap, a line for each ranker, with intervals and the number of comparisons."""
    drawn = [row for row in rows if row["n"]]
    if not drawn:
        return {}
    picture = Drawing(560, 380, "Stronger SNP first, by the gap of odds ratios")
    gaps = sorted({row["gap"] for row in drawn})
    left, right, top, bottom = 60, 540, 40, 300

    def x(gap: float, shift: float = 0.0) -> float:
        return left + (right - left) * (gaps.index(gap) + 0.5) / len(gaps) + shift

    def y(share: float) -> float:
        return bottom - (bottom - top) * min(1.0, max(0.0, share))

    picture.words(280, 22, picture.title, anchor="middle", size=13)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        picture.line(left, y(share), right, y(share), "#bbbbbb" if share == 0.5 else "#eeeeee")
        picture.words(left - 6, y(share) + 4, f"{share:g}", anchor="end")
    for number, name in enumerate(dict.fromkeys(row["ranked_by"] for row in drawn)):
        shift, colour = 8.0 * (number - 1), COLOURS[number % len(COLOURS)]
        points = [row for row in drawn if row["ranked_by"] == name]
        for one, other in itertools.pairwise(points):
            picture.line(x(one["gap"], shift), y(one["first"]), x(other["gap"], shift), y(other["first"]), colour)
        for row in points:
            low, high = row["interval"]
            picture.line(x(row["gap"], shift), y(low), x(row["gap"], shift), y(high), colour)
            picture.dot(x(row["gap"], shift), y(row["first"]), 4, colour, tip=f"{name}: {row['first']:.3f}, n = {row['n']:,}")
        picture.dot(left + 120 * number + 10, 364, 4, colour)
        picture.words(left + 120 * number + 20, 368, name)
    for gap in gaps:
        n = next(row["n"] for row in drawn if row["gap"] == gap)
        picture.words(x(gap), bottom + 18, f"> {gap:g}", anchor="middle")
        picture.words(x(gap), bottom + 34, f"n = {n:,}", anchor="middle", size=9)
    png = picture.png()
    return {"odds-ratio.svg": picture.svg(), **({"odds-ratio.png": png} if png else {})}
