"""Releases: a version in a file's name or header comes in, a version that can be compared goes out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["newest_first", "says_subset", "version_in"]

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
_DATE_BACKWARDS = re.compile(r"(?<!\d)(0[1-9]|[12]\d|3[01])[:.](0[1-9]|1[0-2])[:.]((?:19|20)\d\d)(?!\d)")  # OBO 1.2: 15:08:2017
_DOTTED = re.compile(r"(?<![\d.])v?(\d+(?:\.\d+)+)(?![\d])")
_RELEASE = re.compile(r"(?<![a-z0-9])(?:v|e|r|release[-_ ]?)(\d+)(?![a-z0-9])", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_SUBSET = re.compile(r"(?<![a-z])(sample|subset|mini|demo|example|small|toy|excerpt|head|tiny)(?![a-z])", re.IGNORECASE)


def version_in(text: str) -> str:
    """Find a version in a file name, an IRI or a header line; empty when there is none.

    A dotted number goes before a date, because a name that has both (``efo_2.87_2017-08-15``) names the release by the number.

    >>> version_in("http://www.ebi.ac.uk/efo/releases/v3.74.0/efo.owl"), version_in("efo_2.87_2017-08-15.obo.gz")
    ('3.74.0', '2.87')
    >>> version_in("releases/2024-01-03"), version_in("15:08:2017 12:52"), version_in("gwas_catalog_v1.0-associations_e110_r2023-11-08.tsv")
    ('2024-01-03', '2017-08-15', '1.0')
    >>> version_in("icd10cm-order-2021.txt"), version_in("pheinfo.csv")
    ('2021', '')
    """
    without_dates = _DATE_BACKWARDS.sub(" ", _DATE.sub(" ", text))
    if dotted := _DOTTED.search(without_dates):
        return dotted[1]
    if date := _DATE.search(text):
        return "-".join(date.groups())
    if date := _DATE_BACKWARDS.search(text):
        return "-".join(reversed(date.groups()))
    found = _RELEASE.search(text) or _YEAR.search(text)
    return found[1] if found else ""


def newest_first(versions: Iterable[str]) -> dict[str, int]:
    """Rank versions, 0 for the newest; versions of different styles (a date, a number) are equal, an unknown one is last.

    >>> newest_first(["2.87", "3.74.0", "3.9"])
    {'2.87': 2, '3.74.0': 0, '3.9': 1}
    >>> newest_first(["2023-11-08", "1.0.2", ""])
    {'2023-11-08': 0, '1.0.2': 0, '': 1}
    """
    keys = {version: tuple(int(part) for part in re.findall(r"\d+", version)) for version in versions}
    known = {key for version, key in keys.items() if version}
    one_style = len({bool(key) and key[0] >= 1900 for key in known}) == 1
    order = sorted(known, reverse=True)
    last = len(order) if one_style else min(1, len(order))
    return {version: last if not version else order.index(key) if one_style else 0 for version, key in keys.items()}


def says_subset(path: Path | str) -> bool:
    """Tell whether a path says of itself that it is only a part.

    >>> says_subset("gwas-2020-sample.tsv.gz"), says_subset("data/mini/efo.obo"), says_subset("minimal.tsv")
    (True, True, False)
    """
    return any(_SUBSET.search(part) for part in Path(path).parts)
