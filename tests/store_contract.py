"""What every graph store must do, as test classes: subclass them, give the fixtures they name, and your store is put through it.

`ReaderContract` is for anything that answers queries, `StoreContract` for what can be filled as well.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import small_graph

from kgbuild.errors import QueryError, StoreError
from kgbuild.stores import Counts, GraphReader, Store
from kgbuild.stores.bolt import Address
from kgbuild.stores.bolt_server import address
from kgbuild.stores.embedded import EmbeddedStore

EXPECTED = Counts(
    {label: len(rows) for label, rows in small_graph.NODES.items()},
    {type_: len(rows) for type_, rows in small_graph.EDGES.items()},
)


def load_small_graph(folder: Path, *, vectors: bool = True) -> Path:
    """Load the small graph into `folder`/database, and give that."""
    graph = small_graph.write(folder, vectors=vectors)
    with EmbeddedStore.create(folder / "database") as store:
        store.load(graph, build=small_graph.BUILD)
    return folder / "database"


@contextmanager
def served(database: Path, folder: Path, password: str | None = None) -> Iterator[tuple[Address, subprocess.Popen[str]]]:
    """Serve a copy of a database in another process, until the block ends."""
    copy = shutil.copytree(database, folder / "served")
    code = f"from pathlib import Path; from kgbuild.stores.bolt_server import serve; serve(Path({str(copy)!r}), Path({str(folder / 'serve.json')!r}), port=0)"
    environment = os.environ | ({"KGBUILD_SERVE_PASSWORD": password} if password else {})
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        until = time.monotonic() + 120
        while (where := address(folder / "serve.json")) is None:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "the server did not start in two minutes"
            time.sleep(0.1)
        yield where, process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


class ReaderContract:
    """Give a fixture `reader`: a store that holds the small graph."""

    def test_what_was_loaded_is_counted(self, reader: GraphReader) -> None:
        assert reader.counts().differences(EXPECTED) == []

    def test_rows_are_plain_values(self, reader: GraphReader) -> None:
        query = """MATCH (v:Entity {id: $id})-[e:EQTL_OF]->(g) RETURN v.position AS position, v.in_mhc AS in_mhc, v.locus AS locus,
                   e.beta AS beta, g.ensembl_ids AS ensembl, v.consequence AS nothing, {gene: g.name} AS map ORDER BY e.tissue LIMIT 1"""
        assert reader.query(query, {"id": "dbsnp:rs7903146"}) == [
            {"position": 112998590, "in_mhc": False, "locus": "ld:10:1", "beta": -0.1, "ensembl": ["ENSG00000148737"],
             "nothing": None, "map": {"gene": "TCF7L2"}}
        ]  # fmt: skip

    def test_nodes_and_paths_become_maps_and_lists(self, reader: GraphReader) -> None:
        [row] = reader.query(
            "MATCH p = (g:Entity {id: $id})-[e:PARTICIPATES_IN]->(:BiologicalProcess) RETURN g, e, p", {"id": "NCBIGene:3767"}
        )
        assert (row["g"]["name"], row["e"]["source"], [part["id"] for part in row["p"]]) == (
            "KCNJ11", "test", ["NCBIGene:3767", "NCBIGene:3767|GO:0030073|", "GO:0030073"],
        )  # fmt: skip

    def test_a_node_has_the_label_entity_and_its_own(self, reader: GraphReader) -> None:
        rows = reader.query("MATCH (g:Gene {id: $id}) RETURN labels(g) AS labels", {"id": "NCBIGene:3767"})
        assert [set(row["labels"]) for row in rows] == [{"Entity", "Gene"}]

    def test_parallel_associations_are_different_edges(self, reader: GraphReader) -> None:
        query = "MATCH (:Entity {id: $v})-[a:ASSOCIATED_WITH]->(:Entity {id: $t}) RETURN a.study AS study ORDER BY study"
        rows = reader.query(query, {"v": "dbsnp:rs7903146", "t": "text:t2d"})
        assert [row["study"] for row in rows] == ["gcst:GCST1", "gcst:GCST2", "gcst:GCST3"]

    def test_names_that_break_loaders_come_back_as_they_were(self, reader: GraphReader) -> None:
        [row] = reader.query("MATCH (t:Entity {id: 'text:odd'}) RETURN t.name AS name, t.synonyms AS synonyms")
        assert [row["name"], *row["synonyms"]] == [*small_graph.ODD_NAMES, small_graph.LONG_SYNONYM]

    @pytest.mark.parametrize("name", small_graph.ODD_NAMES)
    def test_parameters_are_never_pasted(self, reader: GraphReader, name: str) -> None:
        assert reader.query("RETURN $name AS name", {"name": name}) == [{"name": name}]
        found = reader.query("MATCH (t:FreeText) WHERE t.name = $name OR $name IN t.synonyms RETURN t.id AS id", {"name": name})
        assert found == [{"id": "text:odd"}]

    def test_what_is_absent_is_null_and_not_empty(self, reader: GraphReader) -> None:
        rows = reader.query("MATCH (v:Variant) WHERE v.locus IS NULL RETURN v.id AS id ORDER BY id")
        assert [row["id"] for row in rows] == ["dbsnp:rs1057910", "dbsnp:rs5219", "variantset:h1"]

    def test_the_build_node_tells_what_went_in(self, reader: GraphReader) -> None:
        [row] = reader.query(
            "MATCH (b:Build) RETURN b.kgbuild_version AS version, b.schema_version AS schema, b.sources AS sources, b.node_counts AS nodes, b.edge_counts AS edges"
        )
        assert (row["version"], row["schema"], json.loads(row["sources"])) == ("0.1.0", 1, small_graph.BUILD["sources"])
        assert (json.loads(row["nodes"]), json.loads(row["edges"])) == (EXPECTED.nodes, EXPECTED.edges)

    @pytest.mark.parametrize("writes", ["CREATE (:Gene {id: 'x'})", "MATCH (g:Gene) SET g.name = 'x'", "MATCH (g:Gene) DETACH DELETE g"])
    def test_queries_only_read(self, reader: GraphReader, writes: str) -> None:
        with pytest.raises(QueryError, match="Queries only read"):
            reader.query(writes)
        assert reader.query("MATCH (g:Gene) WHERE g.name <> 'x' RETURN count(g) AS n") == [{"n": EXPECTED.nodes["Gene"]}]

    def test_a_query_that_is_not_understood_is_refused_with_a_reason(self, reader: GraphReader) -> None:
        with pytest.raises(QueryError, match="RETURN"):
            reader.query("MATCH (g:Gene RETURN g")


class StoreContract(ReaderContract):
    """Give the fixtures `reader` and `create`: a function from a fresh folder to an empty store."""

    def test_loading_gives_what_was_counted(self, create: Callable[[Path], Store], tmp_path: Path) -> None:
        with create(tmp_path / "store") as store:
            assert store.load(small_graph.write(tmp_path / "files"), build={}).counts.differences(EXPECTED) == []

    def test_progress_is_told_by_label_and_ends_whole(self, create: Callable[[Path], Store], tmp_path: Path) -> None:
        told: dict[str, tuple[int, int]] = {}
        with create(tmp_path / "store") as store:
            store.load(small_graph.write(tmp_path / "files"), build={}, progress=lambda what, done, of: told.update({what: (done, of)}))
        assert {name: told[name] for name in EXPECTED.nodes} == {name: (n, n) for name, n in EXPECTED.nodes.items()}
        assert all(done == of for done, of in told.values())

    def test_a_graph_without_vectors_loads(self, create: Callable[[Path], Store], tmp_path: Path) -> None:
        with create(tmp_path / "store") as store:
            store.load(small_graph.write(tmp_path / "files", vectors=False), build={})
            assert store.query("MATCH (h:HarmonisedConcept) WHERE h.embedding IS NOT NULL RETURN count(h) AS n") == [{"n": 0}]

    def test_an_edge_that_ends_nowhere_is_an_error(self, create: Callable[[Path], Store], tmp_path: Path) -> None:
        graph = small_graph.write(tmp_path / "files")
        graph.node_files()["Drug"].unlink()
        with create(tmp_path / "store") as store, pytest.raises(StoreError, match="'drugbank:DB01016', which is no node"):
            store.load(graph, build={})

    def test_an_id_that_occurs_twice_is_an_error(self, create: Callable[[Path], Store], tmp_path: Path) -> None:
        graph = small_graph.write(tmp_path / "files")
        shutil.copy(graph.node_files()["Drug"], tmp_path / "files" / "nodes" / "Exposure.parquet")
        with create(tmp_path / "store") as store, pytest.raises(StoreError, match="repeats an id"):
            store.load(graph, build={})

    def test_a_label_that_the_schema_lacks_is_an_error(self, create: Callable[[Path], Store], tmp_path: Path) -> None:
        graph = small_graph.write(tmp_path / "files")
        shutil.copy(graph.node_files()["Drug"], tmp_path / "files" / "nodes" / "Potion.parquet")
        with create(tmp_path / "store") as store, pytest.raises(StoreError, match="no Potion"):
            store.load(graph, build={})
