"""Losses in; a line of JSON, a point on TensorBoard's curves where that is installed, and a word to whoever watches out."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from embedder.encoder import Progress
from embedder.errors import CheckpointError

__all__ = ["Report", "spoken_time"]


class Report:
    """What happened since the last report.

    Args:
        total: Pairs of the whole training.
        path: File of JSON Lines; None: none.
        progress: Who watches.
        pairs: Pairs that an earlier process saw.
        step: Steps that it took: lines of later ones, whose work was lost with it, are removed; 0 begins the file anew.
    """

    def __init__(self, total: int, path: Path | None, progress: Progress | None, *, pairs: int = 0, step: int = 0) -> None:
        self.pairs = pairs
        self._total, self._path, self._progress = total, path, progress
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._start = self._since = (time.monotonic(), pairs)
        if path is not None:
            _cut(path, step)
        self._board = _board(path.parent / "tensorboard", step) if path is not None else None

    def add(self, task: str, loss: float, pairs: int) -> None:
        """Count a batch."""
        self._losses[task].append(loss)
        self.pairs += pairs

    def write(self, epoch: int, step: int, scales: dict[str, float]) -> None:
        """Report the mean losses, the temperatures, the speed, and the time that is left."""
        if not self._losses:
            return
        speed = self._speed(self._since)
        losses = {task: round(sum(values) / len(values), 5) for task, values in sorted(self._losses.items())}
        self._losses.clear()
        self._since = (time.monotonic(), self.pairs)
        line = {"epoch": epoch, "step": step, "pairs": self.pairs, "loss": losses, "scale": scales, "pairs_per_second": round(speed)}
        self._keep(line, step, {f"loss/{task}": loss for task, loss in losses.items()} | {"pairs_per_second": speed})
        if self._progress is not None:
            words = ", ".join(f"{task} {loss:.3f}" for task, loss in losses.items())
            left = spoken_time((self._total - self.pairs) / max(1e-9, self._speed(self._start)))
            self._progress(f"train: {words}; {speed:,.0f} pairs/s; {left} left", self.pairs, self._total)

    def develop(self, epoch: int, step: int, figures: dict[str, float]) -> None:
        """Report the development figures of an epoch."""
        self._keep({"epoch": epoch, "step": step, "development": figures}, step, {f"development/{k}": v for k, v in figures.items()})

    def close(self) -> None:
        """Let go of TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    def _speed(self, since: tuple[float, int]) -> float:
        return (self.pairs - since[1]) / max(1e-9, time.monotonic() - since[0])

    def _keep(self, line: dict[str, Any], step: int, points: dict[str, float]) -> None:
        if self._path is not None:
            try:
                with self._path.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps(line) + "\n")
            except OSError as error:
                raise CheckpointError(
                    f"{self._path} could not be written: {error}; the last checkpoint is whole",
                    advice="Make room on the disk, then train again with resume.",
                ) from error
        if self._board is not None:
            for name, value in points.items():
                self._board.add_scalar(name, value, step)


def spoken_time(seconds: float) -> str:
    """Say a time as one would.

    >>> spoken_time(42), spoken_time(600), spoken_time(3 * 3600 + 300)
    ('42 s', '10 min', '3 h 5 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _cut(path: Path, step: int) -> None:
    """Keep the lines of steps before `step`; of a line that a killed process left half written nothing."""
    kept = []
    if step and path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                kept += [line] if json.loads(line)["step"] < step else []
            except (ValueError, KeyError, TypeError):
                continue
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    aside.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    aside.replace(path)


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step)
