"""A table of replaced identifiers in (old, new); cross-references `replaced_by` out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import header_of, read_rows
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import curie_from_uri, normalise_curie

__all__ = ["COLUMNS", "VERSION", "read", "recognise"]

VERSION = 1

COLUMNS = {
    "old": ("old_id", "obsolete_id", "obsolete_term_iri", "obsolete"),
    "new": ("new_id", "replaced_by", "replacement_term", "term_replaced_by"),
}


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a header with an old and a new identifier."""
    lower = {name.casefold() for name in header_of(sample.lines)[1]}
    if not all(lower & set(spellings) for spellings in COLUMNS.values()):
        return None
    return Recognised("replaced-by", version_in(sample.path.name), "columns with an old and a new id", subset=says_subset(sample.path.name))


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read one replacement a row; an id may have several.

    Raises:
        SourceError: A column is missing or the file cannot be read.
    """
    ledger = Ledger(source)
    lines: dict[tuple[str, str], int] = {}
    for line, cells in read_rows(path, delimiter=options.get("delimiter"), columns=COLUMNS):
        if isinstance(cells, str):
            ledger.reject(line, "wrong number of cells", cells)
            continue
        old, new = (_identifier(cells[key].strip()) for key in ("old", "new"))
        if old is None or new is None:
            ledger.reject(line, "not an identifier", cells["old"] if old is None else cells["new"])
        elif old == new:
            ledger.reject(line, "an identifier replaced by itself", old)
        elif (old, new) in lines:
            ledger.merge(line, "the same replacement", f"line {lines[old, new]}")
        else:
            lines[old, new] = line
            ledger.keep(line)
    rows = [(old, "replaced_by", new, source, line) for (old, new), line in lines.items()]
    return Harvest({"xrefs": tables.from_rows("xrefs", rows)}, ledger, version_in(path.name))


def _identifier(text: str) -> str | None:
    """Spell an identifier as CURIE; one with an unknown prefix stays as written."""
    return normalise_curie(text) or curie_from_uri(text) or (text if re.fullmatch(r"[A-Za-z][\w.]*:[^\s/]+", text) else None)
