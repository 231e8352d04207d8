"""Training data in, what they link to each SNP out: lists of texts, by SNP, by LD block and by region, and a vector of each text."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.errors import ModelError

if TYPE_CHECKING:
    from embedder import TrainingData

__all__ = ["DIMENSION", "LEVELS", "Evidence", "Lists", "lists_by_level"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

DIMENSION = 96  # of association vectors; 64 and 128 were no better
TASKS = ("gwas", "biobank")


@dataclass(frozen=True)
class Lists:
    """The texts of some units, one list after the other.

    Args:
        units: (SNPs,) unit of each SNP; -1 for none.
        members: (links,) numbers of texts, by unit.
        starts: (units + 1,) where each unit's begin.
    """

    units: Integers
    members: Integers
    starts: Integers

    @property
    def counts(self) -> Integers:
        """Number of texts of each SNP's unit; 0 where it has none."""
        sizes = np.append(np.diff(self.starts), 0)
        return np.asarray(sizes[self.units])

    def of_units(self, unit: Integers) -> tuple[Integers, Integers]:
        """Give how many texts each of some units has, none for -1, and these, one unit after the other.

        >>> lists = Lists(np.array([0, 1]), np.array([7, 8, 9]), np.array([0, 2, 3]))
        >>> [found.tolist() for found in lists.of_units(np.array([1, -1, 0]))]
        [[1, 0, 2], [9, 7, 8]]
        """
        count = np.where(unit >= 0, self.starts[unit + 1] - self.starts[unit], 0)
        first = np.cumsum(count) - count
        return count, np.asarray(self.members[np.arange(count.sum()) + np.repeat(self.starts[unit] - first, count)])


@dataclass(frozen=True)
class Evidence:
    """Which texts are linked to each SNP, to its LD block, and to its region with the two beside it.

    Args:
        texts: The texts that are linked to any SNP.
        snps: Ids.
        by: Lists of `snp`, `block` (only blocks that say something about an unseen SNP) and `region`.
        association_vectors: (texts, d) unit rows: texts whose SNPs lie in the same loci are close, whatever their wording.
    """

    texts: Sequence[str]
    snps: Sequence[str]
    by: Mapping[str, Lists]
    association_vectors: Floats

    @classmethod
    def of(
        cls,
        data: TrainingData,
        *,
        regions: Mapping[str, tuple[str, int]] | None = None,
        more: Sequence[tuple[str, str]] = (),
        tasks: Sequence[str] = TASKS,
    ) -> Evidence:
        """Gather the links of trait tasks.

        Args:
            data: What a model was trained on; its SNPs come first, in this order.
            regions: Region of each SNP that has one, as `regions_of` gives them. Those without a link of their own come last, where
                their region or one beside it has links.
            more: Links that were kept from training, (text, SNP); a SNP that training lacks comes after those that it has.
            tasks: Whose links count.
        """
        texts, snps, left, right = _links(data, more, tasks)
        snps += _near(snps, right, regions or {})
        block = np.concatenate([data.snp_blocks, np.full(len(snps) - len(data.snps), -1)])
        by = lists_by_level(snps, block, regions or {}, right, left)
        region = by["region"].units
        locus = np.where(block >= 0, block, np.where(region >= 0, -2 - region, block.max(initial=-1) + 1 + np.arange(len(snps))))
        return cls(texts, snps, by, _association_vectors(len(texts), left, locus[right]))

    @cached_property
    def snp_rows(self) -> dict[str, int]:
        return {snp: row for row, snp in enumerate(self.snps)}

    def beyond(self, placed: Container[str]) -> list[str]:
        """Give the SNPs that a model does not place, though something is known at or near them."""
        return [snp for snp in self.snps if snp not in placed]

    @property
    def snp_texts(self) -> Integers:
        """Numbers of texts, SNP by SNP: `snp_degrees` says how many each has."""
        return self.by["snp"].members

    @property
    def snp_degrees(self) -> Integers:
        """Number of texts of each SNP."""
        return self.by["snp"].counts

    @property
    def text_degrees(self) -> Integers:
        """Number of SNPs of each text."""
        return np.bincount(self.by["snp"].members, minlength=len(self.texts))

    def save(self, folder: Path, name: str = "evidence") -> None:
        """Write evidence.npz and evidence.json, or files of another name."""
        arrays: dict[str, npt.NDArray[Any]] = {"association_vectors": self.association_vectors.astype(np.float16)}
        for level, lists in self.by.items():
            arrays |= {f"{level}.{part}": getattr(lists, part).astype(np.int32) for part in _PARTS}
        np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]
        document = {"texts": list(self.texts), "snps": list(self.snps)}
        (folder / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, name: str = "evidence") -> Evidence | None:
        """Read them back; None where the model was saved without.

        Raises:
            ModelError: The two do not fit each other, or an earlier version wrote them.
        """
        if not (folder / f"{name}.json").exists():
            return None
        document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        texts, snps = document["texts"], document["snps"]
        with np.load(folder / f"{name}.npz") as archive:
            arrays = dict(archive)
        try:
            by = {level: Lists(*(arrays[f"{level}.{part}"].astype(np.int64) for part in _PARTS)) for level in LEVELS}
            vectors = arrays["association_vectors"].astype(np.float32)
        except KeyError:
            raise ModelError(f"{folder / name}.npz is of an earlier version", advice=_AGAIN) from None
        if len(vectors) != len(texts) or any(len(lists.units) != len(snps) for lists in by.values()):
            raise ModelError(f"{folder}: {name}.npz and {name}.json do not fit each other", advice=_AGAIN)
        return cls(texts, snps, by, vectors)


LEVELS = ("snp", "block", "region")
_PARTS = ("units", "members", "starts")
_AGAIN = "Train again: kgbuild train"


def lists_by_level(
    snps: Sequence[str], block: Integers, regions: Mapping[str, tuple[str, int]], snp: Integers, member: Integers
) -> dict[str, Lists]:
    """Gather what is linked to SNPs by SNP, by LD block, and by region with the two beside it.

    Args:
        snps: Ids.
        block: (SNPs,) LD block; -1 for none.
        regions: Region of each SNP that has one.
        snp: (links,) row of the SNP.
        member: (links,) number of what is linked to it.
    """
    region, beside = _regions(snps, regions)
    reached = beside[region[snp]].T.reshape(-1)  # the region of each link and the two beside it
    return {
        "snp": Lists(np.arange(len(snps)), *_lists(snp, member, len(snps))),
        "block": Lists(block, *_lists(block[snp], member, int(block.max(initial=-1)) + 1)),
        "region": Lists(region, *_lists(reached, np.tile(member, 3), len(beside) - 1)),
    }


def _links(data: TrainingData, more: Sequence[tuple[str, str]], tasks: Sequence[str]) -> tuple[list[str], list[str], Integers, Integers]:
    """Give texts, SNPs and the two sides of each link as numbers of these."""
    chosen = [task for task in data.tasks if task.name in tasks]
    numbers, left = np.unique(np.concatenate([np.empty(0, np.int64), *(task.left for task in chosen)]), return_inverse=True)
    right = np.concatenate([np.empty(0, np.int64), *(task.right for task in chosen)])
    texts = {data.texts[number]: row for row, number in enumerate(numbers)}
    snps = {snp: row for row, snp in enumerate(data.snps)}
    also = np.array([(texts.setdefault(text, len(texts)), snps.setdefault(snp, len(snps))) for text, snp in more], dtype=np.int64)
    also = also.reshape(-1, 2)
    return list(texts), list(snps), np.concatenate([left, also[:, 0]]), np.concatenate([right, also[:, 1]])


def _near(snps: Sequence[str], linked: Integers, regions: Mapping[str, tuple[str, int]]) -> list[str]:
    """Give the other SNPs of the regions that linked SNPs lie in, and of those beside them."""
    reached = {
        (place, at + step)
        for place, at in {regions[snps[row]] for row in set(linked.tolist()) if snps[row] in regions}
        for step in (-1, 0, 1)
    }
    known = set(snps)
    return [snp for snp, region in regions.items() if region in reached and snp not in known]


def _regions(snps: Sequence[str], regions: Mapping[str, tuple[str, int]]) -> tuple[Integers, Integers]:
    """Give each SNP's region as a number, and each region with the two beside it; the last row is for -1, nothing."""
    numbers: dict[tuple[str, int], int] = {}
    of = np.array([-1 if snp not in regions else numbers.setdefault(regions[snp], len(numbers)) for snp in snps], dtype=np.int64)
    beside = [(number, numbers.get((place, at - 1), -1), numbers.get((place, at + 1), -1)) for (place, at), number in numbers.items()]
    return of, np.array([*beside, (-1, -1, -1)], dtype=np.int64)


def _association_vectors(n_texts: int, text: Integers, locus: Integers) -> Floats:
    """Give (texts, d) unit rows whose cosines say how alike two texts' loci are.

    A truncated singular value decomposition of the text x locus matrix, each cell divided by the roots of its row's and its
    column's sum: a locus of hundreds of texts says little about any of them. A locus of one text says nothing and stays out.
    """
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import svds

    _, column = np.unique(locus, return_inverse=True)
    links = csr_matrix((np.ones(len(text), dtype=np.float32), (text, column)), shape=(n_texts, int(column.max(initial=-1)) + 1))
    links.data[:] = 1
    of_text, of_locus = np.asarray(links.sum(axis=1)).ravel(), np.asarray(links.sum(axis=0)).ravel()
    shared = np.flatnonzero(of_locus > 1)
    scaled = diags(1 / np.sqrt(of_text + 3)) @ links[:, shared] @ diags(1 / np.sqrt(of_locus[shared] + 1))
    rank = min(DIMENSION, min(scaled.shape) - 1)
    if rank < 1:
        return np.zeros((n_texts, 1), dtype=np.float32)
    left, values, _ = svds(scaled.astype(np.float32), k=rank, random_state=0)
    vectors = left * values
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def _lists(owners: Integers, members: Integers, n_owners: int) -> tuple[Integers, Integers]:
    """Sort (owner, member) pairs into one list of distinct members per owner, and give where each begins; owners below 0 have none."""
    width = int(members.max(initial=0)) + 1
    owner, member = np.divmod(np.unique(owners[owners >= 0] * width + members[owners >= 0]), width)
    return member, np.searchsorted(owner, np.arange(n_owners + 1))
