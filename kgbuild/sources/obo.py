"""An ontology in OBO format (1.2 or 1.4) in; concepts, names, cross-references and the is_a hierarchy out.

A row is a [Term] stanza; [Typedef] and [Instance] stanzas are passed over and not counted. Of a term, `id`, `name`,
exact synonyms, `xref`, `is_a`, `replaced_by`, `consider`, `alt_id` and `is_obsolete` are read; definitions and other
relationships are not. Identifiers of UMLS, SNOMED CT, MedDRA and MedGen are dropped, for their licences forbid passing
them on. What is dropped from a term that is kept is counted in `Harvest.notes`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgbuild import tables
from kgbuild.errors import SourceError
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.codes import is_a_row
from kgbuild.sources.delimited import open_text
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import VOCABULARIES, code_curie, curie_from_uri, normalise_curie

__all__ = ["VERSION", "read", "recognise"]

VERSION = 1

# precedence: the first root that a term lies under says what it is; (root, kind, only for ids of this prefix)
_ROOTS: tuple[tuple[str, str, str], ...] = (
    ("EFO:0001444", "Measurement", ""),  # measurement
    ("EFO:0000408", "Disease", ""),  # disease
    ("MONDO:0000001", "Disease", ""),  # disease (Mondo's root)
    ("DOID:4", "Disease", ""),
    ("EFO:0000651", "Phenotype", ""),  # phenotype
    ("HP:0000118", "Phenotype", ""),  # phenotypic abnormality
    ("GO:0003674", "MolecularFunction", "GO"),
    ("GO:0005575", "CellularComponent", "GO"),
    ("GO:0008150", "BiologicalProcess", "GO"),  # EFO hangs traits such as energy intake under it: those are phenotypes
    ("CHEBI:23888", "Drug", ""),  # drug
    ("EFO:0000635", "Anatomy", ""),  # organism part
    ("EFO:0000487", "Exposure", ""),  # exposure
)
# for a term under none of them (classes without a parent, obsolete ones)
_PREFIX_KINDS = {
    "MONDO": "Disease", "Orphanet": "Disease", "DOID": "Disease", "OTAR": "Disease", "OBA": "Measurement", "GO": "BiologicalProcess",
    "CHEBI": "Drug", "UBERON": "Anatomy", "CL": "Anatomy", "BTO": "Anatomy", "FBBT": "Anatomy",
}  # fmt: skip
_MEASUREMENT = re.compile(r"\bmeasurements?$")  # EFO's own naming rule, for its classes without a parent

# prefixes of cross-references, without case and punctuation -> prefix here; a coded vocabulary also has its codes respelled
_XREF_PREFIXES = {
    "icd10": "icd10", "icd10who": "icd10", "icd10cm": "icd10cm", "icd9": "icd9cm", "icd9cm": "icd9cm",
    "ordo": "Orphanet", "orphanet": "Orphanet", "orpha": "Orphanet", "mesh": "mesh", "msh": "mesh", "omim": "omim", "mim": "omim",
    "pmid": "pubmed", "pubmed": "pubmed", "ncit": "NCIT", "nci": "NCIT", "hgnc": "hgnc", "drugbank": "drugbank", "reactome": "reactome",
}  # fmt: skip
_RESTRICTED = re.compile(r"umls|snomed|sctid|medd?ra|medgen", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[A-Za-z][\w.\-]*:[^\s/]\S*")
_EXPECTED = "an OBO file: a header, then stanzas `[Term]` with lines `tag: value`"

_ESCAPES = {"n": "\n", "t": "\t", "W": " "}
_ESCAPE = re.compile(r"\\(.)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w+)?')
_COMMENT = re.compile(r"(?<!\\)\s!(\s.*)?$")
_MODIFIER = re.compile(r"\s\{[^{}]*=[^{}]*\}$")


@dataclass
class _Term:
    """What one [Term] stanza says."""

    line: int
    id: str
    name: str = ""
    synonyms: list[str] = field(default_factory=list)
    xrefs: list[tuple[str, str, str]] = field(default_factory=list)  # (subject, predicate, object)
    parents: list[str] = field(default_factory=list)
    obsolete: bool = False

    @property
    def replacements(self) -> list[str]:
        return [new for old, predicate, new in self.xrefs if predicate == "replaced_by" and old == self.id]


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a first line `format-version:`, or a [Term] stanza."""
    lines = [line.strip() for line in sample.lines if line.strip()]
    if not lines or not (lines[0].startswith("format-version:") or "[Term]" in lines):
        return None
    end = next((n for n, line in enumerate(lines) if line.startswith("[")), len(lines))
    header = {tag: value.strip() for tag, _, value in (line.partition(":") for line in reversed(lines[:end]))}
    ontology = _ontology(header)
    why = f"OBO stanzas of the ontology {ontology or 'without a name'}"
    return Recognised("obo", _version(header, sample.path), why, subset=says_subset(sample.path.name), flavour=ontology)


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read every term; two stanzas of one id and name are joined. An obsolete term without a name only forwards.

    Raises:
        SourceError: The file holds no [Term], or a line is no `tag: value`.
    """
    ledger, notes = Ledger(source), Counter[str]()
    header: dict[str, str] = {}
    terms: dict[str, _Term] = {}
    for line, tags in _stanzas(path, header):
        term = _term(line, tags, notes)
        if not term.id:
            ledger.reject(line, "the stanza has no id", term.name)
        elif term.id in terms:
            _join(terms[term.id], term, ledger)
        elif term.name or term.replacements:
            terms[term.id] = term
            ledger.keep(line)
        else:
            ledger.reject(line, "the stanza has no name", term.id)
    if not ledger.rows_in:
        raise SourceError(path, "holds no [Term] stanza", line=1, expected=_EXPECTED, advice="Is this the ontology's OBO file, whole?")
    ontology = _ontology(header)
    vocabulary = str(options.get("vocabulary") or (ontology if ontology in VOCABULARIES else "efo"))
    return Harvest(_tables(terms, vocabulary, source, notes), ledger, _version(header, path), dict(sorted(notes.items())))


def _ontology(header: Mapping[str, str]) -> str:
    name = header.get("ontology") or header.get("default-namespace") or ""
    return re.sub(r"\.(owl|obo)$", "", name.rpartition("/")[2]).lower()


def _version(header: Mapping[str, str], path: Path) -> str:
    stated = header.get("data-version", "") or header.get("date", "")
    return version_in(stated) or stated or version_in(path.name)


def _stanzas(path: Path, header: dict[str, str]) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Give line and tags of each [Term]; put the header's tags into `header`."""
    stanza, start, tags = "", 0, list[tuple[str, str]]()
    with open_text(path) as handle:
        for number, raw in enumerate(handle, 1):
            line = raw.strip()
            if not line or line.startswith("!"):
                continue
            if line.startswith("[") and line.endswith("]"):
                if stanza == "[Term]":
                    yield start, tags
                stanza, start, tags = line, number, []
                continue
            tag, colon, value = line.partition(":")
            if not colon:
                raise SourceError(
                    path,
                    "a line is no `tag: value`",
                    line=number,
                    value=line,
                    expected=_EXPECTED,
                    advice="Is this the ontology's OBO file, whole?",
                )
            if stanza:
                tags.append((tag, value.strip()))
            else:
                header.setdefault(tag, value.strip())
    if stanza == "[Term]":
        yield start, tags


def _term(line: int, tags: list[tuple[str, str]], notes: Counter[str]) -> _Term:
    term = _Term(line, next((_curie(_plain(value)) for tag, value in tags if tag == "id"), ""))
    for tag, value in tags:
        if tag == "name":
            term.name = term.name or _plain(value)
        elif tag in {"synonym", "exact_synonym"}:
            _add_synonym(term, value, tag == "exact_synonym", notes)
        elif tag == "is_a":
            term.parents.append(_curie(_plain(value).partition(" ")[0]))
        elif tag == "xref":
            target = _xref(value, term.id, notes)
            if target:
                term.xrefs.append((term.id, "xref", target))
        elif tag in {"consider", "equivalent_to"}:
            term.xrefs.append((term.id, "xref", _curie(_plain(value))))
        elif tag == "replaced_by":
            term.xrefs.append((term.id, "replaced_by", _curie(_plain(value))))
        elif tag == "alt_id":
            term.xrefs.append((_curie(_plain(value)), "replaced_by", term.id))
        elif tag == "is_obsolete":
            term.obsolete = _plain(value) == "true"
    return term


def _add_synonym(term: _Term, value: str, exact: bool, notes: Counter[str]) -> None:
    quoted = _QUOTED.match(value)
    if quoted is None:
        notes["synonyms without quotes, not read"] += 1
    elif exact or quoted[2] == "EXACT":
        name = _unescaped(quoted[1]).strip()
        if re.search(r"\w", name):
            term.synonyms.append(name)
        else:
            notes["synonyms without a letter or digit, dropped"] += 1


def _plain(value: str) -> str:
    r"""Read an unquoted value: without trailing modifiers and comment, escapes resolved.

    >>> _plain("MONDO:0021179 ! proteostasis deficiencies"), _plain('GO:1 {source="x"} ! y'), _plain(r"a\, b\! c"), _plain("Yahoo! {a}")
    ('MONDO:0021179', 'GO:1', 'a, b! c', 'Yahoo! {a}')
    """
    if "!" in value:
        value = _COMMENT.sub("", value)
    if value.endswith("}"):
        value = _MODIFIER.sub("", value)
    return _unescaped(value).strip()


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text) if "\\" in text else text


def _curie(text: str) -> str:
    """Spell an identifier with its canonical prefix; one with an unknown prefix stays as written."""
    return normalise_curie(text) or (curie_from_uri(text) if "://" in text else None) or text


def _xref(value: str, own_id: str, notes: Counter[str]) -> str | None:
    """Spell the target of a cross-reference; None, and a note, for one that is not taken."""
    text = _unescaped(re.split(r'\s+["{!\[]', value, maxsplit=1)[0]).strip()
    prefix, _, local = text.partition(":")
    if _RESTRICTED.match(prefix):
        notes["cross-references to UMLS, SNOMED CT, MedDRA or MedGen, dropped"] += 1
        return None
    if local.startswith("//"):
        target = curie_from_uri(text)
    else:
        known = _XREF_PREFIXES.get(re.sub(r"[^a-z0-9.]", "", prefix.lower()))
        target = _code(known, local.strip()) if known and local else normalise_curie(text) or text
        target = target if _IDENTIFIER.fullmatch(target) else None
    if target is None:
        notes["cross-references that are no identifier, dropped"] += 1
    elif target == own_id:
        notes["cross-references of a term to itself, dropped"] += 1
        return None
    return target


def _code(prefix: str, local: str) -> str:
    if prefix in VOCABULARIES:
        try:
            return code_curie(prefix, local)
        except ValueError:  # a range of codes, say: it stays, and matches nothing
            return f"{prefix}:{local}"
    return f"{prefix}:{local}"


def _join(first: _Term, second: _Term, ledger: Ledger) -> None:
    """Add to a term what another stanza of its id says, unless they are two things."""
    same_name = not first.name or not second.name or first.name == second.name
    if not same_name or first.obsolete != second.obsolete:
        ledger.reject(
            second.line, "the id is defined before as something else", f"{second.id} {second.name!r}, on line {first.line} {first.name!r}"
        )
        return
    first.name = first.name or second.name
    first.synonyms += second.synonyms
    first.xrefs += second.xrefs
    first.parents += second.parents
    ledger.merge(second.line, "another stanza of the same id", f"line {first.line}")


def _tables(terms: Mapping[str, _Term], vocabulary: str, source: str, notes: Counter[str]) -> dict[str, Any]:
    kinds = _kinds(terms)
    concepts, names, xrefs, relations = [], [], [], []
    for term in terms.values():
        xrefs += [(*xref, source, term.line) for xref in dict.fromkeys(term.xrefs)]
        if not term.name:
            continue
        concepts.append((term.id, term.name, vocabulary, kinds[term.id], term.obsolete, None, True, source, term.line))
        roles = dict.fromkeys(term.synonyms, "synonym") | {term.name: "label"}
        names += [(term.id, name, roles[name], source, term.line) for name in dict.fromkeys((term.name, *term.synonyms))]
        for parent in dict.fromkeys(term.parents):
            if parent == term.id:
                notes["is_a of a term to itself, dropped"] += 1
            elif parent not in terms or not terms[parent].name:
                notes["is_a to a term that the file does not define, dropped"] += 1
            else:
                relations.append(is_a_row(term.id, parent, source, term.line))
    rows: dict[str, list[tuple[Any, ...]]] = {"concepts": concepts, "names": names, "xrefs": xrefs, "relations": relations}
    return {name: tables.from_rows(name, table) for name, table in rows.items()}


def _kinds(terms: Mapping[str, _Term]) -> dict[str, str]:
    """Tell what each term is: by its ancestors, else (an obsolete one) by its replacement, else by name or prefix."""
    children: dict[str, list[str]] = {}
    for term in terms.values():
        for parent in term.parents:
            children.setdefault(parent, []).append(term.id)
    kinds: dict[str, str] = {}
    for root, kind, prefix in _ROOTS:
        below, waiting = {root}, [root]
        while waiting:
            new = [child for child in children.get(waiting.pop(), ()) if child not in below]
            below.update(new)
            waiting += new
        for curie in below & terms.keys():
            if not prefix or curie.startswith(f"{prefix}:"):
                kinds.setdefault(curie, kind)
    return {curie: _kind(curie, terms, kinds) for curie in terms}


def _kind(curie: str, terms: Mapping[str, _Term], kinds: Mapping[str, str]) -> str:
    followed: list[str] = []
    place: str | None = curie
    while place and place not in followed:
        if place in kinds:
            return kinds[place]
        followed.append(place)
        place = next(iter(terms[place].replacements), None) if place in terms else None
    if _MEASUREMENT.search(terms[curie].name):
        return "Measurement"
    return next((_PREFIX_KINDS[prefix] for prefix in (c.partition(":")[0] for c in followed) if prefix in _PREFIX_KINDS), "Phenotype")
