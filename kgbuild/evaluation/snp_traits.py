"""A model and a split in, figures out: how well held-out SNP-trait pairs stand out against others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgbuild.draws import Draws
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section
from kgbuild.evaluation.system_rows import system_rows
from kgbuild.scoring import Scorer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["evaluate", "evaluate_snp_traits"]

_COLUMNS = {
    "what": "pairs", "ranked_by": "ranked by", "anchor": "anchored on", "n": "n", "auc": "AUC", "interval": "95 % interval",
    "matched": "AUC, negatives of the same degree", "mrr": "MRR, filtered", "recall_at_10": "R@10", "placed": "placed", "note": "note",
}  # fmt: skip


def evaluate(evaluated: Evaluated) -> Section:
    """Give the figures of held-out pairs: similarity, score, the degree alone, and the systems that were asked for.

    Raises:
        WorkspaceError: There is no model that places SNPs.
    """
    scorer, split = evaluated.model()
    options = evaluated.options
    figures = evaluate_snp_traits(scorer, split, evaluated.tables_dir, part=options.part, most_pairs=options.most_pairs, seed=options.seed)
    notes = [f"{figures['held_out_pairs']:,} pairs are held out, {figures.get('pairs_with_a_vector', 0):,} of them have a vector."]
    rows = [*_rows(figures), *system_rows(evaluated)]
    return Section("SNP-trait pairs", _COLUMNS, rows, ("what", "ranked_by", "anchor"), notes)


def _rows(figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not figures["scored_pairs"]:
        return
    for anchor in ("trait", "snp"):
        row = {"what": "held out", "anchor": anchor, "n": figures["scored_pairs"]}
        for ranked_by, prefix in (("similarity", ""), ("score", "score_")):
            auc = f"{prefix}auc_{anchor}"
            of_trait = {key: figures.get(f"{prefix}{key}") for key in ("mrr", "recall_at_10") if anchor == "snp"}
            interval = figures[f"{auc}_low"], figures[f"{auc}_high"]
            yield {
                **row,
                "ranked_by": ranked_by,
                "auc": figures[auc],
                "interval": interval,
                "matched": figures[f"{auc}_matched"],
                **of_trait,
            }
        yield {**row, "ranked_by": "degree alone", "auc": figures[f"auc_{anchor}_degree"]}


def evaluate_snp_traits(
    scorer: Scorer, split: pd.DataFrame, tables_dir: Path, *, part: str = "test", most_pairs: int = 10_000, seed: int = 20261121
) -> dict[str, float]:
    """Measure how well held-out SNP-trait pairs stand out against random ones that are no known pair.

    Negatives come from SNPs and traits that training saw, and are never a known pair, an LD mate of one, or an ancestor or
    descendant of its trait. Beside each AUC stand that of the degree alone (which trait or SNP is popular), and the AUC
    against negatives of the same degree. Intervals (95 %) resample loci.

    Returns:
        Figures by name: `auc_trait` (the SNP is exchanged), `auc_snp` (the trait is exchanged), `..._degree`,
        `..._matched` and `..._seen` (SNPs that training linked to another trait, not only their LD block), for the cosine and, with the prefix `score_`, for the score; `mrr` and `recall_at_10` of the trait among
        all traits, known ones left out; how many held-out pairs there are and how many have a vector.
    """
    figures: dict[str, float] = {"held_out_pairs": int((split["part"] == part).sum())}
    if scorer.evidence is None:
        return figures | {"scored_pairs": 0}
    world = scorer.world(tables_dir)
    draws = Draws.of(world, split, part, most_pairs=most_pairs, seed=seed)
    if draws is None:
        return figures | {"scored_pairs": 0}
    figures |= {"pairs_with_a_vector": draws.n_with_vector, "scored_pairs": draws.n}
    matched = Draws.of(world, split, part, most_pairs=most_pairs, seed=seed, matched=True)
    for end, drawn in (("", draws), ("_matched", matched)):
        if drawn is None:
            continue
        scored = [scorer.text_snp(drawn.texts, *side) for side in (drawn.positive, drawn.other_snp, drawn.other_text)]
        for number, prefix in enumerate(("", "score_")):
            figures |= drawn.figures(prefix, end, *(values[number] for values in scored))
    figures |= draws.degree_figures()
    figures |= _rank_figures(scorer, draws)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


def _rank_figures(scorer: Scorer, draws: Draws, *, most_pairs: int = 500) -> dict[str, float]:
    """Rank the held-out trait of a SNP among all traits of training; known and related ones are left out."""
    n_texts = len(scorer.evidence.texts) if scorer.evidence else 0
    in_training = np.flatnonzero(draws.positive[0] < n_texts)[:most_pairs]
    if not len(in_training) or n_texts < 2:
        return {}
    vectors = scorer.model.text_vectors(scorer.trait_vectors, draws.texts[:n_texts])
    ranks: dict[str, list[float]] = {"": [], "score_": []}
    for text, snp in zip(draws.positive[0][in_training].tolist(), draws.positive[1][in_training].tolist(), strict=True):
        allowed = ~draws.world.known(np.arange(n_texts), np.full(n_texts, snp))
        similarity = vectors @ scorer.model.snp_vectors[snp].astype(np.float32)
        for prefix, values in (("", similarity), ("score_", scorer.ranked(similarity, snp))):
            own = values[text]
            ranks[prefix].append(1 + float(((values > own) & allowed).sum()) + 0.5 * float(((values == own) & allowed).sum()))
    out = {}
    for prefix, of_pairs in ranks.items():
        out[f"{prefix}mrr"] = float(np.mean(1 / np.array(of_pairs)))
        out[f"{prefix}recall_at_10"] = float(np.mean(np.array(of_pairs) <= 10))
    return out
