"""The Neo4j store keeps the stores' contract on every version, loads again without harm, and survives kills."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import neo4j_server
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import small_graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from neo4j_kills import kill_and_load
from neo4j_server import Neo4jServer
from store_contract import EXPECTED, StoreContract

from kgbuild.errors import QueryError, StoreError
from kgbuild.stores import GraphFiles, GraphReader, Store
from kgbuild.stores.bolt import Address, address_of
from kgbuild.stores.embedded import EmbeddedStore
from kgbuild.stores.neo4j import Neo4jStore
from kgbuild.stores.verification import verify
from kgbuild.workspace import Workspace

pytestmark = pytest.mark.slow

Servers = Callable[[str], Neo4jServer]


def address(server: Neo4jServer) -> Address:
    return address_of("neo4j", environment=server.environment)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> GraphFiles:
    return small_graph.write(tmp_path_factory.mktemp("graph"))


@pytest.fixture
def store(neo4j: Neo4jServer) -> Iterator[Neo4jStore]:
    """Give an empty database of each version in turn."""
    with Neo4jStore.connect(address(neo4j)) as store:
        yield store


@pytest.fixture
def changeable(tmp_path: Path) -> GraphFiles:
    return small_graph.write(tmp_path / "changeable")


class TestNeo4jStore(StoreContract):
    @pytest.fixture(params=neo4j_server.VERSIONS)
    def server(self, request: pytest.FixtureRequest, neo4j_servers: Servers) -> Neo4jServer:
        return neo4j_servers(request.param)

    @pytest.fixture
    def reader(self, server: Neo4jServer, graph: GraphFiles) -> Iterator[GraphReader]:
        with Neo4jStore.connect(address(server)) as store:
            store.load(graph, build=small_graph.BUILD, prune=True)
            yield store

    @pytest.fixture
    def create(self, server: Neo4jServer) -> Callable[[Path], Store]:
        server.empty()
        return lambda _: Neo4jStore.connect(address(server))


def edit(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def rename(old: str, new: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index("name"), "name", pc.replace_substring(table["name"], old, new))

    return change


# ---------------------------------------------------------------- again and again


def test_a_second_load_creates_and_changes_nothing(store: Neo4jStore, graph: GraphFiles) -> None:
    first = store.load(graph, build=small_graph.BUILD)
    assert first.created == {**EXPECTED.nodes, **EXPECTED.edges}
    again = store.load(graph, build=small_graph.BUILD)
    assert (again.created, again.changed, again.removed, again.vanished) == ({}, {}, {}, {})
    assert again.counts == first.counts


def test_without_what_is_known_of_the_files_rows_are_compared_and_nothing_changes(store: Neo4jStore, graph: GraphFiles) -> None:
    store.load(graph, build={})
    store.execute("MATCH (b:Build) SET b.digests = '{}'")
    again = store.load(graph, build={})
    assert (again.created, again.changed, again.vanished) == ({}, {}, {})


def test_a_changed_file_changes_only_what_changed(store: Neo4jStore, changeable: GraphFiles) -> None:
    store.load(changeable, build={})
    edit(changeable.node_files()["Gene"], rename("KCNJ11", "KCNJ11, renamed"))
    edit(
        changeable.edge_files()["TARGETS"],
        lambda table: table.set_column(table.schema.get_field_index("source"), "source", pa.array(["new"] * len(table))),
    )
    loaded = store.load(changeable, build={})
    assert (loaded.created, loaded.changed, loaded.vanished) == ({}, {"Gene": 1, "TARGETS": len(small_graph.EDGES["TARGETS"])}, {})
    assert verify(changeable, store, rows=0).passed


def test_a_new_row_is_created_beside_the_old_ones(store: Neo4jStore, changeable: GraphFiles) -> None:
    whole = pq.read_table(changeable.edge_files()["ASSOCIATED_WITH"])
    edit(changeable.edge_files()["ASSOCIATED_WITH"], lambda table: table.slice(3))
    store.load(changeable, build={})
    edit(changeable.edge_files()["ASSOCIATED_WITH"], lambda _: whole)
    assert store.load(changeable, build={}).created == {"ASSOCIATED_WITH": 3}
    assert verify(changeable, store, rows=0).passed


def test_what_vanished_stays_until_it_is_pruned_and_is_listed_first(store: Neo4jStore, changeable: GraphFiles) -> None:
    store.load(changeable, build={})
    for path in (changeable.node_files()["Pathway"], changeable.edge_files()["EQTL_OF"]):
        edit(path, lambda table: table.slice(1))
    edit(changeable.edge_files()["PARTICIPATES_IN"], lambda table: table.filter(pc.not_equal(table["end_id"], "reactome:R-HSA-1")))
    gone = {"Pathway": 1, "PARTICIPATES_IN": 2, "EQTL_OF": 1}
    kept = store.load(changeable, build={})
    assert (kept.vanished, kept.removed, kept.counts.of("Pathway")) == (gone, {}, 2)
    assert store.load(changeable, build={}).vanished == gone  # also when nothing else is to do
    told: list[tuple[dict[str, list[str]], int]] = []
    pruned = store.load(changeable, build={}, prune=True, tell_vanished=lambda ids: told.append((dict(ids), store.counts().of("Pathway"))))
    assert [({name: len(ids) for name, ids in listed.items()}, there) for listed, there in told] == [(gone, 2)]
    assert (pruned.removed, pruned.vanished) == (gone, {})
    assert store.counts().differences(changeable.counts()) == []


def test_a_label_whose_file_is_gone_vanishes(store: Neo4jStore, changeable: GraphFiles) -> None:
    store.load(changeable, build={})
    changeable.edge_files()["IS_A"].unlink()
    assert store.load(changeable, build={}).vanished == {"IS_A": 2}


def test_a_node_that_moves_to_another_label_keeps_its_edges(store: Neo4jStore, changeable: GraphFiles) -> None:
    store.load(changeable, build={})
    disease, phenotype = changeable.node_files()["Disease"], changeable.folder / "nodes" / "Phenotype.parquet"
    moved = pq.read_table(disease).slice(0, 1)
    pq.write_table(moved.set_column(moved.schema.get_field_index("kind"), "kind", pa.array(["Phenotype"])), phenotype)
    edit(disease, lambda table: table.slice(1))
    loaded = store.load(changeable, build={})
    assert loaded.vanished == {}
    assert store.counts().differences(changeable.counts()) == []
    assert verify(changeable, store, rows=0).passed


def test_an_edge_that_ends_elsewhere_now_is_moved(store: Neo4jStore, changeable: GraphFiles) -> None:
    store.load(changeable, build={})
    turn = {"start_id": "end_id", "end_id": "start_id"}
    edit(changeable.edge_files()["PART_OF_SET"], lambda table: table.rename_columns([turn.get(name, name) for name in table.column_names]))
    loaded = store.load(changeable, build={})
    assert (loaded.created, loaded.changed, loaded.vanished) == ({}, {"PART_OF_SET": 2}, {})
    assert verify(changeable, store, rows=0).passed


def test_what_a_person_wrote_beside_our_properties_stays(store: Neo4jStore, changeable: GraphFiles) -> None:
    store.load(changeable, build={})
    store.execute("MATCH (g:Gene {name: 'KCNJ11'}) SET g.my_note = 'look here'")
    edit(changeable.node_files()["Gene"], rename("KCNJ11", "renamed"))
    store.load(changeable, build={})
    assert store.query("MATCH (g:Gene {name: 'renamed'}) RETURN g.my_note AS note") == [{"note": "look here"}]


def test_somebody_elses_database_is_left_alone(store: Neo4jStore, graph: GraphFiles) -> None:
    store.execute("CREATE (:Person {name: 'Ada'})-[:KNOWS]->(:Entity {id: 'theirs'})")
    with pytest.raises(
        StoreError, match=r"(?s)holds nodes that kgbuild did not write \(1 Person, 1 Entity\); it was left alone.*NEO4J_DATABASE"
    ):
        store.load(graph, build={})
    assert store.query("MATCH (n) RETURN count(n) AS n") == [{"n": 2}]
    assert store.query("SHOW CONSTRAINTS YIELD name RETURN count(name) AS n") == [{"n": 0}]


def test_somebody_elses_nodes_beside_ours_are_told_and_not_touched(store: Neo4jStore, graph: GraphFiles) -> None:
    store.load(graph, build={})
    store.execute("MATCH (g:Gene {name: 'KCNJ11'}) CREATE (:Cohort {name: 'mine'})-[:SEES]->(g)")
    store.load(graph, build={}, prune=True)
    assert store.strangers() == {"Cohort": 1}
    assert store.query("MATCH (:Cohort)-[:SEES]->(g) RETURN g.name AS name") == [{"name": "KCNJ11"}]


def test_rows_that_somebody_else_adds_or_takes_are_found(store: Neo4jStore, graph: GraphFiles) -> None:
    store.load(graph, build={})
    store.execute("MATCH (d:Drug) WITH d LIMIT 1 MATCH (g:Gene {name: 'TCF7L2'}) CREATE (d)-[:TARGETS {id: 'mine'}]->(g)")
    store.execute("MATCH (g:Gene {name: 'TCF7L2'}) SET g.name = 'changed'")
    found = verify(graph, store, rows=0)
    assert (found.counts, found.differences) == (
        ["TARGETS: 4 in the database, 3 in the files"],
        ["Gene NCBIGene:6934: name is 'changed' in the database, 'TCF7L2' in the file"],
    )
    with pytest.raises(StoreError, match="TARGETS: 4 here, 3 there"):
        store.load(graph, build={}, prune=True)


def test_a_node_shows_its_own_label_before_entity(neo4j_version: str, graph: GraphFiles, tmp_path: Path) -> None:
    with neo4j_server.running(neo4j_version, tmp_path / "home") as server, Neo4jStore.connect(address(server)) as store:
        store.load(graph, build={})
        assert store.query("MATCH (g:Gene) RETURN DISTINCT labels(g) AS labels") == [{"labels": ["Gene", "Entity"]}]


def test_indexes_and_constraints_are_online(store: Neo4jStore, graph: GraphFiles) -> None:
    store.load(graph, build={})
    rows = store.query("SHOW INDEXES YIELD name, type, state WHERE type <> 'LOOKUP' RETURN name, type, state ORDER BY name")
    assert [tuple(row.values()) for row in rows] == [
        ("kg_association_study", "RANGE", "ONLINE"),
        ("kg_build", "RANGE", "ONLINE"),
        ("kg_concept_vectors", "VECTOR", "ONLINE"),
        ("kg_id", "RANGE", "ONLINE"),
        ("kg_names", "FULLTEXT", "ONLINE"),
        ("kg_variant_locus", "RANGE", "ONLINE"),
        ("kg_variant_place", "RANGE", "ONLINE"),
    ]
    assert [row["name"] for row in store.query("SHOW CONSTRAINTS YIELD name RETURN name ORDER BY name")] == ["kg_build", "kg_id"]


# ---------------------------------------------------------------- kills, memory, the way there


@pytest.mark.parametrize("version", neo4j_server.VERSIONS)
@pytest.mark.timeout(1200)
def test_killed_at_any_moment_the_next_load_gives_the_same_graph(version: str, neo4j_servers: Servers, finished: Workspace) -> None:
    seed = neo4j_server.VERSIONS.index(version)  # other moments for each
    rounds = list(kill_and_load(neo4j_servers(version), GraphFiles(finished.folder("graph")), moments=3, seed=seed))
    print("\n".join(killed.line() for killed in rounds))
    assert [killed.wrong for killed in rounds] == [[]] * 3
    assert any(killed.created for killed in rounds)


@pytest.mark.parametrize("version", neo4j_server.VERSIONS[:1])
def test_a_server_with_little_memory_gets_smaller_batches(version: str, neo4j_servers: Servers, tmp_path: Path) -> None:
    graph = texts(tmp_path / "texts", [(f"{n} {'x' * 10_000}", [], None) for n in range(1_500)])  # 15 MB in what is few rows
    neo4j_servers(version)  # says so where it cannot run here
    settings = ["db.memory.transaction.max=8m"]
    with neo4j_server.running(version, tmp_path / "home", settings=settings) as server, Neo4jStore.connect(address(server)) as store:
        store.load(graph, build={})
        assert verify(graph, store, rows=100).passed
        (tmp_path / "one").mkdir()
        one = texts(tmp_path / "one", [("x" * 12_000_000, [], None)])
        with pytest.raises(
            StoreError, match=r"(?s)FreeText: what belongs to 'text:0' is more than a transaction.*db.memory.transaction.max"
        ):
            store.load(one, build={})


def test_over_tls_with_a_certificate_that_is_trusted_or_taken_as_it_is(neo4j_version: str, graph: GraphFiles, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from kgbuild.stores import GraphFiles; from kgbuild.stores.bolt import address_of\n"
        "from kgbuild.stores.neo4j import Neo4jStore\n"
        "with Neo4jStore.connect(address_of(sys.argv[1])) as store: print(len(store.load(GraphFiles(Path(sys.argv[2])), build={}).created))"
    )

    def load(uri: str, **environment: str) -> tuple[str, str]:
        done = subprocess.run(
            [sys.executable, "-c", code, uri, str(graph.folder)],
            env=os.environ | server.environment | environment,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip(), done.stderr.strip().splitlines()[-1][:40] if done.stderr else ""

    with neo4j_server.running(neo4j_version, tmp_path / "home", tls=True) as server:
        kinds = str(len(EXPECTED.nodes) + len(EXPECTED.edges))
        assert load(f"neo4j+s://{server.address}")[0] == ""  # nobody here knows its authority
        assert load(f"neo4j+ssc://{server.address}") == (kinds, "")
        assert load(f"neo4j+s://{server.address}", SSL_CERT_FILE=str(server.authority)) == ("0", "")


def test_a_wrong_password_and_a_closed_port_are_said(neo4j: Neo4jServer) -> None:
    with pytest.raises(StoreError, match=r"(?s)does not let neo4j in.*NEO4J_PASSWORD") as refused:
        Neo4jStore.connect(address_of("neo4j", environment={**neo4j.environment, "NEO4J_PASSWORD": "wrong-one"}))
    assert "wrong-one" not in str(refused.value)
    with pytest.raises(StoreError, match="Is the server running"):
        Neo4jStore.connect(address_of("bolt://127.0.0.1:1", environment=neo4j.environment))


# ---------------------------------------------------------------- any text

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60) | st.sampled_from(
    [
        "",
        "'",
        '"',
        ";",
        "|",
        "\n",
        "\r\n",
        "\\",
        "\\'",
        "`",
        "🧬",
        "'); MATCH (n) DETACH DELETE n //",
        "$rows",
        "x" * 32_000,
        "\u2028",
        "null",
        " ",
    ]
)
NAMES = st.lists(st.tuples(TEXT, st.lists(TEXT, max_size=3), st.none() | TEXT), min_size=1, max_size=40)


def texts(folder: Path, names: list[tuple[str, list[str], str | None]]) -> GraphFiles:
    """Write free texts by these names, each tied to the next by an edge that carries its text."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "nodes").mkdir(parents=True)
    (folder / "edges").mkdir()
    nodes = [
        {"id": f"text:{n}", "name": name, "kind": "FreeText", "synonyms": synonyms, "search_text": name, "vocabulary": other}
        for n, (name, synonyms, other) in enumerate(names)
    ]
    types = {"synonyms": pa.list_(pa.string())}
    schema = pa.schema([(key, types.get(key, pa.string())) for key in nodes[0]])
    pq.write_table(pa.Table.from_pylist(nodes, schema=schema), folder / "nodes" / "FreeText.parquet")
    edges = [
        {"start_id": f"text:{n}", "end_id": f"text:{(n + 1) % len(names)}", "id": f"e{n}", "predicate": name, "source": other}
        for n, (name, _, other) in enumerate(names)
    ]
    pq.write_table(
        pa.Table.from_pylist(edges, schema=pa.schema([(key, pa.string()) for key in edges[0]])), folder / "edges" / "XREF.parquet"
    )
    return GraphFiles(folder)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES)
def test_any_text_comes_back_byte_for_byte_from_neo4j(store: Neo4jStore, tmp_path: Path, names: list[Any]) -> None:
    graph = texts(tmp_path / "texts", names)
    store.load(graph, build={}, prune=True)
    assert verify(graph, store, rows=0).differences == []


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES)
def test_any_text_comes_back_byte_for_byte_from_the_embedded_engine(tmp_path: Path, names: list[Any]) -> None:
    graph = texts(tmp_path / "texts", names)
    shutil.rmtree(tmp_path / "store", ignore_errors=True)
    with EmbeddedStore.create(tmp_path / "store") as store:
        store.load(graph, build={})
        assert verify(graph, store, rows=0).differences == []


@pytest.mark.parametrize("column", ["name`: 'x'}) DETACH DELETE n //", "x: row[0]}) MATCH (n) DELETE n"])
def test_a_column_cannot_become_part_of_a_query(store: Neo4jStore, changeable: GraphFiles, column: str) -> None:
    edit(changeable.node_files()["Gene"], lambda table: table.append_column(column, pa.array(["x"] * len(table))))
    with pytest.raises(StoreError, match="which the schema has not"):
        store.load(changeable, build={})
    assert store.query("MATCH (n) RETURN count(n) AS n") == [{"n": 0}]


@pytest.mark.parametrize(("folder", "name"), [("nodes", "Gene) DETACH DELETE n"), ("edges", "X]->() MATCH (n) DETACH DELETE n")])
def test_a_label_or_type_cannot_become_part_of_a_query(store: Neo4jStore, changeable: GraphFiles, folder: str, name: str) -> None:
    some = next((changeable.folder / folder).iterdir())
    shutil.copy(some, changeable.folder / folder / f"{name.replace('/', ' ')}.parquet")
    with pytest.raises(StoreError, match="the schema has no"):
        store.load(changeable, build={})


# ---------------------------------------------------------------- by the command line


def run(*arguments: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kgbuild", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
    )


def test_populate_query_verify_and_doctor_on_a_server(neo4j: Neo4jServer, root: Path, tmp_path: Path) -> None:
    workspace = shutil.copytree(root, tmp_path / "ws", ignore=shutil.ignore_patterns("database-*"))
    first = run("-w", workspace, "populate", "--to", neo4j.uri, "--json", environment=neo4j.environment)
    assert first.returncode == 0, first.stderr
    facts = json.loads(first.stdout)[-1]["record"]["facts"]
    assert facts["nodes"] + facts["edges"] == sum(facts["created"].values()) > 1000
    again = run("-w", workspace, "populate", "--to", "neo4j", environment=neo4j.environment)
    assert "created 0, changed 0, removed 0" in again.stderr
    asked = run(
        "-w",
        workspace,
        "query",
        "variants-of-trait",
        "--trait",
        "type 2 diabetes",
        "--at",
        "neo4j",
        "--json",
        environment=neo4j.environment,
    )
    assert (
        json.loads(asked.stdout)[0]["variant"]
        == json.loads(run("-w", root, "query", "variants-of-trait", "--trait", "type 2 diabetes", "--json", environment={}).stdout)[0][
            "variant"
        ]
    )
    verified = run("-w", workspace, "verify", "--at", "neo4j", "--rows", "0", "--json", environment=neo4j.environment)
    assert (verified.returncode, json.loads(verified.stdout)["passed"]) == (0, True)
    examined = json.loads(run("-w", workspace, "doctor", "--at", "neo4j", "--json", environment=neo4j.environment).stdout)
    assert {finding["what"]: finding["state"] for finding in examined if finding["what"].startswith("Neo4j")} == {
        "Neo4j": "ok",
        "Neo4j build": "ok",
        "Neo4j indexes": "ok",
    }
    assert not any(neo4j.password in text for done in (first, again, asked, verified) for text in (done.stdout, done.stderr))


def test_without_a_password_nothing_is_begun(neo4j: Neo4jServer, root: Path) -> None:
    done = run("-w", root, "populate", "--to", neo4j.uri, environment={"NEO4J_PASSWORD": ""})
    assert (done.returncode, done.stderr.splitlines()[1].strip()) == (
        2,
        "Set NEO4J_PASSWORD in the environment; it is never taken as an argument.",
    )


def test_queries_on_a_server_only_read(store: Neo4jStore, graph: GraphFiles) -> None:
    store.load(graph, build={})
    with pytest.raises(QueryError, match="Queries only read"):
        store.query("MATCH (n) DETACH DELETE n")
