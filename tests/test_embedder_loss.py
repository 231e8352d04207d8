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


def test_with_weights_one_no_mask_and_one_direction_it_is_multiple_negatives_ranking() -> None:
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from torch.nn.functional import normalize

    from embedder.loss import weighted_info_nce

    torch.manual_seed(2)
    left, right = torch.randn(32, 16), torch.randn(32, 16)
    theirs = MultipleNegativesRankingLoss(None, scale=20.0).compute_loss_from_embeddings([left, right], None)
    for normalised in (False, True):
        ours = weighted_info_nce(
            normalize(left, dim=1),
            normalize(right, dim=1),
            weight=torch.ones(32),
            scale=torch.tensor(20.0),
            symmetric=False,
            normalise=normalised,
        )
        assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_the_ranking_term_equals_the_slow_version() -> None:
    import torch
    from torch.nn.functional import normalize

    from embedder.loss import LEAST_GAP, ranking_loss

    torch.manual_seed(3)
    left, right = normalize(torch.randn(8, 5), dim=1), normalize(torch.randn(8, 5), dim=1)
    weight, group = torch.rand(8) * 2, torch.tensor([0, 0, 0, 1, 1, 2, 2, 3])
    cosine = (left * right).sum(dim=1).tolist()
    couples = [(i, j) for i in range(8) for j in range(8) if group[i] == group[j] and float(weight[i] - weight[j]) > LEAST_GAP]
    slow = sum(math.log1p(math.exp(-5 * (cosine[i] - cosine[j]))) for i, j in couples) / len(couples)
    fast = ranking_loss(left, right, weight=weight, group=group, scale=torch.tensor(5.0))
    assert float(fast) == pytest.approx(slow, rel=1e-5)
    assert float(ranking_loss(left, right, weight=torch.ones(8), group=group, scale=torch.tensor(5.0))) == 0.0
