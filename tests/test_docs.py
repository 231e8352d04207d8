"""Pages fail when they lie: generated ones are compared, links are followed."""

from __future__ import annotations

import doctest
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from kgbuild import demo, pipeline
from kgbuild.workspace import Workspace

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("page", GENERATOR.PAGES)
def test_generated_pages_are_current(page: str) -> None:
    assert (ROOT / page).read_text(encoding="utf-8") == GENERATOR.PAGES[page](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_files_that_the_architecture_names_are_there() -> None:
    named = set(
        re.findall(r"`((?:kgbuild|embedder|cypher|docs)/[\w./]*?)`", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    )
    assert len(named) > 20
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_layers_that_are_checked_are_the_modules_there_are() -> None:
    import tomllib

    layers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0]["layers"]
    in_contract = {name.strip().removeprefix("kgbuild.") for layer in layers for name in layer.split("|")} - {"embedder"}
    modules = {path.stem for path in (ROOT / "kgbuild").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}
    assert in_contract == modules


def test_every_direct_dependency_has_an_upper_bound_that_allows_local_builds() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [
        Requirement(text) for text in (*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra))
    ]
    unpinned = {r.name.lower() for r in stated if not any(s.operator == "==" for s in r.specifier)}
    lines = [line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    bounds = {r.name.lower(): r.specifier for r in map(Requirement, filter(None, lines))}
    assert set(bounds) == unpinned
    assert "2.9.1+cpu" in bounds["torch"]


def _links_told(page: str) -> list[list[str]]:
    """Read the table of links: ids of both, predicate and decision, three numbers, and words of the explanation."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `")]
    return [[row[0].split("`")[1], row[1].split("`")[1], *row[2:6], row[6].split("`")[1]] for row in rows if len(row) == 7]


def _differs(workspace: Workspace, code: str, term: str, said: str, *rest: str) -> str:
    """Say what of a row of that table is not what `explain` says; numbers may differ by 0.05."""
    explanation = pipeline.explain(workspace, code, term)
    link = next(piece for piece in explanation.evidence if piece.kind == "link" and (piece.subject_id, piece.object_id) == (code, term))
    *numbers, words = rest
    found = [link.details[name] for name in ("cosine", "p_target", "p_same")]
    near = all(abs(float(told) - number) <= 0.05 for told, number in zip(numbers, found, strict=True))
    if link.says.startswith(said) and near and words in explanation.text():
        return ""
    row = " | ".join([code, term, ", ".join(link.says.split(", ")[:2]), *(f"{number:.2f}" for number in found)])
    return f"the page differs; now it is: {row}\n{explanation.text()}"


@pytest.mark.slow
def test_the_pages_that_follow_rows_and_decisions_are_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = demo.prepare(tmp_path / "kgbuild-demo", encoder="hashed")
    pipeline.train(workspace)
    pipeline.populate(workspace)
    monkeypatch.chdir(tmp_path)
    links = _links_told((ROOT / "docs" / "harmonisation.md").read_text(encoding="utf-8"))
    assert len(links) == 10
    assert [_differs(workspace, *row) for row in links] == [""] * 10
    for page, n in (("harmonisation.md", 5), ("follow.md", 30), ("curation.md", 10)):  # the last one changes the workspace
        outcome = doctest.testfile(str(ROOT / "docs" / page), module_relative=False, optionflags=doctest.ELLIPSIS)
        assert outcome.attempted > n
        assert outcome.failed == 0
