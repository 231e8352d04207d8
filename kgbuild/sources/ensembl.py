"""A table of Ensembl gene ids and symbols in; genes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import header_of, read_rows
from kgbuild.sources.release import says_subset, version_in

__all__ = ["COLUMNS", "VERSION", "read", "recognise"]

VERSION = 1

COLUMNS = {
    "gene": ("ensembl_gene_id", "gene stable id", "ensembl_id", "ensembl"),
    "symbol": ("symbol", "hgnc_symbol", "hgnc symbol", "gene name", "gene_name", "external_gene_name"),
}
_GENE = re.compile(r"(ENS[A-Z]*G\d{11})(?:\.\d+)?(?:_PAR_Y)?")


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a header with an Ensembl gene id and a symbol."""
    lower = {name.casefold() for name in header_of(sample.lines)[1]}
    if not all(lower & set(spellings) for spellings in COLUMNS.values()):
        return None
    return Recognised(
        "ensembl-symbols",
        version_in(sample.path.name),
        "columns with an Ensembl gene id and a symbol",
        subset=says_subset(sample.path.name),
    )


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read one gene a row; versions are cut off, a gene without symbol is called by its id.

    Raises:
        SourceError: A column is missing or the file cannot be read.
    """
    ledger = Ledger(source)
    first: dict[str, tuple[str, int]] = {}
    for line, cells in read_rows(path, delimiter=options.get("delimiter"), columns=COLUMNS):
        if isinstance(cells, str):
            ledger.reject(line, "wrong number of cells", cells)
            continue
        match = _GENE.fullmatch(cells["gene"].strip())
        if match is None:
            ledger.reject(line, "not an Ensembl gene id", cells["gene"])
            continue
        gene, symbol = match[1], cells["symbol"].strip()
        known = first.setdefault(gene, (symbol, line))
        if known[1] == line:
            ledger.keep(line)
        elif symbol in {known[0], ""}:
            ledger.merge(line, "the same gene and symbol", f"line {known[1]}")
        else:
            ledger.reject(line, "the gene has another symbol before", f"{gene} {symbol!r}, on line {known[1]} {known[0]!r}")
    rows = [(f"ensembl:{gene}", symbol or gene, [gene], source, line) for gene, (symbol, line) in first.items()]
    return Harvest({"genes": tables.from_rows("genes", rows)}, ledger, version_in(path.name))
