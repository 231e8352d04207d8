"""An identifier that was replaced leads to the one in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Recognised, Sample, replaced_by


def test_replacements_are_read_and_spelled_as_curies(tmp_path: Path) -> None:
    path = tmp_path / "replaced_by_3.92.tsv"
    path.write_text(
        "old_id\tnew_id\nEFO_0000270\thttp://purl.obolibrary.org/obo/MONDO_0004979\nEFO:1\tEFO:2\nEFO:1\tEFO:3\nefo:1\tEFO:2\n"
        "EFO:4\tEFO:4\nEFO:5\tsee below\nGSSO:1\tFBbi:2\nEFO:6\n"
    )
    harvest = replaced_by.read(path, source="r", options={})
    assert [tuple(row.values()) for row in harvest.tables["xrefs"].to_pylist()] == [
        ("EFO:0000270", "replaced_by", "MONDO:0004979", "r", 2),
        ("EFO:1", "replaced_by", "EFO:2", "r", 3),
        ("EFO:1", "replaced_by", "EFO:3", "r", 4),
        ("GSSO:1", "replaced_by", "FBbi:2", "r", 8),
    ]
    assert [(r["line"], r["fate"], r["reason"], r["detail"]) for r in harvest.ledger.table().to_pylist()] == [
        (5, "merged", "the same replacement", "line 3"),
        (6, "rejected", "an identifier replaced by itself", "EFO:4"),
        (7, "rejected", "not an identifier", "see below"),
        (9, "rejected", "wrong number of cells", "1 cells instead of 2: EFO:6"),
    ]
    assert (harvest.ledger.rows_in, harvest.version) == (8, "3.92")


def test_a_wrong_delimiter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("old_id new_id\nEFO:1 EFO:2\n")
    with pytest.raises(SourceError, match="'old_id'"):
        replaced_by.read(tmp_path / "x.tsv", source="r", options={})


def test_the_header_is_recognised() -> None:
    assert replaced_by.recognise(Sample(Path("efo_replaced_by_3.92.tsv"), ("old_id\tnew_id",))) == Recognised(
        "replaced-by", "3.92", "columns with an old and a new id"
    )
    assert replaced_by.recognise(Sample(Path("x.tsv"), ("id\tname",))) is None
