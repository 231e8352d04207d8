"""Encoders: the contract that each must keep, the hashed n-grams, and transformers (a tiny random BERT made here)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from little_training import write_tiny_bert

from embedder import EncoderError, EncoderSpec, HashedNgramEncoder, TextEncoder, open_encoder, unit_rows

TEXTS = ["asthma", "Type 2 diabetes mellitus", "café ☕ \u202eabc", "", "asthma", "a " * 400]


def keeps_the_contract(encoder: TextEncoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (len(TEXTS), encoder.dimension)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(vectors[0], vectors[4], atol=1e-6)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], vectors, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimension)
    assert "auto" not in (encoder.spec.pooling, encoder.spec.precision)
    assert isinstance(encoder, TextEncoder)


def test_hashed_ngrams_keep_the_contract() -> None:
    keeps_the_contract(open_encoder(EncoderSpec("hashed")))


def test_hashed_ngrams_put_alike_names_together_whatever_their_case() -> None:
    same, near, far, other = unit_rows(
        HashedNgramEncoder().encode(["Type 2 diabetes", "type 2  diabetes", "type 1 diabetes", "schizophrenia"])
    )
    assert np.allclose(same, near)
    assert float(same @ near) > float(same @ far) > 0.5 > float(same @ other)


def test_hashed_ngrams_equal_a_slow_obvious_count() -> None:
    from embedder.encoder import _mix

    def slow(text: str) -> list[float]:
        vector = [0.0] * 64
        folded = f" {' '.join(text.lower().split())} "
        grams = [folded[i : i + n] for n in (3, 4, 5) for i in range(len(folded) - n + 1)]
        for gram in set(grams):
            hashed = np.array([len(gram)], dtype=np.uint64)
            for letter in gram:
                hashed = _mix(hashed ^ np.uint64(ord(letter)))
            value = int(_mix(hashed >> np.uint64(16))[0])
            vector[value % 64] += (1 if value >> 63 else -1) * (1 + float(np.log(grams.count(gram))))
        return vector

    texts = ["asthma", "banana banana", "x"]
    np.testing.assert_allclose(HashedNgramEncoder(64).encode(texts), [slow(text) for text in texts], atol=1e-5)


def test_hashed_ngrams_are_the_same_in_another_process_and_need_no_torch() -> None:
    code = (
        "import sys, hashlib, embedder; e = embedder.open_encoder(embedder.EncoderSpec('hashed'));"
        "print(e.key, hashlib.sha256(e.encode(['asthma']).tobytes()).hexdigest(), 'torch' in sys.modules)"
    )
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 1
    assert runs.pop().endswith("False\n")


def test_a_spec_says_what_is_wrong_with_it() -> None:
    with pytest.raises(EncoderError, match="pooling is 'max', expected one of auto, mean, cls"):
        EncoderSpec(pooling="max")


def test_batches_hold_texts_by_their_length_within_the_token_limit() -> None:
    from embedder.encoder import TOKENS_PER_BATCH, _batches

    lengths = [5] * 1000 + [3000, 7]
    batches = [[rows.tolist() for rows in batch] for batch in _batches(lengths)]
    assert sorted(row for batch in batches for rows in batch for row in rows) == list(range(len(lengths)))
    assert all(len({lengths[row] for row in rows}) == 1 for batch in batches for rows in batch)
    tokens = [sum(lengths[row] for rows in batch for row in rows) for batch in batches]
    assert tokens == [2045, 2045, 917, 3000]
    assert TOKENS_PER_BATCH == 2048


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_transformer_keeps_the_contract(tiny_bert: Path, pooling: str) -> None:
    keeps_the_contract(open_encoder(EncoderSpec(str(tiny_bert), pooling=pooling)))


@pytest.mark.slow
def test_batches_of_one_length_give_what_one_text_at_a_time_gives(tiny_bert: Path) -> None:
    encoder = open_encoder(EncoderSpec(str(tiny_bert), precision="fp32"))
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), alone, atol=1e-5)


@pytest.mark.slow
def test_pooling_is_read_off_the_model_and_is_part_of_the_key(tiny_bert: Path) -> None:
    plain = open_encoder(EncoderSpec(str(tiny_bert), precision="fp32"))
    mean = open_encoder(EncoderSpec(str(tiny_bert), pooling="mean", precision="fp32"))
    assert (plain.spec.pooling, mean.spec.pooling) == ("cls", "mean")
    assert plain.key != mean.key


@pytest.mark.slow
def test_a_missing_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EncoderError, match="holds no weights"):
        open_encoder(EncoderSpec(str(tmp_path)))


@pytest.mark.slow
def test_the_packaged_model_knows_that_two_names_of_a_disease_are_near() -> None:
    encoder = open_encoder(EncoderSpec("minilm", precision="fp32"))
    assert (encoder.spec.pooling, encoder.dimension) == ("mean", 384)
    heart, infarct, asthma = unit_rows(encoder.encode(["heart attack", "myocardial infarction", "asthma"]))
    assert float(heart @ infarct) > float(heart @ asthma) + 0.1


@pytest.mark.slow
def test_bfloat16_is_chosen_only_where_it_agrees() -> None:
    chosen = open_encoder(EncoderSpec("minilm", precision="auto"))
    exact = open_encoder(EncoderSpec("minilm", precision="fp32"))
    texts = ["type 2 diabetes mellitus", "asthma", "body mass index adjusted for smoking"]
    assert chosen.spec.precision in ("fp32", "bf16")
    assert (unit_rows(chosen.encode(texts)) * unit_rows(exact.encode(texts))).sum(axis=1).min() > 0.999


@pytest.mark.slow
def test_a_model_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(EncoderError, match="holds no tokenizer"):
        open_encoder(EncoderSpec(str(tmp_path)))
