"""A person's decisions in, as SSSOM files; checked, settled against each other and forwarded to the terms that are loaded, out.

Decisions are kept in one file of the workspace, so that they outlive every stage and every release of a vocabulary. The file
is plain SSSOM: it can be read, corrected and put under version control like any other.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kgbuild.errors import SourceError
from kgbuild.ingest import find_replacements
from kgbuild.sources.delimited import read_rows
from kgbuild.sources.mappings import PREDICATES
from kgbuild.vocabulary import PREFIXES, VOCABULARIES, code_curie, curie_from_uri, normalise_curie, text_id
from kgbuild.workspace import write_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["COLUMNS", "FILE", "MANUAL", "NO_TERM", "NOT", "Applied", "Decision", "Reading", "apply", "read", "take_over", "write"]

FILE = "decisions.sssom.tsv"  # in the workspace
MANUAL = "semapv:ManualMappingCuration"
NO_TERM = "sssom:NoTermFound"
NOT = "not"

COLUMNS = (
    "subject_id",
    "subject_label",
    "predicate_id",
    "predicate_modifier",
    "object_id",
    "object_label",
    "mapping_justification",
    "author_label",
    "mapping_date",
    "comment",
)
_NEEDED = ("subject_id", "predicate_id", "object_id", "mapping_justification")
_SPELLED = {"exact": "skos:exactMatch", "broad": "skos:broadMatch", "narrow": "skos:narrowMatch", "close": "skos:closeMatch"}
_CODED = {v.prefix: key for key, v in VOCABULARIES.items() if v.prefix and key not in {"text", "mondo", "doid"}}
_SHOWN_FAULTS = 5


@dataclass(frozen=True)
class Decision:
    """One pair that a person has judged; `predicate` is exact, broad, narrow, close or not."""

    subject_id: str
    object_id: str
    predicate: str
    subject_label: str = ""
    object_label: str = ""
    author_label: str = ""
    mapping_date: str = ""
    comment: str = ""
    line: int = 0  # of the file it was read from

    @property
    def pair(self) -> tuple[str, str]:
        return self.subject_id, self.object_id

    @property
    def inverse(self) -> Decision:
        """The same, said from the other end."""
        other = {"broad": "narrow", "narrow": "broad"}.get(self.predicate, self.predicate)
        return replace(
            self,
            subject_id=self.object_id,
            object_id=self.subject_id,
            predicate=other,
            subject_label=self.object_label,
            object_label=self.subject_label,
        )


@dataclass(frozen=True)
class Reading:
    """The decisions of a file, and how many of its rows nobody has decided on yet."""

    decisions: tuple[Decision, ...]
    undecided: int = 0


@dataclass(frozen=True)
class Applied:
    """Decisions as the links take them, and what became of the others."""

    frame: pd.DataFrame  # subject_id, object_id, decided, object_name, cited
    forwarded: tuple[tuple[str, str], ...] = ()  # (id as it was decided on, id as it is now)
    waiting: tuple[Decision, ...] = ()  # about a concept that is not loaded

    def facts(self) -> dict[str, Any]:
        """Count them, and name what was forwarded and what waits."""
        return {
            "applied": len(self.frame),
            "forwarded": [f"{old} -> {new}" for old, new in self.forwarded],
            "waiting": [f"{d.subject_id} -> {d.object_id}" for d in self.waiting],
        }


class _Fault(NamedTuple):
    line: int
    reason: str
    value: str
    expected: str


class _NoDecision(Exception):
    """Not an error: why one row cannot be taken."""

    def __init__(self, reason: str, value: str, expected: str) -> None:
        super().__init__(reason)
        self.reason, self.value, self.expected = reason, value, expected


def read(path: Path) -> Reading:
    """Read the decisions of an SSSOM file; rows with another justification than a person's are those nobody decided on yet.

    Of two decisions on one pair the one with the later `mapping_date` stands.

    Raises:
        SourceError: A column is missing, or rows are not what they should be: every such row is named.
    """
    found: list[Decision] = []
    faults: list[_Fault] = []
    undecided = 0
    optional = {name: (name,) for name in COLUMNS if name not in _NEEDED}
    for line, cells in read_rows(path, columns={name: (name,) for name in _NEEDED}, optional=optional):
        if isinstance(cells, str):
            faults.append(_Fault(line, "a wrong number of cells", cells, "as many cells as the header has"))
            continue
        try:
            decision = _understand({key: cell.strip() for key, cell in cells.items()}, line)
        except _NoDecision as why:
            faults.append(_Fault(line, why.reason, why.value, why.expected))
            continue
        undecided += decision is None
        found += [decision] if decision else []
    faults += _contradictions(found)
    if faults:
        raise _as_error(path, sorted(faults))
    return Reading(tuple(_settled(_by_date(found))), undecided)


def _understand(cells: Mapping[str, str], line: int) -> Decision | None:
    """Turn a row into a decision; None when nobody has decided on it."""
    justification = cells["mapping_justification"]
    if not justification.startswith("semapv:"):
        raise _NoDecision("the justification is no term of semapv", justification, f"{MANUAL} for what a person decided")
    if justification != MANUAL:
        return None
    subject = cells["subject_id"]
    label = cells.get("subject_label", "")
    if not subject and not label:
        raise _NoDecision("the row has no subject", subject, "a CURIE in subject_id, or a text in subject_label")
    predicate = PREDICATES.get(cells["predicate_id"].casefold(), ("", ""))[0]
    if predicate not in _SPELLED:
        raise _NoDecision("the predicate is none that decides", cells["predicate_id"], " or ".join(_SPELLED.values()))
    modifier = cells.get("predicate_modifier", "")
    if modifier.casefold() not in {"", "not"}:
        raise _NoDecision("the modifier is not known", modifier, "Not, or nothing")
    when = cells.get("mapping_date", "")
    try:
        date.fromisoformat(when or "2000-01-01")
    except ValueError:
        raise _NoDecision("the date cannot be read", when, "a date as 2026-11-21, or nothing") from None
    return Decision(
        _id(subject) if subject else text_id(label),
        NO_TERM if cells["object_id"] == NO_TERM else _id(cells["object_id"]),
        NOT if modifier else predicate,
        label,
        cells.get("object_label", ""),
        cells.get("author_label", ""),
        when,
        cells.get("comment", ""),
        line,
    )


def _id(text: str) -> str:
    curie = normalise_curie(text) or curie_from_uri(text)
    if curie is None:
        raise _NoDecision("not an identifier with a known prefix", text, "a CURIE such as MONDO:0005148 or icd10cm:E11.9")
    prefix, _, code = curie.partition(":")
    try:
        return code_curie(_CODED[prefix], code) if prefix in _CODED else curie
    except ValueError as error:
        raise _NoDecision(f"not a code of {prefix}", text, str(error).removeprefix("expected ")) from None


def _contradictions(decisions: Sequence[Decision]) -> list[_Fault]:
    """Find pairs that are judged in two ways on one day: nobody can tell which is meant."""
    first: dict[tuple[str, str, str], Decision] = {}
    faults = []
    for decision in decisions:
        earlier = first.setdefault((*decision.pair, decision.mapping_date), decision)
        if earlier.predicate != decision.predicate:
            faults.append(
                _Fault(
                    decision.line,
                    f"{decision.subject_id} and {decision.object_id} are decided on otherwise in line {earlier.line}",
                    _spelled(decision),
                    f"one decision for each pair (line {earlier.line}: {_spelled(earlier)}), or a later mapping_date for the one that stands",
                )
            )
    return faults


def _spelled(decision: Decision) -> str:
    return "Not skos:exactMatch" if decision.predicate == NOT else _SPELLED[decision.predicate]


def _as_error(path: Path, faults: Sequence[_Fault]) -> SourceError:
    first, *others = faults
    lines = [f"line {f.line}: {f.reason}, found {f.value!r}, expected {f.expected}" for f in others[: _SHOWN_FAULTS - 1]]
    left = len(others) - len(lines)
    also = "".join(f"\n  also {line}" for line in lines) + (f"\n  and {left} rows more" if left else "")
    advice = "Nothing was taken over; mend the rows and try again." + also
    return SourceError(path, first.reason, line=first.line, value=first.value, expected=first.expected, advice=advice)


def _by_date(decisions: Iterable[Decision]) -> list[Decision]:
    return sorted(decisions, key=lambda d: d.mapping_date)  # stable: of one day, the later row


def _settled(decisions: Iterable[Decision]) -> list[Decision]:
    """Keep the last decision on each pair; "no term fits" and "this one does" replace each other."""
    kept: dict[tuple[str, str], Decision] = {}
    for decision in decisions:
        if decision.object_id == NO_TERM:
            for pair in [p for p, d in kept.items() if p[0] == decision.subject_id and d.predicate != NOT]:
                del kept[pair]
        elif decision.predicate != NOT:
            kept.pop((decision.subject_id, NO_TERM), None)
        kept[decision.pair] = decision
    return sorted(kept.values(), key=lambda d: d.pair)


# ---------------------------------------------------------------- the file in the workspace


def take_over(kept: Path, files: Iterable[Path], *, today: str) -> list[str]:
    """Add the decisions of files to those that are kept, the later one on a pair winning; say of each file what it held.

    Args:
        kept: The workspace's file; made if it is not there, left alone if nothing changes.
        files: SSSOM files.
        today: The date that decisions without one get, ISO 8601.

    Raises:
        SourceError: A file holds rows that cannot be taken; then nothing is changed.
    """
    before = list(read(kept).decisions) if kept.exists() else []
    settled, told = before, []
    for file in files:
        reading = read(file)
        known = {d.pair: d for d in settled}
        fresh = [_dated(d, known.get(d.pair), today) for d in reading.decisions]
        settled = _settled(_by_date([*settled, *fresh]))
        now = {d.pair: d for d in settled}
        counts = {
            "new": sum(d.pair not in known for d in fresh),
            "changed": sum(d.pair in known and now.get(d.pair) != known[d.pair] for d in fresh),
            "older than what is kept": sum(d.pair in known and now.get(d.pair) == known[d.pair] != d for d in fresh),
            "not decided on yet": reading.undecided,
        }
        told.append(f"{file.name}: {len(fresh):,} decisions" + "".join(f", {n:,} {what}" for what, n in counts.items() if n))
    if [replace(d, line=0) for d in settled] != [replace(d, line=0) for d in before]:
        write(kept, settled)
    return told


def _dated(decision: Decision, known: Decision | None, today: str) -> Decision:
    """Date a decision that has no date; one that says what is kept already is left as it is kept."""
    if known and replace(decision, line=0, mapping_date="") == replace(known, line=0, mapping_date=""):
        return known if not decision.mapping_date else replace(decision, line=known.line)
    return decision if decision.mapping_date else replace(decision, mapping_date=today)


def write(path: Path, decisions: Iterable[Decision]) -> None:
    """Write decisions as SSSOM TSV, sorted, so that two versions of the file can be compared line by line."""
    rows = sorted(decisions, key=lambda d: d.pair)
    prefixes = {id_.partition(":")[0] for d in rows for id_ in d.pair} | {"semapv", "skos"}
    known = PREFIXES | _PREFIXES
    with write_whole(path) as aside, aside.open("w", encoding="utf-8", newline="") as handle:
        handle.write('#sssom_version: "1.1"\n')
        handle.write('#mapping_set_id: "https://w3id.org/kgbuild/decisions"\n')
        handle.write('#mapping_set_title: "What people decided; kept by kgbuild harmonise"\n')
        handle.write('#license: "https://w3id.org/sssom/license/unspecified"\n')
        handle.write("#curie_map:\n")
        for prefix in sorted(prefixes):
            handle.write(f'#  {prefix}: "{known.get(prefix, f"https://bioregistry.io/{prefix}:")}"\n')
        writer = csv.writer(handle, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        for d in rows:
            predicate, modifier = ("skos:exactMatch", "Not") if d.predicate == NOT else (_SPELLED[d.predicate], "")
            writer.writerow([d.subject_id, d.subject_label, predicate, modifier, d.object_id, d.object_label, MANUAL,
                             d.author_label, d.mapping_date, d.comment])  # fmt: skip


_PREFIXES = {
    "semapv": "https://w3id.org/semapv/vocab/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "sssom": "https://w3id.org/sssom/",
}


# ---------------------------------------------------------------- onto what is loaded


def apply(
    decisions: Iterable[Decision], concepts: pa.Table, xrefs: pa.Table, *, target: str = "efo", also: Mapping[str, str] | None = None
) -> Applied:
    """Read replaced ids by today's, turn decisions so that the term is the object, and set aside what is about nothing loaded.

    Where two decisions come to be about one pair, the one that was made on today's ids stands, else the later one.

    Args:
        decisions: What `read` gives of the workspace's file.
        concepts: Table `concepts`.
        xrefs: Table `xrefs`.
        target: The vocabulary whose terms are objects.
        also: Id -> name of what is there beside the concepts, e.g. the texts of a person's own list.
    """
    import pandas as pd

    live, terms, names = _loaded(concepts, target)
    names = {**(also or {}), **names}
    new_of = _replacements(xrefs, live)
    moved: set[tuple[str, str]] = set()
    placed: list[tuple[bool, Decision]] = []  # is it about today's ids?
    waiting = []
    for decision in _by_date(decisions):
        ids = [id_ if id_ in names else new_of.get(id_, id_) for id_ in decision.pair]
        if ids[0] not in names or (ids[1] not in names and ids[1] != NO_TERM) or ids[0] == ids[1]:
            waiting.append(decision)
            continue
        changed = {(old, new) for old, new in zip(decision.pair, ids, strict=True) if old != new}
        moved |= changed
        now = replace(decision, subject_id=ids[0], object_id=ids[1])
        placed.append((not changed, now.inverse if ids[0] in terms and ids[1] not in terms and ids[1] != NO_TERM else now))
    settled = _settled(d for _, d in sorted(placed, key=lambda p: p[0]))
    rows = [(*d.pair, d.predicate, names.get(d.object_id, ""), f"decisions:{d.line}") for d in sorted(settled, key=lambda d: d.pair)]
    frame = pd.DataFrame(rows, columns=["subject_id", "object_id", "decided", "object_name", "cited"], dtype=object)
    return Applied(frame, tuple(sorted(moved)), tuple(waiting))


def _loaded(concepts: pa.Table, target: str) -> tuple[set[str], set[str], dict[str, str]]:
    """Give the ids that are live in a vocabulary, those that are terms of the target, and the name of every concept that is live."""
    rows = concepts.select(["id", "name", "vocabulary", "obsolete"]).to_pydict()
    live, terms, names = set(), set(), {}
    for id_, name, vocabulary, obsolete in zip(*rows.values(), strict=True):
        if obsolete:
            continue
        names[id_] = name
        if vocabulary != "primekg":  # it repeats others' ids, replaced ones too
            live.add(id_)
        if vocabulary == target:
            terms.add(id_)
    return live, terms, names


def _replacements(xrefs: pa.Table, live: set[str]) -> dict[str, str]:
    import pyarrow.compute as pc

    stated = xrefs.filter(pc.equal(xrefs["predicate"], "replaced_by"))
    return find_replacements(zip(stated["subject_id"].to_pylist(), stated["object_id"].to_pylist(), strict=True), live)
