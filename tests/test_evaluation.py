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

from kgbuild.evaluation.mapping import calibrate, evaluate_links, expected_calibration_error, reliability_svg, split_gold


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
def report() -> tuple[Any, dict[str, Any]]:
    return calibrate(as_table(organ_gold()), table("xrefs", []), organ_terms(), embed, encoder="hashed", packaged=False)


def test_a_workspace_with_gold_gets_its_own_fit_and_figures_by_vocabulary_and_set(report: tuple[Any, dict[str, Any]]) -> None:
    calibration, figures = report
    assert calibration.encoder == "hashed"
    assert set(figures) == {"calibration", "fitted_on", "as_is", "a_fifth_without_answer"}
    assert set(figures["as_is"]["by_set"]) == {"curators 0", "curators 1"}
    assert figures["as_is"]["all"]["n"] == figures["as_is"]["by_vocabulary"]["text"]["n"]


def test_taking_the_answer_away_costs_hits(report: tuple[Any, dict[str, Any]]) -> None:
    _, figures = report
    as_is, without = figures["as_is"]["all"], figures["a_fifth_without_answer"]["all"]
    assert as_is["hits_at_1"] > 0.8
    assert without["hits_at_1"] < as_is["hits_at_1"] - 0.1
    assert as_is["hits_at_1"] <= as_is["mrr"] <= as_is["hits_at_10"]
    assert as_is["ece_interval"][0] <= as_is["ece_interval"][1]


def test_without_a_calibration_there_are_hits_and_no_calibration_figures() -> None:
    figures = evaluate_links(pd.DataFrame(organ_gold()[:20]), organ_terms(), embed, None)["as_is"]
    assert set(figures["all"]) == {"n", "hits_at_1", "hits_at_10", "mrr"}


def test_too_little_gold_leaves_another_encoder_uncalibrated() -> None:
    calibration, figures = calibrate(
        as_table(organ_gold()[:40]), table("xrefs", []), organ_terms(), embed, encoder="hashed", packaged=False
    )
    assert calibration is None
    assert figures["calibration"] == "uncalibrated"


def test_a_perfect_forecast_has_no_calibration_error_and_a_sure_wrong_one_all() -> None:
    assert expected_calibration_error(np.array([1.0, 0.0, 0.0, 1.0]), np.array([1, 0, 0, 1])) == 0
    assert expected_calibration_error(np.ones(4), np.zeros(4)) == 1


def test_the_reliability_plot_is_well_formed_and_has_a_dot_per_bin(report: tuple[Any, dict[str, Any]]) -> None:
    figures = report[1]["as_is"]
    drawing = ElementTree.fromstring(reliability_svg(figures))
    assert len(drawing.findall(".//{*}circle")) == len(figures["reliability"])
