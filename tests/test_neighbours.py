"""The search is exact, its order stable, and a concept's best name speaks for it."""

from __future__ import annotations

import numpy as np
import pytest
from small_terms import names

from kgbuild import neighbours
from kgbuild.neighbours import Names, candidates, nearest


def random_units(n: int, d: int = 24, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def slowly(queries: np.ndarray, vectors: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-np.round(queries @ vectors.T, 6), axis=1, kind="stable")[:, :k]


def test_the_search_finds_what_sorting_everything_finds() -> None:
    queries, vectors = random_units(50), random_units(700, seed=1)
    indices, similarities = nearest(queries, vectors, 7)
    assert (indices == slowly(queries, vectors, 7)).all()
    assert np.allclose(similarities, np.take_along_axis(queries @ vectors.T, indices, axis=1), atol=1e-6)


def test_equal_cosines_come_in_the_order_of_the_names_even_beyond_the_cut() -> None:
    vectors = np.repeat(random_units(3), 100, axis=0)
    indices, _ = nearest(vectors[[0]], vectors, 5)
    assert indices.tolist() == [[0, 1, 2, 3, 4]]


def test_asking_for_more_than_there_is_gives_all_and_nothing_gives_nothing() -> None:
    assert nearest(random_units(2), random_units(3), 9)[0].shape == (2, 3)
    assert nearest(random_units(0), random_units(3), 2)[0].shape == (0, 2)
    assert nearest(random_units(2), random_units(0), 2)[0].shape == (2, 0)


@pytest.mark.slow
def test_bfloat16_proposals_lead_to_the_same_neighbours() -> None:
    queries, vectors = random_units(40), random_units(6000, seed=1)
    propose = neighbours._propose_by_torch(vectors)
    rows, cosines, sure = neighbours._rescored(queries, vectors, propose(queries, 60), 10, neighbours._COARSE_ERROR)
    assert sure.all()
    assert (rows == slowly(queries, vectors, 10)).all()
    assert cosines.dtype == np.float32


def test_a_term_counts_once_by_its_nearest_name() -> None:
    targets = names({"EFO:1": ["asthma", "bronchial asthma"], "EFO:2": ["diabetes mellitus"]})
    found = candidates(names({"text:1": ["Bronchial asthma"]}), targets, 2)
    best = found.iloc[0]
    assert (best["target"], targets.texts[best["target_name"]], bool(best["equal"])) == (0, "bronchial asthma", True)
    assert found["target"].tolist() == [0, 1]


def test_the_best_name_of_the_subject_decides() -> None:
    found = candidates(names({"icd10cm:J45": ["J45", "Asthma"]}), names({"EFO:1": ["asthma"]}), 3)
    assert found[["subject_name", "similarity"]].values.tolist() == [[1, 1.0]]


def test_a_term_with_a_hundred_names_does_not_crowd_out_the_others() -> None:
    targets = names({"EFO:1": [f"asthma type {n}" for n in range(100)], "EFO:2": ["gout"], "EFO:3": ["flu"]})
    assert set(candidates(names({"text:1": ["asthma"]}), targets, 3)["target"]) == {0, 1, 2}


def test_a_lexically_equal_name_is_a_candidate_wherever_it_stands() -> None:
    vectors = np.eye(4, dtype=np.float32)
    subject = Names(["text:1"], ["Crohn's disease"], np.array([0]), vectors[[0]])
    targets = Names(["EFO:1", "EFO:2", "EFO:3"], ["gout", "flu", "crohn disease"], np.arange(3), vectors[[0, 1, 2]])
    found = candidates(subject, targets, 1)
    assert found[["target", "equal"]].values.tolist() == [[0, False], [2, True]]
    assert len(candidates(subject, targets, 1, lexical=False)) == 1


def test_names_without_a_vector_each_are_refused() -> None:
    with pytest.raises(ValueError, match="2 texts, 1 owners and 1 vectors"):
        Names(["a"], ["x", "y"], np.array([0]), np.zeros((1, 2), np.float32))
