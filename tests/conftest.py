"""One finished workspace for all tests that only read: the packaged data, the hashed encoder, no torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgbuild import demo, pipeline
from kgbuild.workspace import Workspace


@pytest.fixture(scope="session")
def demo_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = demo.prepare(tmp_path_factory.mktemp("demo"), encoder="hashed")
    pipeline.train(workspace)
    pipeline.populate(workspace)
    return workspace


@pytest.fixture
def root(demo_workspace: Workspace) -> Path:
    return demo_workspace.root
