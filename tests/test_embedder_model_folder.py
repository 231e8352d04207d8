"""A model's folder: what is written is what is read, and pieces that disagree are refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from little_training import write_tiny_bert

from embedder import ArtifactError, EncoderSpec, HashedNgramEncoder, Model, Task, TrainingData, centroid_model, open_encoder, unit_rows

ENCODER = HashedNgramEncoder(64)


def two_traits() -> TrainingData:
    pairs = Task("gwas", np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0], dtype=np.float32), "text", "snp")
    return TrainingData(["asthma", "gout"], ["dbsnp:rs1", "dbsnp:rs2", "dbsnp:rs3", "dbsnp:rs4"], np.array([-1, 0, 0, -1]), [pairs])


def centroid() -> Model:
    data = two_traits()
    return centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER)


def with_residuals() -> Model:
    random = np.random.default_rng(0)
    return Model(
        encoder_spec=ENCODER.spec, encoder_key=ENCODER.key, dimension=8, method="generel",
        projection={"weight": random.normal(size=(8, 64)).astype(np.float32), "bias": random.normal(size=8).astype(np.float32)},
        snp_ids=["dbsnp:rs1"], snp_vectors=unit_rows(random.normal(size=(1, 8))), residuals={"a\nb": 0},
        residual_vectors=random.normal(size=(1, 8)).astype(np.float16), description={"settings": {"seed": 1}},
    )  # fmt: skip


def test_a_snp_lies_at_the_weighted_mean_of_its_texts_and_leans_to_its_block() -> None:
    model = centroid()
    asthma, gout = unit_rows(ENCODER.encode(["asthma", "gout"]))
    mean = (asthma + 2 * gout) / 3
    expected = unit_rows(np.stack([asthma, mean + 0.5 * mean, 0.5 * mean]))
    assert model.snp_ids == ["dbsnp:rs1", "dbsnp:rs2", "dbsnp:rs3"]
    np.testing.assert_allclose(model.snp_vectors, expected, atol=1e-3)


def test_text_vectors_equal_the_torch_heads() -> None:
    import torch

    from embedder.model import Generel

    model = with_residuals()
    heads = Generel(64, 8, ["gwas"])
    state = {f"text.{name}": torch.from_numpy(array) for name, array in model.projection.items()}
    heads.load_state_dict(state, strict=False)
    lm = unit_rows(ENCODER.encode(["asthma", "a\nb"]))
    with torch.no_grad():
        expected = heads.text_vectors(
            torch.from_numpy(lm), torch.from_numpy(np.stack([np.zeros(8), model.residual_vectors[0]]).astype(np.float32))
        )
    np.testing.assert_allclose(model.text_vectors(lm, ["asthma", "a\nb"]), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("make", [centroid, with_residuals])
def test_a_model_is_read_as_it_was_written(tmp_path: Path, make) -> None:  # type: ignore[no-untyped-def]
    written = make()
    written.save(tmp_path)
    read = Model.load(tmp_path)
    texts = ["asthma", "a\nb", "new"]
    assert (list(read.snp_ids), read.encoder_spec, read.encoder_key, read.method) == (
        list(written.snp_ids),
        ENCODER.spec,
        ENCODER.key,
        written.method,
    )
    assert read.description == json.loads(json.dumps(written.description))
    assert np.array_equal(read.snp_vectors, written.snp_vectors)
    assert np.array_equal(read.text_vectors(ENCODER.encode(texts), texts), written.text_vectors(ENCODER.encode(texts), texts))


def test_a_known_text_has_its_residual_and_a_new_one_none() -> None:
    model = with_residuals()
    lm = ENCODER.encode(["a\nb", "new"])
    with_texts, without = model.text_vectors(lm, ["a\nb", "new"]), model.text_vectors(lm)
    assert (np.abs(with_texts - without).max(axis=1) > 1e-3).tolist() == [True, False]


@pytest.mark.parametrize("name", ["projection.safetensors", "snps.safetensors", "snps.txt", "residuals.safetensors", "residuals.json"])
def test_pieces_that_disagree_are_refused(tmp_path: Path, name: str) -> None:
    with_residuals().save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
    with pytest.raises(ArtifactError, match=f"{name} is not the file that model.json was written with"):
        Model.load(tmp_path)


@pytest.mark.parametrize("name", ["snps.safetensors", "snps.txt", "residuals.safetensors", "model.json"])
def test_a_folder_that_was_copied_by_half_is_refused(tmp_path: Path, name: str) -> None:
    with_residuals().save(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=rf"{name} is (not the file that model\.json was written with|damaged)"):
        Model.load(tmp_path)


def test_a_missing_piece_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no trained model"):
        Model.load(tmp_path)
    centroid().save(tmp_path)
    (tmp_path / "snps.txt").unlink()
    with pytest.raises(ArtifactError, match=r"snps\.txt is missing"):
        Model.load(tmp_path)


def test_vectors_of_another_encoder_are_refused() -> None:
    with pytest.raises(ArtifactError, match=r"have the shape \(1, 3\), expected \(n, 64\)"):
        centroid().text_vectors(np.ones((1, 3)))


def test_the_centroid_method_and_reading_a_model_load_no_torch(tmp_path: Path) -> None:
    centroid().save(tmp_path)
    code = f"import sys, pathlib, embedder; embedder.centroid_model; embedder.Model.load(pathlib.Path({str(tmp_path)!r})); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def rewritten(folder: Path, **changes: object) -> None:
    """Change model.json, with hashes that fit the files as they are now."""
    document = json.loads((folder / "model.json").read_text())
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in document["files"]}
    (folder / "model.json").write_text(json.dumps({**document, "files": hashes, **changes}))


def test_a_vocabulary_that_disagrees_with_the_table_is_refused(tmp_path: Path) -> None:
    centroid().save(tmp_path)
    with (tmp_path / "snps.txt").open("a") as handle:
        handle.write("dbsnp:rs9\n")
    rewritten(tmp_path)
    with pytest.raises(ArtifactError, match=r"4 SNPs have vectors of the shape \(3, 64\), expected \(4, 64\)"):
        Model.load(tmp_path)


def test_a_vocabulary_that_names_a_snp_twice_is_refused(tmp_path: Path) -> None:
    centroid().save(tmp_path)
    first, _, *others = (tmp_path / "snps.txt").read_text().splitlines()
    (tmp_path / "snps.txt").write_text("\n".join([first, first, *others]) + "\n")
    rewritten(tmp_path)
    with pytest.raises(ArtifactError, match=rf"snps\.txt names {first} more than once"):
        Model.load(tmp_path)


def test_a_model_of_another_version_is_refused(tmp_path: Path) -> None:
    centroid().save(tmp_path)
    rewritten(tmp_path, format=1)
    with pytest.raises(ArtifactError, match="has the format 1, expected 2"):
        Model.load(tmp_path)


def test_an_encoder_that_gives_other_vectors_is_refused() -> None:
    from dataclasses import replace

    with pytest.raises(ArtifactError, match="the encoder 'hashed' is not the one that the model was trained with"):
        replace(with_residuals(), encoder_key="another", encoder=None).open_encoder()


@pytest.mark.slow
def test_a_folder_holds_the_language_model_and_a_missing_piece_of_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "bert").mkdir()
    (tmp_path / "model").mkdir()
    encoder = open_encoder(EncoderSpec(str(write_tiny_bert(tmp_path / "bert")), "cls", "fp32"))
    data = two_traits()
    centroid_model(data, encoder.encode(data.texts), encoder=encoder).save(tmp_path / "model")
    assert {"config.json", "model.safetensors", "tokenizer.json", "modules.json", "README.md"} <= {
        path.name for path in (tmp_path / "model").iterdir()
    }
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is missing"):
        Model.load(tmp_path / "model")
