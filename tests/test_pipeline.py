"""Stages run when something they read changed, say so, and never leave a half-built result."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

from kgbuild import pipeline, tables
from kgbuild.errors import UsageError, WorkspaceError
from kgbuild.workspace import Workspace


@pytest.fixture
def workspace(root: Path, tmp_path: Path) -> Workspace:
    """Give a copy that a test may change."""
    shutil.copytree(root, tmp_path / "ws", ignore=shutil.ignore_patterns("graph-*", "database-*"))
    return Workspace.open(tmp_path / "ws")


def test_a_second_run_does_nothing_and_says_so(finished: Workspace) -> None:
    outcomes = [*pipeline.train(finished), *pipeline.populate(finished)]
    assert [(o.stage, o.ran) for o in outcomes] == [
        ("tables", False),
        ("model", False),
        ("tables", False),
        ("links", False),
        ("graph", False),
        ("database", False),
    ]
    assert all("up to date" in o.text() for o in outcomes)


def test_every_row_that_came_in_is_kept_merged_or_rejected(finished: Workspace) -> None:
    for source in tables.read(finished.folder("tables"), "sources").to_pylist():
        assert source["rows_in"] == source["rows_kept"] + source["rows_merged"] + source["rows_rejected"] > 0, source["source"]


def test_the_database_holds_what_the_graphs_files_hold(finished: Workspace) -> None:
    from kgbuild.stores import GraphFiles

    with pipeline.open_graph(finished) as store:
        assert store.counts().differences(GraphFiles(finished.folder("graph")).counts()) == []


def test_no_group_holds_two_live_classes_or_two_codes_of_one_vocabulary(finished: Workspace) -> None:
    groups = tables.read(finished.folder("links"), "groups", ["group_id", "member_id"]).to_pandas()
    concepts = tables.read(finished.folder("tables"), "concepts", ["id", "vocabulary"]).to_pandas()
    joined = groups.merge(concepts, left_on="member_id", right_on="id")
    coded = joined[~joined["vocabulary"].isin(["text"])]
    assert not coded.duplicated(["group_id", "vocabulary"]).any()
    assert not groups.duplicated("member_id").any()


def test_only_accepted_links_that_are_the_same_merge(finished: Workspace) -> None:
    groups = tables.read(finished.folder("links"), "groups")
    merged = groups.filter(pc.invert(groups["is_centre"]))
    assert merged.num_rows > 0
    assert pc.min(merged["p_same"]).as_py() >= 0.9


def test_nothing_heavy_is_needed_with_the_hashed_encoder(finished: Workspace) -> None:
    assert json.loads((finished.root.parent / "modules.json").read_text()) == []


def test_a_changed_setting_makes_its_stage_stale_and_the_stages_after_it(workspace: Workspace) -> None:
    text = workspace.configuration_path.read_text()
    workspace.configuration_path.write_text(text.replace("precision = 0.95", "precision = 0.9"))
    states = {state.stage: state.reasons for state in pipeline.status(workspace)}
    assert states["tables"] == states["model"] == []
    assert states["links"] == ["setting harmonise.precision changed"]


def test_a_changed_source_makes_everything_stale(workspace: Workspace, tmp_path: Path) -> None:
    extra = tmp_path / "mine.tsv"
    extra.write_text("phenotype\nasthma in adults\n")
    section = (
        f'\n[[sources]]\nkey = "mine"\nkind = "free-text"\npath = "{extra.as_posix()}"\noptions = {{ column = "phenotype" }}\n\n[encoder]'
    )
    workspace.configuration_path.write_text(workspace.configuration_path.read_text().replace("\n[encoder]", section))
    states = {state.stage: state.reasons for state in pipeline.status(workspace)}
    assert "input mine is new" in states["tables"]
    assert states["model"] == ["input tables changed"]


def test_a_killed_run_keeps_the_earlier_result(workspace: Workspace) -> None:
    before = workspace.folder("model")
    workspace.configuration_path.write_text(workspace.configuration_path.read_text().replace("[train]\n", "[train]\nheld_out = 0.2\n"))
    script = (
        "import os, signal, sys; from pathlib import Path; from kgbuild import pipeline, ranking; from kgbuild.workspace import Workspace\n"
        "ranking.fit_ranking = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "pipeline.train(Workspace.open(Path(sys.argv[1])))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(workspace.root)], capture_output=True)
    assert done.returncode == -9
    assert list(workspace.root.glob("*.building"))
    assert workspace.folder("model") == before
    assert (before / "report.json").exists()
    assert [o.ran for o in pipeline.train(workspace)] == [False, True]
    assert not list(workspace.root.glob("*.building"))


def test_a_missing_source_file_is_named(workspace: Workspace) -> None:
    text = workspace.configuration_path.read_text()
    workspace.configuration_path.write_text(text.replace("pheinfo.csv", "nowhere.csv"))
    with pytest.raises(UsageError, match="source 'phecode': no file at"):
        pipeline.ingest(workspace)


def test_asking_before_populating_names_the_command(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="kgbuild populate"), pipeline.open_graph(workspace):
        pass


def test_held_out_pairs_are_files_with_hashes(finished: Workspace) -> None:
    from kgbuild.splits import read_split

    folder = finished.folder("model")
    described = json.loads((folder / "model.json").read_text())
    for name in ("snp_traits", "mappings"):
        assert len(read_split(folder / f"{name}.tsv", described["splits"][name])) > 0
