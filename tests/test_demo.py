"""The demonstration, as a newcomer runs it: the packaged model, training with torch, the whole packaged data set."""

from __future__ import annotations

import json
from pathlib import Path

import demo_bounds
import pytest

from kgbuild import demo
from kgbuild.workspace import Workspace


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    root, lines = tmp_path_factory.mktemp("demo") / "ws", []
    demo.run(root, encoder="minilm", say=lines.append)
    return Workspace.open(root), "\n".join(lines)


@pytest.mark.slow
def test_each_question_has_an_answer(printed: tuple[Workspace, str]) -> None:
    lines = printed[1].split("\n")
    for question, *_ in demo.QUESTIONS:
        place = lines.index(question)
        command, header, first = lines[place + 1 : place + 4]
        assert command.startswith("  kgbuild query ")
        assert header.strip()
        assert first.strip(), question


@pytest.mark.slow
def test_it_prints_how_sure_it_is_beside_the_trivial_answer(printed: tuple[Workspace, str]) -> None:
    for words in ("counting popularity alone", "calibration error (ECE)", "right at 1", "What to type next", "rows"):
        assert words in printed[1]


@pytest.mark.slow
def test_the_trained_space_beats_counting_on_held_out_pairs(printed: tuple[Workspace, str]) -> None:
    """Bounds far from what was seen (docs/experiments.md): a broken loss falls below, a leak of held-out pairs rises above."""
    figures = json.loads((printed[0].folder("model") / "report.json").read_text())
    assert figures["auc_trait_degree"] < 0.6 < 0.75 < figures["auc_trait"] < 0.97
    assert figures["score_auc_trait"] > 0.75


@pytest.mark.slow
def test_no_figure_of_the_demonstration_falls_below_what_was_recorded(printed: tuple[Workspace, str]) -> None:
    """Where a change is meant to cost something: `python tests/demo_bounds.py WORKSPACE` records the bounds again."""
    found, bounds = demo_bounds.figures(printed[0]), json.loads(demo_bounds.BOUNDS.read_text())
    fallen = {name: (found.get(name), bound) for name, bound in bounds.items() if found.get(name, -1.0) < bound["least"]}
    assert len(bounds) > 15
    assert fallen == {}


@pytest.mark.slow
def test_the_mapping_table_is_where_it_says(printed: tuple[Workspace, str]) -> None:
    path = printed[0].exports_dir / "mappings.sssom.tsv"
    assert str(path) in printed[1]
    assert sum(not line.startswith("#") for line in path.open(encoding="utf-8")) > 500


def test_a_folder_with_another_workspace_is_refused(tmp_path: Path) -> None:
    from kgbuild.errors import WorkspaceError

    (tmp_path / "kgbuild.toml").write_text("sources = []\n")
    with pytest.raises(WorkspaceError, match="another workspace"):
        demo.prepare(tmp_path)
