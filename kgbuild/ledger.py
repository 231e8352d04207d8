"""The ledger: each row that came in is kept, merged into another, or rejected with a reason, and the numbers add up.

In: what a reader says of each row. Out: totals per source, and one line per row that was not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Ledger", "write_rejects"]

_VALUE_WIDTH = 500  # characters of a rejected row that are worth keeping


@dataclass
class Ledger:
    """The account of one source.

    >>> ledger = Ledger("ld")
    >>> ledger.keep(2); ledger.merge(4, "same row", "line 2"); ledger.reject(5, "not an rs id", "rsX")
    >>> (ledger.rows_in, ledger.kept, ledger.merged, ledger.rejected)
    (3, 1, 1, 1)
    >>> ledger.reasons()
    {'merged: same row': 1, 'rejected: not an rs id': 1}
    """

    source: str
    kept: int = 0
    _fates: list[tuple[str, int, str, str]] = field(default_factory=list, repr=False)  # (fate, line, reason, detail)
    _bulk: list[tuple[str, str, list[int], list[str]]] = field(default_factory=list, repr=False)

    def keep(self, line: int, *, rows: int = 1) -> None:  # noqa: ARG002 - the line is for the reader of the call
        """Count a row (or `rows` rows) that became table rows."""
        self.kept += rows

    def merge(self, line: int, reason: str, into: str) -> None:
        """Record a row that says what another row says already, and which."""
        self._fates.append(("merged", line, reason, into))

    def reject(self, line: int, reason: str, value: str) -> None:
        """Record a row that is refused, and the value that was the reason."""
        self._fates.append(("rejected", line, reason, value[:_VALUE_WIDTH]))

    def merge_many(self, lines: Iterable[int], reason: str, into: Iterable[str]) -> None:
        """Record many merged rows of one reason."""
        self._bulk.append(("merged", reason, list(lines), list(into)))

    def reject_many(self, lines: Iterable[int], reason: str, values: Iterable[str]) -> None:
        """Record many rejected rows of one reason."""
        self._bulk.append(("rejected", reason, list(lines), [value[:_VALUE_WIDTH] for value in values]))

    def unkeep(self, rows: int = 1) -> None:
        """Take back `keep` for rows that a later step of ingest merges or rejects (it records which)."""
        self.kept -= rows

    @property
    def merged(self) -> int:
        return self._count("merged")

    @property
    def rejected(self) -> int:
        return self._count("rejected")

    @property
    def rows_in(self) -> int:
        return self.kept + self.merged + self.rejected

    def reasons(self) -> dict[str, int]:
        """Count the rows that were not kept, by fate and reason, most first."""
        counts: Counter[str] = Counter(f"{fate}: {reason}" for fate, _, reason, _ in self._fates)
        for fate, reason, lines, _ in self._bulk:
            counts[f"{fate}: {reason}"] += len(lines)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def table(self) -> pa.Table:
        """Give one row per row that was not kept: source, line, fate, reason, detail (into what, or the value)."""
        import pyarrow as pa

        schema = pa.schema([(n, pa.int64() if n == "line" else pa.string()) for n in ("source", "line", "fate", "reason", "detail")])
        parts = [
            pa.Table.from_pylist(
                [{"source": self.source, "fate": f, "line": n, "reason": r, "detail": d} for f, n, r, d in self._fates], schema
            )
        ]
        for fate, reason, lines, details in self._bulk:
            constant = {
                "source": pa.repeat(self.source, len(lines)),
                "fate": pa.repeat(fate, len(lines)),
                "reason": pa.repeat(reason, len(lines)),
            }
            parts.append(
                pa.table({**constant, "line": pa.array(lines, pa.int64()), "detail": pa.array(details, pa.string())})
                .select(schema.names)
                .cast(schema)
            )
        return pa.concat_tables(parts)

    def _count(self, fate: str) -> int:
        return sum(f == fate for f, *_ in self._fates) + sum(len(lines) for f, _, lines, _ in self._bulk if f == fate)


def write_rejects(path: Path, ledgers: Iterable[Ledger]) -> int:
    """Write every rejected row as TSV (source, line, reason, value), so that a person can mend the file; give their number."""
    import csv

    import pyarrow.compute

    rows = 0
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(["source", "line", "reason", "value"])
        for ledger in ledgers:
            table = ledger.table()
            rejected = table.filter(pyarrow.compute.equal(table.column("fate"), "rejected"))  # merged rows may be millions
            for row in rejected.to_pylist():
                writer.writerow([row["source"], row["line"], row["reason"], row["detail"]])
                rows += 1
    return rows
