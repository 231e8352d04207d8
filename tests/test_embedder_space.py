"""A folder as a library: texts and variants in, vectors and cosines out; and as a sentence-transformers model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from little_training import ENCODER, SMALL, little_data, write_tiny_bert

from embedder import Encoder, EncoderSpec, Model, Task, TrainingData, UnknownVariantError, centroid_model, open_encoder, unit_rows


@pytest.fixture
def space(tmp_path: Path) -> Encoder:
    """rs1 goes with asthma, rs2 with gout; rs3 has rs2's block and no pair; rs4 has neither."""
    pairs = Task("gwas", np.array([0, 1]), np.array([0, 1]), np.ones(2, dtype=np.float32), "text", "snp")
    data = TrainingData(["asthma", "gout"], [f"dbsnp:rs{n}" for n in (1, 2, 3, 4)], np.array([-1, 0, 0, -1]), [pairs])
    centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER).save(tmp_path)
    return Encoder(Model.load(tmp_path), ENCODER)


def test_texts_are_read_once_each_and_given_in_order(space: Encoder) -> None:
    vectors = space.encode(["gout", "asthma", "gout"])
    np.testing.assert_allclose(vectors, unit_rows(ENCODER.encode(["gout", "asthma", "gout"])), atol=1e-6)
    assert space.encode([]).shape == (0, 64)


def test_variants_are_found_with_and_without_their_prefix(space: Encoder) -> None:
    assert np.array_equal(space.encode_variants(["rs1", "rs2"]), space.encode_variants(["dbsnp:rs1", "dbsnp:rs2"]))
    assert space.knows(["rs1", "dbsnp:rs3", "rs4", "chebi:rs1"]).tolist() == [True, True, False, False]


def test_an_unknown_variant_is_an_error_or_masked_and_never_zeros(space: Encoder) -> None:
    with pytest.raises(UnknownVariantError, match="no vector of 1 of 2 variants, the first is 'rs4'"):
        space.encode_variants(["rs1", "rs4"])
    masked = space.encode_variants(["rs1", "rs4"], unknown="mask")
    assert isinstance(masked, np.ma.MaskedArray)
    assert masked.mask.all(axis=1).tolist() == [False, True]
    assert np.isnan(np.ma.getdata(masked)[1]).all()


def test_a_variant_known_by_its_block_alone_is_marked(space: Encoder) -> None:
    assert space.by_block(["rs1", "rs2", "rs3"]).tolist() == [False, False, True]


def test_similarity_is_the_cosine_of_texts_or_vectors(space: Encoder) -> None:
    found = space.similarity(["asthma", "gout"], space.encode_variants(["rs1", "rs2"]))
    assert found.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(found.diagonal(), 1.0, atol=1e-3)
    masked = space.similarity(["asthma"], space.encode_variants(["rs1", "rs4"], unknown="mask"))
    assert np.ma.getmaskarray(masked).tolist() == [[False, True]]


@pytest.mark.parametrize("call", ["encode", "encode_variants"])
def test_one_text_alone_is_not_taken_for_a_list_of_letters(space: Encoder, call: str) -> None:
    with pytest.raises(TypeError, match="not the text 'rs1'"):
        getattr(space, call)("rs1")


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("mode", ["frozen", "full"])
def test_sentence_transformers_reads_the_text_half_and_gives_the_same_vectors(tmp_path: Path, pooling: str, mode: str) -> None:
    from dataclasses import replace

    from sentence_transformers import SentenceTransformer

    from embedder import train

    (tmp_path / "bert").mkdir()
    (tmp_path / "model").mkdir()
    encoder = open_encoder(EncoderSpec(str(write_tiny_bert(tmp_path / "bert")), pooling, "fp32", 32))
    data = little_data()
    train(data, None, replace(SMALL, mode=mode, epochs=1, residuals=False), encoder=encoder).save(tmp_path / "model")
    texts = [*data.texts, "a text that training has not seen", "x" * 200]
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode(texts)
    np.testing.assert_allclose(Encoder.load(tmp_path / "model").encode(texts), theirs, atol=1e-5)


@pytest.mark.slow
def test_a_moved_folder_needs_nothing_from_where_it_was_made(tmp_path: Path) -> None:
    from dataclasses import replace

    from embedder import train

    (tmp_path / "bert").mkdir()
    (tmp_path / "made").mkdir()
    encoder = open_encoder(EncoderSpec(str(write_tiny_bert(tmp_path / "bert")), "mean", "fp32", 32))
    model = train(little_data(), None, replace(SMALL, epochs=1), encoder=encoder)
    model.save(tmp_path / "made")
    (tmp_path / "bert").rename(tmp_path / "gone")
    (tmp_path / "made").rename(tmp_path / "moved")
    texts = ["asthma", *little_data().texts]
    np.testing.assert_allclose(Encoder.load(tmp_path / "moved").encode(texts), Encoder(model).encode(texts), atol=1e-6)
