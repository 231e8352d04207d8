"""Candidate pairs in, the evidence on each out: numbers that say how alike two names are, and how they differ in meaning.

Cosines alone say little (one above 0.9 is right four times in five): what separates right from nearly right is whether the
words that differ change the meaning, how the candidate stands among the others, and where it stands in the hierarchy.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgbuild.neighbours import Names
from kgbuild.qualifiers import QUALIFIERS, RESIDUALS, is_composite

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AXES", "FEATURES", "NEVER_SAME", "Subjects", "Terms", "conflicts", "measure", "products"]

# axis -> its sides: names on different sides of one axis are different things, however alike they look
AXES: dict[str, tuple[str, ...]] = {
    "course": (r"\bacute\b", r"\bchronic\b"),
    "level": (r"\bhypo|\blow\b|\bdecreas", r"\bhyper|\bhigh\b|\bincreas|\belevated\b"),
    "malignancy": (r"\bbenign\b", r"\bmalignan|\bcancer|carcinoma|sarcoma|melanoma"),
    "lipoprotein": (r"\bhdl\b|\bhigh.density lipo", r"\bldl\b|(^|[^y]\s+)low.density lipo", r"\bvldl\b|\bvery.low.density"),
    "bowel": (r"\bcrohn", r"\bulcerative colitis"),
    "origin": (r"\bprimary\b", r"\bsecondary\b|\bmetasta"),
    "age": (r"\bneonatal|\bcongenital|\binfantile|\bnewborn", r"\badult|\bsenile", r"\bjuvenile|\bchildhood"),
    "sex": (r"\bmale\b|\bmen\b|\bman\b", r"\bfemale\b|\bwomen\b|\bwoman\b"),
    "side": (r"\bleft\b", r"\bright\b"),
    "pressure": (r"\bsystolic", r"\bdiastolic"),
    "height": (r"\bupper\b|\bsuperior\b", r"\blower\b|\binferior\b"),
    "inheritance": (r"\bdominant\b", r"\brecessive\b", r"\bx.linked\b"),
    "front": (r"\banterior\b", r"\bposterior\b"),
    "depth": (r"\binternal\b", r"\bexternal\b"),
    "dependence": (r"(^|[^nN-]\s+|,\s*)dependent|\binsulin.dependent", r"\bnon.?insulin|\bnon.?dependent|\bindependent"),
    "measured": (
        r"\b(levels?|measurements?|concentrations?|counts?|rate|ratio|volume|thickness|density|index|mass|size|percentage)\b",
    ),
}  # fmt: skip
_SIDES = 3  # most sides an axis has: bits per axis in a mask
_NUMBER = re.compile(r"\d+")
_LETTER = re.compile(r"(?:\b(?:type|group|hepatitis|vitamin|factor|class|grade|stage|apolipoprotein|influenza) ([a-z])\b)|\b([b-hj-z])\b")

_PREFIXES = ("EFO", "MONDO", "HP", "OBA", "Orphanet", "MP")
_KINDS = ("Disease", "Phenotype", "Measurement")
_NEIGHBOURS = 10  # candidates that a candidate's place in the hierarchy is compared with

FEATURES: tuple[str, ...] = (
    # how alike
    "similarity", "similarity_over_70", "similarity_over_85", "similarity_over_95", "label_similarity",
    "equal", "exact", "tfidf", "label_tfidf", "subject_covered", "target_covered", "covered", "is_label", "alone",
    # how it stands among the candidates
    "gap", "lead", "log_rank", "first", "near", "near_first", "any_equal", "other_equal",
    # words that change the meaning, on one side only
    "log_length_ratio", "length_difference", "subject_length", "target_length",
    "qualifiers_of_subject", "qualifiers_of_target", "qualifiers_shared", "residual_subject", "residual_target",
    "composite_subject", "composite_target", "composite_target_only", "conflicts", "sides_of_subject", "sides_of_target",
    "measured_subject", "measured_target", "malignant_subject", "malignant_target",
    "number_conflict", "number_of_subject", "number_of_target", "letter_conflict", "letter_of_target",
    # what the term is
    *(f"prefix_{p}" for p in _PREFIXES), *(f"kind_{k}" for k in _KINDS), "log_names", "depth", "log_descendants", "leaf", "used",
    # its relatives among the candidates
    "descendants_near", "ancestors_near", "above_first", "below_first", "descendant_gap", "ancestor_gap", "has_descendant", "has_ancestor",
)  # fmt: skip

# any of these above 0: the two are not the same thing, unless their names are lexically equal
NEVER_SAME = (
    "qualifiers_of_subject",
    "qualifiers_of_target",
    "residual_subject",
    "residual_target",
    "conflicts",
    "number_conflict",
    "letter_conflict",
)


@dataclass(frozen=True)
class _Traits:
    """What a name says beside its words, one entry per name; sets are bit masks."""

    qualifiers: np.ndarray
    residual: np.ndarray
    composite: np.ndarray
    sides: np.ndarray
    numbers: np.ndarray
    letters: np.ndarray
    words: np.ndarray  # how many


@dataclass(frozen=True)
class Subjects:
    """Concepts that are to be linked: their names, and the vocabulary of each."""

    names: Names
    vocabularies: list[str]

    @cached_property
    def traits(self) -> _Traits:
        return _traits(self.names)


@dataclass(frozen=True)
class Terms:
    """The target vocabulary: names (the preferred one of each first), kinds, and (child, parent) pairs of ids."""

    names: Names
    kinds: list[str]
    parents: Sequence[tuple[str, str]] = ()

    @cached_property
    def traits(self) -> _Traits:
        return _traits(self.names)

    @cached_property
    def label_rows(self) -> np.ndarray:
        """The row of each term's first name."""
        rows = np.zeros(len(self.names.ids), np.int64)
        rows[self.names.owners[::-1]] = np.arange(len(self.names.owners))[::-1]
        return rows

    @cached_property
    def parent_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The parents of each term, as (starts, rows): those of term i are rows[starts[i]:starts[i + 1]]."""
        row = {id_: place for place, id_ in enumerate(self.names.ids)}
        edges = np.array(sorted({(row[c], row[p]) for c, p in self.parents if c in row and p in row and c != p}), np.int64).reshape(-1, 2)
        return np.searchsorted(edges[:, 0], np.arange(len(row) + 1)), edges[:, 1]

    @cached_property
    def ancestry(self) -> np.ndarray:
        """Every (term, ancestor) as term * n + ancestor, sorted."""
        row = {id_: place for place, id_ in enumerate(self.names.ids)}
        edges = [(row[child], row[parent]) for child, parent in self.parents if child in row and parent in row]
        return _closure(edges, len(row))

    @cached_property
    def words(self) -> Any:
        return _Words(self.names.normal)


def measure(pairs: pd.DataFrame, subjects: Subjects, terms: Terms) -> pd.DataFrame:
    """Compute the FEATURES of candidate pairs (rows of `kgbuild.neighbours.candidates`, whole subjects in their order)."""
    import pandas as pd

    columns: dict[str, Any] = {}
    rows = _Rows(*(pairs[name].to_numpy() for name in ("subject", "target", "subject_name", "target_name")))
    similarity, equal = pairs["similarity"].to_numpy().astype(float), pairs["equal"].to_numpy()
    columns |= _alike(rows, similarity, equal, subjects, terms)
    columns |= _standing(rows.subject, similarity, equal)
    columns["alone"] = _alone(rows.subject, equal) & columns["is_label"]
    columns |= _differences(rows, subjects.traits, terms.traits)
    columns |= _about_the_term(rows.target, terms)
    columns |= _relatives(rows, similarity, terms)
    return pd.DataFrame({name: np.asarray(columns[name], np.float32) for name in FEATURES}, index=pairs.index)


def conflicts(left: str, right: str) -> tuple[str, ...]:
    """Name the axes on which two names stand on different sides, and differing numbers or letters.

    >>> conflicts("Acute pancreatitis", "chronic pancreatitis"), conflicts("type 1 diabetes", "type II diabetes")
    (('course',), ('number',))
    >>> conflicts("Hepatitis B", "hepatitis C"), conflicts("diabetes", "type 2 diabetes")
    (('letter',), ())
    """
    traits = _traits(Names(["", ""], [left, right], np.arange(2), np.zeros((2, 1), np.float32)))
    found = [axis for axis, (a, b) in _by_axis(traits.sides[:1], traits.sides[1:]) if _apart(a, b)[0]]
    found += [name for name, masks in (("number", traits.numbers), ("letter", traits.letters)) if _each_lacks(masks[:1], masks[1:])[0]]
    return tuple(found)


@dataclass(frozen=True)
class _Rows:
    """Candidate pairs as rows: of the concepts on both sides, and of the two names that matched."""

    subject: np.ndarray
    target: np.ndarray
    subject_name: np.ndarray
    target_name: np.ndarray


def _alike(rows: _Rows, similarity: np.ndarray, equal: np.ndarray, subjects: Subjects, terms: Terms) -> dict[str, Any]:
    labels = terms.label_rows[rows.target]
    left, right = subjects.names, terms.names
    words = terms.words
    counted = words.count(left.normal)
    subject_covered, target_covered = words.covered(counted, rows.subject_name, rows.target_name)
    return {
        "similarity": similarity,
        **{f"similarity_over_{edge}": np.maximum(similarity - edge / 100, 0) for edge in (70, 85, 95)},
        "label_similarity": products(left.vectors, right.vectors, rows.subject_name, labels),
        "equal": equal,
        "exact": _same_text(left.texts, right.texts, rows),
        "tfidf": words.tfidf(counted, rows.subject_name, rows.target_name),
        "label_tfidf": words.tfidf(counted, rows.subject_name, labels),
        "subject_covered": subject_covered,
        "target_covered": target_covered,
        "covered": np.sqrt(subject_covered * target_covered),
        "is_label": labels == rows.target_name,
    }


def products(left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    """Multiply rows of two matrices pairwise, some thousands at a time."""
    result = np.empty(len(left_rows), np.float32)
    for start in range(0, len(left_rows), 65_536):
        part = slice(start, start + 65_536)
        result[part] = np.einsum("ij,ij->i", left[left_rows[part]], right[right_rows[part]])
    return result


def _same_text(left: Sequence[str], right: Sequence[str], rows: _Rows) -> np.ndarray:
    folded_left, folded_right = [text.casefold() for text in left], [text.casefold() for text in right]
    return np.array([folded_left[a] == folded_right[b] for a, b in zip(rows.subject_name, rows.target_name, strict=True)], bool)


class _Words:
    """TF-IDF of words and of character 3-grams; document frequencies are those of the target's names."""

    def __init__(self, normal: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        shared = {"dtype": np.float32, "lowercase": False}
        self._grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3), sublinear_tf=True, **shared)
        self._words = TfidfVectorizer(analyzer=str.split, norm=None, binary=True, **shared)
        filled = [*normal, "empty"]  # never without a word
        self.grams, self.words = self._grams.fit_transform(filled), self._words.fit_transform(filled)
        self._weights, self._rarest = np.asarray(self.words.sum(axis=1)).ravel(), float(self._words.idf_.max())

    def count(self, normal: Sequence[str]) -> tuple[Any, Any, np.ndarray]:
        """Count a list's grams and words; a word that no target has weighs as much as the rarest."""
        words = self._words.transform(normal)
        unknown = np.array([len(set(text.split())) for text in normal]) - np.diff(words.indptr)
        weights = np.asarray(words.sum(axis=1)).ravel() + unknown * self._rarest
        words.data[:] = 1
        return self._grams.transform(normal), words, weights

    def nearest(self, normal: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """Find the k names that share the most telling words with each text: rows of the texts and of the names, best first."""
        from scipy import sparse

        names = self.words[:-1]  # the last is no name: it is there so that there is a word
        lengths = np.sqrt(np.asarray(names.multiply(names).sum(axis=1)).ravel())
        scaled = (sparse.diags(1 / np.maximum(lengths, 1e-6)) @ names).T.tocsr()
        query: list[np.ndarray] = [np.zeros(0, np.int64)]
        found: list[np.ndarray] = [np.zeros(0, np.int64)]
        for start in range(0, len(normal), 512):
            scores = (self._words.transform(normal[start : start + 512]) @ scaled).tocsr()
            for row, (first, last) in enumerate(itertools.pairwise(scores.indptr)):
                best = _highest(scores.indices[first:last], scores.data[first:last], k)
                query.append(np.full(len(best), start + row))
                found.append(best)
        return np.concatenate(query), np.concatenate(found)

    def tfidf(self, counted: tuple[Any, Any, np.ndarray], left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return _dots(counted[0], self.grams, left, right)

    def covered(self, counted: tuple[Any, Any, np.ndarray], left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give the share of each side's weight of words that the other side has."""
        shared = _dots(counted[1], self.words, left, right)
        return shared / np.maximum(counted[2][left], 1e-6), shared / np.maximum(self._weights[right], 1e-6)


def _highest(places: np.ndarray, values: np.ndarray, k: int) -> np.ndarray:
    """Give the places of the k highest values, best first; equal values come by place."""
    values = np.round(values, 4)
    if len(values) > k:
        cut = np.partition(values, len(values) - k)[len(values) - k]
        kept = values >= cut
        places, values = places[kept], values[kept]
    best: np.ndarray = places[np.lexsort((places, -values))][:k]
    return best.astype(np.int64)


def _dots(left: Any, right: Any, left_rows: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    result = np.zeros(len(left_rows), np.float32)
    for start in range(0, len(left_rows), 200_000):  # a slice of pairs at a time: each takes some 30 cells
        part = slice(start, start + 200_000)
        result[part] = np.asarray(left[left_rows[part]].multiply(right[right_rows[part]]).sum(axis=1)).ravel()
    return result


def _standing(subject: np.ndarray, similarity: np.ndarray, equal: np.ndarray) -> dict[str, Any]:
    """Compare each candidate with the others of its subject; rows come by subject and similarity downwards."""
    starts, group = _groups(subject)
    rank = np.arange(len(subject)) - starts[group] + 1
    first = rank == 1
    top = similarity[starts][group]
    has_second = np.diff(np.r_[starts, len(subject)]) > 1
    second = np.where(has_second, similarity[np.minimum(starts + 1, len(subject) - 1)], 0.0)[group]
    any_equal = np.maximum.reduceat(equal.astype(float), starts)[group] if len(starts) else equal.astype(float)
    return {
        "gap": np.where(first, similarity - second, similarity - top),
        "lead": np.where(first, similarity - second, 0),
        "log_rank": np.log(rank),
        "first": first,
        "near": np.log1p(_count_between(group, similarity, similarity - 0.05, similarity + 0.05)),
        "near_first": np.log1p(_count_between(group, similarity, top - 0.05, top + 1)),
        "any_equal": any_equal,
        "other_equal": (any_equal > 0) & ~equal,
    }


def _alone(subject: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Tell which candidates have a name equal to their subject's that no other candidate has."""
    starts, group = _groups(subject)
    n = np.add.reduceat(equal.astype(int), starts)[group] if len(starts) else equal.astype(int)
    alone: np.ndarray = equal & (n == 1)
    return alone


def _groups(subject: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the first row of each run of one subject, and the run of each row."""
    new = np.r_[True, subject[1:] != subject[:-1]] if len(subject) else np.zeros(0, bool)
    return np.flatnonzero(new), np.cumsum(new) - 1


def _count_between(group: np.ndarray, value: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Count, for each row, the values of its group in a range; groups are kept apart by an offset of 4 (cosines are within 1)."""
    keys = np.sort(group * 4.0 + value)
    counts: np.ndarray = np.searchsorted(keys, group * 4.0 + high, "right") - np.searchsorted(keys, group * 4.0 + low, "left")
    return counts


def _traits(names: Names) -> _Traits:
    sides = {f"{axis}{side}": pattern for axis, patterns in AXES.items() for side, pattern in enumerate(patterns)}
    bits = {f"{axis}{side}": _SIDES * place + side for place, axis in enumerate(AXES) for side in range(_SIDES)}
    qualifiers = {key: place for place, key in enumerate(QUALIFIERS)}
    return _Traits(
        qualifiers=_mask(names.texts, QUALIFIERS, qualifiers),
        residual=_mask(names.texts, RESIDUALS, dict.fromkeys(RESIDUALS, 0)) > 0,
        composite=np.array([is_composite(text) for text in names.texts], bool),
        sides=_mask(names.texts, sides, bits),
        numbers=np.array([_bits(int(number) % 61 for number in _NUMBER.findall(text)) for text in names.normal], np.int64),
        letters=np.array([_bits(ord(a or b) - ord("a") for a, b in _LETTER.findall(text)) for text in names.normal], np.int64),
        words=np.array([text.count(" ") + 1 for text in names.normal], np.int64),
    )


def _mask(texts: Sequence[str], patterns: Mapping[str, str], bits: Mapping[str, int]) -> np.ndarray:
    """Set, for each text, the bit of every pattern that occurs in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column, mask = pa.array(texts, pa.string()), np.zeros(len(texts), np.int64)
    for key, pattern in patterns.items():
        found = pc.match_substring_regex(column, pattern, ignore_case=True).to_numpy(zero_copy_only=False)
        mask |= found.astype(np.int64) << bits[key]
    return mask


def _bits(places: Iterable[int]) -> int:
    mask = 0
    for place in places:
        mask |= 1 << place
    return mask


def _by_axis(left: np.ndarray, right: np.ndarray) -> list[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    cut = (1 << _SIDES) - 1
    return [(axis, ((left >> _SIDES * place) & cut, (right >> _SIDES * place) & cut)) for place, axis in enumerate(AXES)]


def _apart(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left > 0) & (right > 0) & (left & right == 0)  # type: ignore[no-any-return]


def _each_lacks(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left & ~right > 0) & (right & ~left > 0)  # type: ignore[no-any-return]


def _differences(rows: _Rows, subjects: _Traits, terms: _Traits) -> dict[str, Any]:
    a, b = rows.subject_name, rows.target_name
    length, target_length = np.log(subjects.words[a]), np.log(terms.words[b])
    composite, target_composite = subjects.composite[a], terms.composite[b]
    return {
        "log_length_ratio": length - target_length,
        "length_difference": np.abs(length - target_length),
        "subject_length": length,
        "target_length": target_length,
        **_of_masks("qualifiers", subjects.qualifiers[a], terms.qualifiers[b]),
        "residual_subject": subjects.residual[a],
        "residual_target": terms.residual[b],
        "composite_subject": composite,
        "composite_target": target_composite,
        "composite_target_only": target_composite & ~composite,
        **_of_sides(subjects.sides[a], terms.sides[b]),
        **_of_marks("number", subjects.numbers[a], terms.numbers[b]),
        **_of_marks("letter", subjects.letters[a], terms.letters[b]),
    }


def _of_masks(name: str, left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}_of_subject": _ones(left & ~right), f"{name}_of_target": _ones(right & ~left), f"{name}_shared": _ones(left & right)}


def _ones(mask: np.ndarray) -> np.ndarray:
    values, places = np.unique(mask, return_inverse=True)
    return np.array([int(value).bit_count() for value in values], np.int64)[places]


def _of_sides(left: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {
        "conflicts": np.zeros(len(left)),
        "sides_of_subject": np.zeros(len(left)),
        "sides_of_target": np.zeros(len(left)),
    }
    for axis, (a, b) in _by_axis(left, right):
        own = {"measured": "measured", "malignancy": "malignant"}.get(axis)
        found["conflicts"] += _apart(a, b)
        for side, only in (("subject", (a > 0) & (b == 0)), ("target", (b > 0) & (a == 0))):
            if own:
                found[f"{own}_{side}"] = only
            else:
                found[f"sides_of_{side}"] += only
    return found


def _of_marks(name: str, left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    only, target_only = left & ~right > 0, right & ~left > 0
    return {f"{name}_conflict": only & target_only, f"{name}_of_subject": only & ~target_only, f"{name}_of_target": target_only & ~only}


def _about_the_term(target: np.ndarray, terms: Terms) -> dict[str, Any]:
    n = len(terms.names.ids)
    prefixes = np.array([id_.partition(":")[0] for id_ in terms.names.ids])
    kinds = np.array(terms.kinds)
    ancestors, descendants = np.bincount(terms.ancestry // max(n, 1), minlength=n), np.bincount(terms.ancestry % max(n, 1), minlength=n)
    return {
        **{f"prefix_{prefix}": (prefixes == prefix)[target] for prefix in _PREFIXES},
        **{f"kind_{kind}": (kinds == kind)[target] for kind in _KINDS},
        "log_names": np.log(np.maximum(np.bincount(terms.names.owners, minlength=n), 1))[target],
        "depth": np.sqrt(ancestors)[target],
        "log_descendants": np.log1p(descendants)[target],
        "leaf": (descendants == 0)[target],
        "used": np.log1p([_texts_of_terms().get(id_, 0) for id_ in terms.names.ids])[target],
    }


@lru_cache(maxsize=1)
def _texts_of_terms() -> dict[str, int]:
    """Read how many trait texts the curators of the GWAS Catalog filed under a term, beyond the first."""
    lines = (Path(__file__).parent / "data" / "term_usage.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return {term: int(texts) for term, texts in (line.split("\t") for line in lines)}


def _relatives(rows: _Rows, similarity: np.ndarray, terms: Terms) -> dict[str, Any]:
    """Look for ancestors and descendants of each candidate among the first candidates of its subject."""
    starts, group = _groups(rows.subject)
    sizes = np.diff(np.r_[starts, len(rows.subject)])
    zero, low = np.zeros(len(rows.subject)), np.full(len(rows.subject), -1.0)
    found = {"descendants_near": zero.copy(), "ancestors_near": zero.copy(), "above_first": zero, "below_first": zero}
    best = {"descendant": low.copy(), "ancestor": low.copy()}
    for place in range(min(_NEIGHBOURS, int(sizes.max(initial=0)))):
        there = sizes[group] > place
        other = np.where(there, starts[group] + place, 0)
        is_descendant = there & _has_ancestor(terms, rows.target[other], rows.target)
        is_ancestor = there & _has_ancestor(terms, rows.target, rows.target[other])
        found["descendants_near"] += is_descendant
        found["ancestors_near"] += is_ancestor
        if place == 0:
            found |= {"above_first": is_descendant.astype(float), "below_first": is_ancestor.astype(float)}
        for relation, mask in (("descendant", is_descendant), ("ancestor", is_ancestor)):
            best[relation] = np.where(mask, np.maximum(best[relation], similarity[other]), best[relation])
    for name in ("descendants_near", "ancestors_near"):
        found[name] = np.log1p(found[name])
    for relation, value in best.items():
        found |= {f"{relation}_gap": np.where(value > -1, value - similarity, 0), f"has_{relation}": (value > -1).astype(float)}
    return found


def _has_ancestor(terms: Terms, term: np.ndarray, ancestor: np.ndarray) -> np.ndarray:
    if not len(terms.ancestry):
        return np.zeros(len(term), bool)
    keys = term.astype(np.int64) * len(terms.names.ids) + ancestor
    places = np.minimum(np.searchsorted(terms.ancestry, keys), len(terms.ancestry) - 1)
    return terms.ancestry[places] == keys  # type: ignore[no-any-return]


def _closure(edges: Sequence[tuple[int, int]], n: int) -> np.ndarray:
    """Follow parents to the top; a cycle ends where it began."""
    parents: dict[int, list[int]] = {}
    for child, parent in edges:
        parents.setdefault(child, []).append(parent)
    keys: list[int] = []
    for term in parents:
        seen: set[int] = set()
        todo = list(parents[term])
        while todo:
            ancestor = todo.pop()
            if ancestor not in seen and ancestor != term:
                seen.add(ancestor)
                todo.extend(parents.get(ancestor, ()))
        keys.extend(term * n + ancestor for ancestor in seen)
    return np.sort(np.array(keys, np.int64))
