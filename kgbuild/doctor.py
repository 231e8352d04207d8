"""A machine, a workspace and a store in; one line each for what is well and what is not, with what to do about it, out."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from kgbuild import configuration as configurations
from kgbuild import pipeline
from kgbuild.errors import KgbuildError
from kgbuild.workspace import Workspace

if TYPE_CHECKING:
    from kgbuild.configuration import Configuration
    from kgbuild.stores.neo4j import Neo4jStore

__all__ = ["Finding", "examine"]

_PACKAGES = ("numpy", "pandas", "pyarrow", "scikit-learn", "faiss-cpu", "transformers", "neo4j", "arcadedb-embedded")
_GIGABYTE = 2**30
_LITTLE_DISK, _LITTLE_MEMORY = 10, 8  # GB: the full public data take 6 of memory and some 5 of disk


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `ok`, `note` (works, but know this) or `fault`, and what to do."""

    what: str
    state: Literal["ok", "note", "fault"]
    text: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(workspace: Workspace | None, *, at: str | None = None, ask: pipeline.Ask | None = None) -> Iterator[Finding]:
    """Look at Python, packages, memory, disk, the workspace's stages, its text encoder and its store.

    Args:
        workspace: None where there is none yet: the machine is looked at all the same.
        at: A Neo4j server's address; None: as the configuration says.
    """
    yield _python()
    yield from _packages()
    yield _torch()
    yield _memory()
    if workspace is None:
        yield Finding("workspace", "note", "none here", "Make one with `kgbuild init FOLDER --data DOWNLOADS`, or try `kgbuild demo`.")
        return
    yield _disk(workspace)
    try:
        configuration = configurations.load(workspace.configuration_path)
        states = pipeline.status(workspace)
    except KgbuildError as error:
        yield Finding("configuration", "fault", error.message, error.advice)
        return
    yield Finding("configuration", "ok", f"{workspace.configuration_path}: {len(configuration.sources)} sources")
    for state in states:
        stale = Finding(state.stage, "note", f"stale: {'; '.join(state.reasons)}", f"`{state.command}`")
        yield stale if state.reasons else Finding(state.stage, "ok", f"up to date ({state.record.finished if state.record else ''})")
    yield _guarded("encoder", lambda: _encoder(configuration))
    if at or configuration.graph.to:
        yield from _server(workspace, at, ask)
    elif workspace.record("database"):
        yield _guarded("embedded engine", lambda: _embedded(workspace))


def _guarded(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except KgbuildError as error:
        return Finding(what, "fault", error.message, error.advice)
    except Exception as error:  # a broken package raises anything; the doctor goes on
        return Finding(what, "fault", f"{type(error).__name__}: {error}", "Install kgbuild again: `pip install --force-reinstall kgbuild`.")


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.platform()}"
    return Finding("Python", "ok" if sys.version_info >= (3, 11) else "fault", text, "" if sys.version_info >= (3, 11) else "Needs 3.11.")


def _packages() -> Iterator[Finding]:
    found = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        yield Finding("packages", "fault", f"missing: {', '.join(missing)}", f"`pip install {' '.join(missing)}`")
    yield Finding("packages", "ok", ", ".join(f"{name} {version}" for name, version in found.items() if version))
    if _version("neo4j-rust-ext") is None:
        yield Finding("neo4j-rust-ext", "note", "not installed", "`pip install 'kgbuild[neo4j]'`: Neo4j's own faster driver.")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch() -> Finding:
    if _version("torch") is None:
        return Finding("torch", "fault", "missing", '`pip install torch`, or do without: encoder "hashed" and method "centroid".')
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads"
    return Finding("torch", "ok", f"{torch.__version__}, {device}")


def _memory() -> Finding:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIGABYTE
    except (AttributeError, ValueError, OSError):  # not on Windows
        return Finding("memory", "note", "not known here")
    if total < _LITTLE_MEMORY:
        return Finding("memory", "note", f"{total:.0f} GB", f"Full public data take 6 GB; below {_LITTLE_MEMORY} GB use a part of them.")
    return Finding("memory", "ok", f"{total:.0f} GB")


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.root).free / _GIGABYTE
    if free < _LITTLE_DISK:
        return Finding(
            "disk", "note", f"{free:.1f} GB free at {workspace.root}", "A full workspace takes some 5 GB, and its successor beside it."
        )
    return Finding("disk", "ok", f"{free:.0f} GB free at {workspace.root}")


def _encoder(configuration: Configuration) -> Finding:
    from embedder import EncoderSpec, open_encoder

    wanted = configuration.encoder
    encoder = open_encoder(EncoderSpec(wanted.model, wanted.pooling, "fp32", wanted.max_length))
    width = len(encoder.encode(["type 2 diabetes"])[0])
    return Finding("encoder", "ok", f"{wanted.model}: gives vectors of {width}")


def _embedded(workspace: Workspace) -> Finding:
    with pipeline.open_graph(workspace) as store:
        [row] = store.query("MATCH (b:Build) RETURN b.kgbuild_version AS version, b.schema_version AS schema")
    return Finding("embedded engine", "ok", f"opens and answers; loaded by kgbuild {row['version']}, schema {row['schema']}")


def _server(workspace: Workspace, at: str | None, ask: pipeline.Ask | None) -> Iterator[Finding]:
    try:
        with pipeline.open_server(workspace, at=at, ask=ask) as server:
            yield _guarded("Neo4j", lambda: _components(server))
            yield _guarded("Neo4j build", lambda: _build(server))
            yield from _indexes(server)
    except KgbuildError as error:
        yield Finding("Neo4j", "fault", error.message, error.advice)


def _components(server: Neo4jStore) -> Finding:
    [row] = server.query("CALL dbms.components() YIELD name, versions, edition RETURN name, versions[0] AS version, edition LIMIT 1")
    too_old = tuple(int(part) for part in row["version"].split(".")[:2]) < (5, 26)
    return Finding(
        "Neo4j",
        "fault" if too_old else "ok",
        f"{row['version']} {row['edition']} at {server.where}",
        "kgbuild needs 5.26 or later." if too_old else "",
    )


def _build(server: Neo4jStore) -> Finding:
    state = server.build_state()
    load = f"`kgbuild populate --to {server.where.uri}`"
    if state is None and (strangers := server.strangers()):
        return Finding(
            "Neo4j build", "fault", f"holds {sum(strangers.values()):,} nodes that kgbuild did not write", "Use another database."
        )
    if state is None:
        return Finding("Neo4j build", "note", "the database is empty", load)
    if state["state"] != "complete":
        return Finding("Neo4j build", "fault", "a load did not come to its end", f"{load} goes on from there.")
    if state["vanished"]:
        return Finding(
            "Neo4j build", "note", f"{sum(state['vanished'].values()):,} rows are no more in the graph", f"{load} --prune removes them."
        )
    return Finding("Neo4j build", "ok", "complete")


def _indexes(server: Neo4jStore) -> Iterator[Finding]:
    from kgbuild.stores.neo4j_schema import index_names

    rows = server.query("SHOW INDEXES YIELD name, state, populationPercent RETURN name, state, populationPercent AS percent ORDER BY name")
    found = {row["name"]: row for row in rows}
    missing = [name for name in index_names() if name not in found]
    waiting = [f"{row['name']} {row['state'].lower()} ({row['percent']:.0f} %)" for row in rows if row["state"] != "ONLINE"]
    if missing:
        yield Finding("Neo4j indexes", "note", f"missing: {', '.join(missing)}", "`kgbuild populate` makes them.")
    if waiting:
        yield Finding(
            "Neo4j indexes", "note", ", ".join(waiting), "They answer when they are online; FAILED ones: drop them and populate again."
        )
    if not missing and not waiting:
        yield Finding("Neo4j indexes", "ok", f"{len(found)} online")
