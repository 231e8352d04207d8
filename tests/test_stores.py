"""The embedded store and the one behind Bolt keep the stores' contract; and what is theirs alone."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import neo4j
import pytest
import small_graph
from store_contract import EXPECTED, ReaderContract, StoreContract, load_small_graph, served

from kgbuild.errors import StoreError
from kgbuild.stores import Counts, GraphReader, Store
from kgbuild.stores.bolt import Address, BoltStore
from kgbuild.stores.bolt_server import address, serving
from kgbuild.stores.embedded import EmbeddedStore

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load_small_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def server(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    with served(database, tmp_path_factory.mktemp("serve")) as (where, _):
        yield where


@pytest.fixture(scope="module")
def embedded(database: Path) -> Iterator[GraphReader]:
    with EmbeddedStore.open(database) as store:
        yield store


@pytest.fixture(scope="module")
def bolt(server: Address) -> Iterator[GraphReader]:
    with BoltStore.connect(server) as store:
        yield store


class TestEmbeddedStore(StoreContract):
    @pytest.fixture
    def reader(self, embedded: GraphReader) -> GraphReader:
        return embedded

    @pytest.fixture
    def create(self) -> Callable[[Path], Store]:
        return EmbeddedStore.create


class TestBoltStore(ReaderContract):
    @pytest.fixture
    def reader(self, bolt: GraphReader) -> GraphReader:
        return bolt


def test_several_processes_read_at_once(database: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from kgbuild.stores.embedded import EmbeddedStore
with EmbeddedStore.open(Path({str(database)!r})) as store:
    print(store.query("MATCH (g:Gene) RETURN count(g) AS n")[0]["n"], flush=True)
    sys.stdin.read()
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["8\n", "8\n"]  # both are still open
    assert [process.communicate("")[1] for process in processes] == ["", ""]


def test_the_engine_says_nothing_and_leaves_nothing_in_the_current_folder(tmp_path: Path) -> None:
    graph = small_graph.write(tmp_path / "files")
    code = f"""
from pathlib import Path
from kgbuild.stores import GraphFiles
from kgbuild.stores.embedded import EmbeddedStore
with EmbeddedStore.create(Path({str(tmp_path / "store")!r})) as store:
    store.load(GraphFiles(Path({str(graph.folder)!r})), build={{}})
"""
    (tmp_path / "here").mkdir()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "here", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr, list((tmp_path / "here").iterdir())) == (0, "", "", [])
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["kgbuild", "log"]


def test_a_factorisation_finds_room_on_the_stack_beside_the_engine(tmp_path: Path) -> None:
    code = """
from pathlib import Path
import numpy as np
from scipy.linalg import lu
from kgbuild.stores.embedded import engine
engine(Path())
lu(np.random.default_rng(0).standard_normal((3000, 400)).astype(np.float32), permute_l=True)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr  # with Java's own size of a stack this ended by a segmentation fault


def test_a_folder_that_holds_something_is_not_loaded_into(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(StoreError, match="is not empty"):
        EmbeddedStore.create(tmp_path)


def test_a_folder_without_a_database_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no graph database"):
        EmbeddedStore.open(tmp_path)


def test_a_moved_database_opens_and_closing_twice_does_no_harm(tmp_path: Path) -> None:
    load_small_graph(tmp_path / "graph.building")
    (tmp_path / "graph.building").rename(tmp_path / "graph")
    store = EmbeddedStore.open(tmp_path / "graph" / "database")
    assert store.counts().differences(EXPECTED) == []
    store.close()
    store.close()


def test_a_heap_that_is_no_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGBUILD_JAVA_HEAP", "lots")
    with pytest.raises(StoreError, match="KGBUILD_JAVA_HEAP is 'lots'"):
        EmbeddedStore.create(tmp_path / "store")


def test_an_engine_that_is_missing_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arcadedb_embedded", None)
    with pytest.raises(StoreError, match=r"(?s)engine does not start here.*glibc 2\.34"):
        EmbeddedStore.create(tmp_path / "store")


def test_counts_that_differ_are_named() -> None:
    assert EXPECTED.differences(Counts({**EXPECTED.nodes, "Gene": 9}, EXPECTED.edges)) == ["Gene: 8 here, 9 there"]


def test_any_driver_that_knows_the_password_may_read(server: Address) -> None:
    with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver:
        [record] = driver.execute_query("MATCH (g:Gene) RETURN count(g) AS n", database_=server.database).records
    assert record["n"] == 8


def test_a_wrong_password_is_refused(server: Address) -> None:
    with pytest.raises(StoreError, match="does not let kgbuild in"):
        BoltStore.connect(Address(server.uri, server.user, server.database, "wrong password"))


def test_only_loopback_is_listened_on(server: Address) -> None:
    ports = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/{server.pid}/net/{name}").read_text().splitlines()[1:]]
    mine = {link for link in (path.readlink().name for path in Path(f"/proc/{server.pid}/fd").iterdir()) if link.startswith("socket:")}
    listening = {cells[1].rsplit(":", 1)[0] for cells in ports if cells[3] == "0A" and f"socket:[{cells[9]}]" in mine}
    assert listening <= {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert listening


def test_the_address_file_is_the_users_alone_and_goes_with_the_server(database: Path, tmp_path: Path) -> None:
    with served(database, tmp_path, password="of my choosing") as (where, process):
        assert stat.S_IMODE((tmp_path / "serve.json").stat().st_mode) == 0o600
        assert (where.password, where.user, where.database, where.pid) == ("of my choosing", "kgbuild", "kgbuild", process.pid)
        with pytest.raises(StoreError, match="served already"), serving(database, tmp_path / "serve.json"):
            pass
        with pytest.raises(StoreError, match="cannot be opened"):
            EmbeddedStore.open(tmp_path / "served")
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.splitlines()[-1], err) == (0, "Stopped.", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["served"]


def test_a_killed_server_leaves_a_graph_that_opens(database: Path, tmp_path: Path) -> None:
    with served(database, tmp_path) as (_, process):
        process.kill()
        process.wait()
    assert address(tmp_path / "serve.json") is None
    with EmbeddedStore.open(tmp_path / "served") as store:
        assert store.counts().differences(EXPECTED) == []
