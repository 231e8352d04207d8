"""One finished workspace for all tests that only read: tiny, the hashed encoder, no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from kgbuild.workspace import Workspace

_FINISH = """
import json, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from kgbuild import pipeline
from tiny import tiny_workspace
folder = Path(sys.argv[1])
workspace = tiny_workspace(folder)
pipeline.train(workspace)
pipeline.populate(workspace)
heavy = {"torch", "transformers"} & set(sys.modules)
(folder / "modules.json").write_text(json.dumps(sorted(heavy)))
"""


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Build it once for all the processes that test side by side."""
    shared = tmp_path_factory.getbasetemp()
    if shared.name.startswith("popen-gw"):
        shared = shared.parent
    folder = shared / "tiny"
    with FileLock(shared / "tiny.lock"):
        if not (folder / "modules.json").exists():
            folder.mkdir()
            subprocess.run([sys.executable, "-c", _FINISH, str(folder), str(Path(__file__).parent)], check=True)
    return Workspace.open(folder / "ws")


@pytest.fixture
def root(finished: Workspace) -> Path:
    return finished.root
