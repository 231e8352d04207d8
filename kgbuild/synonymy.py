"""Two texts in, a number out that says how alike they are as names: by meaning, by the other names of both, and as an abbreviation.

    score = (a + b) / 2 + ABBREVIATION_WEIGHT · abbreviation

`a` is the highest cosine between any name of the left text's concept and the right text, `b` the same the other way round; a
text that is the name of no concept stands for itself. `abbreviation` is how well one text abbreviates the other, or one of
its names ("TNDM": transient neonatal diabetes mellitus): a language model knows few of those. Both sides count alike, so that
a text with many known names is not near to everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.splits import read_split
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    from embedder import Model

__all__ = ["ABBREVIATION_WEIGHT", "Synonymy", "abbreviation", "short_form"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

ABBREVIATION_WEIGHT = 0.5  # of 0.25, 0.5 and 1 the best on names that were drawn for it; docs/experiments.md
MOST_NAMES = 50  # of one text; "disease" is a name of hundreds of nodes
LONGEST_SHORT_FORM = 12  # characters

_WORDS = re.compile(r"[a-z]+|\d+")
_FILLERS = frozenset({"of", "the", "and", "with", "to", "in", "by", "for", "a", "due", "or", "type"})  # seldom have a letter in one


class Synonymy:
    """Names of concepts, by which texts are compared.

    Args:
        tables_dir: Where names and concepts lie.
        place: Gives unit vectors of texts in the space that they are compared in.
        hidden: Normal forms of names that must not be known: those that are kept for evaluation.
    """

    def __init__(self, tables_dir: Path, place: Callable[[list[str]], Floats], *, hidden: Collection[str] = ()) -> None:
        self._tables_dir, self._place, self._hidden = tables_dir, place, frozenset(hidden)

    @classmethod
    def of(cls, model: Model, encode: Callable[[list[str]], Floats], tables_dir: Path, model_dir: Path) -> Synonymy:
        """Compare in a model's space; names that were kept from its training stay unknown here too.

        Args:
            model: What places texts.
            encode: Gives the base encoder's vectors of texts.
            tables_dir: Where names and concepts lie.
            model_dir: Where the model's split of synonyms lies, if it has one.

        Raises:
            ModelError: The split is not the file that the model was trained with.
        """
        split = model.description.get("splits", {}).get("synonyms")
        held = read_split(model_dir / "synonyms.tsv", split)["name"] if split else ()
        return cls(tables_dir, lambda texts: model.text_vectors(encode(texts), texts), hidden=set(map(normalise_name, held)))

    def score(self, texts: Sequence[str], left: Integers, right: Integers) -> Floats:
        """Score pairs: `left` and `right` are rows of `texts`."""
        used = np.unique(np.concatenate([left, right]))
        names, starts = self._names_of([texts[row] for row in used.tolist()])
        distinct = {text: number for number, text in enumerate(dict.fromkeys(names))}
        vectors = self._place(list(distinct))
        rows = np.array([distinct[name] for name in names], dtype=np.int64)
        own = rows[starts[:-1]]  # the text itself comes first
        at = np.searchsorted(used, left), np.searchsorted(used, right)
        nearest = [_best(vectors, rows, starts, a, own[b]) for a, b in (at, at[::-1])]
        spelled = list(distinct)
        shortened = _shortened(spelled, rows, starts, at, own)
        return np.asarray((nearest[0] + nearest[1]) / 2 + ABBREVIATION_WEIGHT * shortened, dtype=np.float32)

    def _names_of(self, texts: Sequence[str]) -> tuple[list[str], Integers]:
        """Give the names of each text one after the other, the text itself first, and where each text's begin."""
        names: list[str] = []
        starts = [0]
        for text in texts:
            others = (name for concept in self._concepts.get(normalise_name(text), ()) for name in self._names[concept])
            names += list(dict.fromkeys([text, *others]))[:MOST_NAMES]
            starts.append(len(names))
        return names, np.array(starts, dtype=np.int64)

    @cached_property
    def _names(self) -> list[list[str]]:
        """List the names of each concept that may be known, its label first."""
        found: dict[str, list[str]] = {id_: [label] for id_, label in tables.names_by_id(self._tables_dir).items()}
        rows = tables.read(self._tables_dir, "names", ["concept_id", "name", "role"]).to_pydict()
        for id_, name, role in zip(rows["concept_id"], rows["name"], rows["role"], strict=True):
            if role != "short" and id_ in found:
                found[id_].append(name)
        return [list(dict.fromkeys(name for name in names if normalise_name(name) not in self._hidden)) for names in found.values()]

    @cached_property
    def _concepts(self) -> dict[str, list[int]]:
        """Concepts by the normal form of each name."""
        known: dict[str, list[int]] = {}
        for concept, names in enumerate(self._names):
            for normal in {normalise_name(name) for name in names} - {""}:
                known.setdefault(normal, []).append(concept)
        return known


def _best(vectors: Floats, rows: Integers, starts: Integers, named: Integers, other: Integers, *, size: int = 16_384) -> Floats:
    """Give, for each pair, the highest cosine between a name of `named` (places in `starts`) and the row `other`."""
    best = np.empty(len(named), dtype=np.float32)
    for start in range(0, len(named), size):
        part = slice(start, start + size)
        counts = starts[named[part] + 1] - starts[named[part]]
        first = np.cumsum(counts) - counts
        places = np.arange(counts.sum()) + np.repeat(starts[named[part]] - first, counts)
        cosines = np.einsum("ij,ij->i", vectors[rows[places]], vectors[np.repeat(other[part], counts)])
        if len(cosines):
            best[part] = np.maximum.reduceat(cosines, first)
    return best


def _shortened(names: Sequence[str], rows: Integers, starts: Integers, at: tuple[Integers, Integers], own: Integers) -> Floats:
    """Give, for each pair, how well one text abbreviates a name of the other; most pairs hold no short form."""
    short = np.array([bool(short_form(names[row])) for row in own.tolist()], dtype=bool)
    found = np.zeros(len(at[0]), dtype=np.float32)
    for one, other in (at, at[::-1]):
        for pair in np.flatnonzero(short[one]).tolist():
            long = (names[row] for row in rows[starts[other[pair]] : starts[other[pair] + 1]].tolist())
            found[pair] = max(found[pair], _best_abbreviation(names[own[one[pair]]], long))
    return found


def _best_abbreviation(short: str, names: Iterable[str]) -> float:
    return max((abbreviation(short, name) for name in names), default=0.0)


def short_form(text: str) -> str:
    """Give the letters and digits of a text that looks like an abbreviation, else nothing.

    >>> short_form("TNDM"), short_form("SD/THE"), short_form("chng5"), short_form("Asthma"), short_form("atopic eczema")
    ('tndm', 'sdthe', 'chng5', '', '')
    """
    head = text.split()[0] if text.split() else ""
    letters = sum(char.isalpha() for char in head)
    looks = sum(char.isupper() for char in head) >= 2 or (letters >= 2 and any(char.isdigit() for char in head))
    if len(text) > LONGEST_SHORT_FORM or len(text.split()) > 2 or not looks:
        return ""
    return re.sub(r"[^a-z0-9]", "", text.casefold())


@lru_cache(maxsize=100_000)
def abbreviation(short: str, long: str) -> float:
    """Say how well a short text abbreviates a long one, from 0 to 1.

    All its letters must occur in the long text in order, the first at the beginning of a word. What counts is how many of them
    begin words, and how many of the words they begin (after Schwartz and Hearst 2003, who ask for the first only).

    >>> [round(abbreviation(short, "transient neonatal diabetes mellitus"), 2) for short in ("TNDM", "DM", "XYZ")]
    [1.0, 0.71, 0.0]
    """
    letters, words = short_form(short), _WORDS.findall(long.casefold())
    text = "".join(words)
    rest = iter(text)
    if not letters or len(letters) >= len(text) or not all(letter in rest for letter in letters):  # most gene symbols end here
        return 0.0
    begins = np.zeros(len(text), dtype=bool)
    begins[np.cumsum([0, *map(len, words)])[:-1]] = True
    characters = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    reached = np.full(len(text), -1)  # most letters that begin words, over ways to place the letters so far that end here
    for number, letter in enumerate(letters.encode("ascii", "ignore")):
        before = np.zeros(len(text), int) if not number else np.concatenate([[-1], np.maximum.accumulate(reached)[:-1]])
        possible = (characters == letter) & (before >= 0) & (begins if not number else True)
        reached = np.where(possible, before + begins, -1)
    most = max(0, int(reached.max(initial=-1)))
    content = sum(word not in _FILLERS for word in words)
    return float(most / len(letters) * min(1.0, most / max(1, content)) ** 0.5)
