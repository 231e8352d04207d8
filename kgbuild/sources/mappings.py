"""Curated mappings in (a table with a `source` column, or SSSOM); subjects, targets, judgements and their use out.

Options: `vocabularies` (a table from the value of `source` to the vocabulary of its subjects, over the defaults below) and
`use`. `use = "evaluate"` keeps the whole file from training. `use = "fit"` (the default) allows it, except for rows whose
own `split` says dev or test: those are evaluated whatever the configuration says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from kgbuild import tables
from kgbuild.errors import ConfigurationError
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import Row, head, header_of, is_preamble, read_rows
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import VOCABULARIES, code_curie, curie_from_uri, normalise_curie, text_id

__all__ = ["PREDICATES", "VERSION", "read", "recognise"]

VERSION = 1

# value of `source` (or its start, with *) -> vocabulary of the subjects
_VOCABULARIES = {
    "az_icd10": "icd10",
    "ukb_icd10": "icd10",
    "finngen": "finngen",
    "gwas_trait": "text",
    "eva_clinvar": "text",
    "mondo_doid": "doid",
    "mondo_efo": "mondo",
    "mondo_icd10cm": "icd10cm",
    "phecode_*": "phecode",
    "phecodex_*": "phecodex",
}

# as written -> (predicate of the table, its inverse)
PREDICATES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("exact", "skos:exactmatch", "owl:equivalentclass", "owl:sameas"), ("exact", "exact")),
    **dict.fromkeys(("broad", "skos:broadmatch", "rdfs:subclassof"), ("broad", "narrow")),
    **dict.fromkeys(("narrow", "skos:narrowmatch"), ("narrow", "broad")),
    **dict.fromkeys(("close", "skos:closematch"), ("close", "close")),
    **dict.fromkeys(("", "unspecified", "skos:relatedmatch", "oboinowl:hasdbxref", "rdfs:seealso"), ("unspecified", "unspecified")),
}
_HELD_OUT = {"dev", "test", "development", "validation", "heldout", "held-out", "held_out", "evaluate"}

# prefix of a CURIE -> vocabulary of codes; terms of ontologies are targets, or subjects of the vocabulary `efo`
_CODED = {"icd10": "icd10", "icd10cm": "icd10cm", "icd9cm": "icd9cm", "phecode": "phecode", "phecodex": "phecodex", "finngen": "finngen"}
_ONTOLOGIES = {"EFO", "MONDO", "HP", "Orphanet", "DOID", "OBA", "GO", "OTAR", "NCIT", "OGMS", "CHEBI", "UBERON", "CL", "MP"}

_FLAT = {"label": ("subject_label",), "object": ("object_id",)}
_FLAT_OPTIONAL = {"set": ("source",), "subject": ("subject_id",), "predicate": ("predicate",), "judged": ("judged",), "split": ("split",)}
_SSSOM = {"subject": ("subject_id",), "predicate": ("predicate_id",), "object": ("object_id",)}
_SSSOM_OPTIONAL = {
    "label": ("subject_label",),
    "object_label": ("object_label",),
    "modifier": ("predicate_modifier",),
    "set": ("mapping_set_id", "mapping_source"),
    "split": ("split",),
}
_RANGE = re.compile(r"[A-Z]\d[0-9A-Z](\.\w+)?-[A-Z]\d[0-9A-Z](\.\w+)?")


class _Mapping(NamedTuple):
    """One row, understood."""

    subject_id: str
    subject_label: str
    vocabulary: str
    predicate: str
    object_id: str
    judged: str
    use: str
    set: str


def _columns(lines: tuple[str, ...]) -> list[str]:
    rows = [line for line in lines if not is_preamble(line)]
    return [name.casefold() for name in header_of(rows[:1])[1]]


def recognise(sample: Sample) -> Recognised | None:
    """Recognise SSSOM by its columns, else a table with subject_label and object_id."""
    names = _columns(sample.lines)
    sssom = {"subject_id", "predicate_id", "object_id"} <= set(names)
    if not sssom and not ({"subject_label", "object_id"} <= set(names) and {"subject_id", "predicate", "source"} & set(names)):
        return None
    name = sample.path.name
    evaluation = bool(re.search(r"(?<![a-z])(dev|test|validation|heldout|held[-_]out|gold)(?![a-z])", name, re.IGNORECASE))
    if "split" in names:
        delimiter = header_of([line for line in sample.lines if not is_preamble(line)][:1])[0]
        cells = [line.split(delimiter) for line in sample.lines if not is_preamble(line)][1:]
        splits = {row[names.index("split")].strip().casefold() for row in cells if len(row) == len(names)}
        evaluation = bool(splits) and splits <= _HELD_OUT
    why = "columns of SSSOM" if sssom else "columns subject_label and object_id"
    return Recognised("curated-mappings", version_in(name), why, subset=says_subset(name), evaluation=evaluation)


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read one statement a row; in SSSOM a term that is mapped to a code is turned round, so that the code is the subject.

    Raises:
        ConfigurationError: `use` or a value of `vocabularies` is unknown.
        SourceError: A column is missing or the file cannot be read.
    """
    use, vocabularies = _checked(source, options)
    ledger = Ledger(source)
    ranges = 0
    first: dict[_Mapping, int] = {}
    for line, cells in _rows(path, options.get("delimiter")):
        if isinstance(cells, str):
            ledger.reject(line, "wrong number of cells", cells)
            continue
        try:
            mapping = _understand(cells, source, use, vocabularies)
        except _Refused as refused:
            ledger.reject(line, refused.reason, refused.value)
            continue
        ranges += mapping.vocabulary == "text" and bool(_RANGE.fullmatch(cells.get("subject", "").strip()))
        known = first.setdefault(mapping, line)
        if known == line:
            ledger.keep(line)
        else:
            ledger.merge(line, "the same statement", f"line {known}")
    rows = [(*mapping, source, line) for mapping, line in first.items()]
    notes = {"subjects that are a range of codes, read as text": ranges} if ranges else {}
    return Harvest({"mappings": tables.from_rows("mappings", rows)}, ledger, version_in(path.name), notes)


def _checked(source: str, options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    use = options.get("use") or "fit"
    if use not in {"fit", "evaluate"}:
        raise ConfigurationError(
            f"source {source!r}: use is {use!r}", advice='Write use = "fit" (training, features, curated links) or use = "evaluate".'
        )
    vocabularies = {**_VOCABULARIES, **(options.get("vocabularies") or {})}
    unknown = sorted(set(vocabularies.values()) - set(VOCABULARIES))
    if unknown:
        raise ConfigurationError(
            f"source {source!r}: no vocabulary is called {', '.join(unknown)}", advice=f"Known: {', '.join(VOCABULARIES)}."
        )
    return use, vocabularies


def _rows(path: Path, delimiter: str | None) -> Iterator[Row | tuple[int, str]]:
    lines = head(path)
    names = _columns(lines)
    if "predicate_id" in names:
        return read_rows(path, delimiter=delimiter, columns=_SSSOM, optional=_SSSOM_OPTIONAL)
    return read_rows(path, delimiter=delimiter, columns=_FLAT, optional=_FLAT_OPTIONAL)


class _Refused(Exception):
    """Not an error: the fate of one row."""

    def __init__(self, reason: str, value: str) -> None:
        super().__init__(reason)
        self.reason, self.value = reason, value


def _understand(cells: Mapping[str, str], source: str, use: str, vocabularies: Mapping[str, str]) -> _Mapping:
    """Turn the cells of either layout into one statement; raise `_Refused` for a row that makes none."""
    cells = {key: cell.strip() for key, cell in cells.items()}
    predicates = PREDICATES.get(cells.get("predicate", "").casefold())
    if predicates is None:
        raise _Refused("the predicate is none that is known", cells["predicate"])
    predicate, inverse = predicates
    set_ = cells.get("set") or source
    subject, label, target = cells.get("subject", ""), cells.get("label", ""), cells["object"]
    if _prefix(subject) in _ONTOLOGIES and _prefix(target) in _CODED:
        subject, label, target, predicate = target, cells.get("object_label", ""), subject, inverse
    object_id = normalise_curie(target) or curie_from_uri(target)
    if object_id is None:
        raise _Refused("the target is not an identifier with a known prefix", target)
    vocabulary = _vocabulary_of(cells.get("set", ""), subject, vocabularies)
    subject_id, vocabulary = _subject(vocabulary, subject, label)
    judged = _judgement(cells)
    held_out = cells.get("split", "").casefold() in _HELD_OUT
    return _Mapping(subject_id, label, vocabulary, predicate, object_id, judged, "evaluate" if held_out else use, set_)


def _prefix(text: str) -> str:
    return (normalise_curie(text) or curie_from_uri(text) or "").partition(":")[0]


def _vocabulary_of(set_: str, subject: str, vocabularies: Mapping[str, str]) -> str:
    """Tell the vocabulary by the curators' set, else by the subject's prefix; a text without an id is text."""
    if set_ in vocabularies:
        return vocabularies[set_]
    starred = next((v for pattern, v in vocabularies.items() if pattern.endswith("*") and set_.startswith(pattern[:-1])), None)
    if starred:
        return starred
    if not subject:
        return "text"
    prefix = _prefix(subject)
    if not prefix:
        raise _Refused("no vocabulary is known for this set; name it under `vocabularies` in kgbuild.toml", set_ or subject)
    return _CODED.get(prefix, "efo" if prefix in _ONTOLOGIES else "text")


def _subject(vocabulary: str, subject: str, label: str) -> tuple[str, str]:
    """Give the subject's id and vocabulary; without a code of its own (or with a range of codes) it is known by its text."""
    if vocabulary == "text" or not subject or _RANGE.fullmatch(subject):
        if not label:
            raise _Refused("the subject has neither a code nor a text", subject)
        return text_id(label), "text"
    curie = normalise_curie(subject) or curie_from_uri(subject)
    own = VOCABULARIES[vocabulary].prefix
    if own is None and curie is None:
        raise _Refused(f"not an identifier of {vocabulary}", subject)
    try:
        return (
            curie
            if own is None and curie
            else code_curie(vocabulary, curie.partition(":")[2] if curie and curie.startswith(f"{own}:") else subject)
        ), vocabulary
    except ValueError as error:
        raise _Refused(f"not a code of {vocabulary}: {error}", subject) from None


def _judgement(cells: Mapping[str, str]) -> str:
    if cells.get("modifier", "").casefold() == "not":
        return "invalid"
    judged = cells.get("judged", "").casefold() or "valid"
    if judged not in {"valid", "invalid"}:
        raise _Refused("the judgement is neither valid nor invalid", judged)
    return judged
