"""Probabilities come from gold, out of fold, and keep to what residual texts and contradictions allow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_terms import embed, organ_gold, organ_terms, subjects, terms

from kgbuild import calibration
from kgbuild.calibration import (
    MIN_GOLD,
    NEVER,
    RISING,
    Calibration,
    GoldPairs,
    choice_logits,
    citations_of,
    cited_codes,
    default_calibration,
    fit,
    gold_pairs,
    logits_out_of_fold,
    probabilities_out_of_fold,
)
from kgbuild.features import FEATURES, measure
from kgbuild.neighbours import candidates
from kgbuild.retrieval import with_pairs


@pytest.fixture(scope="module")
def gold() -> GoldPairs:
    return gold_pairs(pd.DataFrame(organ_gold()), organ_terms(), embed, absent=0.2, repeat_absent=True)


@pytest.fixture(scope="module")
def fitted(gold: GoldPairs) -> Calibration:
    made = fit(gold, encoder="hashed")
    assert made is not None
    return made


def test_gold_shows_a_fifth_twice_once_without_the_right_term(gold: GoldPairs) -> None:
    right = gold.pairs.groupby("subject")["right"].any().reindex(range(len(gold.sets)), fill_value=False).to_numpy()
    assert 500 < len(gold.sets) < 620
    assert not right[gold.absent].any()
    assert right[~gold.absent].mean() > 0.95


def test_what_shares_a_target_or_a_text_is_in_one_component(gold: GoldPairs) -> None:
    of_target: dict[frozenset[str], set[int]] = {}
    for targets, component in zip(gold.targets, gold.components, strict=True):
        of_target.setdefault(targets, set()).add(int(component))
    assert all(len(components) == 1 for components in of_target.values())


def test_out_of_fold_probabilities_tell_right_from_wrong(gold: GoldPairs) -> None:
    p, right = probabilities_out_of_fold(gold, logits_out_of_fold(gold)), gold.pairs["right"].to_numpy()
    assert ((p >= 0) & (p <= 1)).all()
    assert p[right].mean() > 0.6 > 0.05 > p[~right].mean()


def test_the_same_gold_gives_the_same_fit(gold: GoldPairs, fitted: Calibration) -> None:
    again = fit(gold, encoder="hashed")
    assert again is not None
    assert again.to_json() == fitted.to_json()


def test_a_fit_survives_being_written(gold: GoldPairs, fitted: Calibration) -> None:
    read = Calibration.from_json(fitted.to_json())
    vocabularies = gold.vocabularies[gold.pairs["subject"].to_numpy()]
    assert np.array_equal(read.p_target(gold.pairs, gold.features, vocabularies), fitted.p_target(gold.pairs, gold.features, vocabularies))
    assert read.to_json() == fitted.to_json()


def test_a_fit_for_other_features_is_refused(fitted: Calibration) -> None:
    with pytest.raises(ValueError, match="fit it again"):
        Calibration.from_json(fitted.to_json().replace('"label_tfidf"', '"other"', 1))


def test_chances_of_a_choice_are_those_of_a_softmax_with_one_more_that_is_worth_nothing() -> None:
    utility, subject = np.random.default_rng(0).normal(size=9) * 3, np.array([0, 0, 0, 1, 2, 2, 2, 2, 5])
    for number in set(subject):
        own = np.exp(utility[subject == number])
        p = own / (1 + own.sum())
        assert np.allclose(choice_logits(utility, subject)[subject == number], np.log(p / (1 - p)))


def test_a_fifth_of_those_drawn_from_a_large_set_lack_their_term() -> None:
    few = gold_pairs(pd.DataFrame(organ_gold()), organ_terms(), embed, absent=0.2, repeat_absent=True, most=60)
    shown_once = ~few.absent
    assert shown_once.sum() == 120  # of two sets
    assert 10 <= few.absent.sum() <= 38  # 24 are expected


def test_of_a_large_set_of_curators_some_subjects_are_drawn_whatever_the_others_are() -> None:
    rows = pd.DataFrame(organ_gold())
    some = gold_pairs(rows, organ_terms(), embed, most=50)
    fewer = gold_pairs(rows[rows["subject_label"] != some.subjects.names.texts[0]], organ_terms(), embed, most=50)
    assert len(some.sets) == 50 * rows["set"].nunique()
    assert len(set(some.subjects.names.texts) - set(fewer.subjects.names.texts)) == 1


def test_that_names_agree_is_never_a_reason_against_a_term(fitted: Calibration) -> None:
    rows = pd.DataFrame(organ_gold()[3::4] * 3).assign(object_id="EFO:0", set="perverse")  # all that is equal is filed elsewhere
    rows["subject_label"] = [
        f"{label} {'' if row < 120 else 'I' * (row // 120)}".strip() for row, label in enumerate(rows["subject_label"])
    ]
    made = fit(gold_pairs(rows, organ_terms(), embed), encoder="hashed", relations_from=fitted)
    assert made is not None
    weights = dict(zip(FEATURES, made.pairwise[""].coefficients, strict=True))
    assert [name for name in RISING if weights[name] < 0] == []
    assert min(weights.values()) < -0.1


def test_a_name_that_one_term_alone_has_is_the_same_thing_wherever_curators_file_it() -> None:
    made = Calibration("x", {}, {}, None, None, None, 0.98, {})  # type: ignore[arg-type]
    p = made.p_same(np.array([0.4, 0.4, 0.99]), np.array([0.95, 0.95, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert p.tolist() == pytest.approx([0.38, 0.931, 0.99])


def test_how_often_equal_names_are_the_same_is_learnt_where_curators_say_nothing_else(fitted: Calibration) -> None:
    rows = organ_gold()
    equal = [{**row, "set": "walk"} for row in rows[3::4]]
    equal[0]["object_id"] = "EFO:7"
    mixed = [row for row in rows if row["set"] == "curators 0"]
    made = fit(gold_pairs(pd.DataFrame(equal + mixed), organ_terms(), embed), encoder="hashed", relations_from=fitted)
    assert made is not None
    assert made.named == pytest.approx((len(equal) - 1 + 1) / (len(equal) + 2), abs=1e-6)


def test_a_narrower_target_is_told_from_a_broader_one() -> None:
    rows = pd.DataFrame(organ_gold())
    words = rows["subject_label"].str.startswith("Other")
    narrow = rows[~words].iloc[::3].assign(predicate="narrow", set="curators 1")
    narrow["subject_label"] = [label.split()[-1].removesuffix(",") + " disease" for label in narrow["subject_label"]]
    rows = pd.concat([rows[words].assign(set="curators 1"), rows[~words].assign(set="curators 1"), narrow])
    gold = gold_pairs(rows.drop_duplicates(["subject_label", "object_id"]), organ_terms(), embed)
    assert len(gold.sets) > MIN_GOLD
    made = fit(gold, encoder="hashed")
    assert made is not None
    said = gold.pairs["relation"].to_numpy()
    p = made.p_relation(gold.features)
    assert np.allclose(p.sum(axis=1), 1)
    for place, relation in enumerate(("exact", "broad", "narrow")):
        assert (p[said == relation].argmax(axis=1) == place).mean() > 0.9, relation


def test_too_little_gold_gives_no_fit() -> None:
    some = gold_pairs(pd.DataFrame(organ_gold()[:60]), organ_terms(), embed)
    assert fit(some, encoder="hashed") is None


def test_a_vocabulary_with_little_gold_has_the_common_fit_and_says_so(fitted: Calibration) -> None:
    assert fitted.name_for("text") == "workspace: text"
    assert fitted.name_for("icd9cm") == "workspace: all vocabularies"


def test_a_residual_text_and_a_contradiction_are_never_the_same(fitted: Calibration) -> None:
    left = subjects({"text:1": ("Other benign neoplasm of skin", "text"), "text:2": ("Acute inflammation, skin", "text")})
    pairs = candidates(left.names, organ_terms().names, 120)
    p = fitted.p_relation(measure(pairs, left, organ_terms()))[:, 0]
    named = pairs.assign(p=p, term=[organ_terms().names.texts[row] for row in pairs["target_name"]])
    residual = named[named["subject"] == 0]
    chronic = named[(named["subject"] == 1) & named["term"].str.contains("chronic")]
    assert (residual["p"] <= NEVER).all()
    assert len(chronic)
    assert (chronic["p"] <= NEVER).all()


def test_a_precision_seen_on_few_is_drawn_towards_what_the_probabilities_expect() -> None:
    few, many = (dict(calibration._curve(np.full(n, 0.8), np.ones(n), np.ones(n)))[0.5] for n in (40, 40_000))
    assert 0.78 < few < 0.84 < 0.99 < many < 1


def test_one_component_with_most_of_the_gold_leaves_a_threshold_for_what_is_the_same(gold: GoldPairs) -> None:
    places = np.arange(len(gold.sets))
    lumped = replace(gold, components=np.where(places % 3 < 2, 0, places))
    made = fit(lumped, encoder="hashed")
    assert made is not None
    assert made.same_threshold(0.5) < 1


def test_a_threshold_asks_more_for_a_higher_precision_and_is_out_of_reach_where_nothing_was_that_right() -> None:
    curve = ((0.3, 0.6), (0.5, 0.8), (0.7, 0.95))
    made = Calibration("x", {}, {}, None, None, None, 0.0, {"": curve, "text": ((0.3, 0.4),)})  # type: ignore[arg-type]
    assert [made.threshold("icd10", precision) for precision in (0.6, 0.9, 0.99)] == [0.3, 0.7, 2.0]
    assert made.threshold("text", 0.9) == 2.0


def test_cross_references_are_counted_both_ways() -> None:
    rows = [("EFO:1", "icd10:E11"), ("EFO:2", "icd10:E11"), ("EFO:3", "icd10:J45"), ("EFO:3", "icd10cm:J45"), ("EFO:3", "EFO:1")]
    xrefs = pd.DataFrame([(a, "xref", b) for a, b in rows], columns=["subject_id", "predicate", "object_id"])
    cited = cited_codes(xrefs, ["EFO:1", "EFO:2", "EFO:3"])
    assert cited[["subject_id", "object_id", "terms", "codes"]].values.tolist() == [
        ["icd10:E11", "EFO:1", 2, 1], ["icd10:E11", "EFO:2", 2, 1], ["icd10:J45", "EFO:3", 1, 1], ["icd10cm:J45", "EFO:3", 1, 1],
    ]  # fmt: skip


def test_a_term_that_cites_the_code_becomes_a_candidate_and_is_marked() -> None:
    left, right = subjects({"icd10:J45": ("Asthma", "icd10")}), terms({"EFO:1": ["asthma"], "EFO:2": ["wheezing"]})
    cited = pd.DataFrame({"subject_id": ["icd10:J45"], "object_id": ["EFO:2"], "terms": [1], "codes": [1]})
    pairs = with_pairs(candidates(left.names, right.names, 1), left.names, ["icd10:J45"], right.names, cited)
    marks = citations_of(pairs, ["icd10:J45"], right.names.ids, cited)
    assert pairs[["target", "asked_for"]].values.tolist() == [[0, False], [1, True]]
    assert marks["cited_one_to_one"].tolist() == [False, True]
    assert marks["other_cited"].tolist() == [True, False]


def test_the_shipped_fit_says_what_it_was_fitted_on_and_how_well_it_did() -> None:
    made = default_calibration()
    assert made.encoder == "minilm"
    assert sum(made.provenance["gold"].values()) > 10_000
    assert made.provenance["figures"]["held_out"]["as_is"]["all"]["ece"] < 0.08
