"""Measured values as files write them: cells of text come in; -log10 p, numbers, chromosomes, dates and variant ids go out."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import datetime
from typing import NamedTuple

from kgbuild.vocabulary import content_id, variant_id

__all__ = [
    "CENSORED_AT",
    "GENOME_WIDE",
    "NamedVariant",
    "PValue",
    "chromosome",
    "clean",
    "in_mhc",
    "is_palindromic",
    "iso_date",
    "number",
    "other_id",
    "p_value",
    "place_id",
    "rs_or_place",
    "sequence",
]

CENSORED_AT = 323.0  # -log10 of the smallest double: what a p that was written as 0 is at least
GENOME_WIDE = -math.log10(5e-8) - 1e-6  # the slack is for log columns that were rounded
MHC = (25_000_000, 34_000_000)  # on chromosome 6, GRCh38; GRCh37 differs by some 30 kb

_DECIMAL = re.compile(r"([+-]?)(\d*)\.?(\d*)(?:\s*[x×*]\s*10\s*\^?\s*([+-]?\d+)|[eE]\s*([+-]?\d+))?")
_SPACES = re.compile(r"[\s\u200b\u200c\u200d\u2060\ufeff]+")


class PValue(NamedTuple):
    """A p value on the log scale; `censored` where it was written as 0."""

    neg_log10: float
    censored: bool


def clean(cell: str) -> str:
    r"""Drop outer and invisible space; thin and no-break spaces become plain ones.

    >>> clean(" mg\u2009dl\u00a0")
    'mg dl'
    """
    return _SPACES.sub(" ", cell).strip(" ")


def number(cell: str | None) -> float | None:
    """Read a finite number, else None.

    >>> number("1.5"), number("NR"), number("inf"), number(" .5 ")
    (1.5, None, None, 0.5)
    """
    try:
        value = float(cell) if cell else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def p_value(text: str) -> PValue | None:
    """Read a p value by mantissa and exponent, never through a double; None when it is no number from 0 to 1.

    >>> p_value("1E-400"), p_value("5 x 10-9"), p_value("0.0")
    (PValue(neg_log10=400.0, censored=False), PValue(neg_log10=8.301029995663981, censored=False), PValue(neg_log10=323.0, censored=True))
    >>> p_value("2"), p_value("NS"), p_value("-1e-5")
    (None, None, None)
    """
    match = _DECIMAL.fullmatch(text.strip().replace("\N{MINUS SIGN}", "-"))
    if not match or not (match[2] or match[3]) or match[1] == "-":
        return None
    mantissa = int(match[2] + match[3])
    if mantissa == 0:
        return PValue(CENSORED_AT, True)
    exponent = int(match[4] or match[5] or 0) - len(match[3])
    value = -math.log10(mantissa) - exponent
    return PValue(max(value, 0.0), False) if value > -1e-9 else None


def chromosome(cell: str) -> str | None:
    """Spell a chromosome 1..22, X, Y, MT; an alternative contig gives the chromosome it belongs to; else None.

    >>> chromosome("chr6"), chromosome("23"), chromosome("CHR_HSCHR6_MHC_SSTO_CTG1"), chromosome("M"), chromosome("")
    ('6', 'X', '6', 'MT', None)
    """
    match = re.fullmatch(r"(?:chr_?)?(?:HSCHR)?0?(\d{1,2}|X|Y|MT?)(?:_\w+)?", cell.strip(), re.IGNORECASE)
    if not match:
        return None
    name = match[1].upper()
    name = {"23": "X", "24": "Y", "25": "X", "26": "MT", "M": "MT"}.get(name, name)
    return name if not name.isdigit() or 1 <= int(name) <= 22 else None


def in_mhc(chrom: str | None, start: int | None, end: int | None = None) -> bool:
    """Tell whether a place, or an interval, touches the MHC (chr6:25-34 Mb).

    >>> in_mhc("6", 32_000_000), in_mhc("6", 34_500_000), in_mhc("6", 24_900_000, 25_100_000), in_mhc("7", 32_000_000)
    (True, False, True, False)
    """
    return chrom == "6" and start is not None and start <= MHC[1] and (end or start) >= MHC[0]


def iso_date(cell: str) -> str | None:
    """Spell a date as ISO 8601; the catalogue has written it in three ways; None for anything else.

    >>> iso_date("2011-02-23"), iso_date("09/28/2009"), iso_date("11-May-12"), iso_date("soon")
    ('2011-02-23', '2009-09-28', '2012-05-11', None)
    """
    for form in ("%Y-%m-%d", "%m/%d/%Y", "%d-%b-%y", "%d-%b-%Y"):
        try:
            return datetime.strptime(cell.strip(), form).date().isoformat()
        except ValueError:
            continue
    return None


def sequence(cell: str | None) -> str | None:
    """Spell an allele: bases in capitals, other notations (I, D, a repeat count) as written; None for unknown.

    >>> sequence("a"), sequence("?"), sequence("NR"), sequence("4")
    ('A', None, None, '4')
    """
    allele = clean(cell or "")
    if allele.upper() in {"", "?", "NR", "NA", "."}:
        return None
    return allele.upper() if re.fullmatch(r"[ACGTacgt]+", allele) else allele


def is_palindromic(one: str | None, other: str | None) -> bool:
    """Tell whether two alleles read the same on both strands (A/T, C/G).

    >>> is_palindromic("A", "T"), is_palindromic("A", "G"), is_palindromic("A", None)
    (True, False, False)
    """
    return {one, other} in ({"A", "T"}, {"C", "G"})


def place_id(build: str, chrom: str, position: int, ref: str, alt: str) -> str:
    """Give the id of a variant known by build, chromosome, position and both alleles: never by position alone."""
    return f"{build}:{chrom}:{position}:{ref}:{alt}"


_PLACE = re.compile(r"(?:chr)?([0-9]{1,2}|X|Y|MT?)[:_-](\d+)(?:[:_-]([ACGT]+)[:_/>-]([ACGT]+))?(?:_b(3[78]))?", re.IGNORECASE)


class NamedVariant(NamedTuple):
    """What a variant's name says: its id, whether it is a single known variant, and its place where the name tells it."""

    id: str
    kind: str  # single or other
    chromosome: str | None = None
    position: int | None = None
    build: str | None = None
    ref: str | None = None
    alt: str | None = None


def rs_or_place(name: str, build: str | None = None) -> NamedVariant:
    """Read a variant's name: an rs id, a place with both alleles on a known build, or something else that is kept as it is.

    A name that is neither (`rs12a`, an HLA allele, a place on an unknown build or without alleles) gets an id made from the
    text: such a variant joins nothing but itself.

    >>> rs_or_place("rs7903146").id, rs_or_place("chr1_64764_C_T_b38").id, rs_or_place("1:64764:c:t", "GRCh37").id
    ('dbsnp:rs7903146', 'GRCh38:1:64764:C:T', 'GRCh37:1:64764:C:T')
    >>> rs_or_place("chr1:123", "GRCh38").kind, rs_or_place("1:64764:C:T").kind, rs_or_place("HLA-B*57:01").kind
    ('other', 'other', 'other')
    """
    curie = variant_id(name)
    if curie:
        return NamedVariant(curie, "single")
    name = clean(name)
    match = _PLACE.fullmatch(name)
    chrom = chromosome(match[1]) if match else None
    if match and chrom:
        build = {"37": "GRCh37", "38": "GRCh38"}.get(match[5], build)
        place = (chrom, int(match[2]), build)
        if match[3] and build:
            ref, alt = match[3].upper(), match[4].upper()
            return NamedVariant(place_id(build, chrom, int(match[2]), ref, alt), "single", *place, ref, alt)
        return NamedVariant(other_id(name), "other", *place)
    return NamedVariant(other_id(name), "other")


def other_id(name: str) -> str:
    """Give the id of a variant that only its own name identifies."""
    return content_id("variantset", "other", unicodedata.normalize("NFC", name))
