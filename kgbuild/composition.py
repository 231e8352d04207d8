"""A text that names several things in; its parts, and how they are put together, out.

"Asthma, hay fever or eczema" is none of the three: it is wider than each. Only what needs no guess is taken apart: every part
must be a name that is known, as it stands or with the words that the parts share ("type 1 and type 2 diabetes").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kgbuild.qualifiers import is_composite
from kgbuild.vocabulary import normalise_name

__all__ = ["COMPOSITIONS", "Composition", "taken_apart"]

# how parts are put together -> what the whole is to each part, as the predicate from the whole to it
COMPOSITIONS: dict[str, str] = {
    "any": "narrow",  # one or another of them: each part is narrower than the whole
    "all": "broad",  # one with another: each part is broader than the whole
}
_MOST = 6  # parts; longer lists are enumerations of another kind
_SHARED = 4  # words that parts may share at either end
_SPLIT = re.compile(r"\s*(?:,\s*(?:and/or|and|or)\b|[,;]|/|\band/or\b|\bor\b|\band\b)\s*", re.IGNORECASE)
_ANY = re.compile(r"\bor\b|/", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^()]*\)\s*$")


@dataclass(frozen=True)
class Composition:
    """How parts are put together (a key of COMPOSITIONS), and what is known under each part's name: (part, id)."""

    kind: str
    parts: tuple[tuple[str, str], ...]


def taken_apart(text: str, known: Mapping[str, str], *, coded: bool = False) -> Composition | None:
    """Take a text apart where every part is a known name; None where it is one name itself, or some part is none.

    Args:
        text: As written; what stands in brackets at its end is left out.
        known: Normal form of a name -> id.
        coded: Is it a code's name? There, "and" means one or another (ICD's conventions say so).

    >>> known = {"asthma": "EFO:1", "hay fever": "EFO:2", "type 1 diabetes": "EFO:3", "type 2 diabetes": "EFO:4"}
    >>> taken_apart("Asthma or hay fever (MTAG)", known)
    Composition(kind='any', parts=(('Asthma', 'EFO:1'), ('hay fever', 'EFO:2')))
    >>> taken_apart("Type 1 and type 2 diabetes", known)
    Composition(kind='all', parts=(('Type 1 diabetes', 'EFO:3'), ('type 2 diabetes', 'EFO:4')))
    >>> taken_apart("Asthma or feeling tired", known) is None
    True
    """
    whole = _without_asides(text)
    if not is_composite(whole) or normalise_name(whole) in known or normalise_name(text) in known:
        return None
    parts = [part for part in _SPLIT.split(whole) if part]
    if not 2 <= len(parts) <= _MOST:
        return None
    found = [_found(spellings, known) for spellings in _spellings(parts)]
    named = tuple(part for part in found if part)
    if len(named) < len(parts) or len({id_ for _, id_ in named}) < 2:
        return None
    return Composition("any" if coded or _ANY.search(whole) else "all", named)


def _without_asides(text: str) -> str:
    while (shorter := _ASIDE.sub("", text)) != text:
        text = shorter
    return text.strip()


def _found(spellings: Iterator[str], known: Mapping[str, str]) -> tuple[str, str] | None:
    return next(((spelling, known[form]) for spelling in spellings if (form := normalise_name(spelling)) in known), None)


def _spellings(parts: Sequence[str]) -> Iterator[Iterator[str]]:
    """Give, for each part, the names that it may stand for: itself, with the last part's last words, with the first one's first."""
    head, tail = parts[0].split(), parts[-1].split()

    def of(part: str, is_first: bool, is_last: bool) -> Iterator[str]:
        yield part
        for n in range(1, _SHARED + 1):
            if not is_last and n < len(tail):
                yield f"{part} {' '.join(tail[-n:])}"
        for n in range(_SHARED, 0, -1):
            if not is_first and n < len(head):
                yield f"{' '.join(head[:n])} {part}"

    for place, part in enumerate(parts):
        yield of(part, place == 0, place == len(parts) - 1)
