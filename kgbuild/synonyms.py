"""Names of concepts in, those that are kept from training out: synonyms that no training text has, to be recognised unseen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kgbuild import tables
from kgbuild.errors import UsageError
from kgbuild.splits import draw
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "split_synonyms"]

COLUMNS = ["concept_id", "label", "name", "part"]


def split_synonyms(folder: Path, *, share: float = 0.02, development: float = 0.01, seed: int = 20261121) -> pd.DataFrame:
    """Hold out synonyms: `share` of them as `test`, `development` as `development`, one row per concept and name.

    A name is drawn by its normal form, so that it is held out of every concept that has it. What is also a label, a gene's
    symbol or a trait as written is not held out: training reads it anyway.

    Args:
        folder: Where `kgbuild.tables.read` finds names, concepts, genes and associations.
        share: May be 0.
        development: Likewise.
        seed: Another one draws other names.

    Raises:
        UsageError: The shares are not what they should be.
    """
    if not (share >= 0 and development >= 0 and share + development < 0.5):
        raise UsageError(f"shares of {share} and {development} are held out, expected at least 0 and less than 0.5 together")
    names = tables.read(folder, "names", ["concept_id", "name", "role"]).to_pandas()
    names = names[names["role"] == "synonym"].assign(label=lambda rows: rows["concept_id"].map(tables.names_by_id(folder)))
    names = names.dropna(subset=["label"]).drop_duplicates(["concept_id", "name"])
    normal = names["name"].map(normalise_name)
    read_anyway = _read_anyway(folder)
    free = (normal != "") & ~normal.isin(read_anyway)
    names, normal = names[free], normal[free]
    names["part"] = ["test" if x < share else "development" if x < share + development else "" for x in draw(normal, seed)]
    return names.loc[names["part"] != "", COLUMNS].sort_values(COLUMNS).reset_index(drop=True)


def _read_anyway(folder: Path) -> set[str]:
    """Give the normal forms of texts that other tasks of training read."""
    said = set(tables.names_by_id(folder).values())
    said.update(tables.read(folder, "associations", ["object_name"])["object_name"].unique().to_pylist())
    return {normalise_name(text) for text in said}
