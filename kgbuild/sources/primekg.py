"""A PrimeKG-shaped `kg.csv` (each edge twice, once in either direction) comes in; typed relations, concepts and genes go out.

Rows are worked on as numbers: a node is a place in a list, an edge three places. The second direction of an edge says what the
first says, and is merged in the ledger. A grouped disease (`13924_12592`) is a node of its own, broader than each of its members.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.schema import PRIMEKG_LABELS, RELATIONS, Relation
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import head, header_of, read_columns
from kgbuild.sources.release import says_subset, version_in
from kgbuild.vocabulary import content_id

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = ["VERSION", "group_members", "node_id", "read", "recognise", "relation_of"]

VERSION = 1

_REQUIRED = {name: (name,) for name in ("relation", "x_id", "x_type", "x_name", "x_source", "y_id", "y_type", "y_name", "y_source")}
_OPTIONAL = {"display_relation": ("display_relation",)}


def recognise(sample: Sample) -> Recognised | None:
    """Know the graph by its columns."""
    delimiter, names = header_of(sample.lines)
    present = {name.casefold() for name in names}
    if delimiter != "," or not present.issuperset(_REQUIRED):
        return None
    name = sample.path.name
    return Recognised("primekg", version_in(name), "columns relation, x_id, x_type, y_id, y_type", subset=says_subset(name))


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:  # noqa: ARG001 - every reader has options
    """Read the graph.

    Raises:
        SourceError: A column is missing, or the file is damaged.
    """
    table, malformed = read_columns(path, delimiter=header_of(head(path, 1))[0], quoted=True, columns=_REQUIRED, optional=_OPTIONAL)
    ledger = Ledger(source)
    for line, what in malformed:
        ledger.reject(line, "wrong number of cells", what)
    edges, nodes = _encode(table)
    del table
    edges = _orient(edges, nodes, ledger)
    edges = _without_second_direction(edges, ledger)
    ledger.keep(0, rows=len(edges.line))
    made = {"relations": _relations(edges, nodes, source), **_node_tables(edges, nodes, source)}
    return Harvest(made, ledger, version_in(path.name))


# ---- nodes -----------------------------------------------------------------------------------------------------------


def _padded(prefix: str) -> Callable[[str], str | None]:
    return lambda local: f"{prefix}:{local.zfill(7)}" if local.isdigit() else None


def _plain(prefix: str, pattern: str) -> Callable[[str], str | None]:
    return lambda local: f"{prefix}:{local}" if re.fullmatch(pattern, local) else None


# x_source -> how its local ids are spelled as CURIEs
_SOURCES: dict[str, Callable[[str], str | None]] = {
    "NCBI": _plain("NCBIGene", r"\d+"),
    "MONDO": _padded("MONDO"),
    "HPO": _padded("HP"),
    "GO": _padded("GO"),
    "UBERON": _padded("UBERON"),
    "DrugBank": _plain("drugbank", r"DB\d+"),
    "CTD": _plain("mesh", r"[A-Z]\d+"),
    "REACTOME": lambda local: f"reactome:{local}" if local.startswith("R-") else _plain("msigdb", r"\S+")(local),
}


def node_id(source: str, local: str) -> str | None:
    """Spell a node's id as a CURIE; None when the source is not known or cannot hold such an id.

    >>> node_id("MONDO", "612"), node_id("MONDO_grouped", "13924_12592"), node_id("HPO", "819"), node_id("NCBI", "6934")
    ('MONDO:0000612', 'primekg.group:13924_12592', 'HP:0000819', 'NCBIGene:6934')
    >>> node_id("REACTOME", "R-HSA-109582"), node_id("REACTOME", "REACTOME_HEMOSTASIS"), node_id("Wikipedia", "1")
    ('reactome:R-HSA-109582', 'msigdb:REACTOME_HEMOSTASIS', None)
    """
    if source.startswith("MONDO") and re.fullmatch(r"\d+(_\d+)+", local):
        return f"primekg.group:{local}"
    spell = _SOURCES.get(source.removesuffix("_grouped"))
    return spell(local) if spell else None


def group_members(curie: str) -> list[str]:
    """Give the MONDO ids in the id of a grouped disease.

    >>> group_members("primekg.group:13924_12592"), group_members("MONDO:0000612")
    (['MONDO:0013924', 'MONDO:0012592'], [])
    """
    prefix, _, local = curie.partition(":")
    return [f"MONDO:{number.zfill(7)}" for number in dict.fromkeys(local.split("_"))] if prefix == "primekg.group" else []


def relation_of(relation: str, display: str, x_type: str, y_type: str) -> tuple[Relation, bool] | None:
    """Say which edge a row becomes, and whether it must be turned round; None when the schema has none for it.

    >>> relation_of("drug_protein", "target", "gene/protein", "drug")
    (Relation(edge_type='TARGETS', from_type='drug', to_type='gene/protein'), True)
    >>> relation_of("drug_protein", "unheard of", "drug", "gene/protein") is None, relation_of("indication", "", "drug", "drug") is None
    (True, True)
    """
    found = RELATIONS.get((relation, display)) or RELATIONS.get((relation, "*"))
    if found is None or not {x_type, y_type} <= PRIMEKG_LABELS.keys():
        return None
    if not found.from_type:
        return found, False
    ends = (found.from_type, found.to_type)
    return (found, ends == (y_type, x_type)) if ends in {(x_type, y_type), (y_type, x_type)} else None


# ---- edges -----------------------------------------------------------------------------------------------------------


@dataclass
class _Nodes:
    """The distinct nodes (type, id, source) in the order of their CURIEs, "" for one that cannot be spelled; and their names."""

    curies: list[str]
    types: list[str]
    names: list[str]
    spelled: list[str]  # as the file writes them, for the rejects


@dataclass
class _Edges:
    """The rows as numbers: line, kind of row (a place in `kinds`), and the places of both nodes."""

    line: np.ndarray[Any, Any]
    kind: np.ndarray[Any, Any]
    start: np.ndarray[Any, Any]
    end: np.ndarray[Any, Any]
    kinds: list[tuple[str, ...]]  # (relation, display_relation, x_type, y_type), after _orient (edge type,)

    def take(self, mask: np.ndarray[Any, Any]) -> _Edges:
        return _Edges(self.line[mask], self.kind[mask], self.start[mask], self.end[mask], self.kinds)


def _encode(table: pa.Table) -> tuple[_Edges, _Nodes]:
    """Turn text into numbers: each distinct node and each distinct kind of row once."""
    import numpy as np

    n = table.num_rows
    ids, types, sources = (_codes(table, f"x_{part}", f"y_{part}") for part in ("id", "type", "source"))
    codes, first, combinations = _combined([ids, types, sources])
    name_codes, name_words = _codes(table, "x_name", "y_name")
    written = [(node_id(source, local) or "", kind, local, source) for local, kind, source in combinations]
    order = sorted(range(len(written)), key=lambda place: written[place])  # by CURIE: "smaller id first" is then "smaller place first"
    place_of = np.empty(len(order), dtype=np.int32)
    place_of[np.array(order, dtype=np.int64)] = np.arange(len(order), dtype=np.int32)
    names = [name_words[code].strip() for code in name_codes[first].tolist()]
    nodes = _Nodes(
        [written[i][0] for i in order],
        [written[i][1] for i in order],
        [names[i] for i in order],
        [f"{written[i][3]}:{written[i][2]} ({written[i][1]})" for i in order],
    )
    display = _codes(table, "display_relation") if "display_relation" in table.column_names else (np.zeros(n, dtype=np.int32), [""])
    kind, _, kinds = _combined([_codes(table, "relation"), display, (types[0][:n], types[1]), (types[0][n:], types[1])])
    places = place_of[codes]
    return _Edges(table.column("line").to_numpy(), kind, places[:n], places[n:], kinds), nodes


_Codes = tuple["np.ndarray[Any, Any]", list[str]]  # a place in a list of words for each row, and the words


def _codes(table: pa.Table, *names: str) -> _Codes:
    """Give each distinct word of some columns, laid end to end, a number."""
    import numpy as np
    import pyarrow as pa

    chunks = [chunk for name in names for chunk in table.column(name).chunks]
    encoded = pa.chunked_array(chunks, pa.string()).dictionary_encode().unify_dictionaries()
    words = encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else []
    return np.concatenate([np.zeros(0, np.int32), *(chunk.indices.to_numpy() for chunk in encoded.chunks)]), words


def _combined(columns: Sequence[_Codes]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[tuple[str, ...]]]:
    """Count through the distinct combinations: give each row's number, and the first row and the words of each number."""
    import numpy as np

    key = np.zeros(len(columns[0][0]), dtype=np.int64)
    for codes, words in columns:
        key = key * max(len(words), 1) + codes
    numbers, first = _numbered(key)
    return numbers.astype(np.int32), first, list(zip(*([words[i] for i in codes[first].tolist()] for codes, words in columns), strict=True))


def _numbered(key: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give equal keys equal numbers, in the order they come, and the first row of each number."""
    import numpy as np
    import pandas as pd

    numbers, distinct = pd.factorize(key)
    first = np.zeros(len(distinct), dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(key) - 1, -1, -1)
    return numbers, first


def _orient(edges: _Edges, nodes: _Nodes, ledger: Ledger) -> _Edges:
    """Reject rows of unknown nodes and relations; turn the others so that the edge starts where the schema says."""
    import numpy as np

    known = np.array([bool(curie) for curie in nodes.curies], dtype=bool)
    found = [relation_of(*kind) for kind in edges.kinds]
    _reject(edges, ledger, ~known[edges.start] | ~known[edges.end], lambda i: ("unknown kind of node id", _both_ends(edges, nodes, i)))
    edges = edges.take(known[edges.start] & known[edges.end])
    unknown = np.array([relation is None for relation in found], dtype=bool)[edges.kind]
    _reject(edges, ledger, unknown, lambda i: ("unknown relation", " | ".join(edges.kinds[edges.kind[i]])))
    edges = edges.take(~unknown)
    types = list(dict.fromkeys(relation.edge_type for relation, _ in filter(None, found)))
    type_of = np.array([types.index(pair[0].edge_type) if pair else -1 for pair in found], dtype=np.int32)
    turned = np.array([bool(pair and pair[1]) for pair in found], dtype=bool)[edges.kind]
    free = np.array([bool(pair and not pair[0].from_type and pair[0].edge_type != "IS_A") for pair in found], dtype=bool)[edges.kind]
    turned |= free & (edges.start > edges.end)
    start, end = np.where(turned, edges.end, edges.start), np.where(turned, edges.start, edges.end)
    return _Edges(edges.line, type_of[edges.kind], start, end, [(name,) for name in types])


def _both_ends(edges: _Edges, nodes: _Nodes, row: int) -> str:
    return f"{nodes.spelled[edges.start[row]]} - {nodes.spelled[edges.end[row]]}"


def _reject(edges: _Edges, ledger: Ledger, mask: np.ndarray[Any, Any], why: Callable[[int], tuple[str, str]]) -> None:
    rows = mask.nonzero()[0].tolist()
    if rows:
        reasons = [why(row) for row in rows]
        ledger.reject_many(edges.line[mask].tolist(), reasons[0][0], [value for _, value in reasons])


def _without_second_direction(edges: _Edges, ledger: Ledger) -> _Edges:
    """Keep the first row of each edge; merge the others into it."""
    import numpy as np

    size = int(max(edges.start.max(initial=0), edges.end.max(initial=0))) + 1
    numbers, first = _numbered((edges.kind.astype(np.int64) * size + edges.start) * size + edges.end)
    again = first[numbers] != np.arange(len(numbers))
    if again.any():
        into = edges.line[first[numbers[again]]].tolist()
        ledger.merge_many(edges.line[again].tolist(), "the same edge, in the other direction or again", map("line {}".format, into))
    return edges.take(~again)


# ---- tables ----------------------------------------------------------------------------------------------------------


def _relations(edges: _Edges, nodes: _Nodes, source: str) -> pa.Table:
    """Make the relations, and those that hold between a grouped disease and its members."""
    import numpy as np
    import pyarrow as pa

    curies, names = nodes.curies, [kind[0] for kind in edges.kinds]
    parts = zip(edges.start.tolist(), edges.kind.tolist(), edges.end.tolist(), strict=True)
    ids = pa.array((content_id("relation", curies[s], names[k], curies[o]) for s, k, o in parts), pa.string(), size=len(edges.line))
    words, predicates = pa.array(curies, pa.string()), pa.array(names, pa.string())
    made = tables.from_columns(
        "relations",
        len(edges.line),
        {
            "id": ids,
            "subject_id": words.take(pa.array(edges.start)),
            "predicate": predicates.take(pa.array(edges.kind)),
            "object_id": words.take(pa.array(edges.end)),
            "source": pa.repeat(source, len(edges.line)),
            "line": edges.line,
        },
    )
    used, first = np.unique(np.concatenate([edges.start, edges.end]), return_index=True)
    lines = np.concatenate([edges.line, edges.line])[first]
    members = [
        (content_id("relation", member, "IS_A", curies[place]), member, "IS_A", curies[place], source, line)
        for place, line in zip(used.tolist(), lines.tolist(), strict=True)
        for member in group_members(curies[place])
    ]
    return tables.concatenate("relations", [made, tables.from_rows("relations", members)])


def _node_tables(edges: _Edges, nodes: _Nodes, source: str) -> dict[str, pa.Table]:
    import numpy as np

    both, lines = np.concatenate([edges.start, edges.end]), np.concatenate([edges.line, edges.line])
    first = np.full(len(nodes.curies), np.iinfo(np.int64).max)
    np.minimum.at(first, both, lines)
    concepts: list[tuple[Any, ...]] = []
    names: list[tuple[Any, ...]] = []
    genes: list[tuple[Any, ...]] = []
    seen: set[str] = set()
    for place in np.unique(both).tolist():
        curie, name, line, label = nodes.curies[place], nodes.names[place], int(first[place]), PRIMEKG_LABELS[nodes.types[place]]
        if curie in seen:
            continue
        seen.add(curie)
        if label == "Gene":
            genes.append((curie, name or curie, [], source, line))
        else:
            concepts.append((curie, name or curie, "primekg", label, False, None, True, source, line))
            names.append((curie, name or curie, "label", source, line))
    return {name: tables.from_rows(name, rows) for name, rows in (("concepts", concepts), ("names", names), ("genes", genes))}
