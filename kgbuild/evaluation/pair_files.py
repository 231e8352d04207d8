"""A file of somebody's own pairs in, checked columns out; and the same as held-out pairs of a trait and a SNP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.errors import SourceError
from kgbuild.sources.delimited import Row, read_rows
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

    from kgbuild.scoring import Scorer

__all__ = ["PairFile", "as_held_out", "read_pairs"]

COLUMNS = {"left": ["left"], "right": ["right"]}
OPTIONAL = {"label": ["label"], "weight": ["weight"], "odds_ratio": ["odds_ratio", "odds ratio", "or"]}
_EXPECTED = {
    "label": "1 (belongs together) or 0",
    "weight": "a number of at least 0, or nothing",
    "odds_ratio": "a number above 0, or nothing",
}


@dataclass(frozen=True)
class PairFile:
    """What a file holds; numbers that are not given are nan.

    Args:
        path: The file.
        left: Texts, ids or rs ids.
        right: Likewise.
        label: (n,) 1 or 0; all 1 where the file has no such column.
        weight: (n,); all 1 likewise.
        odds_ratio: (n,).
        columns: The optional ones that it has.
    """

    path: Path
    left: Sequence[str]
    right: Sequence[str]
    label: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    odds_ratio: npt.NDArray[np.float64]
    columns: frozenset[str]


def read_pairs(path: Path) -> PairFile:
    """Read a table with the columns left and right, and label, weight and odds_ratio where it has them.

    Raises:
        SourceError: The file cannot be read, lacks a column, has no row, or a cell is not what it should be.
    """
    cells: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *OPTIONAL)}
    present: frozenset[str] = frozenset()
    for row in read_rows(path, columns=COLUMNS, optional=OPTIONAL):
        if not isinstance(row, Row):
            raise SourceError(path, row[1], line=row[0], expected="as many cells as the header has", advice="Mend or remove the line.")
        present = frozenset(row.cells) & frozenset(OPTIONAL)
        for name in COLUMNS:
            cells[name].append(row.cells[name].strip())
            if not cells[name][-1]:
                raise SourceError(path, f"the cell of {name!r} is empty", line=row.line, expected="a text, an id or an rs id")
        for name in OPTIONAL:
            cells[name].append(_number(path, row, name))
    if not cells["left"]:
        raise SourceError(path, "the file has a header and no row", line=1, expected="a pair on each line")
    numbers = {name: np.array(cells[name], dtype=np.float64) for name in OPTIONAL}
    for name in ("label", "weight"):
        numbers[name] = np.where(np.isnan(numbers[name]), 1.0, numbers[name])
    return PairFile(path, cells["left"], cells["right"], **numbers, columns=present)


def _number(path: Path, row: Row, name: str) -> float:
    text = row.cells.get(name, "").strip()
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    right = value in (0.0, 1.0) if name == "label" else math.isfinite(value) and (value > 0 or (name == "weight" and value == 0))
    if not right:
        raise SourceError(path, f"the cell of {name!r} is wrong", line=row.line, value=text, expected=_EXPECTED[name])
    return value


def as_held_out(pairs: PairFile, scorer: Scorer, tables_dir: Path) -> pd.DataFrame:
    """Give a file's true pairs of a text and a SNP as a split holds them; other pairs are passed over.

    Columns object_name, variant_id, trait_group and locus; a SNP that the model does not have stays, and gets no figure.
    """
    import pandas as pd

    from kgbuild.scoring import Resolver

    resolve, world = Resolver(scorer.model, tables_dir), scorer.world(tables_dir)
    known = {cell: resolve(cell) for cell in {*pairs.left, *pairs.right}}
    rows = []
    for left, right, label in zip(pairs.left, pairs.right, pairs.label.tolist(), strict=True):
        sides = dict((known[left], known[right]))
        if not label or len(sides) < 2:  # two texts, or two SNPs
            continue
        text, snp = str(sides.get("text", "")), sides.get("snp")
        if "text" not in sides or snp is None:
            rows.append((text, "", "", ""))
            continue
        group = world.groups.get(text, f"name:{normalise_name(text)}")
        rows.append((text, scorer.model.snp_ids[int(snp)], group, str(world.snp_locus[int(snp)])))
    return pd.DataFrame(rows, columns=["object_name", "variant_id", "trait_group", "locus"])
