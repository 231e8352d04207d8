"""The schema and `cypher/browser/prioritise/` come in; Neo4j Browser's style, saved queries, guide and page go out.

`docs/generate.py` writes them. Two Browsers are served: the classic one (5.x) imports a style sheet and files of queries and plays
a guide; the one of the calendar releases imports queries as CSV, and has no guides: the page serves there.
"""

from __future__ import annotations

import csv
import html
import io
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kgbuild.schema import EDGE_TYPES, NODE_LABELS

__all__ = ["BROWSER_FILES", "EXAMPLE", "Query", "queries"]

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "cypher" / "browser" / "prioritise"
PORT = 8474  # where cypher/browser/serve.py gives out guide and style

# what the guide walks through, in the packaged demo's graph: parameter -> (value, what it is)
EXAMPLE = {
    "trait": ("type 2 diabetes", "words to look for"),
    "concept": ("harmonised:MONDO_0005148", "id of a harmonised concept, from the first query"),
    "variant": ("dbsnp:rs7903146", "id of a variant, `dbsnp:` before its rs number"),
}

# label -> colour, diameter; warm: what is meant by a phenotype; blue and green: biology; purple: what can be given to a person
_NODES: dict[str, tuple[str, int]] = {
    "HarmonisedConcept": ("#C2410C", 112),
    "Disease": ("#F59E5B", 76),
    "Phenotype": ("#FBC26B", 76),
    "Measurement": ("#F2DC6D", 76),
    "ClinicalCode": ("#E3CFB4", 76),
    "FreeText": ("#F7EBDD", 76),
    "Variant": ("#0F766E", 78),
    "Gene": ("#2563A8", 72),
    "Drug": ("#7E3FA0", 86),
    "Pathway": ("#9CCB86", 96),
    "BiologicalProcess": ("#B5D99C", 96),
    "MolecularFunction": ("#CBE5B8", 96),
    "CellularComponent": ("#DDEFCF", 96),
    "Anatomy": ("#D98FA0", 76),
    "Exposure": ("#A9A9B8", 76),
}

# edge type -> colour, width, caption; an edge type that is not here looks like `_OTHER_EDGE`
_EDGES: dict[str, tuple[str, int, str]] = {
    "MEMBER_OF": ("#C2410C", 2, "{p_same}"),
    "SAME_AS": ("#E8894A", 1, "{p_same}"),
    "ASSOCIATED_WITH": ("#0F766E", 2, "{neg_log10_p}"),
    "EQTL_OF": ("#2563A8", 2, "{tissue}"),
    "NEAREST_GENE": ("#9DB8D6", 1, "nearest"),
    "TARGETS": ("#7E3FA0", 2, "<type>"),
    "INDICATED_FOR": ("#B98CCB", 1, "<type>"),
    "PARTICIPATES_IN": ("#7DB065", 1, "in"),
    "BROADER_THAN": ("#B7791F", 1, "<type>"),
    "IS_A": ("#8C6D5A", 1, "<type>"),
    "GENE_ASSOCIATED_WITH": ("#6F8FBF", 1, "<type>"),
}
_OTHER_EDGE = ("#A9B0BA", 1, "<type>")


@dataclass(frozen=True)
class Query:
    """A saved query: its name, a word on what to look at, its text."""

    name: str
    about: str
    cypher: str

    @property
    def number(self) -> str:
        return self.name.split()[0]

    @property
    def text(self) -> str:
        return f"// {self.name}\n{self.cypher}"


@cache
def queries() -> tuple[Query, ...]:
    """Read the saved queries: the first comment is the name, the others say what to look at."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.cypher")))


def _read(path: Path) -> Query:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("// ") for line in lines if line.startswith("//")]
    return Query(comments[0], " ".join(comments[1:]), "\n".join(line for line in lines if not line.startswith("//")))


def style() -> str:
    """Write the style sheet (GraSS). Later rules win: `Entity`, which every node has, comes first."""
    rules = [
        _rule("node", diameter="70px", color="#A9A9B8", **{"border-width": "2px", "font-size": "10px"}, caption="{name}"),
        _rule("node.Entity", color="#A9A9B8", **_outline("#A9A9B8"), caption="{name}"),
        _rule("node.Build", color="#4B5563", **_outline("#4B5563"), caption="{state}"),
        *(
            _rule(f"node.{label}", color=colour, **_outline(colour), diameter=f"{diameter}px", caption="{name}")
            for label, (colour, diameter) in _NODES.items()
        ),
        _rule("relationship", **_edge(_OTHER_EDGE)),
        *(_rule(f"relationship.{name}", **_edge(_EDGES.get(name, _OTHER_EDGE))) for name in EDGE_TYPES),
    ]
    unknown = set(_NODES) ^ set(NODE_LABELS) | set(_EDGES) - set(EDGE_TYPES)
    if unknown:
        raise ValueError(f"docs/neo4j_browser.py and kgbuild/schema.py differ in {sorted(unknown)}")
    return "\n".join(rules)


def saved_queries() -> str:
    """Write the queries as the CSV that the calendar releases' Browser imports: a folder, and the queries in it."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(["name", "description", "query", "id", "parentId", "isFolder"])
    rows.writerow(["kgbuild: prioritise", "", "", 0, "", "true"])
    rows.writerows([q.name, q.about, q.text, number, 0, "false"] for number, q in enumerate(queries(), 1))
    return out.getvalue()


def guide() -> str:
    """Write the guide that the classic Browser plays: one slide a query, run with a click."""
    slides = [
        _slide("Prioritise variants and genes of a trait", _GUIDE_START, _parameters(), f":style http://localhost:{PORT}/style.grass"),
        *(_slide(q.name, q.about, q.text) for q in queries()),
        _slide("Your own trait", _GUIDE_END, ":param trait => 'asthma'", queries()[0].text),
    ]
    return (
        "<!-- Written by docs/generate.py from cypher/browser/prioritise. -->\n"
        '<article class="guide">\n<carousel class="deck container-fluid">\n' + "\n".join(slides) + "\n</carousel>\n</article>\n"
    )


def page() -> str:
    """Write the page that does for both Browsers what the guide does in the classic one."""
    parts = [
        "# The graph in Neo4j Browser",
        "<!-- Written by docs/generate.py from docs/neo4j_browser.py and cypher/browser/prioritise. -->",
        _PAGE_START,
    ]
    parts += [f"```\n{_parameters()}\n```", _PAGE_WALK]
    for query in queries():
        parts += [f"## {query.name}", query.about, *_picture(query), f"```cypher\n{query.cypher}\n```"]
    return "\n\n".join([*parts, _PAGE_END]) + "\n"


BROWSER_FILES = {
    "cypher/browser/style.grass": style,
    "cypher/browser/saved-queries.csv": saved_queries,
    "cypher/browser/guide.html": guide,
    "docs/neo4j-browser.md": page,
}


def _picture(query: Query) -> list[str]:
    image = f"images/neo4j-{query.number}.png"
    return [f"![{query.name}]({image})"] if (ROOT / "docs" / image).exists() else []


def _parameters() -> str:
    values = ", ".join(f"{name}: '{value}'" for name, (value, _) in EXAMPLE.items())
    return f":params {{{values}}}"


def _slide(title: str, about: str, *commands: str) -> str:
    boxes = "\n".join(f'<pre class="pre-scrollable code runnable">{html.escape(command, quote=False)}</pre>' for command in commands)
    return (
        f'<slide class="row-fluid">\n<div class="col-sm-3"><h3>{html.escape(title)}</h3></div>\n'
        f'<div class="col-sm-9"><p>{_code(html.escape(about))}</p>\n{boxes}\n</div>\n</slide>'
    )


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)


def _rule(selector: str, **settings: str) -> str:
    lines = "".join(f"  {key}: {_quoted(value) if key == 'caption' else value};\n" for key, value in settings.items())
    return f"{selector} {{\n{lines}}}\n"


def _quoted(value: str) -> str:
    return f'"{value}"'


def _edge(look: tuple[str, int, str]) -> dict[str, str]:
    colour, width, caption = look
    return {
        "color": colour,
        "shaft-width": f"{width}px",
        "font-size": "8px",
        "padding": "3px",
        "text-color-external": "#374151",
        "text-color-internal": "#FFFFFF",
        "caption": caption,
    }


def _outline(colour: str) -> dict[str, str]:
    """Give the border, a quarter darker, and the text's colour: whichever of dark and white stands out more."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 140
    border = "#" + "".join(f"{channel * 3 // 4:02X}" for channel in (red, green, blue))
    return {"border-color": border, "text-color-internal": "#1F2937" if light else "#FFFFFF"}


_GUIDE_START = """A click on a box puts it into the editor, Ctrl+Enter runs it; the pin at the top right keeps this guide in sight. The first box says
where to start, in the packaged demo's graph. The second gives every label its colour, size and caption."""

_GUIDE_END = """Look for another trait, copy the id of its concept into :param concept, and walk again. On the command line, `kgbuild query
variants-of-trait --trait asthma` asks the same with narrower terms and proxies included."""

_PAGE_START = f"""`kgbuild populate --to neo4j://localhost:7687` loads the graph into a Neo4j server (`docker-compose.yml` starts one). Its Browser is at
<http://localhost:7474>. What follows walks from a trait to candidate variants, genes and drugs; each query is a file in
`cypher/browser/prioritise/`, and the pictures are of the packaged demo's graph.

**Style and queries, once.** Which Browser is it?

- The classic one (servers up to 5.26): drop `cypher/browser/style.grass` anywhere on the page, and every label has its colour, size and caption.
  For the queries, `python -m zipfile -c kgbuild.zip cypher/browser/prioritise/`, and drop `kgbuild.zip` likewise: they are among the favourites (the
  star). Or let it guide you: `python cypher/browser/serve.py`, then `:play http://localhost:{PORT}/guide.html` in the Browser.
- The one of the calendar releases: Saved Cypher, Import, `cypher/browser/saved-queries.csv`. It reads no style sheets (colours are set by clicking
  on a label), and gives each label a colour of its own.

**Parameters.** The queries start from these; paste them into the Browser, with your own values later:"""

_PAGE_WALK = "In the pictures, orange is one harmonised concept and the paler shades are what became part of it: terms, codes, texts. Variants are teal, genes blue, drugs purple."

_PAGE_END = """## Beyond pictures

A picture is for a dozen loci. `kgbuild query --list` shows the templates that rank all of them, follow narrower terms, and give tables;
[their page](queries.md) has the columns. `--at neo4j://localhost:7687` asks this server rather than the embedded database."""
