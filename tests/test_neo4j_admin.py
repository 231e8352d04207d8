"""CSV files and the command that imports them: their text, what is refused, and what the importer makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_graph
from hypothesis import given, settings
from hypothesis import strategies as st

from kgbuild.errors import KgbuildError, StoreError, UsageError
from kgbuild.schema import NODE_LABELS
from kgbuild.stores import GraphFiles
from kgbuild.stores.neo4j_admin import import_command, write_import
from kgbuild.stores.neo4j_schema import content_hashes

TYPES = {
    "string": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "list<string>": pa.list_(pa.string()),
    "list<float>": pa.list_(pa.float32()),
}


def write_nodes(folder: Path, label: str, rows: list[dict[str, Any]]) -> GraphFiles:
    """Write rows as one label's file, with the columns that any of them has; the ids make it a graph."""
    columns = {key for row in rows for key in row}
    fields = [(p.name, TYPES[p.type]) for p in NODE_LABELS[label].all_properties if p.name in columns]
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
@given(st.lists(st.tuples(st.none() | st.text(), st.none() | st.lists(st.text(st.characters(exclude_characters="\x1f", codec="utf-8"), min_size=1)))))
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


def test_another_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
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


def _small_graph(folder: Path) -> GraphFiles:
    """Write the small graph, but for the synonym that no import can give back."""
    graph = small_graph.write(folder)
    path = graph.node_files()["FreeText"]
    rows = pq.read_table(path)
    kept = [[name for name in names if "\x1f" not in name] for names in rows["synonyms"].to_pylist()]
    at = rows.schema.get_field_index("synonyms")
    pq.write_table(rows.set_column(at, rows.field(at), pa.array(kept, rows.field(at).type)), path)
    return graph
