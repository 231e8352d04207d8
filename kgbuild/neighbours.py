"""Nearest names: unit vectors and texts of both sides in, for each concept its candidate terms out, best first.

The search is exact: a quick pass in bfloat16 (where the processor is fast at it) or single precision proposes names, a
second computes their cosines in double precision, and a query whose cut could have been wrong is searched again slowly.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Names", "candidates", "lexically_equal", "nearest"]

Progress = Callable[[str, int, int], None]

_BLOCK = 1024  # queries at a time: 1,024 x 90,000 similarities are 180 MB in bfloat16
_COARSE_ERROR = 0.006  # bfloat16 keeps 8 bits: two roundings on the way in, one on the way out, for unit vectors
_FINE_ERROR = 1e-5  # single precision, sums of some hundred products


@dataclass(frozen=True)
class Names:
    """Names of concepts: for each name its text, the row of its concept in `ids`, and its unit vector."""

    ids: list[str]  # one per concept
    texts: list[str]  # one per name
    owners: np.ndarray  # int, one per name: row in `ids`
    vectors: np.ndarray  # float32 (names, dimensions), length 1

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.owners) == len(self.vectors):
            raise ValueError(
                f"{len(self.texts)} texts, {len(self.owners)} owners and {len(self.vectors)} vectors: expected one of each per name"
            )

    @cached_property
    def normal(self) -> list[str]:
        """The normal form of each text."""
        return [normalise_name(text) for text in self.texts]

    def of(self, concepts: np.ndarray) -> Names:
        """Keep the names of some concepts (rows of `ids`, each once); they are numbered anew in the order given."""
        place = np.full(len(self.ids), -1)
        place[concepts] = np.arange(len(concepts))
        rows = np.flatnonzero(place[self.owners] >= 0)
        return Names([self.ids[row] for row in concepts], [self.texts[row] for row in rows], place[self.owners[rows]], self.vectors[rows])


def nearest(queries: np.ndarray, names: np.ndarray, k: int, *, progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest names of each query by cosine, exactly; equal cosines come in the order of the names.

    >>> indices, similarities = nearest(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[[1, 0, 0]], 2)
    >>> indices.tolist(), similarities.tolist()
    ([[1, 2], [0, 1]], [[1.0, 1.0], [1.0, 0.0]])

    Args:
        queries: float32 (q, d), rows of length 1.
        names: float32 (n, d), rows of length 1.
        k: How many; all of them when there are fewer.
    """
    k = min(k, len(names))
    queries, names = np.ascontiguousarray(queries, np.float32), np.ascontiguousarray(names, np.float32)
    indices, similarities = np.zeros((len(queries), k), np.int64), np.zeros((len(queries), k), np.float32)
    if not k or not len(queries):
        return indices, similarities
    propose, error = _proposer(names)
    wide = min(len(names), 2 * k + 16)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK]
        rows, cosines, sure = _rescored(block, names, propose(block, wide), k, error)
        for place in np.flatnonzero(~sure):
            rows[place], cosines[place] = _by_sorting(block[place], names, k)
        indices[start : start + _BLOCK], similarities[start : start + _BLOCK] = rows, cosines
        if progress:
            progress("searching neighbours", min(start + _BLOCK, len(queries)), len(queries))
    return indices, similarities


def _proposer(names: np.ndarray) -> tuple[Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]], float]:
    """Choose who proposes: torch in bfloat16 where it is loaded and fast, else FAISS; with the largest error of a proposal."""
    if "torch" in sys.modules and len(names) > 4096 and _has_fast_bfloat16():
        return _propose_by_torch(names), _COARSE_ERROR
    import faiss

    index = faiss.IndexFlatIP(names.shape[1])
    index.add(names)

    def propose(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        similarities, rows = index.search(block, k)
        return rows, similarities[:, -1]

    return propose, _FINE_ERROR


def _propose_by_torch(names: np.ndarray) -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    import torch

    transposed = torch.from_numpy(names).to(torch.bfloat16).T.contiguous()

    def propose(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            best = (torch.from_numpy(block).to(torch.bfloat16) @ transposed).topk(k, dim=1, sorted=True)
        return best.indices.numpy(), best.values[:, -1].float().numpy()

    return propose


def _has_fast_bfloat16() -> bool:
    import torch

    capability = torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else ""
    checks = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return "AVX512" in capability and any(check() for check in checks if check)


def _rescored(
    block: np.ndarray, names: np.ndarray, proposed: tuple[np.ndarray, np.ndarray], k: int, error: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order proposed names by their exact cosine; tell for which queries no other name can belong to the first k."""
    rows, cut = proposed
    exact = np.stack([names[row] @ query for row, query in zip(rows, block, strict=True)])
    exact = np.round(exact, 6)  # ties are ties, whatever the order of the sum
    order = np.lexsort((rows, -exact), axis=1)[:, :k]
    cosines = np.take_along_axis(exact, order, axis=1)
    sure = (cosines[:, -1] > cut + error) | (rows.shape[1] == len(names))
    return np.take_along_axis(rows, order, axis=1), cosines.astype(np.float32), sure


def _by_sorting(query: np.ndarray, names: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    exact = np.round(names @ query, 6)
    order = np.argsort(-exact, kind="stable")[:k]
    return order, exact[order]


def candidates(subjects: Names, targets: Names, k: int = 20, *, lexical: bool = True, progress: Progress | None = None) -> pd.DataFrame:
    """Find the k terms nearest to each concept, by the highest cosine over the names of both sides.

    A term with a lexically equal name is a candidate wherever it stands. Columns: `subject` and `target` (rows in the
    `ids` of each side), `subject_name` and `target_name` (rows in their `texts`: the two names that were nearest),
    `similarity`, `equal` (some names of both are lexically equal). Rows come by subject, then similarity downwards, then
    target.
    """
    queries, query_of = _unique(subjects.texts)
    names, name_of = _unique(targets.texts)
    owners = _owners_by_name(targets.owners, name_of, len(names))
    left, right = subjects.vectors[queries], targets.vectors[names]
    pairs = [_nearest_terms(left, right, owners, k, progress).assign(equal=False)]
    if lexical:
        equal = lexically_equal([subjects.normal[row] for row in queries], [targets.normal[row] for row in names])
        pairs.append(_expand(*equal, _cosines(left, right, *equal), owners).assign(equal=True))
    frame = _per_concept(pairs, subjects.owners, query_of, k)
    frame["target_name"] = _first_row_of_name(frame["target"].to_numpy(), frame["name"].to_numpy(), targets.owners, name_of)
    return frame[["subject", "target", "subject_name", "target_name", "similarity", "equal"]]


def lexically_equal(left: Sequence[str], right: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Pair the rows of two lists of normal forms that are equal; an empty form equals none.

    >>> [rows.tolist() for rows in lexically_equal(["crohn disease", "asthma", ""], ["asthma", "crohn disease", ""])]
    [[0, 1], [1, 0]]
    """
    places: dict[str, list[int]] = {}
    for row, name in enumerate(right):
        places.setdefault(name, []).append(row)
    found = [(row, place) for row, name in enumerate(left) if name for place in places.get(name, ())]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _unique(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Give the first row of each distinct text, and for each row the place of its text among those."""
    places: dict[str, int] = {}
    of = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int64, len(texts))
    first = np.zeros(len(places), np.int64)
    first[of[::-1]] = np.arange(len(texts))[::-1]
    return first, of


def _owners_by_name(owners: np.ndarray, name_of: np.ndarray, n_names: int) -> tuple[np.ndarray, np.ndarray]:
    """List the terms of each distinct name as (starts, terms): those of name i are terms[starts[i]:starts[i + 1]]."""
    pairs = np.unique(np.column_stack([name_of, owners]), axis=0) if len(owners) else np.zeros((0, 2), np.int64)
    return np.searchsorted(pairs[:, 0], np.arange(n_names + 1)), pairs[:, 1]


def _nearest_terms(
    queries: np.ndarray, names: np.ndarray, owners: tuple[np.ndarray, np.ndarray], k: int, progress: Progress | None
) -> pd.DataFrame:
    """Search ever more names until each query has k different terms: a term may have a hundred names."""
    import pandas as pd

    parts, rows, width = [], np.arange(len(queries)), 4 * k
    while len(rows):
        indices, similarities = nearest(queries[rows], names, width, progress=progress)
        pairs = _expand(np.repeat(rows, indices.shape[1]), indices.ravel(), similarities.ravel(), owners)
        pairs = pairs[~pairs.duplicated(["query", "target"])]
        pairs = pairs[pairs.groupby("query").cumcount() < k]
        enough = pairs.groupby("query").size().reindex(rows, fill_value=0).to_numpy() >= k
        if width >= len(names):
            enough[:] = True
        parts.append(pairs[pairs["query"].isin(rows[enough])])
        rows, width = rows[~enough], 4 * width
    return pd.concat(parts) if parts else _expand(rows, rows, rows.astype(np.float32), owners)


def _expand(query: np.ndarray, name: np.ndarray, similarity: np.ndarray, owners: tuple[np.ndarray, np.ndarray]) -> pd.DataFrame:
    """Turn (query, name, similarity) into one row per term that has the name, in the same order."""
    import pandas as pd

    starts, terms = owners
    sizes = starts[name + 1] - starts[name]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return pd.DataFrame(
        {
            "query": np.repeat(query, sizes),
            "name": np.repeat(name, sizes),
            "target": terms[np.repeat(starts[name], sizes) + within],
            "similarity": np.repeat(similarity, sizes),
        }
    )


def _cosines(left: np.ndarray, right: np.ndarray, left_rows: np.ndarray, right_rows: np.ndarray) -> np.ndarray:
    cosines: np.ndarray = np.einsum("ij,ij->i", left[left_rows], right[right_rows])
    rounded: np.ndarray = np.round(cosines, 6).astype(np.float32)
    return rounded


def _per_concept(pairs: list[pd.DataFrame], owners: np.ndarray, query_of: np.ndarray, k: int) -> pd.DataFrame:
    """Take the maximum over a concept's names; keep its k best terms and, beyond them, the lexically equal ones."""
    import pandas as pd

    names = pd.DataFrame({"query": query_of, "subject": owners, "subject_name": np.arange(len(owners))})
    frame = names.merge(pd.concat(pairs, ignore_index=True), on="query", sort=False)
    frame = frame.sort_values(
        ["subject", "similarity", "target", "equal", "subject_name", "name"], ascending=[True, False, True, False, True, True]
    )
    equal = frame.groupby(["subject", "target"], sort=False)["equal"].transform("max")
    frame = frame.assign(equal=equal)[~frame.duplicated(["subject", "target"])]
    return frame[(frame.groupby("subject", sort=False).cumcount() < k) | frame["equal"]].reset_index(drop=True)


def _first_row_of_name(targets: np.ndarray, names: np.ndarray, owners: np.ndarray, name_of: np.ndarray) -> np.ndarray:
    """Give the first row of the target's names that is the distinct name."""
    width = int(name_of.max(initial=0)) + 1
    keys, first = np.unique(owners * width + name_of, return_index=True)
    rows: np.ndarray = first[np.searchsorted(keys, targets * width + names)]
    return rows
