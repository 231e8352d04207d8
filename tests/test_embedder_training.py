"""Training: it learns, it repeats itself, it masks what is known, and it says what is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data

from embedder import PRESETS, Task, TrainingError, TrainingSettings


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


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mask_is_true_exactly_where_groups_are_known_to_go_together(seed: int) -> None:
    from embedder.negatives import KnownPositives

    random = np.random.default_rng(seed)
    left, right = random.integers(0, 6, 40), random.integers(0, 9 if seed else 3, 40)
    task = Task("gwas", left, right, np.ones(40, dtype=np.float32), "text", "snp", left_group=left // 2, right_group=None)
    rows = random.permutation(40)[:13]
    known = {(int(a) // 2, int(b)) for a, b in zip(left, right, strict=True)}
    expected = [[(int(left[i]) // 2, int(right[j])) in known for j in rows] for i in rows]
    assert KnownPositives(task).mask(rows).tolist() == expected
