"""Training data in, what they link to each SNP out: lists of texts, by SNP and by LD block."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kgbuild.errors import ModelError

if TYPE_CHECKING:
    from embedder import TrainingData

__all__ = ["Evidence"]

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Evidence:
    """Which texts training linked to each SNP: lists by SNP and by LD block, one after the other.

    Args:
        texts: The texts that are linked to any SNP.
        snps: Ids.
        snp_texts: (links,) numbers of texts, by SNP.
        snp_starts: (SNPs + 1,) where each SNP's begin.
        blocks: (SNPs,) block of each SNP; -1 for none that says something.
        block_texts: (links,) numbers of texts, by block.
        block_starts: (blocks + 1,).
    """

    texts: Sequence[str]
    snps: Sequence[str]
    snp_texts: Integers
    snp_starts: Integers
    blocks: Integers
    block_texts: Integers
    block_starts: Integers

    @classmethod
    def of(cls, data: TrainingData, tasks: Sequence[str] = ("gwas", "biobank")) -> Evidence:
        """Gather the links of trait tasks."""
        chosen = [task for task in data.tasks if task.name in tasks]
        left = np.concatenate([np.empty(0, np.int64), *(task.left for task in chosen)])
        snps = np.concatenate([np.empty(0, np.int64), *(task.right for task in chosen)])
        numbers, texts = np.unique(left, return_inverse=True)
        inside = data.snp_blocks[snps] >= 0
        snp_texts, snp_starts = _lists(snps, texts, len(data.snps))
        block_texts, block_starts = _lists(data.snp_blocks[snps][inside], texts[inside], data.n_blocks)
        return cls([data.texts[n] for n in numbers], data.snps, snp_texts, snp_starts, data.snp_blocks, block_texts, block_starts)

    @cached_property
    def snp_rows(self) -> dict[str, int]:
        return {snp: row for row, snp in enumerate(self.snps)}

    @property
    def snp_degrees(self) -> Integers:
        """Number of texts of each SNP."""
        return np.diff(self.snp_starts)

    @property
    def text_degrees(self) -> Integers:
        """Number of SNPs of each text."""
        return np.bincount(self.snp_texts, minlength=len(self.texts))

    def save(self, folder: Path) -> None:
        """Write evidence.npz and evidence.json."""
        arrays = {name: getattr(self, name) for name in _EVIDENCE_ARRAYS}
        np.savez(folder / "evidence.npz", **{name: array.astype(np.int32) for name, array in arrays.items()})
        document = {"texts": list(self.texts), "snps": list(self.snps)}
        (folder / "evidence.json").write_text(json.dumps(document, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Evidence | None:
        """Read them back; None where the model was saved without.

        Raises:
            ModelError: The two do not fit each other.
        """
        if not (folder / "evidence.json").exists():
            return None
        document = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
        with np.load(folder / "evidence.npz") as archive:
            arrays = {name: archive[name].astype(np.int64) for name in _EVIDENCE_ARRAYS}
        if len(arrays["blocks"]) != len(document["snps"]) or arrays["snp_texts"].max(initial=-1) >= len(document["texts"]):
            raise ModelError(f"{folder}: evidence.npz and evidence.json do not fit each other", advice="Train again: kgbuild train")
        return cls(texts=document["texts"], snps=document["snps"], **arrays)


_EVIDENCE_ARRAYS = ("snp_texts", "snp_starts", "blocks", "block_texts", "block_starts")


def _lists(owners: Integers, members: Integers, n_owners: int) -> tuple[Integers, Integers]:
    """Sort (owner, member) pairs into one list of distinct members per owner, and give where each begins."""
    width = int(members.max(initial=0)) + 1
    owner, member = np.divmod(np.unique(owners * width + members), width)
    return member, np.searchsorted(owner, np.arange(n_owners + 1))
