"""The packaged demonstration data: hashes as NOTICE says, nothing unnamed, nothing that may not be passed on."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
from pathlib import Path

import kgbuild

DATA = Path(kgbuild.__file__).parent / "data"
NOTICE = (DATA / "NOTICE").read_text(encoding="utf-8")
NOT_SOURCES = {
    "NOTICE",
    "kgbuild.toml",
    "calibration-minilm.json",
    "candidate-sets-minilm.json",
}  # our own: a template, and coefficients that say what they were fitted on


def _entries() -> dict[str, str]:
    """Give each entry of NOTICE: file -> text."""
    return {m[1]: m[2] for m in re.finditer(r"^(\S+\.\S+)\n((?:  .*\n)+)", NOTICE, re.MULTILINE)}


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()


def _sources() -> list[Path]:
    return sorted(path for path in DATA.iterdir() if path.is_file() and path.name not in NOT_SOURCES)


def test_every_file_has_an_entry_with_its_hash() -> None:
    stated = {name: re.findall(r"sha256: (\w+)", entry) for name, entry in _entries().items()}
    assert stated == {path.name: [hashlib.sha256(path.read_bytes()).hexdigest()] for path in _sources()}


def test_every_entry_says_origin_licence_and_what_was_changed() -> None:
    lacking = [
        name
        for name, entry in _entries().items()
        if re.findall(r"^  (\w+):", entry, re.MULTILINE) != ["origin", "licence", "changed", "sha256"]
    ]
    assert lacking == []


def test_compressed_files_carry_no_time_and_no_name() -> None:
    headers = {path.name: path.read_bytes()[3:8] for path in _sources() if path.suffix == ".gz"}
    assert {name: header for name, header in headers.items() if header != bytes(5)} == {}


def test_nothing_is_large() -> None:
    assert sum(path.stat().st_size for path in _sources()) < 1_500_000


def test_no_vocabulary_that_may_not_be_passed_on_occurs() -> None:
    forbidden = re.compile(r"\b(UMLS|SNOMED\w*|SCTID|MEDDRA|MedGen|DisGeNET|SIDER):", re.IGNORECASE)
    assert [path.name for path in _sources() if forbidden.search(_text(path))] == []


def test_drugbank_is_an_identifier_and_no_more() -> None:
    rows = list(csv.DictReader(_text(DATA / "kg.csv.gz").splitlines()))
    drugs = {(row["x_type"], bool(re.fullmatch(r"DB\d{5}", row["x_id"]))) for row in rows if row["x_source"] == "DrugBank"}
    assert drugs == {("drug", True)}
    assert {row["relation"] for row in rows} & {"drug_drug", "contraindication", "off-label use", "drug_effect"} == set()


def test_icd10_labels_are_not_who_text() -> None:
    rows = [line.split("\t") for line in _text(DATA / "mappings.tsv.gz").splitlines()]
    assert {row[0] for row in rows[1:] if "icd10" in row[0]} == {"az_icd10", "mondo_icd10cm"}
    order = {line[6:13].strip(): line[77:].strip() for line in _text(DATA / "icd10cm-order-2021.txt.gz").splitlines()}
    differing = [row for row in rows if row[0] == "az_icd10" and row[1] in order and row[2] != order[row[1]]]
    assert differing == []


def test_phenotypes_are_some_forty_with_an_id_each() -> None:
    rows = list(csv.reader(_text(DATA / "phenotypes.tsv").splitlines(), delimiter="\t"))
    assert rows[0] == ["id", "phenotype", "note"]
    assert {len(row) for row in rows} == {3}
    assert len({row[0] for row in rows[1:]}) == len({row[1] for row in rows[1:]}) == len(rows) - 1 == 44
