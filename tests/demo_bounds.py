"""Bounds that the demonstration's figures must not fall below: `python tests/demo_bounds.py WORKSPACE` records them again.

WORKSPACE is what `kgbuild demo WORKSPACE` made, with the seeds as they are packaged. A bound is what was seen less the MARGIN:
other processors add up in another order, and choose another precision.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from kgbuild import pipeline
from kgbuild.evaluation.evaluated import Options
from kgbuild.workspace import Workspace

BOUNDS = Path(__file__).parent / "data" / "demo_bounds.json"
MARGIN = 0.03
TABLES = ("snp-trait", "concept-concept", "mapping")
FIGURES = ("auc", "matched", "hits_at_1")  # larger is better; ranks and odds ratios are too few here to bound
LEAST_N = 100  # a figure of fewer pairs says little


def figures(workspace: Workspace) -> dict[str, float]:
    """Evaluate a finished demonstration; give figures by table, row and column."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as aside:
        made = pipeline.evaluate(workspace, TABLES, options=Options(draws=3, resamples=50), out=Path(aside) / "report")
    for table, section in made.document["sections"].items():
        for row in section["rows"]:
            found |= {" | ".join([table, *_names(section, row), figure]): row[figure] for figure in FIGURES if _counts(row, figure)}
    return found


def _names(section: dict[str, Any], row: dict[str, Any]) -> list[str]:
    return [str(row[name]) for name in section["names"] if row.get(name) is not None]


def _counts(row: dict[str, Any], figure: str) -> bool:
    return row.get(figure) is not None and row.get("n", 0) >= LEAST_N and row.get("ranked_by") != "degree alone"


def main() -> None:
    """Write the file of bounds."""
    seen = figures(Workspace.open(Path(sys.argv[1])))
    bounds = {name: {"seen": value, "least": round(value - MARGIN, 4)} for name, value in seen.items()}
    BOUNDS.write_text(json.dumps(bounds, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
