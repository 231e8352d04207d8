"""A finished workspace in; how fast its graph gets into a Neo4j server, by kgbuild's two ways and others, out: a Markdown table.

    python docs/benchmarks/neo4j_loading.py WORKSPACE --biocypher biocypher/bin/python

Everything runs on this machine, one after another, against servers of the tests (tests/neo4j_server.py: Java and Maven), each
with an empty database. Every way's own process is measured by itself: seconds on the wall, and the most memory that it held;
starting and stopping servers is not counted. The limit is what the server does anyway: its import of files that are ready,
and its making of the indexes. BioCypher runs in an environment of its own (neo4j_biocypher.py says how to make it).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent.parent / "tests"
HEADER = "| way | rows | seconds | rows/s | MB | of the limit | |\n|---|---:|---:|---:|---:|---:|---|"
BIOCYPHER = "0.17.0"
APOC = {"5.26.8": "org.neo4j.procedure:apoc-core:5.26.5:jar:core"}  # the nearest that is published; none is for 2026.08


# ---------------------------------------------------------------- what is measured, each in a process of its own


def step_files(graph: str, out: str, version: str) -> dict[str, Any]:
    """Write the files for neo4j-admin."""
    from kgbuild.stores import GraphFiles
    from kgbuild.stores.neo4j_admin import write_import

    write_import(GraphFiles(Path(graph)), Path(out), version=version, build={})
    return {}


def step_load(graph: str) -> dict[str, Any]:
    """Load over Bolt, and say how long nodes, edges and indexes took."""
    from kgbuild.schema import EDGE_TYPES, NODE_LABELS
    from kgbuild.stores import GraphFiles

    last = time.perf_counter()
    seconds: dict[str, float] = {"nodes": 0.0, "edges": 0.0, "indexes": 0.0}

    def tell(what: str, _done: int, _of: int) -> None:
        nonlocal last
        kind = "nodes" if what in NODE_LABELS else "edges" if what in EDGE_TYPES else "indexes"
        seconds[kind] += time.perf_counter() - last
        last = time.perf_counter()

    with _store() as store:
        loaded = store.load(GraphFiles(Path(graph)), build={}, progress=tell)
    return {"seconds": seconds, "created": sum(loaded.created.values()), "changed": sum(loaded.changed.values())}


def step_indexes(graph: str) -> dict[str, Any]:
    """Make constraints and indexes, and nothing else."""
    from kgbuild.stores import GraphFiles
    from kgbuild.stores.neo4j_schema import CONSTRAINTS

    with _store() as store:
        for statement in CONSTRAINTS:
            store.execute(statement)
        store.make_indexes(GraphFiles(Path(graph)).vector_width())
    return {}


def _store() -> Any:
    from kgbuild.stores.bolt import address_of
    from kgbuild.stores.neo4j import Neo4jStore

    return Neo4jStore.connect(address_of("neo4j"))


STEPS = {"files": step_files, "load": step_load, "indexes": step_indexes}


@dataclass
class Run:
    """What one process took, and what it had to say."""

    seconds: float
    said: dict[str, Any]

    @property
    def megabytes(self) -> int:
        """Give the most memory that it held."""
        return int(self.said["megabytes"])


def measured(command: list[str | Path], environment: dict[str, str] | None = None, cwd: Path | None = None) -> Run:
    """Run a process to its end, in a folder where it may leave its logs; its last line may be JSON.

    Raises:
        SystemExit: It failed; its own words say why.
    """
    begun = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))[:300]} failed:\n{done.stdout[-3000:]}")
    last = done.stdout.strip().splitlines()[-1:] or [""]
    return Run(seconds, json.loads(last[0]) if last[0].startswith("{") else {})


def peak_megabytes() -> int:
    """Give the most memory that this process has held; unlike rusage, without what its parent held when it was forked."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024  # type: ignore[index]


def step(name: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> Run:
    return measured([sys.executable, __file__, "--step", name, *arguments], environment)


# ---------------------------------------------------------------- the table


@dataclass
class Table:
    """Lines of the table, printed as they come; `limit` is known once the import has run."""

    rows: int
    limit: float = 0.0
    lines: list[str] = field(default_factory=list)

    def add(
        self, way: str, seconds: float, *, rows: int | None = None, megabytes: int | None = None, whole: bool = False, remark: str = ""
    ) -> None:
        """Add a line; `whole` says that the way ends with a live database, so that the limit is a measure of it."""
        rows = self.rows if rows is None else rows
        of_limit = f"{seconds / self.limit:.2f}" if whole else ""
        memory = "" if megabytes is None else f"{megabytes:,}"
        self.lines.append(f"| {way} | {rows:,} | {seconds:.1f} | {rows / seconds:,.0f} | {memory} | {of_limit} | {remark} |")
        print(self.lines[-1], file=sys.stderr, flush=True)


# ---------------------------------------------------------------- the ways


def bulk(graph: Path, folder: Path, version: str, table: Table) -> None:
    """Measure our files, the server's import, the indexes alone, and our populate after the import."""
    with server(version, folder / "bulk") as neo:
        files = step("files", graph, folder / "import", version)
        neo.stop()
        imported = measured([folder / "import" / "import.sh", "--overwrite-destination=true"], {"NEO4J_ADMIN": str(neo.admin_script())})
        neo.start()
        indexes = step("indexes", graph, environment=neo.environment)
        drop_indexes(neo)
        populated = step("load", graph, environment=neo.environment)
        assert (populated.said["created"], populated.said["changed"]) == (0, 0)
    table.limit = imported.seconds + indexes.seconds
    size = sum(path.stat().st_size for path in (folder / "import").rglob("*.csv")) / 1e9
    table.add("limit: the server's import of ready files", imported.seconds, remark=f"{size:.1f} GB of CSV")
    table.add("limit: the same and the indexes", table.limit, whole=True, remark=f"indexes {indexes.seconds:.1f} s")
    table.add("kgbuild, bulk: writing the files", files.seconds, megabytes=files.megabytes)
    table.add("kgbuild, bulk: files, import, populate", files.seconds + imported.seconds + populated.seconds, whole=True,
              megabytes=max(files.megabytes, populated.megabytes), remark=f"populate created 0, changed 0, made the indexes: {populated.seconds:.1f} s")  # fmt: skip
    shutil.rmtree(folder / "import")


def batches(graph: Path, folder: Path, version: str, table: Table, edges: int) -> None:
    """Measure the first populate over Bolt, and the one after it."""
    with server(version, folder / "batches") as neo:
        first = step("load", graph, environment=neo.environment)
        again = step("load", graph, environment=neo.environment)
        assert (first.said["created"], again.said["created"], again.said["changed"]) == (table.rows, 0, 0)
    parts = first.said["seconds"]
    speed = f"{edges / parts['edges']:,.0f} new edges/s; nodes {parts['nodes']:.0f} s, edges {parts['edges']:.0f} s, indexes {parts['indexes']:.0f} s"
    table.add("kgbuild, batches over Bolt", first.seconds, whole=True, megabytes=first.megabytes, remark=speed)
    table.add(
        "kgbuild, the same again",
        again.seconds,
        megabytes=again.megabytes,
        remark=f"{first.seconds / again.seconds:.0f} times faster than the first",
    )


def biocypher_files(python: Path, graph: Path, folder: Path, version: str, table: Table) -> None:
    """Measure BioCypher's files in both of its formats, and the import of its CSV."""
    schema = write_schema(folder)
    written = {}
    for form in ("csv", "parquet"):
        run = measured([python, HERE / "neo4j_biocypher.py", form, graph, folder / form, schema], cwd=folder)
        written[form] = run
        table.add(
            f"BioCypher {BIOCYPHER}: writing {form.upper() if form == 'csv' else 'Parquet'}", run.said["seconds"], megabytes=run.megabytes
        )
    script = Path(written["csv"].said["call"])
    with server(version, folder / "biocypher") as neo:
        neo.stop()
        script.write_text(script.read_text().replace("BIN/neo4j-admin", str(neo.admin_script())))
        imported = measured(["bash", script], cwd=folder)
        neo.start()
        found = count(neo)
    missing = "" if found == table.rows else f"{table.rows - found:,} rows are not there; "
    table.add(f"BioCypher {BIOCYPHER}: CSV and import", written["csv"].said["seconds"] + imported.seconds, whole=True,
              megabytes=written["csv"].megabytes, remark=f"{missing}import {imported.seconds:.1f} s; no indexes; newlines became spaces")  # fmt: skip
    for form in ("csv", "parquet"):
        shutil.rmtree(folder / form)


def biocypher_online(python: Path, graph: Path, folder: Path, version: str, table: Table, seconds: float) -> None:
    """Measure BioCypher's online mode on a tenth of the graph, for as long as we wait."""
    tenth = cut(graph, folder / "tenth", 10)
    with server(version, folder / "online", apoc=True) as neo:
        command = [
            python,
            HERE / "neo4j_biocypher.py",
            "online",
            tenth,
            folder / "online-out",
            write_schema(folder),
            "--limit",
            str(seconds),
        ]
        run = measured(command, neo.environment, folder)
    done, took = run.said["done"], run.said["seconds"]
    whole = "" if run.said["whole"] else f"stopped after {seconds:.0f} s each; "
    speed = ", ".join(f"{done[what] / took[what]:,.0f} {what}/s" for what in ("nodes", "edges") if took[what])
    remark = f"{whole}{done['nodes']:,} nodes and {done['edges']:,} edges of a tenth of the graph: {speed}; needs APOC"
    table.add(f"BioCypher {BIOCYPHER}: online", sum(took.values()), rows=sum(done.values()), megabytes=run.megabytes, remark=remark)


# ---------------------------------------------------------------- servers and graphs


@contextlib.contextmanager
def server(version: str, home: Path, *, apoc: bool = False) -> Iterator[Any]:
    """Run an empty server; with `apoc`, its core procedures."""
    import neo4j_server

    neo = neo4j_server.make(version, home)
    if apoc:
        copy = ["mvn", "-B", "-q", f"-Dartifact={APOC[version]}", f"-DoutputDirectory={home / 'plugins'}"]
        subprocess.run([*copy, "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"], check=True)
    try:
        neo.start()
        yield neo
    finally:
        neo.stop()
        shutil.rmtree(home, ignore_errors=True)


def drop_indexes(neo: Any) -> None:
    with neo.driver() as driver, driver.session(database=neo.database) as session:
        for row in session.run("SHOW CONSTRAINTS YIELD name").data():
            session.run(f"DROP CONSTRAINT `{row['name']}`").consume()
        for row in session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'").data():
            session.run(f"DROP INDEX `{row['name']}`").consume()


def count(neo: Any) -> int:
    """Count nodes and edges."""
    with neo.driver() as driver:
        queries = ("MATCH (n) RETURN count(n) AS n", "MATCH ()-[r]->() RETURN count(r) AS n")
        return sum(driver.execute_query(query, database_=neo.database).records[0]["n"] for query in queries)


def cut(graph: Path, out: Path, every: int) -> Path:
    """Keep every so manieth edge of each type, and the nodes that these end at."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ends: list[Any] = []
    for kind in ("edges", "nodes"):
        (out / kind).mkdir(parents=True)
    for path in sorted((graph / "edges").glob("*.parquet")):
        edges = pq.read_table(path)
        edges = edges.take(pa.array(range(0, edges.num_rows, every)))
        ends += [*edges["start_id"].chunks, *edges["end_id"].chunks]
        pq.write_table(edges, out / "edges" / path.name)
    kept = pc.unique(pa.chunked_array(ends))
    for path in sorted((graph / "nodes").glob("*.parquet")):
        nodes = pq.read_table(path)
        pq.write_table(nodes.filter(pc.is_in(nodes["id"], value_set=kept)), out / "nodes" / path.name)
    return out


def write_schema(folder: Path) -> Path:
    """Write labels, edge types and their properties, for an environment that has no kgbuild."""
    from kgbuild.schema import EDGE_TYPES, NODE_LABELS

    kinds = {"node": NODE_LABELS, "edge": EDGE_TYPES}
    schema = {kind: {name: {p.name: p.type for p in of.all_properties} for name, of in kinds[kind].items()} for kind in kinds}
    (folder / "schema.json").write_text(json.dumps(schema))
    return folder / "schema.json"


def graph_of(workspace: Path) -> Path:
    """Give the folder of the graph's files; a workspace's, or one that holds nodes/ and edges/ itself."""
    if (workspace / "nodes").is_dir():
        return workspace
    from kgbuild.workspace import Workspace

    return Workspace.open(workspace).folder("graph")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path, help="a workspace, or a folder with nodes/ and edges/")
    parser.add_argument("--version", default="5.26.8", help="of Neo4j: 5.26.8 or 2026.08.1")
    parser.add_argument("--biocypher", type=Path, help="the Python of an environment with BioCypher")
    parser.add_argument(
        "--online-seconds",
        type=float,
        default=300,
        help="how long BioCypher's online mode may take for nodes, and for edges; 0: leave it out",
    )
    parser.add_argument("--every", type=int, default=1, help="take every so manieth edge only: a quick look")
    arguments = parser.parse_args()
    sys.path.insert(0, str(TESTS))
    from kgbuild.stores import GraphFiles

    with tempfile.TemporaryDirectory(prefix="kgbuild-benchmark-") as scratch:
        folder = Path(scratch)
        graph = graph_of(arguments.workspace.resolve())
        graph = cut(graph, folder / "cut", arguments.every) if arguments.every > 1 else graph
        counts = GraphFiles(graph).counts()
        nodes, edges = sum(counts.nodes.values()), sum(counts.edges.values())
        table = Table(nodes + edges)
        bulk(graph, folder, arguments.version, table)
        batches(graph, folder, arguments.version, table, edges)
        if arguments.biocypher:
            biocypher_files(arguments.biocypher.absolute(), graph, folder, arguments.version, table)
            if arguments.online_seconds and arguments.version in APOC:
                biocypher_online(arguments.biocypher.absolute(), graph, folder, arguments.version, table, arguments.online_seconds)
        else:
            table.lines.append("| BioCypher | not installed | | | | | see docs/benchmarks/neo4j_biocypher.py |")
    print(f"Neo4j {arguments.version}; {nodes:,} nodes, {edges:,} edges; {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}\n")  # fmt: skip
    print("\n".join([HEADER, *table.lines]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(STEPS[sys.argv[2]](*sys.argv[3:]) | {"megabytes": peak_megabytes()}))
    else:
        main()
