"""Figures come from subjects that nothing was fitted on."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from little_tables import table
from small_terms import embed, organ_gold, organ_terms

from kgbuild.evaluation.mapping import (
    Calibrated,
    calibrate,
    calibration_error_by_chance,
    evaluate_links,
    expected_calibration_error,
    f1_by_relation,
    reliability_svg,
    split_gold,
)


def as_table(rows: list[dict[str, Any]]) -> pa.Table:
    return table("mappings", rows)


def test_rows_kept_for_evaluation_are_the_held_out_ones_and_their_twins_go() -> None:
    rows = organ_gold()
    kept = dict(rows[0], use="evaluate")
    twin = dict(rows[1], subject_label=rows[0]["subject_label"].upper(), subject_id="text:other")
    fit_rows, held = split_gold(as_table([kept, twin, *rows[2:]]))
    assert held["subject_id"].tolist() == [kept["subject_id"]]
    assert len(fit_rows) == len(rows) - 2


def test_without_such_rows_whole_components_are_held_out() -> None:
    fit_rows, held = split_gold(as_table(organ_gold()))
    assert 20 < len(held) < 200
    assert not set(fit_rows["object_id"]) & set(held["object_id"])


@pytest.fixture(scope="module")
def report() -> Calibrated:
    return calibrate(as_table(organ_gold()), table("xrefs", []), organ_terms(), embed, encoder="hashed", packaged=False)


def test_a_workspace_with_gold_gets_its_own_fit_and_figures_by_vocabulary_and_set(report: Calibrated) -> None:
    calibration, figures = report.calibration, report.figures
    assert calibration is not None
    assert calibration.encoder == "hashed"
    assert set(figures) == {"calibration", "fitted_on", "as_is", "a_fifth_without_answer"}
    assert set(figures["as_is"]["by_set"]) == {"curators 0", "curators 1"}
    assert figures["as_is"]["all"]["n"] == figures["as_is"]["by_vocabulary"]["text"]["n"]


def test_taking_the_answer_away_costs_hits(report: Calibrated) -> None:
    figures = report.figures
    as_is, without = figures["as_is"]["all"], figures["a_fifth_without_answer"]["all"]
    assert as_is["hits_at_1"] > 0.8
    assert without["hits_at_1"] < as_is["hits_at_1"] - 0.1
    assert as_is["hits_at_1"] <= as_is["mrr"] <= as_is["hits_at_10"]
    assert as_is["ece_interval"][0] <= as_is["ece_interval"][1]


def test_what_is_accepted_at_two_precisions_the_relation_and_the_candidate_sets_are_told(report: Calibrated) -> None:
    figures = report.figures["as_is"]["all"]
    assert figures["coverage_at_95%"] <= figures["coverage_at_90%"]
    assert figures["relations_said"] == f"exact {3 * figures['n'] // 4}, broad {figures['n'] // 4}, narrow 0"
    assert figures["relation_f1"] == figures["relation_f1_exact_broad"] > 0.9  # residual texts are the broad ones here
    assert figures["set_coverage"] >= 0.8
    assert figures["set_coverage"] <= figures["hits_at_10"]
    assert 0 < figures["set_size"] <= 10
    assert figures["n_same"] == figures["n"]
    assert 0 < figures["ece_same"] < 0.2


def test_a_term_that_cites_the_code_of_a_held_out_subject_counts_in_figures_of_their_own() -> None:
    rows = [dict(row, subject_id=f"icd10:{row['line']}", vocabulary="icd10") for row in organ_gold()]
    kept = [dict(row, use="evaluate") if row["line"] % 5 == 0 else row for row in rows]
    cites = [{"subject_id": row["object_id"], "predicate": "xref", "object_id": row["subject_id"], "source": "s"} for row in rows]
    figures = calibrate(as_table(kept), table("xrefs", cites), organ_terms(), embed, encoder="hashed", packaged=False).figures
    assert figures["with_cross_references"]["all"]["hits_at_1"] >= figures["as_is"]["all"]["hits_at_1"]
    assert figures["with_cross_references"]["all"]["brier"] < figures["as_is"]["all"]["brier"]


def test_a_relation_that_is_never_found_has_no_f1() -> None:
    said = np.array(["exact", "narrow"], dtype=object)
    assert f1_by_relation(said, said) == {"exact": 1.0, "broad": 0.0, "narrow": 1.0}


def test_without_a_calibration_there_are_hits_and_no_calibration_figures() -> None:
    figures = evaluate_links(pd.DataFrame(organ_gold()[:20]), organ_terms(), embed, None)["as_is"]
    known = {name for name, value in figures["all"].items() if value is not None}
    assert known == {"n", "hits_at_1", "hits_at_10", "mrr"}


def test_too_little_gold_leaves_another_encoder_uncalibrated() -> None:
    made = calibrate(as_table(organ_gold()[:40]), table("xrefs", []), organ_terms(), embed, encoder="hashed", packaged=False)
    assert (made.calibration, made.sets) == (None, None)
    assert made.figures["calibration"] == "uncalibrated"


def test_a_perfect_forecast_has_no_calibration_error_and_a_sure_wrong_one_all() -> None:
    assert expected_calibration_error(np.array([1.0, 0.0, 0.0, 1.0]), np.array([1, 0, 0, 1])) == 0
    assert expected_calibration_error(np.ones(4), np.zeros(4)) == 1


def test_probabilities_that_are_true_show_an_error_by_chance_where_subjects_are_few() -> None:
    assert calibration_error_by_chance(np.array([1.0, 0.0])) == 0
    assert calibration_error_by_chance(np.full(1, 0.5)) == 0.5
    half_normal = (2 / np.pi * 0.25 / 400) ** 0.5
    assert calibration_error_by_chance(np.full(400, 0.5)) == pytest.approx(half_normal, rel=0.1)


def test_the_reliability_plot_is_well_formed_and_has_a_dot_per_bin(report: Calibrated) -> None:
    figures = report.figures["as_is"]
    drawing = ElementTree.fromstring(reliability_svg(figures))
    assert len(drawing.findall(".//{*}circle")) == len(figures["reliability"])
