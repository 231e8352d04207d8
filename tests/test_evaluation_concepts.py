"""Figures of concept pairs against worked ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from test_concept_pairs import drugs_and_genes

from kgbuild.concept_pairs import concept_pairs, split_concepts
from kgbuild.evaluation.concepts import World, evaluate_pairs


def test_a_perfect_score_and_a_blind_one_get_what_they_deserve(tmp_path: Path) -> None:
    pairs = concept_pairs(drugs_and_genes(tmp_path))
    split = split_concepts(pairs, share=0.2, development=0.05)
    world = World.of(pairs, split, "indication-drug")

    def scores(texts: list[str], left: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
        right_one = [texts[a].split()[-1] == texts[b].split()[-1] for a, b in zip(left, right, strict=True)]
        return {"perfect": np.array(right_one, dtype=float), "blind": np.zeros(len(left))}

    held = split[(split["table"] == "indication-drug") & (split["part"] == "test")]
    rows = {(row["ranked_by"], row["anchor"]): row for row in evaluate_pairs("indication-drug", world, held, scores, draws=2, resamples=50)}
    for anchor in ("indication", "drug"):
        assert [rows[name, anchor]["auc"] for name in ("perfect", "blind")] == [1.0, 0.5]
        assert (rows["perfect", anchor]["mrr"], rows["perfect", anchor]["recall_at_10"]) == (1.0, 1.0)
        assert rows["blind", anchor]["interval"] == (0.5, 0.5)
        assert rows["degree alone", anchor]["auc"] == 0.0  # a held-out drug has no other edge, every negative has one
        assert rows["perfect", anchor]["n"] == len(held)


def test_negatives_were_trained_on_and_are_never_known(tmp_path: Path) -> None:
    pairs = concept_pairs(drugs_and_genes(tmp_path))
    split = split_concepts(pairs, share=0.2)
    world = World.of(pairs, split, "drug-gene")
    n = len(world.left)
    for matched in (False, True):
        other, valid = world.draw(world.left, np.resize(world.right, n), "left", np.random.default_rng(0), matched=matched)
        assert valid.all()
        assert set(other.ravel()) <= set(world.right)
        assert not world.is_known(np.repeat(world.left, other.shape[1]), other.ravel()).any()
