"""CSV files and the command that imports them: their text, what is refused, and what the importer makes of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import neo4j_server
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_graph
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from neo4j_server import Neo4jServer

from kgbuild import pipeline
from kgbuild.errors import KgbuildError, StoreError, UsageError
from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property, arrow_type
from kgbuild.stores import GraphFiles, Loaded
from kgbuild.stores.bolt import Address
from kgbuild.stores.neo4j import Neo4jStore
from kgbuild.stores.neo4j_admin import VERSIONS, import_command, write_import
from kgbuild.stores.neo4j_schema import content_hashes
from kgbuild.workspace import Workspace

Contents = tuple[dict[str, Any], dict[tuple[str, str], Any]]  # nodes, edges


def write_nodes(folder: Path, label: str, rows: list[dict[str, Any]]) -> GraphFiles:
    """Write rows as one label's file, with the columns that any of them has; the ids make it a graph."""
    columns = {key for row in rows for key in row}
    fields = [(p.name, arrow_type(p.type)) for p in NODE_LABELS[label].all_properties if p.name in columns]
    return write_table(folder, label, pa.Table.from_pylist(rows, schema=pa.schema(fields)))


def write_table(folder: Path, label: str, table: pa.Table) -> GraphFiles:
    (folder / "nodes").mkdir(parents=True)
    pq.write_table(table, folder / "nodes" / f"{label}.parquet")
    return GraphFiles(folder)


def csv_of(folder: Path, label: str, rows: list[dict[str, Any]]) -> tuple[str, str]:
    """Give the header and the data, each row without the content hash at its end."""
    write_import(write_nodes(folder / "graph", label, rows), folder / "out", version="5.26", build={})
    nodes = folder / "out" / "nodes"
    data = (nodes / f"{label}.csv").read_bytes().decode()
    for value in content_hashes(pq.read_table(folder / "graph" / "nodes" / f"{label}.parquet").combine_chunks().to_batches()[0]):
        data = data.replace(f",{value}\n", "\n", 1)
    return (nodes / f"{label}-header.csv").read_text(), data


# what is written


def test_every_type_of_the_schema_has_a_header(tmp_path: Path) -> None:
    row = {"id": "dbsnp:rs1", "name": "rs1", "synonyms": [], "position": 7, "in_mhc": False, "embedding": [0.5]}
    header, _ = csv_of(tmp_path, "Variant", [row])
    assert header == "id:ID,name:string,synonyms:string[],position:long,in_mhc:boolean,embedding:double[],content_hash:long\n"


def test_edges_have_ends_and_keep_their_id(tmp_path: Path) -> None:
    write_import(_small_graph(tmp_path / "graph"), tmp_path / "out", version="5.26", build={})
    header = (tmp_path / "out" / "edges" / "EQTL_OF-header.csv").read_text()
    assert header == (
        ":START_ID,:END_ID,id:string,tissue:string,effect_allele:string,beta:double,se:double,neg_log10_p:double,"
        "source:string,content_hash:long\n"
    )


def test_null_is_nothing_and_empty_is_quotes(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "a", "name": "", "position": 0, "in_mhc": True}, {"id": "b"}]
    assert csv_of(tmp_path, "Variant", rows)[1] == '"a","",0,true\n"b",,,\n'


def test_quotes_are_doubled_and_nothing_else_is_touched(tmp_path: Path) -> None:
    _, data = csv_of(tmp_path, "Drug", [{"id": "a", "name": 'a "b"; c|d, \\e\r\nf'}])
    assert data == '"a","a ""b""; c|d, \\e\r\nf"\n'


def test_items_of_a_list_are_joined_by_the_unit_separator(tmp_path: Path) -> None:
    _, data = csv_of(tmp_path, "Drug", [{"id": "a", "synonyms": ["x;y", "", "z"]}, {"id": "b", "synonyms": []}])
    assert data == '"a","x;y\x1f\x1fz"\n"b",""\n'


def test_vectors_are_written_as_the_doubles_that_bolt_sends(tmp_path: Path) -> None:
    _, data = csv_of(tmp_path, "Variant", [{"id": "a", "embedding": [0.1, -1e-8]}, {"id": "b"}])
    first, second = data.splitlines()
    written = [float(number) for number in first.removeprefix('"a","').removesuffix('"').split("\x1f")]
    assert (written, second) == (pa.array([0.1, -1e-8], pa.float32()).cast(pa.float64()).to_pylist(), '"b",')


def test_numbers_that_are_none_are_spelled_as_java_does(tmp_path: Path) -> None:
    graph = _small_graph(tmp_path / "graph")
    path = graph.edge_files()["EQTL_OF"]
    table = pq.read_table(path)
    odd = pa.array([float("inf"), float("-inf"), float("nan"), 5e-324])
    pq.write_table(table.set_column(table.schema.get_field_index("beta"), "beta", odd), path)
    write_import(graph, tmp_path / "out", version="5.26", build={})
    lines = (tmp_path / "out" / "edges" / "EQTL_OF.csv").read_text().splitlines()
    assert [line.split(",")[5].strip('"') for line in lines] == ["Infinity", "-Infinity", "NaN", "5e-324"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.none() | st.text(), st.none() | st.lists(st.text(st.characters(exclude_characters="\x1f", codec="utf-8"), min_size=1)))
    )
)
def test_any_text_can_be_read_back(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str | None, list[str] | None]]) -> None:
    rows = [{"id": str(n), "name": name, "synonyms": items} for n, (name, items) in enumerate([("", []), *cells])]
    _, data = csv_of(tmp_path_factory.mktemp("any"), "Drug", rows)
    joined = [[row["id"], row["name"], None if row["synonyms"] is None else "\x1f".join(row["synonyms"])] for row in rows]
    assert read_csv(data) == joined


def read_csv(data: str) -> list[list[str | None]]:
    """Read RFC 4180 letter by letter; a cell that is nothing, not even quotes, is None."""
    rows: list[list[str | None]] = []
    cells: list[str | None] = []
    place = 0
    while place < len(data):
        cell = None
        if data[place] == '"':
            place, cell = place + 1, ""
            while data[place] != '"' or data[place + 1] == '"':
                place += data[place] == '"'
                cell += data[place]
                place += 1
            place += 1
        cells.append(cell)
        if data[place] == "\n":
            rows.append(cells)
            cells = []
        place += 1
    return rows


# the command


def test_the_command_writes_every_delimiter_out() -> None:
    assert import_command(["Gene"], ["IS_A"], version="2026.08") == (
        *("neo4j-admin", "database", "import", "full", "neo4j"),
        *("--input-encoding=UTF-8", "--delimiter=,", "--array-delimiter=U+001F", "--vector-delimiter=U+001E", '--quote="'),
        *("--legacy-style-quoting=false", "--ignore-empty-strings=false", "--trim-strings=false"),
        *("--multiline-fields=true", "--multiline-fields-format=v1"),
        *("--id-type=string", "--skip-duplicate-nodes=false", "--skip-bad-relationships=false"),
        "--nodes=Entity:Gene=nodes/Gene-header.csv,nodes/Gene.csv",
        "--nodes=Build=nodes/Build-header.csv,nodes/Build.csv",
        "--relationships=IS_A=edges/IS_A-header.csv,edges/IS_A.csv",
    )


def test_versions_before_vectors_do_not_hear_of_them() -> None:
    newer, older = (set(import_command([], [], version=version)) for version in ("2026.08.1", "5.26.8"))
    assert (newer - older, older - newer) == ({"--vector-delimiter=U+001E"}, set())


def test_the_script_runs_the_command_in_its_folder(tmp_path: Path) -> None:
    made = write_import(_small_graph(tmp_path / "graph"), tmp_path / "out", version="2026.08", build={})
    run = subprocess.run(
        [made.folder / "import.sh", "--dry-run"],
        env={"NEO4J_ADMIN": "echo", "PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
    )
    assert run.stdout == " ".join([*made.command[1:], "--dry-run\n"])


def test_files_without_rows_are_left_out(tmp_path: Path) -> None:
    graph = write_nodes(tmp_path / "graph", "Drug", [{"id": "a", "name": "b"}])
    pq.write_table(pq.read_table(graph.node_files()["Drug"]).slice(0, 0), tmp_path / "graph" / "nodes" / "Gene.parquet")
    made = write_import(graph, tmp_path / "out", version="5.26", build={})
    assert sorted(path.name for path in (tmp_path / "out" / "nodes").iterdir()) == [
        "Build-header.csv", "Build.csv", "Drug-header.csv", "Drug.csv",
    ]  # fmt: skip
    assert made.counts.nodes == {"Drug": 1, "Gene": 0}


# what is refused


@pytest.mark.parametrize(
    ("synonyms", "said"),
    [
        (["x", "a\x1fb"], "synonyms of 'drug:1' holds U+001F, which parts the items of a list there: ['x', 'a\\x1fb']"),
        ([""], "synonyms of 'drug:1' holds only \"\", which the importer takes for an empty list: ['']"),
        (["x", None], "synonyms of 'drug:1' holds null, which no list in Neo4j can: ['x', None]"),
    ],
)
def test_a_list_that_would_come_back_as_another_is_refused(tmp_path: Path, synonyms: list[Any], said: str) -> None:
    graph = write_nodes(tmp_path / "graph", "Drug", [{"id": "drug:0", "synonyms": ["x", ""]}, {"id": "drug:1", "synonyms": synonyms}])
    with pytest.raises(StoreError) as refused:
        write_import(graph, tmp_path / "out", version="5.26", build={})
    assert refused.value.message == f"{tmp_path}/graph/nodes/Drug.parquet: {said}"
    assert not (tmp_path / "out").exists()


def test_an_id_may_hold_what_a_list_may_not(tmp_path: Path) -> None:
    assert csv_of(tmp_path, "Drug", [{"id": "a\x1fb", "name": "c\x1fd"}])[1] == '"a\x1fb","c\x1fd"\n'


@pytest.mark.parametrize(
    ("label", "column", "said"),
    [
        ("Drug) DETACH DELETE (n", "name", "the schema has no Drug\\) DETACH DELETE \\(n"),
        ("Potion", "name", "the schema has no Potion"),
        ("Drug", "name:long", "has the columns name:long, which the schema has not"),
        ("Drug", "x,--nodes=/etc/passwd", "has the columns x,--nodes=/etc/passwd, which the schema has not"),
    ],
)
def test_names_that_are_not_the_schemas_never_reach_a_command(tmp_path: Path, label: str, column: str, said: str) -> None:
    graph = write_table(tmp_path / "graph", label, pa.table({"id": ["a"], column: ["b"]}))
    with pytest.raises(StoreError, match=said):
        write_import(graph, tmp_path / "out", version="5.26", build={})


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    graph = write_table(tmp_path / "graph", "Variant", pa.table({"id": ["a"], "position": ["12"]}))
    with pytest.raises(StoreError, match="position is string, and the schema says int"):
        write_import(graph, tmp_path / "out", version="5.26", build={})


def test_a_node_without_an_id_is_refused(tmp_path: Path) -> None:
    graph = write_nodes(tmp_path / "graph", "Drug", [{"id": "", "name": "a drug"}])
    with pytest.raises(StoreError, match="a row has no id"):
        write_import(graph, tmp_path / "out", version="5.26", build={})


def test_edges_without_ids_are_refused(tmp_path: Path) -> None:
    graph = _small_graph(tmp_path / "graph")
    path = graph.edge_files()["IS_A"]
    pq.write_table(pq.read_table(path).drop_columns(["id"]), path)
    with pytest.raises(StoreError, match="has no column id"):
        write_import(graph, tmp_path / "out", version="5.26", build={})


def test_an_edge_that_ends_nowhere_is_refused(tmp_path: Path) -> None:
    graph = _small_graph(tmp_path / "graph")
    graph.node_files()["Drug"].unlink()
    with pytest.raises(StoreError, match="'drugbank:DB01016', which is no node"):
        write_import(graph, tmp_path / "out", version="5.26", build={})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "4.4"}, "'4.4' is no Neo4j version from 5.26 on"),
        ({"version": "5.26 --nodes=x"}, "is no Neo4j version"),
        ({"database": "neo4j; rm -rf /"}, "is no database name"),
        ({"build": {"a:ID": "b"}}, "'a:ID' is no property name"),
    ],
)
def test_what_would_change_the_command_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    graph = write_nodes(tmp_path / "graph", "Drug", [{"id": "a"}])
    with pytest.raises(KgbuildError, match=said):
        write_import(graph, tmp_path / "out", **{"version": "5.26", "build": {}, **changed})


# where it goes


def test_an_earlier_import_is_replaced_whole(tmp_path: Path) -> None:
    write_import(_small_graph(tmp_path / "graph"), tmp_path / "out", version="5.26", build={})
    write_import(write_nodes(tmp_path / "other", "Drug", [{"id": "a"}]), tmp_path / "out", version="5.26", build={})
    assert sorted(path.name for path in (tmp_path / "out" / "edges").iterdir()) == []


@pytest.mark.parametrize("beside", ["import.sh", "other.txt"])
def test_another_folder_is_left_alone(tmp_path: Path, beside: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / beside).write_text("mine, too")
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds something else than an import"):
        write_import(write_nodes(tmp_path / "graph", "Drug", [{"id": "a"}]), tmp_path / "out", version="5.26", build={})
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_what_fails_leaves_the_earlier_import(tmp_path: Path) -> None:
    write_import(write_nodes(tmp_path / "graph", "Drug", [{"id": "a"}]), tmp_path / "out", version="5.26", build={})
    with pytest.raises(StoreError):
        write_import(write_nodes(tmp_path / "odd", "Drug", [{"id": "a", "synonyms": [""]}]), tmp_path / "out", version="5.26", build={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph", "odd", "out"]
    assert '"a"' in (tmp_path / "out" / "nodes" / "Drug.csv").read_text()


def test_progress_is_told_by_label_and_ends_whole(tmp_path: Path) -> None:
    told: dict[str, tuple[int, int]] = {}
    graph = _small_graph(tmp_path / "graph")
    write_import(graph, tmp_path / "out", version="5.26", build={}, progress=lambda what, done, of: told.update({what: (done, of)}))
    counts = graph.counts()
    assert told == {name: (n, n) for name, n in (counts.nodes | counts.edges).items()}


@pytest.mark.slow
def test_a_workspace_exports_its_whole_graph_and_says_the_command(finished: Workspace, tmp_path: Path) -> None:
    said = pipeline.export(finished, "neo4j-admin", tmp_path / "my import", neo4j_version="2026.08")
    counts = GraphFiles(finished.folder("graph")).counts()
    assert (said["nodes"], said["edges"]) == (sum(counts.nodes.values()), sum(counts.edges.values()))
    assert said["command"].startswith(f"cd '{tmp_path}/my import' && neo4j-admin database import full neo4j --input-encoding=UTF-8 ")
    assert "kgbuild_version" in (tmp_path / "my import" / "nodes" / "Build-header.csv").read_text()


@pytest.mark.slow
def test_the_command_for_the_oldest_version_serves_the_newest(neo4j_servers: Callable[[str], Neo4jServer], tmp_path: Path) -> None:
    server = neo4j_servers(neo4j_server.VERSIONS[-1])
    graph = write_nodes(tmp_path / "graph", "Drug", [{"id": "a", "synonyms": ["b;c", "d"]}])
    import_graph(graph, tmp_path / "import", server, version=VERSIONS[0])
    with Neo4jStore.connect(Address(server.uri, server.user, server.database, server.password)) as store:
        assert store.query("MATCH (d:Drug) RETURN d.synonyms AS synonyms") == [{"synonyms": ["b;c", "d"]}]


# what the importer makes of it, beside what the batches over Bolt make


@dataclass
class BothWays:
    """One graph, and what a database holds of it after the batches, after the import, and after populating what was imported."""

    graph: GraphFiles
    batches: Contents
    imported: Contents
    populated: Contents
    loaded: Loaded
    indexes: list[str]


@pytest.fixture(scope="module", params=neo4j_server.VERSIONS)
def both_ways(
    request: pytest.FixtureRequest, neo4j_servers: Callable[[str], Neo4jServer], tmp_path_factory: pytest.TempPathFactory
) -> BothWays:
    server, folder = neo4j_servers(request.param), tmp_path_factory.mktemp("both")
    where = Address(server.uri, server.user, server.database, server.password)
    graph = _with_generated_names(_small_graph(folder / "graph"))
    server.empty()
    with Neo4jStore.connect(where) as store:
        store.load(graph, build=small_graph.BUILD)
        batches = contents(store)
    import_graph(graph, folder / "import", server)
    with Neo4jStore.connect(where) as store:
        imported = contents(store)
        loaded = store.load(graph, build=small_graph.BUILD)
        indexes = [row["name"] for row in store.query("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name ORDER BY name")]
        return BothWays(graph, batches, imported, contents(store), loaded, indexes)


def import_graph(graph: GraphFiles, folder: Path, server: Neo4jServer, *, version: str = "") -> None:
    """Write the import's folder, stop the server, run the script, and start it again."""
    made = write_import(graph, folder, version=version or server.version, build=small_graph.BUILD)
    server.stop()
    try:
        script = [made.folder / "import.sh", "--overwrite-destination=true"]
        subprocess.run(script, env=os.environ | {"NEO4J_ADMIN": str(server.admin_script())}, check=True, cwd="/", capture_output=True)
    finally:
        server.start()


def contents(store: Neo4jStore) -> Contents:
    """Read everything: nodes by id with labels and properties, edges by type and id with ends and properties."""
    nodes = store.query("MATCH (n) RETURN n.id AS id, labels(n) AS labels, properties(n) AS properties")
    edges = store.query("MATCH (a)-[r]->(b) RETURN type(r) AS type, r.id AS id, a.id AS start, b.id AS end, properties(r) AS properties")
    return (
        {row["id"]: (set(row["labels"]), row["properties"]) for row in nodes},
        {(row["type"], row["id"]): (row["start"], row["end"], row["properties"]) for row in edges},
    )


@pytest.mark.slow
def test_import_and_batches_make_the_same_graph(both_ways: BothWays) -> None:
    assert both_ways.imported == both_ways.batches


@pytest.mark.slow
def test_every_value_comes_back_as_it_was(both_ways: BothWays) -> None:
    nodes, edges = both_ways.imported
    for label, path in both_ways.graph.node_files().items():
        for row, hash_ in _rows_and_hashes(path):
            assert nodes[row["id"]] == ({"Entity", label}, row | {"content_hash": hash_})
    for type_, path in both_ways.graph.edge_files().items():
        for row, hash_ in _rows_and_hashes(path):
            start, end = row.pop("start_id"), row.pop("end_id")
            assert edges[type_, row["id"]] == (start, end, row | {"content_hash": hash_})
    counts = both_ways.graph.counts()
    assert (len(nodes) - 1, len(edges)) == (sum(counts.nodes.values()), sum(counts.edges.values()))


@pytest.mark.slow
def test_populating_what_was_imported_only_makes_the_indexes(both_ways: BothWays) -> None:
    assert (both_ways.loaded.created, both_ways.loaded.changed, both_ways.populated) == ({}, {}, both_ways.imported)
    assert {"kg_id", "kg_names", "kg_concept_vectors"} <= set(both_ways.indexes)


def _rows_and_hashes(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Give rows without what is null, and without empty lists: to Neo4j's importer they are the same."""
    for block in pq.ParquetFile(path).iter_batches():
        for row, hash_ in zip(block.to_pylist(), content_hashes(block).tolist(), strict=True):
            yield {key: value for key, value in row.items() if value is not None and value != []}, hash_


_TROUBLE = ['"', '""', "'", ";", "|", ",", "\n", "\r\n", "\r", "\\", "\\n", '\\"', "\t", "\x00", "\x1e", "🧬", "👩🏽\u200d🔬", "e\u0301", "\u200f",
            "\u2028", "\x85", "\ufeff", "NULL", "{", "}", "`", "$name", "[", "]", "#", " ", "a", "é", "MATCH (n) DETACH DELETE n //"]  # fmt: skip
_TEXTS = st.text() | st.lists(st.sampled_from(_TROUBLE), max_size=12).map("".join) | st.sampled_from([" a ", "", "x" * 32_768, "\n" * 99])
_ITEMS = _TEXTS.map(lambda text: text.replace("\x1f", ""))
_LISTS = st.lists(_ITEMS, max_size=5).filter(lambda items: items != [""])


def _with_generated_names(graph: GraphFiles) -> GraphFiles:
    """Add nodes whose names and synonyms, and edges whose traits and qualifiers, hypothesis thought of; one import takes them all."""
    drawn: list[tuple[Any, ...]] = []

    @settings(max_examples=300, derandomize=True, database=None, phases=[Phase.generate], deadline=None)
    @given(st.tuples(*[st.none() | _TEXTS, st.none() | _LISTS] * 2))
    def draw(row: tuple[Any, ...]) -> None:
        drawn.append(row)

    draw()
    nodes = [{"id": f"generated:{n}", "kind": "Exposure", "name": row[0], "synonyms": row[1]} for n, row in enumerate(drawn)]
    nodes += [{"id": f"{text}#", "kind": "Exposure"} for text in _TROUBLE]
    edges = [
        {"start_id": "dbsnp:rs5219", "end_id": f"generated:{n}", "id": f"{n}|{row[2]}", "trait": row[2], "qualifiers": row[3]}
        for n, row in enumerate(drawn)
    ]
    _append(graph, "nodes", "Exposure", NODE_LABELS["Exposure"].all_properties, nodes)
    ends = (Property("start_id", "string", ""), Property("end_id", "string", ""))
    _append(graph, "edges", "ASSOCIATED_WITH", (*ends, *EDGE_TYPES["ASSOCIATED_WITH"].all_properties), edges)
    return graph


def _append(graph: GraphFiles, kind: str, name: str, properties: Iterable[Property], rows: list[dict[str, Any]]) -> None:
    path = graph.folder / kind / f"{name}.parquet"
    added = pa.Table.from_pylist(rows, schema=pa.schema([(p.name, arrow_type(p.type)) for p in properties]))
    pq.write_table(pa.concat_tables([pq.read_table(path), added]) if path.exists() else added, path)


def _small_graph(folder: Path) -> GraphFiles:
    """Write the small graph, but for the synonym that no import can give back."""
    graph = small_graph.write(folder)
    path = graph.node_files()["FreeText"]
    rows = pq.read_table(path)
    kept = [[name for name in names if "\x1f" not in name] for names in rows["synonyms"].to_pylist()]
    at = rows.schema.get_field_index("synonyms")
    pq.write_table(rows.set_column(at, rows.field(at), pa.array(kept, rows.field(at).type)), path)
    return graph
