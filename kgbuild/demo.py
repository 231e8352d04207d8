"""The demonstration: packaged data in; a trained, merged and loaded graph, answers, a mapping table and a short summary out."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kgbuild import pipeline
from kgbuild.errors import WorkspaceError
from kgbuild.workspace import CONFIGURATION, Workspace, write_whole

__all__ = ["DATA", "prepare", "run"]

DATA = Path(__file__).parent / "data"

Say = Callable[[str], None]

# (question, template, parameters, columns worth a line)
QUESTIONS: tuple[tuple[str, str, dict[str, Any], tuple[str, ...]], ...] = (
    (
        "Which loci does type 2 diabetes have, under any of its names, one lead variant each?",
        "variants-of-trait",
        {"trait": "type 2 diabetes", "limit": 5},
        ("variant", "locus", "effect_allele", "effect", "neg_log10_p", "n_publications", "genes", "through_term"),
    ),
    (
        "Which drugs act on genes that variants of rheumatoid arthritis point at (variant -> gene -> drug)?",
        "drugs-for-trait",
        {"trait": "rheumatoid arthritis", "limit": 5},
        ("variant", "gene", "evidence", "drug", "indications"),
    ),
    (
        "What became one concept with Crohn's disease, and why?",
        "why-merged",
        {"concept": "Crohn's disease", "limit": 8},
        ("member", "vocabulary", "name", "p_same", "justification"),
    ),
)


def prepare(root: Path, *, encoder: str = "minilm") -> Workspace:
    """Make the demo's workspace; one that a demo made before is used again.

    Raises:
        WorkspaceError: The folder holds another workspace.
    """
    template = (DATA / CONFIGURATION).read_text(encoding="utf-8")
    method = "centroid" if encoder == "hashed" else "generel"
    text = template.replace("{data}", DATA.as_posix()).replace("{model}", encoder).replace("{method}", method)
    path = root / CONFIGURATION
    if path.exists():
        if "kgbuild.toml of the demonstration" not in path.read_text(encoding="utf-8"):
            raise WorkspaceError(f"{root} holds another workspace", advice="Give the demo a folder of its own: `kgbuild demo SOME_FOLDER`.")
        return Workspace.open(root)
    with write_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return Workspace.open(root)


def run(root: Path, *, encoder: str = "minilm", progress: pipeline.Progress | None = None, say: Say = print) -> None:
    """Run the whole job and print what a geneticist would want to see first."""
    started = time.monotonic()
    workspace = prepare(root, encoder=encoder)
    say(f"kgbuild demo: ten disease areas, real data, in {root}\n")
    for step in (pipeline.train, pipeline.populate):
        for outcome in step(workspace, progress=progress):
            say(outcome.text())
    _say_phenotypes(workspace, say)
    with pipeline.open_graph(workspace) as store:
        for question, name, parameters, columns in QUESTIONS:
            say(f"\n{question}\n  kgbuild query {name} " + " ".join(f'--{key} "{value}"' for key, value in parameters.items()))
            _say_rows(store, name, parameters, columns, say)
    exported = pipeline.export(workspace, "mappings", None, None, progress=progress)
    say(
        f"\nThe harmonised mapping table: {exported['rows_written']} rows, {exported['rows_restricted']} left out for their licence\n  {exported['file']}"
    )
    say(_closing(workspace, root, time.monotonic() - started))


SHOWN_PHENOTYPES = (
    "T2DM",
    "rheumatoid artritis",
    "heart attack",
    "family history of heart attack before 60",
    "coeliac disease",
    "favourite colour",
)


def _say_phenotypes(workspace: Workspace, say: Say) -> None:
    """Show what became of some free texts: the first link of each, and how sure it is."""
    from kgbuild import tables
    from kgbuild.vocabulary import text_id

    names = tables.read(workspace.folder("tables"), "concepts", ["id", "name"]).to_pandas().set_index("id")["name"]
    links = tables.read(workspace.folder("links"), "links").to_pandas().query("rank == 1").set_index("subject_id")
    lines = [["phenotype as written", "nearest term", "predicate", "p_target", "p_same", "decision"]]
    for text in SHOWN_PHENOTYPES:
        if (id_ := text_id(text)) in links.index:
            link = links.loc[id_]
            lines.append(
                [
                    text,
                    names[link["object_id"]],
                    link["predicate"],
                    *(_cell(float(link[p])) for p in ("p_target", "p_same")),
                    link["decision"],
                ]
            )
    say("\nWhat became of some free-text phenotypes:")
    _say_columns(lines, say)


def _say_rows(store: Any, name: str, parameters: dict[str, Any], columns: tuple[str, ...], say: Say) -> None:
    from kgbuild import queries

    rows = queries.run(store, name, parameters).rows
    _say_columns([list(columns), *([_cell(row[column]) for column in columns] for row in rows)], say)


def _say_columns(cells: list[list[str]], say: Say) -> None:
    widths = [min(44, max(map(len, column))) for column in zip(*cells, strict=True)]
    for line in cells:
        say("  " + "  ".join(cell[:width].ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else str(value)


def _command() -> str:
    """Spell the program as it can be typed here: by its path where it is not on PATH."""
    return "kgbuild" if shutil.which("kgbuild") or Path(sys.argv[0]).name != "kgbuild" else sys.argv[0]


def _closing(workspace: Workspace, root: Path, seconds: float) -> str:
    kgbuild = _command()
    return f"""
Done in {seconds:.0f} s. Where things are:
  {workspace.configuration_path}   what went in
  {workspace.folder("tables")}   typed tables, ledger, rejects.tsv
  {workspace.folder("links")}   links with probabilities, groups
  {workspace.folder("graph")}   the graph, as files
  {workspace.folder("database")}   the same, loaded into the embedded engine

What to type next:
  {kgbuild} -w {root} query --list
  {kgbuild} -w {root} query variants-of-trait --trait asthma
  {kgbuild} -w {root} map my_phenotypes.csv --column name --out mapped.sssom.tsv
  {kgbuild} -w {root} serve                       then any Neo4j driver
  {kgbuild} init my-graph --data FOLDER_OF_FILES  your own data"""
