"""ICD-9-CM codes stay strings, and their dots are the hierarchy."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Recognised, Sample, icd9cm

TABLE = "code\tdescription\n001\tCholera\n250\tDiabetes mellitus\n250.0\tDM without complication\n250.00\tDM type II\nV10.05\tHistory of colon cancer\n"


def read(tmp_path: Path, text: str) -> tuple[list[tuple[str, str, str | None]], list[tuple[str, str]], list[tuple[int, str, str]]]:
    path = tmp_path / "icd9.tsv"
    path.write_text(text, encoding="utf-8")
    harvest = icd9cm.read(path, source="i", options={})
    assert harvest.ledger.rows_in == len([line for line in text.splitlines()[1:] if line])
    return (
        [(c["id"], c["name"], c["group"]) for c in harvest.tables["concepts"].to_pylist()],
        [(r["subject_id"], r["object_id"]) for r in harvest.tables["relations"].to_pylist()],
        [(r["line"], r["fate"], r["reason"]) for r in harvest.ledger.table().to_pylist()],
    )


def test_codes_keep_their_zeros_and_lie_under_their_stems(tmp_path: Path) -> None:
    assert read(tmp_path, TABLE) == (
        [
            ("icd9cm:001", "Cholera", "Cholera"),
            ("icd9cm:250", "Diabetes mellitus", "Diabetes mellitus"),
            ("icd9cm:250.0", "DM without complication", "Diabetes mellitus"),
            ("icd9cm:250.00", "DM type II", "Diabetes mellitus"),
            ("icd9cm:V10.05", "History of colon cancer", None),
        ],
        [("icd9cm:250.0", "icd9cm:250"), ("icd9cm:250.00", "icd9cm:250.0")],
        [],
    )


def test_rows_that_are_no_code_or_have_no_text_are_rejected(tmp_path: Path) -> None:
    _, _, fates = read(tmp_path, "code\tdescription\nE11.9X\tx\n250\t\n001\tCholera\textra\n001\tCholera\n001.\tCholera\n")
    assert fates == [
        (2, "rejected", "not an ICD-9-CM code: expected three to five digits, V and two to four, or E and three or four, e.g. 250.00"),
        (3, "rejected", "the code has no text"),
        (4, "rejected", "wrong number of cells"),
        (6, "merged", "the code is defined twice with one text"),
    ]


def test_a_wrong_delimiter_or_a_missing_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text(TABLE)
    with pytest.raises(SourceError, match=r"column 'code'.* and 'description'.* is missing"):
        icd9cm.read(tmp_path / "x.tsv", source="i", options={"delimiter": ","})


def test_only_codes_that_look_like_icd9_are_recognised() -> None:
    recognised = Recognised("icd9cm", "", "a code and a text, codes like 250.00")
    assert icd9cm.recognise(Sample(Path("codes.tsv"), tuple(TABLE.splitlines()))) == recognised
    assert icd9cm.recognise(Sample(Path("codes.tsv"), ("code\tdescription", "E11.9\tx", "A00\ty"))) is None
    assert icd9cm.recognise(Sample(Path("codes.tsv"), ("code\tdescription\tphecode", "250\tx\t250"))) is None
