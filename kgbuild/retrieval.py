"""Subjects and terms in, candidate pairs out: the terms nearest by cosine, those that share rare words, and parents of the first.

Each finds what the others miss. On curated training mappings the right term was among the 20 nearest in 92 % of texts, among
the 40 nearest in 94 %, and among all these in 97 %.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kgbuild.features import Terms, products
from kgbuild.neighbours import Names, candidates

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEPTH", "retrieve", "with_pairs"]

Progress = Callable[[str, int, int], None]

DEPTH = 30  # nearest terms that compete
_BY_WORDS = 10  # terms that share the rarest words
_FIRST = 5  # nearest terms whose parents compete, too


def retrieve(subjects: Names, terms: Terms, depth: int = DEPTH, *, progress: Progress | None = None) -> pd.DataFrame:
    """Find the candidate terms of each subject.

    The columns are those of `kgbuild.neighbours.candidates`, and three marks: `near` (among the nearest by cosine), `retrieved`
    (True) and `asked_for` (False). Rows come by subject, then similarity downwards, then target.
    """
    nearest = candidates(subjects, terms.names, depth, progress=progress).assign(near=True)
    more = np.concatenate([_by_words(subjects, terms), _parents_of_first(nearest, terms)])
    return _added(nearest, more, subjects, terms.names).assign(retrieved=True, asked_for=False)


def with_pairs(pairs: pd.DataFrame, subjects: Names, subject_ids: list[str], terms: Names, wanted: pd.DataFrame) -> pd.DataFrame:
    """Add (subject_id, object_id) pairs that the search did not find, and measure their names; `asked_for` marks them all."""
    import pandas as pd

    rows = pd.DataFrame({"subject_id": subject_ids, "subject": range(len(subject_ids))})
    places = pd.DataFrame({"object_id": terms.ids, "target": range(len(terms.ids))})
    asked = rows.merge(wanted[["subject_id", "object_id"]].drop_duplicates(), on="subject_id").merge(places, on="object_id")
    asked_pairs = asked[["subject", "target"]].to_numpy(np.int64)
    frame = _added(pairs, asked_pairs, subjects, terms)
    marked = _keys(asked_pairs[:, 0], asked_pairs[:, 1], len(terms.ids))
    return frame.assign(asked_for=np.isin(_keys(frame["subject"].to_numpy(), frame["target"].to_numpy(), len(terms.ids)), marked))


def _keys(subject: np.ndarray, target: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(subject, np.int64) * max(n, 1) + np.asarray(target, np.int64)


def _added(pairs: pd.DataFrame, more: np.ndarray, subjects: Names, terms: Names) -> pd.DataFrame:
    """Add (subject, target) rows that are not there yet, by the two names that are nearest."""
    import pandas as pd

    known = _keys(pairs["subject"].to_numpy(), pairs["target"].to_numpy(), len(terms.ids))
    wanted = np.unique(_keys(more[:, 0], more[:, 1], len(terms.ids)))
    new = np.setdiff1d(wanted, known, assume_unique=False)
    n = max(len(terms.ids), 1)
    found = _nearest_names(new // n, new % n, subjects, terms).assign(equal=False, near=False)
    frame = pd.concat([pairs, found], ignore_index=True) if len(found) else pairs
    for name in ("near", "retrieved", "asked_for"):
        if name in frame:
            frame[name] = frame[name].eq(True)
    types = {"subject": np.int64, "target": np.int64, "subject_name": np.int64, "target_name": np.int64, "equal": bool}
    frame = frame.astype({**types, "similarity": np.float32})
    return frame.sort_values(["subject", "similarity", "target"], ascending=[True, False, True]).reset_index(drop=True)


def _nearest_names(subject: np.ndarray, target: np.ndarray, subjects: Names, terms: Names) -> pd.DataFrame:
    """Find, for given pairs, the two names that are nearest; equal cosines: the first names."""
    import pandas as pd

    left, right = _rows_of(subjects), _rows_of(terms)
    pair, subject_name = _spread(np.arange(len(subject)), subject, left)
    again, target_name = _spread(np.arange(len(pair)), target[pair], right)
    pair, subject_name = pair[again], subject_name[again]
    similarity = np.round(products(subjects.vectors, terms.vectors, subject_name, target_name), 6)
    order = np.lexsort((target_name, subject_name, -similarity, pair))
    first = order[np.r_[True, pair[order][1:] != pair[order][:-1]]] if len(order) else order
    return pd.DataFrame(
        {
            "subject": subject[pair[first]],
            "target": target[pair[first]],
            "subject_name": subject_name[first],
            "target_name": target_name[first],
            "similarity": similarity[first],
        }
    )


def _rows_of(names: Names) -> tuple[np.ndarray, np.ndarray]:
    """List the names of each concept as (starts, rows)."""
    order = np.argsort(names.owners, kind="stable")
    return np.searchsorted(names.owners[order], np.arange(len(names.ids) + 1)), order


def _spread(places: np.ndarray, keys: np.ndarray, lists: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Repeat each place for every entry of its key's list; give the places and the entries."""
    starts, entries = lists
    sizes = starts[keys + 1] - starts[keys]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(places, sizes), entries[np.repeat(starts[keys], sizes) + within]


def _by_words(subjects: Names, terms: Terms) -> np.ndarray:
    """Give (subject, term) of the terms whose names share the rarest words with a name of the subject."""
    names = list(dict.fromkeys(subjects.normal))
    place = {name: row for row, name in enumerate(names)}
    query, found = terms.words.nearest(names, 2 * _BY_WORDS)
    pairs = np.column_stack([query, terms.names.owners[found]]).astype(np.int64)
    _, first = np.unique(_keys(pairs[:, 0], pairs[:, 1], len(terms.names.ids)), return_index=True)
    pairs = pairs[np.sort(first)]  # by query, best first
    starts = np.searchsorted(pairs[:, 0], np.arange(len(names) + 1))
    pairs = pairs[np.arange(len(pairs)) - starts[pairs[:, 0]] < _BY_WORDS]
    starts = np.searchsorted(pairs[:, 0], np.arange(len(names) + 1))
    of_name = np.array([place[name] for name in subjects.normal], np.int64)
    return np.column_stack(_spread(subjects.owners, of_name, (starts, pairs[:, 1])))


def _parents_of_first(pairs: pd.DataFrame, terms: Terms) -> np.ndarray:
    first = pairs[pairs.groupby("subject").cumcount() < _FIRST]
    return np.column_stack(_spread(first["subject"].to_numpy(np.int64), first["target"].to_numpy(np.int64), terms.parent_rows))
