"""PrimeKG-shaped graphs: both directions are one edge, kinds of drug-protein rows, grouped diseases, spelled ids."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path

import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Harvest, Sample, primekg
from kgbuild.vocabulary import content_id

HEADER = "relation,display_relation,x_index,x_id,x_type,x_name,x_source,y_index,y_id,y_type,y_name,y_source"
GENE, DRUG, DISEASE = (
    "0,6934,gene/protein,TCF7L2,NCBI",
    '1,DB01326,drug,"Drug, ""X""",DrugBank',
    "2,5148,disease,type 2 diabetes mellitus,MONDO",
)
GROUP = "3,13924_12592,disease,osteogenesis imperfecta,MONDO_grouped"


def harvest(folder: Path, *rows: str) -> Harvest:
    (folder / "kg.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return primekg.read(folder / "kg.csv", source="k", options={})


def edges(got: Harvest) -> list[tuple[str, str, str]]:
    return [(r["subject_id"], r["predicate"], r["object_id"]) for r in got.tables["relations"].to_pylist()]


def test_both_directions_are_one_edge_that_starts_where_the_schema_says(tmp_path: Path) -> None:
    got = harvest(tmp_path, f"indication,indication,{DISEASE},{DRUG}", f"indication,indication,{DRUG},{DISEASE}")
    assert got.tables["relations"].to_pylist() == [
        {"id": content_id("relation", "drugbank:DB01326", "INDICATED_FOR", "MONDO:0005148"), "subject_id": "drugbank:DB01326", "predicate": "INDICATED_FOR",
         "object_id": "MONDO:0005148", "source": "k", "line": 2}
    ]  # fmt: skip
    assert got.ledger.table().to_pylist() == [
        {"source": "k", "line": 3, "fate": "merged", "reason": "the same edge, in the other direction or again", "detail": "line 2"}
    ]
    assert [(c["id"], c["name"], c["kind"], c["vocabulary"], c["line"]) for c in got.tables["concepts"].to_pylist()] == [
        ("MONDO:0005148", "type 2 diabetes mellitus", "Disease", "primekg", 2), ("drugbank:DB01326", 'Drug, "X"', "Drug", "primekg", 2)]  # fmt: skip


@pytest.mark.parametrize(
    ("display", "edge"),
    [
        ("target", ("drugbank:DB01326", "TARGETS", "NCBIGene:6934")),
        ("enzyme", ("NCBIGene:6934", "ENZYME_OF", "drugbank:DB01326")),
        ("carrier", ("NCBIGene:6934", "CARRIER_OF", "drugbank:DB01326")),
        ("transporter", ("NCBIGene:6934", "TRANSPORTER_OF", "drugbank:DB01326")),
    ],
)
def test_targets_enzymes_carriers_and_transporters_are_four_things(tmp_path: Path, display: str, edge: tuple[str, str, str]) -> None:
    got = harvest(tmp_path, f"drug_protein,{display},{GENE},{DRUG}", f"drug_protein,{display},{DRUG},{GENE}")
    assert edges(got) == [edge]
    assert [tuple(gene.values()) for gene in got.tables["genes"].to_pylist()] == [("NCBIGene:6934", "TCF7L2", [], "k", 2)]


def test_a_symmetric_edge_starts_at_the_smaller_id_and_a_hierarchy_has_no_direction(tmp_path: Path) -> None:
    other = "4,10,disease,x,MONDO"
    got = harvest(tmp_path, f"disease_disease,parent-child,{DISEASE},{other}", f"disease_disease,parent-child,{other},{DISEASE}")
    assert edges(got) == [("MONDO:0000010", "RELATED_IN_HIERARCHY", "MONDO:0005148")]


def test_a_grouped_disease_is_its_own_node_broader_than_each_member(tmp_path: Path) -> None:
    got = harvest(tmp_path, f"disease_protein,associated with,{GROUP},{GENE}")
    assert edges(got) == [
        ("NCBIGene:6934", "GENE_ASSOCIATED_WITH", "primekg.group:13924_12592"),
        ("MONDO:0013924", "IS_A", "primekg.group:13924_12592"),
        ("MONDO:0012592", "IS_A", "primekg.group:13924_12592"),
    ]
    assert got.tables["concepts"]["id"].to_pylist() == ["primekg.group:13924_12592"]


def test_unknown_relations_and_nodes_are_rejected_and_listed(tmp_path: Path) -> None:
    got = harvest(
        tmp_path,
        f"gene_likes_drug,likes,{GENE},{DRUG}",
        f"drug_protein,unheard of,{GENE},{DRUG}",
        f"indication,indication,{DRUG},{GENE}",
        f"indication,indication,{DRUG},2,5148,disease,x,Wikipedia",
        f"indication,indication,{DRUG},2,abc,disease,x,MONDO",
        "indication,short",
        f"indication,indication,{DRUG},{DISEASE}",
    )
    assert sorted((r["line"], r["reason"], r["detail"]) for r in got.ledger.table().to_pylist()) == [
        (2, "unknown relation", "gene_likes_drug | likes | gene/protein | drug"),
        (3, "unknown relation", "drug_protein | unheard of | gene/protein | drug"),
        (4, "unknown relation", "indication | indication | drug | gene/protein"),
        (5, "unknown kind of node id", "DrugBank:DB01326 (drug) - Wikipedia:5148 (disease)"),
        (6, "unknown kind of node id", "DrugBank:DB01326 (drug) - MONDO:abc (disease)"),
        (7, "wrong number of cells", "2 cells instead of 12: indication,short"),
    ]
    assert (got.ledger.rows_in, got.ledger.kept) == (7, 1)
    assert got.tables["genes"].num_rows == 0


def test_the_graph_is_known_by_its_columns() -> None:
    found = primekg.recognise(Sample(Path("kg.csv.gz"), (HEADER,)))
    assert found is not None
    assert (found.kind, found.subset) == ("primekg", False)
    assert primekg.recognise(Sample(Path("kg.tsv"), (HEADER.replace(",", "\t"),))) is None


def test_the_packaged_graph_is_read_whole() -> None:
    path = Path(str(files("kgbuild"))) / "data" / "kg.csv.gz"
    got = primekg.read(path, source="k", options={})
    n_rows = gzip.decompress(path.read_bytes()).count(b"\n") - 1
    assert (got.ledger.rows_in, got.ledger.kept, got.ledger.merged) == (n_rows, n_rows // 2, n_rows // 2)
    ends = {end for s, _, o in edges(got) for end in (s, o)}
    assert ends == {*got.tables["concepts"]["id"].to_pylist(), *got.tables["genes"]["id"].to_pylist()}


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "the file is empty"), (b"relation,x_id\n", "'x_type'"), (gzip.compress(HEADER.encode() * 99)[:-9], "compressed data")],
)
def test_a_damaged_or_other_file_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "kg.csv").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        primekg.read(tmp_path / "kg.csv", source="k", options={})


def test_a_file_without_rows_gives_empty_tables(tmp_path: Path) -> None:
    assert {name: table.num_rows for name, table in harvest(tmp_path).tables.items()} == {
        "relations": 0,
        "concepts": 0,
        "names": 0,
        "genes": 0,
    }
