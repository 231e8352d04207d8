"""Joining the sources: one concept for each id, obsolete ids, genes, loci, named terms, curated subjects; and books that balance."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from kgbuild import tables
from kgbuild.errors import ConfigurationError
from kgbuild.ingest import IngestSummary, SourceEntry, find_replacements, ingest, name_terms
from kgbuild.vocabulary import content_id, text_id

OBO = "\n".join([
    "format-version: 1.4", "data-version: efo/3.74.0", "",
    "[Term]", "id: EFO:1", "name: asthma", 'synonym: "bronchial asthma" EXACT []', "",
    "[Term]", "id: EFO:2", "name: eczema", 'synonym: "Atopic Eczema" EXACT []', "",
    "[Term]", "id: EFO:3", "name: old asthma", "is_obsolete: true", "replaced_by: EFO:4", "",
    "[Term]", "id: EFO:4", "name: older asthma", "is_obsolete: true", "replaced_by: EFO:1", "",
    "[Term]", "id: MONDO:0000005", "name: gout", "xref: MONDO:0000077", "",
    "[Term]", "id: MONDO:0000006", "name: gouty arthritis", "is_a: MONDO:0000005", "",
    "[Term]", "id: MONDO:0000007", "name: ear disease", "is_a: MONDO:0000006", "",
]) + "\n"  # fmt: skip
GWAS = ["DISEASE/TRAIT", "SNPS", "STRONGEST SNP-RISK ALLELE", "P-VALUE", "P-VALUE (TEXT)", "CHR_ID", "CHR_POS", "MERGED", "SNP_ID_CURRENT",
        "MAPPED_TRAIT_URI", "STUDY ACCESSION"]  # fmt: skip
EFO = "http://www.ebi.ac.uk/efo/EFO_"
KG = "relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source"


class Sources:
    """Small sources in a folder, in the order they are added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: list[SourceEntry] = []

    def add(self, key: str, kind: str, *lines: str, licence: str | None = None, version: str | None = None, **options: Any) -> Sources:
        path = self.folder / f"{key}.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.entries.append(SourceEntry(key, kind, path, options, licence, False, version))
        return self

    def gwas(self, *rows: dict[str, str], key: str = "gwas") -> Sources:
        blank = {"DISEASE/TRAIT": "Asthma", "SNPS": "rs1", "P-VALUE": "1E-9", "STUDY ACCESSION": "GCST1"}
        return self.add(key, "gwas-catalog", "\t".join(GWAS), *("\t".join({**blank, **row}.get(name, "") for name in GWAS) for row in rows))

    def kg(self, *rows: str) -> Sources:
        return self.add("kg", "primekg", KG, *rows)

    def mappings(self, *rows: str, use: str = "fit") -> Sources:
        return self.add(use, "curated-mappings", "source\tsubject_id\tsubject_label\tobject_id\tpredicate\tjudged", *rows, use=use)

    def run(self) -> Result:
        out = self.folder / "tables"
        out.mkdir(exist_ok=True)
        return Result(out, ingest(self.entries, out))


class Result:
    """What ingest wrote."""

    def __init__(self, folder: Path, summary: IngestSummary) -> None:
        self.folder = folder
        self.summary = summary

    def rows(self, table: str, *columns: str) -> list[Any]:
        read = tables.read(self.folder, table, columns or None).to_pylist()
        return [tuple(row[name] for name in columns) if len(columns) > 1 else row[columns[0]] for row in read] if columns else read


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def gene(symbol: str, id_: str) -> str:
    return f"0,{id_},gene/protein,{symbol},NCBI"


def disease(id_: str, name: str = "x") -> str:
    return f"0,{id_},disease,{name},MONDO"


# ---- books


def test_the_packaged_sources_go_through_and_every_account_adds_up(tmp_path: Path) -> None:
    data = Path(str(files("kgbuild"))) / "data"
    kinds = {"efo.obo.gz": "obo", "gwas-catalog-associations.tsv.gz": "gwas-catalog", "blueprint_monocyte_eqtl.tsv.gz": "eqtl", "kg.csv.gz": "primekg",
             "ensembl_to_symbol.tsv.gz": "ensembl-symbols", "snp_ld_blocks.tsv.gz": "ld-blocks", "mappings.tsv.gz": "curated-mappings"}  # fmt: skip
    told: list[tuple[str, int, int]] = []
    entries = [SourceEntry(kind, kind, data / name) for name, kind in kinds.items()]
    summary = ingest(entries, tmp_path, progress=lambda *step: told.append(step))
    for source in tables.read(tmp_path, "sources").to_pylist():
        assert source["rows_in"] == source["rows_kept"] + source["rows_merged"] + source["rows_rejected"] > 0
    fates = pq.read_table(tmp_path / "ledger.parquet").to_pylist()
    assert len(fates) == sum(s["rows_merged"] + s["rows_rejected"] for s in summary.sources.values())
    assert len((tmp_path / "rejects.tsv").read_text().splitlines()) - 1 == sum(s["rows_rejected"] for s in summary.sources.values())
    assert json.loads((tmp_path / "summary.json").read_text()) == summary.facts()
    assert {name: pq.read_metadata(tmp_path / f"{name}.parquet").num_rows for name in summary.tables} == summary.tables
    assert (told[0][0], told[-1][:1], told[-1][1] == told[-1][2]) == ("read obo", ("done",), True)
    for table in ("concepts", "variants", "associations", "relations", "genes"):
        ids = tables.read(tmp_path, table, ["id"])["id"].to_pylist()
        assert len(ids) == len(set(ids)) > 0, table
    known = {*tables.read(tmp_path, "concepts")["id"].to_pylist(), *tables.read(tmp_path, "genes")["id"].to_pylist()}
    relations = tables.read(tmp_path, "relations")
    assert {*relations["subject_id"].to_pylist(), *relations["object_id"].to_pylist()} <= known
    associations = tables.read(tmp_path, "associations")
    assert set(associations["variant_id"].to_pylist()) <= set(tables.read(tmp_path, "variants")["id"].to_pylist())
    assert set(associations["object_id"].to_pylist()) <= known


def test_the_same_sources_give_the_same_bytes(sources: Sources) -> None:
    sources.add("efo", "obo", OBO).gwas({}, {"SNPS": "rs2"}).kg(f"disease_protein,x,{disease('5')},{gene('A', '1')}")
    first = {path.name: path.read_bytes() for path in sources.run().folder.iterdir()}
    assert {path.name: path.read_bytes() for path in sources.run().folder.iterdir()} == first


@pytest.mark.parametrize("kind", ["none", "efo", "gwas", "eqtl", "kg", "ld", "mappings"])
def test_nothing_breaks_when_only_one_kind_of_source_is_there(sources: Sources, kind: str) -> None:
    {
        "none": lambda: sources,
        "efo": lambda: sources.add("efo", "obo", OBO),
        "gwas": lambda: sources.gwas({"MAPPED_TRAIT_URI": EFO + "1"}),
        "eqtl": lambda: sources.add("eqtl", "eqtl", "gene\trsid\tp\tbeta", "ENSG00000000460\trs1\t1e-9\t1"),
        "kg": lambda: sources.kg(f"disease_protein,x,{disease('5')},{gene('A', '1')}"),
        "ld": lambda: sources.add("ld", "ld-blocks", "SNP\tchrom\tleft\tright\tblock", "rs1\t1\t1\t2\t1:1"),
        "mappings": lambda: sources.mappings("gwas_trait\t\tAsthma\tEFO:1\texact\tvalid"),
    }[kind]()
    assert sum(source["rows_kept"] for source in sources.run().summary.sources.values()) == {"none": 0, "efo": 7}.get(kind, 1)


def test_sources_carry_their_licence_hash_and_version(sources: Sources) -> None:
    got = sources.add("efo", "obo", OBO, licence="Apache-2.0", version="configured").gwas({}).run().rows("sources")
    assert [(s["source"], s["file"], s["version"], s["licence"], s["redistributable"], len(s["sha256"])) for s in got] == [
        ("efo", "efo.txt", "3.74.0", "Apache-2.0", False, 64),
        ("gwas", "gwas.txt", None, None, False, 64),
    ]


def test_an_unknown_kind_is_a_fault_of_the_configuration(sources: Sources) -> None:
    with pytest.raises(ConfigurationError, match="'nonsense'"):
        sources.add("x", "nonsense", "x").run()


# ---- concepts and replaced ids


def test_a_disease_of_primekg_that_is_a_class_keeps_the_class_s_row_and_gains_its_name(sources: Sources) -> None:
    got = sources.kg(f"disease_protein,x,{disease('5', 'gout disease')},{gene('A', '1')}").add("efo", "obo", OBO).run()
    assert [row for row in got.rows("concepts", "id", "name", "vocabulary", "source") if row[0] == "MONDO:0000005"] == [
        ("MONDO:0000005", "gout", "efo", "efo")
    ]
    assert sorted(row[1:] for row in got.rows("names", "concept_id", "name", "role", "source") if row[0] == "MONDO:0000005") == [
        ("gout", "label", "efo"), ("gout disease", "synonym", "kg")]  # fmt: skip


def test_obsolete_ids_are_forwarded_along_their_chain_and_logged(sources: Sources) -> None:
    sources.add("efo", "obo", OBO).gwas({"MAPPED_TRAIT_URI": EFO + "3"}, {"SNPS": "rs2", "MAPPED_TRAIT_URI": f"{EFO}3, {EFO}2"})
    got = sources.mappings("gwas_trait\t\tWheeze\tEFO:3\texact\tvalid", "gwas_trait\t\tWheeze\tEFO:99\texact\tvalid").run()
    assert got.rows("associations", "term_ids") == [["EFO:1"], ["EFO:1", "EFO:2"]]
    assert got.rows("mappings", "object_id") == ["EFO:1", "EFO:99"]
    assert sorted(got.rows("forwardings", "old_id", "new_id", "reason", "rows", "source", "line")) == [
        ("EFO:3", "EFO:1", "replaced_by", 1, "fit", 2),
        ("EFO:3", "EFO:1", "replaced_by", 2, "gwas", 2),
    ]
    assert got.summary.counts["mappings to no live concept"] == 1


def test_a_live_id_stays_while_its_successor_is_not_loaded_and_yields_to_one_that_is(sources: Sources) -> None:
    sources.add("efo", "obo", OBO).add("new", "replaced-by", "old_id\tnew_id", "EFO:1\tMONDO:0000999", "EFO:2\tMONDO:0000005")
    got = sources.mappings("gwas_trait\t\tA\tEFO:1\texact\tvalid", "gwas_trait\t\tB\tEFO:2\texact\tvalid").run()
    assert got.rows("mappings", "object_id") == ["EFO:1", "MONDO:0000005"]
    assert {id_: obsolete for id_, obsolete in got.rows("concepts", "id", "obsolete") if id_ in {"EFO:1", "EFO:2"}} == {
        "EFO:1": False,
        "EFO:2": True,
    }
    assert ("MONDO:0000005", "eczema", "synonym") in got.rows("names", "concept_id", "name", "role")
    assert ("EFO:1", "replaced_by", "MONDO:0000999") in got.rows("xrefs", "subject_id", "predicate", "object_id")


def test_joining_ids_closes_no_circle_in_the_hierarchy(sources: Sources) -> None:
    got = sources.add("efo", "obo", OBO).add("new", "replaced-by", "old_id\tnew_id", "MONDO:0000005\tMONDO:0000007").run()
    assert got.rows("relations", "subject_id", "object_id") == [("MONDO:0000007", "MONDO:0000006")]
    assert find_replacements([("A:1", "A:2"), ("A:2", "A:1")], {"A:1"}) == {"A:2": "A:1"}


def test_primekg_s_diseases_join_by_id_by_replacement_then_by_mutual_cross_reference(sources: Sources) -> None:
    edges = [f"disease_protein,x,{disease(number)},{gene('A', '1')}" for number in ("5", "77", "78", "79")]
    sources.add("efo", "obo", OBO).add("new", "replaced-by", "old_id\tnew_id", "EFO:1\tMONDO:0000078").kg(*edges)
    got = sources.run()
    assert sorted(got.rows("relations", "object_id", "predicate", "line"))[:2] == [
        ("EFO:1", "GENE_ASSOCIATED_WITH", 4), ("MONDO:0000005", "GENE_ASSOCIATED_WITH", 2)]  # fmt: skip
    assert ("MONDO:0000079", "GENE_ASSOCIATED_WITH", 5) in got.rows("relations", "object_id", "predicate", "line")
    assert sorted(got.rows("forwardings", "old_id", "new_id", "reason")) == [
        ("MONDO:0000077", "MONDO:0000005", "cross-reference"),
        ("MONDO:0000078", "EFO:1", "replaced_by"),
    ]
    # the edges of 5 and 77 are one edge now; its id is that of its content, and the ledger knows
    assert content_id("relation", "NCBIGene:1", "GENE_ASSOCIATED_WITH", "EFO:1") in got.rows("relations", "id")
    assert {key: got.summary.sources["kg"][key] for key in ("rows_in", "rows_kept", "rows_merged")} == {
        "rows_in": 4,
        "rows_kept": 3,
        "rows_merged": 1,
    }


def test_a_disease_that_is_kept_for_evaluation_is_not_joined_by_cross_reference(sources: Sources) -> None:
    sources.add("efo", "obo", OBO).kg(f"disease_protein,x,{disease('77')},{gene('A', '1')}")
    got = sources.mappings("mondo_efo\tMONDO:0000077\tgouty\tMONDO:0000005\texact\tvalid", use="evaluate").run()
    assert [row for row in got.rows("relations", "predicate", "object_id") if row[0] != "IS_A"] == [
        ("GENE_ASSOCIATED_WITH", "MONDO:0000077")
    ]


def test_the_members_of_a_grouped_disease_are_tied_to_it_where_they_are_known(sources: Sources) -> None:
    got = sources.add("efo", "obo", OBO).kg(f"disease_protein,x,0,5_88,disease,g,MONDO_grouped,{gene('A', '1')}").run()
    assert [row for row in got.rows("relations", "subject_id", "predicate", "object_id") if row[2].startswith("primekg")] == [
        ("NCBIGene:1", "GENE_ASSOCIATED_WITH", "primekg.group:5_88"), ("MONDO:0000005", "IS_A", "primekg.group:5_88")]  # fmt: skip
    assert got.summary.sources["kg"]["rows_kept"] == 1


# ---- genes


def test_ensembl_ids_symbols_and_ncbi_ids_become_one_gene(sources: Sources) -> None:
    sources.add("eqtl", "eqtl", "gene\trsid\tp\tbeta", *(f"ENSG0000000000{n}.3\trs1\t1e-9\t1" for n in range(1, 5)), tissue="blood")
    sources.add(
        "ens", "ensembl-symbols", "ensembl_gene_id\tsymbol", "ENSG00000000001\tTCF7L2", "ENSG00000000002\ttcf7l2", "ENSG00000000003\tNOVEL"
    )
    got = sources.kg(f"disease_protein,x,{disease('5')},{gene('TCF7L2', '6934')}").run()
    assert sorted(got.rows("genes", "id", "symbol", "ensembl_ids")) == [
        ("NCBIGene:6934", "TCF7L2", ["ENSG00000000001", "ENSG00000000002"]),
        ("ensembl:ENSG00000000003", "NOVEL", ["ENSG00000000003"]),
        ("ensembl:ENSG00000000004", "ensembl:ENSG00000000004", ["ENSG00000000004"]),
    ]
    assert got.rows("associations", "object_id") == ["NCBIGene:6934", "NCBIGene:6934", "ensembl:ENSG00000000003", "ensembl:ENSG00000000004"]
    counts = got.summary.counts
    assert (counts["eQTL genes"], counts["eQTL genes without a symbol"], counts["eQTL genes with a symbol and no NCBI gene"]) == (4, 1, 1)


def test_a_symbol_that_two_genes_have_joins_nothing(sources: Sources) -> None:
    sources.add("ens", "ensembl-symbols", "ensembl_gene_id\tsymbol", "ENSG00000000001\tTWIN")
    got = sources.kg(f"protein_protein,x,{gene('TWIN', '1')},{gene('TWIN', '2')}").run()
    assert sorted(got.rows("genes", "id")) == ["NCBIGene:1", "NCBIGene:2", "ensembl:ENSG00000000001"]


# ---- variants


def test_a_variant_lies_in_the_mhc_else_in_its_ld_block_else_in_a_window(sources: Sources) -> None:
    sources.gwas({"SNPS": "rs1", "CHR_ID": "1", "CHR_POS": "1500000"}, {"SNPS": "rs2", "CHR_ID": "1", "CHR_POS": "1600000"}, {"SNPS": "rs3", "CHR_ID": "6", "CHR_POS": "30000000"},
                 {"SNPS": "rs4"}, {"SNPS": "rs5"}, {"SNPS": "rs6"}, {"SNPS": "rs7", "CHR_ID": "2", "CHR_POS": "1"})  # fmt: skip
    sources.add("ld", "ld-blocks", "SNP\tchrom\tleft\tright\tblock", "rs1\t1\t1400000\t1550000\t1:9", "rs3\t6\t29990000\t30010000\t6:1",
                "rs4\t1\t1300000\t1450000\t1:9", "rs5\t6\t24900000\t25100000\t6:2", "rs7\t3\t1\t2\t3:1")  # fmt: skip
    got = sources.run()
    assert got.rows("variants", "id", "chromosome", "locus", "in_mhc", "locus_span") == [
        ("dbsnp:rs1", "1", "ld:1:9", False, 250_000),
        ("dbsnp:rs2", "1", "window:1:1", False, 1_000_000),
        ("dbsnp:rs3", "6", "MHC", True, 9_000_000),
        ("dbsnp:rs4", "1", "ld:1:9", False, 250_000),
        ("dbsnp:rs5", "6", "MHC", True, 9_000_000),
        ("dbsnp:rs6", None, None, False, None),
        ("dbsnp:rs7", "2", "window:2:0", False, 1_000_000),
    ]
    assert [("in_mhc" in flags) for flags in got.rows("associations", "flags")] == [False, False, True, False, True, False, False]
    assert got.summary.counts["variants whose LD interval is on another chromosome"] == 1


def test_a_set_lies_where_all_its_members_lie(sources: Sources) -> None:
    sources.gwas({"SNPS": "rs1; rs2"}, {"SNPS": "rs1 x rs3"})
    sources.add(
        "ld", "ld-blocks", "SNP\tchrom\tleft\tright\tblock", "rs1\t1\t1\t9\t1:9", "rs2\t1\t1\t9\t1:9", "rs3\t6\t30000000\t30000001\t6:1"
    )
    got = [row for row in sources.run().rows("variants", "kind", "members", "locus", "in_mhc") if row[0] != "single"]
    assert got == [
        ("haplotype", ["dbsnp:rs1", "dbsnp:rs2"], "ld:1:9", False),
        ("interaction", ["dbsnp:rs1", "dbsnp:rs3"], None, True),
    ]


def test_one_source_s_word_on_a_merged_rs_id_holds_for_all(sources: Sources) -> None:
    sources.add("eqtl", "eqtl", "gene\trsid\tp\tbeta", "ENSG00000000001\trs11\t1e-9\t1").gwas(
        {"SNPS": "rs11", "MERGED": "1", "SNP_ID_CURRENT": "7"}
    )
    sources.add("ld", "ld-blocks", "SNP\tchrom\tleft\tright\tblock", "rs11\t1\t1\t9\t1:9")
    got = sources.run()
    assert got.rows("variants", "id", "locus") == [("dbsnp:rs7", "ld:1:9")]
    assert got.rows("associations", "variant_id") == ["dbsnp:rs7", "dbsnp:rs7"]
    assert sorted(got.rows("forwardings", "old_id", "new_id", "reason", "rows", "source")) == [
        ("dbsnp:rs11", "dbsnp:rs7", "merged rs id", 1, "eqtl"),
        ("dbsnp:rs11", "dbsnp:rs7", "merged rs id", 1, "gwas"),
    ]


def test_variants_unite_over_sources_by_id_and_never_by_place(sources: Sources) -> None:
    sources.add("eqtl", "eqtl", "gene\trsid\tp\tbeta", "ENSG00000000001\trs1\t1e-9\t1", "ENSG00000000001\tchr1_1500000_A_G_b38\t1e-9\t1")
    got = sources.gwas({"CHR_ID": "1", "CHR_POS": "1500000"}).run()
    assert got.rows("variants", "id", "position", "build") == [
        ("dbsnp:rs1", 1500000, "GRCh38"),
        ("GRCh38:1:1500000:A:G", 1500000, "GRCh38"),
    ]


def test_a_variant_on_another_build_is_kept_and_not_placed(sources: Sources) -> None:
    got = sources.add("eqtl", "eqtl", "gene\trsid\tp\tbeta", "ENSG00000000001\tchr6_30000000_A_G_b37\t1e-9\t1").run()
    assert got.rows("variants", "id", "locus", "in_mhc") == [("GRCh37:6:30000000:A:G", None, False)]


def test_an_association_that_two_releases_have_is_merged_in_the_second_s_ledger(sources: Sources) -> None:
    got = sources.gwas({}).gwas({"P-VALUE": "1E-8"}, {"SNPS": "rs2"}, key="newer").run()
    assert got.rows("associations", "variant_id", "source") == [("dbsnp:rs1", "gwas"), ("dbsnp:rs2", "newer")]
    assert {key: got.summary.sources["newer"][key] for key in ("rows_in", "rows_kept", "rows_merged")} == {
        "rows_in": 2,
        "rows_kept": 1,
        "rows_merged": 1,
    }


# ---- terms


@pytest.mark.parametrize(
    ("trait", "p_text", "terms", "expected"),
    [
        ("Asthma", "", "1", ("single", ["EFO:1"])),
        ("Asthma (age of onset)", "", "1", ("context", [])),
        ("Allergic disease", "(Atopic eczema )", "1 2", ("named", ["EFO:2"])),
        ("Allergic disease (bronchial asthma)", "", "1 2", ("named", ["EFO:1"])),
        ("Allergic disease", "", "1 2", ("unresolved", [])),
        ("Asthma or eczema", "", "1 2", ("union", ["EFO:1", "EFO:2"])),
        ("Asthma or eczema", "(asthma)", "1 2", ("named", ["EFO:1"])),
        ("Eczema in asthma", "", "1 2", ("intersection", [])),
        ("Allergic disease (asthma) (eczema)", "", "1 2", ("unresolved", [])),
        ("Asthma", "", "1 3", ("single", ["EFO:1"])),
        ("Asthma", "", "", (None, [])),
    ],
)
def test_only_terms_that_the_text_names_get_edges(
    sources: Sources, trait: str, p_text: str, terms: str, expected: tuple[str, list[str]]
) -> None:
    uris = ", ".join(EFO + term for term in terms.split())
    got = sources.add("efo", "obo", OBO).gwas({"DISEASE/TRAIT": trait, "P-VALUE (TEXT)": p_text, "MAPPED_TRAIT_URI": uris}).run()
    assert got.rows("associations", "term_relation", "named_term_ids") == [expected]


def test_a_composite_trait_is_one_association_to_the_trait_as_written(sources: Sources) -> None:
    uris = ", ".join(f"{EFO}{number}" for number in range(100, 157))
    got = sources.gwas({"DISEASE/TRAIT": "Obesity-related traits", "MAPPED_TRAIT_URI": uris}).run()
    assert got.rows("associations", "object_id", "term_relation", "named_term_ids") == [
        (text_id("Obesity-related traits"), "unresolved", [])
    ]


def test_something_measured_in_people_with_a_disease_is_its_context() -> None:
    got = name_terms("Urate in gout", None, ["A:1", "A:2"], "intersection", (), names={}, kinds={"A:1": "Measurement"})
    assert got == ("context", ())


# ---- curated mappings


def test_curated_subjects_that_nothing_describes_become_concepts_unless_they_are_evaluated(sources: Sources) -> None:
    sources.mappings(
        "finngen\tAB1_X\tAmoebiasis\tEFO:1\texact\tvalid",
        "gwas_trait\t\tWheeze\tEFO:1\texact\tvalid",
        "mondo_efo\tMONDO:0000042\tm\tEFO:1\texact\tvalid",
    )
    got = sources.mappings("gwas_trait\t\tHeld out\tEFO:1\texact\tvalid", use="evaluate").run()
    assert sorted(got.rows("concepts", "id", "name", "vocabulary", "kind")) == sorted([
        ("finngen:AB1_X", "Amoebiasis", "finngen", "ClinicalCode"), (text_id("Wheeze"), "Wheeze", "text", "FreeText"),
        ("MONDO:0000042", "m", "mondo", "Disease")])  # fmt: skip
    assert sorted(got.rows("names", "concept_id", "role")) == sorted((id_, "label") for id_ in got.rows("concepts", "id"))
    assert len(got.rows("mappings")) == 4
