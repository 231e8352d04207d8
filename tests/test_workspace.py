"""A stage's result is switched to when whole, kept when a run dies, and known to be stale when anything it read changed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kgbuild.errors import WorkspaceBusy, WorkspaceError
from kgbuild.workspace import Stage, Workspace, write_whole


def stage(**changes: object) -> Stage:
    return Stage(**{"name": "tables", "version": 1, "inputs": {"efo": "abc"}, "settings": {"top": {"k": 3}}} | changes)  # type: ignore[arg-type]


def write_one(folder: Path) -> dict[str, object]:
    (folder / "rows.txt").write_text("one\n")
    return {"rows": 1}


def test_a_finished_stage_is_up_to_date_and_its_folder_is_found(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.run(stage(), write_one)
    assert workspace.why_stale(stage()) == []
    assert (workspace.folder("tables") / "rows.txt").read_text() == "one\n"
    assert workspace.record("tables").facts == {"rows": 1}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"version": 2}, "kgbuild's version of the stage went from 1 to 2"),
        ({"inputs": {"efo": "abd"}}, "input efo changed"),
        ({"inputs": {"efo": "abc", "ld": "x"}}, "input ld is new"),
        ({"inputs": {}}, "input efo is gone"),
        ({"settings": {"top": {"k": 4}}}, "setting top.k changed"),
    ],
)
def test_what_made_a_stage_stale_is_said(tmp_path: Path, changed: dict[str, object], reason: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.run(stage(), write_one)
    assert workspace.why_stale(stage(**changed)) == [reason]


def test_a_new_result_replaces_the_old_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.run(stage(), write_one)
    workspace.run(stage(version=2), write_one)
    assert len(list(tmp_path.glob("tables-*"))) == 1


def test_a_build_that_fails_leaves_the_earlier_result(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.run(stage(), write_one)

    def fail(folder: Path) -> dict[str, object]:
        (folder / "rows.txt").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workspace.run(stage(version=2), fail)
    assert (workspace.folder("tables") / "rows.txt").read_text() == "one\n"


def test_a_full_disk_is_named_and_leaves_the_earlier_result(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.run(stage(), write_one)

    def large(folder: Path) -> dict[str, object]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            (folder / "rows.txt").write_bytes(b"x" * 2000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return {}

    with pytest.raises(WorkspaceError, match=r"the stage tables could not be written: .*File too large.*; the one before it is as it was"):
        workspace.run(stage(version=2), large)
    assert (workspace.folder("tables") / "rows.txt").read_text() == "one\n"
    assert list(tmp_path.glob("*.building")) == []


def test_a_killed_run_leaves_the_earlier_result_and_the_next_run_goes_on(tmp_path: Path) -> None:
    Workspace(tmp_path).run(stage(), write_one)
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from kgbuild.workspace import Stage, Workspace
        def build(folder):
            (folder / "rows.txt").write_text("half")
            print("building", flush=True)
            time.sleep(60)
        workspace = Workspace(Path(sys.argv[1]))
        with workspace.lock():
            workspace.run(Stage("tables", 2, {"efo": "abc"}, {"top": {"k": 3}}), build)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    with pytest.raises(WorkspaceBusy, match="another kgbuild is writing"), Workspace(tmp_path).lock():
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    workspace = Workspace(tmp_path)
    assert (workspace.folder("tables") / "rows.txt").read_text() == "one\n"
    with workspace.lock():
        workspace.run(stage(version=2), write_one)
    assert sorted(path.name for path in tmp_path.glob("tables-*")) == [f"tables-{stage(version=2).key}"]


def test_a_folder_without_configuration_is_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="kgbuild init"):
        Workspace.open(tmp_path)


def test_write_whole_leaves_nothing_when_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no"), write_whole(tmp_path / "out.tsv") as aside:
        aside.write_text("half")
        raise ValueError("no")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_hashed_again_when_its_bytes_changed(tmp_path: Path) -> None:
    workspace, path = Workspace(tmp_path), tmp_path / "efo.obo"
    path.write_text("one")
    first = workspace.input_hash(path)
    workspace.remember_files({path: first})
    path.write_text("two and more")
    assert workspace.input_hash(path) != first
