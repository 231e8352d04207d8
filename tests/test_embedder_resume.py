"""Runs that survive: killed, out of time, out of disk, or no longer getting better."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data

from embedder import CheckpointError, Model, TrainingError, TrainingSettings

pytestmark = pytest.mark.slow

SETTINGS = replace(SMALL, epochs=3, checkpoint_seconds=1e-9, mask=True)  # a checkpoint after every step
DATA = little_data(n_snps=120)

SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_embedder_resume import trained
folder, kill_at, resume = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "resume"
def watch(what, done, total):
    if kill_at and done >= kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
trained(folder, resume=resume, progress=watch).save(folder)
"""


def trained(folder: Path | None, *, settings: TrainingSettings = SETTINGS, resume: bool = False, progress=None) -> Model:  # type: ignore[no-untyped-def]
    from embedder import train

    metrics = folder / "metrics.jsonl" if folder else None
    vectors = ENCODER.encode(DATA.texts)
    return train(DATA, vectors, settings, encoder=ENCODER, checkpoints=folder, resume=resume, metrics_path=metrics, progress=progress)


def same(one: Model, other: Model) -> bool:
    arrays = [(one.snp_vectors, other.snp_vectors), (one.residual_vectors, other.residual_vectors)]
    arrays += [(one.projection[name], other.projection[name]) for name in one.projection]
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in arrays)


def lines(path: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in json.loads(line).items() if k != "pairs_per_second"} for line in path.read_text().splitlines()]


def run(folder: Path, kill_at: int, how: str) -> int:
    script = SCRIPT.format(tests=str(Path(__file__).parent))
    folder.mkdir(exist_ok=True)
    return subprocess.run([sys.executable, "-c", script, str(folder), str(kill_at), how], check=False).returncode


def test_a_run_that_was_killed_twice_and_resumed_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(whole, 0, "anew") == 0
    assert run(killed, 60, "anew") == -signal.SIGKILL  # in the first epoch
    assert run(killed, 200, "resume") == -signal.SIGKILL  # in the second
    assert not (killed / "model.json").exists()
    assert run(killed, 0, "resume") == 0
    assert same(Model.load(whole), Model.load(killed))
    assert lines(whole / "metrics.jsonl") == lines(killed / "metrics.jsonl")


@pytest.mark.usefixtures("four_threads")
def test_several_threads_end_with_the_same_bits_each_time() -> None:
    from embedder import train

    data = little_data(n_snps=300)
    settings = replace(SMALL, epochs=2, batch_size=256, dimension=256, ranking=0.1)  # gradients large enough to be shared out
    vectors = ENCODER.encode(data.texts)
    one, other = (train(data, vectors, settings, encoder=ENCODER) for _ in range(2))
    assert same(one, other)


def test_a_run_that_is_out_of_time_can_be_resumed(tmp_path: Path) -> None:
    stopped = trained(tmp_path, settings=replace(SETTINGS, max_seconds=1e-9))
    assert (stopped.description["finished"], stopped.description["stopped"]) == (False, "time")
    assert same(trained(tmp_path, resume=True), trained(None))


def test_a_finished_run_gives_its_model_again_and_more_epochs_go_on_from_there(tmp_path: Path) -> None:
    done = trained(tmp_path, settings=replace(SETTINGS, epochs=2))
    assert same(trained(tmp_path, settings=replace(SETTINGS, epochs=2), resume=True), done)
    assert same(trained(tmp_path, resume=True), trained(None))


def test_a_full_disk_is_named_and_the_last_good_checkpoint_stays(tmp_path: Path) -> None:
    trained(tmp_path, settings=replace(SETTINGS, epochs=1))
    before = (tmp_path / "last.checkpoint").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(CheckpointError, match=r"could not be written: .*(File too large|unexpected pos).*; the one before it is whole"):
            trained(tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "last.checkpoint").read_bytes() == before
    assert list(tmp_path.glob(".*.part")) == []
    assert same(trained(tmp_path, resume=True), trained(None))


def test_a_full_disk_is_named_where_only_a_line_of_figures_is_written(tmp_path: Path) -> None:
    trained(tmp_path, settings=replace(SETTINGS, epochs=1))
    before = (tmp_path / "last.checkpoint").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "metrics.jsonl").stat().st_size + 10, hard))
    try:
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl could not be written: .*File too large.*; the last checkpoint is whole"):
            trained(tmp_path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "last.checkpoint").read_bytes() == before


def test_what_cannot_be_resumed_says_why(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is nothing to resume"):
        trained(tmp_path, resume=True)
    trained(tmp_path, settings=replace(SETTINGS, epochs=1))
    with pytest.raises(CheckpointError, match="belongs to another training: seed was 20261121 and is 1"):
        trained(tmp_path, settings=replace(SETTINGS, seed=1), resume=True)
    content = (tmp_path / "last.checkpoint").read_bytes()
    (tmp_path / "last.checkpoint").write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"last\.checkpoint is damaged"):
        trained(tmp_path, resume=True)


def test_patience_stops_and_gives_the_best_epoch(tmp_path: Path) -> None:
    import torch

    settings = replace(SETTINGS, epochs=200, development=0.25, patience=2, checkpoint_seconds=1e9)
    model = trained(tmp_path, settings=settings)
    figures = [line["development"]["mean"] for line in lines(tmp_path / "metrics.jsonl") if "development" in line]  # type: ignore[index]
    assert (model.description["stopped"], model.description["finished"]) == ("no gain", True)
    assert len(figures) == int(np.argmax(figures)) + 3 < 200
    assert model.description["best_development"] == round(max(figures), 5)
    best = torch.load(tmp_path / "best.checkpoint", weights_only=True)
    assert np.array_equal(best["learner"]["heads"]["text.weight"].numpy(), model.projection["weight"])


def test_the_development_figure_is_the_same_for_a_resumed_run(tmp_path: Path) -> None:
    settings = replace(SETTINGS, development=0.25)
    trained(tmp_path, settings=replace(settings, epochs=1))
    trained(tmp_path, settings=settings, resume=True)
    resumed = lines(tmp_path / "metrics.jsonl")
    trained(tmp_path, settings=settings)
    assert resumed == lines(tmp_path / "metrics.jsonl")


def test_patience_without_pairs_to_judge_by_is_refused() -> None:
    with pytest.raises(TrainingError, match="patience is 3 but development is 0"):
        TrainingSettings(patience=3)


def test_curves_are_kept_for_tensorboard_where_it_is_installed(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(tmp_path, settings=replace(SETTINGS, epochs=2, development=0.2))
    curves = EventAccumulator(str(tmp_path / "tensorboard"))
    curves.Reload()
    names = {"loss/gwas", "loss/synonyms", "pairs_per_second", "development/gwas", "development/synonyms", "development/mean"}
    assert set(curves.Tags()["scalars"]) == names
    assert len(curves.Scalars("development/mean")) == 2
