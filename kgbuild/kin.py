"""Traits in, pairs of kin out: a trait and its ancestor, and two that are one trait under other names.

What is known to go with one of two kin is no sure negative of the other (a variant of type 2 diabetes, beside diabetes).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

    from embedder.data import Integers

__all__ = ["trait_kin"]

UPWARDS = {"relations": "IS_A", "xrefs": "broader"}  # table -> the predicate whose object is the wider of the two


def trait_kin(folder: Path, groups: Mapping[str, int], *, codes: Mapping[str, str], mappings: pd.DataFrame) -> Integers:
    """Give (k, 2) numbers of groups of which one is an ancestor of the other, or both are one trait.

    Two are one trait where they have a name in common, in its normal form, or where a curated mapping says so. Terms that were
    replaced are not looked for: the tables hold what replaced them.

    Args:
        folder: Tables.
        groups: Group of a trait (a term's id, or `name:` and a normal form), and its number.
        codes: Code of a phenotype -> its group.
        mappings: subject_id, subject_label, object_id of curated mappings that may be seen.
    """
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix, triu

    stands_for = _concepts_of(folder, list(groups), codes, mappings)
    parents = _parents(folder)
    numbers, ids = pd.factorize(pd.concat([stands_for["concept"], parents["child"], parents["parent"]], ignore_index=True))
    own, child, parent = np.split(numbers, np.cumsum([len(stands_for), len(parents)]))

    def matrix(rows: Any, columns: Any, height: int) -> Any:
        return csr_matrix((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(height, len(ids)))

    place = {group: row for row, group in enumerate(groups)}
    concepts = matrix(stands_for["group"].map(place).to_numpy(), own, len(groups))
    above = _closure(concepts, matrix(child, parent, len(ids)))
    kin = above @ concepts.T
    first, second = triu(kin + kin.T, k=1).nonzero()
    of = np.fromiter(groups.values(), dtype=np.int64, count=len(groups))
    return np.stack([of[first], of[second]], axis=1)


def _concepts_of(folder: Path, groups: list[str], codes: Mapping[str, str], mappings: pd.DataFrame) -> pd.DataFrame:
    """Give (group, concept): what each group stands for, in whatever vocabulary."""
    import pandas as pd

    def frame(pairs: Any) -> pd.DataFrame:
        return pd.DataFrame(list(pairs), columns=["group", "concept"], dtype=object)

    # a text that is mapped to several terms ("cough with asthma") is none of them
    mappings = mappings.drop_duplicates(["subject_label", "object_id"]).drop_duplicates("subject_label", keep=False)
    names = _names(folder)
    named = pd.concat([names, _spelled(mappings["subject_label"], mappings["object_id"])])
    found = pd.concat(
        [
            frame((group, group) for group in groups),
            frame((group, code) for code, group in codes.items()),
            frame(zip(mappings["subject_id"].map(codes), mappings["object_id"], strict=True)),
            frame(zip("name:" + named["name"], named["concept"], strict=True)),
        ]
    )
    found = found[found["group"].isin(groups)].drop_duplicates()
    labels = names[names["label"]]
    twins = labels.merge(labels, on="name", suffixes=("", "_twin"))[["concept", "concept_twin"]]
    further = found.merge(twins, on="concept")[["group", "concept_twin"]].set_axis(["group", "concept"], axis=1)
    return pd.concat([found, further]).drop_duplicates()


def _names(folder: Path) -> pd.DataFrame:
    """Give (name in its normal form, concept, label): abbreviations name too many things."""
    import pandas as pd

    concepts = tables.read(folder, "concepts", ["id", "name"]).to_pandas()
    names = tables.read(folder, "names", ["concept_id", "name", "role"]).to_pandas()
    names = names[names["role"] != "short"]
    labels = _spelled(concepts["name"], concepts["id"]).assign(label=True)
    return pd.concat([labels, _spelled(names["name"], names["concept_id"]).assign(label=False)])


def _spelled(names: pd.Series[str], concepts: pd.Series[str]) -> pd.DataFrame:
    import pandas as pd

    numbers, distinct = pd.factorize(names)
    normal = pd.Series([normalise_name(name) for name in distinct], dtype=object)
    made = pd.DataFrame({"name": normal.reindex(numbers).to_numpy(), "concept": concepts.to_numpy()})
    return made[made["name"] != ""].drop_duplicates()


def _parents(folder: Path) -> pd.DataFrame:
    import pandas as pd
    import pyarrow.compute as pc

    columns = ["subject_id", "predicate", "object_id"]
    read = [(tables.read(folder, name, columns), predicate) for name, predicate in UPWARDS.items()]
    frames = [rows.filter(pc.equal(rows["predicate"], predicate)).to_pandas() for rows, predicate in read]
    return pd.concat(frames, ignore_index=True)[["subject_id", "object_id"]].set_axis(["child", "parent"], axis=1)


def _closure(concepts: Any, parents: Any) -> Any:
    """Give what each row has, and all that lies above it; a circle ends where nothing new comes."""
    above = concepts
    while (wider := above + above @ parents).nnz > above.nnz:
        above = wider
    return above
