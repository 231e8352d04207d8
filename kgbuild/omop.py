"""Accepted links in; the tables by which an OMOP database takes them in out: SOURCE_TO_CONCEPT_MAP, CONCEPT, VOCABULARY.

OMOP knows concepts by 32-bit numbers and has none for EFO. Numbers from 2,000,000,000 on are left to each site, so every
mapped term gets one of those, made from its CURIE alone: the same term has the same number in every export and at every
site, and CONCEPT says which CURIE it stands for. Nothing of OMOP's own vocabularies is needed or repeated.

https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CONCEPT_COLUMNS", "MAP_COLUMNS", "TABLES", "VOCABULARY_COLUMNS", "concept_number", "omop_tables"]

MAP_COLUMNS: dict[str, str] = {
    "source_code": "the code as its vocabulary writes it; for a free text, the local part of its id (50 characters at most)",
    "source_concept_id": "0: the site's own vocabularies know whether they hold the code",
    "source_vocabulary_id": "OMOP's name of the vocabulary where it has one",
    "source_code_description": "the code's name, or the text, cut at 255 characters",
    "target_concept_id": "number of the term, explained in CONCEPT",
    "target_vocabulary_id": "EFO, whatever prefix the class has",
    "valid_start_date": "when the links were made",
    "valid_end_date": "2099-12-31: until something else is said",
    "invalid_reason": "empty: valid",
}
CONCEPT_COLUMNS = (
    "concept_id", "concept_name", "domain_id", "vocabulary_id", "concept_class_id", "standard_concept", "concept_code",
    "valid_start_date", "valid_end_date", "invalid_reason",
)  # fmt: skip
VOCABULARY_COLUMNS = ("vocabulary_id", "vocabulary_name", "vocabulary_reference", "vocabulary_version", "vocabulary_concept_id")
TABLES = ("source_to_concept_map", "concept", "vocabulary")

# our vocabularies -> OMOP's ids (20 characters at most), its own spelling for those it has
_VOCABULARY_IDS = {"icd10": "ICD10", "icd10cm": "ICD10CM", "icd9cm": "ICD9CM", "efo": "EFO", "phecode": "PheCode", "phecodex": "PheCodeX"}
_DOMAINS = {"Disease": "Condition", "Phenotype": "Condition", "Measurement": "Measurement"}
_ALWAYS, _UNTIL, _LONGEST_CODE, _LONGEST_NAME = "1970-01-01", "2099-12-31", 50, 255

_OWN, _WIDTH = 2_000_000_000, 10_000_000  # the first number that OMOP leaves to sites; numbers of each prefix
# append only: a term's number is made from its prefix's place
_SLOTS = ("EFO:", "MONDO:", "Orphanet:", "OBA:", "OBA:VT", "HP:", "GO:", "MP:", "DOID:", "UBERON:", "CHEBI:", "CL:", "OTAR:")
_REST, _REST_WIDTH = 2_140_000_000, 7_000_000  # all other ids, by their hash


def concept_number(curie: str) -> int:
    """Give the number that a term has in OMOP tables.

    >>> concept_number("EFO:0000400"), concept_number("MONDO:0005148"), concept_number("OBA:VT0000047")
    (2000000400, 2010005148, 2040000047)
    """
    parts = re.fullmatch(r"(\w+:[A-Z]*)(\d{1,7})", curie)
    if parts and parts[1] in _SLOTS:
        return _OWN + _SLOTS.index(parts[1]) * _WIDTH + int(parts[2])
    return _REST + int.from_bytes(hashlib.sha256(curie.encode()).digest()[:8], "big") % _REST_WIDTH


def omop_tables(links: pa.Table, concepts: pa.Table, *, date: str | None = None, version: str | None = None) -> dict[str, pa.Table]:
    """Make the TABLES of links: one row per code and term in the first, one per term in the second.

    Args:
        links: Rows of the table `links` that are to go out; rejections and decisions on other pairs are left out.
        concepts: At least id, name, vocabulary and kind.
        date: When the links were made, ISO 8601; None: OMOP's beginning of time.
        version: The release of the target vocabulary.
    """
    import pandas as pd

    frame = links.select(["subject_id", "object_id", "rank", "predicate"]).to_pandas()
    frame = frame[(frame["rank"] > 0) & (frame["predicate"] != "not")].drop_duplicates(["subject_id", "object_id"])
    frame = frame.sort_values(["subject_id", "rank", "object_id"])
    about = concepts.select(["id", "name", "vocabulary", "kind"]).to_pandas().drop_duplicates("id").set_index("id")
    numbers = _numbers(frame["object_id"])
    start = date or _ALWAYS
    ids, terms = frame["subject_id"], pd.Series(sorted(numbers), dtype=object)
    mapped = {
        "source_code": ids.str.replace("^[^:]*:", "", regex=True).str.slice(0, _LONGEST_CODE),
        "source_concept_id": 0,
        "source_vocabulary_id": ids.map(about["vocabulary"]).map(lambda v: _VOCABULARY_IDS.get(v, v)),
        "source_code_description": ids.map(about["name"]).str.slice(0, _LONGEST_NAME),
        "target_concept_id": frame["object_id"].map(numbers),
        "target_vocabulary_id": "EFO",
        **_valid_from(start),
    }
    described = {
        "concept_id": terms.map(numbers),
        "concept_name": terms.map(about["name"]).str.slice(0, _LONGEST_NAME),
        "domain_id": terms.map(about["kind"]).map(_DOMAINS).fillna("Observation"),
        "vocabulary_id": "EFO",
        "concept_class_id": "Undefined",
        "standard_concept": None,
        "concept_code": terms.str.slice(0, _LONGEST_CODE),
        **_valid_from(start),
    }
    return {
        "source_to_concept_map": _table(mapped, MAP_COLUMNS, frame.index),
        "concept": _table(described, CONCEPT_COLUMNS, terms.index),
        "vocabulary": _vocabularies(set(mapped["source_vocabulary_id"]), version),
    }


def _numbers(curies: Iterable[str]) -> dict[str, int]:
    """Give each term its number; of two that hash alike (seldom: few terms have other prefixes), the later takes the next free one."""
    numbers: dict[str, int] = {}
    for curie in sorted(set(curies)):
        number = concept_number(curie)
        while number in numbers.values() if number >= _REST else False:
            number += 1
        numbers[curie] = number
    return numbers


def _valid_from(start: str) -> dict[str, Any]:
    return {"valid_start_date": start, "valid_end_date": _UNTIL, "invalid_reason": None}


def _vocabularies(sources: set[str], version: str | None) -> pa.Table:
    """List the vocabularies that OMOP does not bring: the target, and sources that no OMOP release has."""
    own = sorted(sources - {"ICD10", "ICD10CM", "ICD9CM"})
    rows = [("EFO", "Experimental Factor Ontology", "https://www.ebi.ac.uk/efo/", version, 0)]
    rows += [(name, name, "https://w3id.org/kgbuild/", None, 0) for name in own]
    columns = dict(zip(VOCABULARY_COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    return _table(columns, VOCABULARY_COLUMNS, range(len(rows)))


def _table(columns: dict[str, Any], names: Iterable[str], index: Any) -> pa.Table:
    """Make a table of strings and numbers; a column without any value is one of empty strings."""
    import pandas as pd
    import pyarrow as pa

    frame = pd.DataFrame({name: columns[name] for name in names}, index=index)
    fields = [pa.field(name, pa.int64() if name.endswith("concept_id") else pa.string()) for name in frame.columns]
    return pa.Table.from_pandas(frame, pa.schema(fields), preserve_index=False)
