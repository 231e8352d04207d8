"""What every reader promises, tried on the packaged files: typed tables, lines that exist, an account that adds up, no chance."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from kgbuild import tables
from kgbuild.errors import ConfigurationError
from kgbuild.sources import KINDS, Harvest, reader

DATA = Path(str(files("kgbuild"))) / "data"
PACKAGED: dict[str, tuple[str, dict[str, Any]]] = {
    "obo": ("efo.obo.gz", {}),
    "icd10cm-order": ("icd10cm-order-2021.txt.gz", {}),
    "icd9cm": ("icd9cm.tsv", {}),
    "phecode-definitions": ("pheinfo.csv", {}),
    "phecode-map": ("phecode_map.csv", {}),
    "curated-mappings": ("mappings.tsv.gz", {}),
    "gwas-catalog": ("gwas-catalog-associations.tsv.gz", {"build": "GRCh38"}),
    "eqtl": ("blueprint_monocyte_eqtl.tsv.gz", {"tissue": "monocyte"}),
    "ld-blocks": ("snp_ld_blocks.tsv.gz", {}),
    "ensembl-symbols": ("ensembl_to_symbol.tsv.gz", {}),
    "primekg": ("kg.csv.gz", {}),
    "free-text": ("phenotypes.tsv", {"column": "phenotype"}),
}


def lines_of(name: str) -> list[str]:
    data = (DATA / name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode().splitlines()


def read(kind: str) -> Harvest:
    name, options = PACKAGED[kind]
    return reader(kind).read(DATA / name, source="s", options=options)


@pytest.mark.parametrize("kind", PACKAGED)
def test_rows_in_are_rows_kept_merged_and_rejected_and_nothing_depends_on_chance(kind: str) -> None:
    first, again = read(kind), read(kind)
    lines = lines_of(PACKAGED[kind][0])
    n_rows = sum(line == "[Term]" for line in lines) if kind == "obo" else len(lines) - (kind != "icd10cm-order")
    assert (first.ledger.rows_in, first.ledger.kept + first.ledger.merged + first.ledger.rejected) == (n_rows, n_rows)
    assert (first.tables, first.ledger.table(), first.version, first.notes) == (
        again.tables,
        again.ledger.table(),
        again.version,
        again.notes,
    )


@pytest.mark.parametrize("kind", PACKAGED)
def test_tables_have_their_schema_and_each_row_its_source_and_a_line_of_the_file(kind: str) -> None:
    n_lines = len(lines_of(PACKAGED[kind][0]))
    for name, table in read(kind).tables.items():
        assert table.schema == tables.schema(name)
        assert set(table["source"].to_pylist()) <= {"s"}
        assert all(1 <= line <= n_lines for line in table["line"].to_pylist())


def test_each_kind_has_a_module_with_a_version() -> None:
    assert {kind: type(reader(kind).VERSION) for kind in KINDS} == dict.fromkeys(KINDS, int)


def test_an_unknown_kind_is_refused_with_the_kinds_there_are() -> None:
    with pytest.raises(ConfigurationError, match="no reader is called 'owl'\n  Known kinds: obo, "):
        reader("owl")
