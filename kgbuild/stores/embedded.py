"""Graph files in, an embedded graph out, and answers to Cypher: ArcadeDB in this process, with the Java it brings along.

The only module that imports the engine. A store's folder holds the database (`kgbuild/`) and the engine's log (`log/`).
A load that is killed leaves nodes without edges, so the caller gives a fresh folder, and renames it when `load` came back.
One process writes; several read together, but not beside a writer.
"""

from __future__ import annotations

import json
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kgbuild.errors import QueryError, StoreError
from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property
from kgbuild.stores import (
    NAME_INDEX,
    VECTOR_INDEX,
    VECTOR_LABEL,
    Counts,
    GraphFiles,
    Loaded,
    Progress,
    build_properties,
    check_names,
    read_counts,
)

__all__ = ["DATABASE", "VERSION", "EmbeddedStore", "engine", "heap_for", "keep_log"]

VERSION = 1  # of what a database is made like: raise it, and workspaces load theirs again
DATABASE = "kgbuild"
_BLOCK = 50_000  # rows that are Python objects at a time
_WIDE_BLOCK = 10_000  # the same, where rows carry vectors
_LOGGING = "handlers = java.util.logging.ConsoleHandler\njava.util.logging.ConsoleHandler.level = OFF\n.level = WARNING\n"
_SQL_TYPES = {
    "string": "STRING",
    "int": "LONG",
    "float": "DOUBLE",
    "bool": "BOOLEAN",
    "list<string>": "LIST",
    "list<float>": "ARRAY_OF_FLOATS",
}


_HEAP = "2g"  # enough for queries, and to load a million edges
# Java puts its guard pages at its own default, 1 MB, into the stack of a thread that Python started; a factorisation by OpenBLAS
# takes more there, and the process would end without a word
_STACK = "-Xss8m"


class EmbeddedStore:
    """An ArcadeDB database in a folder; `create` a fresh one to load, `open` a whole one to ask."""

    def __init__(self, database: Any, folder: Path, log: Any = None) -> None:
        self._database = database
        self._log = log
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, *, heap: str = _HEAP) -> Self:
        """Make an empty database in a folder that is empty or not there yet.

        Args:
            heap: Java's, if it has not started in this process; `heap_for` says what a graph needs to load.

        Raises:
            StoreError: The folder holds something, or the engine does not start.
        """
        if folder.exists() and any(folder.iterdir()):
            raise StoreError(
                f"{folder} is not empty, and a graph is loaded into a fresh folder", advice="Give another folder, or remove this one."
            )
        folder.mkdir(parents=True, exist_ok=True)
        arcadedb = engine(folder, heap)
        log = keep_log(folder)
        try:
            return cls(arcadedb.create_database(str((folder / DATABASE).absolute())), folder, log)
        except arcadedb.ArcadeDBError as error:
            log.close()
            raise StoreError(f"no database can be made in {folder}: {_first_line(error)}") from error

    @classmethod
    def open(cls, folder: Path, read_only: bool = True) -> Self:
        """Open a database that was loaded before; many processes may do so at once, as long as all of them only read.

        Raises:
            StoreError: There is none, another process writes to it, or the engine does not start.
        """
        if not (folder / DATABASE / "schema.json").exists():
            raise StoreError(f"{folder} holds no graph database", advice="Run `kgbuild populate` to build the graph.")
        engine(folder)
        try:
            return cls(_open(folder, read_only), folder)
        except Exception as error:
            raise StoreError(
                f"{folder} cannot be opened: {_first_line(error)}",
                advice="Is it open in this process already, or does another one write to it or serve it?",
            ) from error

    def load(self, graph: GraphFiles, *, build: Mapping[str, Any], progress: Progress | None = None) -> Loaded:
        """Load a graph's files and the `Build` node; give what the database then holds.

        Raises:
            StoreError: A file is not as the schema says, an edge ends nowhere, or the counts read back differ.
        """
        expected = graph.counts()
        check_names(graph)
        tell = progress or (lambda *_: None)
        for statement in _type_statements():
            self._command(statement)
        _load_files(self._database, graph, expected, tell)
        for number, statement in enumerate(statements := _index_statements(graph.vector_width())):
            tell("index", number, len(statements))
            self._command(statement)
        tell("index", len(statements), len(statements))
        found = self.counts()
        if wrong := found.differences(expected):
            raise StoreError(
                f"the database does not hold what the files hold: {'; '.join(wrong)}", advice="Load again into a fresh folder."
            )
        with self._database.transaction():
            node = self._database.new_vertex("Build")
            for name, value in build_properties(build, found).items():
                node.set(name, value)
            node.save()
        return Loaded(found, created={**found.nodes, **found.edges})

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Answer a query that only reads.

        Raises:
            QueryError: The engine does not understand it, a parameter is missing, or it would write.
        """
        try:
            rows = self._database.query("opencypher", cypher, dict(parameters or {})).to_list()
        except Exception as error:
            raise QueryError(f"the query was refused: {_first_line(error)}", advice=_advice(error)) from error
        return [{name: _plain(value) for name, value in row.items()} for row in rows]

    def counts(self) -> Counts:
        """Count nodes by label and edges by type, as the database holds them now."""
        return read_counts(self)

    def close(self) -> None:
        """Close the database and its log; once is enough, twice does no harm."""
        if self._database.is_open():
            self._database.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _command(self, sql: str) -> None:
        try:
            self._database.command("sql", sql)
        except Exception as error:
            raise StoreError(f"the engine refused `{sql}`: {_first_line(error)}") from error


def heap_for(graph: GraphFiles) -> str:
    """Give the heap that loading takes: 3.4 million edges did not fit into 2 GB, and fewer need not have more."""
    return "4g" if sum(graph.counts().edges.values()) > 1_500_000 else _HEAP


def engine(log_folder: Path, heap: str = _HEAP) -> Any:
    """Start the Java machine, once per process and without a word on the user's screen; give the engine's package.

    Its heap (`heap`, or `KGBUILD_JAVA_HEAP`) is fixed from then on. Where it crashes, it writes to `log_folder`/log.

    Raises:
        StoreError: The package is missing or does not fit this machine, or the heap is not a size.
    """
    heap = os.environ.get("KGBUILD_JAVA_HEAP", heap)
    if not re.fullmatch(r"[1-9][0-9]*[mMgG]", heap):
        raise StoreError(f"KGBUILD_JAVA_HEAP is {heap!r}", advice="Expected a size such as 2g or 1500m.")
    try:
        import arcadedb_embedded
        import jpype

        if not jpype.isJVMStarted():
            os.environ.setdefault("ARCADEDB_JVM_ERROR_FILE", str((log_folder / "log").absolute() / "java-crash-%p.log"))
            _start_java(heap)
    except Exception as error:
        libc = " ".join(platform.libc_ver()) or platform.platform()
        raise StoreError(f"the embedded graph engine does not start here ({libc}): {_first_line(error)}",
                         advice="It needs 64-bit Linux with glibc 2.34 or later, macOS or Windows; `pip install --force-reinstall arcadedb-embedded` mends a damaged one.") from error  # fmt: skip
    return arcadedb_embedded


def keep_log(folder: Path) -> Any:
    """Send the engine's warnings to `folder`/log/engine.log until the handler that comes back is closed."""
    import jpype

    (folder / "log").mkdir(exist_ok=True)
    handler = jpype.JClass("java.util.logging.FileHandler")(str((folder / "log" / "engine.log").absolute()), True)
    handler.setFormatter(jpype.JClass("java.util.logging.SimpleFormatter")())
    jpype.JClass("java.util.logging.Logger").getLogger("").addHandler(handler)
    return handler


def _start_java(heap: str) -> None:
    from arcadedb_embedded.jvm import start_jvm

    with tempfile.TemporaryDirectory(prefix="kgbuild-java-") as folder:
        # without a configuration of ours the engine logs to the screen and to ./log; without a handler, to the screen too
        logging = Path(folder) / "logging.properties"
        logging.write_text(_LOGGING, encoding="utf-8")
        with _quiet_stderr(Path(folder) / "stderr"):
            start_jvm(heap_size=heap, jvm_args=[_STACK, f"-Djava.util.logging.config.file={logging}"])
            import jpype

            # read the configuration now, while it is there; otherwise the engine does so at its first message
            manager = jpype.JClass("com.arcadedb.log.LogManager").instance()
            manager.getLogger().init()


@contextmanager
def _quiet_stderr(path: Path) -> Iterator[None]:
    """Keep what native code writes to file descriptor 2 off the screen (the warning about an incubator module)."""
    saved = os.dup(2)
    with path.open("wb") as target:
        os.dup2(target.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _open(folder: Path, read_only: bool) -> Any:
    """Open a database; one whose last writer was killed is mended first, which its lock forbids while a writer lives."""
    import jpype
    from arcadedb_embedded import Database

    mode = jpype.JClass("com.arcadedb.engine.ComponentFile$MODE")
    factory = jpype.JClass("com.arcadedb.database.DatabaseFactory")
    path = str((folder / DATABASE).absolute())
    if not read_only:
        return Database(factory(path).open(mode.READ_WRITE))
    try:
        return Database(factory(path).open(mode.READ_ONLY))
    except jpype.JException as error:
        if "needs recovery" not in str(error):
            raise
    factory(path).open(mode.READ_WRITE).close()
    return Database(factory(path).open(mode.READ_ONLY))


def _type_statements() -> list[str]:
    """Say in SQL what kgbuild.schema says: `Entity`, the labels below it, edge types, and the properties that need a type."""
    types = ["CREATE VERTEX TYPE Entity", "CREATE PROPERTY Entity.id STRING", "CREATE PROPERTY Entity.search_text STRING"]
    for label in NODE_LABELS.values():
        types.append(f"CREATE VERTEX TYPE {label.label} EXTENDS Entity")
        types += [f"CREATE PROPERTY {label.label}.`{p.name}` {_SQL_TYPES[p.type]}" for p in label.properties]
    return [*types, "CREATE VERTEX TYPE Build", *(f"CREATE EDGE TYPE {type_}" for type_ in EDGE_TYPES)]


def _index_statements(vector_width: int) -> list[str]:
    statements = ["CREATE INDEX ON Entity (id) UNIQUE", f"CREATE INDEX {NAME_INDEX} ON Entity (search_text) FULL_TEXT"]
    if vector_width:
        # half the engine's default degree: a third of the time to build, and 98.6 % of the true ten nearest found (5,000 x 768) instead of all
        metadata = json.dumps({"dimensions": vector_width, "similarity": "COSINE", "maxConnections": 16, "beamWidth": 64})
        statements.append(f"CREATE INDEX {VECTOR_INDEX} ON {VECTOR_LABEL} (embedding) LSM_VECTOR METADATA {metadata}")
    return statements


def _load_files(database: Any, graph: GraphFiles, expected: Counts, tell: Progress) -> None:
    record_ids: dict[str, str] = {}
    with database.graph_batch(batch_size=200_000) as batch:
        for label, path in graph.node_files().items():
            done = 0
            for rows in _rows(path, NODE_LABELS[label].all_properties):
                _add_nodes(batch, label, path, rows, record_ids)
                done += len(rows)
                tell(label, done, expected.nodes[label])
        for type_, path in graph.edge_files().items():
            done = 0
            for rows in _rows(
                path, (Property("start_id", "string", ""), Property("end_id", "string", ""), *EDGE_TYPES[type_].all_properties)
            ):
                _add_edges(batch, type_, path, rows, record_ids)
                done += len(rows)
                tell(type_, done, expected.edges[type_])


def _add_nodes(batch: Any, label: str, path: Path, rows: list[dict[str, Any]], record_ids: dict[str, str]) -> None:
    before = len(record_ids)
    record_ids.update(zip((row["id"] for row in rows), batch.create_vertices(label, rows), strict=True))
    if len(record_ids) != before + len(rows):
        raise StoreError(f"{path} repeats an id, or another label has it", advice="Ids are unique over all labels.")


def _add_edges(batch: Any, type_: str, path: Path, rows: list[dict[str, Any]], record_ids: dict[str, str]) -> None:
    try:
        starts = [record_ids[row.pop("start_id")] for row in rows]
        ends = [record_ids[row.pop("end_id")] for row in rows]
    except KeyError as error:
        raise StoreError(
            f"{path}: an edge ends at {error.args[0]!r}, which is no node", advice="Every end of an edge is a row of nodes/."
        ) from error
    batch.new_edges(starts, type_, ends, rows)


def _rows(path: Path, properties: Iterable[Property]) -> Iterator[list[dict[str, Any]]]:
    """Read a file block by block as dicts without what is null; vectors become Java arrays."""
    import pyarrow.parquet as pq

    known = {p.name: p for p in properties}
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    vectors = {name for name in names if known[name].type == "list<float>"}
    for block in file.iter_batches(batch_size=_WIDE_BLOCK if vectors else _BLOCK):
        columns = [_java_vectors(block.column(name)) if name in vectors else block.column(name).to_pylist() for name in names]
        yield [
            {name: value for name, value in zip(names, values, strict=True) if value is not None} for values in zip(*columns, strict=True)
        ]


def _java_vectors(column: Any) -> list[Any]:
    import jpype
    import numpy as np

    floats = jpype.JArray(jpype.JFloat)
    return [floats(np.asarray(cell.values, dtype=np.float32)) if cell.is_valid else None for cell in column]


def _plain(value: Any) -> Any:
    """Turn what the engine gives (records, sets, dates) into scalars, lists and maps."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(each) for each in value]
    if hasattr(value, "toAlternatingList"):  # a path
        return [_plain(each) for each in value.toAlternatingList()]
    if hasattr(value, "propertiesAsMap"):  # a node or an edge
        from arcadedb_embedded import convert_java_to_python

        return _plain(convert_java_to_python(value.propertiesAsMap()))
    return str(value)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (
        re.sub(r"^(Query|Command) failed: ?|\b(com|java)(\.\w+)+(Exception|Error): ?", "", text[0]).strip()
        if text
        else type(error).__name__
    )


def _advice(error: BaseException) -> str:
    text = str(error)
    if "not idempotent" in text:
        return "Queries only read; `kgbuild populate` makes the graph."
    if "heap budget" in text or "OutOfMemory" in text:
        return "Ask for less at once (a narrower trait, `--children false`), or give Java more, e.g. KGBUILD_JAVA_HEAP=4g."
    return ""
