"""Two batches of unit vectors in, one number out: weighted InfoNCE with in-batch negatives, and a term for order within a group."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

__all__ = ["ranking_loss", "weighted_info_nce"]

LEAST_GAP = 0.1  # between the weights of two pairs whose order counts


def weighted_info_nce(
    left: torch.Tensor,
    right: torch.Tensor,
    *,
    weight: torch.Tensor,
    scale: torch.Tensor,
    known: torch.Tensor | None = None,
    symmetric: bool = True,
    normalise: bool = True,
) -> torch.Tensor:
    """Let each left row find its right row among those of the batch, and count what that costs by the pair's weight.

    The loss of pair i is ``logsumexp_j(scale left_i·right_j) - scale left_i·right_i``. As published: one direction, no
    mask, and the mean of weight times loss over the batch.

    Args:
        left: (n, d), unit rows.
        right: (n, d), unit rows; row i belongs to row i of `left`.
        weight: (n,), positive.
        scale: One over the temperature.
        known: (n, n) bool; true where right row j is known to go with left row i too, so that it is no negative.
            The diagonal does not matter.
        symmetric: Also let each right row find its left row, and take the mean of both.
        normalise: Divide by the sum of the weights instead of their number.
    """
    logits = scale * (left @ right.T).float()
    if known is not None:
        own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(known & ~own, float("-inf"))
    target = torch.arange(len(logits), device=logits.device)
    losses = functional.cross_entropy(logits, target, reduction="none")
    if symmetric:
        losses = (losses + functional.cross_entropy(logits.T, target, reduction="none")) / 2
    return (weight * losses).sum() / (weight.sum() if normalise else len(weight))


def ranking_loss(
    left: torch.Tensor, right: torch.Tensor, *, weight: torch.Tensor, group: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Let, of two pairs of one group, the one of the clearly larger weight have the larger cosine.

    The mean over all such couples of ``log(1 + exp(-scale (cosine_i - cosine_j)))``; 0 where there is none.

    Args:
        left: (n, d), unit rows.
        right: (n, d), unit rows; row i belongs to row i of `left`.
        weight: (n,).
        group: (n,) whose left side each pair has.
        scale: One over the temperature.
    """
    stronger, weaker = torch.nonzero((group[:, None] == group[None, :]) & (weight[:, None] - weight[None, :] > LEAST_GAP), as_tuple=True)
    cosines = (left * right).sum(dim=1).float()
    if not len(stronger):
        return cosines.sum() * 0.0
    return functional.softplus(-scale * (cosines.index_select(0, stronger) - cosines.index_select(0, weaker))).mean()
