"""Sections in, a folder with report.md, report.json and plots out, and two such reports side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgbuild.errors import SourceError, UsageError
from kgbuild.evaluation.section import Section, shown
from kgbuild.workspace import write_whole

__all__ = ["compare", "read_report", "text", "write_report"]

JSON, MARKDOWN = "report.json", "report.md"


def write_report(folder: Path, sections: Mapping[str, Section], about: Mapping[str, Any]) -> dict[str, Any]:
    """Write the folder, whole or not at all; give what report.json holds.

    Args:
        folder: Must not be there yet, or be empty.
        sections: Table's name -> section.
        about: What was evaluated, and how: keys of stages, hash of the split, options.

    Raises:
        UsageError: The folder holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something already", advice="Name another folder with --out.")
    document = {"about": dict(about), "sections": {name: section.as_dict() for name, section in sections.items()}}
    head = [f"{name.replace('_', ' ')}: {_listed(value)}  " for name, value in about.items()]
    with write_whole(folder) as aside:
        aside.mkdir(parents=True)
        (aside / JSON).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        parts = ["# Evaluation", "\n".join(head), *(section.markdown() for section in sections.values())]
        (aside / MARKDOWN).write_text("\n\n".join(parts), encoding="utf-8")
        for section in sections.values():
            for name, content in section.plots.items():
                (aside / name).write_bytes(content)
    return document


def text(sections: Mapping[str, Section]) -> str:
    """Give the sections for a terminal."""
    return "\n\n".join(section.text() for section in sections.values())


def read_report(path: Path) -> dict[str, Any]:
    """Read report.json of a report's folder, or the file itself.

    Raises:
        SourceError: It is not there, or not a report.
    """
    file = path / JSON if path.is_dir() else path
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        sections = {name: Section.from_dict(section) for name, section in document["sections"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            file, f"no report ({error})", expected="what `kgbuild evaluate` wrote", advice="Name two of its folders, evaluation-…"
        ) from error
    return {"about": document.get("about", {}), "sections": sections}


def compare(first: Path, second: Path) -> dict[str, Section]:
    """Put two reports side by side: every number that both hold and that differs, with the difference; rows that only one holds.

    Raises:
        SourceError: One is no report.
    """
    one, other = (read_report(path)["sections"] for path in (first, second))
    return {name: _compared(one.get(name), other.get(name)) for name in [*one, *(name for name in other if name not in one)]}


def _compared(one: Section | None, other: Section | None) -> Section:
    known = one or other
    assert known is not None
    if one is None or other is None:
        return Section(known.title, {}, [], notes=[f"only in the {'second' if one is None else 'first'} report"])
    left, right = (_by_name(section) for section in (one, other))
    columns = {**known.columns, **other.columns}
    rows: list[dict[str, Any]] = []
    n_same = 0
    for name in [*left, *(name for name in right if name not in left)]:
        if name not in left or name not in right:
            rows.append(
                {
                    "what": " / ".join(name),
                    "figure": "the row",
                    "second": "only here" if name in right else None,
                    "first": None if name in right else "only here",
                }
            )
            continue
        for key in columns:
            a, b = left[name].get(key), right[name].get(key)
            if isinstance(a, int | float) and isinstance(b, int | float) and a != b:
                rows.append({"what": " / ".join(name), "figure": columns[key], "first": a, "second": b, "difference": f"{b - a:+.3f}"})
            else:
                n_same += int(isinstance(a, int | float) and a == b)
    headings = {"what": "row", "figure": "figure", "first": "first", "second": "second", "difference": "second - first"}
    return Section(known.title, headings, rows, ("what", "figure"), [f"{n_same} figures are equal"])


def _by_name(section: Section) -> dict[tuple[str, ...], Mapping[str, Any]]:
    return {tuple(shown(row.get(key)) for key in section.names if row.get(key) is not None): row for row in section.rows}


def _listed(value: Any) -> str:
    return ", ".join(f"{name} {_listed(part)}" for name, part in value.items()) if isinstance(value, Mapping) else str(value)
