"""Relations in, pairs of concepts by table out, each with the part it is kept for: diseases, pathways and drugs with genes and drugs.

A unit is a pair of concepts, whatever they are called and whichever way the edge points: nodes that share a name are one
concept, and every edge between the two concepts is held out with the pair. A pair of the table `indication-gene` is no edge;
it is held out where each way from the disease over a drug to the gene has a held-out edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kgbuild import tables
from kgbuild.errors import UsageError
from kgbuild.splits import draw
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

__all__ = ["COLUMNS", "COMPOSED", "TABLES", "ConceptTable", "HeldOut", "concept_pairs", "same_concepts", "split_concepts"]

COLUMNS = ["table", "left_id", "left_name", "right_id", "right_name", "part"]
SMALL = 2_000  # a table with fewer pairs gives twice the share: a figure of thirty pairs says nothing


@dataclass(frozen=True)
class ConceptTable:
    """One table: which edges it is made of. The edge's object is the left side unless `turned`."""

    predicate: str
    left_kinds: tuple[str, ...]
    turned: bool = False


# the tables of Yuan et al. 2025, table 2, and drug-gene, from which indication-gene follows
TABLES: Mapping[str, ConceptTable] = {
    "disease-gene": ConceptTable("GENE_ASSOCIATED_WITH", ("Disease",)),
    "pathway-gene": ConceptTable("PARTICIPATES_IN", ("Pathway",)),
    "indication-drug": ConceptTable("INDICATED_FOR", ("Disease", "Phenotype", "Measurement")),
    "drug-gene": ConceptTable("TARGETS", ("Drug",), turned=True),
}
COMPOSED = "indication-gene"  # disease <- INDICATED_FOR - drug - TARGETS -> gene


def concept_pairs(folder: Path) -> pd.DataFrame:
    """Give every pair of the tables in a folder, as COLUMNS without the part, with the concepts' numbers `left` and `right`."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    relations = tables.read(folder, "relations", ["subject_id", "predicate", "object_id"])
    kinds, names = _kinds(folder), tables.names_by_id(folder)
    frames = []
    for name, made_of in TABLES.items():
        left, right = ("subject_id", "object_id") if made_of.turned else ("object_id", "subject_id")
        lefts = pa.array([id_ for id_, kind in kinds.items() if kind in made_of.left_kinds], pa.string())
        here = pc.and_(pc.equal(relations["predicate"], made_of.predicate), pc.is_in(relations[left], lefts))
        edges = relations.filter(here).to_pandas()
        frames.append(pd.DataFrame({"table": name, "left_id": edges[left], "right_id": edges[right]}))
    frame = pd.concat(frames, ignore_index=True)
    frame = pd.concat([frame, _composed(frame)], ignore_index=True)
    numbers = same_concepts(folder, pd.unique(frame[["left_id", "right_id"]].to_numpy().ravel()).tolist())
    for side in ("left", "right"):
        frame[f"{side}_name"] = frame[f"{side}_id"].map(names)
        frame[side] = frame[f"{side}_id"].map(numbers)
    frame = frame.dropna(subset=["left_name", "right_name"]).drop_duplicates(["table", "left", "right"])
    return frame.sort_values(["table", "left_id", "right_id"]).reset_index(drop=True)


def _kinds(folder: Path) -> dict[str, str]:
    rows = tables.read(folder, "concepts", ["id", "kind"]).to_pydict()
    return dict(zip(rows["id"], rows["kind"], strict=True))


def _composed(pairs: pd.DataFrame) -> pd.DataFrame:
    """Give disease and gene of each way over a drug."""
    first = pairs.loc[pairs["table"] == "indication-drug", ["left_id", "right_id"]]
    second = pairs.loc[pairs["table"] == "drug-gene", ["left_id", "right_id"]]
    ways = first.merge(second, left_on="right_id", right_on="left_id", suffixes=("", "_of_drug"))
    return ways[["left_id", "right_id_of_drug"]].set_axis(["left_id", "right_id"], axis=1).drop_duplicates().assign(table=COMPOSED)


def same_concepts(folder: Path, ids: Iterable[str]) -> dict[str, int]:
    """Give ids numbers, the same to those that share a name in its normal form, be it label or synonym."""
    import numpy as np
    import pandas as pd
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    distinct = list(dict.fromkeys(ids))
    places = {id_: place for place, id_ in enumerate(distinct)}
    names = tables.read(folder, "names", ["concept_id", "name", "role"]).to_pandas()
    names = names[(names["role"] != "short") & names["concept_id"].isin(places)]
    labels = tables.names_by_id(folder)
    owners = [*names["concept_id"].map(places), *range(len(distinct))]
    texts = [*names["name"].map(normalise_name), *(normalise_name(labels.get(id_, id_)) or id_ for id_ in distinct)]
    codes, words = pd.factorize(np.array(texts, dtype=object))
    graph = coo_matrix((np.ones(len(codes)), (owners, codes + len(distinct))), shape=(len(distinct) + len(words),) * 2)
    _, component = connected_components(graph, directed=False)
    return dict(zip(distinct, component[: len(distinct)].tolist(), strict=True))


def split_concepts(pairs: pd.DataFrame, *, share: float = 0.05, development: float = 0.05, seed: int = 20261121) -> pd.DataFrame:
    """Hold out pairs: `share` of each table as `test`, `development` as `development`; of a small table twice as much.

    A pair of concepts is drawn once, by the names of its units and the seed, so it has one part in every table. Rows of
    indication-gene follow from the others; a pair that an edge of training states in so many words is none of them.

    Args:
        pairs: From `concept_pairs`.
        share: May be 0: then only the development part is kept from training.
        development: Likewise; the weights of the score are fitted on it.
        seed: Of the draw.

    Raises:
        UsageError: The shares are not what they should be.
    """
    if not (share >= 0 and development >= 0 and share + development < 0.5):
        raise UsageError(f"shares of {share} and {development} are held out, expected at least 0 and less than 0.5 together")
    edges = pairs[pairs["table"] != COMPOSED].copy()
    small = edges.groupby("table")["left"].transform("size") < SMALL
    factor = small.map({True: 2.0, False: 1.0}).to_numpy()
    x = draw(_unit_names(edges), seed) / factor
    edges["part"] = ["test" if value < share else "development" if value < share + development else "" for value in x]
    edges["part"] = edges.groupby(["left", "right"])["part"].transform("max")  # one pair, one part; test > development > none
    held = [edges[edges["part"] != ""], _held_compositions(pairs, edges)]
    return _concatenated(held)[COLUMNS].sort_values(COLUMNS).reset_index(drop=True)


def _unit_names(edges: pd.DataFrame) -> list[str]:
    """Give each pair a name that does not depend on what else there is: the least names of both concepts."""
    least: dict[int, str] = {}
    for side in ("left", "right"):
        for number, name in zip(edges[side].tolist(), edges[f"{side}_name"].map(normalise_name).tolist(), strict=True):
            least[number] = min(least.get(number, name), name)
    return [f"{least[left]}\x1f{least[right]}" for left, right in zip(edges["left"].tolist(), edges["right"].tolist(), strict=True)]


def _held_compositions(pairs: pd.DataFrame, edges: pd.DataFrame) -> pd.DataFrame:
    """Give the pairs of indication-gene of which each way has a held-out edge; `test` where none does without a test edge."""
    rank = {"": 0, "development": 1, "test": 2}
    parts = edges.assign(rank=edges["part"].map(rank))[["table", "left", "right", "rank"]]
    first, second = (parts.loc[parts["table"] == name, ["left", "right", "rank"]] for name in ("indication-drug", "drug-gene"))
    ways = first.merge(second, left_on="right", right_on="left", suffixes=("", "_of_drug"))
    ways["rank"] = ways[["rank", "rank_of_drug"]].max(axis=1)
    best = ways.groupby(["left", "right_of_drug"])["rank"].min()
    composed = pairs[pairs["table"] == COMPOSED]
    found = best.reindex(list(zip(composed["left"], composed["right"], strict=True))).fillna(0).to_numpy(dtype=int)
    stated = HeldOut.keys(edges["left"], edges["right"])
    here = (found > 0) & ~_isin(HeldOut.keys(composed["left"], composed["right"]), stated)
    parts_of = {number: name for name, number in rank.items()}
    return composed[here].assign(part=[parts_of[number] for number in found[here].tolist()])


@dataclass(frozen=True)
class HeldOut:
    """The pairs of concepts that training must not see; tells which edges are between them."""

    numbers: Mapping[str, int]
    pairs: npt.NDArray[np.int64]

    @classmethod
    def of(cls, folder: Path, split: pd.DataFrame, ids: Iterable[str]) -> HeldOut:
        """Gather them from a split; `ids` are those of all edges that will be asked about."""
        edges = split[split["table"] != COMPOSED]
        numbers = same_concepts(folder, [*edges["left_id"], *edges["right_id"], *ids])
        return cls(numbers, cls.keys(edges["left_id"].map(numbers), edges["right_id"].map(numbers)))

    def __call__(self, subjects: pd.Series[str], objects: pd.Series[str]) -> npt.NDArray[np.bool_]:
        """Tell which edges run between two held-out concepts, in either direction."""
        return _isin(self.keys(subjects.map(self.numbers), objects.map(self.numbers)), self.pairs)

    @staticmethod
    def keys(left: npt.ArrayLike, right: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Give unordered pairs of numbers as one number each."""
        import numpy as np

        first, second = np.asarray(left, dtype=np.int64), np.asarray(right, dtype=np.int64)
        return np.asarray(np.minimum(first, second) * (1 << 31) + np.maximum(first, second))


def _isin(values: npt.NDArray[np.int64], among: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    import numpy as np

    return np.isin(values, among)


def _concatenated(frames: list[pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat(frames, ignore_index=True)
