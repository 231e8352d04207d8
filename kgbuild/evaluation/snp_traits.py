"""A model and held-out SNP-trait pairs in, figures out: how well the pairs stand out against others, beside the trivial answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild.draws import Draws, interval
from kgbuild.evaluation.evaluated import Evaluated, Options
from kgbuild.evaluation.pair_files import as_held_out, read_pairs
from kgbuild.evaluation.section import Section
from kgbuild.evaluation.system_rows import system_rows
from kgbuild.scoring import Scorer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "Measured", "evaluate", "evaluate_snp_traits", "measure", "rows_of"]

Array = npt.NDArray[Any]

ANCHORS = ("trait", "snp")  # which of the two stays while the other is exchanged
RANKERS = ("similarity", "score", "degree alone")
RANKED_PAIRS = 500  # whose trait is ranked among all traits of training

COLUMNS = {
    "what": "pairs", "anchor": "anchored on", "ranked_by": "ranked by", "n": "n", "auc": "AUC", "interval": "95 % (loci)",
    "interval_traits": "95 % (traits)", "spread_draws": "sd of draws", "spread_trainings": "sd of trainings",
    "matched": "AUC, same degree", "mrr": "MRR", "recall_at_1": "R@1", "recall_at_10": "R@10", "placed": "placed", "note": "note", "reason": "why not",
}  # fmt: skip
_NOTES = (
    "AUC: share of 20 drawn negatives that lie below the pair, a mean over draws; anchored on the trait the SNP is exchanged, anchored on the SNP the trait.",
    "Negatives are from training, and never known: no LD mate of a known pair, no ancestor, descendant or twin of its trait. "
    "`same degree`: only those that training links as often. MRR, R@k: the trait among all traits of training, known ones left out.",
)


def evaluate(evaluated: Evaluated) -> Section:
    """Give the figures of held-out pairs, and of a file's pairs: similarity, score, the degree alone, and the systems that were asked for.

    Raises:
        WorkspaceError: There is no model that places SNPs.
        SourceError: The file cannot be read.
    """
    scorer, split = evaluated.model()
    options = evaluated.options
    sets = {"held out": split[split["part"] == options.part]}
    sets |= {path.name: as_held_out(read_pairs(path), scorer, evaluated.tables_dir) for path in options.files}
    measured = {what: [measure(scorer, held, evaluated.tables_dir, options)] for what, held in sets.items()}
    for other in evaluated.trained_again():
        for what, held in sets.items():
            measured[what].append(measure(other.model()[0], held, evaluated.tables_dir, options))
    rows: list[dict[str, Any]] = []
    notes = [*_NOTES]
    for what, held in sets.items():
        known = [one for one in measured[what] if one is not None]
        notes.append(f"{what}: {len(held):,} pairs, {known[0].n_with_vector if known else 0:,} of them with a vector.")
        rows += rows_of(what, known, options)
    if not options.files:
        rows.append({"what": "a biobank's pairs", "reason": "no file given: --pairs FILE (columns left: trait, right: rs id)"})
    rows += system_rows(evaluated)
    return Section("SNP-trait pairs", COLUMNS, rows, ("what", "anchor", "ranked_by"), notes)


@dataclass(frozen=True)
class Measured:
    """What was measured of each pair.

    Args:
        shares: (ranker, anchor, same degree) -> (draws, n) share of negatives below the pair; nan where there is none.
        ranks: Ranker -> ranks of the trait among all traits of training, of RANKED_PAIRS pairs.
        loci: (n,) of the pairs.
        traits: (n,) likewise.
        mate_seen: (n,) has training the trait at the locus?
        snp_seen: (n,) has training the SNP, with another trait?
        n_with_vector: Pairs that could be evaluated.
    """

    shares: dict[tuple[str, str, bool], Array]
    ranks: dict[str, Array]
    loci: Array
    traits: Array
    mate_seen: Array
    snp_seen: Array
    n_with_vector: int

    def auc(self, ranker: str, anchor: str, *, matched: bool = False, rows: Array | None = None) -> float:
        """Give the mean over draws and pairs; nan where nothing was drawn."""
        shares = self.shares[ranker, anchor, matched][:, slice(None) if rows is None else rows]
        return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def measure(scorer: Scorer, held: pd.DataFrame, tables_dir: Path, options: Options) -> Measured | None:
    """Draw negatives for held-out pairs, and score both; None where no pair has a vector."""
    if scorer.evidence is None or not len(scorer.evidence.texts) or not len(held):
        return None
    world = scorer.world(tables_dir)
    given = held.assign(part="test")
    wanted = [(draw, matched) for draw in range(options.draws) for matched in (False, True)]
    draws = {
        key: Draws.of(world, given, "test", most_pairs=options.most_pairs, seed=options.seed, draw=key[0], matched=key[1]) for key in wanted
    }
    first = draws[0, False]
    if first is None:
        return None
    drawn = {key: draw for key, draw in draws.items() if draw is not None}
    values = _values(scorer, first.texts, [side for draw in drawn.values() for side in (draw.positive, draw.other_snp, draw.other_text)])
    shares: dict[tuple[str, str, bool], Array] = {}
    for number, ranker in enumerate(RANKERS):
        for anchor in ANCHORS:
            for matched in (False, True):
                lines = []
                for place, (key, draw) in enumerate(drawn.items()):
                    if key[1] == matched:
                        own, other_snp, other_text = _three(
                            draw, ranker, anchor, [part[number] for part in values[3 * place : 3 * place + 3]]
                        )
                        other, valid = (other_snp, draw.valid_snp) if anchor == "trait" else (other_text, draw.valid_text)
                        lines.append(draw.each_auc(own, other, valid))
                shares[ranker, anchor, matched] = np.stack(lines)
    return Measured(shares, _ranks(scorer, first), first.loci, first.traits, first.mate_seen, first.seen, first.n_with_vector)


def _values(scorer: Scorer, texts: list[str], sides: Sequence[tuple[Array, Array]]) -> list[tuple[Array, Array, Array]]:
    """Score all sides at once, so that texts are encoded once; the third, for the degree, is filled in by `_three`."""
    similarity, score = scorer.text_snp(texts, *(np.concatenate([side[place] for side in sides]) for place in (0, 1)))
    cuts = np.cumsum([len(side[0]) for side in sides])[:-1]
    return [(one, other, one) for one, other in zip(np.split(similarity, cuts), np.split(score, cuts), strict=True)]


def _three(draw: Draws, ranker: str, anchor: str, values: list[Array]) -> tuple[Array, Array, Array]:
    """Give what ranks the pairs, those with another SNP and those with another text."""
    if ranker != "degree alone":
        return values[0], values[1], values[2]
    degree, place = (draw.snp_degree, 1) if anchor == "trait" else (draw.text_degree, 0)
    own, other_snp, other_text = (degree[side[place]].astype(np.float32) for side in (draw.positive, draw.other_snp, draw.other_text))
    return own, other_snp, other_text


def _ranks(scorer: Scorer, draws: Draws) -> dict[str, Array]:
    """Rank the held-out trait of a SNP among all traits of training; known and kindred ones are left out."""
    n_texts = len(scorer.evidence.texts) if scorer.evidence else 0
    in_training = np.flatnonzero(draws.positive[0] < n_texts)[:RANKED_PAIRS]
    if not len(in_training) or n_texts < 2:
        return {}
    vectors = scorer.model.text_vectors(scorer.trait_vectors, draws.texts[:n_texts])
    ranks: dict[str, list[float]] = {ranker: [] for ranker in RANKERS}
    for text, snp in zip(draws.positive[0][in_training].tolist(), draws.positive[1][in_training].tolist(), strict=True):
        allowed = ~draws.world.known(np.arange(n_texts), np.full(n_texts, snp))
        similarity = vectors @ scorer.model.snp_vectors[snp].astype(np.float32)
        for ranker, values in zip(RANKERS, (similarity, scorer.ranked(similarity, snp), draws.text_degree[:n_texts]), strict=True):
            own = values[text]
            ranks[ranker].append(1 + float(((values > own) & allowed).sum()) + 0.5 * float(((values == own) & allowed).sum()))
    return {ranker: np.array(of_pairs) for ranker, of_pairs in ranks.items()}


def rows_of(what: str, measured: Sequence[Measured], options: Options) -> list[dict[str, Any]]:
    """Give a table's rows: all pairs, and those whose trait training has, or has not, at the same locus.

    Args:
        what: Name of the pairs.
        measured: Of the model, then of others that were trained with other seeds.
        options: Of the intervals.
    """
    if not measured:
        return [{"what": what, "reason": "no pair has a vector"}]
    seen = measured[0].mate_seen
    parts = [("", np.ones(len(seen), dtype=bool))]
    if seen.any() and not seen.all():
        parts += [(", trait at locus seen", seen), (", not seen", ~seen)]
    return [row for end, rows in parts for anchor in ANCHORS for row in _rows(what + end, anchor, rows, measured, options, ranks=not end)]


def _rows(what: str, anchor: str, rows: Array, measured: Sequence[Measured], options: Options, *, ranks: bool) -> Iterator[dict[str, Any]]:
    first = measured[0]
    for ranker in RANKERS:
        shares = first.shares[ranker, anchor, False][:, rows]
        each = np.nanmean(shares, axis=0) if len(shares) else shares
        row: dict[str, Any] = {
            "what": what,
            "anchor": anchor,
            "ranked_by": ranker,
            "n": int(np.isfinite(each).sum()),
            "auc": float(np.nanmean(each)),
        }
        for key, units in (("interval", first.loci), ("interval_traits", first.traits)):
            row[key] = interval(each, units[rows], resamples=options.resamples, seed=options.seed)
        row["spread_draws"] = float(np.nanstd(np.nanmean(shares, axis=1), ddof=1)) if len(shares) > 1 else None
        aucs = [one.auc(ranker, anchor, rows=rows) for one in measured]
        row["spread_trainings"] = float(np.std(aucs, ddof=1)) if len(aucs) > 1 else None
        row["matched"] = first.auc(ranker, anchor, matched=True, rows=rows)
        if ranks and anchor == "snp" and ranker in first.ranks:
            of_pairs = first.ranks[ranker]
            row |= {
                "mrr": float(np.mean(1 / of_pairs)),
                "recall_at_1": float(np.mean(of_pairs <= 1)),
                "recall_at_10": float(np.mean(of_pairs <= 10)),
            }
        yield row


# ---------------------------------------------------------------- after each training


_PREFIXES = {"similarity": "", "score": "score_"}


def evaluate_snp_traits(
    scorer: Scorer, split: pd.DataFrame, tables_dir: Path, *, part: str = "test", most_pairs: int = 10_000, seed: int = 20261121
) -> dict[str, float]:
    """Measure the same with one draw, as figures by name: what `kgbuild train` prints and the model's card holds.

    Returns:
        `auc_trait` (the SNP is exchanged), `auc_snp` (the trait is exchanged), `..._low` and `..._high` (resampling loci),
        `..._degree`, `..._matched` and `..._seen` (SNPs that training linked to another trait, not only their LD block), for
        the cosine and, with the prefix `score_`, for the score; `mrr` and `recall_at_10`; how many held-out pairs there are and
        how many have a vector.
    """
    held = split[split["part"] == part]
    figures: dict[str, float] = {"held_out_pairs": len(held), "scored_pairs": 0}
    measured = measure(scorer, held, tables_dir, Options(draws=1, most_pairs=most_pairs, seed=seed))
    if measured is None:
        return figures
    figures |= {"pairs_with_a_vector": measured.n_with_vector, "scored_pairs": len(measured.loci)}
    for anchor in ANCHORS:
        for ranker, prefix in _PREFIXES.items():
            each = measured.shares[ranker, anchor, False][0]
            name = f"{prefix}auc_{anchor}"
            figures[name], figures[f"{name}_matched"] = measured.auc(ranker, anchor), measured.auc(ranker, anchor, matched=True)
            figures[f"{name}_low"], figures[f"{name}_high"] = interval(each, measured.loci)
            figures[f"{name}_seen"] = measured.auc(ranker, anchor, rows=measured.snp_seen)
        figures[f"auc_{anchor}_degree"] = measured.auc("degree alone", anchor)
    for ranker, prefix in _PREFIXES.items():
        if ranker in measured.ranks:
            ranks = measured.ranks[ranker]
            figures |= {f"{prefix}mrr": float(np.mean(1 / ranks)), f"{prefix}recall_at_10": float(np.mean(ranks <= 10))}
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}
