"""Pairs of concepts that training did not see in, what each part of their score is worth out: by itself, and what is lost without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.errors import WorkspaceError
from kgbuild.evaluation.concepts import MOST_PAIRS, evaluate_pairs, worlds
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section
from kgbuild.relatedness import PARTS, Relatedness, pair_cosines

if TYPE_CHECKING:
    from kgbuild.evaluation.concepts import PairScores

__all__ = ["evaluate"]

_COLUMNS = {
    "what": "pairs", "part": "part", "anchor": "anchored on", "n": "n", "alone": "AUC, this part alone", "alone_matched": "negatives of the same degree",
    "without": "AUC without it", "without_matched": "without it, negatives of the same degree",
}  # fmt: skip


def evaluate(evaluated: Evaluated) -> Section:
    """Give two figures for each part of the score of two texts.

    Raises:
        WorkspaceError: There is no model, or none with a score for two texts.
    """
    scorer, _ = evaluated.model()
    if scorer.relatedness is None:
        raise WorkspaceError("the model has no score for two texts", advice="Train again on tables with a knowledge graph: kgbuild train")
    options = evaluated.options
    rows: list[dict[str, Any]] = []
    for table, world, held in worlds(evaluated):
        scores = _by_parts(scorer.relatedness, evaluated, world.texts)
        found = evaluate_pairs(
            table, world, held, scores, draws=options.draws, seed=options.seed, most_pairs=min(options.most_pairs, MOST_PAIRS), ranks=False
        )
        by_name = {(row["anchor"], row["ranked_by"]): row for row in found}
        for anchor in dict.fromkeys(row["anchor"] for row in found):
            for part in ("all", *PARTS):
                ways = {"alone": by_name.get((anchor, part)), "without": by_name.get((anchor, f"without {part}"))}
                figures = {
                    f"{way}{end}": row.get(key) for way, row in ways.items() if row for end, key in (("", "auc"), ("_matched", "matched"))
                }
                rows.append({"what": table, "part": part, "anchor": anchor, "n": len(held), **figures})
    return Section(
        "Parts of the score of concept pairs",
        _COLUMNS,
        rows,
        ("what", "part", "anchor"),
        ["kgbuild/relatedness.py says what each part is."],
    )


def _by_parts(relatedness: Relatedness, evaluated: Evaluated, texts: list[str]) -> PairScores:
    base, vectors = evaluated.encode(texts), evaluated.embed(texts)

    def scores(_: list[str], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        # the log odds; pairs of a kind without weights keep their cosine, as in the score
        similarity = pair_cosines(vectors, left, right)
        found = {name: np.array(similarity) for name in ("all", *PARTS, *(f"without {part}" for part in PARTS))}
        for places, intercept, parts in relatedness.contributions(texts, base, similarity, left, right):
            total = intercept + sum(parts.values(), np.zeros(len(places)))
            found["all"][places] = total
            for part in PARTS:
                found[part][places] = parts.get(part, 0.0)
                found[f"without {part}"][places] = total - parts.get(part, 0.0)
        return found

    return scores
