"""A tiny workspace out of the packaged files: real rows of five disease areas, small enough for the whole pipeline in seconds."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from kgbuild.demo import DATA, prepare
from kgbuild.sources.delimited import open_text
from kgbuild.workspace import Workspace

AREAS = re.compile(r"diabet|asthma|crohn|colitis|hypothyroid", re.IGNORECASE)
# file -> every how many-th of the other rows stays, as distractors
THINNED = {
    "gwas-catalog-associations.tsv.gz": 60,
    "mappings.tsv.gz": 6,
    "kg.csv.gz": 25,
    "blueprint_monocyte_eqtl.tsv.gz": 10,
    "icd10cm-order-2021.txt.gz": 8,
    "icd9cm.tsv": 8,
}


def tiny_data(folder: Path) -> Path:
    """Write the thinned files; the others are used as they are packaged."""
    folder.mkdir(parents=True)
    for path in sorted(DATA.iterdir()):
        if path.name not in THINNED:
            (folder / path.name).symlink_to(path)
            continue
        with open_text(path) as text:
            header, *rows = text.readlines()
        if "icd10cm" in path.name:  # no header there
            header, rows = "", [header, *rows]
        kept = [row for n, row in enumerate(rows) if AREAS.search(row) or n % THINNED[path.name] == 0]
        content = "".join([header, *kept]).encode()
        (folder / path.name).write_bytes(gzip.compress(content, mtime=0) if path.name.endswith(".gz") else content)
    return folder


def tiny_workspace(folder: Path, *, encoder: str = "hashed") -> Workspace:
    """Prepare a workspace on them; nothing has run yet."""
    data = tiny_data(folder / "data")
    workspace = prepare(folder / "ws", encoder=encoder)
    path = workspace.configuration_path
    path.write_text(path.read_text(encoding="utf-8").replace(DATA.as_posix(), data.as_posix()), encoding="utf-8")
    return workspace
