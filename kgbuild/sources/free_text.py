"""Any table with a column of phenotype texts in; one concept for each text out.

Options: `column` (required), `id_column`, `group_column`, `delimiter`, and `vocabulary` (default `text`). With a coded
vocabulary the ids are its codes; with `text` an id that is a CURIE of a known prefix is kept, and any other text is known
by a hash of itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgbuild import tables
from kgbuild.errors import ConfigurationError
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import header_of, read_rows
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import VOCABULARIES, code_curie, normalise_curie, text_id

__all__ = ["VERSION", "read", "recognise"]

VERSION = 1

_TEXT_COLUMNS = ("phenotype", "phenotype_text", "trait", "disease/trait", "diagnosis", "free_text", "text", "phenostring", "endpoint_name")


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a table by a column name that phenotype texts often have."""
    lower = {name.casefold(): name for name in header_of(sample.lines)[1]}
    column = next((lower[name] for name in _TEXT_COLUMNS if name in lower), None)
    if column is None or len(sample.lines) < 2:
        return None
    why = f"a column {column!r}, read as free text"
    return Recognised(
        "free-text", version_in(sample.path.name), why, {"column": column}, subset=says_subset(sample.path.name), flavour=sample.path.stem
    )


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read one text a row; the same text or code again is merged.

    Raises:
        ConfigurationError: `column` is missing, or `vocabulary` is unknown or needs an `id_column`.
        SourceError: A column is missing in the file, or the file cannot be read.
    """
    vocabulary = _checked_vocabulary(source, options)
    wanted = {"text": (str(options["column"]),)}
    wanted |= {key: (str(options[f"{key}_column"]),) for key in ("id", "group") if options.get(f"{key}_column")}
    kind = "ClinicalCode" if VOCABULARIES[vocabulary].coded else "FreeText"
    ledger = Ledger(source)
    first: dict[str, tuple[int, str]] = {}
    concepts = []
    for line, cells in read_rows(path, delimiter=options.get("delimiter"), columns=wanted):
        if isinstance(cells, str):
            ledger.reject(line, "wrong number of cells", cells)
            continue
        text = cells["text"].strip()
        if not text:
            ledger.reject(line, "the text is empty", cells.get("id", ""))
            continue
        try:
            concept_id = _concept_id(vocabulary, text, cells.get("id", ""))
        except ValueError as error:
            ledger.reject(line, f"not a code of {vocabulary}: {error}", cells["id"])
            continue
        known = first.setdefault(concept_id, (line, text))
        if known[0] == line:
            ledger.keep(line)
            concepts.append((concept_id, text, vocabulary, kind, False, cells.get("group", "").strip() or None, True, source, line))
        elif text_id(known[1]) == text_id(text):
            ledger.merge(line, "the same text", f"line {known[0]}")
        else:
            ledger.reject(line, "the code has another text before", f"{concept_id} {text!r}, on line {known[0]} {known[1]!r}")
    names = [(row[0], row[1], "label", source, row[-1]) for row in concepts]
    return Harvest(
        {"concepts": tables.from_rows("concepts", concepts), "names": tables.from_rows("names", names)}, ledger, version_in(path.name)
    )


def _checked_vocabulary(source: str, options: Mapping[str, Any]) -> str:
    if not options.get("column"):
        raise ConfigurationError(
            f"source {source!r} of kind free-text says no `column`", advice='Add column = "<the header of the column with the texts>".'
        )
    vocabulary = str(options.get("vocabulary") or "text")
    if vocabulary not in VOCABULARIES:
        raise ConfigurationError(f"source {source!r}: no vocabulary is called {vocabulary!r}", advice=f"Known: {', '.join(VOCABULARIES)}.")
    if VOCABULARIES[vocabulary].coded and not options.get("id_column"):
        raise ConfigurationError(
            f"source {source!r}: texts of {vocabulary} need their codes",
            advice='Add id_column = "<the header of the column with the codes>".',
        )
    return vocabulary


def _concept_id(vocabulary: str, text: str, written_id: str) -> str:
    if not VOCABULARIES[vocabulary].coded:
        return normalise_curie(written_id) or text_id(text)
    if VOCABULARIES[vocabulary].prefix is None:
        curie = normalise_curie(written_id)
        if curie is None:
            raise ValueError("expected a CURIE with a known prefix")
        return curie
    return code_curie(vocabulary, written_id)
