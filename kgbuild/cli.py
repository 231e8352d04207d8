"""The command line: one thin function per command; everything heavy is imported inside.

Exit codes: 0 done; 1 something went wrong that has no code of its own; 2 wrong use (arguments, kgbuild.toml, a query's
parameters); 3 a source file cannot be read; 4 the workspace is missing, busy or lacks a stage; 5 the encoder or model; 6 the
graph's engine; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from kgbuild import __version__
from kgbuild.errors import KgbuildError
from kgbuild.progress import reporter
from kgbuild.workspace import Workspace

__all__ = ["app", "main"]

app = typer.Typer(
    name="kgbuild",
    help="Phenotypes written four ways, one graph out.\n\n"
    "Start with `kgbuild demo`. With your own files: `kgbuild init WORKSPACE --data FOLDER`, then `kgbuild train` and "
    "`kgbuild populate` in that workspace, then `kgbuild query --list`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"Exit codes: {__doc__.split('Exit codes: ')[1].strip()}".replace("\n", " "),
)

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "-w",
        "--workspace",
        help="Workspace folder; before or after the command. Default: $KGBUILD_WORKSPACE, else the current folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to standard output, for a pipe.")]


class _Session:
    """What the options before the command said."""

    workspace: Path | None = None
    debug = False


_session = _Session()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kgbuild {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    workspace: WorkspaceOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,  # noqa: ARG001 - the callback acts
) -> None:
    _session.workspace, _session.debug = workspace, debug


def _open(workspace: Path | None) -> Workspace:
    chosen = workspace or _session.workspace or os.environ.get("KGBUILD_WORKSPACE") or "."
    return Workspace.open(Path(chosen))


def _say(text: str) -> None:
    """Print for a person: to standard error, so that standard output can be piped."""
    typer.echo(text, err=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


@app.command()
def init(
    workspace: Annotated[Path, typer.Argument(help="Folder to make the workspace in.")],
    data: Annotated[Path | None, typer.Option("--data", help="Folder of downloaded files to look through.")] = None,
    encoder: Annotated[
        str, typer.Option(help='Text encoder: "minilm" (packaged), "hashed" (no torch), a Hugging Face id or a folder.')
    ] = "minilm",
    as_json: JsonOption = False,
) -> None:
    """Look through a folder of files and write a commented kgbuild.toml.

    Files are recognised by their content. Of several of one kind the newest full one is enabled; the others are written
    commented out, with the reason. Development gold is for evaluation only. Nothing is copied: the files stay where they are.

    Example: kgbuild init my-graph --data ~/downloads
    """
    from kgbuild import pipeline

    result = pipeline.init(workspace, data, model=encoder)
    if as_json:
        _print_json(result.as_dict())
        return
    for choice in result.choices:
        mark = "use " if choice.enabled else "skip"
        _say(f"{mark}  {choice.recognised.kind:20} {choice.path}" + ("" if choice.enabled else f"\n      {choice.reason}"))
    for path in result.unrecognised:
        _say(f"?     not recognised       {path}")
    _say(f"\n{result.configuration_path} written. Look it through, then: kgbuild train -w {workspace}")


@app.command()
def ingest(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Read the sources into typed tables; every row is kept, merged or rejected, and accounted for.

    Rejected rows are in tables-…/rejects.tsv with file, line and reason.

    Example: kgbuild ingest -w my-graph
    """
    from kgbuild import pipeline

    with reporter() as progress:
        outcomes = pipeline.ingest(_open(workspace), progress=progress)
    _show(outcomes, as_json)


@app.command()
def train(
    workspace: WorkspaceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Train again although nothing changed, or from the beginning.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a training was killed, or was out of time.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take: sizes, steps, memory, time.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Learn one space for SNPs and biomedical text; brings the tables up to date first.

    Prints the AUC of held-out SNP-trait pairs beside that of counting how popular a trait is. Checkpoints are kept in the
    workspace until the model is whole, so a run that is killed loses minutes at most.

    Example: kgbuild train -w my-graph --resume
    """
    from kgbuild import pipeline

    with reporter() as progress:
        if dry_run:
            estimate = pipeline.estimate_training(_open(workspace), progress=progress)
        else:
            outcomes = pipeline.train(_open(workspace), progress=progress, force=force, resume=resume)
    if not dry_run:
        _show(outcomes, as_json)
    elif as_json:
        _print_json(estimate.as_dict())
    else:
        typer.echo(estimate.text())


@app.command()
def harmonise(
    workspace: WorkspaceOption = None,
    decisions: Annotated[
        list[Path] | None, typer.Option("--decisions", help="SSSOM file of your decisions, as `kgbuild review` makes it; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Link ICD, PheCode and free-text concepts to the target vocabulary, with calibrated probabilities, and merge what is the same.

    Curated mappings win; what a curator rejected is blocked. Your own decisions win over everything: they are taken over into
    decisions.sssom.tsv in the workspace and hold for every later run. Prints Hits@1 and the calibration error on pairs that
    nothing was fitted on, and whether near misses (type 1 and 2 diabetes) stayed apart.

    Example: kgbuild harmonise -w my-graph --decisions reviewed.sssom.tsv
    """
    from kgbuild import pipeline

    with reporter() as progress:
        outcomes = pipeline.harmonise(_open(workspace), decisions=decisions or [], progress=progress)
    _show(outcomes, as_json)


ToOption = Annotated[
    str | None,
    typer.Option(
        "--to",
        help="Load this Neo4j server instead, e.g. neo4j://localhost:7687, or `neo4j` for the one in $NEO4J_URI. User, password and database "
        "come from $NEO4J_USERNAME, $NEO4J_PASSWORD and $NEO4J_DATABASE. Default: `to` in kgbuild.toml.",
        show_default=False,
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option(
        "--at", help="Ask this Neo4j server, or `neo4j` for the one in $NEO4J_URI. Default: `to` in kgbuild.toml.", show_default=False
    ),
]


@app.command()
def populate(
    workspace: WorkspaceOption = None,
    to: ToOption = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Remove from the server what earlier loads wrote and the graph no longer holds; it is listed first."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the graph and load it; brings tables and links up to date first, never trains.

    Into the embedded engine: the database is built aside, counted, and switched to when whole; whoever reads meanwhile sees
    the old one. Into Neo4j: what is new is created, what differs is changed, what is equal is not sent; a run that was killed
    goes on where it was.

    Example: kgbuild populate -w my-graph

    Or: NEO4J_PASSWORD=... kgbuild populate -w my-graph --to neo4j://localhost:7687
    """
    from kgbuild import pipeline

    with reporter() as progress:
        outcomes = pipeline.populate(_open(workspace), to=to, prune=prune, ask=_ask(), progress=progress)
    _show(outcomes, as_json)


def _ask() -> Callable[[str], str] | None:
    """Ask for a password where somebody sits at the terminal."""
    import getpass

    return getpass.getpass if sys.stdin.isatty() else None


@app.command()
def status(
    workspace: WorkspaceOption = None,
    why: Annotated[bool, typer.Option("--why", help="Say which input or setting made a stage stale.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the stages: which are up to date, which have to run again, and what they made.

    Example: kgbuild status --why
    """
    from kgbuild import pipeline

    states = pipeline.status(_open(workspace))
    if as_json:
        _print_json([state.as_dict() for state in states])
        return
    for state in states:
        typer.echo(state.line())
        if why:
            for reason in state.reasons:
                typer.echo(f"        {reason}")


@app.command()
def doctor(workspace: WorkspaceOption = None, at: AtOption = None, as_json: JsonOption = False) -> None:
    """Look at Python, packages, memory, disk, the workspace, its encoder and its store, and say what to do about each fault.

    Ends with 1 where something is at fault.

    Example: kgbuild doctor --at neo4j://localhost:7687
    """
    from kgbuild.doctor import examine
    from kgbuild.errors import WorkspaceError

    try:
        opened = _open(workspace)
    except WorkspaceError:
        opened = None
    findings = []
    for finding in examine(opened, at=at, ask=_ask()):
        findings.append(finding)
        if not as_json:
            colour = {"ok": typer.colors.GREEN, "note": typer.colors.YELLOW, "fault": typer.colors.RED}[finding.state]
            advice = f"\n{'':24}-> {finding.advice}" if finding.advice else ""
            typer.echo(f"{typer.style(f'{finding.state:6}', fg=colour)}{finding.what:18}{finding.text}{advice}")
    if as_json:
        _print_json([finding.as_dict() for finding in findings])
    raise typer.Exit(int(any(finding.state == "fault" for finding in findings)))


@app.command()
def verify(
    workspace: WorkspaceOption = None,
    at: AtOption = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Rows to compare of each label and edge type; 0: every one.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Compare the database with the workspace's graph: all counts, and a sample of rows property by property.

    Ends with 6 where they differ.

    Example: kgbuild verify --at neo4j://localhost:7687 --rows 0
    """
    from kgbuild import pipeline

    with reporter() as progress:
        found = pipeline.verify(_open(workspace), at=at, rows=rows, ask=_ask(), progress=progress)
    if as_json:
        _print_json(found.as_dict())
    else:
        for line in (*found.counts, *found.differences):
            typer.echo(line)
        typer.echo(f"counts {'differ' if found.counts else 'agree'}; of {found.rows:,} rows that were compared, {found.different:,} differ")
    raise typer.Exit(0 if found.passed else 6)


@app.command(context_settings={"ignore_unknown_options": True})  # a template's parameters are options of its own
def query(
    name: Annotated[str | None, typer.Argument(help="Template, e.g. variants-of-trait; see --list.")] = None,
    parameters: Annotated[list[str] | None, typer.Argument(help="Its parameters, as --name value.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the templates and their parameters.")] = False,
    cypher: Annotated[str | None, typer.Option("--cypher", help="Run this Cypher instead of a template (read only).")] = None,
    at: AtOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the graph: a template by name with its parameters, or Cypher.

    Example: kgbuild query variants-of-trait --trait "type 2 diabetes"

    Or: kgbuild query --cypher "MATCH (d:Drug) RETURN d.name ORDER BY d.name LIMIT 5"
    """
    from kgbuild import pipeline, queries

    if list_ or (name is None and cypher is None):
        templates = queries.templates()
        if as_json:
            _print_json([template.as_dict() for template in templates.values()])
            return
        for template in templates.values():
            typer.echo(template.summary())
        return
    arguments = queries.parse_arguments(str(name), parameters or []) if cypher is None else {}
    with pipeline.open_graph(_open(workspace), at=at, ask=_ask()) as store:
        answer = queries.run(store, str(name), arguments) if cypher is None else queries.run_cypher(store, cypher, {})
    if as_json:
        _print_json(answer.rows)
    else:
        _print_table(answer.columns, answer.rows)


@app.command()
def explain(
    left: Annotated[str, typer.Argument(help="Id of a concept, e.g. MONDO:0005148; an obsolete one is forwarded.")],
    right: Annotated[str, typer.Argument(help="Id of another, e.g. icd10cm:E11.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain why two concepts are one thing or are not: everything that is known of the two, and what was made of it.

    Curated rows, cross-references, the hierarchy, the link with its cosine, features, probabilities, calibration and decision,
    the harmonised concept, and what kept them from merging. Needs no database.

    Example: kgbuild explain MONDO:0005148 icd10cm:E11
    """
    from kgbuild import pipeline

    explanation = pipeline.explain(_open(workspace), left, right)
    if as_json:
        _print_json(explanation.as_dict())
    else:
        typer.echo(explanation.text())


@app.command()
def review(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="SSSOM TSV to write; default: exports/review.sssom.tsv.")] = None,
    page: Annotated[Path | None, typer.Option("--page", help="HTML file to write: a page to decide on with the keyboard.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Concepts to write at most, the most valuable ones.")] = 1000,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the links that need a person, most valuable first, as SSSOM and as a page that works by itself.

    The value of a look is (1 + the associations that hang on the concept) x how uncertain its best link is. Open the page in
    any browser, decide by keyboard, download the decisions, and give them to `kgbuild harmonise --decisions FILE`: they win
    over everything and hold for every later run.

    Example: kgbuild review --limit 200 --page review.html
    """
    from kgbuild import pipeline

    summary = pipeline.review(_open(workspace), out, page=page, limit=limit)
    if as_json:
        _print_json(summary)
    else:
        _say(
            "\n".join(
                f"{key}: {value:,}" if isinstance(value, int) else f"{key}: {value}" for key, value in summary.items() if value is not None
            )
        )


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="mappings, graph or neo4j-admin")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File (mappings) or folder (graph, omop); default: exports/ in the workspace.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="mappings: sssom (default), csv, json, omop; graph: kgx (default), csv")
    ] = None,
    include_restricted: Annotated[
        bool, typer.Option("--include-restricted", help="Also write rows that their source does not allow to pass on.")
    ] = False,
    review: Annotated[bool, typer.Option("--review", help="mappings: also links that a person should look at.")] = False,
    neo4j_version: Annotated[
        str | None,
        typer.Option("--neo4j-version", help="neo4j-admin: version that imports, e.g. 2026.08; default: what all from 5.26 on take."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the harmonised mapping table (SSSOM, CSV, OMOP) or the graph (KGX, CSV, files for neo4j-admin).

    Rows that may not be passed on stay out unless asked for, and are counted. `neo4j-admin` writes all of the graph, for an
    empty database of your own: run the command that it prints on the stopped server, start it, and `kgbuild populate --to` it.

    Example: kgbuild export mappings --out mappings.sssom.tsv
    """
    from kgbuild import pipeline

    with reporter() as progress:
        summary = pipeline.export(
            _open(workspace),
            what,
            out,
            format_,
            include_restricted=include_restricted,
            review=review,
            neo4j_version=neo4j_version,
            progress=progress,
        )
    if as_json:
        _print_json(summary)
    else:
        _say("\n".join(f"{key.replace('_', ' ')}: {value}" for key, value in summary.items()))


@app.command(name="map")
def map_(
    file: Annotated[Path, typer.Argument(help="CSV or TSV with your phenotypes.")],
    column: Annotated[str, typer.Option("--column", help="Column that holds the text.")],
    code: Annotated[str | None, typer.Option("--code", help="Column that holds a code, if there is one.")] = None,
    code_vocabulary: Annotated[
        str | None, typer.Option("--code-vocabulary", help="Its vocabulary: icd10, icd10cm, icd9cm, phecode, phecodex.")
    ] = None,
    to: Annotated[str, typer.Option("--to", help="Vocabulary to map to.")] = "efo",
    top: Annotated[int, typer.Option("--top", min=1, max=100, help="Candidates per text.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="SSSOM TSV to write; default: standard output.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Map your own list of phenotype texts (and codes) to the target vocabulary, best candidate first, as SSSOM.

    `confidence` is the probability of the predicate that is written; `p_target` orders the candidates. A text without a
    counterpart is said to have none.

    Example: kgbuild map phenotypes.csv --column description --top 3 --out mapped.sssom.tsv
    """
    from kgbuild import pipeline

    with reporter() as progress:
        summary = pipeline.map_file(
            _open(workspace), file, column=column, code=code, code_vocabulary=code_vocabulary, to=to, top=top, out=out, progress=progress
        )
    _say(summary)


@app.command()
def score(
    pairs: Annotated[Path, typer.Argument(help="TSV with columns left and right: a text, an id or an rs id in each.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="TSV to write: the same rows with similarity, score and reason.")],
    without: Annotated[
        list[str] | None,
        typer.Option("--without", help="A part that does not count: similarity, neighbours, degree, effect or held-out; repeatable."),
    ] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Also write what each part adds to the score.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Score pairs of texts, ids and SNPs with the trained model.

    `similarity` is the raw cosine, `score` the documented ranking score. What the model does not know gets empty cells and a
    reason.

    Example: kgbuild score pairs.tsv --out scored.tsv --without degree
    """
    from kgbuild import pipeline

    with reporter() as progress:
        summary = pipeline.score(_open(workspace), pairs, out, without=without or (), parts=parts, progress=progress)
    _say(summary)


@app.command()
def evaluate(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables, see --list; none: all that need nothing but the workspace. Or: pairs FILE...")
    ] = None,
    anchor: Annotated[
        str, typer.Option("--anchor", help="For pairs: the side that stays while the other is exchanged, left, right or both.")
    ] = "both",
    areas: Annotated[
        list[str] | None,
        typer.Option("--area", help="For map: a term, by name or id; may be repeated. Default: the four of most associations."),
    ] = None,
    part: Annotated[str, typer.Option("--part", help="test, or development while something is still being chosen.")] = "test",
    draws: Annotated[int, typer.Option("--draws", min=1, help="How often negatives are drawn; figures are means.")] = 5,
    resamples: Annotated[int, typer.Option("--resamples", min=50, help="Of loci or traits, for an interval.")] = 500,
    most: Annotated[int, typer.Option("--most", min=1, help="Held-out pairs to evaluate at most.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", help="Of draws and resamples.")] = 20261121,
    systems: Annotated[
        str,
        typer.Option(
            "--systems", help="Others beside the model, by comma: degree, svd, minilm, sapbert, pykeen:TransE, ...; see docs/evaluation.md."
        ),
    ] = "",
    pykeen: Annotated[str, typer.Option("--pykeen", help="Python of an environment with PyKEEN. Default: $KGBUILD_PYKEEN.")] = "",
    trainings: Annotated[
        int, typer.Option("--trainings", min=1, help="Train so many less one more, with other seeds, for the spread between them.")
    ] = 1,
    files: Annotated[
        list[Path] | None, typer.Option("--pairs", help="For snp-trait: a biobank's pairs too, left a trait, right an rs id.")
    ] = None,
    lay: Annotated[
        list[Path] | None, typer.Option("--lay", help="For synonyms: a file of lay language in COMETA's columns; may be repeated.")
    ] = None,
    compare: Annotated[tuple[Path, Path] | None, typer.Option("--compare", help="Put two reports side by side instead.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for report.md, report.json and plots. Default: evaluation-<time> in the workspace."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the tables and the question that each answers.")] = False,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how good the model is, and at what: tables of figures on what was held out, beside the trivial answer.

    docs/evaluation.md says what each figure means and how it misleads.

    Example: kgbuild evaluate snp-trait --part development

    Or: kgbuild evaluate snp-trait --systems degree,svd,minilm,sapbert,pykeen:TransE --pykeen pykeen/bin/python

    Or: kgbuild evaluate pairs my_pairs.tsv --anchor left

    Or: kgbuild evaluate --compare evaluation-before evaluation-after
    """
    from kgbuild import evaluation as evaluations
    from kgbuild import pipeline
    from kgbuild.evaluation import reports
    from kgbuild.evaluation.evaluated import Options

    if list_:
        for name, table in evaluations.TABLES.items():
            typer.echo(f"{name:20} {table.question}" + ("" if table.unasked else " (only when named)"))
        return
    if compare:
        compared = reports.compare(*compare)
        if as_json:
            _print_json({name: section.as_dict() for name, section in compared.items()})
        else:
            typer.echo(reports.text(compared))
        return
    named = list(tables or [])
    if named[:1] == ["pairs"]:  # what follows are files
        files, named = [*(files or []), *map(Path, named[1:])], ["pairs"]
    options = Options(
        part=part,
        draws=draws,
        resamples=resamples,
        seed=seed,
        most_pairs=most,
        trainings=trainings,
        files=tuple(files or ()),
        anchor=anchor,
        areas=tuple(areas or ()),
        systems=tuple(name.strip() for name in systems.split(",") if name.strip()),
        pykeen=pykeen,
        lay=tuple(lay or ()),
    )
    with reporter() as progress:
        made = pipeline.evaluate(_open(workspace), named, options=options, out=out, progress=progress)
    if as_json:
        _print_json({"folder": str(made.folder), **made.document})
        return
    typer.echo(reports.text(made.sections))
    _say(f"\n{made.folder}")


@app.command()
def serve(
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option("--port", help="Bolt port on loopback; 0: any free one.")] = 7687,
) -> None:
    """Open the embedded graph to any Neo4j driver over Bolt, on this machine only, with a password.

    The password comes from $KGBUILD_SERVE_PASSWORD, else one is made; the address file in the workspace holds it, and only
    you can read that file. Stop with Control-C.

    Example: kgbuild serve --port 7687
    """
    from kgbuild import pipeline

    pipeline.serve(_open(workspace), port=port, say=_say)


@app.command()
def demo(
    workspace: Annotated[Path, typer.Argument(help="Folder to make the demo's workspace in.")] = Path("kgbuild-demo"),
    encoder: Annotated[str, typer.Option(help='Text encoder: "minilm", or "hashed" to go without torch.')] = "minilm",
) -> None:
    """Run the main job on a packaged data set of ten disease areas: train, populate, ask, export.

    Takes a few minutes on two cores and needs nothing but what is installed.
    """
    from kgbuild.demo import run

    with reporter() as progress:
        run(workspace, encoder=encoder, progress=progress, say=typer.echo)


def _show(outcomes: list[Any], as_json: bool) -> None:
    if as_json:
        _print_json([outcome.as_dict() for outcome in outcomes])
        return
    for outcome in outcomes:
        _say(outcome.text())


def _print_table(columns: list[str], rows: list[dict[str, Any]]) -> None:
    """Print rows as a table when a person reads, as TSV when a program does."""
    if not sys.stdout.isatty():
        typer.echo("\t".join(columns))
        for row in rows:
            typer.echo("\t".join(_cell(row.get(column)) for column in columns))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, show_lines=False)
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return "; ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_cell(item)}" for key, item in value.items())
    return str(value).replace("\t", " ").replace("\n", " ")


@contextlib.contextmanager
def _errors_as_exit_codes() -> Iterator[None]:
    from embedder.errors import EmbedderError

    try:
        yield
    except (KgbuildError, EmbedderError) as error:
        if _session.debug:
            raise
        _say(f"kgbuild: {error}")
        raise SystemExit(error.exit_code if isinstance(error, KgbuildError) else 5) from None
    except KeyboardInterrupt:
        _say("\nkgbuild: interrupted; finished stages are kept, the next run goes on from there")
        raise SystemExit(130) from None
    except BrokenPipeError:  # `kgbuild query … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def main() -> None:
    """Run the command line; errors become a message and an exit code."""
    with _errors_as_exit_codes():
        app(standalone_mode=True)
