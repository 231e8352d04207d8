"""A model folder in; vectors of texts and variants out, and how near they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from embedder.artifact import Model
from embedder.encoder import TextEncoder, Vectors
from embedder.errors import UnknownVariantError

__all__ = ["Encoder"]


class Encoder:
    """Texts and variants in one space, from one folder.

    Args:
        model: What was trained.
        text_encoder: What reads texts; None: the model's own, opened when the first text comes.
    """

    def __init__(self, model: Model, text_encoder: TextEncoder | None = None) -> None:
        self.model = model
        self._text_encoder = text_encoder

    @classmethod
    def load(cls, folder: str | Path) -> Encoder:
        """Open a model's folder; the language model is taken from it where it lies in there.

        Raises:
            ArtifactError: A piece is missing, was changed, or another version wrote it.
        """
        path = Path(folder)
        model = Model.load(path)
        if (path / "config.json").exists() and not model.tuned:
            model = replace(model, encoder_spec=replace(model.encoder_spec, model=str(path)))
        return cls(model)

    @property
    def dimension(self) -> int:
        return self.model.dimension

    @property
    def variants(self) -> Sequence[str]:
        """Give the ids of all variants that have a vector."""
        return self.model.snp_ids

    @cached_property
    def text_encoder(self) -> TextEncoder:
        return self._text_encoder or self.model.open_encoder()

    def encode(self, texts: Sequence[str], *, progress: Any = None) -> Vectors:
        """Give a unit vector per text; a text that comes twice is read once."""
        if isinstance(texts, str):
            raise TypeError(f"encode takes a list of texts, not the text {texts!r}")
        places: dict[str, int] = {}
        order = [places.setdefault(text, len(places)) for text in texts]
        distinct = list(places)
        vectors = self.model.text_vectors(self.text_encoder.encode(distinct, progress=progress), distinct)
        return np.asarray(vectors[np.asarray(order, dtype=np.int64)])

    def knows(self, variants: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Tell which variants have a vector."""
        return self._rows(variants) >= 0

    def by_block(self, variants: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Tell which variants have their LD block's vector only, because no training pair named them.

        Raises:
            UnknownVariantError: One of them has no vector.
        """
        rows = self._known_rows(variants)
        marks = self.model.snp_by_block
        return np.zeros(len(rows), bool) if marks is None else np.asarray(marks[rows])

    def encode_variants(self, variants: Sequence[str], *, unknown: str = "error") -> Vectors:
        """Give a unit vector per variant; ids with or without their prefix.

        Args:
            variants: Ids, as `rs7903146` or `dbsnp:rs7903146`.
            unknown: `error`, or `mask`: a numpy masked array, masked where a variant has no vector (its numbers there are NaN).

        Raises:
            UnknownVariantError: One has no vector, and `unknown` is `error`.
        """
        if unknown not in ("error", "mask"):
            raise ValueError(f"unknown is {unknown!r}, expected error or mask")
        if unknown == "error":
            return np.asarray(self.model.snp_vectors[self._known_rows(variants)], dtype=np.float32)
        rows = self._rows(variants)
        vectors = np.full((len(rows), self.dimension), np.nan, dtype=np.float32)
        vectors[rows >= 0] = self.model.snp_vectors[rows[rows >= 0]]
        return np.ma.MaskedArray(vectors, mask=np.broadcast_to((rows < 0)[:, None], vectors.shape))

    def similarity(self, left: Sequence[str] | Vectors, right: Sequence[str] | Vectors) -> Vectors:
        """Give the cosine of each on the left with each on the right; texts are encoded, vectors taken as they are."""
        a, b = (side if isinstance(side, np.ndarray) else self.encode(side) for side in (left, right))
        if isinstance(a, np.ma.MaskedArray) or isinstance(b, np.ma.MaskedArray):
            missing = np.ma.getmaskarray(a)[:, :1] | np.ma.getmaskarray(b)[:, :1].T
            return np.ma.MaskedArray(np.ma.getdata(a) @ np.ma.getdata(b).T, mask=missing)
        return np.asarray(a @ b.T)

    @cached_property
    def _short(self) -> dict[str, int]:
        """Rows by id without its prefix; -1 where two share one."""
        rows: dict[str, int] = {}
        for row, snp in enumerate(self.model.snp_ids):
            short = snp.rpartition(":")[2]
            rows[short] = -1 if short in rows else row
        return rows

    def _rows(self, variants: Sequence[str]) -> npt.NDArray[np.int64]:
        if isinstance(variants, str):
            raise TypeError(f"variants are a list of ids, not the text {variants!r}")
        known, short = self.model.snp_rows, self._short
        return np.array([known.get(v, -1) if v in known or ":" in v else short.get(v, -1) for v in variants], dtype=np.int64)

    def _known_rows(self, variants: Sequence[str]) -> npt.NDArray[np.int64]:
        rows = self._rows(variants)
        missing = [variant for variant, row in zip(variants, rows.tolist(), strict=True) if row < 0]
        if missing:
            raise UnknownVariantError(
                f"the model has no vector of {len(missing)} of {len(rows)} variants, the first is {missing[0]!r}",
                advice='Ask `knows(...)` first, or take unknown="mask".',
            )
        return rows
