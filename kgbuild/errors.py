"""What can go wrong, as one tree; each error knows the exit code the command line ends with.

KgbuildError            1   something went wrong that no class below names
├── UsageError          2   an argument or a parameter is not what it should be
│   └── ConfigurationError  kgbuild.toml holds something it should not
├── SourceError         3   a file cannot be read as what it claims to be
├── WorkspaceError      4   the workspace is missing, half set up, or lacks a stage's result
│   └── WorkspaceBusy       another kgbuild holds the workspace's lock
├── ModelError          5   an encoder or a trained model is missing, damaged or does not fit
└── StoreError          6   the graph's engine is missing, refuses, or holds what it should not
    └── QueryError          a template or its parameters were refused
"""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "ConfigurationError",
    "KgbuildError",
    "ModelError",
    "QueryError",
    "SourceError",
    "StoreError",
    "UsageError",
    "WorkspaceBusy",
    "WorkspaceError",
]


class KgbuildError(Exception):
    """Say what happened, what was expected, and what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}\n  {self.advice}" if self.advice else self.message


class UsageError(KgbuildError):
    """An argument or a parameter is not what it should be."""

    exit_code = 2


class ConfigurationError(UsageError):
    """kgbuild.toml holds something it should not."""


class SourceError(KgbuildError):
    """A file cannot be read as what it claims to be.

    >>> print(SourceError("ld.tsv", "too few columns", line=7, value="rs1", expected="5 columns"))
    ld.tsv, line 7: too few columns
      found: 'rs1'
      expected: 5 columns
    """

    exit_code = 3

    def __init__(
        self,
        path: Path | str,
        message: str,
        *,
        line: int | None = None,
        value: str | None = None,
        expected: str = "",
        advice: str = "",
    ) -> None:
        self.path = Path(path)
        self.line = line
        self.value = value
        self.expected = expected
        place = f"{path}, line {line}" if line is not None else str(path)
        parts = [f"{place}: {message}"]
        if value is not None:
            shown = value if len(value) <= 200 else value[:200] + "…"
            parts.append(f"  found: {shown!r}")
        if expected:
            parts.append(f"  expected: {expected}")
        super().__init__("\n".join(parts), advice=advice)


class WorkspaceError(KgbuildError):
    """The workspace is missing, half set up, or lacks a stage's result."""

    exit_code = 4


class WorkspaceBusy(WorkspaceError):
    """Another kgbuild holds the workspace's lock."""


class ModelError(KgbuildError):
    """An encoder or a trained model is missing, damaged or does not fit."""

    exit_code = 5


class StoreError(KgbuildError):
    """The graph's engine is missing, refuses, or holds what it should not."""

    exit_code = 6


class QueryError(StoreError):
    """A template or its parameters were refused."""

    exit_code = 2
