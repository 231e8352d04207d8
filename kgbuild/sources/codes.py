"""Codes with texts come in (ICD, PheCode); concepts, names and the hierarchy that their spelling implies go out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.vocabulary import content_id

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Code", "code_tables", "is_a_row", "nearest_parent", "without_repeats"]


class Code(NamedTuple):
    """One code of a vocabulary, as its file defines it."""

    line: int
    id: str  # CURIE
    name: str
    group: str | None = None  # None: the text of its category (the part before the dot)
    short: str = ""  # another, shorter text
    selectable: bool = True


def nearest_parent(curie: str, known: Mapping[str, object]) -> str | None:
    """Give the longest code in `known` that is this one with digits behind the dot taken away.

    >>> nearest_parent("icd10cm:E11.65", {"icd10cm:E11": 1, "icd10cm:E11.6": 1}), nearest_parent("phecode:250.2", {"phecode:25": 1})
    ('icd10cm:E11.6', None)
    """
    stem, dot, rest = curie.rpartition(".")
    if not dot:
        return None
    shorter = (f"{stem}.{rest[:n]}" if n else stem for n in range(len(rest) - 1, -1, -1))
    return next((candidate for candidate in shorter if candidate in known), None)


def without_repeats(codes: Iterable[Code], ledger: Ledger) -> list[Code]:
    """Keep the first definition of each code; a repeat is merged, one with another text is rejected."""
    first: dict[str, Code] = {}
    for code in codes:
        known = first.setdefault(code.id, code)
        if known is code:
            ledger.keep(code.line)
        elif known.name == code.name:
            ledger.merge(code.line, "the code is defined twice with one text", f"line {known.line}")
        else:
            ledger.reject(
                code.line, "the code is defined before with another text", f"{code.id} {code.name!r}, on line {known.line} {known.name!r}"
            )
    return list(first.values())


def code_tables(codes: Sequence[Code], *, vocabulary: str, source: str) -> dict[str, pa.Table]:
    """Make the tables concepts, names and relations (IS_A: to the nearest code that its spelling lies under)."""
    by_id = {code.id: code for code in codes}
    concepts, names, relations = [], [], []
    for code in codes:
        category = by_id.get(code.id.partition(".")[0])
        group = code.group if code.group is not None else category.name if category else None
        concepts.append((code.id, code.name, vocabulary, "ClinicalCode", False, group or None, code.selectable, source, code.line))
        names.append((code.id, code.name, "label", source, code.line))
        if code.short and code.short != code.name:
            names.append((code.id, code.short, "short", source, code.line))
        if parent := nearest_parent(code.id, by_id):
            relations.append(is_a_row(code.id, parent, source, code.line))
    rows: dict[str, list[tuple[Any, ...]]] = {"concepts": concepts, "names": names, "relations": relations}
    return {name: tables.from_rows(name, table) for name, table in rows.items()}


def is_a_row(child: str, parent: str, source: str, line: int) -> tuple[str, str, str, str, str, int]:
    """Make one row of the table relations: child -> parent."""
    return (content_id("relation", child, "IS_A", parent), child, "IS_A", parent, source, line)
