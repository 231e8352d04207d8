"""The cache: every text is encoded once, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from embedder import HashedNgramEncoder
from embedder.encoder import Progress
from kgbuild import vectors
from kgbuild.errors import ModelError
from kgbuild.vectors import VectorCache, encode_texts


class Counting(HashedNgramEncoder):
    """An encoder that remembers what it was asked."""

    def __init__(self, dimension: int = 32) -> None:
        super().__init__(dimension)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> npt.NDArray[np.float32]:
        self.asked += texts
        return super().encode(texts, progress=progress)


def test_each_text_is_encoded_once_and_rows_come_in_order(tmp_path: Path) -> None:
    encoder, plain = Counting(), HashedNgramEncoder(32)
    first = encode_texts(["b", "asthma", "b"], encoder, VectorCache(tmp_path))
    second = encode_texts(["gout", "b", "asthma"], encoder, VectorCache(tmp_path))
    assert sorted(encoder.asked) == ["asthma", "b", "gout"]
    np.testing.assert_allclose(first, plain.encode(["b", "asthma", "b"]), atol=2e-3)
    np.testing.assert_allclose(second, plain.encode(["gout", "b", "asthma"]), atol=2e-3)
    assert np.array_equal(first[0], second[1])


def test_fresh_and_cached_vectors_are_bit_for_bit_the_same(tmp_path: Path) -> None:
    texts = ["asthma", "café", "", "🫀\t\u202e"]
    cache = VectorCache(tmp_path)
    without, fresh, cached = (encode_texts(texts, HashedNgramEncoder(32), kept) for kept in (None, cache, cache))
    assert np.array_equal(without, fresh)
    assert np.array_equal(fresh, cached)


def test_no_texts_give_no_rows(tmp_path: Path) -> None:
    assert encode_texts([], HashedNgramEncoder(32), VectorCache(tmp_path)).shape == (0, 32)
    assert encode_texts([], HashedNgramEncoder(32), None).shape == (0, 32)


def test_encoders_of_another_key_do_not_share_vectors(tmp_path: Path) -> None:
    cache, small, large = VectorCache(tmp_path), Counting(32), Counting(64)
    encode_texts(["asthma"], small, cache)
    encode_texts(["asthma"], large, cache)
    assert (small.asked, large.asked, len(list(tmp_path.iterdir()))) == (["asthma"], ["asthma"], 2)


def test_vectors_of_an_encoder_that_is_gone_are_removed(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    encoder = HashedNgramEncoder()
    encode_texts(["asthma"], encoder, cache)
    cache.forget(encoder.key)
    assert list(tmp_path.iterdir()) == []
    assert encode_texts(["asthma"], encoder, cache).shape == (1, encoder.dimension)


def test_a_killed_write_is_passed_over(tmp_path: Path) -> None:
    encoder = Counting()
    encode_texts(["asthma"], encoder, VectorCache(tmp_path))
    (tmp_path / encoder.key / "0123.99.part").write_bytes(b"half a shard")
    encode_texts(["asthma"], encoder, VectorCache(tmp_path))
    assert encoder.asked == ["asthma"]


def test_a_damaged_shard_says_which_file_to_delete(tmp_path: Path) -> None:
    encoder = Counting()
    encode_texts(["asthma"], encoder, VectorCache(tmp_path))
    shard = next((tmp_path / encoder.key).glob("*.npy"))
    shard.write_bytes(shard.read_bytes()[:90])
    with pytest.raises(ModelError, match=rf"{shard.name} is damaged .*\n  Delete this file"):
        encode_texts(["asthma"], encoder, VectorCache(tmp_path))


def test_many_shards_become_one(tmp_path: Path) -> None:
    encoder = Counting()
    texts = [f"text {number}" for number in range(vectors.MANY_SHARDS + 2)]
    cache = VectorCache(tmp_path)
    expected = np.concatenate([encode_texts([text], encoder, cache) for text in texts])
    assert np.array_equal(encode_texts(texts, encoder, VectorCache(tmp_path)), expected)
    assert len(list((tmp_path / encoder.key).iterdir())) == 1
    assert len(encoder.asked) == len(texts)


def test_an_encoder_that_gives_no_numbers_is_named(tmp_path: Path) -> None:
    class Broken(HashedNgramEncoder):
        def encode(self, texts: Sequence[str], *, progress: Progress | None = None) -> npt.NDArray[np.float32]:
            return np.full((len(texts), self.dimension), np.nan, dtype=np.float32)

    with pytest.raises(ModelError, match="the encoder 'hashed' gives no numbers for 'asthma'"):
        encode_texts(["asthma"], Broken(), VectorCache(tmp_path))
