"""What is trained on, with which weights, and what stays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from little_tables import association, concept, table, variant, write

from embedder import TrainingData
from kgbuild import tables
from kgbuild.pairs import PairOptions, build_pairs, effect_weights
from kgbuild.splits import SNP_TRAIT_COLUMNS, split_mappings, split_snp_traits


def named(data: TrainingData, task: str) -> list[tuple[str, str, float]]:
    """Give a task's pairs by name, with their weights."""
    found = [t for t in data.tasks if t.name == task]
    return [
        (data.texts[left], (data.snps if t.right_kind == "snp" else data.texts)[right], round(float(weight), 3))
        for t in found
        for left, right, weight in zip(t.left, t.right, t.weight, strict=True)
    ]


def held(*pairs: tuple[str, str, int, str]) -> pd.DataFrame:
    """Give a split that holds out (trait, group, rs number, locus)."""
    rows = [
        association(trait, number) | {"trait_group": group, "locus": locus, "part": "test", "by": "locus", "association_id": ""}
        for trait, group, number, locus in pairs
    ]
    return pd.DataFrame(rows)[SNP_TRAIT_COLUMNS]


def test_a_label_goes_with_each_other_name_of_its_concept(tmp_path: Path) -> None:
    names = [{"concept_id": "EFO:1", "name": name} for name in ("asthma", "Asthma", "bronchial asthma")]
    names.append({"concept_id": "EFO:1", "name": "Asthm", "role": "short"})
    data = build_pairs(write(tmp_path, concepts=[concept("EFO:1", "asthma")], names=names)).data
    assert named(data, "synonyms") == [("asthma", "bronchial asthma", 1.0)]


def test_relations_pair_names_and_are_capped_per_predicate(tmp_path: Path) -> None:
    concepts = [concept(f"EFO:{n}", f"term {n}") for n in range(40)]
    relations = [{"subject_id": "EFO:0", "predicate": "IS_A", "object_id": f"EFO:{n}"} for n in range(1, 31)]
    relations += [{"subject_id": f"EFO:{n}", "predicate": "TARGETS", "object_id": "EFO:39"} for n in range(4)]
    relations += [{"subject_id": "EFO:0", "predicate": "TARGETS", "object_id": "EFO:unknown"}]
    folder = write(tmp_path, concepts=concepts, relations=relations)
    made = build_pairs(folder, options=PairOptions(relations_total=10))
    pairs = named(made.data, "relations")
    assert (len(pairs), sum(right == "term 39" for _, right, _ in pairs)) == (10, 4)
    assert made.counts["relations: edges beyond the cap left out"] == 24
    assert named(build_pairs(folder, options=PairOptions(relations_total=10)).data, "relations") == pairs


def test_a_trait_as_written_and_the_term_it_names_go_with_the_variant(tmp_path: Path) -> None:
    rows = [
        association("Asthma (adult)", 1, "EFO:1"),
        association("Asthma and hay fever", 2, "EFO:1", "EFO:2"),
        association("Asthma (age of onset)", 3, "EFO:1", qualifiers=["age_at_onset"]),
        association("Weak", 4, neg_log10_p=4.0),
        association("Haplotype", 5),
    ]
    variants = [variant(n) for n in (1, 2, 3, 4)] + [{**variant(5), "kind": "haplotype"}]
    made = build_pairs(write(tmp_path, concepts=[concept("EFO:1", "asthma")], variants=variants, associations=rows))
    assert named(made.data, "gwas") == [
        ("Asthma (adult)", "dbsnp:rs1", 1.0),
        ("Asthma (age of onset)", "dbsnp:rs3", 1.0),
        ("Asthma and hay fever", "dbsnp:rs2", 1.0),
        ("asthma", "dbsnp:rs1", 1.0),
    ]
    assert (made.counts["gwas: rows of a variant set left out"], made.counts["gwas: rows above the p threshold left out"]) == (1, 1)


def test_equal_pairs_are_one_with_the_largest_weight(tmp_path: Path) -> None:
    rows = [
        association("Gout", n, effect_type="odds_ratio", effect=effect) for n, effect in ((1, 1.1), (1, 1.4), (2, 1.2), (3, 1.2), (4, 1.2))
    ]
    data = build_pairs(write(tmp_path, variants=[variant(n) for n in (1, 2, 3, 4)], associations=rows)).data
    weights = {snp: weight for _, snp, weight in named(data, "gwas")}
    assert weights == {"dbsnp:rs1": round(np.log(1.4) / np.log(1.2), 3), "dbsnp:rs2": 1.0, "dbsnp:rs3": 1.0, "dbsnp:rs4": 1.0}


def test_betas_count_only_in_standard_deviations_and_apart_from_odds_ratios() -> None:
    weights = effect_weights(
        ["beta", "beta", "beta", "beta", "odds_ratio", "odds_ratio", None],
        [0.1, -0.3, 0.1, 5.0, 2.0, -1.0, np.nan],
        ["SD units", "unit SD decrease", "SD", "mmol/l", None, None, None],
        [0.5, 0.5, np.nan, 0.5, 0.3, 0.3, 0.3],
    )
    assert weights.tolist() == pytest.approx([0.5, 1.5, 1.0, 1.0, 1.0, 1.0, 1.0])


def test_a_held_out_pair_enters_neither_as_written_nor_through_its_term(tmp_path: Path) -> None:
    rows = [
        association("Type 2 diabetes", 1, "EFO:1"),
        association("T2D or obesity", 1, "EFO:1"),
        association("Type 2 diabetes", 2, "EFO:1"),
    ]
    folder = write(tmp_path, concepts=[concept("EFO:1", "type 2 diabetes mellitus")], variants=[variant(1), variant(2)], associations=rows)
    made = build_pairs(folder, snp_traits=held(("Type 2 diabetes", "EFO:1", 1, "ld:1")))
    assert named(made.data, "gwas") == [
        ("T2D or obesity", "dbsnp:rs1", 1.0),
        ("Type 2 diabetes", "dbsnp:rs2", 1.0),
        ("type 2 diabetes mellitus", "dbsnp:rs2", 1.0),
    ]
    assert made.counts["gwas: held-out rows left out"] == 1
    assert made.counts["gwas: terms of held-out pairs left out"] == 1


def test_nothing_of_a_real_split_is_trained_on(tmp_path: Path) -> None:
    variants = [variant(n, f"ld:1:{n // 3}") for n in range(1, 200)]
    rows = [
        association(trait, n, term)
        for n in range(1, 200)
        for trait, term in (("Gout", "EFO:1"), ("gouty arthritis", "EFO:1"), ("Height", "EFO:2"))
    ]
    concepts = [concept("EFO:1", "gout disease"), concept("EFO:2", "body height")]
    folder = write(tmp_path, concepts=concepts, variants=variants, associations=rows)
    split = split_snp_traits(table("associations", rows), table("variants", variants), share=0.2)
    locus_of = {f"dbsnp:rs{n}": f"ld:1:{n // 3}" for n in range(1, 200)}
    group_of = {"Gout": "EFO:1", "gouty arthritis": "EFO:1", "gout disease": "EFO:1", "Height": "EFO:2", "body height": "EFO:2"}
    trained = {(group_of[text], locus_of[snp]) for text, snp, _ in named(build_pairs(folder, snp_traits=split).data, "gwas")}
    assert trained & set(zip(split["trait_group"], split["locus"], strict=True)) == set()
    assert len(trained) + len(split.drop_duplicates(["trait_group", "locus"])) == 2 * len(set(locus_of.values()))


def mapping(label: str, target: str, use: str, **more: Any) -> dict[str, Any]:
    return {"subject_id": f"icd10:{label}", "subject_label": label, "vocabulary": "icd10", "object_id": target,
            "predicate": "exact", "judged": "valid", "use": use, **more}  # fmt: skip


def test_what_is_filed_of_an_evaluated_text_reaches_no_term(tmp_path: Path) -> None:
    mappings = [mapping("Gout attack", "EFO:1", "evaluate"), mapping("gout attack!", "EFO:1", "fit"), mapping("Podagra", "EFO:1", "fit"),
                mapping("Sore toe", "EFO:1", "fit", judged="invalid"), mapping("Arthritis", "EFO:1", "fit", predicate="broad")]  # fmt: skip
    rows = [association("Gout attack", 1, "EFO:1"), association("Gouty", 2, "EFO:1")]
    folder = write(tmp_path, concepts=[concept("EFO:1", "gout")], variants=[variant(1), variant(2)], associations=rows, mappings=mappings)
    data = build_pairs(folder, mappings=split_mappings(tables.read(folder, "mappings")), options=PairOptions(mappings=True)).data
    assert named(data, "synonyms") == [("Podagra", "gout", 1.0)]
    assert named(data, "gwas") == [("Gout attack", "dbsnp:rs1", 1.0), ("Gouty", "dbsnp:rs2", 1.0), ("gout", "dbsnp:rs2", 1.0)]


def test_curated_mappings_stay_out_unless_asked_for(tmp_path: Path) -> None:
    folder = write(tmp_path, concepts=[concept("EFO:1", "gout")], mappings=[mapping("Podagra", "EFO:1", "fit")])
    assert build_pairs(folder).data.n_pairs == 0


def test_an_eqtl_gene_keeps_one_lead_a_signal_and_what_gwas_also_has(tmp_path: Path) -> None:
    eqtl = [{"kind": "eqtl", "object_id": gene, "object_name": gene, "variant_id": f"dbsnp:rs{n}", "tissue": "monocyte", "neg_log10_p": p}
            for gene, n, p in (("NCBIGene:1", 1, 9.0), ("NCBIGene:1", 2, 20.0), ("NCBIGene:1", 3, 8.0), ("NCBIGene:1", 4, 7.0), ("ensembl:ENSG1", 1, 9.0))]  # fmt: skip
    variants = [variant(1, "ld:1:1"), variant(2, "ld:1:1"), variant(3, "ld:1:1"), variant(4, chromosome="1", position=900_000)]
    genes = [{"id": "NCBIGene:1", "symbol": "IL33"}, {"id": "ensembl:ENSG1", "symbol": "ensembl:ENSG1"}]
    made = build_pairs(write(tmp_path, variants=variants, genes=genes, associations=[association("Asthma", 3), *eqtl]))
    assert named(made.data, "eqtl") == [("IL33", "dbsnp:rs2", 1.0), ("IL33", "dbsnp:rs3", 1.0), ("IL33", "dbsnp:rs4", 1.0)]
    assert made.counts["eqtl: rows of genes without a symbol left out"] == 1


def test_a_biobank_pair_needs_the_number_of_samples(tmp_path: Path) -> None:
    rows = [association("Gout", n, kind="biobank", effect_type="beta", effect=effect, se=0.1, n=samples) for n, effect, samples in ((1, 0.5, 102), (2, 1.0, 102), (3, 0.7, 102), (4, 1.0, None))]  # fmt: skip
    made = build_pairs(write(tmp_path, variants=[variant(n) for n in (1, 2, 3, 4)], associations=rows))
    r = [z / np.sqrt(z**2 + 100) for z in (5.0, 10.0, 7.0)]
    assert [weight for *_, weight in named(made.data, "biobank")] == pytest.approx([x / r[2] for x in r], abs=1e-3)
    assert made.counts["biobank: rows without a correlation (no n, no standard error) left out"] == 1


def test_only_blocks_that_say_something_are_numbered_and_their_other_variants_come_along(tmp_path: Path) -> None:
    variants = [variant(1, "ld:1:7", locus_span=1000), variant(2, "ld:1:7", locus_span=1000), variant(3, "ld:6:1", in_mhc=True),
                variant(4, "ld:6:410", locus_span=2_000_000), variant(5, "ld:1:8", locus_span=10), variant(6, "window:2:1")]  # fmt: skip
    data = build_pairs(write(tmp_path, variants=variants, associations=[association("Gout", n) for n in (1, 3, 4, 6)])).data
    assert dict(zip(data.snps, data.snp_blocks.tolist(), strict=True)) == {
        "dbsnp:rs1": 0, "dbsnp:rs3": -1, "dbsnp:rs4": -1, "dbsnp:rs6": -1, "dbsnp:rs2": 0,
    }  # fmt: skip


def test_the_mask_knows_ld_mates_and_texts_of_one_term(tmp_path: Path) -> None:
    rows = [association("Gout", 1, "EFO:1"), association("Gouty arthritis", 2, "EFO:1"), association("Height", 3, "EFO:2")]
    data = build_pairs(write(tmp_path, variants=[variant(1, "ld:1:7"), variant(2, "ld:1:7"), variant(3)], associations=rows)).data
    (gwas,) = data.tasks
    assert gwas.left_group is not None
    assert gwas.right_group is not None
    assert [len(set(groups.tolist())) for groups in (gwas.left_group, gwas.right_group)] == [2, 2]


def test_empty_tables_give_no_pairs(tmp_path: Path) -> None:
    data = build_pairs(write(tmp_path)).data
    assert (list(data.texts), list(data.snps), list(data.tasks)) == ([], [], [])
