"""Maps from ICD codes to PheCodes in; cross-references `broader` (the PheCode is a roll-up of the code) out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kgbuild import tables
from kgbuild.errors import SourceError
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import head, header_of, read_columns
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import code_curie

__all__ = ["VERSION", "read", "recognise"]

VERSION = 1

# what maps call a vocabulary, in a cell of `vocabulary_id` or as the name of the column that holds the code
_VOCABULARIES = {"icd9cm": "icd9cm", "icd9": "icd9cm", "icd10cm": "icd10cm", "icd10": "icd10"}
_PHECODE = re.compile(r"\d{1,4}(\.\d{1,2})?")
_PHECODEX = re.compile(r"[A-Z]{2,3}_\d+(\.\d+)?")


def _vocabulary(name: str) -> str | None:
    return _VOCABULARIES.get(re.sub(r"[^a-z0-9]", "", name.casefold()))


def _code_column(names: list[str]) -> str | None:
    """Give the column that holds the codes, None where this is no such map."""
    lower = {name.casefold(): name for name in names}
    if "phecode" not in lower:
        return None
    if "code" in lower and "vocabulary_id" in lower:
        return lower["code"]
    return next((name for key, name in lower.items() if _vocabulary(key)), None)


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a phecode column beside codes whose vocabulary a column or the column's name tells."""
    delimiter, names = header_of(sample.lines)
    column = _code_column(names)
    if column is None:
        return None
    cells = [dict(zip(names, (cell.strip('"') for cell in line.split(delimiter)), strict=False)) for line in sample.lines[1:]]
    phecode = next(name for name in names if name.casefold() == "phecode")
    # more than half, for a text with a comma shifts cells here
    phecodex = sum(bool(_PHECODEX.fullmatch(row.get(phecode, ""))) for row in cells) * 2 > len(cells)
    flat = column.casefold() == "code"
    named = [row.get("vocabulary_id", "") for row in cells] if flat else [column]
    vocabulary = next((v for v in map(_vocabulary, named) if v), "unknown")  # the first one: the head of a file shows no more
    flavour = f"{vocabulary} to {'phecodex' if phecodex else 'phecode'}"
    subset = says_subset(sample.path.name)
    return Recognised(
        "phecode-map", version_in(sample.path.name), f"codes and phecodes: {flavour}", subset=subset, flavour=flavour, preference=int(flat)
    )


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read one statement a row.

    Raises:
        SourceError: A column is missing or the file cannot be read.
    """
    import pyarrow as pa

    delimiter, names = header_of(head(path, 1))
    delimiter = options.get("delimiter") or delimiter
    column = _code_column(names) or "code"
    vocabulary = {"vocabulary": ("vocabulary_id",)} if column.casefold() == "code" else {}
    raw, malformed = read_columns(
        path, delimiter=delimiter, quoted=True, columns={"code": (column,), "phecode": ("phecode",), **vocabulary}
    )
    ledger = Ledger(source)
    for line, text in malformed:
        ledger.reject(line, "wrong number of cells", text)
    named = raw["vocabulary"].to_pylist() if vocabulary else [column] * raw.num_rows
    if raw.num_rows and not any(map(_vocabulary, set(named))):
        raise SourceError(
            path,
            "no row names a vocabulary that is known",
            value=named[0],
            expected="ICD9CM, ICD10CM or ICD10",
            advice="Correct the column vocabulary_id.",
        )
    cells = zip(raw["line"].to_pylist(), named, raw["code"].to_pylist(), raw["phecode"].to_pylist(), strict=True)
    first = _statements(cells, ledger)
    subjects, objects = ([pair[side] for pair in first] for side in (0, 1))
    columns = [subjects, pa.repeat("broader", len(first)), objects, pa.repeat(source, len(first)), list(first.values())]
    return Harvest(
        {"xrefs": pa.Table.from_arrays([pa.array(c) for c in columns], schema=tables.schema("xrefs"))}, ledger, version_in(path.name)
    )


def _statements(cells: Iterable[tuple[int, str, str, str]], ledger: Ledger) -> dict[tuple[str, str], int]:
    """Give each (code, phecode) with the line that says it first."""
    vocabularies = cache(_vocabulary)
    phecodes = cache(_phecode)
    first: dict[tuple[str, str], int] = {}
    for line, named, code, phecode in cells:
        vocabulary, target = vocabularies(named), phecodes(phecode)
        if vocabulary is None:
            ledger.reject(line, "the vocabulary is none of ICD9CM, ICD10CM, ICD10", named)
        elif target is None:
            ledger.reject(line, "not a PheCode" if phecode.strip() else "the code has no PheCode", phecode or code)
        else:
            try:
                pair = (code_curie(vocabulary, code), target)
            except ValueError as error:
                ledger.reject(line, f"not a code of {vocabulary}: {error}", code)
                continue
            known = first.setdefault(pair, line)
            if known == line:
                ledger.keep(line)
            else:
                ledger.merge(line, "the same code and phecode", f"line {known}")
    return first


def _phecode(text: str) -> str | None:
    """Spell a PheCode as CURIE; letters and an underscore mean PhecodeX.

    >>> _phecode("008.5"), _phecode("EM_202.2"), _phecode("NA")
    ('phecode:008.5', 'phecodex:EM_202.2', None)
    """
    text = text.strip()
    if _PHECODEX.fullmatch(text):
        return f"phecodex:{text}"
    return f"phecode:{text}" if _PHECODE.fullmatch(text) else None
