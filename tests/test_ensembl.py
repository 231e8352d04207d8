"""Ensembl ids lose their version, and one gene has one symbol."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Recognised, Sample, ensembl


def test_genes_are_read_once_without_version(tmp_path: Path) -> None:
    path = tmp_path / "genes.tsv"
    path.write_text(
        "ensembl_gene_id\tsymbol\nENSG00000001626.15\tCFTR\nENSG00000001629\t\nENSG00000001626\tCFTR\nENSG00000001626\tABCC7\nCFTR\tCFTR\n"
    )
    harvest = ensembl.read(path, source="e", options={})
    assert [tuple(row.values()) for row in harvest.tables["genes"].to_pylist()] == [
        ("ensembl:ENSG00000001626", "CFTR", ["ENSG00000001626"], "e", 2),
        ("ensembl:ENSG00000001629", "ENSG00000001629", ["ENSG00000001629"], "e", 3),
    ]
    assert [(r["line"], r["fate"], r["reason"]) for r in harvest.ledger.table().to_pylist()] == [
        (4, "merged", "the same gene and symbol"),
        (5, "rejected", "the gene has another symbol before"),
        (6, "rejected", "not an Ensembl gene id"),
    ]
    assert (harvest.ledger.rows_in, harvest.ledger.kept) == (5, 2)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "genes.tsv").write_text("ensembl_gene_id\tname\nENSG00000001626\tCFTR\n")
    with pytest.raises(SourceError, match="column 'symbol'"):
        ensembl.read(tmp_path / "genes.tsv", source="e", options={})


def test_the_header_is_recognised() -> None:
    recognised = Recognised("ensembl-symbols", "", "columns with an Ensembl gene id and a symbol")
    assert ensembl.recognise(Sample(Path("e.tsv"), ("Gene stable ID,Gene name",))) == recognised
    assert ensembl.recognise(Sample(Path("e.tsv"), ("gene\tsymbol",))) is None
