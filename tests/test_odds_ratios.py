"""Of two SNPs of a trait the stronger comes first: counted by gap, with an interval over SNPs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from little_tables import association, table, variant, write

from embedder import HashedNgramEncoder, centroid_model
from kgbuild.effects import Effects, known_effects
from kgbuild.evaluation.evaluated import Evaluated, Options
from kgbuild.evaluation.odds_ratios import compare_effects, evaluate, rows_by_gap
from kgbuild.evidence import Evidence
from kgbuild.network import Network
from kgbuild.pairs import build_pairs
from kgbuild.ranking import Ranking
from kgbuild.scoring import Scorer
from kgbuild.signals import FEATURES
from kgbuild.splits import split_snp_traits

TRAITS = np.array(["gout"] * 3 + ["asthma"] * 2)
SNPS = np.array(["a", "b", "c", "a", "d"])
RATIOS = np.array([1.1, 1.3, 3.0, 1.5, 1.5])


def test_only_snps_of_one_trait_with_other_ratios_are_compared() -> None:
    made = compare_effects(TRAITS, SNPS, RATIOS)
    assert sorted(zip(made.larger.tolist(), made.smaller.tolist(), made.gap.round(2).tolist(), strict=True)) == [
        (1, 0, 0.2),
        (2, 0, 1.9),
        (2, 1, 1.7),
    ]


def test_a_tie_counts_half_and_each_gap_says_on_how_many_it_stands() -> None:
    ranked = {"right": RATIOS, "wrong": -RATIOS, "same": np.zeros(5)}
    rows = rows_by_gap(compare_effects(TRAITS, SNPS, RATIOS), ranked, resamples=50, seed=0)
    found = {(row["gap"], row["ranked_by"]): (row["n"], row.get("first")) for row in rows}
    assert {name: found[0.0, name] for name in ranked} == {"right": (3, 1.0), "wrong": (3, 0.0), "same": (3, 0.5)}
    assert (found[1.0, "right"], found[2.0, "right"]) == ((2, 1.0), (0, None))


def test_an_interval_resamples_snps_not_comparisons() -> None:
    snps = np.array([snp for pair in ("ab", "cd") for _ in range(20) for snp in pair])  # two pairs of SNPs in 20 traits each
    made = compare_effects(np.repeat(np.arange(40), 2).astype(str), snps, np.tile([2.0, 1.5], 40))
    right_for_a_and_b = np.repeat([1.0, 0.0], 40) * np.tile([1.0, 0.0], 40) - np.repeat([0.0, 1.0], 40) * np.tile([1.0, 0.0], 40)
    row = rows_by_gap(made, {"x": right_for_a_and_b}, resamples=200, seed=0)[0]
    assert (row["n"], row["first"], row["interval"]) == (40, 0.5, (0.0, 1.0))


def test_held_out_pairs_are_joined_with_their_ratios_and_drawn(tmp_path: Path) -> None:
    variants = [variant(n, f"ld:1:{n // 2}", locus_span=1000) for n in range(1, 80)]
    rows = [association(trait, n, effect_type="odds_ratio", effect=1 + n / 30) for n in range(1, 80) for trait in ("Gout", "Asthma")]
    write(tmp_path, variants=variants, associations=rows)
    split = split_snp_traits(table("associations", rows), table("variants", variants), share=0.3)
    data, encoder = build_pairs(tmp_path, snp_traits=split).data, HashedNgramEncoder(64)
    scorer = Scorer(centroid_model(data, encoder.encode(data.texts), encoder=encoder), encoder.encode, evidence=Evidence.of(data))
    section = evaluate(
        Evaluated(tmp_path, tmp_path / "cache", None, None, scorer, encoder.encode, "hashed", split, options=Options(resamples=50))
    )
    counts = [row["n"] for row in section.rows if row["ranked_by"] == "similarity"]
    assert counts == sorted(counts, reverse=True)
    assert "effect alone" not in {row["ranked_by"] for row in section.rows}
    assert counts[0] > 50
    assert ElementTree.fromstring(section.plots["odds-ratio.svg"]).tag.endswith("svg")
    assert section.plots["odds-ratio.png"].startswith(b"\x89PNG")


def test_the_expected_effect_has_a_row_of_its_own_where_it_was_fitted(tmp_path: Path) -> None:
    variants = [variant(n, f"ld:1:{n // 2}", locus_span=1000) for n in range(1, 80)]
    rows = [association("Gout", n, effect_type="odds_ratio", effect=1 + (n // 2) / 30) for n in range(1, 80)]
    rows += [association("Asthma", n) for n in range(1, 80)]
    write(tmp_path, variants=variants, associations=rows)
    split = split_snp_traits(table("associations", rows), table("variants", variants), share=0.0, development=0.0)
    held = pd.DataFrame(rows)[["object_id", "object_name", "variant_id"]].iloc[1:79:2].assign(part="test", locus="", trait_group="gout")
    data, encoder = build_pairs(tmp_path, snp_traits=split).data, HashedNgramEncoder(64)
    evidence = Evidence.of(data)
    effects = replace(Effects.of(evidence, known_effects(tmp_path), {}), weights=(0.0, 1.0, *[0.0] * 6))
    ranking = Ranking({"degree+neighbours+similarity": Network(0.0, [0.0] * len(FEATURES))}, sizes=[[0.5, 2.0], [0.5, 2.0]])
    model = centroid_model(data, encoder.encode(data.texts), encoder=encoder)
    scorer = Scorer(model, encoder.encode, evidence=evidence, effects=effects, ranking=ranking)
    section = evaluate(
        Evaluated(tmp_path, tmp_path / "cache", None, None, scorer, encoder.encode, "hashed", held, options=Options(resamples=50))
    )
    first = {row["ranked_by"]: row["first"] for row in section.rows if row["gap"] == 0.5}
    assert first["effect alone"] > 0.95 > 0.6 > first["score"]  # rows of the block say how large the ratio is
