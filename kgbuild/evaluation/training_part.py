"""Tables and a split in, what a system may learn from out: the pairs that this workspace's own model was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.splits import read_split

if TYPE_CHECKING:
    from embedder import TrainingData

__all__ = ["TRAIT_TASKS", "TrainingPart", "text_degrees"]

Integers = npt.NDArray[np.int64]

TRAIT_TASKS = ("gwas", "biobank")
TRAIT_PREDICATE = "associated with"  # of a trait and a SNP, whichever study says so


@dataclass(frozen=True)
class TrainingPart:
    """What training saw.

    Args:
        data: Pairs.
        tables_dir: Tables that they came from.
        cache_dir: Where vectors and trained graph models are kept.
        splits: What is held out -> hash of its file.
    """

    data: TrainingData
    tables_dir: Path
    cache_dir: Path
    splits: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, tables_dir: Path, cache_dir: Path, model_dir: Path, splits: Mapping[str, str]) -> TrainingPart:
        """Build the pairs anew, less what the files of a model's folder hold out.

        Raises:
            ModelError: Such a file is not the one with its hash.
        """
        from kgbuild.pairs import build_pairs

        held = {name: read_split(model_dir / f"{name}.tsv", digest) for name, digest in splits.items()}
        return cls(build_pairs(tables_dir, **held).data, tables_dir, cache_dir, splits)

    @cached_property
    def traits(self) -> TrainingData:
        """Only pairs of a trait and a SNP, with the texts that they name: a text model has to read no others."""
        tasks = [task for task in self.data.tasks if task.name in TRAIT_TASKS]
        used = np.unique(np.concatenate([np.empty(0, np.int64), *(task.left for task in tasks)]))
        new = np.full(len(self.data.texts), -1)
        new[used] = np.arange(len(used))
        return replace(
            self.data, texts=[self.data.texts[row] for row in used.tolist()], tasks=[replace(task, left=new[task.left]) for task in tasks]
        )

    @cached_property
    def trait_degrees(self) -> tuple[dict[str, int], dict[str, int]]:
        """Number of distinct traits of each SNP, and of distinct SNPs of each trait; those of none are left out."""
        pairs = [np.stack([task.left, task.right], axis=1) for task in self.traits.tasks]
        distinct = np.unique(np.concatenate([np.empty((0, 2), np.int64), *pairs]), axis=0)
        of = []
        for names, rows in ((self.traits.snps, distinct[:, 1]), (self.traits.texts, distinct[:, 0])):
            counts = np.bincount(rows, minlength=len(names))
            of.append({names[row]: int(counts[row]) for row in np.flatnonzero(counts).tolist()})
        return of[0], of[1]

    @cached_property
    def matrix(self) -> Any:
        """Weights of all pairs of a SNP and a text as a sparse (SNPs, texts) matrix; of two pairs of the same, the sum."""
        from scipy.sparse import csr_matrix

        tasks = [task for task in self.data.tasks if task.right_kind == "snp"]
        snp = np.concatenate([np.empty(0, np.int64), *(task.right for task in tasks)])
        text = np.concatenate([np.empty(0, np.int64), *(task.left for task in tasks)])
        weight = np.concatenate([np.empty(0, np.float32), *(task.weight for task in tasks)])
        return csr_matrix((weight, (snp, text)), shape=(len(self.data.snps), len(self.data.texts)))

    def triples(self) -> Iterator[tuple[str, str, Integers, Integers]]:
        """Give all pairs by predicate: predicate, kind of the right side, and rows of both sides.

        A pair of `relations` has the predicates that the tables say of the two names; other tasks have one each.
        """
        for task in self.data.tasks:
            if task.name == "relations":
                for predicate, rows in self._predicates(task.left, task.right).items():
                    yield predicate, "text", task.left[rows], task.right[rows]
            else:
                yield TRAIT_PREDICATE if task.name in TRAIT_TASKS else task.name, task.right_kind, task.left, task.right

    def _predicates(self, left: Integers, right: Integers) -> dict[str, Integers]:
        """Give the pairs that have each predicate: trained pairs alone count, whatever else the tables hold."""
        import pandas as pd

        names = tables.names_by_id(self.tables_dir)
        edges = tables.read(self.tables_dir, "relations", ["subject_id", "predicate", "object_id"]).to_pandas()
        edges = edges.assign(left=edges["subject_id"].map(names), right=edges["object_id"].map(names)).dropna(subset=["left", "right"])
        texts = np.asarray(self.data.texts, dtype=object)
        pairs = pd.DataFrame({"left": texts[left], "right": texts[right], "row": np.arange(len(left))})
        found = pairs.merge(edges[["left", "right", "predicate"]].drop_duplicates(), on=["left", "right"])
        return {str(predicate): rows["row"].to_numpy(np.int64) for predicate, rows in found.groupby("predicate", sort=True)}

    @cached_property
    def node_types(self) -> dict[str, str]:
        """Kind of the node of each name: `Disease`, `Gene`; of a name of several the first that is live."""
        concepts = tables.read(self.tables_dir, "concepts", ["name", "kind", "obsolete"]).to_pandas().sort_values("obsolete", kind="stable")
        genes = tables.read(self.tables_dir, "genes", ["symbol"]).to_pydict()["symbol"]
        first = concepts.drop_duplicates("name")
        return dict.fromkeys(genes, "Gene") | dict(zip(first["name"], first["kind"], strict=True))


def text_degrees(data: TrainingData) -> Integers:
    """Give the number of pairs that name each text, over all tasks."""
    counts = np.zeros(len(data.texts), dtype=np.int64)
    for task in data.tasks:
        for rows, kind in ((task.left, task.left_kind), (task.right, task.right_kind)):
            if kind == "text":
                counts += np.bincount(rows, minlength=len(data.texts))
    return counts
