"""What is evaluated: the folders of a workspace, its model, what was held out, and how figures are drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kgbuild.errors import UsageError, WorkspaceError

if TYPE_CHECKING:
    import pandas as pd

    from kgbuild.evaluation.systems import System
    from kgbuild.evaluation.training_part import TrainingPart
    from kgbuild.scoring import Scorer

__all__ = ["Evaluated", "Options"]

CHOICES = {"part": ("test", "development"), "anchor": ("left", "right", "both")}

Encode = Callable[[list[str]], npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Options:
    """What a person asked for.

    Args:
        part: Of the split: `test`, or `development` while something is still being chosen.
        draws: How often negatives are drawn; figures are means over draws.
        resamples: Of loci, traits or SNPs, for an interval.
        seed: Of draws and resamples.
        trainings: The model, and so many less one that are trained with other seeds for the evaluation.
        areas: Diseases, as names or ids, whose genes and SNPs are drawn as a map.
        most_pairs: Held-out pairs that are evaluated at most.
        files: Files of pairs.
        anchor: Of a file's pairs: which side stays, `left`, `right` or `both`.
        systems: Others to put beside the model, by the names of `kgbuild.evaluation.systems`.
        pykeen: The Python of an environment that has PyKEEN, for graph models.
        lay: Files of lay language in COMETA's columns.
    """

    part: str = "test"
    draws: int = 5
    resamples: int = 500
    seed: int = 20261121
    trainings: int = 1
    most_pairs: int = 10_000
    files: tuple[Path, ...] = ()
    anchor: str = "both"
    systems: tuple[str, ...] = ()
    pykeen: str = ""
    areas: tuple[str, ...] = ()
    lay: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for name, value in (("part", self.part), ("anchor", self.anchor)):
            if value not in CHOICES[name]:
                raise UsageError(f"--{name} {value} is not known", advice=f"Say one of: {', '.join(CHOICES[name])}.")


@dataclass(frozen=True)
class Evaluated:
    """A workspace as the tables of an evaluation see it.

    Args:
        tables_dir: Tables.
        cache_dir: Where vectors and trained graph models are kept.
        links_dir: Links and their figures; None: not harmonised yet.
        model_dir: The model; None: not trained yet.
        scorer: The model with what its score needs; None where there is none that places SNPs.
        encode: Texts -> unit vectors in the base encoder's space, (texts, d).
        encoder: Its name.
        split: The SNP-trait pairs that the model was not trained on (`kgbuild.splits.SNP_TRAIT_COLUMNS`).
        target: Vocabulary that codes and texts are linked to.
        options: What was asked for.
        progress: Told what is done.
        retrain: Trains aside, `seed` being another or `without` some tasks, and gives it evaluated for as long as the context is
            open; None where that cannot be.
    """

    tables_dir: Path
    cache_dir: Path
    links_dir: Path | None
    model_dir: Path | None
    scorer: Scorer | None
    encode: Encode
    encoder: str
    split: pd.DataFrame | None
    target: str = "efo"
    options: Options = field(default_factory=Options)
    progress: Callable[[str, int, int], None] | None = None
    retrain: Callable[..., AbstractContextManager[Evaluated]] | None = None

    def model(self) -> tuple[Scorer, pd.DataFrame]:
        """Give the scorer and what was held out from its training.

        Raises:
            WorkspaceError: There is no model that places SNPs and texts in one space.
        """
        if self.scorer is None or self.split is None:
            raise WorkspaceError(
                "there is no model that places SNPs and texts in one space",
                advice='Run `kgbuild train` with method = "generel" or "centroid" under [train].',
            )
        return self.scorer, self.split

    @cached_property
    def training_part(self) -> TrainingPart:
        """What the model was trained on, for others to be trained on the same.

        Raises:
            WorkspaceError: There is no model that places SNPs and texts in one space.
        """
        from kgbuild.evaluation.training_part import TrainingPart

        scorer, _ = self.model()
        assert self.model_dir is not None  # - a scorer comes of a model
        return TrainingPart.of(self.tables_dir, self.cache_dir, self.model_dir, scorer.model.description["splits"])

    def systems(self) -> Iterator[tuple[str, System | None, str]]:
        """Open the systems that were asked for, one after the other: name, system, and why there is none.

        Raises:
            UsageError: A name is that of no system; said before any of them is opened.
        """
        from kgbuild.evaluation.systems import each_system

        pykeen = Path(self.options.pykeen) if self.options.pykeen else None
        return each_system(self.options.systems, self.training_part, scorer=self.scorer, pykeen=pykeen, progress=self.progress)

    def trained_again(self) -> Iterator[Evaluated]:
        """Give the same for each further training that was asked for; one is there at a time.

        Raises:
            WorkspaceError: It cannot be trained again.
        """
        for number in range(1, self.options.trainings):
            if self.retrain is None:
                raise WorkspaceError("a model that was trained for this evaluation is not trained again")
            with self.retrain(seed=1_000 + number) as other:
                yield other

    def embed(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Give unit vectors in the model's space where there is one, else the encoder's."""
        raw = self.encode(texts)
        return raw if self.scorer is None else self.scorer.model.text_vectors(raw, texts)
