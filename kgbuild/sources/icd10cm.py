"""ICD-10-CM order file (CMS, fixed width) in; codes with long and short texts, headers marked, out.

Columns as CMS documents them, counted from 1: 1-5 order number, 7-13 code without dot, 15 header flag (0: a heading that
no record may carry, 1: a billable code), 17-76 short text, 78 to the end long text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kgbuild.errors import SourceError
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.codes import Code, code_tables, without_repeats
from kgbuild.sources.delimited import open_text
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import code_curie

__all__ = ["VERSION", "read", "recognise"]

VERSION = 1

_LINE = re.compile(r"\d{5} [A-Z][0-9A][0-9A-Z]{1,5} +[01] \S")
_EXPECTED = "00004 A009    1 Cholera, unspecified … : order, code, header flag (column 15), short text (17), long text (78)"


def recognise(sample: Sample) -> Recognised | None:
    """Recognise lines that begin with a five-digit order number, a code and a header flag."""
    lines = [line for line in sample.lines if line.strip()]
    if not lines or not all(_LINE.match(line) and len(line) > 77 for line in lines):
        return None
    return Recognised(
        "icd10cm-order", version_in(sample.path.name), "fixed-width order lines of ICD-10-CM", subset=says_subset(sample.path.name)
    )


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:  # noqa: ARG001 - every reader takes them
    """Read codes; a code's group is the text of its three-character category.

    Raises:
        SourceError: No line is an order line.
    """
    ledger = Ledger(source)
    codes = without_repeats(_codes(path, ledger), ledger)
    if not codes:
        raise SourceError(
            path,
            "holds no line of an ICD-10-CM order file",
            line=1,
            expected=_EXPECTED,
            advice="Take icd10cm-order-<year>.txt from CMS, not the tabular XML.",
        )
    return Harvest(code_tables(codes, vocabulary="icd10cm", source=source), ledger, version_in(path.name))


def _codes(path: Path, ledger: Ledger) -> Iterator[Code]:
    with open_text(path) as handle:
        for number, line in enumerate(handle, 1):
            line = line.rstrip()
            if not line:
                continue
            if not _LINE.match(line):
                ledger.reject(number, "not an order line of ICD-10-CM", line)
                continue
            try:
                curie = code_curie("icd10cm", line[6:13])
            except ValueError as error:
                ledger.reject(number, f"not an ICD-10-CM code: {error}", line[6:13].strip())
                continue
            short, long = line[16:76].strip(), line[77:].strip()
            yield Code(number, curie, long or short, None, short, line[14] == "1")
