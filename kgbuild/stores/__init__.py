"""Graph stores behind one small protocol: load a graph's files, count what is there, answer Cypher.

`embedded` is ArcadeDB in this process: nothing to install, nothing to start. `neo4j` is a server. The same templates run on
both, and the same contract test takes any store through its paces.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from kgbuild.errors import StoreError
from kgbuild.schema import EDGE_TYPES, NODE_LABELS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "NAME_INDEX",
    "VECTOR_INDEX",
    "VECTOR_LABEL",
    "Counts",
    "GraphFiles",
    "GraphReader",
    "Loaded",
    "Progress",
    "Store",
    "build_properties",
    "check_ends",
    "check_names",
    "read_counts",
]

NAME_INDEX = "kg_names"  # full text over every name
VECTOR_INDEX = "kg_concept_vectors"
VECTOR_LABEL = "HarmonisedConcept"

Progress = Callable[[str, int, int], None]  # (what, done, of how many)


@dataclass(frozen=True)
class GraphFiles:
    """A graph as Parquet: nodes/<Label>.parquet with `id` and the label's properties; edges/<TYPE>.parquet with `start_id`,
    `end_id` and the type's properties (kgbuild.schema). Ids are unique over all labels; every end of an edge is a node.
    `build.json` says what it was made from.
    """

    folder: Path
    BUILD: ClassVar[str] = "build.json"

    def build(self) -> dict[str, Any]:
        """Give the facts for the `Build` node; empty where nobody wrote them."""
        path = self.folder / self.BUILD
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}

    def node_files(self) -> dict[str, Path]:
        return {path.stem: path for path in sorted((self.folder / "nodes").glob("*.parquet"))}

    def edge_files(self) -> dict[str, Path]:
        return {path.stem: path for path in sorted((self.folder / "edges").glob("*.parquet"))}

    def counts(self) -> Counts:
        """Count rows without reading them."""
        import pyarrow.parquet as pq

        def rows(files: dict[str, Path]) -> dict[str, int]:
            return {name: pq.read_metadata(path).num_rows for name, path in files.items()}

        return Counts(rows(self.node_files()), rows(self.edge_files()))

    def vector_width(self) -> int:
        """Find how long the concepts' vectors are; 0 when there are none."""
        import pyarrow.parquet as pq

        path = self.node_files().get(VECTOR_LABEL)
        if path is None or "embedding" not in pq.read_schema(path).names:
            return 0
        for batch in pq.ParquetFile(path).iter_batches(columns=["embedding"]):
            vectors = batch.column(0).drop_null()
            if len(vectors):
                return len(vectors[0])
        return 0


@dataclass(frozen=True)
class Counts:
    """Nodes by label (the one beside Entity) and edges by type; what is absent counts 0."""

    nodes: Mapping[str, int]
    edges: Mapping[str, int]

    def of(self, name: str) -> int:
        """Give the count of a label or an edge type."""
        return self.nodes.get(name, 0) + self.edges.get(name, 0)

    def differences(self, other: Counts, *, here: str = "here", there: str = "there") -> list[str]:
        """List where two counts differ, one line each; empty when they agree.

        >>> Counts({"Gene": 2}, {}).differences(Counts({"Gene": 1}, {"IS_A": 3}))
        ['Gene: 2 here, 1 there', 'IS_A: 0 here, 3 there']
        """
        lines = []
        for mine, theirs in ((self.nodes, other.nodes), (self.edges, other.edges)):
            for name in sorted({*mine, *theirs}):
                if mine.get(name, 0) != theirs.get(name, 0):
                    lines.append(f"{name}: {mine.get(name, 0)} {here}, {theirs.get(name, 0)} {there}")
        return lines


@dataclass(frozen=True)
class Loaded:
    """What a load found in the database afterwards, and what it did to it: all by label and edge type."""

    counts: Counts
    created: Mapping[str, int] = field(default_factory=dict)
    changed: Mapping[str, int] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    vanished: Mapping[str, int] = field(default_factory=dict)  # in the database, no more in the files, and left there


class GraphReader(Protocol):
    """A graph that can be asked: what queries need, in process or over Bolt."""

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Answer a query as plain rows: scalars, lists and maps by column name."""
        ...

    def counts(self) -> Counts:
        """Count nodes by label and edges by type."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Store(GraphReader, Protocol):
    """What the rest of kgbuild asks of a graph database that it fills."""

    def load(self, graph: GraphFiles, *, build: Mapping[str, Any], progress: Progress | None = None) -> Loaded:
        """Load a graph and the `Build` node's properties; count what is there, read back; raise StoreError if that differs."""
        ...


def read_counts(store: GraphReader) -> Counts:
    """Count what can be reached: every node, and every edge from its start (some seconds for a million edges)."""
    nodes = store.query("MATCH (e:Entity) RETURN e.kind AS name, count(*) AS n ORDER BY name")
    edges = store.query("MATCH (:Entity)-[e]->() RETURN type(e) AS name, count(*) AS n ORDER BY name")
    return Counts({row["name"]: row["n"] for row in nodes}, {row["name"]: row["n"] for row in edges})


def build_properties(build: Mapping[str, Any], counts: Counts) -> dict[str, Any]:
    """Give the `Build` node's properties: scalars as they are, the rest as JSON, the counts as JSON and as lists for Cypher.

    >>> build_properties({"version": "1", "sources": ["a"]}, Counts({"Gene": 2}, {}))["sources"]
    '["a"]'
    """
    plain = {
        key: value if isinstance(value, str | int | float | bool) else json.dumps(value, sort_keys=True) for key, value in build.items()
    }
    rows = [("node", name, n) for name, n in sorted(counts.nodes.items())] + [("edge", name, n) for name, n in sorted(counts.edges.items())]
    return {
        **plain,
        "id": "build",
        "node_counts": json.dumps(dict(counts.nodes), sort_keys=True),
        "edge_counts": json.dumps(dict(counts.edges), sort_keys=True),
        "counted": [what for what, _, _ in rows],
        "counted_names": [name for _, name, _ in rows],
        "counted_numbers": [n for _, _, n in rows],
    }


def check_names(graph: GraphFiles) -> None:
    """Check that labels, edge types and columns are the schema's: names become part of queries and commands, values never do.

    Raises:
        StoreError: A file is of no label or edge type, or has a column, that kgbuild.schema has not.
    """
    import pyarrow.parquet as pq

    ends = {"start_id", "end_id"}
    kinds = [(graph.node_files(), {n.label: {p.name for p in n.all_properties} for n in NODE_LABELS.values()})]
    kinds.append((graph.edge_files(), {e.type: {p.name for p in e.all_properties} | ends for e in EDGE_TYPES.values()}))
    for files, known in kinds:
        if unknown := sorted(set(files) - set(known)):
            raise StoreError(
                f"the schema has no {', '.join(unknown)}, but {graph.folder} has", advice="Labels and edge types are in kgbuild/schema.py."
            )
        for name, path in files.items():
            if strange := sorted(set(pq.read_schema(path).names) - known[name]):
                raise StoreError(
                    f"{path} has the columns {', '.join(strange)}, which the schema has not", advice="Properties are in kgbuild/schema.py."
                )


def check_ends(graph: GraphFiles) -> None:
    """Check that no id occurs twice and that every edge ends at nodes.

    Raises:
        StoreError: One does not; the first is named.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    ids = {path: pq.read_table(path, columns=["id"])["id"] for path in graph.node_files().values()}
    known = _one_column(ids.values())
    if pc.count_distinct(known).as_py() != len(known):
        raise StoreError(f"{_repeating(ids)} repeats an id, or another label has it", advice="Ids are unique over all labels.")
    for path in graph.edge_files().values():  # file by file: millions of ends together would fill the memory
        ends = _one_column(pc.unique(pq.read_table(path, columns=[name])[name]) for name in ("start_id", "end_id"))
        lost = ends.filter(pc.invert(pc.is_in(ends, value_set=known)))
        if len(lost):
            raise StoreError(
                f"{path}: an edge ends at {lost[0].as_py()!r}, which is no node", advice="Every end of an edge is a row of nodes/."
            )


def _one_column(parts: Iterable[Any]) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([chunk for part in parts for chunk in getattr(part, "chunks", [part])], pa.string())


def _repeating(ids: Mapping[Path, pa.ChunkedArray]) -> Path:
    """Find the first file with an id that it or one before it has."""
    import pyarrow.compute as pc

    columns = list(ids.values())
    rows = (_one_column(columns[: n + 1]) for n in range(len(columns)))
    return next(path for path, known in zip(ids, rows, strict=True) if pc.count_distinct(known).as_py() != len(known))
