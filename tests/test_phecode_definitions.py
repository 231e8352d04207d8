"""PheCodes are strings; the columns tell the two vocabularies apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Sample, phecode_definitions

PHEINFO = 'phecode,description,groupnum,group,color\n008,Intestinal infection,1,infectious,blue\n250,"Diabetes, any",3,endocrine,x\n250.2,Type 2 diabetes,3,endocrine,x\n250.20,T2D again,3,,x\n'
PHECODEX = '"phecode","phecode_string","category_num","category"\n"EM_202","Diabetes mellitus","03","Endocrine/Metab"\n"EM_202.2","Type 2 diabetes","03","Endocrine/Metab"\n"MS_728.8","Kienböck\'s disease","15","Musculoskeletal"\n'


def read(tmp_path: Path, data: bytes) -> tuple[list[tuple[Any, ...]], list[tuple[str, str]]]:
    (tmp_path / "p.csv").write_bytes(data)
    harvest = phecode_definitions.read(tmp_path / "p.csv", source="p", options={})
    assert harvest.ledger.rows_in == data.count(b"\n") - 1
    concepts = [(c["id"], c["name"], c["vocabulary"], c["group"]) for c in harvest.tables["concepts"].to_pylist()]
    return concepts, [(r["subject_id"], r["object_id"]) for r in harvest.tables["relations"].to_pylist()]


def test_phecodes_keep_zeros_and_hang_under_their_stems(tmp_path: Path) -> None:
    assert read(tmp_path, PHEINFO.encode()) == (
        [
            ("phecode:008", "Intestinal infection", "phecode", "infectious"),
            ("phecode:250", "Diabetes, any", "phecode", "endocrine"),
            ("phecode:250.2", "Type 2 diabetes", "phecode", "endocrine"),
            ("phecode:250.20", "T2D again", "phecode", None),
        ],
        [("phecode:250.2", "phecode:250"), ("phecode:250.20", "phecode:250.2")],
    )


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_phecodex_is_told_by_its_columns_and_read_in_its_publishers_encoding(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, PHECODEX.encode(encoding)) == (
        [
            ("phecodex:EM_202", "Diabetes mellitus", "phecodex", "Endocrine/Metab"),
            ("phecodex:EM_202.2", "Type 2 diabetes", "phecodex", "Endocrine/Metab"),
            ("phecodex:MS_728.8", "Kienböck's disease", "phecodex", "Musculoskeletal"),
        ],
        [("phecodex:EM_202.2", "phecodex:EM_202")],
    )


def test_rows_without_code_or_text_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("phecode,description,group\n,x,y\n008,,y\n")
    ledger = phecode_definitions.read(tmp_path / "p.csv", source="p", options={}).ledger
    assert ledger.reasons() == {"rejected: not a PheCode: expected a code without spaces": 1, "rejected: the code has no text": 1}


def test_flavours_are_recognised_and_maps_are_not() -> None:
    flavours = [phecode_definitions.recognise(Sample(Path("x.csv"), tuple(text.splitlines()))) for text in (PHEINFO, PHECODEX)]
    assert [f.flavour for f in flavours if f] == ["phecode", "phecodex"]
    rolled = '"ICD9","ICD9 String","PheCode","Phenotype","Rollup","group"'
    assert phecode_definitions.recognise(Sample(Path("x.csv"), (rolled,))) is None


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("phecode,colour\n008,blue\n")
    with pytest.raises(SourceError, match="column 'description' or 'phenotype' and 'group' or 'category' is missing"):
        phecode_definitions.read(tmp_path / "p.csv", source="p", options={})
