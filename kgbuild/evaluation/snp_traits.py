"""A model and a split in, figures out: how well held-out SNP-trait pairs stand out against others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kgbuild.draws import Draws
from kgbuild.scoring import Scorer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["evaluate_snp_traits"]


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
