"""One reader per file format. Each module has the same two functions and knows nothing of the others.

``recognise(sample) -> Recognised | None`` looks at the head of a file; ``read(path, *, source, options) -> Harvest`` turns
it into typed tables and a ledger in which every row is kept, merged or rejected. A file that is not what it should be
raises SourceError with file, line, value, what was expected and what to do.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from kgbuild.errors import ConfigurationError
from kgbuild.ledger import Ledger

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["KINDS", "Harvest", "Reader", "Recognised", "Sample", "reader"]

# kind in kgbuild.toml -> module here; the order is the order in which a file is offered to them
KINDS: dict[str, str] = {
    "obo": "obo",
    "replaced-by": "replaced_by",
    "icd10cm-order": "icd10cm",
    "icd9cm": "icd9cm",
    "phecode-definitions": "phecode_definitions",
    "phecode-map": "phecode_map",
    "curated-mappings": "mappings",
    "gwas-catalog": "gwas",
    "eqtl": "eqtl",
    "biobank": "biobank",
    "ld-blocks": "ld",
    "ensembl-symbols": "ensembl",
    "primekg": "primekg",
    "free-text": "free_text",
}


@dataclass(frozen=True)
class Sample:
    """The head of a file, as recognisers see it: decompressed, decoded, at most some hundred lines."""

    path: Path
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Recognised:
    """What a recogniser says of a file: enough to write its entry in kgbuild.toml."""

    kind: str
    version: str = ""  # release, if the file states one; comparable as text among files of one kind
    why: str = ""  # what gave it away, for the comment in kgbuild.toml
    options: Mapping[str, Any] = field(default_factory=dict)
    subset: bool = False  # says of itself that it is only a part (a sample, a demonstration subset)
    evaluation: bool = False  # development or test gold: never for training
    flavour: str = ""  # what tells files of one kind apart that stand side by side: a vocabulary, an ontology
    unasked: bool = False  # readable, but used only where somebody asks for it; `why` says the reason
    preference: int = 0  # among files of one kind and flavour, the richer layout is higher


@dataclass
class Harvest:
    """What a reader brings home: tables by name (columns of kgbuild.tables) and the account of every row."""

    tables: dict[str, pa.Table]
    ledger: Ledger
    version: str = ""
    notes: dict[str, int] = field(default_factory=dict)  # statements left out of rows that were kept: what -> how many


class Reader(Protocol):
    """What each module of this package is."""

    VERSION: int  # bump when the same file gives other tables

    def recognise(self, sample: Sample) -> Recognised | None: ...

    def read(self, path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest: ...


def reader(kind: str) -> Reader:
    """Give the reader of a kind.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if kind not in KINDS:
        raise ConfigurationError(f"no reader is called {kind!r}", advice=f"Known kinds: {', '.join(KINDS)}.")
    return cast("Reader", importlib.import_module(f"kgbuild.sources.{KINDS[kind]}"))
