"""Texts in, vectors out, and each text encoded once: a cache by encoder and text that outlives every stage.

A shard is a file of records (16 bytes of the text's hash, float16 vector); shards are only ever added, written aside and
renamed, so that a killed run loses at most the texts since the last one. Half precision costs a cosine less than 0.0001,
and what comes fresh from an encoder is rounded like what comes from the cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedder.encoder import Progress, TextEncoder

    Vectors = npt.NDArray[np.float32]

__all__ = ["VectorCache", "encode_texts"]

SHARD = 16384  # texts; what a killed run may lose
MANY_SHARDS = 64  # more are joined into one


class VectorCache:
    """Vectors of texts under a folder, one folder inside it per encoder key.

    Two processes may use one folder: each adds shards of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, _Shards] = {}

    def shards(self, key: str, dimension: int) -> _Shards:
        """Open the vectors of an encoder."""
        if key not in self._opened:
            self._opened[key] = _Shards(self._folder / key, dimension)
        return self._opened[key]

    def forget(self, key: str) -> None:
        """Remove the vectors of an encoder that is gone."""
        self._opened.pop(key, None)
        shutil.rmtree(self._folder / key, ignore_errors=True)


class _Shards:
    """The vectors of one encoder, found by hash."""

    def __init__(self, folder: Path, dimension: int) -> None:
        import numpy as np

        self._folder = folder
        self.record = np.dtype([("hash", "<u8", (2,)), ("vector", "<f2", (dimension,))])
        self._parts: list[Any] = []
        folder.mkdir(parents=True, exist_ok=True)
        paths = sorted(folder.glob("*.npy"))
        for path in paths:
            self._parts.append(self._open(path))
        if len(paths) > MANY_SHARDS:
            self._join(paths)
        self._index()

    def find(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Give the place of each (n, 2) hash, -1 for what is not there."""
        import numpy as np

        if not len(self._sorted):
            return np.full(len(hashes), -1)
        at = np.minimum(np.searchsorted(self._sorted[:, 0], hashes[:, 0]), len(self._sorted) - 1)
        return np.where((self._sorted[at] == hashes).all(axis=1), self._places[at], -1)

    def read(self, places: npt.NDArray[np.int64]) -> Vectors:
        """Give the vectors at these places."""
        import numpy as np

        vectors = np.empty((len(places), self.record["vector"].shape[0]), dtype=np.float32)
        for part, start in zip(self._parts, self._starts, strict=True):
            here = np.flatnonzero((places >= start) & (places < start + len(part)))
            vectors[here] = part["vector"][places[here] - start]
        return vectors

    def add(self, hashes: npt.NDArray[np.uint64], vectors: npt.NDArray[np.float16]) -> None:
        """Write a shard."""
        import numpy as np

        records = np.empty(len(hashes), dtype=self.record)
        records["hash"], records["vector"] = hashes, vectors
        self._parts.append(self._open(self._write(records)))

    def reindex(self) -> None:
        """Make added shards findable."""
        self._index()

    def _write(self, records: Any) -> Path:
        import numpy as np

        digest = hashlib.sha256(records["hash"].tobytes()).hexdigest()[:20]
        aside = self._folder / f"{digest}.{os.getpid()}.part"
        with aside.open("wb") as handle:
            np.save(handle, records)
            handle.flush()
            os.fsync(handle.fileno())
        path = self._folder / f"{digest}.npy"
        aside.replace(path)
        return path

    def _open(self, path: Path) -> Any:
        import numpy as np

        try:
            part = np.load(path, mmap_mode="r")
        except (ValueError, EOFError) as error:
            raise ModelError(f"{path} is damaged ({error})", advice="Delete this file: its texts are encoded again.") from error
        if part.dtype != self.record:
            raise ModelError(f"{path} holds {part.dtype}, expected {self.record}", advice="Delete this file: its texts are encoded again.")
        return part

    def _join(self, paths: list[Path]) -> None:
        import numpy as np

        joined = self._write(np.concatenate(self._parts))
        for path in paths:
            if path != joined:
                path.unlink(missing_ok=True)
        self._parts = [self._open(joined)]

    def _index(self) -> None:
        import numpy as np

        self._starts = np.cumsum([0, *(len(part) for part in self._parts)])[:-1]
        hashes = np.concatenate([np.empty((0, 2), np.uint64), *(part["hash"] for part in self._parts)])
        self._places = np.argsort(hashes[:, 0], kind="stable")
        self._sorted = hashes[self._places]


def encode_texts(texts: Sequence[str], encoder: TextEncoder, cache: VectorCache | None, *, progress: Progress | None = None) -> Vectors:
    """Give one vector per text, in order, taking from the cache what it has and adding what it lacks.

    Raises:
        ModelError: The encoder gives something that is no number.
    """
    import numpy as np

    hashes = _hashes(texts)
    _, first, inverse = (
        np.unique(hashes, axis=0, return_index=True, return_inverse=True) if len(texts) else (None, np.empty(0, int), np.empty(0, int))
    )
    first = np.asarray(first)
    if cache is None:
        return _fresh([texts[row] for row in first], encoder, progress).astype(np.float32)[inverse.reshape(-1)]
    shards = cache.shards(encoder.key, encoder.dimension)
    missing = first[shards.find(hashes[first]) < 0]
    # longest together: the encoder makes batches of equal length, and larger slices make fuller ones
    missing = missing[np.argsort([len(texts[row]) for row in missing], kind="stable")]
    for start in range(0, len(missing), SHARD):
        rows = missing[start : start + SHARD]
        shards.add(hashes[rows], _fresh([texts[row] for row in rows], encoder, _shifted(progress, start, len(missing))))
    if len(missing):
        shards.reindex()
    return shards.read(shards.find(hashes))


def _fresh(texts: list[str], encoder: TextEncoder, progress: Progress | None) -> npt.NDArray[np.float16]:
    import numpy as np

    vectors = encoder.encode(texts, progress=progress).astype(np.float16)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ModelError(
            f"the encoder {encoder.spec.model!r} gives no numbers for {texts[bad[0]]!r}", advice="Use another model, or precision fp32."
        )
    return vectors


def _shifted(progress: Progress | None, done: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda what, part, _: progress(what, done + part, total)


def _hashes(texts: Sequence[str]) -> npt.NDArray[np.uint64]:
    import numpy as np

    digests = b"".join(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
