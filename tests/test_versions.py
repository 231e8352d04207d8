"""A stage whose output changed must have a new number, or workspaces keep results of the old one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from kgbuild import graph, ingest, links, merge, tables
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


def test_other_links_or_groups_of_the_same_names_have_a_new_version() -> None:
    """On names made for this, without a fit: what a regression gives in its last digits may differ from machine to machine."""
    import pandas as pd
    from small_terms import organ_gold, organ_terms, subjects

    from kgbuild.links import link

    gold, terms = organ_gold(), organ_terms()
    asked = subjects({f"icd10:{n}": (row["subject_label"], "icd10") for n, row in enumerate(gold[::3])})
    said = pd.DataFrame(gold).assign(subject_id=[f"icd10:{n}" for n in range(len(gold))])
    decided = pd.DataFrame(
        [("icd10:1", "EFO:3", "exact", "", "decisions:2"), ("icd10:2", "EFO:1", "not", "", "decisions:3"), ("icd10:3", "icd10:4", "exact", "", "decisions:4")],
        columns=["subject_id", "object_id", "decided", "object_name", "cited"],
    )  # fmt: skip
    xrefs = pd.DataFrame([("EFO:9", "xref", "icd10:9")], columns=["subject_id", "predicate", "object_id"])
    made = link(asked, terms, mappings=said[5:9], xrefs=xrefs, calibration=None, decisions=decided)
    concepts = [(id_, name, vocabulary, "Disease", False, None, True, "s", 1) for names, vocabulary in ((terms.names, "efo"), (asked.names, "icd10"))
                for id_, name in zip(names.ids, [names.texts[row] for row in range(0, len(names.texts), len(names.texts) // len(names.ids))], strict=True)]  # fmt: skip
    groups = merge.merge(made, tables.from_rows("concepts", concepts))
    rows = [
        [row[name] for name in ("subject_id", "object_id", "rank", "predicate", "decision", "justification")] for row in made.to_pylist()
    ]
    spelled = json.dumps([rows, groups.to_pylist()], ensure_ascii=False)
    golden = json.loads(GOLDEN.read_text())
    found = {"version": [links.VERSION, merge.VERSION], "digest": hashlib.sha256(spelled.encode()).hexdigest()[:16]}
    assert found == golden["links"], f"Links changed: bump VERSION of kgbuild.links or kgbuild.merge, then put {found} into {GOLDEN.name}."
