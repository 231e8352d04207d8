"""What is public is written down: `__all__` of every module names what exists, and each of it says what it does."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

import pytest

import embedder
import kgbuild

NEEDS_TORCH = {  # by itself, or when its names are looked up
    "embedder",
    *(
        f"embedder.{name}"
        for name in (
            "__main__",
            "biobridge",
            "checkpoint",
            "estimation",
            "language_model",
            "learner",
            "loss",
            "model",
            "processes",
            "training",
        )
    ),
}
RUN = {"kgbuild.__main__", "kgbuild.evaluation.__main__"}  # run when imported
NAMES = {"kgbuild", "embedder"} | {
    module.name for package in (kgbuild, embedder) for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
}
MODULES = [pytest.param(name, marks=[pytest.mark.slow] if name in NEEDS_TORCH else [], id=name) for name in sorted(NAMES - RUN)]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_and_is_named_once(name: str) -> None:
    module = importlib.import_module(name)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_function_and_class_says_what_it_does(name: str) -> None:
    module = importlib.import_module(name)
    ours = [(public, getattr(module, public)) for public in module.__all__]
    silent = [public for public, value in ours if (inspect.isfunction(value) or inspect.isclass(value)) and not _says_something(value)]
    assert (bool(module.__doc__), silent) == (True, [])


def _says_something(value: type | Callable[..., object]) -> bool:
    """Tell whether there is a docstring that somebody wrote: those of dataclasses are made from the fields."""
    return bool(value.__doc__) and not str(value.__doc__).startswith(f"{value.__name__}(")


# commands are reached by their names on the command line, not by import
@pytest.mark.parametrize("name", [module for module in MODULES if module.id != "kgbuild.cli"])
def test_what_is_defined_without_underscore_is_public(name: str) -> None:
    module = importlib.import_module(name)
    defined = {
        key for key, value in vars(module).items() if (inspect.isfunction(value) or inspect.isclass(value)) and value.__module__ == name
    }
    assert sorted(key for key in defined if not key.startswith("_") and key not in module.__all__) == []
