"""Candidates come from cosines, from rare words and from the hierarchy, each pair once and by its nearest names."""

from __future__ import annotations

import numpy as np
import pandas as pd
from small_terms import names, organ_terms, subjects, terms

from kgbuild.retrieval import retrieve, with_pairs


def found(text: str, right: dict[str, list[str]], depth: int, parents: tuple[tuple[str, str], ...] = ()) -> pd.DataFrame:
    targets = terms(right, parents=parents)
    pairs = retrieve(names({"text:1": [text]}), targets, depth)
    return pairs.assign(id=[targets.names.ids[row] for row in pairs["target"]])


def test_a_term_that_shares_a_rare_word_is_a_candidate_however_far_its_vector() -> None:
    right = {"EFO:1": ["disease of skin"], "EFO:2": ["very long name of a rare thing called pemphigus"]}
    pairs = found("disease, pemphigus", right, 1)
    assert pairs[["id", "near"]].values.tolist() == [["EFO:1", True], ["EFO:2", False]]


def test_the_parent_of_a_near_term_is_a_candidate() -> None:
    right = {"EFO:1": ["chilblain"], "EFO:2": ["disorder of integument"], "EFO:3": ["fracture"]}
    assert found("Chilblains", right, 1, (("EFO:1", "EFO:2"),))["id"].tolist() == ["EFO:1", "EFO:2"]


def test_each_pair_comes_once_with_the_highest_cosine_over_the_names_of_both_sides() -> None:
    left, right = names({"icd10cm:1": ["benign neoplasm, skin", "skin"], "icd10cm:2": ["injury of lung"]}), organ_terms()
    pairs = retrieve(left, right, 3)
    cosines = left.vectors @ right.names.vectors.T
    for row in pairs.itertuples():
        of_pair = cosines[left.owners == row.subject][:, right.names.owners == row.target]
        assert np.isclose(row.similarity, of_pair.max(), atol=1e-5)
    assert not pairs.duplicated(["subject", "target"]).any()
    assert pairs.equals(pairs.sort_values(["subject", "similarity", "target"], ascending=[True, False, True]))


def test_pairs_that_somebody_asks_for_are_added_and_marked() -> None:
    left, right = subjects({"icd10:J45": ("Asthma", "icd10")}), terms({"EFO:1": ["asthma"], "EFO:2": ["wheezing"]})
    wanted = pd.DataFrame({"subject_id": ["icd10:J45", "icd10:J46"], "object_id": ["EFO:2", "EFO:1"]})
    pairs = with_pairs(retrieve(left.names, right, 1), left.names, ["icd10:J45"], right.names, wanted)
    assert pairs[["target", "retrieved", "asked_for"]].values.tolist() == [[0, True, False], [1, False, True]]


def test_a_text_without_words_has_the_nearest_by_cosine_alone() -> None:
    pairs = retrieve(names({"text:1": ["!"]}), organ_terms(), 2)
    assert pairs["near"].sum() == 2


def test_any_word_may_be_asked_for() -> None:
    """The word that stands in for a vocabulary without words is no name: a row of nothing would be found."""
    pairs = found("Empty sella syndrome", {"EFO:1": ["asthma"], "EFO:2": ["sella turcica tumour"], "EFO:3": ["gout"]}, 1)
    assert "EFO:2" in pairs["id"].tolist()
    assert found("empty", {"EFO:1": ["asthma"]}, 1)["id"].tolist() == ["EFO:1"]
