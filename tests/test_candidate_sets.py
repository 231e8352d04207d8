"""The right term is among the candidates of a set as often as the level says, whatever the probabilities are worth."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_terms import embed, organ_gold, organ_terms

from kgbuild import candidate_sets
from kgbuild.calibration import GoldPairs, gold_pairs
from kgbuild.candidate_sets import CandidateSets, fit_candidate_sets, right_and_size


@pytest.fixture(scope="module")
def gold() -> GoldPairs:
    return gold_pairs(pd.DataFrame(organ_gold()), organ_terms(), embed)


def some_probabilities(gold: GoldPairs, seed: int) -> np.ndarray:
    """Probabilities that know little: the cosine with noise."""
    noise = np.random.default_rng(seed).normal(0, 0.1, len(gold.pairs))
    return np.clip(gold.pairs["similarity"].to_numpy() + noise, 0.001, 1)


def test_sets_of_poor_probabilities_hold_the_right_term_as_often_but_are_larger(gold: GoldPairs) -> None:
    found = {}
    for name, p in (("poor", some_probabilities(gold, 1)), ("good", gold.pairs["right"].to_numpy() * 0.8 + 0.1)):
        sets = fit_candidate_sets(gold, p)
        right, size = right_and_size(gold, p, sets)
        found[name] = ((right > 0).mean(), size.mean())
    assert 0.9 <= found["poor"][0] < 0.91
    assert found["good"] == (1.0, 1.0)
    assert found["poor"][1] > 2


def test_thresholds_hold_for_subjects_that_they_were_not_chosen_on(gold: GoldPairs) -> None:
    right, _ = right_and_size(gold, some_probabilities(gold, 2))
    share = [
        (right[half] >= candidate_sets._threshold(right[~half], np.ones((~half).sum()), 0.9)).mean()
        for half in (np.random.default_rng(seed).random(len(right)) < 0.5 for seed in range(40))
    ]
    assert 0.89 < np.mean(share) < 0.93


def test_where_the_right_term_is_too_seldom_found_every_candidate_is_in_the_set(gold: GoldPairs) -> None:
    p = np.where(gold.pairs["right"], 0.0, 0.5)  # the right term never comes first
    sets = fit_candidate_sets(gold, p)
    assert sets.thresholds[""] == 0.0
    assert sets.reached[""]["coverage"] == 0.0


def test_a_vocabulary_without_its_own_threshold_has_the_common_one_and_no_candidate_without_probability_is_in() -> None:
    sets = CandidateSets(0.9, {"": 0.2, "text": 0.5})
    vocabularies = np.array(["icd10", "text", "icd10", "icd10"], dtype=object)
    inside = sets.contains(np.array([0.3, 0.3, np.nan, 0.0]), vocabularies, np.zeros(4, bool))
    assert inside.tolist() == [True, False, False, False]


def test_the_first_candidate_is_in_its_set_in_any_case_and_alone_where_it_is_right_often_enough(gold: GoldPairs) -> None:
    sets = CandidateSets(0.9, {"": 0.2})
    assert sets.contains(np.array([0.01, 0.01]), np.array(["text", "text"], dtype=object), np.array([True, False])).tolist() == [
        True,
        False,
    ]
    fitted = fit_candidate_sets(gold, gold.pairs["right"].to_numpy() * 0.2 + 0.1)
    assert fitted.thresholds[""] == candidate_sets.CERTAIN
    assert fitted.reached[""]["size"] == 1.0


def test_what_is_written_reads_back_the_same(gold: GoldPairs, tmp_path: Path) -> None:
    sets = fit_candidate_sets(gold, some_probabilities(gold, 3))
    assert candidate_sets.read_candidate_sets(tmp_path) is None
    (tmp_path / candidate_sets.FILE).write_text(sets.to_json())
    assert candidate_sets.read_candidate_sets(tmp_path) == sets


def test_the_sets_that_ship_are_those_of_the_calibration_that_ships() -> None:
    sets = candidate_sets.default_candidate_sets()
    assert sets is not None
    shipped = Path(candidate_sets.__file__).parent / "data" / "calibration-minilm.json"
    assert sets.fitted_with == hashlib.sha256(shipped.read_bytes()).hexdigest()
    assert sets.level == 0.9
    assert {"", "finngen", "phecode", "text"} <= set(sets.thresholds)
    assert all(reached["coverage"] >= 0.9 or sets.thresholds[name] == 0 for name, reached in sets.reached.items())


def test_a_person_s_answers_are_marked_and_summed_up() -> None:
    answers = [
        {"subject_id": "text:a", "subject_label": "a", "object_id": "sssom:NoTermFound", "p_target": None},
        {"subject_id": "text:a", "subject_label": "a", "object_id": "EFO:1", "p_target": 0.3},
        {"subject_id": "text:a", "subject_label": "a", "object_id": "EFO:2", "p_target": 0.1},
        {"subject_id": "icd10:b", "subject_label": "b", "object_id": "EFO:1", "p_target": 0.1},
    ]
    sets = CandidateSets(0.9, {"": 0.2, "text": 0.05})
    marked = candidate_sets.marked(answers, sets)
    assert [answer["in_candidate_set"] for answer in marked] == [None, True, True, True]
    assert candidate_sets.summary(marked, sets, 2) == (
        "candidate sets, right term inside with 90% if there is one: 1.5 terms a text; of 1 there may be more than the 2 shown (--top)"
    )
