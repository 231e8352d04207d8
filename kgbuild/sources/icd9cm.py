"""A table of ICD-9-CM codes and texts in; codes (strings: 001 is not 1) and their hierarchy out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.codes import Code, code_tables, without_repeats
from kgbuild.sources.delimited import header_of, read_rows
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import code_curie

__all__ = ["COLUMNS", "VERSION", "read", "recognise"]

VERSION = 1

COLUMNS = {
    "code": ("code", "icd9", "icd9cm", "icd9_code", "diagnosis code"),
    "description": ("description", "long_description", "long description", "icd9 string", "icd9cm_str", "string"),
}
_CODE = re.compile(r'"?([0-9]{3}(\.?[0-9]{1,2})?|V[0-9]{2}(\.?[0-9]{1,2})?|E[0-9]{3}(\.?[0-9])?)"?')


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a table with a code and a text, nothing of PheCodes, and codes that nearly all look like ICD-9-CM."""
    delimiter, names = header_of(sample.lines)
    lower = [name.casefold() for name in names]
    place = next((lower.index(spelling) for spelling in COLUMNS["code"] if spelling in lower), None)
    if place is None or not set(COLUMNS["description"]) & set(lower) or "phecode" in lower or len(sample.lines) < 2:
        return None
    codes = [line.split(delimiter)[place] for line in sample.lines[1:] if line.count(delimiter) >= place and line.strip()]
    if not codes or sum(bool(_CODE.fullmatch(code)) for code in codes) < 0.95 * len(codes):
        return None
    return Recognised("icd9cm", version_in(sample.path.name), "a code and a text, codes like 250.00", subset=says_subset(sample.path.name))


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read codes and texts; a code's group is the text of its category (the part before the dot).

    Raises:
        SourceError: A column is missing or the file cannot be read.
    """
    ledger = Ledger(source)
    codes = without_repeats(_codes(path, ledger, options.get("delimiter")), ledger)
    return Harvest(code_tables(codes, vocabulary="icd9cm", source=source), ledger, version_in(path.name))


def _codes(path: Path, ledger: Ledger, delimiter: str | None) -> Iterator[Code]:
    for row in read_rows(path, delimiter=delimiter, columns=COLUMNS):
        line, cells = row
        if isinstance(cells, str):
            ledger.reject(line, "wrong number of cells", cells)
            continue
        name = cells["description"].strip()
        try:
            curie = code_curie("icd9cm", cells["code"])
        except ValueError as error:
            ledger.reject(line, f"not an ICD-9-CM code: {error}", cells["code"])
            continue
        if name:
            yield Code(line, curie, name)
        else:
            ledger.reject(line, "the code has no text", curie)
