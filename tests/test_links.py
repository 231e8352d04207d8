"""What curators said wins, what they rejected is blocked, what is held out is hidden; a list is answered best first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from small_terms import embed, organ_gold, organ_terms, subjects, terms

from kgbuild.calibration import Calibration, fit, gold_pairs
from kgbuild.features import FEATURES
from kgbuild.links import NO_TERM, link, map_texts
from kgbuild.vocabulary import text_id

XREFS = pd.DataFrame({"subject_id": [], "predicate": [], "object_id": []}, dtype=object)
MAPPINGS = pd.DataFrame(
    {name: [] for name in ("subject_id", "subject_label", "vocabulary", "predicate", "object_id", "judged", "use", "set", "source")},
    dtype=object,
).assign(line=0)
DIABETES = terms(
    {"MONDO:1": ["type 1 diabetes"], "MONDO:2": ["type 2 diabetes", "diabetes mellitus type 2"], "EFO:9": ["asthma"], "HP:9": ["asthma"]},
    ["Disease", "Disease", "Disease", "Phenotype"],
)


def curated(subject: str, object_: str, predicate: str = "unspecified", judged: str = "valid", use: str = "fit") -> dict[str, Any]:
    return {
        "subject_id": subject, "subject_label": "x", "vocabulary": "icd10", "predicate": predicate, "object_id": object_,
        "judged": judged, "use": use, "set": "s", "source": "gold", "line": 7,
    }  # fmt: skip


def linked(
    name: str,
    *mappings: dict[str, Any],
    id_: str = "icd10:X",
    xrefs: Sequence[tuple[str, str, str]] = (),
    calibration: Calibration | None = None,
    decided: Sequence[tuple[str, str, str]] = (),
) -> dict[str, dict[str, Any]]:
    table = link(
        subjects({id_: (name, "icd10" if id_.startswith("icd10") else "primekg")}),
        DIABETES,
        mappings=pd.DataFrame(mappings) if mappings else MAPPINGS,
        xrefs=pd.DataFrame(xrefs, columns=XREFS.columns) if xrefs else XREFS,
        calibration=calibration,
        decisions=pd.DataFrame(
            [(*row, "a name", f"decisions:{line}") for line, row in enumerate(decided, 8)],
            columns=["subject_id", "object_id", "decided", "object_name", "cited"],
            dtype=object,
        ),
    )
    return {row["object_id"]: row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    made = fit(gold_pairs(pd.DataFrame(organ_gold()), organ_terms(), embed, absent=0.2, repeat_absent=True), encoder="hashed")
    assert made is not None
    return made


def test_uncalibrated_only_equal_names_are_accepted_and_a_disease_wins_a_tie_for_a_code() -> None:
    found = linked("Asthma")
    assert {id_: row["decision"] for id_, row in found.items()} == {
        "EFO:9": "accept",
        "HP:9": "review",
        "MONDO:1": "reject",
        "MONDO:2": "reject",
    }
    assert (found["EFO:9"]["predicate"], found["EFO:9"]["p_same"], found["EFO:9"]["calibration"]) == ("exact", None, "uncalibrated")
    assert found["EFO:9"]["justification"] == "semapv:LexicalMatching"


def test_uncalibrated_alike_names_go_to_review_at_most() -> None:
    assert {row["decision"] for row in linked("Type 2 diabetes, childhood").values()} == {"review", "reject"}


def test_an_exact_curated_link_is_certain_and_cites_its_row() -> None:
    row = linked("NIDDM", curated("icd10:X", "MONDO:2", "exact"))["MONDO:2"]
    assert (row["rank"], row["predicate"], row["decision"], row["p_target"], row["p_same"]) == (1, "exact", "accept", 1.0, 1.0)
    assert (row["justification"], row["calibration"], row["evidence"][0]) == ("semapv:ManualMappingCuration", "curated", "gold:7")


def test_a_curated_link_that_says_no_more_is_exact_only_for_equal_names() -> None:
    assert linked("Asthma", curated("icd10:X", "EFO:9"))["EFO:9"]["predicate"] == "exact"
    other = linked("Other asthma", curated("icd10:X", "EFO:9"))["EFO:9"]
    assert (other["predicate"], other["decision"], other["p_same"]) == ("broad", "accept", 0.0)


def test_a_curated_link_wins_over_a_predicted_one() -> None:
    found = linked("Asthma", curated("icd10:X", "MONDO:2", "broad"))
    assert (found["MONDO:2"]["decision"], found["EFO:9"]["decision"]) == ("accept", "review")


def test_a_rejected_link_is_blocked_and_said_to_be() -> None:
    row = linked("Asthma", curated("icd10:X", "EFO:9", judged="invalid"))["EFO:9"]
    assert (row["predicate"], row["decision"], row["p_same"]) == ("not", "reject", 0.0)


def test_nothing_known_of_a_held_out_subject_is_used() -> None:
    xrefs = [("MONDO:1", "xref", "icd10:X")]
    hidden = linked("Asthma", curated("icd10:X", "MONDO:1", "exact"), curated("icd10:X", "MONDO:1", "exact", use="evaluate"), xrefs=xrefs)
    assert hidden == linked("Asthma")


def test_an_id_that_a_term_replaced_is_the_term() -> None:
    row = linked("something else", id_="MONDO:0", xrefs=[("MONDO:0", "replaced_by", "EFO:9")])["EFO:9"]
    assert (row["predicate"], row["decision"], row["justification"], row["p_same"]) == ("exact", "accept", "semapv:MappingChaining", 1.0)


def test_two_ontologies_that_cite_each_other_alone_mean_the_same_and_a_shared_citation_proves_nothing() -> None:
    alone, shared = ("EFO:9", "xref", "MONDO:0"), ("MONDO:1", "xref", "MONDO:0")
    assert linked("wheeze", id_="MONDO:0", xrefs=[alone])["EFO:9"]["decision"] == "accept"
    assert linked("wheeze", id_="MONDO:0", xrefs=[alone, shared])["EFO:9"]["decision"] != "accept"


def test_a_code_and_the_one_term_that_cites_it_still_need_names_that_agree(calibration: Calibration) -> None:
    xrefs = [("MONDO:1", "xref", "icd10:X")]
    assert linked("Diabetes, type 2", xrefs=xrefs, calibration=calibration)["MONDO:1"]["predicate"] != "exact"
    assert linked("Type 1 diabetes", xrefs=xrefs, calibration=calibration)["MONDO:1"]["predicate"] == "exact"


def test_calibrated_links_come_by_p_target_and_same_is_likelier_than_target_only_for_the_one_term_of_that_name(
    calibration: Calibration,
) -> None:
    sceptical = replace(calibration, named=0.999)
    rows = list(linked("Type 2 diabetes", calibration=sceptical).values())
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["p_target"] for row in rows] == sorted((row["p_target"] for row in rows), reverse=True)
    alone = [any(line.startswith("alone=1") for line in row["evidence"]) for row in rows]
    assert alone == [True, False, False, False]
    assert all(row["p_same"] <= row["p_target"] for row in rows[1:])
    assert rows[0]["object_id"] == "MONDO:2"


@pytest.mark.parametrize("name", ["Other specified type 2 diabetes", "Type 2 diabetes (age of onset)", "Type 2 diabetes NEC"])
def test_a_residual_or_qualified_text_is_never_the_same_as_what_it_names(name: str, calibration: Calibration) -> None:
    assert all(row["p_same"] <= 0.05 and row["predicate"] != "exact" for row in linked(name, calibration=calibration).values())


def test_a_text_that_names_several_terms_gets_each_for_review_with_how_they_are_put_together(calibration: Calibration) -> None:
    for fitted in (None, calibration):
        for name, kind, predicate in (
            ("Asthma or type 1 diabetes", "any", "narrow"),
            ("Type 1 and type 2 diabetes (MTAG)", "all", "broad"),
        ):
            found = linked(name, id_="text:X", calibration=fitted)
            parts = {id_ for id_, row in found.items() if f"composition={kind}" in row["evidence"]}
            assert parts == ({"MONDO:1", "EFO:9"} if kind == "any" else {"MONDO:1", "MONDO:2"})
            assert {found[id_]["predicate"] for id_ in parts} == {predicate}
            assert {found[id_]["decision"] for id_ in parts} <= {"review", "accept"}
            assert not any((row["p_same"] or 0) > 0.05 for id_, row in found.items() if id_ in parts)


def test_a_part_that_curators_filed_the_text_under_keeps_what_it_is_to_the_whole() -> None:
    found = linked("Asthma or type 1 diabetes", curated("icd10:X", "EFO:9"))
    assert (found["EFO:9"]["predicate"], found["EFO:9"]["decision"], found["EFO:9"]["p_same"]) == ("narrow", "accept", 0.0)


def test_and_in_the_name_of_a_code_means_one_or_another() -> None:
    found = linked("Type 1 and type 2 diabetes")
    assert found["MONDO:1"]["predicate"] == found["MONDO:2"]["predicate"] == "narrow"


def test_where_a_part_is_no_known_name_nothing_is_taken_apart() -> None:
    assert not any("composition" in line for row in linked("Asthma or feeling tired").values() for line in row["evidence"])


def test_curators_who_contradict_each_other_leave_the_link_to_a_person() -> None:
    row = linked("Asthma", curated("icd10:X", "EFO:9", "exact"), curated("icd10:X", "EFO:9", judged="invalid"))["EFO:9"]
    assert (row["decision"], row["justification"], row["calibration"]) == ("review", "semapv:ManualMappingCuration", "curated")


def test_a_list_gets_every_part_whatever_its_rank(calibration: Calibration) -> None:
    answers = map_texts(["Asthma or type 1 diabetes", "Asthma"], DIABETES, embed, calibration=calibration, top_k=1)
    parts = {answer["object_id"]: (answer["predicate_id"], answer["confidence"]) for answer in answers if answer["composition"] == "any"}
    assert parts == {"EFO:9": ("skos:narrowMatch", None), "MONDO:1": ("skos:narrowMatch", None)}


def test_a_grouped_node_is_not_the_same_as_its_namesake(calibration: Calibration) -> None:
    row = linked("asthma", id_="primekg.group:abc", calibration=calibration)["EFO:9"]
    assert row["predicate"] != "exact"
    assert row["p_same"] <= 0.05


def test_a_list_is_answered_in_its_order_best_first(calibration: Calibration) -> None:
    answers = map_texts(["Asthma", "Type 1 diabetes", "Asthma"], DIABETES, embed, calibration=calibration, top_k=2)
    assert [answer["subject_label"] for answer in answers] == ["Asthma"] * 2 + ["Type 1 diabetes"] * 2 + ["Asthma"] * 2
    assert [answer["object_label"] for answer in answers[::2]] == ["asthma", "type 1 diabetes", "asthma"]
    assert all(0 <= answer["confidence"] <= 1 and 0 <= answer["similarity_score"] <= 1 for answer in answers)


def test_only_what_is_held_the_same_is_written_as_exact_and_with_that_probability(calibration: Calibration) -> None:
    for answer in map_texts(["Asthma", "Other asthma", "Type 2 diabetes"], DIABETES, embed, calibration=calibration):
        exact = answer["predicate_id"] == "skos:exactMatch"
        assert exact == (answer["object_id"] != NO_TERM and answer["p_same"] >= 0.8)
        assert not exact or answer["confidence"] == answer["p_same"]


def test_none_of_these_is_an_answer(calibration: Calibration) -> None:
    first, *rest = map_texts(["Fear of flying"], organ_terms(), embed, calibration=calibration)
    assert (first["object_id"], first["decision"]) == (NO_TERM, "review")
    assert first["confidence"] == pytest.approx(1 - max(answer["p_target"] for answer in rest))


def test_what_is_known_of_the_code_of_a_text_counts() -> None:
    known = pd.DataFrame([curated("icd10:X", "MONDO:1", "exact"), curated(text_id("sugar"), "MONDO:2", "exact")])
    answers = map_texts(["Asthma", "sugar", "Asthma"], DIABETES, embed, codes=["icd10:X", None, None], mappings=known, top_k=1)
    assert [(answer["subject_id"], answer["object_id"], answer["decision"]) for answer in answers] == [
        ("icd10:X", "MONDO:1", "accept"), (text_id("sugar"), "MONDO:2", "accept"), (text_id("Asthma"), "EFO:9", "accept"),
    ]  # fmt: skip


def test_a_decision_wins_over_curators_and_predictions_and_cites_its_line(calibration: Calibration) -> None:
    gold = [curated("icd10:X", "EFO:9", "exact"), curated("icd10:X", "MONDO:1", "exact"), curated("icd10:X", "MONDO:2", judged="invalid")]
    found = linked("Asthma", *gold, decided=[("icd10:X", "EFO:9", "not"), ("icd10:X", "MONDO:2", "exact")], calibration=calibration)
    told = {id_: (row["rank"], row["predicate"], row["decision"], row["calibration"]) for id_, row in found.items() if id_ != "HP:9"}
    assert told == {
        "MONDO:2": (1, "exact", "accept", "decision"),
        "MONDO:1": (2, "exact", "review", "curated"),
        "EFO:9": (told["EFO:9"][0], "not", "reject", "decision"),
    }
    assert found["MONDO:2"]["evidence"][:2] == ["decisions:9", "gold:7"]
    assert (found["MONDO:2"]["p_same"], found["EFO:9"]["p_same"], found["EFO:9"]["p_target"]) == (1.0, 0.0, 0.0)


def test_a_broader_term_that_somebody_decided_on_leaves_the_curators_exact_one() -> None:
    found = linked("Asthma", curated("icd10:X", "EFO:9", "exact"), decided=[("icd10:X", "MONDO:1", "broad")])
    assert {id_: (row["predicate"], row["decision"]) for id_, row in found.items() if row["decision"] == "accept"} == {
        "EFO:9": ("exact", "accept"),
        "MONDO:1": ("broad", "accept"),
    }


def test_where_somebody_said_that_no_term_fits_nothing_is_left() -> None:
    found = linked("Asthma", curated("icd10:X", "MONDO:1", "exact"), decided=[("icd10:X", NO_TERM, "exact")])
    assert {row["decision"] for row in found.values()} == {"reject"}
    assert {row["predicate"] for id_, row in found.items() if id_ in {"EFO:9", "MONDO:1"}} == {"not"}


def test_a_decision_counts_for_a_subject_that_is_held_out() -> None:
    held_out = curated("icd10:X", "MONDO:1", "exact", use="evaluate")
    assert linked("Asthma", held_out, decided=[("icd10:X", "MONDO:2", "exact")])["MONDO:2"]["decision"] == "accept"


def test_a_decision_on_two_codes_is_a_link_that_nobody_measured() -> None:
    row = linked("Asthma", decided=[("icd10:X", "icd9cm:493", "not")])["icd9cm:493"]
    assert (row["rank"], row["predicate"], row["decision"], row["similarity"], row["p_same"]) == (0, "not", "reject", None, 0.0)


def test_decisions_count_for_a_person_s_own_list() -> None:
    decided = pd.DataFrame(
        [(text_id("Asthma"), "EFO:9", "not", "", "decisions:2"), (text_id("sugar"), "MONDO:2", "exact", "", "decisions:3")],
        columns=["subject_id", "object_id", "decided", "object_name", "cited"],
    )
    answers = map_texts(["Asthma", "sugar"], DIABETES, embed, decisions=decided)
    told = {(a["subject_label"], a["object_id"]): (a["decision"], a["predicate_modifier"], a["confidence"]) for a in answers}
    assert told["Asthma", "EFO:9"] == ("reject", "Not", None)
    assert told["sugar", "MONDO:2"] == ("accept", None, None)


def test_a_link_lists_its_weightiest_features_with_what_they_add(calibration: Calibration) -> None:
    found = linked("Type 2 diabetes", calibration=calibration)
    weighed = [re.fullmatch(r"(\w+)=(\S+) \(([+-]\d+\.\d\d)\)", line) for line in found["MONDO:2"]["evidence"]]
    weights = [abs(float(match[3])) for match in weighed if match]
    assert len(weights) == 5
    assert weights == sorted(weights, reverse=True)
    assert all(match[1] in FEATURES for match in weighed if match)
