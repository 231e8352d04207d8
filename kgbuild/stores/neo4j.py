"""A graph's files in, the same graph in a Neo4j server out: in batches over Bolt, again and again without harm.

A label or edge type whose file is as it was at the last load is skipped. Of another one the ids and content hashes are read
back; what is new is created, what differs is changed, what is equal is not sent. So a load that was killed goes on where it
was, and a second one does nothing. What the files no longer hold stays, and is listed, until it is asked to be removed.

One transaction writes edges at a time, while the next one's rows are prepared here. Two would lock each other out: an edge lies
in the chains of both its ends, so that batches which share no node still meet at edges between them (seen: 17 deadlocks in
3.7 million edges, with nodes dealt into disjoint sets). Nodes have no such ties, and are written by two.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild.errors import StoreError
from kgbuild.schema import EDGE_TYPES, NODE_LABELS
from kgbuild.stores import VECTOR_LABEL, Counts, GraphFiles, Loaded, Progress, check_ends, check_names
from kgbuild.stores.bolt import BoltStore
from kgbuild.stores.neo4j_schema import CONSTRAINTS, CONTENT_HASH, build_node, content_hashes, id_hashes, indexes
from kgbuild.workspace import file_hash

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["Neo4jStore", "Vanished"]

Vanished = Mapping[str, list[str]]  # label or edge type -> ids

_NODE_WRITERS, _EDGE_WRITERS = 2, 1  # transactions at a time
_BLOCK = 100_000  # rows that are read at a time
_WIDE_BLOCK = 10_000  # the same, where rows carry vectors
_CELLS = 150_000  # values a transaction starts with; halved when the server says it is too much
_AT_ONCE = 20_000  # ids a query is given at a time
_SECONDS_OF_RETRIES = 60
_MEMORY_CODES = ("MemoryPoolOutOfMemoryError", "TransactionOutOfMemoryError", "OutOfMemoryError")
_ENDS = ("start_id", "end_id")


class Neo4jStore(BoltStore):
    """A Neo4j database, of version 5.26 or later, that this user may write to."""

    def load(
        self,
        graph: GraphFiles,
        *,
        build: Mapping[str, Any],
        progress: Progress | None = None,
        prune: bool = False,
        tell_vanished: Callable[[Vanished], None] | None = None,
    ) -> Loaded:
        """Make the database hold what the files hold, and say what that took.

        Args:
            prune: Remove what earlier loads wrote and the files no longer hold.
            tell_vanished: Is told the ids of these, before any of them is removed.

        Raises:
            StoreError: The files are not as the schema says, the database holds what somebody else wrote, the server went
                away, or the counts read back differ.
        """
        check_names(graph)
        with _server_errors(self):
            return _Load(self, graph, build, progress or (lambda *_: None), prune).run(tell_vanished or (lambda _: None))

    def counts(self) -> Counts:
        """Count nodes by label and edges by type, from the server's own count store: at once, whatever the size."""
        nodes = self._counted("MATCH (n:{name}) RETURN '{name}' AS name, count(n) AS n", NODE_LABELS)
        edges = self._counted("MATCH ()-[r:{name}]->() RETURN '{name}' AS name, count(r) AS n", EDGE_TYPES)
        return Counts(nodes, edges)

    def _counted(self, query: str, names: Mapping[str, Any]) -> dict[str, int]:
        rows = self.query("\nUNION ALL ".join(query.format(name=name) for name in names))
        return {row["name"]: row["n"] for row in rows if row["n"]}

    def strangers(self) -> dict[str, int]:
        """Count nodes that kgbuild did not write, by their labels; all of them where the database has no `Build` of ours."""
        ours = "" if self.build_state() is None else "WHERE NOT n:Entity AND NOT n:Build "
        if ours and self._count("n") == self._count("n:Entity") + self._count("n:Build"):
            return {}
        rows = self.query(f"MATCH (n) {ours}RETURN labels(n) AS labels, count(*) AS n ORDER BY n DESC LIMIT 20")
        return {":".join(row["labels"]) or "(no label)": row["n"] for row in rows}

    def build_state(self) -> dict[str, Any] | None:
        """Give what the `Build` node says of the last load: state, digests, vanished; None where kgbuild has not loaded here."""
        rows = self.query("MATCH (b:Build {id: 'build'}) RETURN b.state AS state, b.digests AS digests, b.vanished AS vanished")
        if not rows or rows[0]["state"] is None:
            return None
        return {"state": rows[0]["state"], **{name: json.loads(rows[0][name] or "{}") for name in ("digests", "vanished")}}

    def make_indexes(self, vector_width: int, progress: Progress | None = None) -> None:
        """Make the indexes that are missing, and wait until all of them answer."""
        statements = [*indexes(vector_width), "CALL db.awaitIndexes(3600)"]
        for number, statement in enumerate(statements):
            if progress:
                progress("index", number, len(statements))
            self.execute(statement)
        if progress:
            progress("index", len(statements), len(statements))

    def execute(self, statement: str, **parameters: Any) -> Any:
        """Run one statement in a transaction of its own, and give the summary's counters."""
        return self._driver.execute_query(statement, parameters, database_=self.where.database).summary.counters

    def session(self) -> Any:
        """Open a session that reads what the sessions before it wrote, in a cluster too."""
        return self._driver.session(
            database=self.where.database, bookmark_manager=self._driver.execute_query_bookmark_manager, fetch_size=10_000
        )

    def _count(self, pattern: str) -> int:
        return int(self.query(f"MATCH ({pattern}) RETURN count(n) AS n")[0]["n"])


class _server_errors:  # noqa: N801 - a context manager, used like a function
    """Turn what the driver raises while a store is written to into errors that say what to do."""

    def __init__(self, store: Neo4jStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from neo4j.exceptions import ClientError, DriverError, Neo4jError

        if isinstance(error, ClientError):
            raise StoreError(f"{self._store.where} refused: {error.message}", advice="May this user write, and make indexes?") from error
        if isinstance(error, DriverError | Neo4jError):
            raise StoreError(
                f"{self._store.where} went away while it was loaded: {error}",
                advice="Nothing is lost. See that it runs, and give the same command again: it goes on from there.",
            ) from error


@dataclass(frozen=True)
class _Part:
    """A label or an edge type: its file, if there is one, and the Cypher that reads and writes it (names are the schema's)."""

    name: str
    path: Path | None
    rows: int
    columns: tuple[str, ...]  # in the file's order; content_hash is written after them
    digest: str  # sha256 of the file; "" where there is none
    is_edge: bool

    @property
    def pattern(self) -> str:
        return f"()-[n:{self.name}]->()" if self.is_edge else f"(n:{self.name})"

    @property
    def properties(self) -> tuple[str, ...]:
        return tuple(c for c in self.columns if c not in _ENDS)

    def _map(self, first: int) -> str:
        """Write the map of all properties; `row` holds their values from place `first` on."""
        names = [*self.properties, CONTENT_HASH]
        return "{" + ", ".join(f"`{name}`: row[{place}]" for place, name in enumerate(names, first)) + "}"

    def create(self, by_end: bool) -> str:
        """Give the query that creates rows; edges come grouped by the end that repeats more."""
        if not self.is_edge:
            return f"UNWIND $rows AS row CREATE (n:Entity:{self.name} {self._map(0)})"
        here, there = ("b", "a") if by_end else ("a", "b")
        return (
            f"UNWIND $rows AS g MATCH ({here}:Entity {{id: g[0]}}) UNWIND g[1] AS row MATCH ({there}:Entity {{id: row[0]}}) "
            f"CREATE (a)-[:{self.name} {self._map(1)}]->(b)"
        )

    def merge(self) -> str:
        """Give the query that writes nodes into a database that may know their ids under another label."""
        others = ":".join(label for label in NODE_LABELS if label != self.name)
        return f"UNWIND $rows AS row MERGE (n:Entity {{id: row[0]}}) REMOVE n:{others} SET n:{self.name} SET n += {self._map(0)}"

    def change(self) -> str:
        """Give the query that changes what differs; what somebody else wrote beside it stays."""
        if not self.is_edge:
            return f"UNWIND $rows AS row MATCH (n:Entity {{id: row[0]}}) SET n += {self._map(0)}"
        return (
            f"UNWIND $rows AS row MATCH (:Entity {{id: row[0]}})-[n:{self.name} {{id: row[2]}}]->(:Entity {{id: row[1]}}) "
            f"SET n += {self._map(2)} RETURN row[2] AS id"
        )

    def forget(self) -> str:
        """Give the query that deletes our edges by their ids, wherever they end."""
        return f"MATCH ()-[n:{self.name}]->() WHERE n.id IN $ids AND n.{CONTENT_HASH} IS NOT NULL DELETE n"


_NEW, _SAME, _CHANGED = 0, 1, 2  # what becomes of a row


@dataclass
class _Load:
    """One load: goes through the parts, nodes first, and keeps count."""

    store: Neo4jStore
    graph: GraphFiles
    build: Mapping[str, Any]
    tell: Progress
    prune: bool
    created: dict[str, int] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)
    vanished: dict[str, list[str]] = field(default_factory=dict)
    still_vanished: dict[str, int] = field(default_factory=dict)  # of parts that were skipped

    def run(self, tell_vanished: Callable[[Vanished], None]) -> Loaded:
        known = self._begin()
        here = self.store.counts()
        stale = [part for part in self._parts() if not self._is_there(part, known, here)]
        if stale:
            check_ends(self.graph)
            self._note(known)
        alone = not any(here.nodes.values())
        for part in stale:
            self._bring(part, fresh=not here.of(part.name), alone=alone)
            known["digests"][part.name] = part.digest
            self._note(known)
        self._forget_moved()
        tell_vanished({name: ids for name, ids in self.vanished.items() if ids})
        if self.prune:
            self._remove()
        self.store.make_indexes(self.graph.vector_width(), self.tell)
        return self._end(known)

    def _is_there(self, part: _Part, known: Mapping[str, Mapping[str, Any]], here: Counts) -> bool:
        """See whether an earlier load brought all of the file, and nothing is left to remove."""
        left = known["vanished"].get(part.name, 0)
        if known["digests"].get(part.name, "") != part.digest or here.of(part.name) != part.rows + left or (self.prune and left):
            return False
        if left:
            self.still_vanished[part.name] = left
        if part.rows:
            self.tell(part.name, part.rows, part.rows)
        return True

    def _parts(self) -> Iterator[_Part]:
        import pyarrow.parquet as pq

        for files, names, is_edge in ((self.graph.node_files(), NODE_LABELS, False), (self.graph.edge_files(), EDGE_TYPES, True)):
            for name in names:
                path = files.get(name)
                if path is None:
                    yield _Part(name, None, 0, (), "", is_edge)
                else:
                    rows, columns = pq.read_metadata(path).num_rows, tuple(pq.read_schema(path).names)
                    yield _Part(name, path, rows, columns, file_hash(path), is_edge)

    def _begin(self) -> dict[str, dict[str, Any]]:
        """See whose database it is, make the constraints, and give what earlier loads wrote down."""
        state = self.store.build_state()
        if state is None and (strangers := self.store.strangers()):
            shown = ", ".join(f"{n:,} {labels}" for labels, n in strangers.items())
            raise StoreError(
                f"{self.store.where} holds nodes that kgbuild did not write ({shown}); it was left alone",
                advice="Name another database in NEO4J_DATABASE, or give an empty server.",
            )
        if state is None:
            for label in NODE_LABELS:  # Browser colours a node by the label that the database learned first, which must not be Entity
                self.store.execute("CALL db.createLabel($label)", label=label)
        for statement in CONSTRAINTS:
            self.store.execute(statement)
        return {name: dict(state[name]) if state else {} for name in ("digests", "vanished")}

    def _note(self, known: Mapping[str, Mapping[str, Any]]) -> None:
        """Write down how far this load came, for the next one should this be killed."""
        texts = {name: json.dumps(dict(known[name]), sort_keys=True) for name in ("digests", "vanished")}
        self.store.execute("MERGE (b:Build {id: 'build'}) SET b.state = 'loading', b.digests = $digests, b.vanished = $vanished", **texts)

    def _bring(self, part: _Part, *, fresh: bool, alone: bool) -> None:
        """Make one label or edge type what its file says."""
        import numpy as np

        if fresh:
            becomes = np.full(part.rows, _NEW, dtype=np.int8)
        else:
            becomes, self.vanished[part.name] = self._compare(part)
        width = self.graph.vector_width() if part.name == VECTOR_LABEL else 0
        creating = part.merge() if not part.is_edge and not alone else None
        self.created[part.name], self.changed[part.name] = _Writing(self.store, part, self.tell, creating, width).write(becomes)

    def _compare(self, part: _Part) -> tuple[np.ndarray, list[str]]:
        """Read ids and hashes back; say of each row of the file what becomes of it, and which ids the file has no more."""
        import numpy as np
        import pyarrow as pa

        index = _Index.of(part)
        vanished: list[str] = []
        read = 0
        with self.store.session() as session:
            answer = session.run(f"MATCH {part.pattern} RETURN n.id AS id, n.{CONTENT_HASH} AS hash")
            for records in _chunks(answer, 50_000):
                ids = [record[0] for record in records]
                hashes = np.array([record[1] or 0 for record in records], dtype=np.int64)
                found = index.meet(pa.array(ids, pa.string()), hashes)
                vanished += [ids[place] for place in np.flatnonzero(~found)]
                read += len(records)
                self.tell(f"{part.name}: compared", read, max(part.rows, read))
        return index.becomes, vanished

    def _forget_moved(self) -> None:
        """Take ids that came back under another label off the list of what vanished."""
        for name, ids in self.vanished.items():
            if name in NODE_LABELS and ids:
                query = f"UNWIND $ids AS id MATCH (n:{name} {{id: id}}) RETURN n.id AS id"
                self.vanished[name] = [row["id"] for part in _slices(ids) for row in self.store.query(query, {"ids": part})]

    def _remove(self) -> None:
        for is_edge in (True, False):
            for name, ids in self.vanished.items():
                if (name in EDGE_TYPES) is is_edge and ids:
                    self.removed[name] = self._remove_rows(name, ids, is_edge)
                    self.vanished[name] = []

    def _remove_rows(self, name: str, ids: list[str], is_edge: bool) -> int:
        query = (
            _Part(name, None, 0, (), "", is_edge).forget()
            if is_edge
            else f"UNWIND $ids AS id MATCH (n:{name} {{id: id}}) WHERE n.{CONTENT_HASH} IS NOT NULL DETACH DELETE n"
        )
        removed = 0
        for part in _slices(ids):
            counters = self.store.execute(query, ids=part)
            removed += counters.relationships_deleted if is_edge else counters.nodes_deleted
            self.tell(f"{name}: removed", removed, len(ids))
        return removed

    def _end(self, known: Mapping[str, Mapping[str, Any]]) -> Loaded:
        """Count what is there; only a database that holds what the files hold is called complete."""
        vanished = self.still_vanished | {name: len(ids) for name, ids in self.vanished.items() if ids}
        files = self.graph.counts()
        expected = Counts(
            {name: files.nodes.get(name, 0) + vanished.get(name, 0) for name in NODE_LABELS},
            {name: files.edges.get(name, 0) + vanished.get(name, 0) for name in EDGE_TYPES},
        )
        found = self.store.counts()
        if wrong := found.differences(expected):
            raise StoreError(
                f"{self.store.where} does not hold what the files hold: {'; '.join(wrong)}",
                advice="Does somebody else write to it? Give the same command again; an emptied database starts afresh.",
            )
        node = build_node(self.build, found, state="complete", digests=known["digests"], vanished=vanished)
        self.store.execute("MATCH (b:Build {id: 'build'}) SET b = $node", node=node)
        return Loaded(found, _positive(self.created), _positive(self.changed), _positive(self.removed), vanished)


@dataclass
class _Index:
    """The ids of a file as sorted 128-bit hashes with the rows' content hashes: 29 bytes a row."""

    first: np.ndarray  # uint64, sorted
    second: np.ndarray
    content: np.ndarray  # int64
    row: np.ndarray  # place in the file
    becomes: np.ndarray  # int8, by place in the file

    @classmethod
    def of(cls, part: _Part) -> _Index:
        import numpy as np

        hashes = [(*id_hashes(block.column("id")), content_hashes(block)) for block in _blocks(part)]
        columns = [np.concatenate(column) for column in zip(*hashes, strict=True)] if hashes else [np.empty(0, np.uint64)] * 3
        order = np.argsort(columns[0], kind="stable")
        first, second, content = (column[order] for column in columns)
        return cls(first, second, content, order, np.full(part.rows, _NEW, dtype=np.int8))

    def meet(self, ids: pa.Array, content: np.ndarray) -> np.ndarray:
        """Mark rows that the database holds, and say which of its ids the file has."""
        import numpy as np

        first, second = id_hashes(ids)
        found = np.zeros(len(first), dtype=bool)
        if not len(self.first):
            return found
        place = np.searchsorted(self.first, first)
        for _ in range(3):  # ids that share their first hash lie beside one another; three in a row do not happen
            inside = np.minimum(place, len(self.first) - 1)
            hit = ~found & (self.first[inside] == first) & (self.second[inside] == second)
            self.becomes[self.row[inside[hit]]] = np.where(self.content[inside[hit]] == content[hit], _SAME, _CHANGED)
            found |= hit
            place = place + 1
        return found


@dataclass
class _Writing:
    """Writes the rows of one part that are new or changed, several transactions at once."""

    store: Neo4jStore
    part: _Part
    tell: Progress
    creating: str | None  # instead of the part's own query
    vector_width: int
    cells: int = _CELLS  # values in a transaction
    done: int = 0

    def write(self, becomes: np.ndarray) -> tuple[int, int]:
        """Give how many rows were created and changed."""
        created, changed = (int((becomes == what).sum()) for what in (_NEW, _CHANGED))
        self.done = len(becomes) - created - changed
        writers = _EDGE_WRITERS if self.part.is_edge else _NODE_WRITERS
        waiting: deque[Future[None]] = deque()
        with ThreadPoolExecutor(writers) as pool:
            for query, rows in self._batches(becomes) if created or changed else ():
                if len(waiting) == writers:
                    waiting.popleft().result()
                waiting.append(pool.submit(self._send, query, rows))
            for future in waiting:
                future.result()
        self.tell(self.part.name, len(becomes), self.part.rows)
        return created, changed

    def _batches(self, becomes: np.ndarray) -> Iterator[tuple[str, list[Any]]]:
        """Prepare what a transaction is given: a query, and rows of plain values."""
        import numpy as np

        start = 0
        for block in _blocks(self.part):
            state = becomes[start : start + len(block)]
            start += len(block)
            if (state == _SAME).all():
                continue
            hashes = content_hashes(block)
            for wanted, prepare in ((_NEW, self._new), (_CHANGED, self._changed)):
                places = np.flatnonzero(state == wanted)
                if len(places):
                    yield from prepare(block.take(places), hashes[places])

    def _new(self, block: pa.RecordBatch, hashes: np.ndarray) -> Iterator[tuple[str, list[Any]]]:
        import pyarrow.compute as pc

        if not self.part.is_edge:
            yield from self._cut(self.creating or self.part.create(by_end=False), block, self.part.columns, hashes)
            return
        starts, ends = (pc.count_distinct(block.column(name)).as_py() for name in _ENDS)
        here, there = ("end_id", "start_id") if ends < starts else _ENDS
        order = pc.sort_indices(block.column(here))
        columns = (here, there, *self.part.properties)
        yield from self._cut(self.part.create(by_end=ends < starts), block.take(order), columns, hashes[order], group=True)

    def _changed(self, block: pa.RecordBatch, hashes: np.ndarray) -> Iterator[tuple[str, list[Any]]]:
        columns = (*_ENDS, *self.part.properties) if self.part.is_edge else self.part.properties
        yield from self._cut(self.part.change(), block, columns, hashes)

    def _cut(
        self, query: str, block: pa.RecordBatch, columns: tuple[str, ...], hashes: np.ndarray, *, group: bool = False
    ) -> Iterator[tuple[str, list[Any]]]:
        start = 0
        while start < len(block):
            size = max(1, self.cells // (len(columns) + self.vector_width))
            rows = _rows(block.slice(start, size), columns, hashes[start : start + size])
            yield query, [[key, [row[1:] for row in those]] for key, those in groupby(rows, itemgetter(0))] if group else rows
            start += size

    def _send(self, query: str, rows: list[Any]) -> None:
        """Send rows in one transaction; what is too much for the server is halved, and so are the batches after it."""
        try:
            self._commit(query, rows)
        except _TooLarge as error:
            halves = _halves(rows)
            if not halves:
                raise StoreError(
                    f"{self.part.name}: what belongs to {rows[0][0]!r} is more than a transaction of {self.store.where} may hold",
                    advice="Raise db.memory.transaction.max, or the server's heap.",
                ) from error
            self.cells = max(1, _length(rows) // 2) * (len(self.part.columns) + self.vector_width)
            for half in halves:
                self._send(query, half)
            return
        self.done += _length(rows)
        self.tell(self.part.name, self.done, self.part.rows)

    def _commit(self, query: str, rows: list[Any]) -> None:
        """Run a query in a transaction, again when what went wrong passes.

        The driver's own retries would send the same again after a commit that found too little memory.
        """
        from neo4j.exceptions import DriverError, Neo4jError

        until = time.monotonic() + _SECONDS_OF_RETRIES
        for attempt in count():
            try:
                with self.store.session() as session, session.begin_transaction() as transaction:
                    self._run(transaction, query, rows)
                    transaction.commit()
                return
            except (DriverError, Neo4jError) as error:
                if isinstance(error, Neo4jError) and (error.code or "").endswith(_MEMORY_CODES):
                    raise _TooLarge(error.message) from error
                if not error.is_retryable() or time.monotonic() > until:
                    raise
                time.sleep(min(0.1 * 2**attempt, 5))

    def _run(self, transaction: Any, query: str, rows: list[Any]) -> None:
        """Run a query; an edge that was to be changed and is not where it should be has other ends now: it is made anew."""
        found = {record["id"] for record in transaction.run(query, rows=rows)}
        if not self.part.is_edge or isinstance(rows[0], list) or len(found) == len(rows):
            return
        moved = [row for row in rows if row[2] not in found]
        transaction.run(self.part.forget(), ids=[row[2] for row in moved]).consume()
        transaction.run(self.part.create(by_end=False), rows=[[row[0], [row[1:]]] for row in moved]).consume()


class _TooLarge(Exception):
    """The server has not the memory for a transaction of this size."""


def _length(rows: list[Any]) -> int:
    """Count rows, those of groups too: a row is a tuple, a group a list of one end and its rows."""
    return sum(len(row[1]) if isinstance(row, list) else 1 for row in rows)


def _halves(rows: list[Any]) -> list[list[Any]]:
    """Halve rows or groups, and a single group within; nothing where there is one row."""
    if len(rows) > 1:
        return [rows[: len(rows) // 2], rows[len(rows) // 2 :]]
    if isinstance(rows[0], list):
        return [[[rows[0][0], half]] for half in _halves(rows[0][1])]
    return []


def _blocks(part: _Part) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    if part.path is not None:
        size = _WIDE_BLOCK if "embedding" in part.columns else _BLOCK
        yield from pq.ParquetFile(part.path).iter_batches(batch_size=size)


def _rows(block: pa.RecordBatch, columns: tuple[str, ...], hashes: np.ndarray) -> list[tuple[Any, ...]]:
    return list(zip(*(_values(block.column(name)) for name in columns), hashes.tolist(), strict=True))


def _values(column: pa.Array) -> list[Any]:
    """Give a column's cells; an empty list is none, as it is to the import of files."""
    import pyarrow as pa

    cells: list[Any] = column.to_pylist()
    return [cell or None for cell in cells] if pa.types.is_list(column.type) else cells


def _chunks(answer: Any, size: int) -> Iterator[list[Any]]:
    while records := answer.fetch(size):
        yield records


def _slices(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _positive(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n}
