"""Only what is the same becomes one; near misses, codes of one vocabulary and rejected pairs stay apart."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgbuild import tables
from kgbuild.merge import group_id, merge, moved


def concept(id_: str, name: str, vocabulary: str, kind: str = "ClinicalCode", *, obsolete: bool = False) -> tuple[Any, ...]:
    return (id_, name, vocabulary, kind, obsolete, None, True, "s", 1)


def link(
    subject: str,
    object_: str,
    p_same: float | None,
    *,
    predicate: str = "exact",
    decision: str = "accept",
    curated: bool = False,
    decided: bool = False,
) -> tuple[Any, ...]:
    justification = "semapv:ManualMappingCuration" if curated or decided else "semapv:SemanticSimilarityThresholdMatching"
    return (subject, object_, 1, predicate, 0.9, 0.9, p_same, decision, justification, "", "decision" if decided else "test", [])


def same(subject: str, object_: str) -> tuple[Any, ...]:
    """Somebody decided that the two are the same."""
    return link(subject, object_, 1.0, decided=True)


def apart(subject: str, object_: str) -> tuple[Any, ...]:
    """Somebody decided that they are not."""
    return link(subject, object_, 0.0, predicate="not", decision="reject", decided=True)


CONCEPTS = [
    concept("MONDO:2", "type 2 diabetes", "efo", "Disease"),
    concept("MONDO:1", "type 1 diabetes", "efo", "Disease"),
    concept("EFO:9", "obsolete_x", "efo", "Disease", obsolete=True),
    concept("icd10cm:E11", "Type 2 diabetes mellitus", "icd10cm"),
    concept("icd10cm:E11.9", "Type 2 diabetes without complications", "icd10cm"),
    concept("phecode:250.2", "Type 2 diabetes", "phecode"),
    concept("icd10cm:A00", "Cholera", "icd10cm"),
    concept("icd9cm:001", "Cholera", "icd9cm"),
    concept("icd9cm:001.1", "Cholera", "icd9cm"),
    concept("icd10cm:Z1", "Other disorders", "icd10cm"),
    concept("icd9cm:Z2", "Other disorders", "icd9cm"),
    concept("text:a", "T2D", "text", "FreeText"),
    concept("text:b", "NIDDM", "text", "FreeText"),
]


def groups(*links: tuple[Any, ...], shuffle: int | None = None) -> list[set[str]]:
    """Give the groups of more than one member."""
    rows, about = list(links), list(CONCEPTS)
    if shuffle is not None:
        random.Random(shuffle).shuffle(rows)
        random.Random(shuffle).shuffle(about)
    found: dict[str, set[str]] = {}
    table = merge(tables.from_rows("links", rows), tables.from_rows("concepts", about))
    for row in table.to_pylist():
        found.setdefault(row["group_id"], set()).add(row["member_id"])
    return sorted((members for members in found.values() if len(members) > 1), key=sorted)


CHOLERA = {"icd10cm:A00", "icd9cm:001"}


def test_equal_names_of_two_vocabularies_are_one_but_residual_ones_are_not() -> None:
    assert groups() == [CHOLERA]


def test_texts_and_one_code_of_each_vocabulary_join_a_class() -> None:
    links = [link(s, "MONDO:2", 0.95) for s in ("icd10cm:E11", "phecode:250.2", "text:a", "text:b")]
    assert groups(*links) == [{"MONDO:2", "icd10cm:E11", "phecode:250.2", "text:a", "text:b"}, CHOLERA]


def test_of_two_codes_of_one_vocabulary_the_likelier_joins() -> None:
    assert groups(link("icd10cm:E11", "MONDO:2", 0.97), link("icd10cm:E11.9", "MONDO:2", 0.93)) == [{"MONDO:2", "icd10cm:E11"}, CHOLERA]


def test_two_codes_of_one_vocabulary_never_join_even_if_curators_filed_both_there() -> None:
    links = [link(code, "MONDO:2", 1.0, curated=True) for code in ("icd10cm:E11", "icd10cm:E11.9")]
    assert groups(*links) == [{"MONDO:2", "icd10cm:E11"}, CHOLERA]


@pytest.mark.parametrize(
    "weak",
    [
        link("icd10cm:E11", "MONDO:2", 0.89),
        link("icd10cm:E11", "MONDO:2", None),
        link("icd10cm:E11", "MONDO:2", 0.6, curated=True),
        link("icd10cm:E11", "MONDO:2", 0.99, predicate="broad"),
        link("icd10cm:E11", "MONDO:2", 0.99, decision="review"),
        link("icd10cm:E11", "EFO:9", 0.99),
        link("MONDO:1", "MONDO:2", 0.99),
        link("icd10cm:E11", "phecode:250.2", 0.99),
    ],
)
def test_what_is_not_held_to_be_the_same_live_class_is_not_merged(weak: tuple[Any, ...]) -> None:
    assert groups(weak) == [CHOLERA]


def test_a_text_that_two_classes_claim_goes_to_the_likelier_and_glues_nothing() -> None:
    assert groups(link("text:a", "MONDO:1", 0.91), link("text:a", "MONDO:2", 0.92)) == [{"MONDO:2", "text:a"}, CHOLERA]


def test_a_rejected_pair_is_blocked() -> None:
    rejected = link("text:a", "MONDO:2", None, predicate="not", decision="reject", curated=True)
    assert groups(link("text:a", "MONDO:2", 0.99), rejected) == [CHOLERA]


def test_every_live_phenotype_is_in_exactly_one_group() -> None:
    table = merge(tables.from_rows("links", [link("text:a", "MONDO:2", 0.99)]), tables.from_rows("concepts", CONCEPTS))
    assert sorted(table["member_id"].to_pylist()) == sorted(row[0] for row in CONCEPTS if not row[4])


def test_the_order_of_rows_does_not_matter() -> None:
    links = [
        link(s, o, 0.9 + n / 100)
        for n, (s, o) in enumerate([("text:a", "MONDO:1"), ("text:a", "MONDO:2"), ("icd10cm:E11", "MONDO:2"), ("icd10cm:E11.9", "MONDO:2")])
    ]
    assert all(groups(*links, shuffle=seed) == groups(*links) for seed in range(5))


DECISIONS = [
    *(link(s, o, p) for s in ("icd10cm:E11", "icd10cm:E11.9", "phecode:250.2", "text:a", "text:b")
      for o, p in (("MONDO:1", 0.92), ("MONDO:2", 0.92), ("MONDO:2", 0.97))),
    *(make(a, b) for make in (same, apart) for a, b in (
        ("icd10cm:E11", "icd10cm:E11.9"), ("text:a", "text:b"), ("MONDO:1", "MONDO:2"), ("text:b", "phecode:250.2"),
        ("icd10cm:A00", "icd9cm:001"), ("icd10cm:Z1", "icd9cm:Z2"), ("icd9cm:001", "text:a"))),
]  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(chosen=st.sets(st.integers(0, len(DECISIONS) - 1)), order=st.randoms(use_true_random=False))
def test_any_links_and_decisions_in_any_order_and_again_give_the_same_groups(chosen: set[int], order: random.Random) -> None:
    rows = [DECISIONS[place] for place in sorted(chosen)]
    shuffled, about = list(rows), list(CONCEPTS)
    order.shuffle(shuffled)
    order.shuffle(about)
    first = merge(tables.from_rows("links", rows), tables.from_rows("concepts", CONCEPTS))
    assert merge(tables.from_rows("links", shuffled), tables.from_rows("concepts", about)).equals(first)
    assert merge(tables.from_rows("links", rows), tables.from_rows("concepts", CONCEPTS), earlier=first).equals(first)
    assert sorted(first["member_id"].to_pylist()) == sorted(row[0] for row in CONCEPTS if not row[4])


def test_two_codes_and_two_classes_join_where_somebody_decided_so_and_only_there() -> None:
    links = [link("icd10cm:E11", "MONDO:2", 0.97), link("phecode:250.2", "MONDO:1", 0.95)]
    assert groups(*links, same("icd10cm:E11.9", "icd10cm:E11")) == [
        {"MONDO:1", "phecode:250.2"},
        {"MONDO:2", "icd10cm:E11", "icd10cm:E11.9"},
        CHOLERA,
    ]
    assert groups(*links, same("MONDO:1", "MONDO:2")) == [{"MONDO:1", "MONDO:2", "icd10cm:E11", "phecode:250.2"}, CHOLERA]


def test_what_somebody_decided_to_be_the_same_follows_into_a_class() -> None:
    assert groups(link("text:a", "MONDO:2", 0.95), same("text:b", "text:a")) == [{"MONDO:2", "text:a", "text:b"}, CHOLERA]
    assert groups(same("text:b", "text:a"), same("icd10cm:Z1", "icd9cm:Z2")) == [CHOLERA, {"icd10cm:Z1", "icd9cm:Z2"}, {"text:a", "text:b"}]


def test_a_code_that_somebody_decided_on_takes_the_place_of_the_likelier_one() -> None:
    links = [link("icd10cm:E11", "MONDO:2", 0.99), same("icd10cm:E11.9", "MONDO:2")]
    assert groups(*links) == [{"MONDO:2", "icd10cm:E11.9"}, CHOLERA]


def test_what_somebody_told_apart_shares_no_group_whatever_the_names_or_the_class() -> None:
    assert groups(apart("icd10cm:A00", "icd9cm:001")) == []
    links = [link("text:a", "MONDO:2", 0.99), link("text:b", "MONDO:2", 0.95)]
    assert groups(*links, apart("text:b", "text:a")) == [{"MONDO:2", "text:a"}, CHOLERA]
    assert groups(link("text:a", "MONDO:2", 0.99, curated=True), apart("text:a", "MONDO:2")) == [CHOLERA]


def of(table: Any, member: str) -> str:
    return str(dict(zip(table["member_id"].to_pylist(), table["group_id"].to_pylist(), strict=True))[member])


def test_a_group_without_a_class_keeps_its_id_when_finer_lists_come() -> None:
    before = merge(tables.empty("links"), tables.from_rows("concepts", CONCEPTS))
    later = tables.from_rows("concepts", [concept("phecodex:GI_1", "Cholera", "phecodex"), *CONCEPTS])
    assert of(before, "icd9cm:001") == "harmonised:icd10cm_A00"
    assert of(merge(tables.empty("links"), later), "icd9cm:001") == "harmonised:phecodex_GI_1"
    kept = merge(tables.empty("links"), later, earlier=before)
    assert {of(kept, id_) for id_ in ("icd10cm:A00", "icd9cm:001", "phecodex:GI_1")} == {"harmonised:icd10cm_A00"}
    assert moved(before, kept) == {}
    assert merge(tables.empty("links"), later, earlier=kept).equals(kept)


def test_an_id_that_goes_says_where_its_centre_went() -> None:
    before = merge(tables.empty("links"), tables.from_rows("concepts", CONCEPTS))
    after = merge(
        tables.from_rows("links", [link("icd10cm:A00", "MONDO:2", 0.99)]), tables.from_rows("concepts", CONCEPTS[:-1]), earlier=before
    )
    assert moved(before, after) == {"harmonised:icd10cm_A00": "harmonised:MONDO_2", "harmonised:text_b": None}
    assert of(after, "icd9cm:001") == group_id("icd9cm:001")


def test_the_group_of_a_class_that_a_release_made_obsolete_leads_to_that_of_its_heir() -> None:
    before = merge(tables.empty("links"), tables.from_rows("concepts", [concept("EFO:7", "type 2 diabetes", "efo"), *CONCEPTS]))
    after = merge(tables.empty("links"), tables.from_rows("concepts", CONCEPTS), earlier=before)
    assert moved(before, after) == {"harmonised:EFO_7": None}
    assert moved(before, after, replaced={"EFO:7": "MONDO:2"}) == {"harmonised:EFO_7": "harmonised:MONDO_2"}


def test_a_near_miss_is_not_merged_even_if_curated_unless_somebody_here_decides_so() -> None:
    rows = tables.from_rows("links", [link("icd10cm:E11", "MONDO:2", 1.0, curated=True)])
    about, close = tables.from_rows("concepts", CONCEPTS), frozenset([frozenset(("icd10cm:E11", "MONDO:2"))])
    assert of(merge(rows, about), "icd10cm:E11") == "harmonised:MONDO_2"
    assert of(merge(rows, about, near_misses=close), "icd10cm:E11") == "harmonised:icd10cm_E11"
    decided = tables.from_rows("links", [same("icd10cm:E11", "MONDO:2")])
    assert of(merge(decided, about, near_misses=close), "icd10cm:E11") == "harmonised:MONDO_2"


def test_nothing_is_glued_by_a_chain_of_sure_links() -> None:
    chain = [
        link("icd10cm:E11", "MONDO:2", 0.99),
        link("text:a", "MONDO:2", 0.99),
        link("text:a", "MONDO:1", 0.98),
        link("phecode:250.2", "MONDO:1", 0.97),
    ]
    assert groups(*chain) == [{"MONDO:1", "phecode:250.2"}, {"MONDO:2", "icd10cm:E11", "text:a"}, CHOLERA]
    between = [link("icd10cm:E11", "MONDO:2", 0.99), link("phecode:250.2", "icd10cm:E11", 0.99), link("phecode:250.2", "MONDO:1", 0.95)]
    assert groups(*between) == [{"MONDO:1", "phecode:250.2"}, {"MONDO:2", "icd10cm:E11"}, CHOLERA]
