"""Words that change the meaning are seen, on either side and in either order."""

from __future__ import annotations

import pytest
from small_terms import subjects, terms

from kgbuild.features import FEATURES, NEVER_SAME, conflicts, measure
from kgbuild.neighbours import candidates


@pytest.mark.parametrize(
    ("left", "right", "axis"),
    [
        ("Type 1 diabetes", "type II diabetes mellitus", "number"),
        ("Crohn's disease", "ulcerative colitis", "bowel"),
        ("Hypothyroidism", "hyperthyroidism", "level"),
        ("HDL cholesterol", "LDL cholesterol", "lipoprotein"),
        ("Benign neoplasm of colon", "malignant neoplasm of colon", "malignancy"),
        ("Acute hepatitis", "Chronic hepatitis", "course"),
        ("Hepatitis B", "hepatitis C", "letter"),
        ("Systolic blood pressure", "diastolic blood pressure", "pressure"),
    ],
)
def test_near_misses_contradict_each_other_both_ways(left: str, right: str, axis: str) -> None:
    assert axis in conflicts(left, right)
    assert axis in conflicts(right, left)


@pytest.mark.parametrize(
    ("left", "right"), [("Asthma", "bronchial asthma"), ("diabetes", "type 2 diabetes"), ("Type 2 diabetes", "type II diabetes")]
)
def test_what_is_only_wider_or_spelled_otherwise_is_no_contradiction(left: str, right: str) -> None:
    assert conflicts(left, right) == ()


def measured(name: str, target: str) -> dict[str, float]:
    left, right = subjects({"text:1": (name, "text")}), terms({"EFO:1": [target]})
    return measure(candidates(left.names, right.names), left, right).iloc[0].to_dict()


def test_every_feature_is_measured_and_finite() -> None:
    found = measured("Other diseases of liver, NEC", "liver disease")
    assert tuple(found) == FEATURES
    assert all(value == value and abs(value) < 1e6 for value in found.values())


@pytest.mark.parametrize(
    ("names", "alone"),
    [
        ({"EFO:1": ["asthma"], "EFO:2": ["allergic asthma"]}, [True, False]),
        ({"EFO:1": ["asthma"], "EFO:2": ["wheezing", "asthma"]}, [False, False]),
        ({"EFO:1": ["bronchial disease", "asthma"]}, [False]),
    ],
)
def test_a_term_has_a_name_alone_where_it_is_its_preferred_one_and_no_other_term_has_it(
    names: dict[str, list[str]], alone: list[bool]
) -> None:
    left, right = subjects({"text:1": ("Asthma", "text")}), terms(names)
    pairs = candidates(left.names, right.names)
    found = measure(pairs, left, right)["alone"].to_numpy()[pairs["target"].argsort()]
    assert (found > 0).tolist() == alone


def test_equal_names_are_covered_whole() -> None:
    found = measured("Crohn's disease", "Crohn disease")
    assert [found[name] for name in ("equal", "exact", "subject_covered", "target_covered")] == pytest.approx([1, 0, 1, 1])


@pytest.mark.parametrize(
    ("name", "target", "feature"),
    [
        ("Other specified diabetes mellitus", "diabetes mellitus", "residual_subject"),
        ("Asthma (age of onset)", "asthma", "qualifiers_of_subject"),
        ("Waist circumference adjusted for BMI", "waist circumference", "qualifiers_of_subject"),
        ("Body height", "adult-onset body height adjusted for BMI", "qualifiers_of_target"),
        ("Type 1 diabetes", "type 2 diabetes", "number_conflict"),
    ],
)
def test_what_makes_two_names_differ_in_meaning_is_marked(name: str, target: str, feature: str) -> None:
    assert feature in NEVER_SAME
    assert measured(name, target)[feature] > 0


def test_a_parent_among_the_candidates_is_seen() -> None:
    right = terms(
        {"EFO:1": ["diabetes"], "EFO:2": ["diabetes type 2"], "EFO:3": ["diabetes type 2 in youth"]},
        parents=(("EFO:3", "EFO:2"), ("EFO:2", "EFO:1")),
    )
    left = subjects({"text:1": ("diabetes", "text")})
    pairs = candidates(left.names, right.names)
    found = measure(pairs, left, right).assign(target=pairs["target"]).set_index("target")
    assert found.loc[[0, 1, 2], "has_descendant"].tolist() == [1, 1, 0]
    assert found.loc[[0, 1, 2], "has_ancestor"].tolist() == [0, 1, 1]
    assert found.loc[0, "leaf"] == 0
