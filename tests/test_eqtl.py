"""eQTL tables under several names: alleles, p too small for a double, GTEx's variants, repeats and rejects."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Harvest, Sample, eqtl, gwas

BLUEPRINT = "Phenotype\tSNP\tbeta\tse\teaf\teffect_allele\tother_allele\tpval"
ROW = "ENSG00000000460.11\trs3917729\t1.004\t0.165\t0.1075\tA\tG\t1.177e-09"
GTEX = "variant_id\tgene_id\ttss_distance\tmaf\tpval_nominal\tslope\tslope_se"


def harvest(folder: Path, header: str, *rows: str, **options: Any) -> Harvest:
    (folder / "eqtl.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return eqtl.read(folder / "eqtl.tsv", source="e", options=options)


def test_a_row_becomes_one_association_of_a_variant_and_a_gene_without_version(tmp_path: Path) -> None:
    got = harvest(tmp_path, BLUEPRINT, ROW, tissue="monocyte")
    row = got.tables["associations"].to_pylist()[0]
    assert {key: value for key, value in row.items() if value is not None and value != [] and key != "id"} == {
        "kind": "eqtl", "variant_id": "dbsnp:rs3917729", "object_id": "ensembl:ENSG00000000460", "object_name": "ENSG00000000460.11", "tissue": "monocyte",
        "neg_log10_p": pytest.approx(8.929, abs=1e-3), "p_censored": False, "genome_wide": True, "effect_type": "beta", "effect": 1.004,
        "direction": "increase", "effect_lower": pytest.approx(0.6806, abs=1e-4), "effect_upper": pytest.approx(1.3274, abs=1e-4), "se": 0.165,
        "effect_allele": "A", "other_allele": "G", "effect_allele_frequency": 0.1075, "source": "e", "line": 2,
    }  # fmt: skip
    assert [tuple(gene.values()) for gene in got.tables["genes"].to_pylist()] == [
        ("ensembl:ENSG00000000460", "ensembl:ENSG00000000460", ["ENSG00000000460"], "e", 2)
    ]


def test_gtex_s_slope_is_for_the_alternative_allele_of_the_variant_s_name(tmp_path: Path) -> None:
    got = harvest(tmp_path, GTEX, "chr6_30000000_C_T_b38\tENSG00000227232.5\t1\t0.1\t1e-9\t-0.5\t0.1")
    row = got.tables["associations"].to_pylist()[0]
    assert (row["variant_id"], row["effect"], row["effect_allele"], row["other_allele"], row["direction"]) == (
        "GRCh38:6:30000000:C:T", -0.5, "T", "C", "decrease")  # fmt: skip
    assert [(v["chromosome"], v["position"], v["build"], v["in_mhc"]) for v in got.tables["variants"].to_pylist()] == [
        ("6", 30000000, "GRCh38", True)
    ]


def test_a_place_on_an_unknown_build_is_kept_and_joined_with_nothing(tmp_path: Path) -> None:
    row = "6:30000000:C:T\tENSG00000227232.5\t1\t0.1\t1e-9\t-0.5\t0.1"
    (unknown,) = harvest(tmp_path, GTEX, row).tables["variants"].to_pylist()
    (known,) = harvest(tmp_path, GTEX, row, build="GRCh37").tables["variants"].to_pylist()
    assert (unknown["kind"], unknown["members"], unknown["build"]) == ("other", ["6:30000000:C:T"], None)
    assert (known["kind"], known["id"], known["in_mhc"]) == ("single", "GRCh37:6:30000000:C:T", False)


def test_p_is_read_past_what_a_double_holds(tmp_path: Path) -> None:
    rows = [f"chr1_{place}_C_T_b38\tENSG00000227232.5\t1\t0.1\t{p}\t0.5\t0.1" for place, p in enumerate(("1e-400", "0", "5e-310", "1"), 1)]
    table = harvest(tmp_path, GTEX, *rows).tables["associations"]
    assert table["neg_log10_p"].to_pylist() == [400.0, 323.0, pytest.approx(309.30103), 0.0]
    assert table["p_censored"].to_pylist() == [False, True, False, False]
    assert table["flags"].to_pylist() == [[], ["p_censored"], [], ["subsignificant"]]


def test_every_row_is_kept_merged_or_rejected_with_its_line(tmp_path: Path) -> None:
    g, rest = "ENSG00000000460.11", "1\t1\t.1\tA\tG"
    rows = [
        ROW,
        ROW,
        f"{g}\t\t{rest}\t.01",
        f"\trs1\t{rest}\t.01",
        f"{g}\trs1\t{rest}\tNS",
        f"{g}\trs1\t{rest}\t1e-3",
        "short",
        f"{g}\trs1\t{rest}\t-1",
    ]
    got = harvest(tmp_path, BLUEPRINT, *rows, p_threshold=1e-5)
    assert sorted((r["line"], r["fate"], r["reason"], r["detail"]) for r in got.ledger.table().to_pylist()) == [
        (3, "merged", "the same row again", "line 2"),
        (4, "rejected", "no variant", ""),
        (5, "rejected", "no gene", ""),
        (6, "rejected", "p is not a number from 0 to 1", "NS"),
        (7, "rejected", "p above the threshold", "1e-3"),
        (8, "rejected", "wrong number of cells", "1 cells instead of 8: short"),
        (9, "rejected", "p is not a number from 0 to 1", "-1"),
    ]
    assert (got.ledger.rows_in, got.ledger.kept, got.tables["associations"].num_rows) == (8, 1, 1)
    assert got.tables["variants"]["id"].to_pylist() == ["dbsnp:rs3917729"]


def test_two_measurements_of_one_pair_are_two_associations_whatever_the_order(tmp_path: Path) -> None:
    again = ROW.replace("1.004", "0.9")
    one, other = (harvest(tmp_path, BLUEPRINT, *rows).tables["associations"] for rows in ((ROW, again), (again, ROW)))
    assert dict(zip(one["effect"].to_pylist(), one["id"].to_pylist(), strict=True)) == dict(
        zip(other["effect"].to_pylist(), other["id"].to_pylist(), strict=True)
    )
    assert len(set(one["id"].to_pylist())) == 2


def test_tissues_and_alleles_are_part_of_the_identity_and_palindromes_are_only_flagged(tmp_path: Path) -> None:
    palindrome = ROW.replace("\tG\t", "\tT\t")
    table = harvest(tmp_path, BLUEPRINT + "\ttissue", ROW + "\tliver", ROW + "\tlung", palindrome + "\tlung").tables["associations"]
    assert len(set(table["id"].to_pylist())) == 3
    assert table["tissue"].to_pylist() == ["liver", "lung", "lung"]
    assert (table["flags"].to_pylist(), table["effect_allele"].to_pylist()) == ([[], [], ["palindromic"]], ["A", "A", "A"])


def test_an_effect_of_no_named_allele_has_no_direction(tmp_path: Path) -> None:
    row = harvest(tmp_path, "gene\trsid\tp\tbeta", "ENSG00000000460\trs1\t1e-9\t0.5").tables["associations"].to_pylist()[0]
    assert (row["effect"], row["direction"], row["flags"]) == (0.5, None, ["no_effect_allele"])


def test_a_symbol_column_names_the_gene(tmp_path: Path) -> None:
    got = harvest(tmp_path, "gene_id,gene_name,rsid,p,beta", "ENSG00000000460.11,C1orf112,rs1,1e-9,0.5")
    assert [gene["symbol"] for gene in got.tables["genes"].to_pylist()] == ["C1orf112"]


@pytest.mark.parametrize(
    ("header", "row", "tissue"), [(BLUEPRINT, ROW, "liver"), (GTEX, "chr1_1_C_T_b38\tENSG00000227232.5\t1\t0.1\t1\t-0.5\t0.1", "liver")]
)
def test_an_eqtl_table_is_known_by_columns_and_gene_ids(header: str, row: str, tissue: str) -> None:
    found = eqtl.recognise(Sample(Path("liver_eqtls.v8.tsv.gz"), (header, row)))
    assert found is not None
    assert (found.kind, dict(found.options)) == ("eqtl", {"tissue": tissue})
    assert eqtl.recognise(Sample(Path("x.tsv"), (header, row.replace("ENSG", "abcd")))) is None


def test_the_packaged_table_is_read_whole_and_uses_only_declared_flags() -> None:
    path = Path(str(files("kgbuild"))) / "data" / "blueprint_monocyte_eqtl.tsv.gz"
    got = eqtl.read(path, source="e", options={"tissue": "monocyte"})
    n_rows = gzip.decompress(path.read_bytes()).count(b"\n") - 1
    assert (got.ledger.rows_in, got.tables["associations"].num_rows) == (n_rows, got.ledger.kept)
    assert {flag for flags in got.tables["associations"]["flags"].to_pylist() for flag in flags} <= gwas.FLAGS.keys()


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "the file is empty"), (b"SNP,p\n", "'gene_id'"), (gzip.compress(BLUEPRINT.encode() * 99, mtime=0)[:-9], "compressed data")],
)
def test_a_damaged_or_other_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "eqtl.tsv").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        eqtl.read(tmp_path / "eqtl.tsv", source="e", options={})


def test_a_file_without_rows_gives_empty_tables(tmp_path: Path) -> None:
    assert {name: table.num_rows for name, table in harvest(tmp_path, BLUEPRINT).tables.items()} == {
        "associations": 0,
        "variants": 0,
        "genes": 0,
    }
