"""Training: it learns, it repeats itself, it masks what is known, and it says what is wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data

from embedder import PRESETS, Task, TrainingData, TrainingError, TrainingSettings


def test_training_data_name_every_misfit() -> None:
    data = little_data()
    bad = replace(data, snp_blocks=np.zeros(3, dtype=np.int64), tasks=[replace(data.tasks[0], left=data.tasks[0].left + 99)])
    with pytest.raises(TrainingError, match=r"24 SNPs have 3 blocks; gwas: a text number is outside 0\.\.15"):
        bad.check()


@pytest.mark.parametrize("weight", [0.0, 2.5, float("nan"), -1.0])
def test_a_weight_outside_its_range_is_refused(weight: float) -> None:
    data = little_data()
    weights = data.tasks[0].weight.copy()
    weights[3] = weight
    with pytest.raises(TrainingError, match=rf"gwas: 1 weights are outside \(0, 2\], the first is {weight:g}"):
        replace(data, tasks=[replace(data.tasks[0], weight=weights)]).check()


def test_a_task_without_pairs_is_refused() -> None:
    data = little_data()
    with pytest.raises(TrainingError, match="synonyms: there is not one pair"):
        replace(data, tasks=[data.tasks[0], data.tasks[1].part(np.empty(0, np.int64))]).check()


def test_settings_refuse_what_cannot_be() -> None:
    with pytest.raises(TrainingError, match="epochs is 0, expected more than 0"):
        TrainingSettings(epochs=0)


@pytest.mark.slow
def test_training_puts_each_snp_next_to_its_trait_and_a_snp_without_pairs_next_to_its_block() -> None:
    from embedder import train

    data = little_data()
    lm = ENCODER.encode(data.texts)
    model = train(data, lm, SMALL, encoder=ENCODER)
    cosines = model.text_vectors(lm, data.texts)[:8] @ np.asarray(model.snp_vectors, dtype=np.float32).T
    assert list(model.snp_ids) == list(data.snps)
    assert (cosines.argmax(axis=0) == np.arange(24) % 8).all()


@pytest.mark.slow
def test_one_seed_gives_one_model_and_another_seed_another(tmp_path: Path) -> None:
    from embedder import train

    data = little_data()
    lm = ENCODER.encode(data.texts)
    first, again, other = (train(data, lm, replace(SMALL, epochs=2, seed=seed), encoder=ENCODER) for seed in (1, 1, 2))
    assert np.array_equal(first.snp_vectors, again.snp_vectors)
    assert all(np.array_equal(first.projection[name], again.projection[name]) for name in first.projection)
    assert not np.array_equal(first.snp_vectors, other.snp_vectors)


@pytest.mark.slow
def test_the_paper_preset_has_neither_residuals_nor_blocks() -> None:
    from embedder import train

    data = little_data()
    model = train(data, ENCODER.encode(data.texts), replace(PRESETS["paper"], mode="frozen", dimension=32, epochs=1), encoder=ENCODER)
    assert (sorted(model.projection), model.residual_vectors, len(model.snp_ids)) == (["bias", "weight"], None, 23)


@pytest.mark.slow
def test_metrics_are_lines_of_json_with_the_loss_of_each_task(tmp_path: Path) -> None:
    from embedder import train

    seen: list[tuple[str, int, int]] = []
    data = little_data()
    train(
        data,
        ENCODER.encode(data.texts),
        replace(SMALL, epochs=2),
        encoder=ENCODER,
        metrics_path=tmp_path / "m.jsonl",
        progress=lambda *a: seen.append(a),
    )
    lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
    assert lines[-1]["pairs"] == 2 * data.n_pairs == seen[-1][1] == seen[-1][2]
    assert {task for line in lines for task in line["loss"]} == {"gwas", "synonyms"}
    assert seen[0][0].startswith("train: ")


@pytest.mark.slow
def test_a_loss_that_is_no_number_stops_and_names_the_task() -> None:
    from embedder import train

    data = little_data()
    lm = ENCODER.encode(data.texts)
    lm[3] = np.nan
    with pytest.raises(TrainingError, match=r"the loss of the task '(gwas|synonyms)' is nan"):
        train(data, lm, SMALL, encoder=ENCODER)


@pytest.mark.slow
def test_training_stops_in_time() -> None:
    from embedder import train

    data = little_data()
    model = train(data, ENCODER.encode(data.texts), replace(SMALL, epochs=10_000, max_seconds=0.2), encoder=ENCODER)
    assert model.description["finished"] is False


@pytest.mark.slow
def test_row_wise_adam_moves_rows_as_dense_adam_moves_a_table_of_those_rows_alone() -> None:
    import torch

    from embedder.model import RowTable

    table = RowTable(5, 3, rate=0.1, spread=1.0, generator=torch.Generator().manual_seed(0))
    start = table.rows.clone()
    dense = {row: torch.nn.Parameter(start[row].clone()) for row in range(5)}
    optimisers = {row: torch.optim.Adam([dense[row]], lr=0.1) for row in range(5)}
    for touched in ([0, 3], [3], [3, 4], [0, 3]):
        gradient = torch.stack([dense[row].detach() * (row + 1) for row in touched])
        table.step(torch.tensor(touched), gradient)
        for row, one in zip(touched, gradient, strict=True):
            dense[row].grad = one.clone()
            optimisers[row].step()
    torch.testing.assert_close(table.rows, torch.stack([dense[row].detach() for row in range(5)]))
    assert table.steps.tolist() == [2, 0, 0, 4, 1]


def graded() -> TrainingData:
    """Eight traits with twelve SNPs each, whose weights fall from 2."""
    snps = np.arange(96)
    weight = (2 - 0.15 * (snps // 8)).astype(np.float32)
    task = Task("gwas", snps % 8, snps, weight, "text", "snp")
    return TrainingData([f"trait {chr(97 + i) * 5}" for i in range(8)], [f"rs{i}" for i in snps], np.full(96, -1), [task])


@pytest.mark.slow
def test_the_ranking_term_parts_the_strong_snps_of_a_trait_from_the_weak_ones() -> None:
    from embedder import train

    data = graded()
    lm = ENCODER.encode(data.texts)

    def gap(settings: TrainingSettings) -> float:
        model = train(data, lm, settings, encoder=ENCODER)
        cosines = model.text_vectors(lm) @ np.asarray(model.snp_vectors, dtype=np.float32).T
        return float(np.mean([cosines[trait, trait] - cosines[trait, 88 + trait] for trait in range(8)]))

    plain = replace(SMALL, residuals=False, epochs=20)
    assert gap(replace(plain, ranking=1.0, run_length=4)) > 1.5 * gap(plain)


@pytest.mark.slow
def test_tasks_learn_their_own_temperatures_or_share_one() -> None:
    from embedder import train

    data = little_data()
    lm = ENCODER.encode(data.texts)
    own, common = (
        train(data, lm, replace(SMALL, epochs=5, temperature=kind), encoder=ENCODER).description["scales"] for kind in ("task", "common")
    )
    assert (len(set(own.values())), len(set(common.values()))) == (2, 1)


@pytest.mark.slow
def test_a_snp_known_by_its_block_alone_is_marked() -> None:
    from embedder import train

    data = little_data()
    model = train(data, ENCODER.encode(data.texts), replace(SMALL, epochs=2), encoder=ENCODER)
    assert np.flatnonzero(model.snp_by_block).tolist() == [23]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "last-0"}, "mode is 'last-0', expected frozen, full, or last-1"),
        ({"temperature": "none"}, "temperature is 'none', expected task or common"),
        ({"ranking": -1.0}, "ranking is -1.0, expected 0 or more"),
        ({"lm_rate": float("nan")}, "lm_rate is nan, expected more than 0"),
        ({"development": 1.0}, "development is 1.0, expected at least 0 and less than 1"),
    ],
)
def test_a_setting_that_cannot_be_is_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=re.escape(message)):
        replace(PRESETS["default"], **change)
