"""Negatives: what training saw, never what is known, nor its mates, kin and twins; draws differ, the pairs do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from little_tables import association, concept, table, variant, write

from embedder import HashedNgramEncoder, centroid_model
from kgbuild.draws import Draws, World
from kgbuild.evidence import Evidence
from kgbuild.pairs import build_pairs
from kgbuild.splits import split_snp_traits

ENCODER = HashedNgramEncoder(64)


def world_of(folder: Path) -> tuple[World, dict[str, int], dict[str, int]]:
    """Give the world of a folder's tables, and the rows of its texts and SNPs."""
    data = build_pairs(folder).data
    evidence = Evidence.of(data)
    world = World.of(centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER), evidence, folder)
    return world, {text: row for row, text in enumerate(evidence.texts)}, {snp: row for row, snp in enumerate(data.snps)}


@pytest.mark.parametrize(
    ("trait", "number", "known", "why"),
    [
        ("Gout, self-reported", 1, True, "its term is a twin of the other's"),
        ("Gout, self-reported", 3, True, "an LD mate of a pair of its twin"),
        ("Podagra", 1, True, "a name of the term"),
        ("Gout", 2, True, "what is filed under it among others is not said to be false"),
        ("Arthritis", 1, True, "an ancestor of a twin"),
        ("Height", 1, False, "nothing says so"),
        ("Gout", 4, False, "nothing says so"),
    ],
)
def test_what_is_known_reaches_twins_names_ancestors_and_mates(tmp_path: Path, trait: str, number: int, known: bool, why: str) -> None:
    rows = [association("Gout", 1, "EFO:gout"), association("Gout, self-reported", 5, "HP:gout"), association("Podagra", 6),
            association("Gout or stones", 2, "EFO:gout", "EFO:stones"), association("Height", 4, "EFO:height"), association("Arthritis", 7, "EFO:arthritis")]  # fmt: skip
    write(
        tmp_path,
        concepts=[
            concept("EFO:gout", "gout"),
            concept("HP:gout", "Gout"),
            concept("EFO:height", "body height"),
            concept("EFO:arthritis", "arthritis"),
        ],
        names=[{"concept_id": "EFO:gout", "name": "podagra", "role": "synonym"}],
        relations=[{"subject_id": "HP:gout", "predicate": "IS_A", "object_id": "EFO:arthritis"}],
        variants=[variant(n, "ld:1:1" if n in (1, 3) else f"ld:1:{n}") for n in range(1, 8)],
        associations=rows,
    )
    world, texts, snps = world_of(tmp_path)
    assert world.known(np.array([texts[trait]]), np.array([snps[f"dbsnp:rs{number}"]])).tolist() == [known], why


def held_out_world(folder: Path, by: str = "locus") -> tuple[World, pd.DataFrame]:
    variants = [variant(n, f"ld:1:{n // 2}", locus_span=1000) for n in range(2, 200)]
    rows = [association(trait, n) for n in range(2, 140) for trait in ("Gout", "Asthma", "Height", f"Rare {n % 20}")]
    rows += [association(("Gout", "Asthma")[n % 2], n) for n in range(140, 200)]  # two mates of one trait each
    write(folder, variants=variants, associations=rows)
    split = split_snp_traits(table("associations", rows), table("variants", variants), by=by, share=0.2)
    data = build_pairs(folder, snp_traits=split).data
    evidence = Evidence.of(data)
    return World.of(centroid_model(data, ENCODER.encode(data.texts), encoder=ENCODER), evidence, folder), split


def test_another_draw_has_the_same_pairs_and_other_negatives_of_training(tmp_path: Path) -> None:
    world, split = held_out_world(tmp_path)
    first, second = (Draws.of(world, split, "test", most_pairs=20, seed=7, draw=draw) for draw in (0, 1))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.positive, second.positive)
    assert not np.array_equal(first.other_snp, second.other_snp)
    assert set(first.other_snp[1]) <= set(world.seen_snps)
    assert not world.known(*(side[first.valid_snp.ravel()] for side in first.other_snp)).any()


@pytest.mark.parametrize(("by", "some"), [("locus", False), ("pair", True)])
def test_by_locus_no_held_out_pair_has_its_trait_at_its_locus_in_training(tmp_path: Path, by: str, some: bool) -> None:
    world, split = held_out_world(tmp_path, by)
    draws = Draws.of(world, split, "test", seed=7)
    assert draws is not None
    assert draws.mate_seen.any() == some


def test_matched_negatives_are_of_the_same_degree_or_none(tmp_path: Path) -> None:
    world, split = held_out_world(tmp_path)
    draws = Draws.of(world, split, "test", seed=7, matched=True)
    assert draws is not None
    sides = ((draws.text_degree, draws.positive[0], draws.other_text[0], draws.valid_text), (draws.snp_degree, draws.positive[1], draws.other_snp[1], draws.valid_snp))  # fmt: skip
    for degree, own, other, valid in sides:
        apart = np.abs(degree[other].reshape(valid.shape) - degree[own][:, None])
        assert valid.any()
        assert (apart <= 0.1 * degree[own][:, None])[valid].all()
    of_block_alone = draws.snp_degree[draws.positive[1]] == 0
    assert of_block_alone.any()
    assert not draws.valid_snp[of_block_alone].any()
