"""The typed definitions come in; the pages of PAGES go out. `make docs` runs it; a test compares."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from neo4j_browser import BROWSER_FILES

from kgbuild import exports, omop, queries
from kgbuild.schema import COMMON, EDGE_TYPES, NODE_LABELS, RELATIONS, SCHEMA_VERSION, SOURCE, EdgeType, Property
from kgbuild.sources import KINDS
from kgbuild.tables import TABLES, Table

__all__ = ["PAGES", "write"]

ROOT = Path(__file__).resolve().parent.parent
_GENERATED = "<!-- Written by docs/generate.py: change the definition it is made from, then run `make docs`. -->"


def formats() -> str:
    """Write the page on the files that are read, kept and given out."""
    parts = [
        "# Formats",
        _GENERATED,
        _FORMATS_INTRODUCTION,
        "## Files that are read",
        _FILES_READ,
        _markdown_table(("kind in kgbuild.toml", "read by", "what"), _readers()),
        "## Tables",
        _TABLES_INTRODUCTION,
        *(part for table in TABLES.values() for part in _table_section(table)),
        "## Exports",
        _EXPORTS_INTRODUCTION,
        "### Mapping table: SSSOM",
        _SSSOM_INTRODUCTION,
        _markdown_table(("column", "meaning"), [(f"`{name}`", meaning) for name, meaning in exports.SSSOM_COLUMNS.items()]),
        _EXTENSIONS_INTRODUCTION,
        _markdown_table(
            ("column", "type", "meaning"), [(f"`{name}`", f"`{hint}`", meaning) for name, (hint, meaning) in exports.EXTENSIONS.items()]
        ),
        "### Mapping table: CSV",
        _CSV_INTRODUCTION,
        _markdown_table(("column", "meaning"), [(f"`{name}`", meaning) for name, meaning in exports.WIDE_COLUMNS.items()]),
        "### Mapping table: OMOP",
        _OMOP_INTRODUCTION,
        _markdown_table(("column", "what is in it"), [(f"`{name}`", meaning) for name, meaning in omop.MAP_COLUMNS.items()]),
        "### Graph: KGX",
        _KGX_INTRODUCTION,
        _markdown_table(("ours", "Biolink's"), [(f"`{ours}:`", f"`{theirs}:`") for ours, theirs in exports.BIOLINK_PREFIXES.items()]),
        "### Graph: CSV",
        _GRAPH_CSV_INTRODUCTION,
    ]
    return "\n\n".join(parts) + "\n"


def graph() -> str:
    """Write the page on labels, edge types and their properties."""
    parts = [
        "# The graph",
        _GENERATED,
        f"Schema version {SCHEMA_VERSION}. {_GRAPH_INTRODUCTION}",
        "## Labels",
        _markdown_table(
            ("label", "what", "Biolink category", "properties of its own"),
            [(f"`{n.label}`", n.meaning, f"`{n.category}`", _listed(n.properties)) for n in NODE_LABELS.values()],
        ),
        "Every node has these:",
        _properties(COMMON),
        "Properties that some labels have besides:",
        _properties(_distinct(p for n in NODE_LABELS.values() for p in n.properties)),
        "## Edge types",
        _EDGES_INTRODUCTION,
        _markdown_table(
            ("type", "what", "Biolink predicate", "knowledge level", "agent type"),
            [(f"`{e.type}`", e.meaning, f"`{e.predicate}`", e.knowledge_level, e.agent_type) for e in EDGE_TYPES.values()],
        ),
        f"Every edge has `id` and `source` ({SOURCE.meaning}). These types carry more:",
        *(part for e in EDGE_TYPES.values() if e.properties for part in _edge_section(e)),
        "## From PrimeKG rows to edges",
        _RELATIONS_INTRODUCTION,
        _markdown_table(
            ("relation", "display_relation", "edge type", "from", "to"),
            [(f"`{r}`", f"`{d}`" if d != "*" else "any", f"`{e.edge_type}`", e.from_type, e.to_type) for (r, d), e in RELATIONS.items()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def questions() -> str:
    """Write the page on the query templates."""
    templates = queries.templates().values()
    contents = _markdown_table(("template", "question"), [(f"[`{t.name}`](#{t.name})", t.question) for t in templates])
    return (
        "\n\n".join(
            ["# Questions", _GENERATED, _QUESTIONS_INTRODUCTION, contents, *(part for t in templates for part in _template_section(t))]
        )
        + "\n"
    )


def commands() -> str:
    """Write the page on the command line."""
    import typer
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from kgbuild.cli import app

    command = get_command(app)
    help_texts = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="kgbuild"), name="kgbuild")
    title, rest = help_texts.strip().split("\n", 1)
    return f"{title.replace('`', '')}\n\n{_GENERATED}\n{rest.rstrip()}\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/formats.md": formats,
    "docs/graph.md": graph,
    "docs/queries.md": questions,
    "docs/cli.md": commands,
    **BROWSER_FILES,
}


def write(root: Path = ROOT) -> list[Path]:
    """Write every page that differs; give those."""
    changed = []
    for name, page in PAGES.items():
        path, text = root / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _table_section(table: Table) -> tuple[str, str, str]:
    rows = [(f"`{c.name}`", f"`{c.type}`", "yes" if c.nullable else "", c.meaning) for c in table.columns]
    return f"### `{table.name}`", f"One row is {table.row}.", _markdown_table(("column", "type", "may be empty", "meaning"), rows)


def _edge_section(edge: EdgeType) -> tuple[str, str]:
    return f"### `{edge.type}`", _properties(edge.properties)


def _template_section(template: queries.Template) -> list[str]:
    parameters = [
        (
            f"`--{p.name}`",
            f"`{p.type}`",
            "" if p.default is None else f"`{str(p.default).lower() if p.type == 'bool' else p.default}`",
            p.meaning,
        )
        for p in template.parameters
    ]
    return [
        f"## {template.name}",
        template.question,
        f"```\n{template.example}\n```",
        *([_markdown_table(("parameter", "type", "default", "meaning"), parameters)] if parameters else []),
        _markdown_table(("column", "type", "meaning"), [(f"`{c.name}`", f"`{c.type}`", c.meaning) for c in template.columns]),
    ]


def _properties(properties: Iterable[Property]) -> str:
    return _markdown_table(("property", "type", "meaning"), [(f"`{p.name}`", f"`{p.type}`", p.meaning) for p in properties])


def _distinct(properties: Iterable[Property]) -> list[Property]:
    return list({p.name: p for p in properties}.values())


def _listed(properties: Sequence[Property]) -> str:
    return ", ".join(f"`{p.name}`" for p in properties)


def _readers() -> list[tuple[str, str, str]]:
    """Give kind, module and the first sentence of the module's docstring, without importing it."""
    rows = []
    for kind, module in KINDS.items():
        path = ROOT / "kgbuild" / "sources" / f"{module}.py"
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows.append((f"`{kind}`", f"`{path.relative_to(ROOT).as_posix()}`", " ".join(docstring.split("\n\n")[0].split())))
    return rows


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


_FORMATS_INTRODUCTION = (
    """Files come in, tables are kept, mapping tables and graphs go out. What the graph holds is on [its own page](graph.md)."""
)

_FILES_READ = """`kgbuild init WORKSPACE --data FOLDER` recognises these by their content and writes them into kgbuild.toml. Columns are found
by name; gzip is told by the first bytes; text is UTF-8. Every row ends as kept, merged into another, or rejected with line and reason."""

_TABLES_INTRODUCTION = """`kgbuild ingest` and `kgbuild harmonise` write these as Parquet (`tables-<key>/<table>.parquet`, `links-<key>/<table>.parquet`).
Identifiers are CURIEs. A column that may not be empty never is. `pandas.read_parquet` and `pyarrow.parquet.read_table` read them."""

_EXPORTS_INTRODUCTION = """Rows made from a source that may not be passed on (`redistributable` in the table `sources`) stay out, and are counted,
unless you ask for them. In a graph their edges stay out too, and so do names that only such a source has."""

_SSSOM_INTRODUCTION = """`kgbuild export mappings` writes [SSSOM 1.1](https://mapping-commons.github.io/sssom/) TSV: a header of metadata behind `#`,
then one row per subject, object and justification. Accepted links go out, and what curators rejected (`Not`). A column without
any value is left out. The licence in the header is unspecified on purpose: each source keeps its own, named in `other`."""

_EXTENSIONS_INTRODUCTION = "Extension columns, declared in the header:"

_CSV_INTRODUCTION = """`--format csv` writes one row per source code, for a spreadsheet or a join. A code without an accepted term has a row, too:
"none of these" is an answer. Quotes as in RFC 4180. `--format json` writes the SSSOM records as SSSOM/JSON, in
the form that `sssom` reads: prefixes as `@context`, and what is an extension column in TSV as `name=value` in `other`, since its reader refuses
other slots than the standard's."""

_OMOP_INTRODUCTION = """`--format omop` writes a folder with `source_to_concept_map.csv` and the rows of `concept.csv` and `vocabulary.csv` that it needs, in the
columns of [OMOP's CDM 5.4](https://ohdsi.github.io/CommonDataModel/cdm54.html). Accepted links go out, broader ones too: OMOP maps
uphill; with `--review` also what awaits review. OMOP has no EFO. A term gets one of the numbers from 2,000,000,000 on, which OMOP leaves
to each site: it is made from the CURIE alone (`kgbuild.omop.concept_number`: EFO:0000400 is 2000000400, MONDO:0005148 is 2010005148), so it is the same
in every export, and `concept.csv` has the CURIE as `concept_code`. These concepts are not standard ones (`standard_concept` is empty):
whoever needs SNOMED joins it to EFO under a licence of their own.

The same in Python, for a data frame: `kgbuild.exports.mapping_tables(tables_dir, links_dir, format="csv")["mappings"].to_pandas()`; with
`format="omop"`, a table by each of the three names. Read files with `pandas.read_csv(path, dtype=str)`: PheCodes are texts."""

_KGX_INTRODUCTION = """`kgbuild export graph` writes `nodes.tsv` and `edges.tsv`. Cells are never quoted. The values of a list are joined by `|`. Readers of
KGX split every cell at a pipe, so inside any value a pipe is `%7C`, a line feed `%0A`, a carriage return `%0D`, a tab `%09`, and
a percent sign that stands before one of these codes is `%25` (`kgbuild.exports.unescape` undoes it).

Every property that some label or edge type has is a column; `synonyms` is called `synonym`, `source` `provided_by`, `obsolete`
`deprecated`, `publication` `publications`, and `predicate` of an `XREF` `original_predicate`. Left out: `embedding` (large) and `search_text`
(name and synonyms again). `primary_knowledge_source` is the resource that a source stands for; where the registry has none, or a
file holds many resources, it is `infores:kgbuild-` and the source's key; for what kgbuild concluded, `infores:kgbuild`. `negated` is
true for `LACKS_PHENOTYPE` and `NOT_EXPRESSED_IN`. A link that a curator made is a `knowledge_assertion` of a `manual_agent`.
Prefixes are spelled as Biolink spells them; the clinical modifications of ICD have no prefix there and keep ours:"""

_GRAPH_CSV_INTRODUCTION = """`--format csv` writes `nodes/<Label>.csv` and `edges/<TYPE>.csv` with the property names of [the graph's page](graph.md), our
prefixes, and quotes as in RFC 4180. Values of lists are joined by `|` and escaped as in KGX; other cells are as they are."""

_GRAPH_INTRODUCTION = """Every node has the label `Entity` and one of those below; in the embedded engine the second extends the first. Start at a
`HarmonisedConcept`: its members are the terms, codes and texts that are the same thing, tied to it by `MEMBER_OF`. A property that a
node or edge lacks is left out, never empty. One node more, `Build`, says what the graph was built from."""

_EDGES_INTRODUCTION = """Measured, predicted and curated edges are told apart by knowledge level and agent type (Biolink's enumerations)."""

_QUESTIONS_INTRODUCTION = """Each is one file in `cypher/` and runs unchanged on the embedded engine and on Neo4j. `kgbuild query NAME --parameter value` asks it;
`kgbuild query --list` shows the same as this page. A `concept` may be written as a name, a CURIE or an id, a `variant` as an rs id;
`words` are looked for in names and synonyms."""

_RELATIONS_INTRODUCTION = """A file in PrimeKG's layout stores each edge in both directions; the graph stores it once, from the node type under "from" to the
one under "to". Where both are blank the relation has no direction, or the file does not give it: the smaller id comes first."""


if __name__ == "__main__":
    for page in write():
        print(f"{page.relative_to(ROOT)} written")
