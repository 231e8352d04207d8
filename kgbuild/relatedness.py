"""Pairs of texts in, how related they are out, where one is a gene or a drug: what the graph says around both, beside the cosine.

Each text is found among the graph's concepts and genes by name; its nearest concepts in the base encoder's space stand in for what is
not known of it. A pair of a concept and a gene, or of a disease and a drug, gets features; each is a part of the score:

    cosine    of the trained space, and of the base encoder's
    own       what the graph says of the concept itself: the pair's own edge, if training had it
    near      whether its nearest concepts, of each group, have the gene or the drug (`treated`: by way of the drugs of near diseases)
    partners  whether the gene's partners (interactions; for a drug: drugs of common targets) do
    family    whether genes or drugs of like names do: CACNA1C and CACNA1D, atenolol and metoprolol
    alike     whether genes that share concepts and partners with it do (for a drug: drugs of like meaning)
    space     the mean vector of the concept's genes with that of the gene, or of the drug's targets
    name      whether the gene's symbol stands in the concept's name
    degree    how popular the gene or the drug is

A logistic regression whose weights, but for the degree's, are not below 0 makes one number of them: the score is its probability, with
pairs and other pairs as frequent. It is fitted on the development part of the split of concepts, which neither training nor the
surroundings saw then, once for concepts that the graph knows and once for those it does not. Any other two texts have the cosine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.concept_pairs import concept_pairs
from kgbuild.neighbours import nearest
from kgbuild.surroundings import GROUPS, Surroundings, normalised, similar_strings
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["KINDS", "PARTS", "Relatedness", "Weights", "fit_relatedness", "fit_weights", "pair_cosines"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Sparse = Any
Encode = Callable[[list[str]], Floats]
Place = Callable[[Floats, list[str]], Floats]  # base vectors, texts -> vectors in the trained space
Progress = Callable[[str, int, int], None]
Similarity = Callable[[list[str], Floats, Integers, Integers], Floats]  # texts, base vectors, left, right -> trained cosine

PARTS = ("cosine", "own", "near", "partners", "family", "alike", "space", "name", "degree")
KINDS = ("disease-gene", "pathway-gene", "drug-gene", "disease-drug")
SOURCES = ("own", *GROUPS, "treated")
FILE = "relatedness.json"

NEAREST, SHARPNESS = 16, 0.1  # concepts of a group that stand in, weighed by exp((cosine - 1) / SHARPNESS)
NEAREST_TREATED, BLUNTNESS = 32, 0.2  # of the few diseases that have drugs, more, and farther ones
HEADS = 256  # concepts at a time: their genes are held as a full matrix
CELLS = 2_000_000  # cells of kernels at a time

_GENE_FEATURES = {  # feature -> part
    "trained": "cosine", "base": "cosine", "vote own": "own",
    **{f"vote {source}": "near" for source in SOURCES[1:]},
    **{f"{kernel} {of}": kernel for kernel in ("partners", "family", "alike") for of in ("own", "near", "treated")},
    **{f"space {source}": "space" for source in SOURCES},
    "name": "name", "name of family": "name", "degree": "degree", "number of partners": "degree",
}  # fmt: skip
_DRUG_FEATURES = {  # without the trained cosine: it is fitted on edges that the trained space has seen, there being too few others
    "base": "cosine", "vote own": "own", "vote near": "near",
    **{f"{kernel} {of}": kernel for kernel in ("partners", "family", "alike") for of in ("own", "near")},
    "space": "space", "degree": "degree",
}  # fmt: skip
FEATURES: Mapping[str, Mapping[str, str]] = {kind: _DRUG_FEATURES if kind == "disease-drug" else _GENE_FEATURES for kind in KINDS}
_SIGNED = ("trained", "base", "space")  # features that may be negative stay as they are, others are taken by their logarithm


@dataclass(frozen=True)
class Weights:
    """A logistic regression on features: each is divided by its scale, taken as log(1 + x) unless signed, and standardised."""

    features: Sequence[str]
    scale: Sequence[float]
    mean: Sequence[float]
    deviation: Sequence[float]
    weights: Sequence[float]
    intercept: float
    n_pairs: int

    def contributions(self, values: Floats) -> Floats:
        """Give what each feature adds to the log odds: (pairs, features) -> the same."""
        return np.asarray(
            (_shaped(values, self.features, np.array(self.scale)) - self.mean) / self.deviation * self.weights, dtype=np.float32
        )


def _shaped(values: Floats, features: Sequence[str], scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    signed = np.array([feature.split(" ")[0] in _SIGNED for feature in features])
    return np.where(signed, values, np.log1p(np.maximum(values, 0) / scale))


@dataclass
class _Found:
    """What texts stand for: rows of a gene and of a concept, -1 where there is none; base vectors."""

    texts: Sequence[str]
    base: Floats
    gene: Integers
    concept: Integers
    group: Integers  # place in GROUPS; of an unknown text that of the nearest concepts


@dataclass
class _Pairs:
    """Pairs of one kind: places among all, rows of the texts of both sides."""

    kind: str
    places: Integers
    head: Integers  # rows of texts: the concept
    tail: Integers  # rows of texts: the gene or the drug


class Relatedness:
    """Surroundings with weights.

    Args:
        surroundings: Of all edges that may be seen.
        weights: By kind of pair and whether the concept is known, as `disease-gene known`; a kind without has the cosine.
    """

    def __init__(self, surroundings: Surroundings, weights: Mapping[str, Weights]) -> None:
        self.surroundings, self.weights = surroundings, weights

    def save(self, folder: Path) -> None:
        """Write the surroundings' files and relatedness.json."""
        self.surroundings.save(folder)
        document = {name: asdict(weights) for name, weights in self.weights.items()}
        (folder / FILE).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Relatedness | None:
        """Read it back; None where the model was saved without."""
        surroundings = Surroundings.load(folder)
        if surroundings is None or not (folder / FILE).exists():
            return None
        document = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(surroundings, {name: Weights(**weights) for name, weights in document.items()})

    def score(
        self, texts: Sequence[str], base: Floats, similarity: Floats, left: Integers, right: Integers, *, without: Collection[str] = ()
    ) -> Floats:
        """Give the score of pairs, in either order of the sides.

        Args:
            texts: Texts.
            base: (texts, d) their unit vectors in the base encoder's space.
            similarity: (pairs,) cosines in the trained space.
            left: Rows of texts.
            right: Likewise.
            without: PARTS that are left out.
        """
        score = np.array(similarity, dtype=np.float32)
        for places, intercept, parts in self.contributions(texts, base, similarity, left, right):
            log_odds = intercept + sum((values for part, values in parts.items() if part not in without), np.zeros(len(places)))
            score[places] = 1 / (1 + np.exp(-log_odds))
        return score

    def contributions(
        self, texts: Sequence[str], base: Floats, similarity: Floats, left: Integers, right: Integers
    ) -> Iterator[tuple[Integers, float, dict[str, Floats]]]:
        """Give, for pairs of one kind at a time, their places, the intercept, and what each part adds to the log odds."""
        found = self.find(texts, base)
        for pairs in self.sort(found, left, right):
            known = self.known(pairs.kind, found.concept[pairs.head])
            for name, here in (("known", known), ("new", ~known)):
                weights = self.weights.get(f"{pairs.kind} {name}")
                if weights is None or not here.any():
                    continue
                some = _Pairs(pairs.kind, pairs.places[here], pairs.head[here], pairs.tail[here])
                values = weights.contributions(self.features(found, some, similarity[some.places]))
                of_part = FEATURES[pairs.kind]
                yield (
                    some.places,
                    weights.intercept,
                    {
                        part: values[:, [of_part[feature] == part for feature in weights.features]].sum(axis=1)
                        for part in dict.fromkeys(of_part.values())
                    },
                )

    # ------------------------------------------------------------ what a text stands for

    def find(self, texts: Sequence[str], base: Floats) -> _Found:
        """Find texts among genes (as they are written; with a digit, in small letters too: `rest` is a word) and concepts (by any name)."""
        s = self.surroundings
        concept = np.array([s.aliases.get(normalise_name(text), -1) for text in texts], dtype=np.int64)
        gene = np.array([s.gene_rows.get(text.strip(), -1) for text in texts], dtype=np.int64)
        for row in np.flatnonzero((gene < 0) & (concept < 0)).tolist():
            if any(letter.isdigit() for letter in texts[row]):
                gene[row] = s.gene_rows.get(texts[row].strip().upper(), -1)
        group = np.where(concept >= 0, s.groups[concept] if len(s.groups) else -1, -1)
        unknown = np.flatnonzero((concept < 0) & (gene < 0))
        if len(s.groups):
            group[unknown] = self._nearest_group(base[unknown])
        return _Found(texts, base, gene, concept, group)

    def _nearest_group(self, base: Floats) -> Integers:
        """Give the group of the nearest concept, but `drug` where two of the nearest five are drugs: their names are like other words.

        Of 527 drugs, each left out in turn, this finds 91 %, and takes 0.3 % of diseases for drugs.
        """
        groups, drug = self.surroundings.groups, GROUPS.index("drug")
        rows, _ = nearest(base, self.surroundings.vectors, 5)
        drugs = (groups[rows] == drug).sum(axis=1)
        return np.where(drugs >= min(2, len(groups)), drug, groups[rows[:, 0]])

    def sort(self, found: _Found, left: Integers, right: Integers) -> Iterator[_Pairs]:
        """Part pairs by kind; those of no kind are left out."""
        plain = np.where(found.gene >= 0, "gene", np.array(_PLAIN, dtype=object)[found.group])
        unknown = (found.gene < 0) & (found.concept < 0)
        # beside a drug, a text that the graph does not know is a disease, whatever it is near to
        beside_drug = np.where(unknown & (plain == "pathway"), "disease", plain)
        for kind in KINDS:
            head, tail = kind.split("-")
            heads = beside_drug if tail == "drug" else plain
            forward, backward = ((heads[one] == head) & (plain[other] == tail) for one, other in ((left, right), (right, left)))
            # two names of one concept are synonyms, though one is a gene's symbol too (PAH)
            meant = ~(unknown[left] & unknown[right]) & ((found.concept[left] != found.concept[right]) | (found.concept[left] < 0))
            places = np.flatnonzero((forward | backward) & meant)
            if len(places):
                turned = backward[places]
                yield _Pairs(kind, places, np.where(turned, right[places], left[places]), np.where(turned, left[places], right[places]))

    def known(self, kind: str, concept: Integers) -> npt.NDArray[np.bool_]:
        """Tell which concepts have edges of their own of the kind."""
        s = self.surroundings
        counts = np.append(np.diff((s.treats if kind == "disease-drug" else s.sets).indptr), 0)
        return np.asarray(counts[concept] > 0)

    # ------------------------------------------------------------ features

    def features(self, found: _Found, pairs: _Pairs, similarity: Floats, *, hide_own: bool = False) -> Floats:
        """Give (pairs, features) in the order of FEATURES; with `hide_own` as if the graph did not know the concept."""
        out = np.zeros((len(pairs.head), len(FEATURES[pairs.kind])), dtype=np.float32)
        columns = {feature: place for place, feature in enumerate(FEATURES[pairs.kind])}
        if "trained" in columns:
            out[:, columns["trained"]] = similarity
        make = self._drug_features if pairs.kind == "disease-drug" else self._gene_features
        order = np.argsort(pairs.head, kind="stable")
        heads, number = np.unique(pairs.head[order], return_inverse=True)
        for start in range(0, len(heads), HEADS):
            here = order[np.searchsorted(number, start) : np.searchsorted(number, start + HEADS)]
            some = heads[start : start + HEADS]
            local = np.searchsorted(some, pairs.head[here])
            for feature, values in make(found, some, local, pairs.tail[here], hide_own):
                out[here, columns[feature]] = values
        return out

    def _gene_features(
        self, found: _Found, heads: Integers, local: Integers, tails: Integers, hide_own: bool
    ) -> Iterator[tuple[str, Floats]]:
        s = self.surroundings
        genes = found.gene[tails]
        yield "base", np.einsum("ij,ij->i", found.base[heads[local]], found.base[tails])
        profiles: dict[str, Floats] = {}
        for source, members in self._sources(found, heads, hide_own):
            profile = (members @ (self._treated if source == "treated" else self._sets)).tocsr()
            place = profile @ s.gene_vectors
            length = np.maximum(np.linalg.norm(place, axis=1), 1e-6)
            yield f"space {source}", np.einsum("ij,ij->i", place[local], s.gene_vectors[genes]) / length[local]
            dense = profile.toarray()
            yield f"vote {source}", dense[local, genes]
            of = source if source in ("own", "treated") else "near"
            profiles[of] = profiles[of] + dense if of in profiles else dense
        for kernel, matrix in (("partners", s.partners), ("family", s.family), ("alike", s.alike)):
            for of, dense in profiles.items():
                yield f"{kernel} {of}", _through(dense, local, matrix, genes)
        named = self._named(found, heads)
        yield "name", named[local, genes]
        yield "name of family", _through(named, local, s.family, genes)
        yield "degree", self._gene_degrees[genes]
        yield "number of partners", np.diff(s.interactions.indptr)[genes].astype(np.float32)

    def _drug_features(
        self, found: _Found, heads: Integers, local: Integers, tails: Integers, hide_own: bool
    ) -> Iterator[tuple[str, Floats]]:
        s = self.surroundings
        yield "base", np.einsum("ij,ij->i", found.base[heads[local]], found.base[tails])
        kernels, distinct = self._drug_kernels(found, tails)
        column = np.searchsorted(s.drugs, found.concept[tails])
        column = np.where(found.concept[tails] >= 0, column, -1)
        own = self._own(found, heads, hide_own) @ self._treats[:, s.drugs]
        near = self._near(found, heads, np.flatnonzero(np.diff(s.treats.indptr) > 0), NEAREST_TREATED, BLUNTNESS)
        for of, profile in (("own", own), ("near", near @ self._treats[:, s.drugs])):
            dense = profile.toarray()
            yield f"vote {of}", np.where(column >= 0, dense[local, column], 0)
            for kernel, matrix in kernels.items():
                yield f"{kernel} {of}", _through(dense, local, matrix, distinct)
        place = np.zeros((len(heads), s.gene_vectors.shape[1]), dtype=np.float32)
        for source, members in self._sources(found, heads, hide_own):
            place += members @ (self._treated_vectors if source == "treated" else self._set_vectors)
        targets = np.where(found.concept[tails, None] >= 0, self._set_vectors[found.concept[tails]], 0)
        lengths = np.linalg.norm(place, axis=1)[local] * np.linalg.norm(targets, axis=1)
        yield "space", np.einsum("ij,ij->i", place[local], targets) / np.maximum(lengths, 1e-6)
        indications = np.append(np.asarray(s.treats.sum(axis=0)).ravel(), 0)
        yield "degree", indications[found.concept[tails]].astype(np.float32)

    def _sources(self, found: _Found, heads: Integers, hide_own: bool) -> Iterator[tuple[str, Sparse]]:
        """Give (heads, concepts) weights of the concepts that say something of each head, by source."""
        s = self.surroundings
        own = self._own(found, heads, hide_own)
        yield "own", own
        for place, group in enumerate(GROUPS):
            yield group, self._near(found, heads, np.flatnonzero((s.groups == place) & self._has_genes), NEAREST, SHARPNESS)
        near = self._near(found, heads, np.flatnonzero(np.diff(s.treated_sets.indptr) > 0), NEAREST_TREATED, BLUNTNESS)
        yield "treated", (near + own).tocsr()

    def _own(self, found: _Found, heads: Integers, hide_own: bool) -> Sparse:
        from scipy.sparse import csr_matrix

        concept = found.concept[heads]
        rows = np.flatnonzero((concept >= 0) & (not hide_own))
        return csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, concept[rows])), shape=(len(heads), len(self.surroundings.names)))

    def _near(self, found: _Found, heads: Integers, among: Integers, most: int, width: float) -> Sparse:
        """Give (heads, concepts) weights of the nearest `among` some; a head's own concept is none of them."""
        from scipy.sparse import csr_matrix

        shape = (len(heads), len(self.surroundings.names))
        most = min(most, len(among))
        if not most:
            return csr_matrix(shape, dtype=np.float32)
        cosines = found.base[heads] @ self.surroundings.vectors[among].T
        cosines[found.concept[heads][:, None] == among[None, :]] = -np.inf
        nearest = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        weights = np.exp((np.take_along_axis(cosines, nearest, axis=1) - 1) / width)
        return csr_matrix((weights.ravel(), among[nearest].ravel(), np.arange(len(heads) + 1) * most), shape=shape)

    def _named(self, found: _Found, heads: Integers) -> Floats:
        """Give (heads, genes) 1 where the gene's symbol is a word of the head's text."""
        named = np.zeros((len(heads), len(self.surroundings.symbols)), dtype=np.float32)
        for row, head in enumerate(heads.tolist()):
            for word in normalise_name(found.texts[head]).split():
                if word in self._words:
                    named[row, self._words[word]] = 1
        return named

    def _drug_kernels(self, found: _Found, tails: Integers) -> tuple[dict[str, Sparse], Integers]:
        """Give (distinct tails, drugs) kernels by name, and the row of each tail in them."""
        from scipy.sparse import csr_matrix

        s = self.surroundings
        distinct, row = np.unique(tails, return_inverse=True)
        names = [s.names[drug] for drug in s.drugs]
        spelled = similar_strings([found.texts[tail] for tail in distinct], names, NEAREST_TREATED)
        worded = self._near(found, distinct, s.drugs, NEAREST_TREATED, SHARPNESS)[:, s.drugs]
        concept = found.concept[distinct]
        sets = _unit_sets(s.sets)
        targets = (sets[np.maximum(concept, 0)] @ sets[s.drugs].T).tocsr()
        targets = csr_matrix(targets.multiply((concept >= 0)[:, None].astype(np.float32)))
        treating = (np.asarray(s.treats.sum(axis=0)).ravel()[s.drugs] > 0).astype(np.float32)
        kernels = {}
        for name, matrix in (("partners", targets), ("family", spelled), ("alike", worded)):
            mass = np.sqrt(1 + np.asarray(matrix @ treating).ravel())
            kernels[name] = csr_matrix(matrix.multiply(1 / mass[:, None]))
        return kernels, row

    # ------------------------------------------------------------ made once

    @cached_property
    def _sets(self) -> Sparse:
        return normalised(self.surroundings.sets)

    @cached_property
    def _treated(self) -> Sparse:
        return normalised(self.surroundings.treated_sets)

    @cached_property
    def _treats(self) -> Sparse:
        return normalised(self.surroundings.treats)

    @cached_property
    def _set_vectors(self) -> Floats:
        return np.asarray(self._sets @ self.surroundings.gene_vectors)

    @cached_property
    def _treated_vectors(self) -> Floats:
        return np.asarray(self._treated @ self.surroundings.gene_vectors)

    @cached_property
    def _has_genes(self) -> npt.NDArray[np.bool_]:
        return np.asarray(np.diff(self.surroundings.sets.indptr) > 0)

    @cached_property
    def _gene_degrees(self) -> Floats:
        return np.asarray(self.surroundings.sets.sum(axis=0), dtype=np.float32).ravel()

    @cached_property
    def _words(self) -> dict[str, int]:
        """Row of each symbol that may stand in a name: shorter ones are words of their own."""
        return {symbol.casefold(): row for row, symbol in enumerate(self.surroundings.symbols) if len(symbol) >= 3}


_PLAIN = ("disease", "disease", "pathway", "pathway", "pathway", "drug", "")  # by place in GROUPS; the last for -1


def _unit_sets(sets: Sparse) -> Sparse:
    from scipy.sparse import diags

    return (diags(1 / np.sqrt(np.maximum(np.diff(sets.indptr), 1)).astype(np.float32)) @ sets).tocsr()


def _through(profile: Floats, local: Integers, kernel: Sparse, rows: Integers) -> Floats:
    """Give, for each pair, the sum over the cells of its kernel row of kernel times profile.

    Args:
        profile: (heads, n).
        local: (pairs,) row of the profile.
        kernel: (m, n) csr.
        rows: (pairs,) row of the kernel.
    """
    out = np.zeros(len(local), dtype=np.float32)
    counts = np.diff(kernel.indptr)[rows].astype(np.int64)
    cuts = np.flatnonzero(np.diff(np.cumsum(counts) // CELLS)) + 1
    for part in np.split(np.arange(len(local)), cuts):
        part = part[counts[part] > 0]
        if not len(part):
            continue
        n = counts[part]
        first = np.concatenate([[0], np.cumsum(n)[:-1]])
        cells = np.arange(n.sum()) + np.repeat(kernel.indptr[rows[part]] - first, n)
        values = profile[np.repeat(local[part], n), kernel.indices[cells]] * kernel.data[cells]
        out[part] = np.add.reduceat(values, first)
    return out


def pair_cosines(vectors: Floats, left: Integers, right: Integers, *, size: int = 16_384) -> Floats:
    """Multiply unit rows pair by pair, some at a time."""
    out = np.empty(len(left), dtype=np.float32)
    for start in range(0, len(left), size):
        part = slice(start, start + size)
        out[part] = np.einsum("ij,ij->i", vectors[left[part]], vectors[right[part]])
    return out


# ---------------------------------------------------------------- how the weights are fitted

OF_TABLE = {
    "disease-gene": "disease-gene", "indication-gene": "disease-gene", "pathway-gene": "pathway-gene", "drug-gene": "drug-gene",
    "indication-drug": "disease-drug",
}  # fmt: skip
N_OTHERS = 10  # for each pair and way of drawing
MOST_PAIRS = 1_500  # of a table that are fitted on
N_FOLDS = 5  # of indications
LEAST_PAIRS = 8  # with fewer a kind of pair keeps the cosine
PRIOR, STRENGTH = 0.2, 20.0  # weights are drawn to PRIOR, as strongly as by STRENGTH pairs: what few pairs say counts little


def fit_relatedness(
    folder: Path, split: pd.DataFrame, encode: Encode, place: Place, *, seed: int = 20261121, progress: Progress | None = None
) -> Relatedness | None:
    """Gather surroundings from a folder of tables, and fit the weights; None where the tables hold no pairs of concepts.

    The weights are fitted beside surroundings without the whole split; the ones that are given lack its test part alone.

    Args:
        folder: Where `kgbuild.tables.read` finds them.
        split: From `split_concepts`; the model has not seen it.
        encode: Texts -> unit vectors in the base encoder's space.
        place: The model's place for texts.
        seed: Of what is drawn.
        progress: Told the steps done.
    """
    known = concept_pairs(folder)
    if not len(known):
        return None

    def similarity(texts: list[str], base: Floats, left: Integers, right: Integers) -> Floats:
        return pair_cosines(place(base, texts), left, right)

    tell = progress or (lambda *_: None)
    around = Surroundings.of(folder, encode, hidden=split)
    tell("relatedness", 1, 3)
    weights = fit_weights(around, split, known, encode, similarity, seed=seed)
    tell("relatedness", 2, 3)
    made = Relatedness(Surroundings.of(folder, encode, hidden=split[split["part"] == "test"]), weights)
    tell("relatedness", 3, 3)
    return made


def fit_weights(
    surroundings: Surroundings,
    split: pd.DataFrame,
    known: pd.DataFrame,
    encode: Encode,
    similarity: Similarity,
    *,
    seed: int = 20261121,
) -> dict[str, Weights]:
    """Fit the weights of each kind of pair on the development part of a split.

    Others are names of the same table: drawn at random, and those of the part's other pairs, which are as popular.

    Args:
        surroundings: Of the edges without the whole split.
        split: From `split_concepts`.
        known: All pairs, from `concept_pairs`: none of them is an other.
        encode: Texts -> unit vectors in the base encoder's space.
        similarity: The cosine in the trained space, of a model that has not seen the split either.
        seed: Of what is drawn.
    """
    gathered: dict[str, list[tuple[Floats, npt.NDArray[np.bool_], npt.NDArray[np.float64]]]] = {}
    for table, kind in OF_TABLE.items():
        for around, held in _held(surroundings, table, split, known, seed):
            plain = Relatedness(around, {})
            texts, left, right, true = _examples(held, known[known["table"] == table], split, np.random.default_rng(seed))
            base = encode(texts)
            found = plain.find(texts, base)
            cosines = similarity(texts, base, left, right)
            weight = np.sqrt(len(held)) * np.where(true, 1 / max(1, true.sum()), 1 / max(1, (~true).sum()))
            for pairs in plain.sort(found, left, right):
                if pairs.kind != kind:
                    continue
                seen = plain.known(kind, found.concept[pairs.head])
                for name, hide, here in (("known", False, seen), ("new", True, np.ones(len(seen), dtype=bool))):
                    some = _Pairs(kind, pairs.places[here], pairs.head[here], pairs.tail[here])
                    if len(some.places):
                        values = plain.features(found, some, cosines[some.places], hide_own=hide)
                        gathered.setdefault(f"{kind} {name}", []).append((values, true[some.places], weight[some.places]))
    fitted = {}
    for name, parts in gathered.items():
        values, true, weight = (np.concatenate([part[place] for part in parts]) for place in range(3))
        if true.sum() >= LEAST_PAIRS:
            fitted[name] = _regression(list(FEATURES[name.split(" ")[0]]), values, true, weight)
    return fitted


def _held(
    surroundings: Surroundings, table: str, split: pd.DataFrame, known: pd.DataFrame, seed: int
) -> Iterator[tuple[Surroundings, pd.DataFrame]]:
    """Give pairs to fit on, with surroundings that lack them: the development part; of indications, which are few, all but the test part."""
    if table != "indication-drug":
        held = split[(split["table"] == table) & (split["part"] == "development")]
        if len(held):
            yield surroundings, held
        return
    test = split[split["part"] == "test"]
    away = set(zip(test["left_id"], test["right_id"], strict=True))
    pairs = known[known["table"] == table]
    pairs = pairs[[pair not in away for pair in zip(pairs["left_id"], pairs["right_id"], strict=True)]]
    fold = np.random.default_rng(seed).permutation(len(pairs)) % N_FOLDS
    treats = surroundings.treats.tolil()
    for number in range(N_FOLDS if len(pairs) >= N_FOLDS else 0):
        held = pairs[fold == number]
        rows, columns = ([surroundings.aliases.get(normalise_name(t), -1) for t in held[f"{side}_name"]] for side in ("left", "right"))
        fewer = treats.copy()
        for row, column in zip(rows, columns, strict=True):
            fewer[row, column] = 0
        yield replace(surroundings, treats=fewer.tocsr()), held


def _examples(
    held: pd.DataFrame, known: pd.DataFrame, split: pd.DataFrame, random: np.random.Generator
) -> tuple[list[str], Integers, Integers, npt.NDArray[np.bool_]]:
    """Give texts, pairs as rows of them, and which pairs are true."""
    if len(held) > MOST_PAIRS:
        held = held.iloc[random.permutation(len(held))[:MOST_PAIRS]]
    numbers: dict[str, int] = {}
    sides = {
        side: np.array([numbers.setdefault(t, len(numbers)) for t in known[f"{side}_name"]], dtype=np.int64) for side in ("left", "right")
    }
    away = set(zip(split["left_name"], split["right_name"], strict=True))
    stays = np.array([pair not in away for pair in zip(known["left_name"], known["right_name"], strict=True)], dtype=bool)
    left, right = (np.array([numbers[t] for t in held[f"{side}_name"]], dtype=np.int64) for side in ("left", "right"))
    size = len(left) * N_OTHERS
    many_left, many_right = np.repeat(left, N_OTHERS), np.repeat(right, N_OTHERS)
    pools = {side: np.unique(rows[stays]) for side, rows in sides.items()}
    others = [
        (many_left, random.choice(pools["right"], size)),
        (many_left, random.choice(right, size)),
        (random.choice(pools["left"], size), many_right),
        (random.choice(left, size), many_right),
    ]
    all_left, all_right = np.concatenate([o[0] for o in others]), np.concatenate([o[1] for o in others])
    true_keys = np.unique(sides["left"] * len(numbers) + sides["right"])
    fresh = ~np.isin(all_left * len(numbers) + all_right, true_keys)
    true = np.append(np.ones(len(left), dtype=bool), np.zeros(fresh.sum(), dtype=bool))
    return list(numbers), np.append(left, all_left[fresh]), np.append(right, all_right[fresh]), true


def _regression(features: list[str], values: Floats, true: npt.NDArray[np.bool_], weight: npt.NDArray[np.float64]) -> Weights:
    """Fit it: weights but the degree's are at least 0, and all are drawn to PRIOR (the degree's to 0)."""
    from scipy.optimize import minimize

    of_part = {**_GENE_FEATURES, **_DRUG_FEATURES}
    positive = np.where(values > 0, values, np.nan)
    empty = ~np.isfinite(positive).any(axis=0)
    scale = np.where(empty, 1.0, np.nanmean(np.where(empty, 1.0, positive), axis=0))
    shaped = _shaped(values, features, scale)
    weight = weight / weight.sum()
    mean = weight @ shaped
    deviation = np.sqrt(weight @ (shaped - mean) ** 2)
    deviation[deviation < 1e-9] = 1.0
    x, y = (shaped - mean) / deviation, np.where(true, 1.0, -1.0)
    free = np.array([of_part[feature] == "degree" for feature in features])
    silent = np.ptp(shaped, axis=0) < 1e-9
    prior = np.append(np.where(free | silent, 0.0, PRIOR), 0.0)
    pull = np.append(np.full(len(features), STRENGTH / max(1, true.sum())), 0.0)

    def loss(w: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        margin = y * (x @ w[:-1] + w[-1])
        slope = -weight * y / (1 + np.exp(np.clip(margin, -60, 60)))
        value = float(weight @ np.logaddexp(0, -margin) + 0.5 * pull @ (w - prior) ** 2)
        return value, np.append(slope @ x, slope.sum()) + pull * (w - prior)

    bounds = [(None, None) if is_free else (0, None) for is_free in free] + [(None, None)]
    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 300}).x
    return Weights(
        features=features,
        scale=_rounded(scale),
        mean=_rounded(mean),
        deviation=_rounded(deviation),
        weights=_rounded(found[:-1]),
        intercept=round(float(found[-1]), 6),
        n_pairs=int(true.sum()),
    )


def _rounded(numbers: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(number), 6) for number in numbers]
