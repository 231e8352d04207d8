"""Scores of pairs: files in and out, evidence of neighbours, and figures that mean what they say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from little_tables import association, concept, table, variant, write

from embedder import HashedNgramEncoder, Task, TrainingData, centroid_model, unit_rows
from kgbuild import tables
from kgbuild.draws import World, _degree_bins, interval
from kgbuild.errors import ModelError, SourceError
from kgbuild.evaluation.snp_traits import evaluate_snp_traits
from kgbuild.evidence import Evidence, Lists
from kgbuild.network import Network
from kgbuild.pairs import build_pairs
from kgbuild.ranking import EFFECT, Ranking, drawn, fit_ranking, rivals_of, with_single_pairs
from kgbuild.scoring import NEARBY, Scorer, score_pairs
from kgbuild.signals import FEATURES, PARTS, SHARPNESS, Signals, _kin
from kgbuild.splits import split_snp_traits

ENCODER = HashedNgramEncoder(128)


def small(folder: Path) -> Scorer:
    """Asthma goes with rs1 and rs2 (one block), gout with rs3; rs4 lies in asthma's block and has no association."""
    rows = [association("Asthma", 1), association("Asthma", 2), association("Gout", 3)]
    variants = [variant(1, "ld:1:1"), variant(2, "ld:1:1"), variant(3), variant(4, "ld:1:1"), variant(5)]
    genes = [{"id": "NCBIGene:1", "symbol": "IL33"}]
    write(folder, concepts=[concept("EFO:1", "asthma")], genes=genes, variants=variants, associations=rows)
    data = build_pairs(folder).data
    model = centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER)
    return Scorer(model, ENCODER.encode, evidence=Evidence.of(data))


def scored(folder: Path, text: str, scorer: Scorer) -> list[list[str]]:
    (folder / "pairs.tsv").write_text(text, encoding="utf-8")
    score_pairs(folder / "pairs.tsv", folder / "scored.tsv", scorer, tables_dir=folder)
    return [line.split("\t") for line in (folder / "scored.tsv").read_text(encoding="utf-8").splitlines()]


def test_texts_ids_and_variants_are_scored_in_the_order_they_came(tmp_path: Path) -> None:
    rows = scored(tmp_path, "left\tright\nAsthma\trs1\nrs3\tAsthma\nEFO:1\tasthma\nrs1\trs2\nGout\tIL33\n", small(tmp_path))
    asthma, gout, il33 = unit_rows(ENCODER.encode(["Asthma", "Gout", "IL33"]))
    assert rows[0] == ["left", "right", "similarity", "score", "reason"]
    assert [row[:2] for row in rows[1:]] == [["Asthma", "rs1"], ["rs3", "Asthma"], ["EFO:1", "asthma"], ["rs1", "rs2"], ["Gout", "IL33"]]
    assert [float(row[2]) for row in rows[1:]] == pytest.approx([1.0, float(asthma @ gout), 1.0, 1.0, float(gout @ il33)], abs=2e-3)
    assert all(row[2] == row[3] and row[4:] == [""] for row in rows[1:])


def test_what_is_not_known_has_empty_cells_and_a_reason(tmp_path: Path) -> None:
    rows = scored(tmp_path, "left\tright\nAsthma\trs5\nEFO:9\tAsthma\n\tGout\nonly\n", small(tmp_path))
    assert [row[2:] for row in rows[1:]] == [
        ["", "", "rs5: no association in training, nor a locus that has one"],
        ["", "", "EFO:9: no such id in the tables"],
        ["", "", "empty cell"],
        ["", "", "1 cells instead of 2"],
    ]


def test_a_variant_with_only_a_locus_has_its_blocks_vector(tmp_path: Path) -> None:
    rows = scored(tmp_path, "left\tright\nAsthma\tdbsnp:rs4\n", small(tmp_path))
    assert float(rows[1][2]) == pytest.approx(1.0, abs=1e-3)


def test_other_columns_quotes_and_odd_characters_survive(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    (tmp_path / "p.csv").write_text('note,left,right\n"a, ""b""",Asthma,rs1\nNA,🫁 \u202eabc|x,"two\nlines"\n', encoding="utf-8")
    counts = score_pairs(tmp_path / "p.csv", tmp_path / "out.csv", scorer, tables_dir=tmp_path)
    import csv

    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    assert [row[:3] for row in rows] == [["note", "left", "right"], ['a, "b"', "Asthma", "rs1"], ["NA", "🫁 \u202eabc|x", "two\nlines"]]
    assert counts == {"scored": 2}


def test_a_file_without_the_columns_says_which(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    (tmp_path / "p.tsv").write_text("a\tright\nx\ty\n")
    with pytest.raises(SourceError, match="column 'left' is missing"):
        score_pairs(tmp_path / "p.tsv", tmp_path / "out.tsv", scorer)


def test_evidence_lists_texts_by_variant_and_by_block_and_is_read_as_written(tmp_path: Path) -> None:
    evidence = small(tmp_path).evidence
    assert evidence is not None
    evidence.save(tmp_path)
    read = Evidence.load(tmp_path)
    assert read is not None
    assert (list(read.texts), list(read.snps)) == (["Asthma", "Gout"], ["dbsnp:rs1", "dbsnp:rs2", "dbsnp:rs3", "dbsnp:rs4"])
    lists = {level: [found.units.tolist(), found.members.tolist(), found.starts.tolist()] for level, found in read.by.items()}
    assert lists == {
        "snp": [[0, 1, 2, 3], [0, 0, 1], [0, 1, 2, 3, 3]],
        "block": [[0, 0, -1, 0], [0], [0, 1]],
        "region": [[-1] * 4, [], [0]],
    }
    assert (read.snp_degrees.tolist(), read.text_degrees.tolist()) == ([1, 1, 1, 0], [2, 1])


def test_a_region_reaches_into_the_two_beside_it() -> None:
    task = Task("gwas", np.array([0, 1, 2, 0]), np.array([0, 1, 2, 3]), np.ones(4, dtype=np.float32), right_kind="snp")
    data = TrainingData(["a", "b", "c"], ["rs1", "rs2", "rs3", "rs4"], np.full(4, -1), [task])
    regions = {"rs1": ("1", 7), "rs2": ("1", 8), "rs3": ("2", 8), "rs5": ("1", 9)}
    by_region = Evidence.of(data, regions=regions, more=[("c", "rs5")]).by["region"]
    assert by_region.units.tolist() == [0, 1, 2, -1, 3]
    assert [by_region.members[a:b].tolist() for a, b in pairwise(by_region.starts)] == [[0, 1], [0, 1, 2], [2], [1, 2]]


def test_what_was_kept_from_training_comes_after_what_was_not(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    evidence = Evidence.of(build_pairs(tmp_path).data, more=[("Gout", "dbsnp:rs1"), ("Acne", "dbsnp:rs9")])
    assert (list(evidence.texts), list(evidence.snps)) == (["Asthma", "Gout", "Acne"], [*scorer.model.snp_ids, "dbsnp:rs9"])
    assert evidence.snp_degrees.tolist() == [2, 1, 1, 0, 1]


def test_texts_of_the_same_loci_are_close_whatever_their_wording(tmp_path: Path) -> None:
    rows = [association(text, locus) for locus in range(1, 9) for text in (("A", "B") if locus % 2 else ("C", "D"))]
    write(tmp_path, variants=[variant(locus) for locus in range(1, 9)], associations=rows)
    vectors = Evidence.of(build_pairs(tmp_path).data).association_vectors
    np.testing.assert_allclose(vectors @ vectors.T, np.kron(np.eye(2), np.ones((2, 2))), atol=1e-5)


def test_evidence_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    evidence = small(tmp_path).evidence
    assert evidence is not None
    evidence.save(tmp_path)
    (tmp_path / "evidence.json").write_text('{"texts": [], "snps": []}')
    with pytest.raises(ModelError, match="do not fit each other"):
        Evidence.load(tmp_path)


def some_weights(constant: float = 0.0, **of: float) -> Ranking:
    """Give linear networks: what a part adds is the same whatever the others are."""
    weights = {name: of.get(name.replace(": ", "_").replace(" ", "_"), 0.0) for name in FEATURES}
    told = sorted(part for part in PARTS if part != EFFECT)
    subsets = [parts for size in range(1, len(told) + 1) for parts in combinations(told, size)]
    return Ranking({"+".join(parts): Network(constant, _only(weights, parts)) for parts in subsets}, 0.02, 99)


def _only(weights: dict[str, float], parts: tuple[str, ...]) -> list[float]:
    return [weight if any(name in PARTS[part] for part in parts) else 0.0 for name, weight in weights.items()]


def test_no_evidence_is_none_and_no_ranking_is_the_cosine(tmp_path: Path) -> None:
    assert Evidence.load(tmp_path) is None
    assert Ranking.load(tmp_path) == Ranking()
    some_weights(similarity=1.5).save(tmp_path)
    assert Ranking.load(tmp_path) == some_weights(similarity=1.5)


def test_a_ranking_of_an_earlier_version_asks_for_another_training(tmp_path: Path) -> None:
    (tmp_path / "ranking.json").write_text('{"direct_weight": 0.0}')
    with pytest.raises(ModelError, match="earlier version"):
        Ranking.load(tmp_path)


def test_the_score_of_a_linear_network_is_a_weighted_sum_and_its_parts_add_up(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    scorer.ranking = some_weights(similarity=1.0, snp_best_cosine=2.0, block_best_cosine=4.0, text_SNPs=1.0, snp_texts=8.0)
    pairs: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] = (np.zeros(3, dtype=np.int64), np.array([0, 2, 3]))
    similarity, score = scorer.text_snp(["Asthma"], *pairs)
    gout = float((unit_rows(ENCODER.encode(["Asthma"])) @ unit_rows(ENCODER.encode(["Gout"])).T)[0, 0])
    added = scorer.contributions(["Asthma"], *pairs)
    np.testing.assert_allclose(added["similarity"], similarity, atol=1e-5)
    np.testing.assert_allclose(added["neighbours"], [2 + 4, 2 * gout, 4], atol=1e-5)
    np.testing.assert_allclose(added["degree"], np.log([3, 3, 3]) + 8 * np.log([2, 2, 1]), atol=1e-5)
    np.testing.assert_allclose(score, sum(added.values()), atol=1e-5)


def test_what_parts_add_sums_to_the_score_of_networks_that_are_not_linear() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(50, len(FEATURES))).astype(np.float32)
    inner = {"inward": random.normal(size=(4, len(FEATURES))).tolist(), "biases": [0.1] * 4, "outward": random.normal(size=4).tolist()}
    linear = some_weights(0.5, similarity=1.0, text_SNPs=2.0)
    ranking = Ranking({key: replace(network, **inner) for key, network in linear.networks.items()})
    ranking = replace(ranking, strength=2.0, sizes=[[0.5, 2.0], [0.5, 2.0]])
    for parts in (("similarity",), ("neighbours", "degree"), ("effect",), ("degree", "effect"), tuple(PARTS)):
        added = ranking.contributions(features, parts)
        assert sorted(added) == sorted(parts)
        np.testing.assert_allclose(sum(added.values()), ranking.score(features, parts), atol=1e-4)
    assert not replace(ranking, strength=0.0).contributions(features)["effect"].any()
    slow = np.tanh(features @ np.array(inner["inward"]).T + 0.1) @ np.array(inner["outward"]) + 0.5 + features[:, 0]
    np.testing.assert_allclose(ranking.score(features, ("similarity",)), slow, atol=1e-4)


def test_a_part_that_is_switched_off_leaves_a_network_of_its_own(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    scorer.ranking, scorer.parts = some_weights(0.25, similarity=2.0, snp_best_cosine=2.0), ("similarity",)
    similarity, score = scorer.text_snp(["Asthma"], np.zeros(2, dtype=np.int64), np.array([0, 2]))
    np.testing.assert_allclose(score, 0.25 + 2 * similarity, atol=1e-6)
    (tmp_path / "pairs.tsv").write_text("left\tright\nAsthma\trs1\nAsthma\tGout\n\tGout\n")
    score_pairs(tmp_path / "pairs.tsv", tmp_path / "out.tsv", scorer, parts=True)
    rows = [line.split("\t")[2:] for line in (tmp_path / "out.tsv").read_text().splitlines()]
    assert rows[0] == ["similarity", "score", "reason", "part_similarity"]
    assert [row[3] for row in rows[1:]] == [f"{0.25 + 2 * similarity[0]:.6f}", "", ""]


def test_a_variant_without_a_vector_has_the_score_of_what_is_near_it(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    regions = {"dbsnp:rs1": ("1", 7), "dbsnp:rs5": ("1", 8), "dbsnp:rs6": ("1", 9), "dbsnp:rs7": ("2", 7)}
    evidence = Evidence.of(build_pairs(tmp_path).data, regions=regions)
    assert evidence.beyond(scorer.model.snp_rows) == ["dbsnp:rs5"]
    scorer = Scorer(scorer.model, scorer.encode, evidence=evidence, ranking=some_weights(similarity=1.0, region_best_cosine=2.0))
    rows = scored(tmp_path, "left\tright\nrs5\tAsthma\nrs1\tAsthma\nrs5\trs1\nrs6\tAsthma\n", scorer)
    assert [row[2:] for row in rows[1:]] == [
        ["", "2.000000", NEARBY],
        [rows[2][2], f"{float(rows[2][2]) + 2:.6f}", ""],
        ["", "", "no vector of a SNP"],
        ["", "", "rs6: no association in training, nor a locus that has one"],
    ]
    scorer.parts = ("similarity",)
    assert scored(tmp_path, "left\tright\nrs5\tAsthma\n", scorer)[1][2:] == ["", "", "no vector of a SNP"]


def test_a_new_text_takes_association_and_degree_of_the_known_text_that_is_nearest(tmp_path: Path) -> None:
    evidence = small(tmp_path).evidence
    assert evidence is not None
    signals = Signals(small(tmp_path).model, ENCODER.encode, evidence)
    rows = signals(["Asthma", "asthma"], np.array([0, 1]), np.array([0, 0]))
    np.testing.assert_allclose(rows[1], rows[0], atol=2e-3)


def test_kin_equal_a_slow_version_in_every_portion() -> None:
    random = np.random.default_rng(0)
    asked, known = unit_rows(random.normal(size=(700, 6))), unit_rows(random.normal(size=(30, 6)))
    levels, slow = [], []
    text = random.integers(0, 700, 3000)
    for _ in range(2):
        lists = [random.integers(0, 30, random.integers(0, 5)) for _ in range(20)]
        owner = random.integers(-1, 20, 3000)
        levels.append((owner, Lists(owner, np.concatenate(lists), np.cumsum([0, *map(len, lists)]))))
        cosines = [asked[t] @ known[lists[o]].T if o >= 0 else np.empty(0) for t, o in zip(text, owner, strict=True)]
        slow += [[max(c, default=0.0) for c in cosines], [np.log1p(np.exp(SHARPNESS * (c - 1)).sum()) for c in cosines]]
    np.testing.assert_allclose(_kin(((asked, known),), text, levels), np.array(slow).T, atol=1e-5)
    # one SNP with many texts, one text twice: its levels have a way of their own
    text = np.append(np.arange(699), 3)
    alone = [(np.full(700, one), lists) for one, (_, lists) in zip((4, -1), levels, strict=True)]
    each = [_kin(((asked, known),), text[row : row + 1], [(owner[:1], lists) for owner, lists in alone]) for row in range(700)]
    np.testing.assert_allclose(_kin(((asked, known),), text, alone), np.concatenate(each), atol=1e-5)
    mates = [(np.where(np.arange(700) < 350, 4, 5), levels[0][1])]
    apart = [_kin(((asked, known),), text[rows], [(mates[0][0][rows], levels[0][1])]) for rows in (slice(0, 350), slice(350, 700))]
    np.testing.assert_allclose(_kin(((asked, known),), text, mates), np.concatenate(apart), atol=1e-5)


FAMILIES = ("asthma wheeze", "kidney stones", "heart failure", "skin melanoma", "bone density", "eye colour")


def world(folder: Path, n_loci: int = 120) -> tuple[Scorer, Path]:
    """Each locus has two mates and three traits of one family, worded alike."""
    rows, variants = [], []
    for locus in range(n_loci):
        family = FAMILIES[locus % len(FAMILIES)]
        variants += [variant(10 * locus + mate + 1, f"ld:1:{locus}", locus_span=1000) for mate in (0, 1)]
        rows += [association(f"{family} {kind}", 10 * locus + mate + 1) for mate in (0, 1) for kind in ("early", "late", "severe")]
    write(folder, variants=variants, associations=rows)
    split = split_snp_traits(table("associations", rows), table("variants", variants), share=0.2, development=0.2)
    data = build_pairs(folder, snp_traits=split).data
    model = centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER)
    scorer = Scorer(model, ENCODER.encode, evidence=Evidence.of(data))
    return scorer, folder


def test_held_out_pairs_stand_out_where_traits_are_worded_alike_and_degree_says_nothing(tmp_path: Path) -> None:
    scorer, folder = world(tmp_path)
    split = split_snp_traits(tables.read(folder, "associations"), tables.read(folder, "variants"), share=0.2, development=0.2)
    figures = evaluate_snp_traits(scorer, split, folder)
    assert figures["held_out_pairs"] == (split["part"] == "test").sum() >= figures["pairs_with_a_vector"] > 50
    assert min(figures["auc_trait"], figures["auc_snp"], figures["auc_trait_matched"]) > 0.95
    assert max(abs(figures["auc_trait_degree"] - 0.5), abs(figures["auc_snp_degree"] - 0.5)) < 0.35
    assert figures["auc_snp_low"] <= figures["auc_snp"] <= figures["auc_snp_high"]
    assert figures["mrr"] > 0.3
    assert evaluate_snp_traits(scorer, split, folder) == figures


def fitted(scorer: Scorer, split: pd.DataFrame, folder: Path) -> Ranking:
    assert scorer.signals is not None
    return fit_ranking(scorer.signals, scorer.world(folder), split)


def test_the_score_is_the_cosine_where_more_does_not_help(tmp_path: Path) -> None:
    scorer, folder = world(tmp_path)
    split = split_snp_traits(tables.read(folder, "associations"), tables.read(folder, "variants"), share=0.2, development=0.2)
    ranking = fitted(scorer, split, folder)
    assert ranking.networks == {}
    assert ranking.n_pairs > 50


def test_neighbours_count_where_the_cosine_says_nothing(tmp_path: Path) -> None:
    scorer, folder = world(tmp_path)
    split = split_snp_traits(tables.read(folder, "associations"), tables.read(folder, "variants"), share=0.2, development=0.2)
    vectors = np.array(scorer.model.snp_vectors)
    np.random.default_rng(0).shuffle(vectors)
    scorer = Scorer(replace(scorer.model, snp_vectors=vectors), ENCODER.encode, evidence=scorer.evidence)
    ranking = fitted(scorer, split, folder)
    assert len(ranking.networks) == 2 ** (len(PARTS) - 1) - 1  # the effect comes on top
    assert ranking.gain > 0.2
    assert fitted(scorer, split, folder) == ranking


def test_rivals_are_the_alike_and_the_near_but_nothing_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, folder = world(tmp_path)
    split = split_snp_traits(tables.read(folder, "associations"), tables.read(folder, "variants"), share=0.2, development=0.2)
    known, signals = scorer.world(folder), scorer.signals
    assert signals is not None
    asked: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    of_known = signals.of_known
    monkeypatch.setattr(signals, "of_known", lambda text, snp: asked.append((text, snp)) or of_known(text, snp))
    draws = list(drawn(known, split, 0).values())
    rivals = rivals_of(signals, known, draws, seed=0)
    assert rivals is not None
    (text, snp), first = asked[0], rivals.starts[:-1]
    held = {pair for of in draws for pair in zip(*(side.tolist() for side in of.positive), strict=True)}
    assert {*zip(text[first].tolist(), snp[first].tolist(), strict=True)} <= held
    others = np.delete(np.arange(len(text)), first)
    assert len(others) > 50
    assert not known.known(text[others], snp[others]).any()
    # a locus has three traits at most, and so few texts that all others are rivals
    assert np.diff(rivals.starts).min() >= len(signals.evidence.texts) - 3


def test_single_pairs_are_held_out_beside_the_loci_and_none_twice(tmp_path: Path) -> None:
    _, folder = world(tmp_path)
    associations, variants = tables.read(folder, "associations"), tables.read(folder, "variants")
    split = split_snp_traits(associations, variants, share=0.2, development=0.2)
    more = with_single_pairs(split, folder)
    new = more[len(split) :]
    assert more[: len(split)].equals(split)
    assert set(new["part"]) == {"development by pair"}
    assert not more.duplicated(["object_id", "variant_id"]).any()


def test_without_a_held_out_pair_that_has_a_vector_nothing_is_claimed(tmp_path: Path) -> None:
    scorer = small(tmp_path)
    split = split_snp_traits(tables.read(tmp_path, "associations"), tables.read(tmp_path, "variants"), share=0.0, development=0.0)
    assert evaluate_snp_traits(scorer, split, tmp_path) == {"held_out_pairs": 0, "scored_pairs": 0}
    assert fitted(scorer, split, tmp_path).n_pairs == 0


def test_a_negative_is_never_known_nor_a_mate_nor_a_relative(tmp_path: Path) -> None:
    rows = [association("Diabetes", 1, "EFO:1"), association("Type 2 diabetes", 3, "EFO:2"), association("Gout", 4, "EFO:3")]
    variants = [variant(1, "ld:1:1"), variant(2, "ld:1:1"), variant(3), variant(4)]
    concepts = [concept("EFO:1", "diabetes"), concept("EFO:2", "type 2 diabetes mellitus"), concept("EFO:3", "gout")]
    is_a = [{"subject_id": "EFO:2", "predicate": "IS_A", "object_id": "EFO:1"}]
    write(tmp_path, concepts=concepts, relations=is_a, variants=variants, associations=rows)
    data = build_pairs(tmp_path).data
    evidence = Evidence.of(data)
    known_world = World.of(centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER), evidence, tmp_path)
    text = {name: number for number, name in enumerate(evidence.texts)}
    cases = [
        ("Type 2 diabetes", 2),
        ("Diabetes", 2),
        ("type 2 diabetes mellitus", 1),
        ("Diabetes", 3),
        ("Gout", 1),
        ("Gout", 3),
        ("diabetes", 4),
    ]
    rows_of = {snp: row for row, snp in enumerate(data.snps)}
    known = known_world.known(np.array([text[t] for t, _ in cases]), np.array([rows_of[f"dbsnp:rs{n}"] for _, n in cases]))
    assert known.tolist() == [True, True, True, True, False, False, False]


def test_degree_bins_are_fine_for_small_and_coarse_for_large_degrees() -> None:
    assert _degree_bins(np.array([0, 1, 7, 8, 1000, 1040])).tolist() == [0, 1, 7, 8, 63, 64]


def test_an_interval_resamples_units_not_pairs() -> None:
    values = np.array([0.0, 1.0] * 50)
    one_unit_each = interval(values, np.arange(100))
    two_units = interval(values, np.array(["a", "b"] * 50))
    assert one_unit_each[1] - one_unit_each[0] < 0.25
    assert two_units == (0.0, 1.0)


def test_evidence_of_no_pairs_is_empty() -> None:
    data = TrainingData(
        ["a"], ["dbsnp:rs1"], np.array([-1]), [Task("synonyms", np.array([0]), np.array([0]), np.ones(1, dtype=np.float32))]
    )
    evidence = Evidence.of(data)
    assert (list(evidence.texts), evidence.by["snp"].starts.tolist(), evidence.association_vectors.shape) == ([], [0, 0], (0, 1))


def test_from_tables_to_scores_no_torch_is_loaded(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / "pairs.tsv").write_text("left\tright\nAsthma\trs1\n")
    code = f"""
import sys, pathlib
from embedder import EncoderSpec, centroid_model, open_encoder
from kgbuild import pairs, scoring, splits, tables, vectors
from kgbuild.evaluation.snp_traits import evaluate_snp_traits
from kgbuild.evidence import Evidence, Lists
folder = pathlib.Path({str(tmp_path)!r})
split = splits.split_snp_traits(tables.read(folder, "associations"), tables.read(folder, "variants"))
data = pairs.build_pairs(folder, snp_traits=split, mappings=splits.split_mappings(tables.read(folder, "mappings"))).data
encoder, cache = open_encoder(EncoderSpec("hashed")), vectors.VectorCache(folder / "cache")
encode = lambda texts: vectors.encode_texts(texts, encoder, cache)
scorer = scoring.Scorer(centroid_model(data, encode(data.texts), encoder=encoder), encode, evidence=Evidence.of(data))
evaluate_snp_traits(scorer, split, folder)
print(scoring.score_pairs(folder / "pairs.tsv", folder / "scored.tsv", scorer, tables_dir=folder))
print([name for name in ("torch", "transformers", "sklearn", "faiss") if name in sys.modules])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[1] == "[]"
