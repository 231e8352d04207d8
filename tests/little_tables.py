"""Tables for tests: rows as dictionaries, columns that a test does not care about filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from kgbuild import tables
from kgbuild.vocabulary import text_id

FILLINGS = {"string": "", "int64": 1, "double": 0.0, "bool": False}


def table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    """Fill each row to the schema of its table."""
    columns = []
    for field in tables.schema(name):
        filling = None if field.nullable else FILLINGS.get(str(field.type), [])
        columns.append(pa.array([row.get(field.name, filling) for row in rows], type=field.type))
    return pa.Table.from_arrays(columns, schema=tables.schema(name))


def write(folder: Path, **given: list[dict[str, Any]]) -> Path:
    """Write every table that training reads; those not given are empty."""
    names = ("concepts", "names", "variants", "associations", "relations", "mappings", "genes", "xrefs")
    tables.write(folder, {name: table(name, given.get(name, [])) for name in names})
    return folder


def variant(number: int, locus: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": f"dbsnp:rs{number}", "kind": "single", "locus": locus, **more}


def association(trait: str, number: int, *terms: str, **more: Any) -> dict[str, Any]:
    """Give a GWAS row: a trait as written, rs<number>, and the terms it is filed under (named when there is one)."""
    return {
        "kind": "gwas", "object_name": trait, "object_id": text_id(trait), "variant_id": f"dbsnp:rs{number}", "term_ids": list(terms),
        "term_relation": "single" if len(terms) == 1 else "unresolved" if terms else None,
        "named_term_ids": list(terms) if len(terms) == 1 else [], "neg_log10_p": 9.0, "genome_wide": True, **more,
    }  # fmt: skip


def concept(id_: str, name: str, kind: str = "Disease") -> dict[str, Any]:
    return {"id": id_, "name": name, "vocabulary": "efo", "kind": kind, "selectable": True}
