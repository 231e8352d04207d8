"""Pairs of concepts that training did not see in, figures out: disease-gene, pathway-gene, indication-drug, drug-gene, indication-gene."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.concept_pairs import TABLES, concept_pairs
from kgbuild.draws import interval
from kgbuild.errors import WorkspaceError
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section
from kgbuild.relatedness import pair_cosines
from kgbuild.splits import read_split

if TYPE_CHECKING:
    import pandas as pd

    from kgbuild.evaluation.systems import System
    from kgbuild.scoring import Scorer

__all__ = ["MOST_PAIRS", "PairScores", "World", "evaluate", "evaluate_pairs", "worlds"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PairScores = Callable[[list[str], Integers, Integers], Mapping[str, npt.NDArray[Any]]]  # texts, left rows, right rows -> scores by name

N_NEGATIVES = 20  # of each pair in each draw
DEGREE = "degree alone"
MOST_PAIRS = 2_000  # of one table; its interval is narrow enough
MOST_RANKED = 100  # pairs that are ranked among all candidates
NEAR = 0.02  # share of the candidates, on either side in the order of degree, among which a matched negative is drawn

_COLUMNS = {
    "what": "pairs", "ranked_by": "ranked by", "anchor": "anchored on", "n": "n", "auc": "AUC", "interval": "95 % interval", "spread": "± over draws",
    "matched": "AUC, negatives of the same degree", "mrr": "MRR, filtered", "recall_at_10": "R@10", "reason": "why not",
}  # fmt: skip


def evaluate(evaluated: Evaluated) -> Section:
    """Give the figures of held-out pairs: similarity, score, and the degree alone, anchored on either side.

    Raises:
        WorkspaceError: There is no model, or it was saved without a split of concept pairs.
    """
    scorer, _ = evaluated.model()
    options = evaluated.options
    rows: list[dict[str, Any]] = []
    tables = list(worlds(evaluated))
    for table, world, held in tables:
        rows += _rows(evaluated, table, world, held, _own_scores(scorer, evaluated, world.texts))
    for name, system, why_not in evaluated.systems() if options.systems else ():
        if system is None:
            rows.append({"what": "all", "ranked_by": name, "reason": why_not})
            continue
        for table, world, held in tables:
            rows += _rows(evaluated, table, world, held, _system_scores(system, table), beside=True)
    notes = [
        "Negatives are names that training linked to anything in the same table, never to the one that stays. Intervals resample it.",
        f"Ranks: of at most {MOST_RANKED} pairs, among all names of the table, known ones left out.",
    ]
    if options.part == "development":
        notes.append("The score knows the development part: its weights were fitted on it, and it is among what is known of the texts.")
    return Section("Concept-concept pairs", _COLUMNS, rows, ("what", "ranked_by", "anchor"), notes)


def _rows(
    evaluated: Evaluated, table: str, world: World, held: pd.DataFrame, scores: PairScores, *, beside: bool = False
) -> list[dict[str, Any]]:
    """Give the rows of one table; what stands beside the model needs no second row of the degree."""
    o = evaluated.options
    found = evaluate_pairs(
        table, world, held, scores, draws=o.draws, resamples=o.resamples, seed=o.seed, most_pairs=min(o.most_pairs, MOST_PAIRS)
    )
    return [row for row in found if not beside or row["ranked_by"] != DEGREE]


def _system_scores(system: System, table: str) -> PairScores:
    """Give what scores pairs with another system; a pair that it cannot place comes last."""
    predicate = None
    if table in TABLES:
        predicate = TABLES[table].predicate if TABLES[table].turned else f"inverse of {TABLES[table].predicate}"

    def scores(texts: list[str], left: Integers, right: Integers) -> dict[str, npt.NDArray[Any]]:
        found = np.asarray(system.text_text(texts, left, right, predicate), dtype=float)
        return {system.name: np.where(np.isnan(found), -np.inf, found)}

    return scores


def worlds(evaluated: Evaluated) -> Iterator[tuple[str, World, pd.DataFrame]]:
    """Give each table of concept pairs with what is known in it, and what is held out of it.

    Raises:
        WorkspaceError: There is no model, or it was saved without a split of concept pairs.
    """
    scorer, _ = evaluated.model()
    hashes = scorer.model.description.get("splits", {})
    if evaluated.model_dir is None or "concepts" not in hashes:
        raise WorkspaceError("the model was trained without keeping pairs of concepts", advice="Train again: kgbuild train")
    split = read_split(evaluated.model_dir / "concepts.tsv", hashes["concepts"])
    known = concept_pairs(evaluated.tables_dir)
    for table in dict.fromkeys(known["table"]):
        yield table, World.of(known, split, table), split[(split["table"] == table) & (split["part"] == evaluated.options.part)]


def _own_scores(scorer: Scorer, evaluated: Evaluated, texts: list[str]) -> PairScores:
    """Give what scores pairs of these texts with the workspace's model: similarity and score."""
    base, vectors = evaluated.encode(texts), evaluated.embed(texts)

    def scores(_: list[str], left: Integers, right: Integers) -> dict[str, npt.NDArray[Any]]:
        similarity = pair_cosines(vectors, left, right)
        if scorer.relatedness is None:
            return {"similarity": similarity}
        return {"similarity": similarity, "score": scorer.relatedness.score(texts, base, similarity, left, right)}

    return scores


@dataclass(frozen=True)
class World:
    """One table: the names on either side, how many of the other side training linked to each, and what is known to go together."""

    texts: list[str]
    left: Integers  # candidates, as rows of texts
    right: Integers
    degree: Integers  # of each text
    known: npt.NDArray[np.int64]  # sorted concept pairs, of training and held out
    concept: Integers  # of each text

    @classmethod
    def of(cls, pairs: pd.DataFrame, split: pd.DataFrame, table: str) -> World:
        """Take from all pairs those of a table; held-out ones count as known, but give no degree."""
        pairs = pairs[pairs["table"] == table]
        held = set(zip(split["left_id"], split["right_id"], strict=True)) if len(split) else set()
        trained = np.array([pair not in held for pair in zip(pairs["left_id"], pairs["right_id"], strict=True)], dtype=bool)
        numbers: dict[tuple[str, int], int] = {}
        sides = []
        for side in ("left", "right"):
            of_side = zip(pairs[f"{side}_name"], pairs[side], strict=True)
            sides.append(np.array([numbers.setdefault((name, concept), len(numbers)) for name, concept in of_side], dtype=np.int64))
        left, right = sides
        degree = np.bincount(left[trained], minlength=len(numbers)) + np.bincount(right[trained], minlength=len(numbers))
        concept = np.array([number for _, number in numbers], dtype=np.int64)
        known = np.unique(concept[left] * _WIDE + concept[right])
        return cls([name for name, _ in numbers], np.unique(left[trained]), np.unique(right[trained]), degree, known, concept)

    def is_known(self, left: Integers, right: Integers) -> npt.NDArray[np.bool_]:
        keys = self.concept[left] * _WIDE + self.concept[right]
        at = np.minimum(np.searchsorted(self.known, keys), len(self.known) - 1)
        return np.asarray(self.known[at] == keys)

    def draw(
        self, left: Integers, right: Integers, anchor: str, random: np.random.Generator, *, matched: bool = False
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Draw N_NEGATIVES for the side that is exchanged; those known to go with the anchor are drawn again, some times.

        Returns:
            (n, N_NEGATIVES) rows of texts, and which of them are negatives.
        """
        pool, away = (self.right, right) if anchor == "left" else (self.left, left)
        pool = pool[np.lexsort((random.random(len(pool)), self.degree[pool]))]
        first, last = (np.searchsorted(self.degree[pool], self.degree[away], side=side) for side in ("left", "right"))
        middle = (first + last) / 2
        reach = max(1, int(NEAR * len(pool)))

        def drawn() -> Integers:
            if not matched:
                return np.asarray(pool[random.integers(0, len(pool), (len(away), N_NEGATIVES))])
            low = np.clip(middle.astype(np.int64) - reach, 0, max(0, len(pool) - 2 * reach))
            return np.asarray(pool[np.minimum(low[:, None] + random.integers(0, 2 * reach, (len(away), N_NEGATIVES)), len(pool) - 1)])

        def bad(other: Integers) -> npt.NDArray[np.bool_]:
            stays = np.repeat(left if anchor == "left" else right, N_NEGATIVES)
            pair = (stays, other.ravel()) if anchor == "left" else (other.ravel(), stays)
            return self.is_known(*pair).reshape(other.shape)

        other = drawn()
        for _ in range(5):
            other = np.where(bad(other), drawn(), other)
        return other, ~bad(other)


_WIDE = 1 << 31


def evaluate_pairs(
    table: str,
    world: World,
    held: pd.DataFrame,
    scores: PairScores,
    *,
    draws: int = 5,
    resamples: int = 500,
    seed: int = 20261121,
    most_pairs: int = 10_000,
    ranks: bool = True,
) -> list[dict[str, Any]]:
    """Give one row for each score and anchor, and one for the degree alone.

    Args:
        table: Its name, for the rows.
        world: What is known in it.
        held: Rows of the split that are evaluated.
        scores: Gives all that is compared, for pairs of texts; a larger number is a better pair.
        draws: Of negatives; figures are means over them, `spread` is their standard deviation.
        resamples: Of the concepts that stay, for the interval.
        seed: Of everything drawn.
        most_pairs: Beyond them a sample is evaluated.
        ranks: Whether some pairs are ranked among all candidates too.
    """
    if len(held) > most_pairs:
        held = held.sample(most_pairs, random_state=seed)
    rows = {text: row for row, text in enumerate(world.texts)}
    left = np.array([rows[name] for name in held["left_name"]], dtype=np.int64)
    right = np.array([rows[name] for name in held["right_name"]], dtype=np.int64)
    if not len(held) or min(len(world.left), len(world.right)) < 2:
        return [{"what": table, "ranked_by": "score", "anchor": "left", "n": len(held), "reason": "no pair of it is held out"}]

    def degrees(_: list[str], left: Integers, right: Integers) -> dict[str, npt.NDArray[Any]]:
        return {DEGREE: world.degree[left] + world.degree[right]}  # of the anchor it is constant

    out: list[dict[str, Any]] = []
    for anchor in ("left", "right"):
        base = {"what": table, "anchor": table.split("-")[anchor == "right"], "n": len(held)}
        for ranked_by, figures in _figures(world, left, right, anchor, scores, draws, resamples, seed, ranks):
            out.append({**base, "ranked_by": ranked_by, **figures})
        for ranked_by, figures in _figures(world, left, right, anchor, degrees, draws, resamples, seed, False):
            out.append({**base, "ranked_by": ranked_by, "auc": figures["auc"], "matched": figures["matched"]})
    return out


def _figures(
    world: World, left: Integers, right: Integers, anchor: str, scores: PairScores, draws: int, resamples: int, seed: int, ranked: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    own = scores(world.texts, left, right)
    shares: dict[tuple[str, bool], list[Floats]] = {}
    for number in range(draws):
        random = np.random.default_rng([seed, number])
        for matched in (False, True):
            other, valid = world.draw(left, right, anchor, random, matched=matched)
            found = scores(world.texts, *_beside(left, right, other, anchor))
            for name, values in found.items():
                shares.setdefault((name, matched), []).append(_below(own[name], values.reshape(other.shape), valid))
    ranks = _ranks(world, left, right, anchor, scores, np.random.default_rng(seed)) if ranked else {}
    stays = world.concept[left if anchor == "left" else right]
    for name in own:
        each = np.stack(shares[name, False])
        with np.errstate(invalid="ignore"):
            low, high = interval(np.nanmean(each, axis=0), stays, resamples=resamples, seed=seed)
        yield (
            name,
            {
                "auc": float(np.nanmean(each)),
                "interval": (low, high),
                "spread": float(np.nanmean(each, axis=1).std()),
                "matched": float(np.nanmean(np.stack(shares[name, True]))),
                "mrr": float(np.mean(1 / ranks[name])) if ranked else None,
                "recall_at_10": float(np.mean(ranks[name] <= 10)) if ranked else None,
            },
        )


def _beside(left: Integers, right: Integers, other: Integers, anchor: str) -> tuple[Integers, Integers]:
    repeated = np.repeat(left if anchor == "left" else right, other.shape[1])
    return (repeated, other.ravel()) if anchor == "left" else (other.ravel(), repeated)


def _below(own: npt.NDArray[Any], others: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> Floats:
    """Give each pair the share of its negatives that lie below it, ties half; nan where it has none.

    >>> _below(np.array([0.5]), np.array([[0.1, 0.5, 0.9, 0.2]]), np.array([[True, True, True, False]])).tolist()
    [0.5]
    """
    wins = (own[:, None] > others) + 0.5 * (own[:, None] == others)
    with np.errstate(invalid="ignore"):
        return np.asarray((wins * valid).sum(axis=1) / valid.sum(axis=1))


def _ranks(
    world: World, left: Integers, right: Integers, anchor: str, scores: PairScores, random: np.random.Generator
) -> dict[str, Floats]:
    """Rank the exchanged side of some pairs among all candidates that are not known to go with the other side; ties half."""
    chosen = random.permutation(len(left))[:MOST_RANKED]
    pool = world.right if anchor == "left" else world.left
    others = np.tile(pool, (len(chosen), 1))
    pairs = _beside(left[chosen], right[chosen], others, anchor)
    allowed = ~world.is_known(*pairs).reshape(others.shape)
    own, found = scores(world.texts, left[chosen], right[chosen]), scores(world.texts, *pairs)
    ranks = {}
    for name, values in found.items():
        of_others = values.reshape(others.shape)
        above, equal = of_others > own[name][:, None], of_others == own[name][:, None]
        ranks[name] = np.asarray(1 + (above & allowed).sum(axis=1) + 0.5 * (equal & allowed).sum(axis=1))
    return ranks
