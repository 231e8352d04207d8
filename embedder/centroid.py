"""Pairs and text vectors in, a model out, without training: a SNP lies where the texts it is linked to lie.

The space is the encoder's own (the projection is the identity). The vector of a SNP is the weighted mean of the unit
vectors of its texts, plus a share of the mean over its LD block. Needs numpy only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from embedder.artifact import Model
from embedder.data import TrainingData
from embedder.encoder import TextEncoder, Vectors, unit_rows
from embedder.errors import TrainingError

__all__ = ["BLOCK_SHARE", "centroid_model", "centroids"]

BLOCK_SHARE = 0.5  # what a SNP takes of the mean of its LD block


def centroid_model(
    data: TrainingData,
    lm_vectors: npt.ArrayLike,
    *,
    encoder: TextEncoder,
    block_share: float = BLOCK_SHARE,
    description: dict[str, Any] | None = None,
) -> Model:
    """Place each SNP at the weighted mean of its texts; a SNP with neither texts nor a block that has some is left out.

    Raises:
        TrainingError: The data do not fit.
    """
    data.check()
    vectors = unit_rows(lm_vectors)
    if len(vectors) != len(data.texts):
        raise TrainingError(f"{len(data.texts)} texts have {len(vectors)} vectors", advice="Give one vector per text.")
    own, block = centroids(data, vectors)
    placed = unit_rows(own + block_share * _or_zero(block, data.snp_blocks))
    kept = np.flatnonzero(np.einsum("ij,ij->i", placed, placed) > 0)
    return Model(
        encoder_spec=encoder.spec,
        encoder_key=encoder.key,
        dimension=vectors.shape[1],
        method="centroid",
        projection={},
        snp_ids=[data.snps[row] for row in kept.tolist()],
        snp_vectors=placed[kept].astype(np.float16),
        snp_by_block=np.asarray(~own[kept].any(axis=1)),
        encoder=encoder,
        description={
            "settings": {"block_share": block_share},
            "pairs": {task.name: len(task) for task in data.tasks},
            **(description or {}),
        },
    )


def centroids(data: TrainingData, vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Give the weighted mean text of each SNP, and of each LD block over all its pairs; zeros where there is none."""
    own, weight = _sums(data, vectors)
    inside = np.flatnonzero(data.snp_blocks >= 0)
    blocks = np.zeros((data.n_blocks, own.shape[1]), dtype=np.float32)
    np.add.at(blocks, data.snp_blocks[inside], own[inside])
    totals = np.bincount(data.snp_blocks[inside], weights=weight[inside], minlength=data.n_blocks)
    own /= np.maximum(weight, 1e-12).astype(np.float32)[:, None]
    blocks /= np.maximum(totals, 1e-12).astype(np.float32)[:, None]
    return own, blocks


def _or_zero(rows: Vectors, ids: npt.NDArray[np.int64]) -> Vectors:
    """Take rows; zeros for -1."""
    return np.vstack([rows, np.zeros((1, rows.shape[1]), dtype=np.float32)])[ids]


def _sums(data: TrainingData, vectors: Vectors) -> tuple[Vectors, npt.NDArray[np.float64]]:
    """Add up, per SNP, weight times text vector over the pairs of all tasks, and the weights."""
    total = np.zeros((len(data.snps), vectors.shape[1]), dtype=np.float32)
    weights = np.zeros(len(data.snps))
    for task in data.tasks:
        sides = {task.left_kind: task.left, task.right_kind: task.right}
        if len(sides) < 2:  # both of one kind
            continue
        order = np.argsort(sides["snp"], kind="stable")
        snp, text, weight = sides["snp"][order], sides["text"][order], task.weight[order]
        weights += np.bincount(snp, weights=weight, minlength=len(data.snps))
        for start in range(0, len(order), 65536):  # a slice at a time: the gathered rows are the large thing
            part = slice(start, start + 65536)
            distinct, first = np.unique(snp[part], return_index=True)
            if len(distinct):
                total[distinct] += np.add.reduceat(vectors[text[part]] * weight[part, None], first, axis=0)
    return total, weights
