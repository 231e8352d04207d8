"""The rules for GWAS Catalog rows: identity, p, effect and sign, sets of variants, composite and qualified traits, merged ids."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Harvest, Sample, gwas
from kgbuild.vocabulary import text_id

ROW = {
    "DATE ADDED TO CATALOG": "2015-05-15", "PUBMEDID": "21353194", "DATE": "2011-02-23", "DISEASE/TRAIT": "Bipolar disorder",
    "INITIAL SAMPLE SIZE": "682 European ancestry cases, 1,300 European ancestry controls", "CHR_ID": "19", "CHR_POS": "19250926",
    "MAPPED_GENE": "NCAN", "STRONGEST SNP-RISK ALLELE": "rs1064395-A", "SNPS": "rs1064395", "MERGED": "0", "SNP_ID_CURRENT": "1064395",
    "CONTEXT": "3_prime_UTR_variant", "RISK ALLELE FREQUENCY": "0.16", "P-VALUE": "2E-9", "PVALUE_MLOG": "8.69897000434", "P-VALUE (TEXT)": "",
    "OR or BETA": "1.17", "95% CI (TEXT)": "[1.11-1.23]", "MAPPED_TRAIT": "bipolar disorder", "MAPPED_TRAIT_URI": "http://www.ebi.ac.uk/efo/EFO_0000289",
    "STUDY ACCESSION": "GCST000985",
}  # fmt: skip
OLD_NAMES = {"DISEASE/TRAIT": "Disease/Trait", "SNPS": "SNPs", "P-VALUE": "p-Value", "PVALUE_MLOG": "Pvalue_mlog", "OR or BETA": "OR or beta",
             "STRONGEST SNP-RISK ALLELE": "Strongest SNP-Risk Allele", "95% CI (TEXT)": "95% CI (text)", "INITIAL SAMPLE SIZE": "Initial Sample Description",
             "CHR_ID": "Chr_id", "CHR_POS": "Chr_pos", "DATE": "Date"}  # fmt: skip


def harvest(
    folder: Path, *changes: dict[str, str], names: dict[str, str] | None = None, drop: tuple[str, ...] = (), **options: Any
) -> Harvest:
    """Read rows that are ROW with changes."""
    header = [name for name in ROW if name not in drop]
    lines = [
        "\t".join((names or {}).get(name, name) for name in header),
        *("\t".join({**ROW, **change}[name] for name in header) for change in changes),
    ]
    (folder / "gwas.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return gwas.read(folder / "gwas.tsv", source="g", options=options)


def only(folder: Path, **change: str) -> dict[str, Any]:
    """Read one row; a key is a column of ROW, with _ for what a name cannot hold."""
    spelled = {"effect": "OR or BETA", "ci": "95% CI (TEXT)", "allele": "STRONGEST SNP-RISK ALLELE", "trait": "DISEASE/TRAIT", "terms": "MAPPED_TRAIT",
               "uris": "MAPPED_TRAIT_URI", "p": "P-VALUE", "mlog": "PVALUE_MLOG", "p_text": "P-VALUE (TEXT)", "snps": "SNPS", "current": "SNP_ID_CURRENT",
               "added": "DATE ADDED TO CATALOG"}  # fmt: skip
    row: dict[str, Any] = harvest(folder, {spelled[key]: value for key, value in change.items()}).tables["associations"].to_pylist()[0]
    return row


def test_a_row_becomes_one_association_with_everything_it_says(tmp_path: Path) -> None:
    got = harvest(tmp_path, {})
    row = got.tables["associations"].to_pylist()[0]
    assert {key: value for key, value in row.items() if key != "id"} == {
        "kind": "gwas", "variant_id": "dbsnp:rs1064395", "object_id": text_id("Bipolar disorder"), "object_name": "Bipolar disorder",
        "term_ids": ["EFO:0000289"], "term_relation": "single", "named_term_ids": [], "qualifiers": [], "study": "gcst:GCST000985",
        "publication": "pubmed:21353194", "date": "2011-02-23", "tissue": None, "p_text": None, "neg_log10_p": 8.69897000434, "p_censored": False,
        "genome_wide": True, "effect_type": "odds_ratio", "effect": 1.17, "effect_unit": None, "direction": "increase", "effect_lower": 1.11,
        "effect_upper": 1.23, "se": pytest.approx(0.02618, abs=1e-5), "effect_allele": "A", "other_allele": None, "effect_allele_frequency": 0.16,
        "n": 1982, "ancestry": "European", "flags": [], "source": "g", "line": 2,
    }  # fmt: skip
    assert [tuple(v.values()) for v in got.tables["variants"].to_pylist()] == [
        ("dbsnp:rs1064395", "single", [], "19", 19250926, "GRCh38", "3_prime_UTR_variant", ["NCAN"], None, False, None, "g", 2)
    ]
    assert [(c["id"], c["name"], c["kind"], c["vocabulary"]) for c in got.tables["concepts"].to_pylist()] == [
        (row["object_id"], "Bipolar disorder", "FreeText", "text")
    ]
    assert got.version == "2015-05-15"


def test_the_column_names_of_2015_and_us_dates_are_read_alike(tmp_path: Path) -> None:
    now = harvest(tmp_path, {}).tables["associations"]
    then = harvest(tmp_path, {"DATE": "02/23/2011"}, names=OLD_NAMES).tables["associations"]
    assert then.equals(now)


def test_columns_that_only_new_files_have_may_be_missing(tmp_path: Path) -> None:
    row = (
        harvest(tmp_path, {}, drop=("STUDY ACCESSION", "MAPPED_TRAIT", "MAPPED_TRAIT_URI", "PVALUE_MLOG", "MERGED"))
        .tables["associations"]
        .to_pylist()[0]
    )
    assert (row["study"], row["publication"], row["term_ids"], row["term_relation"], round(row["neg_log10_p"], 6)) == (
        None, "pubmed:21353194", [], None, 8.69897)  # fmt: skip
    assert row["flags"] == ["unmapped_trait"]


# ---- identity


def test_measured_values_are_no_part_of_an_association_s_identity(tmp_path: Path) -> None:
    corrected = {"OR or BETA": "1.2", "P-VALUE": "1E-9", "PVALUE_MLOG": "9", "95% CI (TEXT)": "[1.1-1.3]"}
    assert harvest(tmp_path, {}).tables["associations"]["id"] == harvest(tmp_path, corrected).tables["associations"]["id"]


@pytest.mark.parametrize("column", ["STUDY ACCESSION", "SNPS", "STRONGEST SNP-RISK ALLELE", "DISEASE/TRAIT", "P-VALUE (TEXT)"])
def test_each_identifying_column_makes_another_association(tmp_path: Path, column: str) -> None:
    ids = harvest(tmp_path, {}, {column: ROW[column] + "9"}).tables["associations"]["id"].to_pylist()
    assert len(set(ids)) == 2


def test_rows_of_one_key_are_told_apart_by_an_ordinal_that_the_order_of_the_file_does_not_change(tmp_path: Path) -> None:
    weak, strong = {"P-VALUE": "1E-8", "PVALUE_MLOG": "8"}, {"P-VALUE": "1E-9", "PVALUE_MLOG": "9"}
    one, other = (harvest(tmp_path, *rows).tables["associations"].to_pylist() for rows in ((weak, strong), (strong, weak)))
    ids = {row["neg_log10_p"]: row["id"] for row in one}
    assert len(set(ids.values())) == 2
    assert {row["neg_log10_p"]: row["id"] for row in other} == ids


def test_an_identical_row_is_merged_and_never_silently_gone(tmp_path: Path) -> None:
    got = harvest(tmp_path, {}, {"P-VALUE (TEXT)": "(women)"}, {})
    assert got.tables["associations"]["line"].to_pylist() == [2, 3]
    assert got.ledger.table().to_pylist() == [
        {"source": "g", "line": 4, "fate": "merged", "reason": "the same row again", "detail": "line 2"}
    ]
    assert (got.ledger.rows_in, got.ledger.kept, got.ledger.merged) == (3, 2, 1)


# ---- p


@pytest.mark.parametrize(
    ("p", "mlog", "expected"),
    [
        ("2E-9", "8.69897000434", (8.69897000434, False, True)),
        ("0.0", "", (323.0, True, True)),
        ("0", "Infinity", (323.0, True, True)),
        ("1E-400", "", (400.0, False, True)),
        ("5E-8", "7.30103", (7.30103, False, True)),
        ("6E-8", "", (pytest.approx(7.2218, abs=1e-4), False, False)),
        ("", "", (None, False, False)),
    ],
)
def test_p_is_kept_on_the_log_scale_whatever_its_size(tmp_path: Path, p: str, mlog: str, expected: tuple[Any, ...]) -> None:
    row = only(tmp_path, p=p, mlog=mlog)
    assert (row["neg_log10_p"], row["p_censored"], row["genome_wide"]) == expected
    assert ("p_censored" in row["flags"], "subsignificant" in row["flags"]) == (expected[1], p == "6E-8")


def test_a_row_whose_p_cannot_be_is_rejected_with_the_value(tmp_path: Path) -> None:
    got = harvest(
        tmp_path, {}, {"P-VALUE": "NS", "PVALUE_MLOG": ""}, {"P-VALUE": "3", "PVALUE_MLOG": "-0.47"}, {"SNPS": " "}, {"DISEASE/TRAIT": ""}
    )
    assert [(r["line"], r["reason"], r["detail"]) for r in got.ledger.table().to_pylist()] == [
        (3, "p is not a number from 0 to 1", "NS"),
        (4, "p is not a number from 0 to 1", "3"),
        (5, "no variant", " \tBipolar disorder"),
        (6, "no trait", "rs1064395\t"),
    ]
    assert got.tables["associations"].num_rows == got.ledger.kept == 1


# ---- effect


@pytest.mark.parametrize(
    ("effect", "ci", "expected"),  # type, effect, unit, direction, lower, upper
    [
        ("0.5", "[0.3-0.7] unit increase", ("beta", 0.5, "unit", "increase", 0.3, 0.7)),
        ("0.5", "[0.3-0.7] unit decrease", ("beta", -0.5, "unit", "decrease", -0.7, -0.3)),
        ("0.5", "[NR] (mg/dL decrease)", ("beta", -0.5, "mg/dL", "decrease", None, None)),
        ("0.3", "[-0.1-0.7] unit decrease novel", ("beta", -0.3, "unit", "decrease", -0.7, 0.1)),
        ("0.32", "[0.2\N{EN DASH}0.4] mg\N{THIN SPACE}dl-1 increase", ("beta", 0.32, "mg dl-1", "increase", 0.2, 0.4)),
        ("3.15", "[1.78-4.52] (% SD)", ("beta", 3.15, "% SD", None, 1.78, 4.52)),
        ("1.2", "[1.1\N{EN DASH}1.3]\N{NO-BREAK SPACE}", ("odds_ratio", 1.2, None, "increase", 1.1, 1.3)),
        ("1.2", "1.11***1.30", ("odds_ratio", 1.2, None, "increase", 1.11, 1.3)),
        ("1.15", "[1.1-1.19] (Oncoarray)", ("odds_ratio", 1.15, None, "increase", 1.1, 1.19)),
        ("1.2", "NR", ("odds_ratio", 1.2, None, "increase", None, None)),
        ("1.2", "", ("odds_ratio", 1.2, None, "increase", None, None)),
        ("0.46", "[NR] (% variance explained)", (None, 0.46, None, None, None, None)),
        ("0.8", "[0.7-0.9]", (None, 0.8, None, None, 0.7, 0.9)),
        ("1.2", "[-0.1-2.5]", (None, 1.2, None, None, -0.1, 2.5)),
        ("inf", "NR", (None, None, None, None, None, None)),
    ],
)
def test_the_interval_s_text_tells_what_an_effect_is(tmp_path: Path, effect: str, ci: str, expected: tuple[Any, ...]) -> None:
    row = only(tmp_path, effect=effect, ci=ci)
    assert tuple(row[key] for key in ("effect_type", "effect", "effect_unit", "direction", "effect_lower", "effect_upper")) == expected


def test_an_odds_ratio_below_one_is_believed_only_from_2021_on(tmp_path: Path) -> None:
    young = only(tmp_path, effect="0.8", ci="[0.7-0.9]", added="2022-03-01")
    assert (young["effect_type"], young["effect"], young["direction"], young["flags"]) == ("odds_ratio", 0.8, "decrease", [])
    assert only(tmp_path, effect="0.8", ci="[0.7-0.9]", added="2019-03-01")["flags"] == ["effect_type_unknown"]


@pytest.mark.parametrize(("ci", "effect"), [("[0.3-0.7] unit decrease", 0.5), ("[0.3-0.7] unit increase", 0.5), ("[1.1-1.3]", 1.2)])
def test_without_an_allele_the_magnitude_stays_and_the_direction_goes(tmp_path: Path, ci: str, effect: float) -> None:
    row = only(tmp_path, effect=str(effect), ci=ci, allele="rs1064395-?")
    assert (row["effect"], row["direction"], row["effect_allele"], row["flags"]) == (effect, None, None, ["no_effect_allele"])
    assert row["effect_lower"] > 0


def test_a_z_score_that_fits_p_is_a_statistic_and_another_is_an_effect(tmp_path: Path) -> None:
    assert [only(tmp_path, effect=z, ci="z-score increase", p="2E-9", mlog="8.69897")["effect_type"] for z in ("6.0", "0.4")] == [
        "z",
        "beta",
    ]


def test_an_effect_outside_its_interval_is_flagged_and_gives_no_standard_error(tmp_path: Path) -> None:
    row = only(tmp_path, effect="5.9", ci="[6.03-8.77] cm increase")
    assert (row["effect"], row["effect_lower"], row["se"], row["flags"]) == (5.9, 6.03, None, ["interval_excludes_effect"])


def test_alleles_are_never_turned_to_the_other_strand(tmp_path: Path) -> None:
    assert [only(tmp_path, allele=f"rs1064395-{allele}")["effect_allele"] for allele in "ATCG"] == list("ATCG")


# ---- variants


@pytest.mark.parametrize(("snps", "kind"), [("rs1; rs2", "haplotype"), ("rs1 x rs2", "interaction"), ("rs1, rs2", "haplotype")])
def test_several_variants_in_a_cell_are_one_association_of_a_set(tmp_path: Path, snps: str, kind: str) -> None:
    got = harvest(
        tmp_path,
        {"SNPS": snps, "STRONGEST SNP-RISK ALLELE": "rs1-A; rs2-T", "CHR_ID": "6;6", "CHR_POS": "30000000;30000100", "SNP_ID_CURRENT": ""},
    )
    (association,) = got.tables["associations"].to_pylist()
    variants = {v["kind"]: v for v in got.tables["variants"].to_pylist()}
    assert association["variant_id"] == variants[kind]["id"]
    assert (variants[kind]["members"], variants[kind]["chromosome"], variants[kind]["position"]) == (["dbsnp:rs1", "dbsnp:rs2"], "6", None)
    assert sorted(v["position"] for v in got.tables["variants"].to_pylist() if v["kind"] == "single") == [30000000, 30000100]
    assert "multi_snp" in association["flags"]
    assert association["effect_allele"] == "A; T"


def test_a_set_has_the_same_id_whatever_the_order_of_its_members_but_not_whatever_its_kind(tmp_path: Path) -> None:
    cells = ("rs1; rs2", "rs2; rs1", "rs1 x rs2")
    one, turned, crossed = (harvest(tmp_path, {"SNPS": cell}).tables["associations"]["variant_id"].to_pylist()[0] for cell in cells)
    assert one == turned != crossed


@pytest.mark.parametrize("name", ["rs12a", "rs71661463:IND", "HLA-DRB1*15:01", "SNP_A-2032347", "chr6:31241109:A:G", "chr6:31241109"])
def test_what_is_no_rs_id_is_kept_under_its_own_name_and_joined_with_nothing(tmp_path: Path, name: str) -> None:
    got = harvest(tmp_path, {"SNPS": name, "SNP_ID_CURRENT": "", "CHR_ID": "", "CHR_POS": ""})
    (variant,) = got.tables["variants"].to_pylist()
    assert (variant["kind"], variant["members"], variant["build"]) == ("other", [name], None)
    assert variant["id"].startswith("variantset:")
    assert got.tables["associations"]["flags"].to_pylist() == [["not_an_rs_id"]]


def test_a_merged_rs_id_is_forwarded_and_logged(tmp_path: Path) -> None:
    got = harvest(
        tmp_path,
        {"SNPS": "rs11", "MERGED": "1", "SNP_ID_CURRENT": "7"},
        {"SNPS": "rs11", "MERGED": "1", "SNP_ID_CURRENT": "7", "DISEASE/TRAIT": "Mania"},
    )
    assert got.tables["associations"]["variant_id"].to_pylist() == ["dbsnp:rs7", "dbsnp:rs7"]
    assert [tuple(f.values()) for f in got.tables["forwardings"].to_pylist()] == [("dbsnp:rs11", "dbsnp:rs7", "merged rs id", 2, "g", 2)]


def test_the_first_row_that_knows_a_variant_s_place_is_believed(tmp_path: Path) -> None:
    blank = {"CHR_ID": "", "CHR_POS": "", "MAPPED_GENE": "", "CONTEXT": "", "DISEASE/TRAIT": "Mania"}
    (variant,) = harvest(tmp_path, blank, {}).tables["variants"].to_pylist()
    assert (variant["chromosome"], variant["position"], variant["nearest_genes"], variant["line"]) == ("19", 19250926, ["NCAN"], 2)


def test_the_mhc_is_known_by_place_and_by_contig(tmp_path: Path) -> None:
    places = [("6", "25000000"), ("6", "34000001"), ("CHR_HSCHR6_MHC_SSTO_CTG1", "2"), ("7", "30000000")]
    rows = [{"SNPS": f"rs{n}", "SNP_ID_CURRENT": str(n), "CHR_ID": c, "CHR_POS": p} for n, (c, p) in enumerate(places, 1)]
    assert harvest(tmp_path, *rows).tables["variants"]["in_mhc"].to_pylist() == [True, False, True, False]
    assert harvest(tmp_path, rows[0], build="GRCh37").tables["variants"].select(["build", "in_mhc"]).to_pylist() == [
        {"build": "GRCh37", "in_mhc": False}
    ]


# ---- traits

EFO = "http://www.ebi.ac.uk/efo/EFO_"


@pytest.mark.parametrize(
    ("trait", "terms", "uris", "p_text", "relation"),
    [
        ("Asthma", "asthma", "1", "", "single"),
        ("Asthma (age of onset)", "asthma", "1", "", "context"),
        ("Asthma", "asthma", "1", "(adjusted for BMI)", "context"),
        ("Age at menarche", "age at menarche", "1", "", "single"),
        ("Waist circumference adjusted for BMI", "BMI-adjusted waist circumference", "1", "", "single"),
        ("Asthma or hay fever", "asthma, hay fever", "1 2", "", "union"),
        ("Hay fever and/or eczema", "hay fever, eczema", "1 2", "", "union"),
        ("Hay fever in asthma", "asthma, hay fever", "1 2", "", "intersection"),
        ("Urinary metabolite levels in chronic kidney disease", "metabolite measurement, chronic kidney disease", "1 2", "", "context"),
        (
            "Rheumatoid arthritis (rheumatoid factor and/or anti-CCP seropositive)",
            "rheumatoid arthritis, antibody",
            "1 2",
            "",
            "unresolved",
        ),
        ("Obesity-related traits", "fat body mass, body mass index", "1 2", "(Fat mass )", "unresolved"),
        ("Asthma", "", "", "", None),
    ],
)
def test_a_trait_stands_in_one_of_six_relations_to_its_terms(
    tmp_path: Path, trait: str, terms: str, uris: str, p_text: str, relation: str | None
) -> None:
    row = only(tmp_path, trait=trait, terms=terms, uris=", ".join(EFO + uri for uri in uris.split()), p_text=p_text)
    assert (row["term_relation"], row["named_term_ids"]) == (relation, [])
    assert ("composite_trait" in row["flags"]) == (" " in uris)


def test_qualifiers_of_the_trait_and_of_the_p_text_are_kept(tmp_path: Path) -> None:
    assert only(tmp_path, trait="Survival in lung cancer", p_text="(adjusted for smoking)")["qualifiers"] == ["survival", "adjusted_for"]


def test_terms_come_from_three_hosts_and_an_unknown_one_is_flagged(tmp_path: Path) -> None:
    uris = f"{EFO}1, http://purl.obolibrary.org/obo/MONDO_2, http://www.orpha.net/ORDO/Orphanet_3, http://example.org/4"
    row = only(tmp_path, uris=uris)
    assert (row["term_ids"], "unknown_term" in row["flags"]) == (["EFO:1", "MONDO:2", "Orphanet:3"], True)


# ---- files


def test_quotes_pipes_emoji_and_right_to_left_text_stay_as_they_are(tmp_path: Path) -> None:
    trait = '"Bad" | mood 😀 مرض'
    assert only(tmp_path, trait=trait)["object_name"] == trait


def test_a_short_row_is_rejected_with_its_line(tmp_path: Path) -> None:
    harvest(tmp_path, {})
    with (tmp_path / "gwas.tsv").open("a") as handle:
        handle.write("cut off\n")
    got = gwas.read(tmp_path / "gwas.tsv", source="g", options={})
    assert [(r["line"], r["reason"]) for r in got.ledger.table().to_pylist()] == [(3, "wrong number of cells")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"SNPS\tP-VALUE\n", "'DISEASE/TRAIT'"),
        (gzip.compress(b"SNPS\t" * 999, mtime=0)[:-9], "compressed data"),
    ],
)
def test_a_damaged_or_other_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "gwas.tsv").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        gwas.read(tmp_path / "gwas.tsv", source="g", options={})


def test_the_catalogue_is_known_by_its_columns_and_a_sample_by_its_name() -> None:
    found = gwas.recognise(Sample(Path("gwas_catalog_v1.0.2-associations_e110_r2023-11-08.tsv"), ("\t".join(ROW),)))
    assert found is not None
    assert (found.kind, found.version, found.subset) == ("gwas-catalog", "2023-11-08", False)
    sample = gwas.recognise(Sample(Path("associations-sample.tsv"), ("\t".join(OLD_NAMES.get(name, name) for name in ROW),)))
    assert sample is not None
    assert sample.subset
    assert gwas.recognise(Sample(Path("x.tsv"), ("SNPS\tP-VALUE",))) is None


def test_the_packaged_catalogue_is_read_whole_and_uses_only_declared_flags() -> None:
    path = Path(str(files("kgbuild"))) / "data" / "gwas-catalog-associations.tsv.gz"
    got = gwas.read(path, source="g", options={})
    assert (got.ledger.rows_in, got.ledger.kept + got.ledger.merged + got.ledger.rejected) == (6000, 6000)
    ids = got.tables["associations"]["id"].to_pylist()
    assert len(set(ids)) == len(ids) == got.ledger.kept
    assert {flag for flags in got.tables["associations"]["flags"].to_pylist() for flag in flags} <= gwas.FLAGS.keys()
