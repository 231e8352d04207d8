"""Biobank tables: codes become CURIEs, effects keep their kind, rows that are no result are rejected; FinnGen's list is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import ConfigurationError, SourceError
from kgbuild.sources import Harvest, Sample, biobank, gwas
from kgbuild.vocabulary import text_id

HEADER = "code\tdescription\tvariant\teffect_allele\tother_allele\teffect\tse\tp\tn"
ROW = "250.2\tType 2 diabetes\trs7903146\tT\tC\t0.3\t0.02\t1E-400\t1000"


def harvest(folder: Path, header: str, *rows: str, **options: Any) -> Harvest:
    (folder / "biobank.tsv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return biobank.read(folder / "biobank.tsv", source="b", options=options)


def test_a_row_becomes_one_association_of_a_code(tmp_path: Path) -> None:
    got = harvest(tmp_path, HEADER, ROW, vocabulary="phecode")
    row = got.tables["associations"].to_pylist()[0]
    assert {key: value for key, value in row.items() if value is not None and value != [] and key != "id"} == {
        "kind": "biobank", "variant_id": "dbsnp:rs7903146", "object_id": "phecode:250.2", "object_name": "Type 2 diabetes", "neg_log10_p": 400.0,
        "p_censored": False, "genome_wide": True, "effect_type": "beta", "effect": 0.3, "direction": "increase",
        "effect_lower": pytest.approx(0.2608, abs=1e-4), "effect_upper": pytest.approx(0.3392, abs=1e-4), "se": 0.02, "effect_allele": "T",
        "other_allele": "C", "n": 1000, "source": "b", "line": 2,
    }  # fmt: skip
    assert [(c["id"], c["name"], c["kind"], c["vocabulary"]) for c in got.tables["concepts"].to_pylist()] == [
        ("phecode:250.2", "Type 2 diabetes", "ClinicalCode", "phecode")
    ]


def test_texts_are_the_default_vocabulary(tmp_path: Path) -> None:
    got = harvest(tmp_path, HEADER.replace("description", "x"), ROW.replace("250.2", "Survival in gout").replace("Type 2 diabetes", ""))
    (row,) = got.tables["associations"].to_pylist()
    assert (row["object_id"], row["object_name"], row["qualifiers"]) == (text_id("Survival in gout"), "Survival in gout", ["survival"])


@pytest.mark.parametrize(
    ("column", "value", "expected"),  # type, effect, direction, lower
    [
        ("or", "0.5", ("odds_ratio", 0.5, "decrease", pytest.approx(0.4808, abs=1e-4))),
        ("z", "-5.1", ("z", -5.1, "decrease", None)),
        ("beta", "NA", (None, None, None, None)),
        ("odds_ratio", "0", (None, None, None, None)),
    ],
)
def test_the_effect_s_column_tells_its_kind(tmp_path: Path, column: str, value: str, expected: tuple[Any, ...]) -> None:
    row = (
        harvest(tmp_path, HEADER.replace("effect\t", f"{column}\t"), ROW.replace("0.3\t", f"{value}\t"), vocabulary="phecode")
        .tables["associations"]
        .to_pylist()[0]
    )
    assert tuple(row[key] for key in ("effect_type", "effect", "direction", "effect_lower")) == expected


def test_a_variant_without_rs_id_needs_build_and_both_alleles_to_be_known(tmp_path: Path) -> None:
    header, row = "code\tchrom\tpos\tref\talt\tbeta\tp", "I10\t6\t30000000\tA\tT\t0.1\t0.5"
    (known,) = harvest(tmp_path, header, row, vocabulary="icd10", build="GRCh38").tables["variants"].to_pylist()
    (unknown,) = harvest(tmp_path, header, row, vocabulary="icd10").tables["variants"].to_pylist()
    assert (known["id"], known["in_mhc"]) == ("GRCh38:6:30000000:A:T", True)
    assert (unknown["kind"], unknown["build"], unknown["in_mhc"]) == ("other", None, False)


def test_every_row_is_kept_merged_or_rejected_with_its_line(tmp_path: Path) -> None:
    rows = [
        ROW,
        ROW,
        ROW.replace("rs7903146", ""),
        ROW.replace("1E-400", "NS"),
        ROW.replace("250.2", ""),
        "short",
        ROW.replace("0.3", "0.4"),
    ]
    got = harvest(tmp_path, HEADER, *rows, vocabulary="phecode")
    assert sorted((r["line"], r["fate"], r["reason"]) for r in got.ledger.table().to_pylist()) == [
        (3, "merged", "the same row again"),
        (4, "rejected", "no variant"),
        (5, "rejected", "p is not a number from 0 to 1"),
        (6, "rejected", "not a code of phecode"),
        (7, "rejected", "wrong number of cells"),
    ]
    assert (got.ledger.rows_in, got.ledger.kept, len(set(got.tables["associations"]["id"].to_pylist()))) == (7, 2, 2)


def test_a_code_that_its_vocabulary_cannot_hold_is_rejected(tmp_path: Path) -> None:
    got = harvest(tmp_path, HEADER, ROW, ROW.replace("250.2", "e119"), vocabulary="icd10")
    assert [(r["line"], r["detail"]) for r in got.ledger.table().to_pylist()] == [(2, "250.2")]
    assert got.tables["concepts"]["id"].to_pylist() == ["icd10:E11.9"]


def test_a_row_of_several_codes_is_an_association_of_each(tmp_path: Path) -> None:
    got = harvest(tmp_path, "endpoint\trsid\tbeta\tp\tref\talt", "A_B|C_D\trs1\t1\t0.1\tA\tT", vocabulary="finngen")
    assert (got.tables["associations"]["object_id"].to_pylist(), got.ledger.kept) == (["finngen:A_B", "finngen:C_D"], 1)
    assert got.tables["associations"]["flags"].to_pylist() == [["subsignificant", "palindromic"]] * 2
    assert {flag for flags in got.tables["associations"]["flags"].to_pylist() for flag in flags} <= gwas.FLAGS.keys()


def test_a_biobank_table_is_known_by_its_columns() -> None:
    found = biobank.recognise(Sample(Path("ukb.tsv"), (HEADER.replace("code", "phecode"), ROW)))
    assert found is not None
    assert (found.kind, dict(found.options), found.unasked) == ("biobank", {"vocabulary": "phecode"}, False)
    assert biobank.recognise(Sample(Path("x.tsv"), ("code\tname", "1\ta"))) is None


def test_finngen_s_published_hits_are_known_and_left_out_unless_asked_for() -> None:
    header = "rsid\tchrom\tpos\tref\talt\tendpoint\ttrait\tbeta\tse\tp\tstudy_doi\tsource_file"
    found = biobank.recognise(Sample(Path("finngen_betamatch.tsv"), (header,)))
    assert found is not None
    assert found.unasked
    assert "published hits" in found.why


def test_an_unknown_vocabulary_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="'snomed'"):
        harvest(tmp_path, HEADER, ROW, vocabulary="snomed")


@pytest.mark.parametrize(("data", "message"), [(b"", "the file is empty"), (b"code\tvariant\n", "'p' or 'pval'")])
def test_a_damaged_or_other_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "biobank.tsv").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        biobank.read(tmp_path / "biobank.tsv", source="b", options={})
