"""A trained model as a folder, and back; numpy is all that reading one needs.

model.json        encoder, dimension, method, settings, counts, and the hash of every other file
projection.npz    W and b of ``W·LM(text) + b``; empty for the identity
snps.npy          one unit vector per SNP
snps.txt          their ids, one a line
residuals.npz     vectors of known texts, if used
residuals.json    these texts
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder.encoder import EncoderSpec, Vectors, unit_rows
from embedder.errors import ArtifactError

__all__ = ["FORMAT", "Model"]

FORMAT = 1
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
        residuals: Text -> row of `residual_vectors`.
        residual_vectors: (m, d), added to the projected text before it is scaled to length 1.
        description: Settings, counts, seed: what a model card needs.
    """

    encoder_spec: EncoderSpec
    encoder_key: str
    dimension: int
    method: str
    projection: Mapping[str, npt.NDArray[np.float32]]
    snp_ids: Sequence[str]
    snp_vectors: npt.NDArray[np.floating[Any]]
    residuals: Mapping[str, int] = field(default_factory=dict)
    residual_vectors: npt.NDArray[np.floating[Any]] | None = None
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

    def save(self, folder: Path) -> None:
        """Write the model into an existing folder."""
        np.savez(folder / "projection.npz", **{name: np.asarray(array, np.float32) for name, array in self.projection.items()})  # type: ignore[arg-type]
        np.save(folder / "snps.npy", self.snp_vectors)
        (folder / "snps.txt").write_text("".join(f"{snp}\n" for snp in self.snp_ids), encoding="utf-8")
        files = ["projection.npz", "snps.npy", "snps.txt"]
        if self.residual_vectors is not None:
            np.savez(folder / "residuals.npz", vectors=self.residual_vectors)
            (folder / "residuals.json").write_text(json.dumps(list(self.residuals), ensure_ascii=False, indent=0), encoding="utf-8")
            files += ["residuals.npz", "residuals.json"]
        document = {
            "format": FORMAT,
            "method": self.method,
            "dimension": self.dimension,
            "encoder": asdict(self.encoder_spec),
            "encoder_key": self.encoder_key,
            **self.description,
            "files": {name: _sha256(folder / name) for name in files},
        }
        (folder / "model.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a model.

        Raises:
            ArtifactError: A piece is missing, was changed, or does not fit the others.
        """
        document = _document(folder)
        _check_files(folder, document["files"])
        with np.load(folder / "projection.npz") as archive:
            projection = {name: archive[name] for name in archive.files}
        snp_vectors = np.load(folder / "snps.npy", mmap_mode="r")
        snp_ids = (folder / "snps.txt").read_text(encoding="utf-8").splitlines()
        if snp_vectors.shape != (len(snp_ids), document["dimension"]):
            raise ArtifactError(
                f"{folder}: snps.npy has the shape {snp_vectors.shape}, expected {(len(snp_ids), document['dimension'])}", advice=_REBUILD
            )
        residuals: dict[str, int] = {}
        residual_vectors = None
        if "residuals.npz" in document["files"]:
            residuals = {text: row for row, text in enumerate(json.loads((folder / "residuals.json").read_text(encoding="utf-8")))}
            with np.load(folder / "residuals.npz") as archive:
                residual_vectors = archive["vectors"]
            if residual_vectors.shape != (len(residuals), document["dimension"]):
                raise ArtifactError(
                    f"{folder}: {len(residuals)} known texts have vectors of the shape {residual_vectors.shape}", advice=_REBUILD
                )
        return cls(
            encoder_spec=EncoderSpec(**document["encoder"]),
            encoder_key=document["encoder_key"],
            dimension=document["dimension"],
            method=document["method"],
            projection=projection,
            snp_ids=snp_ids,
            snp_vectors=snp_vectors,
            residuals=residuals,
            residual_vectors=residual_vectors,
            description={key: value for key, value in document.items() if key not in _OWN_KEYS},
        )


_OWN_KEYS = {"format", "method", "dimension", "encoder", "encoder_key", "files"}


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


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
