"""Two processes take the steps that one takes: started by torchrun, over gloo, on the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data, write_tiny_bert

from embedder import EncoderSpec, Model, TextEncoder, TrainingSettings, open_encoder, unit_rows

pytestmark = pytest.mark.slow

DATA = little_data(n_snps=60)
FROZEN = replace(SMALL, epochs=3, mask=True, symmetric=True, ranking=0.5, run_length=3, development=0.2)
TUNED = replace(SMALL, mode="full", epochs=2, lm_rate=1e-4, chunk_tokens=24)

SCRIPT = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_embedder_processes import go
from embedder import TrainingSettings
go(Path(sys.argv[1]), TrainingSettings(**json.loads(sys.argv[2])), Path(sys.argv[3]), resume=sys.argv[4] == "resume")
"""


def encoder_of(folder: Path) -> TextEncoder:
    return open_encoder(EncoderSpec(str(folder), "mean", "fp32", 32)) if (folder / "config.json").exists() else ENCODER


def go(base: Path, settings: TrainingSettings, out: Path, *, resume: bool = False) -> Model:
    import torch

    from embedder import train

    torch.set_num_threads(1)
    rank = os.environ.get("RANK", "0")
    (out / rank).mkdir(parents=True, exist_ok=True)
    model = train(DATA, None, settings, encoder=encoder_of(base), checkpoints=out, resume=resume, metrics_path=out / "metrics.jsonl")
    model.save(out / rank)
    return model


def together(base: Path, settings: TrainingSettings, out: Path, how: str = "anew") -> list[Model]:
    """Train in two processes; give what each of them has."""
    script = out / "script.py"
    out.mkdir(exist_ok=True)
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run([*command, str(base), json.dumps(asdict(settings)), str(out), how], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [Model.load(out / rank) for rank in ("0", "1")]


def assert_same(one: Model, other: Model) -> None:
    assert np.array_equal(one.snp_vectors, other.snp_vectors)
    assert all(np.array_equal(one.projection[name], other.projection[name]) for name in one.projection)


def assert_alike(one: Model, other: Model) -> None:
    """Compare cosines: where a gradient is nearly 0, Adam makes a whole step of a difference of rounding."""
    cosines = (unit_rows(one.snp_vectors) * unit_rows(other.snp_vectors)).sum(axis=1)
    assert float(cosines.min()) > 0.9999
    for name in one.projection:
        np.testing.assert_allclose(one.projection[name], other.projection[name], atol=2e-3)


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    first, second = together(tmp_path, FROZEN, tmp_path / "two")
    assert_same(first, second)
    assert_alike(first, go(tmp_path, FROZEN, tmp_path / "one"))


def test_two_processes_tune_a_language_model_as_one_does(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    write_tiny_bert(tmp_path / "bert")
    first, second = together(tmp_path / "bert", TUNED, tmp_path / "two")
    one = go(tmp_path / "bert", TUNED, tmp_path / "one")
    assert first.encoder_key == second.encoder_key
    assert_alike(first, one)
    mine, theirs = one.open_encoder().encode(DATA.texts), first.open_encoder().encode(DATA.texts)
    np.testing.assert_allclose(mine, theirs, atol=5e-3)


def test_what_one_process_began_two_can_finish(tmp_path: Path) -> None:
    go(tmp_path, replace(FROZEN, epochs=1), tmp_path / "both")
    first, _ = together(tmp_path, FROZEN, tmp_path / "both", "resume")
    assert_alike(first, go(tmp_path, FROZEN, tmp_path / "one"))
