"""The loss against a slow, obvious version of it."""

from __future__ import annotations

import math

import pytest

pytestmark = pytest.mark.slow


def slow_info_nce(left, right, weight, scale, known, symmetric, normalise) -> float:  # type: ignore[no-untyped-def]
    n = len(left)
    cosine = [[sum(a * b for a, b in zip(left[i], right[j], strict=True)) for j in range(n)] for i in range(n)]

    def one(i: int, turned: bool) -> float:
        others = [j for j in range(n) if j == i or not (known[j][i] if turned else known[i][j])]
        logits = [scale * (cosine[j][i] if turned else cosine[i][j]) for j in others]
        return math.log(sum(math.exp(x) for x in logits)) - scale * cosine[i][i]

    losses = [(one(i, False) + one(i, True)) / 2 if symmetric else one(i, False) for i in range(n)]
    return sum(w * loss for w, loss in zip(weight, losses, strict=True)) / (sum(weight) if normalise else n)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_loss_equals_the_slow_version(symmetric: bool, normalise: bool) -> None:
    import torch
    from torch.nn.functional import normalize

    from embedder.loss import weighted_info_nce

    torch.manual_seed(1)
    left, right = normalize(torch.randn(6, 5), dim=1), normalize(torch.randn(6, 5), dim=1)
    weight, scale, known = torch.rand(6) * 2 + 0.01, torch.tensor(7.0), torch.rand(6, 6) < 0.3
    fast = weighted_info_nce(left, right, weight=weight, scale=scale, known=known, symmetric=symmetric, normalise=normalise)
    slow = slow_info_nce(left.tolist(), right.tolist(), weight.tolist(), 7.0, known.tolist(), symmetric, normalise)
    assert float(fast) == pytest.approx(slow, rel=1e-5)


def test_as_published_the_weight_multiplies_and_one_direction_counts() -> None:
    import torch

    from embedder.loss import weighted_info_nce

    left, right = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = weighted_info_nce(left, right, weight=torch.tensor([2.0, 0.5]), scale=torch.tensor(1.0), symmetric=False, normalise=False)
    assert float(loss) == pytest.approx((2.0 * math.log(2) + 0.5 * math.log(2)) / 2)


def test_a_pair_alone_costs_nothing() -> None:
    import torch

    from embedder.loss import weighted_info_nce

    loss = weighted_info_nce(
        torch.ones(1, 1), torch.ones(1, 1), weight=torch.ones(1), scale=torch.tensor(100.0), known=torch.ones(1, 1, dtype=torch.bool)
    )
    assert float(loss) == 0.0
