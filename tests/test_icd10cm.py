"""The ICD-10-CM order file: fixed columns, headers that no record carries, a hierarchy in the spelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Recognised, Sample, icd10cm

LINES = [
    "03337 E11     0 Type 2 diabetes mellitus                                     Type 2 diabetes mellitus",
    "03342 E112    0 Type 2 diabetes mellitus with kidney complications           Type 2 diabetes mellitus with kidney complications",
    "03343 E1121   1 Type 2 diabetes mellitus with diabetic nephropathy           Type 2 diabetes mellitus with diabetic nephropathy",
    "03411 E1165   1 Type 2 diabetes mellitus with hyperglycemia                  Type 2 diabetes mellitus with hyperglycemia",
    "03413 E119    1 Type 2 diabetes mellitus without complications               Type 2 diabetes mellitus without complications, “✓”",
]


def test_codes_texts_headers_groups_and_parents_are_read(tmp_path: Path) -> None:
    path = tmp_path / "icd10cm-order-2021.txt"
    path.write_text("\n".join(LINES) + "\n\n", encoding="utf-8")
    harvest = icd10cm.read(path, source="i", options={})
    concepts = harvest.tables["concepts"].to_pylist()
    assert [(c["id"], c["name"], c["group"], c["selectable"], c["line"]) for c in concepts] == [
        ("icd10cm:E11", "Type 2 diabetes mellitus", "Type 2 diabetes mellitus", False, 1),
        ("icd10cm:E11.2", "Type 2 diabetes mellitus with kidney complications", "Type 2 diabetes mellitus", False, 2),
        ("icd10cm:E11.21", "Type 2 diabetes mellitus with diabetic nephropathy", "Type 2 diabetes mellitus", True, 3),
        ("icd10cm:E11.65", "Type 2 diabetes mellitus with hyperglycemia", "Type 2 diabetes mellitus", True, 4),
        ("icd10cm:E11.9", "Type 2 diabetes mellitus without complications, “✓”", "Type 2 diabetes mellitus", True, 5),
    ]
    assert [(r["subject_id"], r["object_id"]) for r in harvest.tables["relations"].to_pylist()] == [
        ("icd10cm:E11.2", "icd10cm:E11"),
        ("icd10cm:E11.21", "icd10cm:E11.2"),
        ("icd10cm:E11.65", "icd10cm:E11"),
        ("icd10cm:E11.9", "icd10cm:E11"),
    ]
    short = [(n["concept_id"], n["name"]) for n in harvest.tables["names"].to_pylist() if n["role"] == "short"]
    assert (short, harvest.version) == ([("icd10cm:E11.9", "Type 2 diabetes mellitus without complications")], "2021")


def test_a_line_that_is_no_order_line_is_rejected_and_a_repeat_is_merged(tmp_path: Path) -> None:
    path = tmp_path / "order.txt"
    path.write_text("\n".join([LINES[0], "E11.9,diabetes", LINES[0], LINES[0].replace("Type 2", "Type 3")]), encoding="utf-8")
    ledger = icd10cm.read(path, source="i", options={}).ledger
    assert [(r["line"], r["fate"], r["reason"]) for r in ledger.table().to_pylist()] == [
        (2, "rejected", "not an order line of ICD-10-CM"),
        (3, "merged", "the code is defined twice with one text"),
        (4, "rejected", "the code is defined before with another text"),
    ]
    assert (ledger.rows_in, ledger.kept) == (4, 1)


def test_another_file_is_refused_and_not_recognised(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("code,description\nE11.9,diabetes\n")
    with pytest.raises(SourceError, match="holds no line of an ICD-10-CM order file"):
        icd10cm.read(path, source="i", options={})
    assert icd10cm.recognise(Sample(path, ("code,description", "E11.9,diabetes"))) is None
    assert icd10cm.recognise(Sample(path.with_name("order-2021.txt"), tuple(LINES))) == Recognised(
        "icd10cm-order", "2021", "fixed-width order lines of ICD-10-CM"
    )
