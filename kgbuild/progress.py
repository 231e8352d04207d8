"""Show how far a stage is: a bar on a terminal, elsewhere a plain line every ten seconds; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "reporter"]

Progress = Callable[[str, int, int], None]  # what, done, of how many

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def reporter() -> Iterator[Progress]:
    """Give a callback for stages to report to."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


def _lines() -> Progress:
    last: dict[str, float] = {}

    def report(what: str, done: int, total: int) -> None:
        now, task = time.monotonic(), _task(what)
        if task not in last:
            last.setdefault(task, now)
        elif done < total and now - last[task] >= _SECONDS_BETWEEN_LINES:
            last[task] = now
            print(f"{what}: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return report


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    tasks: dict[str, TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:

        def report(what: str, done: int, total: int) -> None:
            task = _task(what)
            if task not in tasks:
                tasks[task] = bars.add_task(what, total=total)
            bars.update(tasks[task], description=what, completed=done, total=total)
            if done >= total:
                bars.remove_task(tasks.pop(task))

        yield report


def _task(what: str) -> str:
    """Name what is going on: what follows a colon (losses, speed) changes from report to report.

    >>> _task("train: gwas 5.1; 9,000 pairs/s")
    'train'
    """
    return what.partition(":")[0]
