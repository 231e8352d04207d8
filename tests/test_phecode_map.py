"""A code rolls up to a PheCode: the PheCode is broader, never the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Harvest, Sample, phecode_map


def read(tmp_path: Path, text: str) -> Harvest:
    (tmp_path / "m.csv").write_text(text, encoding="utf-8")
    return phecode_map.read(tmp_path / "m.csv", source="m", options={})


def statements(harvest: Harvest) -> list[tuple[str, str, str, int]]:
    return [(x["subject_id"], x["predicate"], x["object_id"], x["line"]) for x in harvest.tables["xrefs"].to_pylist()]


def test_each_row_says_that_the_phecode_is_broader(tmp_path: Path) -> None:
    harvest = read(
        tmp_path,
        '"code","vocabulary_id","phecode"\n"001","ICD9CM","008"\n"E119","ICD10CM","EM_202.2"\n"E11.9","ICD10","250.2"\n"996","ICD9CM","1011"\n',
    )
    assert statements(harvest) == [
        ("icd9cm:001", "broader", "phecode:008", 2),
        ("icd10cm:E11.9", "broader", "phecodex:EM_202.2", 3),
        ("icd10:E11.9", "broader", "phecode:250.2", 4),
        ("icd9cm:996", "broader", "phecode:1011", 5),
    ]


def test_rows_that_say_nothing_or_the_same_are_accounted_for(tmp_path: Path) -> None:
    harvest = read(
        tmp_path,
        "vocabulary_id,code,phecode\nICD10CM,E11.9,250.2\nICD10CM,E119,250.2\nICD10CM,A00-A09,008\nICD10CM,A00,\nSNOMED,1,008\nICD9CM,001,x\nICD9CM,001\n",
    )
    assert [(r["line"], r["fate"], r["reason"], r["detail"]) for r in harvest.ledger.table().to_pylist()] == [
        (8, "rejected", "wrong number of cells", "2 cells instead of 3: ICD9CM,001"),
        (3, "merged", "the same code and phecode", "line 2"),
        (
            4,
            "rejected",
            "not a code of icd10cm: expected a letter, a digit, a digit or letter, then up to four more, e.g. E11.9",
            "A00-A09",
        ),
        (5, "rejected", "the code has no PheCode", "A00"),
        (6, "rejected", "the vocabulary is none of ICD9CM, ICD10CM, ICD10", "SNOMED"),
        (7, "rejected", "not a PheCode", "x"),
    ]
    assert (harvest.ledger.rows_in, statements(harvest)) == (7, [("icd10cm:E11.9", "broader", "phecode:250.2", 2)])


def test_the_rolled_file_of_the_phewas_catalog_is_a_map_too(tmp_path: Path) -> None:
    text = '"ICD9","ICD9 String","PheCode","Phenotype"\n"001.0","Cholera, classical","008","Intestinal infection"\n'
    assert statements(read(tmp_path, text)) == [("icd9cm:001.0", "broader", "phecode:008", 2)]
    recognised = phecode_map.recognise(Sample(Path("rolled.csv"), tuple(text.splitlines())))
    assert recognised is not None
    assert (recognised.flavour, recognised.preference) == ("icd9cm to phecode", 0)


def test_vocabularies_of_both_sides_are_recognised() -> None:
    lines = ('"code","vocabulary_id","phecode"', '"281","ICD9CM","BI_160"', '"281.8","ICD9CM","BI_160"')
    recognised = phecode_map.recognise(Sample(Path("map.csv"), lines))
    assert recognised is not None
    assert (recognised.kind, recognised.flavour, recognised.preference) == ("phecode-map", "icd9cm to phecodex", 1)
    assert phecode_map.recognise(Sample(Path("x.csv"), ("phecode,description,group", "008,x,y"))) is None


def test_a_file_whose_vocabularies_are_all_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no row names a vocabulary that is known\n  found: 'SNOMED'"):
        read(tmp_path, "vocabulary_id,code,phecode\nSNOMED,1,008\n")
    with pytest.raises(SourceError, match="column 'code' and 'phecode'"):
        read(tmp_path, "a,b\n1,2\n")
