"""Training from a folder: what is written is what is read, and a model comes of it in one process or two."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from little_training import little_data

from embedder import Encoder, TrainingData, TrainingError


def test_training_data_are_read_as_they_were_written(tmp_path: Path) -> None:
    from dataclasses import replace

    data = little_data()
    data = replace(data, tasks=[replace(data.tasks[0], left_kin=np.array([[0, 1]])), data.tasks[1]])
    data.save(tmp_path)
    read = TrainingData.load(tmp_path)
    assert (list(read.texts), list(read.snps), read.snp_blocks.tolist()) == (list(data.texts), list(data.snps), data.snp_blocks.tolist())
    for task, other in zip(data.tasks, read.tasks, strict=True):
        assert {k: np.asarray(v).tolist() for k, v in vars(task).items()} == {k: np.asarray(v).tolist() for k, v in vars(other).items()}


def test_a_folder_without_training_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no training data that can be read"):
        TrainingData.load(tmp_path)


@pytest.mark.slow
def test_two_processes_write_one_model(tmp_path: Path) -> None:
    little_data().save(tmp_path / "data")
    command = ["-m", "embedder", "train", str(tmp_path / "data"), str(tmp_path / "model"), "--encoder", "hashed", "--set", "epochs=2"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, *command], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("62 of 62") == 1  # one of the two speaks
    assert Encoder.load(tmp_path / "model").knows(["rs1", "rs99"]).tolist() == [True, False]
    assert not (tmp_path / "model.run").exists()


@pytest.mark.slow
def test_a_setting_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from embedder.__main__ import main

    assert main(["train", str(tmp_path), str(tmp_path), "--set", "epoch=2"]) == 1
    assert "no setting is called 'epoch'" in capsys.readouterr().err


@pytest.mark.slow
def test_an_estimate_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from embedder.__main__ import main

    little_data().save(tmp_path)
    assert main(["estimate", str(tmp_path), "--encoder", "hashed"]) == 0
    assert "steps      8" in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_on_training_says_what_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import doctest

    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parent.parent / "docs" / "training.md"
    found = doctest.testfile(str(page), module_relative=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert (found.failed, found.attempted > 10) == (0, True)
