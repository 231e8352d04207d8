"""PheCode definitions in (phecode 1.2's pheinfo or PhecodeX's info table); codes, groups and hierarchy out.

PheCodes are strings: `008`, `250.2` and `250.20` stay as written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.codes import Code, code_tables, without_repeats
from kgbuild.sources.delimited import head, header_of, read_rows
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import code_curie

__all__ = ["VERSION", "read", "recognise"]

VERSION = 1

# vocabulary -> its columns; what tells them apart is the text's column
_LAYOUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "phecodex": {"phecode": ("phecode",), "name": ("phecode_string",), "group": ("category",)},
    "phecode": {"phecode": ("phecode",), "name": ("description", "phenotype"), "group": ("group", "category")},
}
_FALLBACK = "cp1252"  # PhecodeX's published table is not UTF-8
_ICD = ("icd9", "icd10", "icd10cm", "icd9cm", "code", "vocabulary_id", "icd", "rollup", "subject_id")  # then it is a map


def _layout(names: list[str]) -> str | None:
    lower = {name.casefold() for name in names}
    if lower & set(_ICD):
        return None
    return next(
        (vocabulary for vocabulary, columns in _LAYOUTS.items() if all(lower & set(spellings) for spellings in columns.values())), None
    )


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a table with phecode, text and group but no ICD code."""
    vocabulary = _layout(header_of(sample.lines)[1])
    if vocabulary is None:
        return None
    version = version_in(sample.path.name)
    return Recognised(
        "phecode-definitions",
        version,
        f"phecode, text and group columns of {vocabulary}",
        subset=says_subset(sample.path.name),
        flavour=vocabulary,
    )


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read definitions; the vocabulary (phecode or phecodex) is told by the columns.

    Raises:
        SourceError: A column is missing or the file cannot be read.
    """
    ledger = Ledger(source)
    vocabulary = _layout(header_of(head(path, 1))[1]) or "phecode"
    codes = without_repeats(_codes(path, ledger, vocabulary, options.get("delimiter")), ledger)
    return Harvest(code_tables(codes, vocabulary=vocabulary, source=source), ledger, version_in(path.name))


def _codes(path: Path, ledger: Ledger, vocabulary: str, delimiter: str | None) -> Iterator[Code]:
    for line, cells in read_rows(path, delimiter=delimiter, columns=_LAYOUTS[vocabulary], fallback=_FALLBACK):
        if isinstance(cells, str):
            ledger.reject(line, "wrong number of cells", cells)
            continue
        name = cells["name"].strip()
        try:
            curie = code_curie(vocabulary, cells["phecode"])
        except ValueError as error:
            ledger.reject(line, f"not a PheCode: {error}", cells["phecode"])
            continue
        if name:
            yield Code(line, curie, name, cells["group"].strip())
        else:
            ledger.reject(line, "the code has no text", curie)
