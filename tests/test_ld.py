"""Each SNP has one LD interval; what is no SNP, no chromosome or no interval is rejected with its line."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Recognised, Sample, ld

HEADER = "SNP\tchrom\tleft\tright\tblock\n"


def test_intervals_are_read_typed_and_every_other_row_is_accounted_for(tmp_path: Path) -> None:
    rows = ["rs1\t1\t10\t20\t1:1", "RS2\tchrX\t30\t30\tX:1", "rs3\t23\t1\t2\tX:0", "1:55\t1\t1\t2\t1:1", "rs4\tMT\t1\t2\tM:1", "rs5\t1\t1e3\t2\t1:1",
            "rs6\t1\t5\t2\t1:1", "rs7\t1\t5\t9\t", "rs1\t1\t10\t20\t1:1", "rs1\t1\t10\t21\t1:1", "rs8\t1\t5\t9"]  # fmt: skip
    (tmp_path / "ld.tsv").write_text(HEADER + "\n".join(rows) + "\n")
    harvest = ld.read(tmp_path / "ld.tsv", source="l", options={})
    assert [tuple(row.values()) for row in harvest.tables["loci"].to_pylist()] == [
        ("dbsnp:rs1", "1", 10, 20, "1:1", "l", 2),
        ("dbsnp:rs2", "X", 30, 30, "X:1", "l", 3),
        ("dbsnp:rs3", "X", 1, 2, "X:0", "l", 4),
    ]
    assert sorted((r["line"], r["fate"], r["reason"]) for r in harvest.ledger.table().to_pylist()) == [
        (5, "rejected", "not an rs id"),
        (6, "rejected", "not a chromosome 1..22 or X"),
        (7, "rejected", "`left` is not a base pair position"),
        (8, "rejected", "the interval ends before it begins"),
        (9, "rejected", "the SNP has no block"),
        (10, "merged", "the same interval"),
        (11, "rejected", "the SNP has another interval before"),
        (12, "rejected", "wrong number of cells"),
    ]
    assert (harvest.ledger.rows_in, harvest.ledger.kept) == (11, 3)


def test_the_packaged_blocks_are_read_whole() -> None:
    path = Path(str(files("kgbuild"))) / "data" / "snp_ld_blocks.tsv.gz"
    harvest = ld.read(path, source="l", options={})
    n_rows = gzip.decompress(path.read_bytes()).count(b"\n") - 1
    assert (harvest.ledger.rows_in, harvest.ledger.kept, harvest.tables["loci"].num_rows) == (n_rows, n_rows, n_rows)


def test_a_file_without_rows_gives_no_loci(tmp_path: Path) -> None:
    (tmp_path / "ld.tsv").write_text(HEADER)
    assert ld.read(tmp_path / "ld.tsv", source="l", options={}).tables["loci"].num_rows == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"SNP,chrom\nrs1,1\n", "'left' or 'start'"),
        (gzip.compress(HEADER.encode() * 99, mtime=0)[:-9], "compressed data"),
    ],
)
def test_a_damaged_or_other_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "ld.tsv").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        ld.read(tmp_path / "ld.tsv", source="l", options={})


def test_the_header_is_recognised() -> None:
    assert ld.recognise(Sample(Path("ld.tsv"), (HEADER.strip(),))) == Recognised("ld-blocks", "", "columns SNP, chrom, left, right, block")
    assert ld.recognise(Sample(Path("ld.tsv"), ("SNP\tchrom\tpos",))) is None
