"""Graph stores behind one small protocol: load a graph's files, count what is there, answer Cypher.

`embedded` is ArcadeDB in this process: nothing to install, nothing to start. `neo4j` is a server. The same templates run on
both, and the same contract test takes any store through its paces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

__all__ = ["Counts", "GraphFiles", "GraphReader", "Progress", "Store", "read_counts"]

Progress = Callable[[str, int, int], None]  # (what, done, of how many)


@dataclass(frozen=True)
class GraphFiles:
    """A graph as Parquet: nodes/<Label>.parquet with `id` and the label's properties; edges/<TYPE>.parquet with `start_id`,
    `end_id` and the type's properties (kgbuild.schema). Ids are unique over all labels; every end of an edge is a node.
    """

    folder: Path

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


@dataclass(frozen=True)
class Counts:
    """Nodes by label (the one beside Entity) and edges by type; what is absent counts 0."""

    nodes: Mapping[str, int]
    edges: Mapping[str, int]

    def differences(self, other: Counts) -> list[str]:
        """List where two counts differ, one line each; empty when they agree.

        >>> Counts({"Gene": 2}, {}).differences(Counts({"Gene": 1}, {"IS_A": 3}))
        ['Gene: 2 here, 1 there', 'IS_A: 0 here, 3 there']
        """
        lines = []
        for mine, theirs in ((self.nodes, other.nodes), (self.edges, other.edges)):
            for name in sorted({*mine, *theirs}):
                if mine.get(name, 0) != theirs.get(name, 0):
                    lines.append(f"{name}: {mine.get(name, 0)} here, {theirs.get(name, 0)} there")
        return lines


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

    def load(self, graph: GraphFiles, *, build: Mapping[str, Any], progress: Progress | None = None) -> Counts:
        """Load a graph and the `Build` node's properties; count what is there, read back; raise StoreError if that differs."""
        ...


def read_counts(store: GraphReader) -> Counts:
    """Count what can be reached: every node, and every edge from its start (some seconds for a million edges)."""
    nodes = store.query("MATCH (e:Entity) RETURN e.kind AS name, count(*) AS n ORDER BY name")
    edges = store.query("MATCH (:Entity)-[e]->() RETURN type(e) AS name, count(*) AS n ORDER BY name")
    return Counts({row["name"]: row["n"] for row in nodes}, {row["name"]: row["n"] for row in edges})
