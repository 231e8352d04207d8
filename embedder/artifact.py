"""A trained model as a folder, and back; numpy is all that reading one needs.

model.json               encoder, dimension, method, settings, counts, and the hash of every other file
projection.safetensors   W and b of ``W·LM(text) + b``; empty for the identity
snps.safetensors         one unit vector per SNP, and whether it is that of its LD block alone
snps.txt                 their ids, one a line
residuals.safetensors    vectors of known texts, if used
residuals.json           these texts
README.md                the model card

Beside them lies the language model as Hugging Face's tools read it (config.json, model.safetensors, tokenizer.json), and what
sentence-transformers needs to put its own modules in a row: modules.json, 1_Pooling, 2_Normalize, 3_Dense, 4_Normalize.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder.card import write_card
from embedder.encoder import EncoderSpec, TextEncoder, Vectors, open_encoder, unit_rows
from embedder.errors import ArtifactError

__all__ = ["FORMAT", "Model"]

FORMAT = 2
_REBUILD = "Train it again; the folder must be kept as it was written."


@dataclass(frozen=True)
class Model:
    """Texts and SNPs in one cosine space.

    Args:
        encoder_spec: The encoder as it was used.
        encoder_key: Its key: vectors of any other encoder are refused.
        dimension: Of the common space.
        method: `generel` or `centroid`.
        projection: `weight` (d, lm) and `bias` (d,); empty: the identity.
        snp_ids: Ids, in the order of `snp_vectors`.
        snp_vectors: (n, d) unit rows.
        snp_by_block: (n,) true where no pair named the SNP, so that its vector is its LD block's; None: nowhere.
        residuals: Text -> row of `residual_vectors`.
        residual_vectors: (m, d), added to the projected text before it is scaled to length 1.
        encoder: What reads texts, where it is open already.
        tuned: Whether the language model was trained too; then it lies in the model's own folder.
        description: Settings, counts, seed: what a model card needs.
    """

    encoder_spec: EncoderSpec
    encoder_key: str
    dimension: int
    method: str
    projection: Mapping[str, npt.NDArray[np.float32]]
    snp_ids: Sequence[str]
    snp_vectors: npt.NDArray[np.floating[Any]]
    snp_by_block: npt.NDArray[np.bool_] | None = None
    residuals: Mapping[str, int] = field(default_factory=dict)
    residual_vectors: npt.NDArray[np.floating[Any]] | None = None
    encoder: TextEncoder | None = field(default=None, compare=False, repr=False)
    tuned: bool = False
    description: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def snp_rows(self) -> dict[str, int]:
        """Row of each SNP."""
        return {snp: row for row, snp in enumerate(self.snp_ids)}

    def text_vectors(self, lm_vectors: npt.ArrayLike, texts: Sequence[str] | None = None) -> Vectors:
        """Put language-model vectors into the common space, as unit rows; `texts` lets known ones have their residual.

        Raises:
            ArtifactError: The vectors do not have the encoder's dimension, or are not as many as the texts.
        """
        lm = unit_rows(lm_vectors)
        expected = self.projection["weight"].shape[1] if self.projection else self.dimension
        if lm.ndim != 2 or lm.shape[1] != expected:
            raise ArtifactError(
                f"text vectors have the shape {lm.shape}, expected (n, {expected})", advice=f"Encode with {self.encoder_spec.model}."
            )
        if texts is not None and len(texts) != len(lm):
            raise ArtifactError(f"{len(texts)} texts came with {len(lm)} vectors", advice="Give one vector per text.")
        return unit_rows(self._residual_added(self._projected(lm), texts))

    def _projected(self, lm: Vectors) -> Vectors:
        if not self.projection:
            return lm
        p = self.projection
        return np.asarray(lm @ p["weight"].T + p["bias"])

    def _residual_added(self, projected: Vectors, texts: Sequence[str] | None) -> Vectors:
        if texts is None or self.residual_vectors is None:
            return projected
        rows = np.fromiter((self.residuals.get(text, -1) for text in texts), dtype=np.int64, count=len(texts))
        known = rows >= 0
        projected[known] += self.residual_vectors[rows[known]]
        return projected

    def open_encoder(self) -> TextEncoder:
        """Give the encoder that reads this model's texts.

        Raises:
            ArtifactError: What its spec names now gives other vectors.
        """
        encoder = self.encoder or open_encoder(self.encoder_spec)
        if encoder.key != self.encoder_key:
            raise ArtifactError(
                f"the encoder {self.encoder_spec.model!r} is not the one that the model was trained with",
                advice="Use the weights, pooling and precision that model.json names.",
            )
        return encoder

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        from safetensors.numpy import save_file

        by_block = np.zeros(len(self.snp_ids), bool) if self.snp_by_block is None else np.asarray(self.snp_by_block)
        projection = {name: np.ascontiguousarray(array, np.float32) for name, array in self.projection.items()}
        save_file(projection, folder / "projection.safetensors")
        save_file({"vectors": np.ascontiguousarray(self.snp_vectors), "by_block": by_block}, folder / "snps.safetensors")
        (folder / "snps.txt").write_text("".join(f"{snp}\n" for snp in self.snp_ids), encoding="utf-8")
        files = ["projection.safetensors", "snps.safetensors", "snps.txt"]
        if self.residual_vectors is not None:
            save_file({"vectors": np.ascontiguousarray(self.residual_vectors)}, folder / "residuals.safetensors")
            (folder / "residuals.json").write_text(json.dumps(list(self.residuals), ensure_ascii=False, indent=0), encoding="utf-8")
            files += ["residuals.safetensors", "residuals.json"]
        files += self._save_language_model(folder, projection)
        document = {
            "format": FORMAT,
            "method": self.method,
            "dimension": self.dimension,
            "encoder": asdict(self.encoder_spec),
            "encoder_key": self.encoder_key,
            "tuned": self.tuned,
            **self.description,
            "files": {name: _sha256(folder / name) for name in files},
        }
        (folder / "model.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        write_card(folder, document, snps=len(self.snp_ids))

    def _save_language_model(self, folder: Path, projection: Mapping[str, npt.NDArray[np.float32]]) -> list[str]:
        encoder = self.open_encoder() if self.tuned else self.encoder
        save = getattr(encoder, "save", None)  # n-grams have no files
        if encoder is None or save is None:
            return []
        return [*save(folder), *_write_modules(folder, encoder, projection)]

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a model.

        Raises:
            ArtifactError: A piece is missing, was changed, or does not fit the others.
        """
        document = _document(folder)
        _check_files(folder, document["files"])
        snps = _read_arrays(folder / "snps.safetensors")
        snp_ids = (folder / "snps.txt").read_text(encoding="utf-8").splitlines()
        _check_table(folder, "SNPs", len(snp_ids), snps["vectors"], document["dimension"])
        _check_vocabulary(folder, snp_ids, snps["by_block"])
        residuals: dict[str, int] = {}
        residual_vectors = None
        if "residuals.safetensors" in document["files"]:
            residuals = {text: row for row, text in enumerate(json.loads((folder / "residuals.json").read_text(encoding="utf-8")))}
            residual_vectors = _read_arrays(folder / "residuals.safetensors")["vectors"]
            _check_table(folder, "known texts", len(residuals), residual_vectors, document["dimension"])
        spec = EncoderSpec(**document["encoder"])
        return cls(
            encoder_spec=replace(spec, model=str(folder)) if document["tuned"] else spec,
            encoder_key=document["encoder_key"],
            dimension=document["dimension"],
            method=document["method"],
            projection={name: np.array(array) for name, array in _read_arrays(folder / "projection.safetensors").items()},
            snp_ids=snp_ids,
            snp_vectors=snps["vectors"],
            snp_by_block=snps["by_block"],
            residuals=residuals,
            residual_vectors=residual_vectors,
            tuned=document["tuned"],
            description={key: value for key, value in document.items() if key not in _OWN_KEYS},
        )


_OWN_KEYS = {"format", "method", "dimension", "encoder", "encoder_key", "tuned", "files"}


def _document(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{folder} holds no trained model: model.json is missing", advice="Train one first: kgbuild train") from None
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path} is damaged ({error})", advice=_REBUILD) from error
    if document.get("format") != FORMAT:
        raise ArtifactError(
            f"{path} has the format {document.get('format')!r}, expected {FORMAT}", advice="Train it again with this version."
        )
    if missing := sorted(_OWN_KEYS - document.keys()):
        raise ArtifactError(f"{path} lacks {', '.join(missing)}", advice=_REBUILD)
    return document


def _check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    for name, expected in hashes.items():
        if not (folder / name).exists():
            raise ArtifactError(f"{folder / name} is missing", advice=_REBUILD)
        if _sha256(folder / name) != expected:
            raise ArtifactError(f"{folder / name} is not the file that model.json was written with", advice=_REBUILD)


def _check_table(folder: Path, what: str, n: int, vectors: npt.NDArray[Any], dimension: int) -> None:
    if vectors.shape != (n, dimension):
        raise ArtifactError(f"{folder}: {n} {what} have vectors of the shape {vectors.shape}, expected {(n, dimension)}", advice=_REBUILD)


def _check_vocabulary(folder: Path, snp_ids: Sequence[str], by_block: npt.NDArray[Any]) -> None:
    if by_block.shape != (len(snp_ids),):
        raise ArtifactError(f"{folder}: {len(snp_ids)} SNPs have {len(by_block)} marks of whether a block alone is known", advice=_REBUILD)
    if len(set(snp_ids)) < len(snp_ids):
        twice = next(id_ for id_, n in Counter(snp_ids).items() if n > 1)
        raise ArtifactError(f"{folder / 'snps.txt'} names {twice} more than once: which vector is meant is not known", advice=_REBUILD)


_DTYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "BOOL": np.bool_}


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Map the arrays of a safetensors file into memory: its own reader would copy a table of a gigabyte."""
    with path.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        header: dict[str, Any] = json.loads(handle.read(length))
    header.pop("__metadata__", None)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, entry in header.items():
        shape, start = tuple(entry["shape"]), 8 + length + entry["data_offsets"][0]
        dtype = _DTYPES[entry["dtype"]]
        arrays[name] = np.memmap(path, dtype, "r", start, shape) if all(shape) else np.empty(shape, dtype)
    return arrays


# ---------------------------------------------------------------- what sentence-transformers reads

_MODULES = {"1_Pooling": "Pooling", "2_Normalize": "Normalize", "3_Dense": "Dense", "4_Normalize": "Normalize"}


def _write_modules(folder: Path, encoder: TextEncoder, projection: Mapping[str, npt.NDArray[np.float32]]) -> list[str]:
    """Say in sentence-transformers' files what `text_vectors` does to a text that has no residual."""
    from safetensors.numpy import save_file

    names = list(_MODULES)[: 4 if projection else 2]
    for name in names:
        (folder / name).mkdir(exist_ok=True)
    rows = [("", "Transformer"), *((name, _MODULES[name]) for name in names)]
    documents: dict[str, Any] = {
        "modules.json": [
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for number, (path, kind) in enumerate(rows)
        ],
        "sentence_bert_config.json": {"max_seq_length": encoder.spec.max_length, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
        "1_Pooling/config.json": {
            "word_embedding_dimension": encoder.dimension,
            "pooling_mode_cls_token": encoder.spec.pooling == "cls",
            "pooling_mode_mean_tokens": encoder.spec.pooling == "mean",
        },
    }
    if projection:
        dimension, lm_dimension = projection["weight"].shape
        documents["3_Dense/config.json"] = {
            "in_features": lm_dimension,
            "out_features": dimension,
            "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        }
        save_file({f"linear.{name}": array for name, array in projection.items()}, folder / "3_Dense" / "model.safetensors")
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return [*documents, *(["3_Dense/model.safetensors"] if projection else [])]


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
