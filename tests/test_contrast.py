"""Near misses are found where they were merged or linked as exact, and nowhere else; in the packaged data they stay apart."""

from __future__ import annotations

from typing import Any

import pytest

from kgbuild import pipeline, tables
from kgbuild.contrast import PAIRS, check, near_misses
from kgbuild.features import conflicts
from kgbuild.vocabulary import normalise_name
from kgbuild.workspace import Workspace

CONCEPTS = {
    "MONDO:1": "type 1 diabetes mellitus",
    "MONDO:2": "type 2 diabetes mellitus",
    "icd10:E10": "Insulin-dependent diabetes mellitus",
    "text:a": "Type II diabetes",
    "text:b": "sugar",
}


def outcome(*, links: tuple[tuple[str, str, str, str], ...] = (), groups: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    return check(
        tables.from_rows("links", [(s, o, 1, p, 0.9, 0.9, 0.9, d, "j", "", "c", []) for s, o, p, d in links]),
        tables.from_rows("groups", [(g, m, False, 1.0, "j") for g, m in groups]),
        tables.from_rows("concepts", [(id_, name, "efo", "Disease", False, None, True, "s", 1) for id_, name in CONCEPTS.items()]),
        tables.from_rows("names", [("text:b", "T2D", "synonym", "s", 1), ("MONDO:1", "type 2 diabetes", "synonym", "s", 1)]),
    )


def test_what_stayed_apart_is_counted_and_nothing_is_said() -> None:
    links = (
        ("icd10:E10", "MONDO:2", "broad", "accept"),
        ("text:a", "MONDO:1", "exact", "review"),
        ("text:a", "MONDO:2", "exact", "accept"),
    )
    found = outcome(
        links=links, groups=(("g:1", "MONDO:1"), ("g:1", "icd10:E10"), ("g:2", "MONDO:2"), ("g:2", "text:a"), ("g:2", "text:b"))
    )
    assert found == {"pairs": len(PAIRS), "loaded": 1, "merged": [], "linked_exact": []}


def test_a_merge_and_an_exact_link_are_named_whichever_side_they_start_from() -> None:
    both = "type 1 diabetes mellitus / type 2 diabetes mellitus: "
    found = outcome(
        links=(("icd10:E10", "MONDO:2", "exact", "accept"), ("text:b", "MONDO:1", "exact", "accept")),
        groups=(("g", "text:a"), ("g", "MONDO:1")),
    )
    assert (found["linked_exact"], found["merged"]) == (
        [both + "icd10:E10 -> MONDO:2", both + "text:b -> MONDO:1"],
        [both + "MONDO:1 and text:a"],
    )


def test_exact_links_between_opposite_sides_are_the_pairs_that_merging_keeps_apart() -> None:
    links = [
        ("icd10:E10", "MONDO:2", 1, "exact", 0.9, 0.9, 0.9, "accept", "j", "", "c", []),
        ("text:a", "MONDO:2", 1, "exact", 0.9, 0.9, 0.9, "accept", "j", "", "c", []),
    ]
    concepts = [(id_, name, "efo", "Disease", False, None, True, "s", 1) for id_, name in CONCEPTS.items()]
    found = near_misses(tables.from_rows("links", links), tables.from_rows("concepts", concepts), tables.empty("names"))
    assert found == {frozenset(("icd10:E10", "MONDO:2"))}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.left[0]} / {pair.right[0]}")
def test_a_pair_names_two_things(pair: Any) -> None:
    assert not {normalise_name(name) for name in pair.left} & {normalise_name(name) for name in pair.right}
    assert all(name == name.strip() and name for name in (*pair.left, *pair.right))


@pytest.mark.parametrize(
    ("left", "right"),
    [("acute pancreatitis", "chronic pancreatitis"), ("hypothyroidism", "hyperthyroidism"), ("type 1 diabetes", "type 2 diabetes"),
     ("Crohn's disease", "ulcerative colitis"), ("HDL cholesterol", "LDL cholesterol"), ("benign neoplasm of breast", "malignant neoplasm of breast")],
)  # fmt: skip
def test_the_words_that_tell_near_misses_apart_are_known_to_the_features(left: str, right: str) -> None:
    assert conflicts(left, right)
    assert any({left, right} <= {*pair.left, *pair.right} for pair in PAIRS)


def test_every_build_checks_them_and_none_is_merged(finished: Workspace) -> None:
    record = finished.record("links")
    assert record is not None
    assert record.facts["contrast"]["loaded"] >= 25
    assert (record.facts["contrast"]["merged"], record.facts["contrast"]["linked_exact"]) == ([], [])
    assert "loaded and checked; 0 merged, 0 linked as exact" in pipeline.harmonise(finished)[-1].text()
