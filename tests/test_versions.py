"""A stage whose output changed must have a new number, or workspaces keep results of the old one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from kgbuild import graph, ingest, tables
from kgbuild.workspace import Workspace

GOLDEN = Path(__file__).parent / "data" / "golden_stages.json"


def digest(folder: Path) -> str:
    """Hash the rows of every table; `sources` names files of a temporary folder's making and stays out."""
    total = hashlib.sha256()
    for name in sorted(path.stem for path in folder.glob("*.parquet") if path.stem in tables.TABLES and path.stem != "sources"):
        total.update(f"{name}\n".encode())
        for row in tables.read(folder, name).to_pylist():
            total.update(json.dumps(row, ensure_ascii=False).encode())
    return total.hexdigest()[:16]


def test_ingest_that_gives_other_tables_has_a_new_version(finished: Workspace) -> None:
    golden = json.loads(GOLDEN.read_text())
    found = {"version": ingest.VERSION, "digest": digest(finished.folder("tables"))}
    assert found == golden["tables"], f"Tables changed: bump kgbuild.ingest.VERSION (or the reader's), then put {found} into {GOLDEN.name}."


def test_a_graph_of_other_columns_has_a_new_version() -> None:
    from kgbuild.schema import EDGE_TYPES, NODE_LABELS

    spelled = repr([(n.label, n.all_properties) for n in NODE_LABELS.values()]) + repr(
        [(e.type, e.all_properties) for e in EDGE_TYPES.values()]
    )
    golden = json.loads(GOLDEN.read_text())
    found = {"version": graph.VERSION, "digest": hashlib.sha256(spelled.encode()).hexdigest()[:16]}
    assert found == golden["graph"], f"The schema changed: bump kgbuild.graph.VERSION, then put {found} into {GOLDEN.name}."
