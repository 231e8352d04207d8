"""A small network: what a sum cannot tell, and who comes first among rivals."""

from __future__ import annotations

import numpy as np

from kgbuild.network import Network, Rivals, fit_network


def test_hidden_units_tell_what_a_sum_cannot() -> None:
    random = np.random.default_rng(0)
    features = random.uniform(-1, 1, (4000, 2)).astype(np.float32)
    label = features[:, 0] * features[:, 1] > 0
    used = np.arange(4000) < 3000
    right = {n: ((fit_network(features, label, used, [0, 1], hidden=n)(features) > 0) == label)[~used].mean() for n in (0, 32)}
    assert right[0] < 0.6 < 0.8 < right[32]


def test_a_sum_is_what_it_says_and_columns_that_do_not_count_may_be_unknown() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(500, 3)).astype(np.float32)
    label = features[:, 2] + 0.1 * random.normal(size=500) > 0
    features[:, 1] = np.nan
    network = fit_network(features, label, np.ones(500, dtype=bool), [0, 2], hidden=0)
    assert network.direct[1] == 0.0
    slow = network.constant + features[:, 0] * network.direct[0] + features[:, 2] * network.direct[2]
    np.testing.assert_allclose(network(features), slow, atol=1e-4)
    assert ((network(features) > 0) == label).mean() > 0.9


def contest(n: int, random: np.random.Generator) -> tuple[Rivals, int]:
    """Give lists in which the first column says nothing of the own text among its rivals, and the second is larger for it."""
    size = 12
    features = random.normal(size=(n * size, 2)).astype(np.float32)
    features[:, 0] = 3.0
    features[::size, 1] += 2.0
    return Rivals(features, np.arange(0, n * size + 1, size), np.arange(n).astype(str)), size


def test_what_tells_a_pair_from_its_rivals_is_learnt_from_them() -> None:
    """Among drawn pairs the second column means nothing: without rivals the order at the top is chance."""
    random = np.random.default_rng(1)
    label = np.arange(20_000) % 20 == 0
    features = np.stack([np.where(label, 3.0, -3.0), random.normal(size=20_000)], axis=1).astype(np.float32)
    features[:, 0] += random.normal(size=20_000)
    rivals, _ = contest(300, random)
    judged, size = contest(300, random)

    def first(network: Network) -> float:
        return float((network(judged.features).reshape(-1, size).argmax(axis=1) == 0).mean())

    used = np.ones(len(label), dtype=bool)
    without, among = (fit_network(features, label, used, [0, 1], hidden=16, rivals=some) for some in (None, rivals))
    assert first(without) < 0.5 < 0.6 < first(among)
    # what the drawn pairs say stands
    assert ((among(features) > 0) == label).mean() > 0.98
    assert fit_network(features, label, used, [0, 1], hidden=16, rivals=rivals) == among


def test_some_of_the_lists_are_whole_lists() -> None:
    rivals = Rivals(np.arange(6, dtype=np.float32)[:, None], np.array([0, 3, 4, 6]), np.array(["a", "b", "c"]))
    part = rivals.part(np.array([True, False, True]))
    assert part.features[:, 0].tolist() == [0, 1, 2, 4, 5]
    assert (part.starts.tolist(), part.loci.tolist()) == ([0, 3, 5], ["a", "c"])
    assert part.table().tolist() == [[0, 1, 2], [3, 4, -1]]
