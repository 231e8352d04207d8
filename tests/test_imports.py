"""Imports: the command line starts without heavy libraries, and modules know only those before them."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("faiss", "jpype", "lightgbm", "neo4j", "networkx", "pandas", "pyarrow", "scipy", "sklearn", "torch", "transformers")


def _loaded_by(statement: str) -> list[str]:
    """Name the heavy libraries that a fresh interpreter has loaded after a statement."""
    program = f"import sys\n{statement}\nprint(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_the_command_line_loads_no_heavy_library() -> None:
    assert _loaded_by("import kgbuild.cli") == []


def test_the_probe_sees_a_heavy_library() -> None:
    assert _loaded_by("import networkx") == ["networkx"]


def test_modules_import_only_what_comes_before_them() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(no_cache=True) == 0
