"""Pairs of concepts that are held out: whole, whatever they are called and whichever way the edge points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from little_tables import concept, write

from kgbuild.concept_pairs import COMPOSED, HeldOut, concept_pairs, same_concepts, split_concepts
from kgbuild.errors import UsageError
from kgbuild.pairs import build_pairs


def edges(*triples: tuple[str, str, str]) -> list[dict[str, str]]:
    return [dict(zip(("subject_id", "predicate", "object_id"), triple, strict=True)) for triple in triples]


def drugs_and_genes(folder: Path, n: int = 40) -> Path:
    """Every disease has a twin of the same name, one drug of its own, and the drug one target; every disease a gene, twice."""
    concepts = [concept(f"{prefix}:{i}", f"disease {i}", kind="Disease") for i in range(n) for prefix in ("MONDO", "EFO")]
    concepts += [concept(f"drugbank:{i}", f"drug {i}", kind="Drug") for i in range(n)]
    genes = [{"id": f"NCBIGene:{i}", "symbol": f"G{i}"} for i in range(2 * n)]
    triples = [(f"NCBIGene:{i}", "GENE_ASSOCIATED_WITH", f"{prefix}:{i}") for i in range(n) for prefix in ("MONDO", "EFO")]
    triples += [(f"MONDO:{i}", "RELATED_IN_HIERARCHY", f"NCBIGene:{i}") for i in range(n)]
    triples += [(f"drugbank:{i}", "INDICATED_FOR", f"MONDO:{i}") for i in range(n)]
    triples += [(f"drugbank:{i}", "TARGETS", f"NCBIGene:{i + n}") for i in range(n)]
    return write(folder, concepts=concepts, genes=genes, relations=edges(*triples))


def test_nodes_that_share_a_name_are_one_concept(tmp_path: Path) -> None:
    concepts = [concept("MONDO:1", "Asthma"), concept("EFO:1", "bronchial asthma"), concept("HP:1", "gout")]
    names = [{"concept_id": "EFO:1", "name": "asthma", "role": "synonym"}, {"concept_id": "HP:1", "name": "asthma", "role": "short"}]
    numbers = same_concepts(write(tmp_path, concepts=concepts, names=names), ["MONDO:1", "EFO:1", "HP:1"])
    assert numbers["MONDO:1"] == numbers["EFO:1"] != numbers["HP:1"]


def test_no_twin_of_a_held_out_pair_stays_in_training_under_another_id_predicate_or_direction(tmp_path: Path) -> None:
    folder = drugs_and_genes(tmp_path)
    split = split_concepts(concept_pairs(folder), share=0.2, development=0.1)
    held = {(row.left_name, row.right_name) for row in split.itertuples() if row.table == "disease-gene"}
    data = build_pairs(folder, concepts=split).data
    (relations,) = (task for task in data.tasks if task.name == "relations")
    trained = {frozenset((data.texts[a], data.texts[b])) for a, b in zip(relations.left, relations.right, strict=True)}
    everything = {frozenset((f"disease {i}", f"G{i}")) for i in range(40)}
    assert len(held) > 4
    assert everything - trained == {frozenset(pair) for pair in held}


def test_a_composed_pair_is_held_out_where_each_way_has_a_held_out_edge(tmp_path: Path) -> None:
    split = split_concepts(concept_pairs(drugs_and_genes(tmp_path)), share=0.15, development=0.05)
    parts = {(row.table, row.right_id if row.table != "indication-drug" else row.left_id): row.part for row in split.itertuples()}
    rank = {"": 0, "development": 1, "test": 2}
    for i in range(40):
        ways = (parts.get(("indication-drug", f"MONDO:{i}"), ""), parts.get(("drug-gene", f"NCBIGene:{i + 40}"), ""))
        assert parts.get((COMPOSED, f"NCBIGene:{i + 40}"), "") == max(ways, key=rank.__getitem__)


def test_a_second_way_through_training_makes_a_composed_pair_known(tmp_path: Path) -> None:
    concepts = [
        concept("MONDO:1", "gout", kind="Disease"),
        concept("drugbank:1", "one", kind="Drug"),
        concept("drugbank:2", "two", kind="Drug"),
    ]
    ways = [
        (f"drugbank:{i}", predicate, other)
        for i in (1, 2)
        for predicate, other in (("INDICATED_FOR", "MONDO:1"), ("TARGETS", "NCBIGene:1"))
    ]
    folder = write(tmp_path, concepts=concepts, genes=[{"id": "NCBIGene:1", "symbol": "XDH"}], relations=edges(*ways))
    pairs = concept_pairs(folder)
    splits = [split_concepts(pairs, share=0.2, development=0.0, seed=seed) for seed in range(60)]
    held = [
        (
            len(set(s.loc[s["table"] != COMPOSED, ["left_id", "right_id"]].to_numpy().ravel()) & {"drugbank:1", "drugbank:2"}),
            (s["table"] == COMPOSED).sum(),
        )
        for s in splits
    ]
    assert {composed for drugs, composed in held if drugs < 2} == {0}
    assert {composed for drugs, composed in held if drugs == 2} == {1}


def test_a_split_can_be_switched_off_but_for_the_part_that_fits_the_score(tmp_path: Path) -> None:
    pairs = concept_pairs(drugs_and_genes(tmp_path))
    assert set(split_concepts(pairs, share=0.0)["part"]) == {"development"}
    assert not len(split_concepts(pairs, share=0.0, development=0.0))
    with pytest.raises(UsageError, match="expected at least 0"):
        split_concepts(pairs, share=-0.1)


def test_held_out_tells_edges_by_both_ends(tmp_path: Path) -> None:
    folder = write(tmp_path, concepts=[concept("a:1", "one"), concept("a:2", "two"), concept("a:3", "three")])
    split = pd.DataFrame(
        [("disease-gene", "a:1", "one", "a:2", "two", "test")], columns=["table", "left_id", "left_name", "right_id", "right_name", "part"]
    )
    held = HeldOut.of(folder, split, ["a:3"])
    assert held(pd.Series(["a:1", "a:2", "a:1"]), pd.Series(["a:2", "a:1", "a:3"])).tolist() == [True, True, False]
    assert held(pd.Series(["a:1"]), pd.Series(["a:1"])).dtype == np.bool_
