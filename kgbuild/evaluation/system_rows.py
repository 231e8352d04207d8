"""Systems by name and a split in, their rows in the table of SNP-trait pairs out: the same pairs and negatives for each.

A system that cannot place one side of a pair has no score for it. Such a pair counts as lower than any that has one, and two
of them as equal; `placed` says for how many held-out pairs there is a score, so that a low AUC can be told from a low reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.draws import Draws, World, interval

if TYPE_CHECKING:
    import pandas as pd

    from kgbuild.evaluation.evaluated import Evaluated, Options
    from kgbuild.evaluation.systems import System

__all__ = ["system_rows"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_RANKED = 500  # pairs whose trait is ranked among all
AT_A_TIME = 2_000_000  # pairs that are scored at a time then


def system_rows(evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    """Give two rows for each system that was asked for, anchored on the trait and on the SNP; one with the reason where it cannot run.

    Raises:
        UsageError: There is no system of a name.
        WorkspaceError: There is no model whose held-out pairs could be scored.
    """
    if not evaluated.options.systems:
        return
    scorer, split = evaluated.model()
    if scorer.evidence is None:
        return
    drawn = _Drawn.of(scorer.world(evaluated.tables_dir), scorer.model.snp_ids, split, evaluated.options)
    for name, system, why in evaluated.systems():
        figures = {} if system is None or drawn is None else drawn.figures(system)
        if figures:
            yield from ({"what": "held out", "ranked_by": name, **row} for row in figures.values())
        else:
            yield {"what": "held out", "ranked_by": name, "note": why or "it places none of the held-out pairs"}


class _Drawn:
    """Held-out pairs with their negatives, drawn some times, and again with negatives of the same degree."""

    def __init__(self, draws: Sequence[tuple[Draws, Draws]], snps: Sequence[str], resamples: int) -> None:
        self._draws, self._snps, self._resamples = draws, snps, resamples

    @classmethod
    def of(cls, world: World, snps: Sequence[str], split: pd.DataFrame, options: Options) -> _Drawn | None:
        draws = []
        for draw in range(options.draws):
            pair = [
                Draws.of(world, split, options.part, most_pairs=options.most_pairs, seed=options.seed, draw=draw, matched=matched)
                for matched in (False, True)
            ]
            if pair[0] is None or pair[1] is None:
                return None
            draws.append((pair[0], pair[1]))
        return cls(draws, snps, options.resamples)

    def figures(self, system: System) -> dict[str, dict[str, Any]]:
        """Give a row by anchor; none where the system scores no held-out pair."""
        first = self._draws[0][0]
        placed = np.isfinite(_scored(system, first, self._snps, first.positive))
        if not placed.any():
            return {}
        plain = [self._each(system, draws) for draws, _ in self._draws]
        matched = [self._each(system, draws) for _, draws in self._draws]
        rows: dict[str, dict[str, Any]] = {}
        for anchor in ("trait", "snp"):
            means = [float(np.nanmean(each[anchor])) for each in plain]
            rows[anchor] = {
                "anchor": anchor,
                "n": first.n,
                "placed": float(placed.mean()),
                "auc": float(np.mean(means)),
                "interval": interval(plain[0][anchor], first.loci, resamples=self._resamples),
                "matched": float(np.mean([np.nanmean(each[anchor]) for each in matched])),
            }
        rows["snp"] |= self._ranks(system, first)
        return rows

    def _each(self, system: System, draws: Draws) -> dict[str, Floats]:
        positive, other_snp, other_text = (
            _lowest(_scored(system, draws, self._snps, side)) for side in (draws.positive, draws.other_snp, draws.other_text)
        )
        return {
            "trait": draws.each_auc(positive, other_snp, draws.valid_snp),
            "snp": draws.each_auc(positive, other_text, draws.valid_text),
        }

    def _ranks(self, system: System, draws: Draws) -> dict[str, float]:
        """Rank the trait of held-out pairs among all traits of training; known and related ones are left out."""
        n_texts = draws.world.n_seen_texts
        chosen = np.flatnonzero(draws.positive[0] < n_texts)[:MOST_RANKED]
        if not len(chosen) or n_texts < 2:
            return {}
        ranks = []
        step = max(1, AT_A_TIME // n_texts)
        for start in range(0, len(chosen), step):
            rows = chosen[start : start + step]
            snps = draws.positive[1][rows]
            pairs = np.tile(np.arange(n_texts), len(rows)), np.repeat(snps, n_texts)
            scores = _lowest(_scored(system, draws, self._snps, pairs)).reshape(len(rows), n_texts)
            allowed = ~draws.world.known(*pairs).reshape(scores.shape)
            own = scores[np.arange(len(rows)), draws.positive[0][rows]][:, None]
            ranks.append(1 + ((scores > own) & allowed).sum(axis=1) + 0.5 * ((scores == own) & allowed).sum(axis=1))
        all_ranks = np.concatenate(ranks)
        return {"mrr": float(np.mean(1 / all_ranks)), "recall_at_10": float(np.mean(all_ranks <= 10))}


def _scored(system: System, draws: Draws, snps: Sequence[str], side: tuple[Integers, Integers]) -> npt.NDArray[np.floating]:
    return system.text_snp(draws.texts, side[0], snps, side[1])


def _lowest(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    return np.where(np.isnan(scores), -np.inf, scores).astype(np.float32)
