"""A folder of files comes in; which reader each file belongs to, and which of several to use, goes out.

Each reader looks at the head of a file (its own `recognise`). Of several files of one kind and flavour (one vocabulary,
one ontology) the best is chosen: the whole file before a subset, the richer layout, the newest release, the largest.
Files whose flavours differ stand side by side; so do mapping files, of which development and test gold is only evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from kgbuild.errors import SourceError
from kgbuild.sources import KINDS, Recognised, Sample, reader
from kgbuild.sources.delimited import head
from kgbuild.sources.release import newest_first, says_subset

__all__ = ["Choice", "Found", "choose", "recognise_file", "recognise_folder", "sample"]

# files of these kinds add to each other: another curators' set, tissue, biobank or list of texts
_ADDITIVE = {"curated-mappings", "eqtl", "biobank", "free-text"}
_DOCUMENTATION = re.compile(
    r"(readme|licen[cs]e|notice|changelog)(\..*)?|.*\.(md|rst|html?|pdf|docx?|toml|json|ya?ml|py|sh|log)", re.IGNORECASE
)


class Found(NamedTuple):
    """What is in a folder: recognised files, files that no reader knows, and what was not looked at (documentation, hidden files)."""

    recognised: list[tuple[Path, Recognised]]
    unrecognised: list[Path]
    skipped: list[Path]


@dataclass(frozen=True)
class Choice:
    """A recognised file, whether it is to be used, and why (or why not)."""

    path: Path
    recognised: Recognised
    enabled: bool
    reason: str


def sample(path: Path) -> Sample:
    """Take the head of a file, as recognisers see it; empty for a file that is not text."""
    return Sample(path, head(path))


def recognise_file(path: Path) -> Recognised | None:
    """Offer a file to every reader, in the order of KINDS; give what the first one says that knows it."""
    lines = sample(path)
    if not lines.lines:
        return None
    return next((found for kind in KINDS if (found := reader(kind).recognise(lines)) is not None), None)


def recognise_folder(folder: Path) -> Found:
    """Look at every file below a folder, in the order of their names.

    A file below a folder named mini, sample, demo or the like is held to be a subset.

    Raises:
        SourceError: There is no such folder.
    """
    if not folder.is_dir():
        raise SourceError(folder, "no such folder", advice="Give the folder that your data files are in.")
    found = Found([], [], [])
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or _DOCUMENTATION.fullmatch(path.name):
            found.skipped.append(path)
        elif (recognised := recognise_file(path)) is None:
            found.unrecognised.append(path)
        else:
            subset = recognised.subset or says_subset(inside.parent)
            found.recognised.append((path, replace(recognised, subset=subset)))
    return found


def choose(found: Iterable[tuple[Path, Recognised]]) -> list[Choice]:
    """Say of each file whether it is to be used; the order stays.

    A mapping file gets the option `use`: development and test gold is evaluated, never trained on.
    """
    files = [(path, _with_use(recognised)) for path, recognised in found]
    groups: dict[tuple[str, str], list[tuple[Path, Recognised]]] = {}
    reasons = {path: (False, recognised.why) for path, recognised in files if recognised.unasked}
    for path, recognised in files:
        if recognised.unasked:
            continue
        groups.setdefault((recognised.kind, "" if recognised.kind in _ADDITIVE else recognised.flavour), []).append((path, recognised))
    for (kind, _), group in groups.items():
        reasons |= _additive(group) if kind in _ADDITIVE else _best(group)
    return [Choice(path, recognised, *reasons[path]) for path, recognised in files]


def _with_use(recognised: Recognised) -> Recognised:
    if recognised.kind != "curated-mappings":
        return recognised
    return replace(recognised, options={**recognised.options, "use": "evaluate" if recognised.evaluation else "fit"})


def _additive(group: Sequence[tuple[Path, Recognised]]) -> dict[Path, tuple[bool, str]]:
    whole = [path for path, recognised in group if not recognised.subset]
    reasons = {}
    for path, recognised in group:
        if recognised.subset and whole:
            reasons[path] = (False, f"a subset; {_names(whole)} {'is' if len(whole) == 1 else 'are'} there")
        else:
            evaluated = recognised.kind == "curated-mappings" and recognised.evaluation
            reasons[path] = (True, "held out: evaluated, never trained on" if evaluated else recognised.why)
    return reasons


def _best(group: Sequence[tuple[Path, Recognised]]) -> dict[Path, tuple[bool, str]]:
    ages = newest_first(recognised.version for _, recognised in group)
    order = sorted(group, key=lambda file: (file[1].subset, -file[1].preference, ages[file[1].version], -_text_size(file[0]), str(file[0])))
    best_path, best = order[0]
    others = order[1:]
    reasons = {path: (False, f"{_why_not(path, recognised, best_path, best, ages)} {_names([best_path])}") for path, recognised in others}
    return {best_path: (True, f"chosen before {_names(path for path, _ in others)}" if others else f"the only one: {best.why}"), **reasons}


def _why_not(path: Path, recognised: Recognised, best_path: Path, best: Recognised, ages: dict[str, int]) -> str:
    if recognised.subset and not best.subset:
        return "a subset, beside the whole"
    if recognised.preference < best.preference:
        return "says less than"
    if ages[recognised.version] > ages[best.version]:
        return f"older ({recognised.version or 'no version stated'}) than release {best.version} in"
    return "smaller than" if _text_size(path) < _text_size(best_path) else "as good as"


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(f"{path.parent.name}/{path.name}" for path in paths)


def _text_size(path: Path) -> int:
    """Give the size in bytes, of a gzip file as its trailer states it (modulo 4 GiB)."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        if handle.read(2) != b"\x1f\x8b" or size < 4:
            return size
        handle.seek(-4, 2)
        return max(size, int.from_bytes(handle.read(4), "little"))
