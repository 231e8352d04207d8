"""The stage `train` with a method that trains: killed and resumed, out of time, estimated."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from little_training import write_tiny_bert

from embedder import CheckpointError, Encoder, Model
from kgbuild import configuration as configurations
from kgbuild import pipeline
from kgbuild.errors import UsageError
from kgbuild.workspace import Workspace

pytestmark = pytest.mark.slow

# a processor's probe may choose another precision each time, and sums depend on the number of threads: both are fixed here
SCRIPT = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import embedder
from kgbuild import pipeline
from kgbuild.workspace import Workspace
def watch(what, done, total):
    if how == "killed" and what.startswith("train") and done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
root, how = sys.argv[1:]
embedder.PRESETS["default"] = replace(embedder.PRESETS["default"], precision="fp32")
pipeline.train(Workspace.open(Path(root)), progress=watch, resume=how == "resumed")
"""


def train_as(how: str, workspace: Workspace) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(workspace.root), how], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    return done.returncode


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    """The tiny workspace with its tables, told to train."""
    root = tmp_path / "ws"
    shutil.copytree(finished.root, root)
    text = (root / "kgbuild.toml").read_text()
    (root / "kgbuild.toml").write_text(text.replace('method = "centroid"', 'method = "generel"\nepochs = 4'))
    return Workspace.open(root)


def configure(workspace: Workspace, line: str) -> None:
    path = workspace.configuration_path
    path.write_text(path.read_text().replace("epochs = 4", f"epochs = 4\n{line}"))


def test_a_killed_training_is_not_overwritten_unasked_and_resumed_gives_the_same_model(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace.open(Path(shutil.copytree(workspace.root, tmp_path / "other")))
    assert train_as("whole", other) == 0
    assert train_as("killed", workspace) == -signal.SIGKILL
    with pytest.raises(UsageError, match="holds a training that was killed"):
        pipeline.train(workspace)
    assert train_as("resumed", workspace) == 0
    one, whole = Model.load(workspace.folder("model")), Model.load(other.folder("model"))
    assert np.array_equal(one.snp_vectors, whole.snp_vectors)
    assert not (workspace.root / "training").exists()
    assert (workspace.folder("model") / "metrics.jsonl").exists()
    with pytest.raises(CheckpointError, match="there is nothing to resume"):
        pipeline.train(workspace, resume=True)


def test_a_training_out_of_time_gives_a_model_and_says_how_to_go_on(workspace: Workspace) -> None:
    configure(workspace, "max_seconds = 0.001")
    outcome = pipeline.train(workspace)[-1]
    assert outcome.notes == ["out of time: the model is what there was; `kgbuild train --resume` goes on"]
    assert Model.load(workspace.folder("model")).description["finished"] is False
    assert (workspace.root / "training" / "last.checkpoint").exists()
    path = workspace.configuration_path
    path.write_text(path.read_text().replace("max_seconds = 0.001\n", ""))
    assert pipeline.train(workspace, resume=True)[-1].notes == []


def test_an_estimate_trains_nothing(workspace: Workspace) -> None:
    before = sorted(path.name for path in workspace.root.iterdir())
    found = pipeline.estimate_training(workspace)
    assert found.pairs["gwas"] > 100
    assert sorted(path.name for path in workspace.root.iterdir()) == before


def test_the_card_names_data_licences_and_figures(workspace: Workspace) -> None:
    pipeline.train(workspace)
    card = (workspace.folder("model") / "README.md").read_text()
    described = json.loads((workspace.folder("model") / "model.json").read_text())
    assert described["sources"][0]["sha256"] in card
    assert "## How well it does" in card
    assert described["sources"][0]["licence"] in card


def test_a_method_without_checkpoints_has_nothing_to_resume_or_estimate(finished: Workspace) -> None:
    for ask in (lambda: pipeline.train(finished, resume=True), lambda: pipeline.estimate_training(finished)):
        with pytest.raises(UsageError, match=r"the method .centroid. (keeps no checkpoints|has no estimate)"):
            ask()


def test_a_language_model_that_was_trained_reads_the_texts_afterwards(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    write_tiny_bert(tmp_path / "bert")
    path = workspace.configuration_path
    text = (
        path.read_text().replace('model = "hashed"', f'model = "{tmp_path / "bert"}"').replace("epochs = 4", 'epochs = 1\nmode = "last-1"')
    )
    path.write_text(text.replace("[harmonise]\n", '[harmonise]\nspace = "model"\n'))
    assert pipeline.train(workspace)[-1].record.facts["encoder"].endswith(", trained too")
    model = Model.load(workspace.folder("model"))
    assert (workspace.root / "cache" / model.encoder_key).is_dir()
    assert pipeline.harmonise(workspace)[-1].ran
    pairs, scored = tmp_path / "pairs.tsv", tmp_path / "scored.tsv"
    pairs.write_text(f"left\tright\nasthma\t{model.snp_ids[0]}\n")
    pipeline.score(workspace, pairs, scored)
    space = Encoder(model)
    cosine = float(space.similarity(["asthma"], space.encode_variants(model.snp_ids[:1]))[0, 0])
    rows = list(csv.DictReader(scored.open(), delimiter="\t"))
    assert float(rows[0]["similarity"]) == pytest.approx(cosine, abs=1e-3)
    path.write_text(path.read_text().replace('mode = "last-1"', 'mode = "frozen"'))
    pipeline.train(workspace)
    assert not (workspace.root / "cache" / model.encoder_key).exists()  # nobody reads with that one any more


def test_the_precision_that_was_chosen_once_is_that_of_every_training(workspace: Workspace) -> None:
    configuration = configurations.load(workspace.configuration_path)
    chosen = pipeline._settings(workspace, configuration).precision
    path = workspace.cache_dir / "encoder.json"
    kept = json.loads(path.read_text())
    assert kept["training"] == {"precision": chosen}
    assert chosen in ("fp32", "bf16")
    other = {"fp32": "bf16", "bf16": "fp32"}[chosen]
    path.write_text(json.dumps({**kept, "training": {"precision": other}}))
    assert pipeline._settings(workspace, configuration).precision == other
