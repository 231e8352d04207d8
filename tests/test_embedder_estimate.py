"""An estimate: sizes are counted exactly, memory and time are of the right order, and nothing is written."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data, write_tiny_bert

from embedder import EncoderSpec, TrainingData, open_encoder

pytestmark = pytest.mark.slow


def test_sizes_and_steps_are_counted(tmp_path: Path) -> None:
    from embedder import estimate

    found = estimate(little_data(), replace(SMALL, epochs=3), encoder=ENCODER, probe_seconds=0.1)
    assert (found.pairs, found.texts, found.snps, found.ld_blocks) == ({"gwas": 23, "synonyms": 8}, 16, 24, 8)
    assert found.steps == 3 * (2 + 1)
    assert (found.trained_weights["SNP table"], found.trained_weights["language model"]) == (24 * 32, 0)
    assert found.training_seconds == pytest.approx(3 * 31 / found.pairs_per_second)
    assert "pairs      31 (gwas 23, synonyms 8)" in found.text()


def test_the_time_is_of_the_order_of_what_training_takes() -> None:
    from embedder import estimate, train

    data, settings = little_data(8, 2000), replace(SMALL, epochs=4)
    found = estimate(data, settings, encoder=ENCODER, probe_seconds=1.0)
    started = time.perf_counter()
    train(data, ENCODER.encode(data.texts), settings, encoder=ENCODER)
    assert found.training_seconds == pytest.approx(time.perf_counter() - started, rel=1.5, abs=1.0)


def test_checkpoints_are_as_large_as_was_said(tmp_path: Path) -> None:
    from embedder import estimate, train

    (tmp_path / "bert").mkdir()
    encoder = open_encoder(EncoderSpec(str(write_tiny_bert(tmp_path / "bert")), "mean", "fp32", 32))
    for settings in (replace(SMALL, epochs=1), replace(SMALL, epochs=1, mode="full")):
        data = little_data(8, 4000)
        found = estimate(data, settings, encoder=encoder, probe_seconds=0.1)
        train(data, None, settings, encoder=encoder, checkpoints=tmp_path)
        assert (tmp_path / "last.checkpoint").stat().st_size == pytest.approx(found.checkpoint_bytes, rel=0.1)


def test_a_language_model_that_is_trained_needs_more_memory_and_a_gradient_cache_less(tmp_path: Path) -> None:
    from embedder import estimate

    encoder = open_encoder(EncoderSpec(str(write_tiny_bert(tmp_path)), "mean", "fp32", 32))
    random = np.random.default_rng(0)
    data: TrainingData = replace(little_data(), texts=["".join(random.choice(list("abc"), 30)) for _ in range(16)])
    settings = replace(SMALL, warm_start=False)
    frozen, full, cached = (
        estimate(data, replace(settings, mode=mode, chunk_tokens=chunk), encoder=encoder, probe_seconds=0.1).memory_bytes
        for mode, chunk in (("frozen", None), ("full", None), ("full", 32))
    )
    assert frozen < cached < full
