"""Rows of figures in, the same as Markdown, text and JSON out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Section", "shown"]


@dataclass(frozen=True)
class Section:
    """One table of a report.

    Args:
        title: One line.
        columns: Key of a row's value -> heading, in the order they are shown.
        rows: Plain values: text, numbers, None for what is not known, (low, high) for an interval.
        names: Keys that name a row; two reports are compared by them.
        notes: What a reader must know to read the table.
        plots: File name -> content.
    """

    title: str
    columns: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    names: tuple[str, ...] = ("what",)
    notes: Sequence[str] = ()
    plots: Mapping[str, bytes] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Give what report.json holds of it."""
        rows = [{key: _plain(value) for key, value in row.items()} for row in self.rows]
        parts = {"columns": dict(self.columns), "names": list(self.names), "rows": rows}
        return {"title": self.title, **parts, "notes": list(self.notes), "plots": list(self.plots)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Section:
        """Read it back, without the plots' content."""
        return cls(document["title"], document["columns"], document["rows"], tuple(document["names"]), document["notes"])

    def markdown(self) -> str:
        """Give heading, table, notes and links to plots; columns without any value are left out."""
        keys = self._used()
        lines = [f"## {self.title}", ""]
        if self.rows:
            lines += [_line([self.columns[key] for key in keys]), "|" + "---|" * len(keys)]
            lines += [_line([shown(row.get(key)) for key in keys]) for row in self.rows]
            lines.append("")
        lines += [f"{note}\n" for note in self.notes]
        lines += [f"![{name}]({name})\n" for name in self.plots if name.endswith(".svg")]
        return "\n".join(lines)

    def text(self) -> str:
        """Give the same for a terminal, columns aligned."""
        keys = self._used()
        cells = [[self.columns[key] for key in keys], *([shown(row.get(key)) for key in keys] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells if keys]
        return "\n".join([self.title, *(f"  {line}" for line in lines if self.rows), *(f"  {note}" for note in self.notes)])

    def _used(self) -> list[str]:
        return [key for key in self.columns if any(row.get(key) is not None for row in self.rows)]


def shown(value: Any) -> str:
    """Show a cell.

    >>> [shown(value) for value in (0.90512, 12345, (0.1, 0.25), None, float("nan"), "degree")]
    ['0.905', '12,345', '0.100 to 0.250', '', '', 'degree']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, list | tuple):
        return " to ".join(shown(part) for part in value)
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _plain(value: Any) -> Any:
    """Give what JSON can hold: no numpy, no nan, four digits."""
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
