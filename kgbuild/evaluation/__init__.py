"""A finished workspace in, tables of figures out: one module for each table, all of the same shape.

Each module has ``evaluate(evaluated: Evaluated) -> Section``: what is evaluated and the options in; a title, columns, rows
of plain values, notes and plots out. What a module needs and the workspace lacks is a WorkspaceError; a row that cannot be
measured (no file of external pairs, no weights of a text model) stands in the table all the same, with the reason in its
last column.

To add a table: write kgbuild/evaluation/<module>.py with such a function, add a line to TABLES, and a section to
docs/evaluation.md. The command line, the report's files, `--json` and `--compare` take it from there.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from kgbuild.errors import UsageError

if TYPE_CHECKING:
    from kgbuild.evaluation.evaluated import Evaluated
    from kgbuild.evaluation.section import Section

__all__ = ["TABLES", "Evaluate", "Table", "table"]


@dataclass(frozen=True)
class Table:
    """A table: its module here, the question that it answers, and whether it is made when none is named."""

    module: str
    question: str
    unasked: bool = True


TABLES: Mapping[str, Table] = {
    "snp-trait": Table("snp_traits", "Do held-out SNP-trait pairs stand out against others?"),
    "odds-ratio": Table("odds_ratios", "Of two SNPs of a trait, does the one with the larger odds ratio come first?"),
    "concept-concept": Table("concepts", "Do held-out disease-gene, pathway-gene and drug pairs stand out against others?"),
    "synonyms": Table("synonyms", "Are names that training did not have, and the words that lay people use, recognised? (--lay FILE)"),
    "concept-parts": Table("concept_parts", "What is each part of the score of two texts worth?", unasked=False),
    "mapping": Table("mapping_report", "Are links right, and do their probabilities mean what they say?"),
    "map": Table("map_figure", "How do diseases, their genes and their SNPs lie to each other? (--area asthma --area gout)", unasked=False),
    "pairs": Table("own_pairs", "Do the pairs of your own FILE stand out? (kgbuild evaluate pairs FILE --anchor left)", unasked=False),
    "ablation": Table("ablation", "What is each source of training worth? (trains once without each)", unasked=False),
}


class Evaluate(Protocol):
    """What each module of a table is."""

    def evaluate(self, evaluated: Evaluated) -> Section: ...


def table(name: str) -> Evaluate:
    """Give the module of a table.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in TABLES:
        raise UsageError(f"there is no table called {name!r}", advice=f"Tables: {', '.join(TABLES)}.")
    return cast("Evaluate", importlib.import_module(f"kgbuild.evaluation.{TABLES[name].module}"))
