"""The workspace: where a stage's result lies, whether it is still good, and how a new one takes its place.

A stage writes into ``<name>-<key>.building/``; when it is whole the folder is renamed to ``<name>-<key>/`` and
``manifest.json`` is replaced, and that is the switch. The key is a hash of all that the stage read: the bytes of its input
files, the keys of the stages before it, its part of the configuration, its version. A killed run leaves the old result in
place; what it had half built is cleared by the next one, under the lock.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kgbuild.errors import WorkspaceBusy, WorkspaceError

__all__ = ["COMMANDS", "CONFIGURATION", "Record", "Stage", "Workspace", "file_hash", "now", "write_whole"]

CONFIGURATION = "kgbuild.toml"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stage:
    """What a stage's result depends on: everything that, changed, makes it stale."""

    name: str
    version: int
    inputs: Mapping[str, str]  # label -> hash of a file, or key of a stage
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Give the hash of it all, short enough for a folder's name."""
        return _digest([self.name, self.version, dict(self.inputs), self.settings])[:12]


@dataclass(frozen=True)
class Record:
    """What the manifest holds of a finished stage."""

    key: str
    version: int
    inputs: dict[str, str]
    settings: dict[str, Any]
    seconds: float
    peak_megabytes: int
    finished: str  # ISO 8601, UTC
    facts: dict[str, Any] = field(default_factory=dict)  # what the stage wants shown by `status`


class Workspace:
    """A folder with kgbuild.toml, a manifest, and one folder per finished stage."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @classmethod
    def open(cls, root: Path) -> Workspace:
        """Open a workspace that `kgbuild init` made.

        Raises:
            WorkspaceError: There is no kgbuild.toml in it.
        """
        if not (root / CONFIGURATION).is_file():
            raise WorkspaceError(
                f"{root} is not a workspace: it has no {CONFIGURATION}",
                advice=f"Make one with `kgbuild init {root} --data FOLDER_OF_FILES`, or name another with -w.",
            )
        return cls(root)

    @property
    def configuration_path(self) -> Path:
        return self.root / CONFIGURATION

    @property
    def cache_dir(self) -> Path:
        return self.root / "cache"

    @property
    def exports_dir(self) -> Path:
        return self.root / "exports"

    def record(self, stage: str) -> Record | None:
        """Give what is known of a stage's last finished run; None when there was none or its folder is gone."""
        raw = self._manifest().get("stages", {}).get(stage)
        record = Record(**raw) if raw else None
        return record if record and (self.root / f"{stage}-{record.key}").is_dir() else None

    def folder(self, stage: str) -> Path:
        """Give the folder of a stage's current result.

        Raises:
            WorkspaceError: The stage has not run.
        """
        record = self.record(stage)
        if record is None:
            raise WorkspaceError(f"{self.root.name} has no {stage} yet", advice=f"Run `{COMMANDS.get(stage, 'kgbuild ' + stage)}` first.")
        return self.root / f"{stage}-{record.key}"

    def why_stale(self, stage: Stage) -> list[str]:
        """Say what changed since the stage last ran; empty when its result is still good."""
        record = self.record(stage.name)
        if record is None:
            return ["it has not run yet"]
        if record.key == stage.key:
            return []
        reasons = (
            [] if record.version == stage.version else [f"kgbuild's version of the stage went from {record.version} to {stage.version}"]
        )
        reasons += _changes("input", record.inputs, stage.inputs)
        reasons += _changes("setting", _flat(record.settings), _flat(json.loads(json.dumps(stage.settings))))
        return reasons or ["its result was made by another version"]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing.

        Raises:
            WorkspaceBusy: Another process holds it.
        """
        from filelock import FileLock, Timeout

        self.root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.root / ".lock", timeout=0):
                yield
        except Timeout:
            raise WorkspaceBusy(
                f"another kgbuild is writing to {self.root}",
                advice="Wait until it is done; reading commands (query, map, score, status) work meanwhile.",
            ) from None

    def run(self, stage: Stage, build: Callable[[Path], dict[str, Any]]) -> Record:
        """Build a stage's result aside and switch to it; the caller holds the lock.

        `build` gets an empty folder to write to and returns facts for `status`. The results it replaces are removed after the
        switch.
        """
        self._clear_half_built()
        final = self.root / f"{stage.name}-{stage.key}"
        building = final.with_name(final.name + ".building")
        building.mkdir(parents=True)
        started = time.monotonic()
        facts = _with_room(stage.name, building, build)
        if final.exists():  # the same inputs as in an earlier run: its result was not current, so nobody relies on it
            shutil.rmtree(final)
        building.rename(final)
        record = Record(
            key=stage.key,
            version=stage.version,
            inputs=dict(stage.inputs),
            settings=json.loads(json.dumps(stage.settings)),
            seconds=round(time.monotonic() - started, 1),
            peak_megabytes=_peak_megabytes(),
            finished=now(),
            facts=facts,
        )
        manifest = self._manifest()
        manifest.setdefault("stages", {})[stage.name] = asdict(record)
        self._write_manifest(manifest)
        self._remove_old(stage.name, keep=final)
        return record

    def input_hash(self, path: Path) -> str:
        """Hash a file's bytes; one whose size and time are as last seen is not read again."""
        seen = self._manifest().get("files", {}).get(str(path))
        facts = path.stat()
        if seen and seen["size"] == facts.st_size and seen["modified"] == facts.st_mtime_ns:
            return str(seen["sha256"])
        return file_hash(path)

    def remember_files(self, paths: Mapping[Path, str]) -> None:
        """Remember hashes with sizes and times, so that the next run need not read the files; the caller holds the lock."""
        manifest = self._manifest()
        manifest["files"] = {
            str(path): {"size": path.stat().st_size, "modified": path.stat().st_mtime_ns, "sha256": digest}
            for path, digest in paths.items()
        }
        self._write_manifest(manifest)

    def _manifest(self) -> dict[str, Any]:
        path = self.root / _MANIFEST
        if not path.exists():
            return {}
        try:
            manifest: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise WorkspaceError(
                f"{path} is damaged ({error})", advice="Remove it: the stages run again, the cache of vectors stays."
            ) from error
        return manifest

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        with write_whole(self.root / _MANIFEST) as aside:
            aside.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")

    def _clear_half_built(self) -> None:
        for leftover in self.root.glob("*.building"):
            shutil.rmtree(leftover, ignore_errors=True)

    def _remove_old(self, stage: str, *, keep: Path) -> None:
        for folder in self.root.glob(f"{stage}-*"):
            if folder != keep and folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _with_room(stage: str, folder: Path, build: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """Build, and say what to do where there is no room for it on the disk."""
    try:
        return build(folder)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        shutil.rmtree(folder, ignore_errors=True)
        raise WorkspaceError(
            f"the result of the stage {stage} could not be written: {error}; the one before it is as it was",
            advice=f"Make room on the disk, then run `{COMMANDS.get(stage, 'kgbuild ' + stage)}` again.",
        ) from error


# stage -> the command that makes it
COMMANDS = {
    "tables": "kgbuild ingest",
    "model": "kgbuild train",
    "links": "kgbuild harmonise",
    "graph": "kgbuild populate",
    "database": "kgbuild populate",
}


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; it takes the place of `path` at the end, or is removed if something fails.

    A device or a pipe is written to as it is: it must never be replaced by a file.
    """
    if path.parent == Path("/dev") or (path.exists() and not path.is_file() and not path.is_dir()):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        aside.replace(path)
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """Give the sha256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def now() -> str:
    """Give the time as ISO 8601, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _changes(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = [f"{what} {name} is new" for name in new if name not in old]
    lines += [f"{what} {name} is gone" for name in old if name not in new]
    return lines + [f"{what} {name} changed" for name in new if name in old and old[name] != new[name]]


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value
    return flat


def _peak_megabytes() -> int:
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
