"""Tables in, typed triples with a vector for each node out: what a bridge is trained on, and the account of what was left out.

A node is what an edge of the table `relations` has at an end; its type is its label in the graph. Its vector is that of its
name (a gene's: its symbol), or comes from a file where one is given for its type: protein or molecule vectors of any width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.concept_pairs import HeldOut
from kgbuild.errors import SourceError, UsageError
from kgbuild.schema import EDGE_TYPES
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from embedder.triples import TripleData

    Vectors = npt.NDArray[np.float32]

__all__ = ["SYMMETRIC", "VERSION", "TripleOptions", "Triples", "build_triples", "card", "read_vectors", "table_text"]

VERSION = 2  # of what this module and the trainer of bridges make of the same tables

SYMMETRIC = frozenset({"INTERACTS_WITH", "RELATED_IN_HIERARCHY", "LINKED_TO_EXPOSURE"})  # edges that are kept in one direction only

Embed = Callable[[list[str]], "Vectors"]


@dataclass(frozen=True)
class TripleOptions:
    """What is taken from the tables."""

    per_relation: int = 200_000
    seed: int = 20261121


@dataclass(frozen=True)
class Triples:
    """What a bridge is trained on, and the account of it: rows used and rows left out, by reason."""

    data: TripleData
    counts: dict[str, int] = field(default_factory=dict)


def build_triples(
    folder: Path,
    embed: Embed,
    *,
    concepts: pd.DataFrame | None = None,
    node_vectors: Mapping[str, Path] | None = None,
    options: TripleOptions | None = None,
) -> Triples:
    """Build triples from a folder of tables, each in both directions.

    Args:
        folder: Where `kgbuild.tables.read` finds them.
        embed: Gives the vectors of texts.
        concepts: What `kgbuild.concept_pairs.split_concepts` holds out: no edge between two such concepts is left.
        node_vectors: By node type: a file of vectors that its nodes have instead of their names'. Nodes not in it are left out.

    Raises:
        UsageError: There is no edge, no node of such a type, or a file that none of its nodes is in.
        SourceError: A file of vectors cannot be read as one.
    """
    import numpy as np

    from embedder.triples import INVERSE, TEXT, TripleData

    options, counts = options or TripleOptions(), Counter[str]()
    nodes, edges = _nodes(folder), tables.read(folder, "relations", ["subject_id", "predicate", "object_id"]).to_pandas()
    edges = _known(_not_held_out(folder, edges, concepts, counts), nodes, options, counts)
    files = dict(node_vectors or {})
    _check_types(files, nodes.loc[nodes.index.isin(_ends(edges)), "type"])
    given = {type_: _Given.read(path) for type_, path in files.items()}
    found = {type_: given[type_].of(nodes[(nodes["type"] == type_) & nodes.index.isin(_ends(edges))], type_, counts) for type_ in given}
    edges = _with_vectors(edges, nodes, found, counts)
    used = nodes.loc[sorted(set(_ends(edges)))]
    types, relations = tuple(sorted(used["type"].unique())), tuple(sorted(edges["predicate"].unique()))
    place = {id_: number for number, id_ in enumerate(used.index)}
    columns = [edges["subject_id"].map(place), edges["predicate"].map(relations.index), edges["object_id"].map(place)]
    vectors: dict[str, Vectors] = {}
    for type_ in types:
        members = used[used["type"] == type_]
        vectors[type_] = np.stack([found[type_][id_] for id_ in members.index]) if type_ in found else embed(members["text"].tolist())
    data = TripleData(
        nodes=used.index.tolist(),
        types=types,
        node_types=used["type"].map(types.index).to_numpy(np.int64),
        vectors=vectors,
        relations=relations,
        triples=np.column_stack([column.to_numpy(np.int64) for column in columns]),
        spaces={type_: files[type_].name if type_ in files else TEXT for type_ in types},
        groups=(used["type"] + "\t" + used["text"].map(normalise_name)).factorize()[0].astype(np.int64),
    ).with_inverses(SYMMETRIC)
    counts["nodes"], counts["triples in both directions"] = len(used), len(data.triples)
    described = embed([_described(name, INVERSE) for name in data.relations])
    return Triples(replace(data, descriptions=described), dict(counts))


def _nodes(folder: Path) -> pd.DataFrame:
    """Give type, text and other ids of every concept and gene, by id."""
    import pandas as pd

    concepts = tables.read(folder, "concepts", ["id", "name", "kind"]).to_pandas().set_axis(["id", "text", "type"], axis=1)
    genes = tables.read(folder, "genes", ["id", "symbol", "ensembl_ids"]).to_pandas().set_axis(["id", "text", "ensembl_ids"], axis=1)
    frame = pd.concat([concepts, genes.assign(type="Gene")], ignore_index=True)
    return frame.drop_duplicates("id").set_index("id")


def _not_held_out(folder: Path, edges: pd.DataFrame, concepts: pd.DataFrame | None, counts: Counter[str]) -> pd.DataFrame:
    if concepts is None or not len(concepts):
        return edges
    held = HeldOut.of(folder, concepts, _ends(edges).unique())(edges["subject_id"], edges["object_id"])
    counts["edges of held-out pairs of concepts left out"] += int(held.sum())
    return edges[~held]


def _known(edges: pd.DataFrame, nodes: pd.DataFrame, options: TripleOptions, counts: Counter[str]) -> pd.DataFrame:
    """Keep edges between two known nodes, each once, and of a large relation a part."""
    inside = edges["subject_id"].isin(nodes.index) & edges["object_id"].isin(nodes.index)
    loops = edges["subject_id"] == edges["object_id"]
    counts["edges of nodes without a name left out"] += int((~inside).sum())
    counts["edges from a node to itself left out"] += int((inside & loops).sum())
    edges = edges[inside & ~loops].drop_duplicates()
    drawn = edges.sample(frac=1.0, random_state=options.seed).groupby("predicate").head(options.per_relation)
    counts["edges beyond the cap of a relation left out"] += len(edges) - len(drawn)
    counts["edges"] += len(drawn)
    if not len(drawn):
        raise UsageError("the tables hold no edge between two named nodes", advice="Add an ontology or a knowledge graph to the sources.")
    return drawn.sort_values(["subject_id", "predicate", "object_id"])


def _ends(edges: pd.DataFrame) -> pd.Series[str]:
    import pandas as pd

    return pd.concat([edges["subject_id"], edges["object_id"]])


def _check_types(files: Mapping[str, Path], types: pd.Series[str]) -> None:
    there = sorted(types.unique())
    if unknown := sorted(set(files) - set(there)):
        raise UsageError(
            f"vectors are given for nodes of the type {unknown[0]!r}, of which no edge has one", advice=f"There are: {', '.join(there)}."
        )


def _with_vectors(edges: pd.DataFrame, nodes: pd.DataFrame, found: Mapping[str, Mapping[str, Any]], counts: Counter[str]) -> pd.DataFrame:
    """Leave out edges whose ends have a type with a file, and no vector in it."""
    without = {id_ for type_, known in found.items() for id_ in nodes.index[nodes["type"] == type_] if id_ not in known}
    lost = edges["subject_id"].isin(without) | edges["object_id"].isin(without)
    counts["edges of nodes without a vector left out"] += int(lost.sum())
    if lost.all():
        raise UsageError("no edge has a vector at both ends", advice="Give vectors for more nodes, or for fewer types.")
    return edges[~lost]


def _described(name: str, inverse: str) -> str:
    """Say what a relation means.

    >>> _described("inverse of TARGETS", "inverse of ")
    'inverse of targets: drug -> gene it acts on'
    """
    forward = name.removeprefix(inverse)
    meaning = f": {EDGE_TYPES[forward].meaning}" if forward in EDGE_TYPES else ""
    return f"{name.replace('_', ' ').lower()}{meaning}"


# ---------------------------------------------------------------- vectors from files


@dataclass(frozen=True)
class _Given:
    """A file of vectors, by id."""

    path: Path
    rows: dict[str, int]
    vectors: Vectors

    @classmethod
    def read(cls, path: Path) -> _Given:
        ids, vectors = read_vectors(path)
        return cls(path, {id_: row for row, id_ in enumerate(ids)}, vectors)

    def of(self, nodes: pd.DataFrame, type_: str, counts: Counter[str]) -> dict[str, Vectors]:
        """Give the vector of each node that is in the file under one of its ids."""
        genes = nodes["ensembl_ids"].where(nodes["type"] == "Gene")
        rows = {id_: self._row(_also_called(id_, *more)) for id_, *more in zip(nodes.index, nodes["text"], genes, strict=True)}
        known = {id_: row for id_, row in rows.items() if row is not None}
        if not known:
            raise UsageError(
                f"{self.path}: not one of its {len(self.rows):,} ids, {next(iter(self.rows))!r} for one, is that of a node of the type {type_}",
                advice=f"Use ids like {', '.join(map(repr, nodes.index[:2]))}" + (", Ensembl ids or symbols." if type_ == "Gene" else "."),
            )
        counts[f"{type_}: nodes with a vector in {self.path.name}"] += len(known)
        counts[f"{type_}: nodes without one left out"] += len(rows) - len(known)
        counts[f"{type_}: ids in {self.path.name} that are of no node with an edge"] += len(self.rows) - len(set(known.values()))
        return {id_: self.vectors[row] for id_, row in known.items()}

    def _row(self, names: list[str]) -> int | None:
        return next((self.rows[name] for name in names if name in self.rows), None)


def _also_called(id_: str, text: str, ensembl_ids: Any) -> list[str]:
    """Give what a node may be called in a file of vectors.

    >>> _also_called("NCBIGene:57787", "MARK4", ["ENSG00000007047"])
    ['NCBIGene:57787', '57787', 'ENSG00000007047', 'ensembl:ENSG00000007047', 'MARK4']
    """
    names = [id_, id_.partition(":")[2]]
    if isinstance(ensembl_ids, float) or ensembl_ids is None:  # a node that is no gene
        return names
    return [*names, *ensembl_ids, *(f"ensembl:{gene}" for gene in ensembl_ids), text]


def read_vectors(path: Path) -> tuple[list[str], Vectors]:
    """Read ids and vectors: .npz with `ids` and `vectors`, .parquet with `id` and `vector` (a list), or text with the id first.

    Raises:
        SourceError: It is not there or is none of these, vectors differ in width or hold what is no number, or an id comes twice.
    """
    import numpy as np

    reader = next((read for ending, read in _READERS.items() if path.name.removesuffix(".gz").endswith(ending)), None)
    if reader is None:
        raise SourceError(path, "is no file of vectors", expected=f"a name that ends in {', '.join(_READERS)}")
    if not path.is_file():
        raise SourceError(path, "there is no such file", advice="Correct node_vectors under [train].")
    ids, vectors = reader(path)
    if vectors.ndim != 2 or len(vectors) != len(ids) or not vectors.size:
        raise SourceError(path, f"{len(ids)} ids have vectors of the shape {vectors.shape}", expected=f"({len(ids)}, width)")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1) | ~vectors.any(axis=1))
    if len(bad):
        raise SourceError(path, f"{len(bad)} vectors hold what is no number, or are all 0", value=ids[bad[0]], expected="numbers")
    if twice := [id_ for id_, n in Counter(ids).items() if n > 1]:
        raise SourceError(path, f"{len(twice)} ids come twice", value=twice[0], expected="one vector per id")
    return ids, vectors


def _read_npz(path: Path) -> tuple[list[str], Vectors]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            return [str(id_) for id_ in archive["ids"]], np.asarray(archive["vectors"], dtype=np.float32)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(
            path, f"cannot be read ({error})", expected="arrays `ids` (text, not objects) and `vectors` (n, width)"
        ) from error


def _read_parquet(path: Path) -> tuple[list[str], Vectors]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=["id", "vector"])
        return [str(id_) for id_ in table["id"].to_pylist()], _stacked(path, table["vector"].to_pylist())
    except (pa.ArrowException, OSError, TypeError, KeyError) as error:
        raise SourceError(path, f"cannot be read ({error})", expected="columns `id` and `vector` (a list of numbers)") from error


def _read_text(path: Path) -> tuple[list[str], Vectors]:
    from kgbuild.sources.delimited import open_text

    delimiter = "," if path.name.removesuffix(".gz").endswith(".csv") else "\t"
    ids: list[str] = []
    rows: list[list[float]] = []
    with open_text(path) as text:
        for number, line in enumerate(text, start=1):
            id_, *cells = line.rstrip("\r\n").split(delimiter)
            try:
                row = [float(cell) for cell in cells]
            except ValueError:
                if number == 1:
                    continue  # a header
                raise SourceError(path, "not all cells after the first are numbers", line=number, value=line.strip()) from None
            if rows and len(row) != len(rows[0]):
                raise SourceError(path, f"the vector is {len(row)} wide", line=number, value=id_, expected=f"{len(rows[0])}, as before")
            ids.append(id_)
            rows.append(row)
    return ids, _stacked(path, rows)


def _stacked(path: Path, rows: list[list[float]]) -> Vectors:
    import numpy as np

    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise SourceError(path, f"vectors are {' and '.join(map(str, widths))} wide", expected="one width")
    return np.array(rows, dtype=np.float32)


_READERS: dict[str, Callable[[Path], tuple[list[str], Any]]] = {
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".tsv": _read_text,
    ".csv": _read_text,
    ".txt": _read_text,
}


# ---------------------------------------------------------------- what came out, for a person

_COLUMNS = {"mrr": "MRR", "recall_at_1": "R@1", "recall_at_10": "R@10", "recall_at_100": "R@100"}
_SCORERS = {"bridge": "bridge", "trained_on_it": "(trained on it)", "cosine": "cosine", "popularity": "popularity"}


def table_text(figures: Mapping[str, Any]) -> Iterator[str]:
    """Give the lines of an evaluation: one line for each relation, the ways of scoring beside each other."""
    scorers = [name for name in _SCORERS if name in figures["all"]]
    columns = [name for name in _COLUMNS if len(scorers) < 4 or name != "recall_at_1"]  # a line has 120 characters
    heading, width = _cells({name: _COLUMNS[name] for name in columns}), 6 * len(columns) - 1
    yield f"{'':36} {'triples':>8} " + " ".join(f"{_SCORERS[name]:>{width}}" for name in scorers)
    yield f"{'':36} {'':>8} " + " ".join(heading for _ in scorers)
    lines = {**figures["by_relation"], "mean over relations": figures["mean_over_relations"], "all triples": figures["all"]}
    for name, line in lines.items():
        n = f"{line['triples']:,}" if "triples" in line else ""
        cells = [
            _cells({c: f"{line[s][c]:.3f}".removeprefix("0") for c in columns}) if line[s] else f"{'cannot':>{width}}" for s in scorers
        ]
        yield f"{name[:36]:36} {n:>8} " + " ".join(cells)


def _cells(texts: Mapping[str, str]) -> str:
    """Write cells of five characters side by side.

    >>> _cells({"mrr": ".500", "recall_at_1": "1.000"})
    ' .500 1.000'
    """
    return " ".join(f"{text:>5}" for text in texts.values())


def card(description: Mapping[str, Any], figures: Mapping[str, Any]) -> str:
    """Write the README.md of a model folder with a bridge: what is in it, what it can and cannot do, how well it does it."""
    unseen = [line for name, found in figures.get("unseen", {}).items() for line in ("", f"Without {name}:", "", *table_text(found))]
    sources = [
        f"- {s['source']}: {s['kind']}, version {s['version'] or 'not known'}, {s['licence'] or 'licence not known'}, sha256 {s['sha256']}"
        for s in description["sources"]
    ]
    counts = [f"- {name}: {n:,}" for name, n in description["counts"].items()]
    lines = [
        "# A bridge over the relations of a knowledge graph",
        "",
        "After Wang et al., BioBridge (ICLR 2024). The encoders are as they were; what was trained is where a relation leads from a node:",
        "given a head, its type, a relation and a tail type, which tail?",
        "",
        "```python",
        "from embedder.biobridge import Bridge",
        "",
        'bridge = Bridge.load("this-folder/bridge")',
        'wanted = bridge.retrieve(head_vectors, "Drug", "INDICATED_FOR", "Disease")',
        'similarity = wanted @ bridge.project(disease_vectors, "Disease").T',
        "```",
        "",
        "It places no SNPs. Texts keep the encoder's own vectors: `kgbuild populate` writes those, and `kgbuild score` cannot score with it.",
        f"Vectors come from {', '.join(f'{space} ({what})' for space, what in description['encoders'].items())}.",
        "",
        "## How well it does",
        "",
        f"{figures['triples']:,} triples whose head no training triple has at either end; known tails are no rivals.",
        "",
        "```",
        *table_text(figures),
        *unseen,
        "```",
        "",
        "## Data",
        "",
        *sources,
        "",
        *counts,
    ]
    return "\n".join(lines) + "\n"
