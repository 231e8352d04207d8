"""Which traits are kin: what is known to go with one is no sure negative of the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from little_tables import association, concept, variant, write

from embedder.negatives import KnownPositives
from kgbuild.pairs import build_pairs
from kgbuild.splits import split_mappings
from kgbuild.tables import read


def kin_of(folder: Path) -> set[frozenset[str]]:
    """Give pairs of a trait's texts, as written, whose groups are kin."""
    task = next(task for task in build_pairs(folder, mappings=split_mappings(read(folder, "mappings"))).data.tasks if task.name == "gwas")
    assert task.left_group is not None
    assert task.left_kin is not None
    data = build_pairs(folder).data
    texts = {int(group): data.texts[text].lower() for text, group in zip(task.left, task.left_group, strict=True)}
    return {frozenset(texts[int(group)] for group in pair) for pair in task.left_kin}


def is_a(child: str, parent: str) -> dict[str, str]:
    return {"subject_id": child, "predicate": "IS_A", "object_id": parent}


def test_an_ancestor_and_its_descendants_are_kin_at_any_distance_and_siblings_are_not(tmp_path: Path) -> None:
    names = {"EFO:1": "metabolic disease", "EFO:2": "glucose disorder", "EFO:3": "diabetes", "EFO:4": "obesity"}
    relations = [is_a("EFO:2", "EFO:1"), is_a("EFO:3", "EFO:2"), is_a("EFO:4", "EFO:1"), is_a("EFO:1", "EFO:3")]
    rows = [association(names[term], number, term) for number, term in enumerate(("EFO:1", "EFO:3", "EFO:4"))]
    tables = {"concepts": [concept(*item) for item in names.items()], "variants": [variant(n) for n in range(3)], "associations": rows}
    kin = {frozenset(("diabetes", "metabolic disease")), frozenset(("obesity", "metabolic disease"))}
    assert kin_of(write(tmp_path, **tables, relations=relations[:3])) == kin
    assert kin_of(write(tmp_path, **tables, relations=relations)) == {*kin, frozenset(("obesity", "diabetes"))}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"names": [{"concept_id": "MONDO:1", "name": "Gouty arthritis", "role": "synonym"}]}, True),
        ({"names": [{"concept_id": "MONDO:1", "name": "Gouty arthritis", "role": "short"}]}, False),
        ({"mappings": [("Gouty arthritis", "MONDO:1", "fit")]}, True),
        ({"mappings": [("Gouty arthritis", "MONDO:1", "fit"), ("Gouty arthritis", "MONDO:2", "fit")]}, False),
        ({"mappings": [("Gouty arthritis", "MONDO:1", "evaluate")]}, False),
    ],
    ids=["a synonym", "an abbreviation", "a curated mapping", "a mapping to two terms", "a mapping that is evaluated"],
)
def test_a_text_and_a_term_are_kin_by(more: dict, expected: bool, tmp_path: Path) -> None:  # type: ignore[type-arg]
    mappings = [
        {"subject_id": f"text:{label}", "subject_label": label, "vocabulary": "gwas", "object_id": target,
         "predicate": "exact", "judged": "valid", "use": use}
        for label, target, use in more.pop("mappings", [])
    ]  # fmt: skip
    rows = [association("Gouty arthritis", 1), association("Gout", 2, "MONDO:1")]
    concepts = [concept("MONDO:1", "gout"), concept("MONDO:2", "arthritis")]
    folder = write(tmp_path, concepts=concepts, variants=[variant(1), variant(2)], associations=rows, mappings=mappings, **more)
    assert kin_of(folder) == ({frozenset(("gouty arthritis", "gout"))} if expected else set())


def test_a_code_is_kin_of_the_code_it_rolls_up_to_and_of_its_namesake(tmp_path: Path) -> None:
    rows = [
        association("Diabetes NOS", 1, object_id="icd10:E14"),
        association("Diabetes mellitus", 2, object_id="phecode:250"),
        association("diabetes", 3, "MONDO:1"),
    ]
    concepts = [concept("icd10:E14", "Unspecified diabetes"), concept("phecode:250", "Diabetes"), concept("MONDO:1", "diabetes")]
    xrefs = [{"subject_id": "icd10:E14", "predicate": "broader", "object_id": "phecode:250"}]
    folder = write(tmp_path, concepts=concepts, xrefs=xrefs, variants=[variant(n) for n in (1, 2, 3)], associations=rows)
    names = ("diabetes nos", "diabetes mellitus", "diabetes")
    # the phecode has the term's label: its code rolls up to the term as well
    assert kin_of(folder) == {frozenset(pair) for pair in ((names[0], names[1]), (names[1], names[2]), (names[0], names[2]))}


def test_the_mask_lets_a_variant_of_the_one_be_no_negative_of_the_other(tmp_path: Path) -> None:
    rows = [association("diabetes", 1, "EFO:1"), association("type 2 diabetes", 2, "EFO:2"), association("height", 3, "EFO:3")]
    concepts = [concept("EFO:1", "diabetes"), concept("EFO:2", "type 2 diabetes"), concept("EFO:3", "height")]
    folder = write(tmp_path, concepts=concepts, relations=[is_a("EFO:2", "EFO:1")], variants=[variant(n) for n in (1, 2, 3)],
                   associations=rows)  # fmt: skip
    gwas = next(task for task in build_pairs(folder).data.tasks if task.name == "gwas")
    known = KnownPositives(gwas).mask(np.arange(3))
    # rows by text: diabetes, height, type 2 diabetes
    assert known.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
