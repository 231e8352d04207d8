"""The state of a training in, one file out, and back: written aside, flushed to the disk and renamed, so it is whole or not there.

last.checkpoint   where training stands
best.checkpoint   where the development figure was best; the same file under two names where both are one
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from embedder.errors import CheckpointError

__all__ = ["BEST", "FORMAT", "LAST", "clear_leftovers", "differences", "mark_best", "read", "write"]

FORMAT = 1
LAST, BEST = "last.checkpoint", "best.checkpoint"
_DAMAGE = (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError)


def write(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state of numbers, strings, tensors and dictionaries of them; what stood there stays until the new one is whole.

    Raises:
        CheckpointError: It could not be written (the disk is full, say); the earlier one is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as handle:
            torch.save({"format": FORMAT, **state}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
        _flush_folder(path.parent)
    except (OSError, RuntimeError) as error:
        stands = f"the one before it is whole, in {path}" if path.exists() else "there is none before it"
        cause = error.__context__ if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError) else error
        raise CheckpointError(
            f"a checkpoint could not be written: {cause}; {stands}", advice="Make room on the disk, then train again with resume."
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def read(path: Path, *, device: torch.device | None = None) -> dict[str, Any]:
    """Read a state.

    Raises:
        CheckpointError: There is none, it is damaged, or another version wrote it.
    """
    if not path.exists():
        raise CheckpointError(f"there is nothing to resume: no {path}", advice="Train without resume.")
    try:
        state: dict[str, Any] = torch.load(path, map_location=device or "cpu", weights_only=True)
        found = state["format"]
    except _DAMAGE as error:
        raise CheckpointError(f"{path} is damaged ({error})", advice="Remove it and train from the beginning.") from error
    if found != FORMAT:
        raise CheckpointError(
            f"{path} has the format {found!r}, expected {FORMAT}", advice="Another version wrote it; train without resume."
        )
    return state


def mark_best(folder: Path) -> None:
    """Let the best checkpoint be the last one: a second name for the file, a copy where the file system has no such thing."""
    aside = folder / f".{BEST}.{os.getpid()}.part"
    aside.unlink(missing_ok=True)
    try:
        aside.hardlink_to(folder / LAST)
    except OSError:
        _copy(folder / LAST, aside)
    aside.replace(folder / BEST)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise CheckpointError(
            f"the best checkpoint could not be written: {error}; {source} is whole",
            advice="Make room on the disk, then train again with resume.",
        ) from error


def clear_leftovers(folder: Path) -> None:
    """Remove what a killed process had half written."""
    for leftover in folder.glob(".*.checkpoint.*.part"):
        leftover.unlink(missing_ok=True)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say what of a run's description is not as it was.

    >>> differences({"seed": 1, "texts": "ab"}, {"seed": 2, "texts": "ab"})
    ['seed was 1 and is 2']
    """
    names = [*before, *(name for name in now if name not in before)]
    return [f"{name} was {before.get(name)} and is {now.get(name)}" for name in names if before.get(name) != now.get(name)]


def _flush_folder(folder: Path) -> None:
    """Let the new name reach the disk too; not every system lets a folder be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
