"""Relations in, what surrounds each concept out: its genes, a disease's drugs, which genes interact or are alike, and a vector of each name.

Concepts that share a name are one node. Nothing that a split holds out is in here, whichever way and under whichever id it is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.concept_pairs import HeldOut
from kgbuild.errors import ModelError
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GROUPS", "Surroundings", "normalised", "similar_strings"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Encode = Callable[[list[str]], Floats]
Sparse = Any  # scipy.sparse.csr_matrix

_ONES, _WEIGHED = ("sets", "treats", "interactions"), ("alike", "family")  # matrices of ones, and others
FILES = ("surroundings.npz", "surroundings.json")
GROUPS = ("disease", "phenotype", "pathway", "process", "function", "drug")
GROUP_OF_KIND = {
    "Disease": "disease", "Phenotype": "phenotype", "Measurement": "phenotype", "Pathway": "pathway", "BiologicalProcess": "process",
    "MolecularFunction": "function", "CellularComponent": "function", "Drug": "drug",
}  # fmt: skip
OF_GENES = ("GENE_ASSOCIATED_WITH", "PARTICIPATES_IN")  # gene -> concept; TARGETS runs the other way
USED = (*OF_GENES, "TARGETS", "INDICATED_FOR", "INTERACTS_WITH")
DIMENSION = 96  # of gene vectors
ALIKE = 32  # genes that are called alike a gene, at most
FAMILY = 16  # genes whose symbols are called alike, at most


@dataclass(frozen=True)
class Surroundings:
    """Concepts, genes, and the edges between them.

    Args:
        names: (concepts,) label of each.
        groups: (concepts,) place in GROUPS.
        aliases: Normal form of each name of a concept -> its row.
        vectors: (concepts, d) unit vectors of the labels in the base encoder's space.
        symbols: (genes,).
        sets: (concepts, genes) 1 where an edge joins the two; a drug's genes are its targets.
        treats: (concepts, concepts) 1 where the drug of the column is indicated for the row.
        interactions: (genes, genes) 1, both directions.
        gene_vectors: (genes, DIMENSION) unit vectors: genes that share concepts and partners are close.
        alike: (genes, genes) squared cosine of each gene and the ALIKE nearest in `gene_vectors`.
        family: (genes, genes) likeness of symbols, of the FAMILY likest: CACNA1C and CACNA1D.
    """

    names: Sequence[str]
    groups: Integers
    aliases: Mapping[str, int]
    vectors: Floats
    symbols: Sequence[str]
    sets: Sparse
    treats: Sparse
    interactions: Sparse
    gene_vectors: Floats
    alike: Sparse
    family: Sparse

    @classmethod
    def of(cls, folder: Path, encode: Encode, *, hidden: pd.DataFrame | None = None) -> Surroundings:
        """Gather them from a folder of tables.

        Args:
            folder: Where `kgbuild.tables.read` finds them.
            encode: Texts -> unit vectors in the base encoder's space.
            hidden: Rows of a split (`kgbuild.concept_pairs.COLUMNS`) whose edges stay out.
        """
        edges = _Edges.read(folder, hidden)
        genes, concepts = edges.nodes(folder)
        symbols = [symbol for _, symbol in genes.values()]
        gene_rows = {number: row for row, number in enumerate(genes)}
        rows = {number: row for row, number in enumerate(concepts)}
        names = [label for label, _, _ in concepts.values()]
        shape = (len(names), len(symbols))
        pairs = [edges.between(predicate, rows, gene_rows, turned=True) for predicate in OF_GENES]
        pairs.append(edges.between("TARGETS", rows, gene_rows))
        sets = _ones(np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs]), shape)
        treats = _ones(*edges.between("INDICATED_FOR", rows, rows, turned=True), (len(names), len(names)))
        first, second = edges.between("INTERACTS_WITH", gene_rows, gene_rows)
        interactions = _ones(np.append(first, second), np.append(second, first), (len(symbols), len(symbols)))
        gene_vectors = _gene_vectors(sets, interactions)
        return cls(
            names=names,
            groups=np.array([GROUPS.index(group) for _, group, _ in concepts.values()], dtype=np.int64),
            aliases={alias: rows[number] for number, (_, _, others) in concepts.items() for alias in others},
            vectors=encode(names).astype(np.float16).astype(np.float32) if names else np.zeros((0, 1), dtype=np.float32),
            symbols=symbols,
            sets=sets,
            treats=treats,
            interactions=interactions,
            gene_vectors=gene_vectors,
            alike=_nearest_rows(gene_vectors, ALIKE),
            family=similar_strings(symbols, symbols, FAMILY, without_self=True),
        )

    def save(self, folder: Path) -> None:
        """Write the two FILES."""
        arrays: dict[str, npt.NDArray[Any]] = {"groups": self.groups.astype(np.int8)}
        arrays |= {"vectors": self.vectors.astype(np.float16), "gene_vectors": self.gene_vectors.astype(np.float16)}
        for name in (*_ONES, *_WEIGHED):
            matrix = getattr(self, name)
            arrays |= {f"{name}.starts": matrix.indptr.astype(np.int32), f"{name}.members": matrix.indices.astype(np.int32)}
            arrays |= {f"{name}.values": matrix.data.astype(np.float16)} if name in _WEIGHED else {}
        np.savez_compressed(folder / FILES[0], **arrays)  # type: ignore[arg-type]
        document = {"names": list(self.names), "symbols": list(self.symbols), "aliases": dict(self.aliases)}
        (folder / FILES[1]).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Surroundings | None:
        """Read them back; None where the model was saved without.

        Raises:
            ModelError: The two files do not fit each other.
        """
        from scipy.sparse import csr_matrix

        if not (folder / FILES[1]).exists():
            return None
        document = json.loads((folder / FILES[1]).read_text(encoding="utf-8"))
        n, m = len(document["names"]), len(document["symbols"])
        with np.load(folder / FILES[0]) as archive:
            arrays = dict(archive)
        if len(arrays["groups"]) != n or len(arrays["gene_vectors"]) != m:
            raise ModelError(f"{folder}: {' and '.join(FILES)} do not fit each other", advice="Train again: kgbuild train")
        matrices = {}
        for name in (*_ONES, *_WEIGHED):
            members, starts = arrays[f"{name}.members"], arrays[f"{name}.starts"]
            values = arrays[f"{name}.values"].astype(np.float32) if name in _WEIGHED else np.ones(len(members), dtype=np.float32)
            shape = {"sets": (n, m), "treats": (n, n)}.get(name, (m, m))
            matrices[name] = csr_matrix((values, members, starts), shape=shape)
        return cls(
            names=document["names"],
            groups=arrays["groups"].astype(np.int64),
            aliases=document["aliases"],
            vectors=arrays["vectors"].astype(np.float32),
            symbols=document["symbols"],
            gene_vectors=arrays["gene_vectors"].astype(np.float32),
            **matrices,
        )

    @cached_property
    def gene_rows(self) -> dict[str, int]:
        """Row of each symbol, as it is written."""
        return {symbol: row for row, symbol in enumerate(self.symbols)}

    @cached_property
    def drugs(self) -> Integers:
        return np.flatnonzero(self.groups == GROUPS.index("drug"))

    @cached_property
    def treated_sets(self) -> Sparse:
        """(concepts, genes) targets of the drugs that are indicated for a disease; how many drugs say so does not count."""
        found = (self.treats @ self.sets).tocsr()
        found.data[:] = 1
        return found

    @cached_property
    def partners(self) -> Sparse:
        """(genes, genes) interactions, each divided by the root of the numbers of both genes' partners."""
        return normalised(self.interactions)


@dataclass(frozen=True)
class _Edges:
    """The edges that count, as numbers of concepts."""

    ids: list[str]  # of all edges, hidden ones too: names are no secret
    numbers: Integers  # of each id
    predicates: npt.NDArray[Any]
    subjects: Integers  # places in ids
    objects: Integers

    @classmethod
    def read(cls, folder: Path, hidden: pd.DataFrame | None) -> _Edges:
        import pandas as pd
        import pyarrow as pa
        import pyarrow.compute as pc

        relations = tables.read(folder, "relations", ["subject_id", "predicate", "object_id"])
        relations = relations.filter(pc.is_in(relations["predicate"], pa.array(USED)))
        both = pa.chunked_array([*relations["subject_id"].chunks, *relations["object_id"].chunks], pa.string())
        codes, ids = pd.factorize(both.to_numpy())
        n = len(relations)
        held = HeldOut.of(folder, hidden if hidden is not None else _nothing(), ids)
        numbers = np.array([held.numbers[id_] for id_ in ids], dtype=np.int64)
        subjects, objects = codes[:n], codes[n:]
        keep = ~np.isin(HeldOut.keys(numbers[subjects], numbers[objects]), held.pairs)
        predicates = relations["predicate"].to_numpy(zero_copy_only=False)
        return cls(list(ids), numbers, predicates[keep], subjects[keep], objects[keep])

    def nodes(self, folder: Path) -> tuple[dict[int, tuple[str, str]], dict[int, tuple[str, str, list[str]]]]:
        """Give genes (number -> id, symbol) and concepts (number -> label, group, normal forms of all names)."""
        labels, kinds = tables.names_by_id(folder), tables.read(folder, "concepts", ["id", "kind"]).to_pydict()
        kind_of = dict(zip(kinds["id"], kinds["kind"], strict=True))
        names = tables.read(folder, "names", ["concept_id", "name", "role"]).to_pydict()
        others: dict[str, list[str]] = {}
        for id_, name, role in zip(names["concept_id"], names["name"], names["role"], strict=True):
            if role != "short":
                others.setdefault(id_, []).append(name)
        genes: dict[int, tuple[str, str]] = {}
        concepts: dict[int, tuple[str, str, list[str]]] = {}
        for id_, number in zip(self.ids, self.numbers.tolist(), strict=True):
            label = labels.get(id_)
            if label is None:
                continue
            if id_ not in kind_of:
                genes.setdefault(number, (id_, label))
            elif (group := GROUP_OF_KIND.get(kind_of[id_])) is not None:
                entry = concepts.setdefault(number, (label, group, []))
                entry[2].extend(normalise_name(name) for name in (label, *others.get(id_, ())))
        return genes, concepts

    def between(
        self, predicate: str, left: Mapping[int, int], right: Mapping[int, int], *, turned: bool = False
    ) -> tuple[Integers, Integers]:
        """Give the rows of both ends of edges from `left` to `right`, or from `right` to `left` if turned."""
        here = self.predicates == predicate
        subjects, objects = self.numbers[self.subjects[here]], self.numbers[self.objects[here]]
        first, second = (objects, subjects) if turned else (subjects, objects)
        rows, columns = _looked_up(first, left), _looked_up(second, right)
        known = (rows >= 0) & (columns >= 0)
        return rows[known], columns[known]


def _nothing() -> pd.DataFrame:
    import pandas as pd

    from kgbuild.concept_pairs import COLUMNS

    return pd.DataFrame({column: pd.Series(dtype=object) for column in COLUMNS})


def _looked_up(numbers: Integers, rows: Mapping[int, int]) -> Integers:
    table = np.full(int(numbers.max(initial=0)) + 1, -1, dtype=np.int64)
    for number, row in rows.items():
        if number < len(table):
            table[number] = row
    return table[numbers]


def _ones(rows: Integers, columns: Integers, shape: tuple[int, int]) -> Sparse:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, columns)), shape=shape)
    matrix.data[:] = 1
    return matrix


def normalised(matrix: Sparse) -> Sparse:
    """Divide each cell by the root of its row's and its column's sum."""
    from scipy.sparse import diags

    rows, columns = (np.sqrt(np.maximum(np.asarray(matrix.sum(axis=axis)).ravel(), 1)) for axis in (1, 0))
    return (diags((1 / rows).astype(np.float32)) @ matrix @ diags((1 / columns).astype(np.float32))).tocsr()


def _gene_vectors(sets: Sparse, interactions: Sparse) -> Floats:
    """Give unit vectors from the truncated SVD of normalised concept-gene and gene-gene edges; fewer columns than asked are zeros."""
    from scipy.sparse import vstack
    from sklearn.utils.extmath import randomized_svd

    from embedder import unit_rows

    n_genes = sets.shape[1]
    made = np.zeros((n_genes, DIMENSION), dtype=np.float32)
    matrix = vstack([normalised(sets), normalised(interactions)]).tocsr()
    rank = min(DIMENSION, min(matrix.shape) - 1)
    if rank >= 1 and matrix.nnz:
        _, _, columns = randomized_svd(matrix, rank, n_iter=2, random_state=0)
        made[:, :rank] = columns.T
    return unit_rows(made).astype(np.float16).astype(np.float32)


def _nearest_rows(vectors: Floats, most: int, *, block: int = 1024) -> Sparse:
    """Give (n, n) squared positive cosines of each row and the `most` nearest others."""
    from scipy.sparse import csr_matrix

    n = len(vectors)
    most = min(most, n - 1)
    if most < 1:
        return csr_matrix((n, n), dtype=np.float32)
    places, values = np.empty((n, most), dtype=np.int32), np.empty((n, most), dtype=np.float32)
    for start in range(0, n, block):
        cosines = vectors[start : start + block] @ vectors.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -1
        places[start : start + block] = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        values[start : start + block] = np.take_along_axis(cosines, places[start : start + block].astype(np.int64), axis=1)
    return csr_matrix((np.maximum(values, 0).ravel() ** 2, places.ravel(), np.arange(n + 1) * most), shape=(n, n))


def similar_strings(asked: Sequence[str], known: Sequence[str], most: int, *, without_self: bool = False, block: int = 512) -> Sparse:
    """Give (asked, known) cosines of rare character n-grams, the `most` largest of each row.

    >>> similar_strings(["atenolol"], ["metoprolol", "lisinopril"], 1).indices.tolist()
    [0]
    """
    from scipy.sparse import csr_matrix, vstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not len(asked) or not len(known):
        return csr_matrix((len(asked), len(known)), dtype=np.float32)
    # an n-gram that hundreds of names have says nothing, and costs most of the product
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_df=max(0.02, 50 / len(known)), dtype=np.float32)
    if len(known) <= 50:
        grams.set_params(max_df=1.0)
    columns = grams.fit_transform([name.casefold() for name in known]).T.tocsr()
    rows = grams.transform([name.casefold() for name in asked])
    parts = []
    for start in range(0, rows.shape[0], block):
        part = (rows[start : start + block] @ columns).tocsr()
        for line in range(part.shape[0]):
            cells = part.data[part.indptr[line] : part.indptr[line + 1]]
            if without_self:
                cells[part.indices[part.indptr[line] : part.indptr[line + 1]] == start + line] = 0
            if len(cells) > most:
                cells[cells < np.partition(cells, -most)[-most]] = 0
        part.eliminate_zeros()
        parts.append(part)
    return vstack(parts).tocsr()
