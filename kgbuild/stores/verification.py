"""A graph's files and any store that was loaded from them in, what differs between the two out: by counts, and row by row.

Rows are drawn evenly over each file, always the same ones, so that two runs look at the same rows; `share` 1 looks at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property
from kgbuild.stores import GraphFiles, GraphReader, Progress

__all__ = ["Verification", "verify"]

_AT_ONCE = 2_000  # rows a query is asked for
_SHOWN = 20  # differences that are spelled out
_NODES = "UNWIND $keys AS key MATCH (n:Entity:{name} {{id: key[0]}}) RETURN key[0] AS key, {properties}"  # the index is of Entity
_EDGES = (
    "UNWIND $keys AS key MATCH (:Entity {{id: key[1]}})-[n:{name} {{id: key[0]}}]->(:Entity {{id: key[2]}}) "
    "RETURN key[0] AS key, {properties}"
)


@dataclass
class Verification:
    """What was looked at, and what differs; `differences` names the first ones."""

    counts: list[str] = field(default_factory=list)  # one line each where the database counts other than the files
    rows: int = 0
    different: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.counts and not self.different

    def as_dict(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "counts": self.counts,
            "rows": self.rows,
            "different": self.different,
            "differences": self.differences,
        }

    def note(self, line: str) -> None:
        self.different += 1
        if len(self.differences) < _SHOWN:
            self.differences.append(line)


def verify(
    graph: GraphFiles, store: GraphReader, *, rows: int = 1_000, vanished: Mapping[str, int] | None = None, progress: Progress | None = None
) -> Verification:
    """Compare counts, and up to `rows` rows of each label and edge type property by property.

    Args:
        rows: How many; 0 compares every row.
        vanished: Label or edge type -> rows that are known to be in the database only.
    """
    found = Verification()
    expected = graph.counts()
    for name, n in (vanished or {}).items():
        part = expected.nodes if name in NODE_LABELS else expected.edges
        part[name] = part.get(name, 0) + n  # type: ignore[index]  # a dict, made a moment ago
    found.counts = store.counts().differences(expected, here="in the database", there="in the files")
    files = [(name, path, NODE_LABELS[name].all_properties, False) for name, path in graph.node_files().items()]
    files += [(name, path, EDGE_TYPES[name].all_properties, True) for name, path in graph.edge_files().items()]
    for done, (name, path, properties, is_edge) in enumerate(files):
        if progress:
            progress("verified", done, len(files))
        _compare(found, store, name, path, properties, is_edge, rows)
    if progress:
        progress("verified", len(files), len(files))
    return found


def _compare(
    found: Verification, store: GraphReader, name: str, path: Path, properties: tuple[Property, ...], is_edge: bool, rows: int
) -> None:
    query = (_EDGES if is_edge else _NODES).format(name=name, properties=", ".join(f"n.`{p.name}` AS `{p.name}`" for p in properties))
    drawn = _drawn(path, rows)
    while part := list(islice(drawn, _AT_ONCE)):
        keys = [[row["id"], row["start_id"], row["end_id"]] if is_edge else [row["id"]] for row in part]
        answers: dict[str, list[dict[str, Any]]] = {}
        for answer in store.query(query, {"keys": keys}):
            answers.setdefault(answer["key"], []).append(answer)
        for row in part:
            found.rows += 1
            _compare_row(found, name, row, answers.get(row["id"], []), properties)


def _compare_row(
    found: Verification, name: str, row: Mapping[str, Any], answers: list[dict[str, Any]], properties: tuple[Property, ...]
) -> None:
    if len(answers) != 1:
        found.note(f"{name} {row['id']}: {len(answers)} in the database, expected 1")
        return
    for p in properties:
        here, there = answers[0][p.name], row.get(p.name)
        if not _equal(here, there):
            found.note(f"{name} {row['id']}: {p.name} is {here!r:.80} in the database, {there!r:.80} in the file")
            return


def _equal(here: Any, there: Any) -> bool:
    """Compare a value; an empty list may be stored as none, and vectors are 32-bit numbers."""
    if isinstance(there, list):
        here = here or []
        return len(here) == len(there) and all(
            math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) if isinstance(b, float) else a == b for a, b in zip(here, there, strict=True)
        )
    return bool(here == there) and type(here) is type(there)


def _drawn(path: Path, rows: int) -> Iterator[dict[str, Any]]:
    """Give rows at even distances, all for 0, block by block."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    total, start = file.metadata.num_rows, 0
    step = max(1, total // rows) if rows else 1
    for block in file.iter_batches(batch_size=20_000):
        places = range((-start) % step, len(block), step)
        yield from block.take(list(places)).to_pylist()
        start += len(block)
