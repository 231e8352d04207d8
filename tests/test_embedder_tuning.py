"""Training the language model: the same gradients however a batch is read, and a model that others can read too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data, write_tiny_bert

from embedder import Encoder, EncoderSpec, Model, TextEncoder, TrainingError, TrainingSettings, open_encoder

pytestmark = pytest.mark.slow

DATA = little_data()
TUNED = replace(SMALL, mode="full", epochs=2, lm_rate=1e-3)


@pytest.fixture(scope="module", params=["mean", "cls"])
def bert(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return open_encoder(EncoderSpec(str(write_tiny_bert(tmp_path_factory.mktemp("bert"))), request.param, "fp32", 32))


def tuned(bert: TextEncoder, *, bf16: bool = False, **changes: Any) -> Any:
    import torch

    from embedder.language_model import TunedTexts

    return TunedTexts(bert, DATA.texts, replace(TUNED, **changes), device=torch.device("cpu"), bf16=bf16)


def gradients(texts: Any) -> dict[str, np.ndarray]:
    """Read some texts, let the first two attract each other and repel the rest, and give the gradients."""
    ids = np.array([0, 2, 3, 9, 15])
    texts.prepare(ids, 7)
    vectors = texts.vectors(ids)
    ((vectors[0] * vectors[1]).sum() - (vectors[0] @ vectors[2:].T).logsumexp(0)).backward()
    texts.backward()
    return {name: p.grad.float().numpy().copy() for name, p in texts.module.named_parameters() if p.grad is not None}


def assert_alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    largest = max(np.abs(gradient).max() for gradient in one.values())
    assert largest > 1e-5
    for name in one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-4 * largest, err_msg=name)


@pytest.mark.parametrize("chunk_tokens", [1, 24, 10_000])
def test_a_gradient_cache_gives_the_gradients_of_one_graph(bert: TextEncoder, chunk_tokens: int) -> None:
    assert_alike(gradients(tuned(bert)), gradients(tuned(bert, chunk_tokens=chunk_tokens)))


def test_a_gradient_cache_drops_out_what_one_graph_drops_out(bert: TextEncoder) -> None:
    plain, cached = tuned(bert, lm_dropout=0.3), tuned(bert, lm_dropout=0.3, chunk_tokens=10_000)
    assert_alike(gradients(plain), gradients(cached))
    none = gradients(tuned(bert))["encoder.layer.0.output.dense.weight"]
    assert np.abs(gradients(plain)["encoder.layer.0.output.dense.weight"] - none).max() > 0.1 * np.abs(none).max()


def test_texts_grouped_by_length_give_the_gradients_of_one_padded_batch(bert: TextEncoder) -> None:
    grouped, padded = tuned(bert), tuned(bert)
    padded._slack = 0.99  # one group, with padding and a mask, as on a GPU with less of it
    assert_alike(gradients(grouped), gradients(padded))


@pytest.mark.parametrize("chunk_tokens", [None, 24])
def test_bfloat16_gives_nearly_the_gradients_of_fp32(bert: TextEncoder, chunk_tokens: int | None) -> None:
    mean = open_encoder(replace(bert.spec, pooling="mean"))  # first tokens of a random model are all alike: their differences are noise
    exact, rounded = gradients(tuned(mean)), gradients(tuned(mean, bf16=True, chunk_tokens=chunk_tokens))
    one, other = (np.concatenate([found[name].ravel() for name in exact]) for found in (exact, rounded))
    assert float(one @ other / np.sqrt((one @ one) * (other @ other))) > 0.99


def test_in_bfloat16_small_steps_are_not_lost(bert: TextEncoder) -> None:
    from embedder.processes import Processes

    texts = tuned(bert, bf16=True, lm_rate=1e-6)
    before = texts.exact.encoder.layer[0].output.dense.weight.detach().clone()
    gradients(texts)
    texts.step(Processes())
    moved = (texts.exact.encoder.layer[0].output.dense.weight.detach() - before).abs()
    assert 1e-7 < float(moved.max()) < 2e-6  # bfloat16 alone would round a step of a millionth away


def test_all_of_the_model_is_trained_or_the_last_layers(bert: TextEncoder) -> None:
    def moved(mode: str) -> set[str]:
        gone = gradients(tuned(bert, mode=mode))
        return {".".join(name.split(".")[:3]) for name in gone}

    assert moved("last-1") == {"encoder.layer.1"}
    assert moved("last-2") == {"encoder.layer.0", "encoder.layer.1"}
    assert "embeddings.word_embeddings.weight" in moved("full")
    with pytest.raises(TrainingError, match="mode is 'last-3', and the model has 2 layers"):
        moved("last-3")


def test_n_grams_cannot_be_trained() -> None:
    from embedder import train

    with pytest.raises(TrainingError, match="the encoder 'hashed' has no layers to train"):
        train(DATA, None, TUNED, encoder=ENCODER)


@pytest.mark.parametrize("mode", ["full", "last-1"])
def test_a_trained_model_is_read_as_it_was_written_and_its_texts_are_not_the_old_ones(bert: TextEncoder, mode: str, tmp_path: Path) -> None:
    from embedder import train

    model = train(DATA, None, replace(TUNED, mode=mode, epochs=20), encoder=bert)
    model.save(tmp_path)
    space = Encoder.load(tmp_path)
    live = Encoder(model)
    assert (space.model.tuned, space.model.encoder_key) == (True, model.encoder_key)
    assert space.model.encoder_key != bert.key
    np.testing.assert_allclose(space.encode(DATA.texts), live.encode(DATA.texts), atol=1e-6)
    nearest = space.similarity(DATA.texts[:8], space.encode_variants(DATA.snps)).argmax(axis=0)
    assert (nearest == np.arange(24) % 8).all()
    assert (tmp_path / "README.md").read_text().count("was trained too") == 1


def test_a_tuned_run_that_stopped_is_resumed_to_the_bit(bert: TextEncoder, tmp_path: Path) -> None:
    from embedder import train

    def run(settings: TrainingSettings, folder: Path | None, resume: bool = False) -> Model:
        return train(DATA, None, settings, encoder=bert, checkpoints=folder, resume=resume)

    settings = replace(TUNED, lm_dropout=0.1)
    whole = run(settings, None)
    run(replace(settings, max_seconds=1e-9), tmp_path)
    resumed = run(settings, tmp_path, resume=True)
    assert resumed.encoder_key == whole.encoder_key  # a hash of the language model's weights
    assert np.array_equal(resumed.snp_vectors, whole.snp_vectors)


@pytest.mark.usefixtures("four_threads")
def test_several_threads_give_the_same_gradients_each_time(bert: TextEncoder) -> None:
    import torch

    from embedder.language_model import TunedTexts

    texts = [f"{left} {right} disease" for left in "abcdefghijklmnop" for right in "abcdefghijklmnop"]  # large enough to be shared out
    found = []
    for _ in range(2):
        opened = TunedTexts(bert, texts, TUNED, device=torch.device("cpu"), bf16=False)
        opened.prepare(np.arange(len(texts)), 7)
        vectors = opened.vectors(np.arange(len(texts)))
        (vectors @ vectors.T).logsumexp(1).sum().backward()  # type: ignore[no-untyped-call]
        opened.backward()
        found.append({name: p.grad.numpy().copy() for name, p in opened.module.named_parameters() if p.grad is not None})
    assert all(np.array_equal(gradient, found[1][name]) for name, gradient in found[0].items())


def test_a_gradient_cache_may_be_switched_on_when_a_run_is_resumed(bert: TextEncoder, tmp_path: Path) -> None:
    from embedder import train

    train(DATA, None, replace(TUNED, epochs=1), encoder=bert, checkpoints=tmp_path)
    model = train(DATA, None, replace(TUNED, chunk_tokens=16), encoder=bert, checkpoints=tmp_path, resume=True)
    whole = train(DATA, None, TUNED, encoder=bert)
    np.testing.assert_allclose(np.asarray(model.snp_vectors), np.asarray(whole.snp_vectors), atol=0.05)
