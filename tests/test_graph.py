"""Tables, links and groups become nodes and edges; what cannot become an edge is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from kgbuild import graph, tables

SOURCE = {"source": "s", "line": 1}
DEFAULTS: dict[str, Any] = {"string": "", "bool": False, "list<string>": [], "int64": 0, "float64": 0.0}


def table(name: str, *rows: dict[str, Any]) -> Any:
    """Make a table from rows that say only what matters; the rest is empty."""
    columns = tables.TABLES[name].columns
    full = [[row.get(c.name, SOURCE.get(c.name, None if c.nullable else DEFAULTS[c.type])) for c in columns] for row in rows]
    return tables.from_rows(name, full)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    tables_dir, links_dir = tmp_path / "tables", tmp_path / "links"
    tables_dir.mkdir()
    links_dir.mkdir()
    concept = {"vocabulary": "efo", "kind": "Disease"}
    made = {
        "concepts": table(
            "concepts",
            concept | {"id": "MONDO:1", "name": "type 2 diabetes"},
            concept | {"id": "MONDO:0", "name": "diabetes"},
            concept | {"id": "EFO:9", "name": "obsolete_type ii diabetes", "obsolete": True},
            concept | {"id": "EFO:8", "name": "obsolete_gone", "obsolete": True},
            {"id": "icd10cm:E11", "name": "Type 2 diabetes mellitus", "vocabulary": "icd10cm", "kind": "ClinicalCode"},
            {"id": "text:a", "name": "T2D (age of onset)", "vocabulary": "text", "kind": "FreeText"},
        ),
        "names": table(
            "names",
            {"concept_id": "MONDO:1", "name": "type 2 diabetes", "role": "label"},
            {"concept_id": "MONDO:1", "name": "NIDDM", "role": "synonym"},
            {"concept_id": "icd10cm:E11", "name": "Type 2 diabetes mellitus", "role": "label"},
        ),
        "xrefs": table(
            "xrefs",
            {"subject_id": "EFO:9", "predicate": "replaced_by", "object_id": "MONDO:1"},
            {"subject_id": "MONDO:1", "predicate": "xref", "object_id": "omim:125853"},
        ),
        "genes": table("genes", {"id": "NCBIGene:6934", "symbol": "TCF7L2", "ensembl_ids": ["ENSG00000148737"]}),
        "variants": table(
            "variants",
            {"id": "dbsnp:rs1", "kind": "single", "nearest_genes": ["TCF7L2", "LINC1"]},
            {"id": "variantset:x", "kind": "haplotype", "members": ["dbsnp:rs1", "dbsnp:rs2"]},
        ),
        "associations": table(
            "associations",
            {
                "id": "a1",
                "kind": "gwas",
                "variant_id": "dbsnp:rs1",
                "object_id": "text:a",
                "object_name": "T2D",
                "named_term_ids": ["MONDO:1"],
                "effect": 1.4,
            },
            {"id": "a2", "kind": "gwas", "variant_id": "dbsnp:rs1", "object_id": "text:a", "object_name": "T2D", "effect": 1.3},
            {"id": "a3", "kind": "eqtl", "variant_id": "dbsnp:rs1", "object_id": "NCBIGene:6934", "object_name": "TCF7L2", "effect": 0.5},
        ),
        "relations": table(
            "relations",
            {"id": "r1", "subject_id": "MONDO:1", "predicate": "IS_A", "object_id": "MONDO:0"},
            {"id": "r2", "subject_id": "MONDO:0", "predicate": "IS_A", "object_id": "MONDO:nowhere"},
        ),
    }
    tables.write(tables_dir, made)
    link = {"subject_id": "icd10cm:E11", "object_id": "MONDO:1", "rank": 1, "p_same": 0.97}
    tables.write(
        links_dir,
        {
            "links": table(
                "links",
                link | {"predicate": "exact", "decision": "accept"},
                link | {"object_id": "MONDO:0", "predicate": "broad", "decision": "accept"},
                link | {"predicate": "exact", "decision": "reject"},
            ),
            "groups": table(
                "groups",
                {"group_id": "harmonised:MONDO_1", "member_id": "MONDO:1", "is_centre": True, "p_same": 1.0},
                {"group_id": "harmonised:MONDO_1", "member_id": "icd10cm:E11", "p_same": 0.97},
                {"group_id": "harmonised:MONDO_0", "member_id": "MONDO:0", "is_centre": True, "p_same": 1.0},
                {"group_id": "harmonised:t", "member_id": "text:a", "is_centre": True, "p_same": 1.0},
            ),
        },
    )
    return tables_dir, links_dir


def edges(out: Path, edge_type: str, *columns: str) -> list[tuple[Any, ...]]:
    rows = pq.read_table(out / "edges" / f"{edge_type}.parquet").to_pylist()
    return sorted(tuple(row[c] for c in columns) for row in rows)


def test_every_row_becomes_a_node_or_an_edge_or_is_counted(folders: tuple[Path, Path], tmp_path: Path) -> None:
    summary = graph.build(*folders, tmp_path / "graph")
    assert summary.nodes == {"ClinicalCode": 1, "Disease": 3, "FreeText": 1, "Gene": 2, "Variant": 2, "HarmonisedConcept": 3}
    assert summary.edges == {
        "NEAREST_GENE": 2,
        "PART_OF_SET": 1,
        "EQTL_OF": 1,
        "ASSOCIATED_WITH": 3,
        "MEMBER_OF": 5,
        "SAME_AS": 1,
        "BROADER_THAN": 1,
        "XREF": 1,
        "IS_A": 1,
    }
    assert summary.left_out == {
        "concepts: obsolete and not replaced": 1,
        "variant sets: an end is not among the concepts": 1,
        "xrefs: to vocabularies that are not loaded": 1,
        "relations: an end is not among the concepts": 1,
    }


def test_parallel_associations_stay_apart_and_a_named_term_gets_its_own_edge(folders: tuple[Path, Path], tmp_path: Path) -> None:
    graph.build(*folders, tmp_path / "graph")
    assert edges(tmp_path / "graph", "ASSOCIATED_WITH", "association_id", "end_id", "term_relation", "effect") == [
        ("a1", "MONDO:1", None, 1.4),
        ("a1", "text:a", "as_written", 1.4),
        ("a2", "text:a", "as_written", 1.3),
    ]


def test_an_obsolete_class_leads_to_the_concept_that_replaced_it(folders: tuple[Path, Path], tmp_path: Path) -> None:
    graph.build(*folders, tmp_path / "graph")
    assert ("EFO:9", "harmonised:MONDO_1") in edges(tmp_path / "graph", "MEMBER_OF", "start_id", "end_id")


def test_a_broader_link_starts_at_the_broader_concept(folders: tuple[Path, Path], tmp_path: Path) -> None:
    graph.build(*folders, tmp_path / "graph")
    assert edges(tmp_path / "graph", "BROADER_THAN", "start_id", "end_id") == [("MONDO:0", "icd10cm:E11")]


def test_a_harmonised_concept_has_all_names_and_a_vector(folders: tuple[Path, Path], tmp_path: Path) -> None:
    graph.build(*folders, tmp_path / "graph", embed=lambda names: np.array([[0.6, 0.8] for _ in names], dtype=np.float32))
    rows = {row["id"]: row for row in pq.read_table(tmp_path / "graph" / "nodes" / "HarmonisedConcept.parquet").to_pylist()}
    concept = rows["harmonised:MONDO_1"]
    assert (concept["name"], concept["search_text"], concept["n_associations"]) == (
        "type 2 diabetes",
        "type 2 diabetes\nNIDDM\nType 2 diabetes mellitus",
        1,
    )
    assert concept["embedding"] == pytest.approx([0.6, 0.8])


def test_the_same_tables_give_the_same_files(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        graph.build(*folders, tmp_path / name)
    one, two = ({p.relative_to(tmp_path / n): p.read_bytes() for p in (tmp_path / n).rglob("*.parquet")} for n in ("one", "two"))
    assert one == two
