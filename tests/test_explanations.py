"""Two ids are explained from the tables: what is known of them, what was made of it, and what kept them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgbuild import merge, pipeline, tables
from kgbuild.errors import UsageError
from kgbuild.explanations import Explanation, explain
from kgbuild.workspace import Workspace

MANUAL, ALIKE = "semapv:ManualMappingCuration", "semapv:SemanticSimilarityThresholdMatching"
CONCEPTS = [
    ("EFO:1", "diabetes mellitus", "efo", "Disease", False),
    ("MONDO:1", "type 1 diabetes", "efo", "Disease", False),
    ("MONDO:2", "type 2 diabetes", "efo", "Disease", False),
    ("EFO:0", "type II diabetes", "efo", "Disease", True),
    ("icd10cm:E11", "Type 2 diabetes", "icd10cm", "ClinicalCode", False),
    ("icd10cm:E11.9", "Type 2 diabetes without complications", "icd10cm", "ClinicalCode", False),
    ("icd9cm:250.00", "Diabetes", "icd9cm", "ClinicalCode", False),
    ("phecode:250.2", "Type 2 diabetes", "phecode", "ClinicalCode", False),
    ("drugbank:1", "Metformin", "primekg", "Drug", False),
]
LINKS = [
    ("icd10cm:E11", "MONDO:2", 1, "exact", 0.98, 0.97, 0.95, "accept", ALIKE, "type 2 diabetes", "test", ["gold:3", "gap=0.2 (+1.10)"]),
    ("icd10cm:E11.9", "MONDO:2", 1, "exact", 0.9, 0.95, 0.92, "accept", ALIKE, "type 2 diabetes", "test", []),
    ("icd9cm:250.00", "MONDO:2", 1, "exact", 0.8, 0.7, 0.6, "accept", ALIKE, "type 2 diabetes", "test", []),
    ("icd9cm:250.00", "MONDO:1", 2, "not", 0.8, 0.0, 0.0, "reject", MANUAL, "type 1 diabetes", "decision", ["decisions:9"]),
    ("phecode:250.2", "MONDO:2", 1, "broad", 0.9, 0.9, 0.3, "review", ALIKE, "type 2 diabetes", "test", []),
]
GROUPS = [
    ("harmonised:EFO_1", "EFO:1", True, 1.0), ("harmonised:MONDO_1", "MONDO:1", True, 1.0), ("harmonised:MONDO_2", "MONDO:2", True, 1.0),
    ("harmonised:MONDO_2", "icd10cm:E11", False, 0.95), ("harmonised:icd10cm_E11.9", "icd10cm:E11.9", True, 1.0),
    ("harmonised:icd9cm_250.00", "icd9cm:250.00", True, 1.0), ("harmonised:phecode_250.2", "phecode:250.2", True, 1.0),
]  # fmt: skip
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "concepts": [(i, n, v, k, old, None, True, "s", line) for line, (i, n, v, k, old) in enumerate(CONCEPTS)],
    "names": [(i, n, "label", "s", 1) for i, n, *_ in CONCEPTS],
    "xrefs": [("EFO:0", "replaced_by", "MONDO:2", "efo", 4), ("MONDO:2", "xref", "icd10cm:E11", "efo", 5), ("MONDO:1", "xref", "icd10cm:E11", "efo", 6),
              ("icd10cm:E11", "broader", "phecode:250.2", "map", 7)],
    "mappings": [("icd10cm:E11", "T2D", "icd10cm", "exact", "MONDO:2", "valid", "fit", "ukb", "gold", 3),
                 ("icd9cm:250.00", "DM", "icd9cm", "unspecified", "MONDO:1", "invalid", "evaluate", "ukb", "gold", 4)],
    "relations": [("r", "MONDO:2", "IS_A", "EFO:1", "s", 1), ("q", "MONDO:1", "IS_A", "EFO:1", "s", 1)],
    "links": LINKS,
    "groups": [(*row, ALIKE) for row in GROUPS],
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    tables.write(made, {name: tables.from_rows(name, rows) for name, rows in ROWS.items()})
    merge.write_moved(made / "moved.tsv", {"harmonised:text_a": "harmonised:MONDO_2", "harmonised:text_b": None})
    return made


def known(explanation: Explanation) -> list[tuple[str, str]]:
    return [(piece.kind, piece.where) for piece in explanation.evidence]


def test_what_is_known_of_a_merged_pair_is_listed_with_its_places(folder: Path) -> None:
    found = explain(folder, folder, "MONDO:2", "icd10cm:E11")
    assert known(found) == [("curated", "gold:3"), ("cross-reference", "efo:5"), ("same name", ""), ("link", "")]
    assert found.merged
    assert found.why == (
        "harmonised:MONDO_2, 2 members around MONDO:2",
        "MONDO:2: its centre",
        f"icd10cm:E11: the same as MONDO:2, p_same 0.950 ({ALIKE})",
    )
    link = found.evidence[-1].details
    assert (link["cosine"], link["p_same"], link["features"], link["said_in"]) == (0.98, 0.95, ["gap=0.2 (+1.10)"], ["gold:3"])
    assert "2 cite it, 1 of its kind are cited: evidence, not identity" in found.evidence[1].says


def test_an_obsolete_id_leads_there_and_that_is_said(folder: Path) -> None:
    found = explain(folder, folder, "efo_0", "ICD10CM:e11")
    assert (found.left.id, found.right.id, found.merged) == ("MONDO:2", "icd10cm:E11", True)
    assert found.left.forwarded == ("EFO:0 is obsolete: read as MONDO:2 (replaced_by, efo:4)",)
    assert "EFO:0 is obsolete" in found.text()


@pytest.mark.parametrize(
    ("left", "right", "reason"),
    [
        ("icd10cm:E11.9", "MONDO:2", "icd10cm:E11 of the same vocabulary is likelier there"),
        ("icd9cm:250.00", "MONDO:2", "p_same is below what merging asks for (0.600, asked for 0.9)"),
        ("icd9cm:250.00", "MONDO:1", "a person rejected the match (not, reject)"),
        ("phecode:250.2", "MONDO:2", "the link was not accepted (broad, review)"),
        ("MONDO:1", "MONDO:2", "both are of the vocabulary efo, which keeps them apart on purpose"),
        ("icd10cm:E11", "icd10cm:E11.9", "both are of the vocabulary icd10cm"),
        ("icd9cm:250.00", "EFO:1", "no link joins them, and no class to which both are linked"),
        ("drugbank:1", "MONDO:2", "drugbank:1 is a Drug, and only phenotypes are merged"),
    ],
)
def test_what_kept_two_apart_is_said(left: str, right: str, reason: str, folder: Path) -> None:
    found = explain(folder, folder, left, right)
    assert not found.merged
    assert any(reason in why for why in found.why), found.why


def test_two_codes_are_followed_to_the_class_that_both_are_linked_to(folder: Path) -> None:
    found = explain(folder, folder, "icd10cm:E11", "phecode:250.2")
    assert found.through == ("MONDO:2",)
    assert known(found)[:2] == [("cross-reference", "map:7"), ("same name", "")]
    assert [piece.subject_id for piece in found.evidence if piece.kind == "link"] == ["icd10cm:E11", "phecode:250.2"]
    assert "phecode:250.2 -> MONDO:2: the link was not accepted (broad, review)" in found.why


def test_a_class_and_its_parent_show_the_way_up(folder: Path) -> None:
    piece = explain(folder, folder, "EFO:1", "MONDO:2").evidence[0]
    assert (piece.kind, piece.subject_id, piece.says) == ("hierarchy", "MONDO:2", "is a kind of it: MONDO:2 > EFO:1")


def test_words_that_tell_two_names_apart_are_named(folder: Path) -> None:
    def wording(left: str, right: str) -> list[str]:
        return [piece.says for piece in explain(folder, folder, left, right).evidence if piece.kind == "wording"]

    assert wording("MONDO:1", "MONDO:2") == ["'type 1 diabetes' and 'type 2 diabetes' differ in number"]
    assert wording("MONDO:2", "icd10cm:E11.9") == ["'Type 2 diabetes without complications' is qualified (without): not the thing itself"]
    assert wording("MONDO:2", "icd10cm:E11") == []


def test_rejections_and_held_out_rows_are_told_as_such(folder: Path) -> None:
    found = explain(folder, folder, "icd9cm:250.00", "MONDO:1")
    assert known(found) == [("curated", "gold:4"), ("decision", "")]
    assert found.evidence[0].says == "ukb rejected 'DM' there; kept for evaluation: no link was made of it"
    assert found.evidence[1].details["said_in"] == ["decisions:9"]


def test_a_concept_and_itself_are_one(folder: Path) -> None:
    assert explain(folder, folder, "harmonised:MONDO_2", "MONDO:2").merged


def test_the_id_of_a_harmonised_concept_that_is_gone_leads_to_where_its_centre_went(folder: Path) -> None:
    found = explain(folder, folder, "harmonised:text_a", "MONDO:2")
    assert (found.left.id, found.left.forwarded) == ("MONDO:2", ("harmonised:text_a is gone: its centre is in harmonised:MONDO_2 now",))
    with pytest.raises(UsageError, match="harmonised:text_b"):
        explain(folder, folder, "harmonised:text_b", "MONDO:2")


def test_an_id_that_is_not_there_is_named_with_what_has_that_name(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no concept 'Diabetes'\n.*icd9cm:250.00"):
        explain(folder, folder, "Diabetes", "MONDO:2")
    with pytest.raises(UsageError, match="concept-search"):
        explain(folder, folder, "MONDO:2", "EFO:99")


def test_the_real_thing_is_explained_as_text_and_as_plain_values(finished: Workspace) -> None:
    import json

    found = pipeline.explain(finished, "EFO:0001360", "icd10cm:E11")
    assert found.left.id == "MONDO:0005148"
    assert {"p_target: 0", "accepts from", "gap="} <= {part for part in ("p_target: 0", "accepts from", "gap=") if part in found.text()}
    assert json.loads(json.dumps(found.as_dict()))["right"]["id"] == "icd10cm:E11"
