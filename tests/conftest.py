"""One finished workspace for all tests that only read: tiny, the hashed encoder, no torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import tiny_workspace

from kgbuild import pipeline
from kgbuild.workspace import Workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = tiny_workspace(tmp_path_factory.mktemp("tiny"))
    pipeline.train(workspace)
    pipeline.populate(workspace)
    return workspace


@pytest.fixture
def root(finished: Workspace) -> Path:
    return finished.root
