"""A training part as a graph in, a PyKEEN model out: texts and SNPs are nodes, what links them are relations.

PyKEEN lives in an environment of its own; `pykeen_worker.py` beside this file is run by that environment's Python, trains, and
then answers for pairs. What it trained lies in the workspace's cache, by the hash of the triples and the settings.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kgbuild.errors import ModelError
from kgbuild.evaluation.systems import cosines, rows_of
from kgbuild.evaluation.training_part import TRAIT_PREDICATE, TrainingPart
from kgbuild.workspace import write_whole

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["GraphSystem", "Worker"]

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]

WORKER = Path(__file__).with_name("pykeen_worker.py")
INVERSE = "inverse of "  # as `embedder.triples` names the other direction
ENVIRONMENT = "KGBUILD_PYKEEN"
SETTINGS = {"dimension": 100, "epochs": 100, "batch": 1024, "rate": 0.01, "negatives": 8, "seed": 0}


class GraphSystem:
    """A PyKEEN model over the training pairs as triples."""

    def __init__(self, name: str, worker: Worker, nodes: dict[str, int], relations: dict[str, int]) -> None:
        from embedder import unit_rows

        self.name, self._worker, self._nodes, self._relations = name, worker, nodes, relations
        self._vectors = unit_rows(np.load(worker.folder / "vectors.npy"))

    @classmethod
    def open(cls, name: str, model: str, part: TrainingPart, *, python: Path | None, progress: Progress | None = None) -> GraphSystem:
        """Train a model, or take the one that was trained on the same triples.

        Raises:
            ModelError: There is no such environment, or PyKEEN failed in it.
        """
        given = python or (Path(os.environ[ENVIRONMENT]) if ENVIRONMENT in os.environ else None)
        if given is None:
            raise ModelError(
                "PyKEEN lives in an environment of its own, and none was named",
                advice=f"`python -m venv pykeen && pykeen/bin/pip install pykeen && kgbuild evaluate snp-trait --systems {name} --pykeen pykeen/bin/python`",
            )
        nodes, relations, triples = _graph(part)
        folder = part.cache_dir / "pykeen" / f"{model}-{_digest(triples)}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "triples.tsv").exists():
            with write_whole(folder / "triples.tsv") as aside:
                np.savetxt(aside, triples, fmt="%d", delimiter="\t")
        return cls(name, Worker(given, folder, model, progress), nodes, relations)

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:
        """Score triples of the predicate where it was trained, else give the cosine of both nodes' vectors."""
        rows = rows_of(self._nodes, [f"text\t{text}" for text in texts])
        relation = self._relations.get((predicate or "").removeprefix(INVERSE))
        if relation is None:
            return cosines(self._vectors, rows[left], self._vectors, rows[right])
        head, tail = (right, left) if str(predicate).startswith(INVERSE) else (left, right)
        return self._scores(rows[head], relation, rows[tail])

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:
        heads = rows_of(self._nodes, [f"text\t{text}" for text in texts])[text]
        tails = rows_of(self._nodes, [f"snp\t{snp}" for snp in snps])[snp]
        return self._scores(heads, self._relations.get(TRAIT_PREDICATE, -1), tails)

    def _scores(self, heads: Integers, relation: int, tails: Integers) -> Floats:
        scores = np.full(len(heads), np.nan, dtype=np.float32)
        known = (heads >= 0) & (tails >= 0) & (relation >= 0)
        if known.any():
            scores[known] = self._worker.scores(np.stack([heads[known], np.full(known.sum(), relation), tails[known]], axis=1))
        return scores


class Worker:
    """The other environment's process: started once, asked many times, ended with the system that holds it."""

    def __init__(self, python: Path, folder: Path, model: str, progress: Progress | None = None) -> None:
        self.folder = folder
        options = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
        self._errors = (folder / "errors.log").open("w+", encoding="utf-8")
        try:
            # -I: neither this process's PYTHONPATH nor the files beside the script are modules there
            self._process = subprocess.Popen(
                [str(python), "-I", str(WORKER), str(folder), model, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise ModelError(
                f"{python} cannot be run ({error.strerror})", advice="Name the Python of an environment that has PyKEEN: --pykeen PYTHON"
            ) from error
        while not (line := self._line()).startswith("ready "):
            words = line.split()
            if words[:1] == ["epoch"] and progress is not None:
                progress(f"train: PyKEEN's {model}", int(words[1]), int(words[2]))

    def scores(self, triples: Integers) -> Floats:
        """Score (n, 3) triples: one number each."""
        np.save(self.folder / "wanted.npy", triples)
        self._pipe(self._process.stdin).write("wanted.npy scores.npy\n")
        self._pipe(self._process.stdin).flush()
        self._line()
        return np.asarray(np.load(self.folder / "scores.npy"))

    def close(self) -> None:
        """End the process."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait()
        self._pipe(self._process.stdout).close()
        self._errors.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()

    def _line(self) -> str:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()[-1:] or ["it said nothing"]
            raise ModelError(
                f"PyKEEN's process ended: {said[0]}",
                advice=f"All that it said is in {self.folder / 'errors.log'}; `pip install pykeen` there",
            )
        return line.strip()

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        assert stream is not None  # - Popen was asked for it
        return stream


def _graph(part: TrainingPart) -> tuple[dict[str, int], dict[str, int], Integers]:
    """Give the number of each node and relation, and the distinct (head, relation, tail)."""
    kinds = {"text": [f"text\t{text}" for text in part.data.texts], "snp": [f"snp\t{snp}" for snp in part.data.snps]}
    offset = {"text": 0, "snp": len(part.data.texts)}
    relations: dict[str, int] = {}
    rows = [np.empty((0, 3), np.int64)]
    for predicate, kind, left, right in part.triples():
        relation = relations.setdefault(predicate, len(relations))
        rows.append(np.stack([left, np.full(len(left), relation), right + offset[kind]], axis=1))
    triples = np.unique(np.concatenate(rows), axis=0)
    used = np.unique(triples[:, [0, 2]])
    names = [*kinds["text"], *kinds["snp"]]
    nodes = {names[row]: number for number, row in enumerate(used.tolist())}
    triples[:, [0, 2]] = np.searchsorted(used, triples[:, [0, 2]])
    return nodes, relations, triples


def _digest(triples: Integers) -> str:
    settings = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
    return hashlib.sha256(settings.encode() + WORKER.read_bytes() + np.ascontiguousarray(triples).tobytes()).hexdigest()[:16]
