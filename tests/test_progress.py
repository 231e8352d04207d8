"""Progress off a terminal: a line now and then for each task, whatever words change in between."""

from __future__ import annotations

import pytest

from kgbuild import progress


def test_a_task_whose_words_change_is_still_one_task(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    with progress.reporter() as report:
        for done in (1, 2, 3):
            report(f"train: loss {1 / done:.2f}", done, 3)
    assert capsys.readouterr().err == "train: loss 0.50: 2 of 3\n"
