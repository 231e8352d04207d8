"""What is held out: whole units, the same ones each time, and nothing of them left behind."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from little_tables import association, concept, table, variant, write

from kgbuild import pipeline
from kgbuild.errors import ModelError, UsageError
from kgbuild.pairs import build_pairs
from kgbuild.ranking import SINGLE
from kgbuild.splits import loci_of, read_split, split_mappings, split_snp_traits, trait_groups, write_split
from kgbuild.workspace import Workspace


def many_associations(n_loci: int = 60) -> tuple[list[dict], list[dict]]:  # type: ignore[type-arg]
    """Two texts of one term, and another trait, each at two LD mates of every locus."""
    variants = [variant(10 * locus + mate, f"ld:1:{locus}") for locus in range(1, n_loci + 1) for mate in (0, 1)]
    rows = [association(trait, 10 * locus + mate, term)
            for locus in range(1, n_loci + 1) for mate in (0, 1)
            for trait, term in (("Type 2 diabetes", "MONDO:1"), ("Type II diabetes mellitus", "MONDO:1"), ("Height", "EFO:2"))]  # fmt: skip
    return rows, variants


def test_a_unit_is_a_trait_at_a_locus_and_no_mate_or_synonym_stays_behind() -> None:
    rows, variants = many_associations()
    split = split_snp_traits(table("associations", rows), table("variants", variants), share=0.3, development=0.2)
    units = split.groupby(["trait_group", "locus"])
    assert set(split["part"]) == {"test", "development"}
    assert (units["part"].nunique() == 1).all()
    assert set(units.size()[units.size().index.get_level_values(0) == "MONDO:1"]) == {4}
    assert set(units.size()[units.size().index.get_level_values(0) == "EFO:2"]) == {2}


def test_a_split_does_not_depend_on_what_else_there_is() -> None:
    rows, variants = many_associations()
    whole = split_snp_traits(table("associations", rows), table("variants", variants))
    some = split_snp_traits(table("associations", rows[: len(rows) // 2]), table("variants", variants))
    kept = whole.merge(some, how="inner")
    assert len(kept) == len(some) > 0
    assert split_snp_traits(table("associations", rows[::-1]), table("variants", variants[::-1])).equals(whole)


def test_by_pair_each_pair_is_drawn_by_itself() -> None:
    rows, variants = many_associations()
    split = split_snp_traits(table("associations", rows), table("variants", variants), share=0.5, development=0.0, by="pair")
    assert 0.35 < len(split) / len(rows) < 0.65
    assert split.groupby(["trait_group", "locus"]).size().nunique() > 1


def test_another_seed_draws_others() -> None:
    rows, variants = (table(name, given) for name, given in zip(("associations", "variants"), many_associations(), strict=True))
    assert not split_snp_traits(rows, variants, seed=1).equals(split_snp_traits(rows, variants, seed=2))


def test_the_mhc_is_one_locus_and_a_variant_without_a_block_belongs_to_its_window() -> None:
    given = [variant(1, "ld:6:1", in_mhc=True), variant(2, "ld:6:2", in_mhc=True), variant(3, chromosome="2", position=1_500_000), variant(4),
             {**variant(5), "kind": "haplotype"}]  # fmt: skip
    assert loci_of(table("variants", given)) == {"dbsnp:rs1": "MHC", "dbsnp:rs2": "MHC", "dbsnp:rs3": "window:2:1", "dbsnp:rs4": None}


def test_a_variant_of_no_known_place_belongs_to_its_publication() -> None:
    rows = [association("Gout", number, publication="pubmed:7") for number in (1, 2)]
    split = split_snp_traits(table("associations", rows), table("variants", [variant(1), variant(2)]), share=0.9, development=0.09)
    assert set(split["locus"]) == {"publication:pubmed:7"}


def test_texts_are_one_trait_by_their_term_else_by_their_normal_form() -> None:
    rows = [
        association("Crohn's disease", 1, "EFO:1"),
        association("Crohn disease", 2),
        association("Crohn's disease", 3, "EFO:9", "EFO:8"),
        association("Gout", 4),
    ]
    groups = trait_groups(table("associations", rows))
    assert sorted(groups.values()) == ["EFO:1", "EFO:1", "name:gout"]


def test_what_cannot_be_held_out_is_refused() -> None:
    empty = table("associations", []), table("variants", [])
    with pytest.raises(UsageError, match=r"shares of 0\.9 and 0\.2"):
        split_snp_traits(*empty, share=0.9, development=0.2)
    with pytest.raises(UsageError, match="a split by 'chromosome' is not known"):
        split_snp_traits(*empty, by="chromosome")
    assert len(split_snp_traits(*empty)) == 0


# ---------------------------------------------------------------- whole families, whole publications


DIABETES = [{"subject_id": child, "predicate": "IS_A", "object_id": "EFO:diabetes"} for child in ("EFO:t1", "EFO:t2")]
CONCEPTS = [
    concept("EFO:t1", "type 1 diabetes"),
    concept("EFO:t2", "type 2 diabetes"),
    concept("EFO:gout", "gout"),
    concept("HP:gout", "Gout"),
]


def split_by(by: str, rows: list[dict], variants: list[dict] | None = None, **more: Any) -> pd.DataFrame:  # type: ignore[type-arg]
    """Split with the little ontology; half is held out unless said otherwise."""
    variants = variants or [variant(n, f"ld:1:{n // 2}") for n in range(1, 400)]
    given = {"concepts": table("concepts", CONCEPTS), "relations": table("relations", DIABETES), "share": 0.5, "development": 0.0}
    return split_snp_traits(table("associations", rows), table("variants", variants), by=by, **{**given, **more})


def test_by_trait_parents_children_siblings_and_twins_are_on_one_side() -> None:
    traits = [("T1D", "EFO:t1"), ("T2D", "EFO:t2"), ("Diabetes", "EFO:diabetes"), ("Gout", "EFO:gout"), ("gout (self-reported)", "HP:gout")]
    rows = [association(f"{trait}", n, term) for n, (trait, term) in enumerate(traits, 1)] + [
        association(f"Other {n}", n) for n in range(1, 60)
    ]
    for seed in range(6):
        held = set(split_by("trait", rows, seed=seed)["object_name"])
        assert len({name in held for name in ("T1D", "T2D", "Diabetes")}) == 1
        assert len({name in held for name in ("Gout", "gout (self-reported)")}) == 1
        assert 10 < len([name for name in held if name.startswith("Other")]) < 50


def test_by_block_a_locus_goes_with_all_its_traits() -> None:
    rows = [association(trait, n) for n in range(2, 200) for trait in ("Gout", "Height")]
    held = split_by("block", rows)
    assert set(held.groupby("locus").size()) == {4}
    assert 25 < held["locus"].nunique() < 75


def dated(trait: str, number: int, publication: int, day: str | None = None, **more: Any) -> dict[str, Any]:
    return association(trait, number, publication=f"pubmed:{publication}", date=day, id=f"{publication}-{trait}-{number}", **more)


def test_by_time_a_pair_that_was_known_before_is_not_held_out_but_its_later_row_is_not_trained_on() -> None:
    rows = [
        dated("Gout", 1, 100, "2019-01-01"),
        dated("Gout", 2, 110, "2020-06-01"),
        dated("Gout", 1, 110, "2020-06-01"),
        dated("Gout", 3, 90),
    ]
    split = split_by("time", rows, since="2020-03-01")
    assert split[["variant_id", "part", "association_id"]].values.tolist() == [
        ["dbsnp:rs1", "repeated", "110-Gout-1"],
        ["dbsnp:rs2", "test", ""],
    ]


def test_by_time_the_last_ones_before_are_for_development() -> None:
    rows = [dated("Gout", n, n, f"2020-{n:02}-01") for n in range(1, 13)]
    split = split_by("time", rows, since="2020-11-01", development=0.2)
    assert dict(zip(split["variant_id"].str[8:].astype(int), split["part"], strict=True)) == {
        9: "development",
        10: "development",
        11: "test",
        12: "test",
    }


def test_by_study_what_is_named_goes_by_source_study_or_publication() -> None:
    rows = [dated("Gout", n, n, source="mine" if n < 4 else "theirs") for n in range(1, 9)]
    assert set(split_by("study", rows, left_out=["mine", "pubmed:8"])["variant_id"]) == {f"dbsnp:rs{n}" for n in (1, 2, 3, 8)}


def test_by_publication_none_is_on_both_sides() -> None:
    rows = [dated("Gout", 10 * p + n, p) for p in range(1, 30) for n in range(3)]
    split = split_by("publication", rows)
    assert set(split["variant_id"].str[8:].astype(int).floordiv(10).value_counts()) == {3}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"by": "time"}, "None is no date"),
        ({"by": "time", "since": "1999-01-01"}, "no association is from before 1999-01-01"),
        ({"by": "study"}, "leaves out those that are named"),
        ({"by": "study", "left_out": ["ukb"]}, "no association is of 'ukb'"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split_by(rows=[dated("Gout", 1, 1, "2020-01-01")], **more)


SPELLINGS = {
    "EFO:t2": ("Type 2 diabetes", "type-2 diabetes", "T2D"),
    "EFO:gout": ("Gout", "gout!"),
    "HP:gout": ("Gouty arthritis", "Gout"),
    "": ("Height", "HEIGHT"),
}
PAIRS = st.tuples(
    st.sampled_from([(term, text) for term, texts in SPELLINGS.items() for text in texts]), st.integers(1, 12), st.integers(1, 4)
)
ONE_TRAIT = {
    "type 2 diabetes": "t2",
    "type-2 diabetes": "t2",
    "t2d": "t2",
    "gout": "gout",
    "gout!": "gout",
    "gouty arthritis": "gout",
    "height": "height",
}
# what must not be on both sides, of a pair of a trait and a variant
CROSSING = {
    "pair": lambda trait, number: (trait, number),
    "locus": lambda trait, number: (trait, number // 3),
    "trait": lambda trait, number: trait,
    "block": lambda trait, number: number // 3,
    "publication": lambda trait, number: (trait, number),
    "time": lambda trait, number: (trait, number),
}


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(PAIRS, min_size=4, max_size=25), by=st.sampled_from(sorted(CROSSING)), seed=st.integers(0, 3))
def test_no_synonym_spelling_twin_or_mate_crosses_from_the_held_out_into_training(
    drawn: list[Any], by: str, seed: int, tmp_path: Path
) -> None:
    rows = [dated(text, n, 100 + p, f"2020-0{p}-01", term_ids=[term] if term else [], named_term_ids=[term] if term else [])
            for (term, text), n, p in drawn]  # fmt: skip
    rows = [row | {"id": str(number)} for number, row in enumerate(rows)]
    variants = [variant(n, f"ld:1:{n // 3}") for n in range(1, 13)]
    write(tmp_path, concepts=CONCEPTS, variants=variants, associations=rows, relations=DIABETES)
    assume(by != "time" or {"2020-02-01", "2020-04-01"} <= {row["date"] for row in rows})
    split = split_by(by, rows, variants, seed=seed, since="2020-03-01")
    data = build_pairs(tmp_path, snp_traits=split).data
    trained = {(data.texts[left].casefold(), int(data.snps[right][8:])) for task in data.tasks if task.name == "gwas"
               for left, right in zip(task.left, task.right, strict=True)}  # fmt: skip
    held = split[split["association_id"] == ""]
    unit = CROSSING[by]
    held_units = {unit(ONE_TRAIT[name.casefold()], int(snp[8:])) for name, snp in zip(held["object_name"], held["variant_id"], strict=True)}
    assert held_units.isdisjoint({unit(ONE_TRAIT[text], number) for text, number in trained})
    # and nothing is lost: what is neither trained on nor held out is a row that training has from elsewhere
    assert len(trained) > 0 or len(held) > 0


def mapping(subject: str, label: str, target: str, use: str = "fit") -> dict[str, str]:
    return {
        "subject_id": subject,
        "subject_label": label,
        "vocabulary": "icd10",
        "object_id": target,
        "predicate": "exact",
        "judged": "valid",
        "use": use,
    }


def test_mappings_marked_for_evaluation_are_the_held_out_ones() -> None:
    split = split_mappings(table("mappings", [mapping("icd10:A", "a", "EFO:1"), mapping("icd10:B", "b", "EFO:2", "evaluate")]))
    assert split["subject_id"].tolist() == ["icd10:B"]


def test_mappings_that_share_a_text_a_code_or_a_target_stay_together() -> None:
    rows = [row for n in range(100) for row in (mapping(f"icd10:A{n}", f"Disease {n}", f"EFO:{n}"), mapping(f"icd10:B{n}", f"disease-{n}", f"EFO:x{n}"), mapping(f"icd10:C{n}", f"other {n}", f"EFO:x{n}"))]  # fmt: skip
    split = split_mappings(table("mappings", rows), share=0.3)
    per_component = split["subject_id"].str[7:].value_counts()
    assert set(per_component) == {3}
    assert 15 <= len(per_component) <= 45


def test_a_crowded_target_is_no_bridge() -> None:
    rows = [mapping(f"icd10:A{n}", f"disease {n}", "EFO:1") for n in range(200)]
    assert 20 <= len(split_mappings(table("mappings", rows), share=0.2)) <= 60


def test_a_split_is_read_back_and_a_changed_one_refused(tmp_path: Path) -> None:
    rows, variants = many_associations()
    split = split_snp_traits(table("associations", rows), table("variants", variants))
    path = tmp_path / "snp_traits.tsv"
    digest = write_split(path, split)
    assert read_split(path, digest).equals(split.astype(str))
    path.write_text(path.read_text() + "\n")
    with pytest.raises(ModelError, match=rf"snp_traits\.tsv has the hash .*, expected {digest}"):
        read_split(path, digest)


def test_a_workspace_is_trained_and_evaluated_on_the_split_that_it_is_told(finished: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "ws"
    shutil.copytree(finished.root, root, ignore=shutil.ignore_patterns("database-*", "graph-*", "model-*", "links-*"))
    text = (root / "kgbuild.toml").read_text()
    (root / "kgbuild.toml").write_text(text.replace('method = "centroid"', 'method = "centroid"\nsplit = "time"\nsince = "2018-01-01"'))
    figures = pipeline.train(Workspace.open(root))[-1].record.facts["figures"]
    split = pd.read_csv(Workspace.open(root).folder("model") / "snp_traits.tsv", sep="\t")
    one_by_one = split["part"] == SINGLE  # what the score is fitted on beside the split's own development part
    assert set(split["by"][one_by_one]) == {"pair"}
    assert set(split["by"][~one_by_one]) == {"time"}
    assert {"test", "development", "repeated"} == set(split["part"][~one_by_one])
    assert figures["held_out_pairs"] == (split["part"] == "test").sum() > figures["scored_pairs"] > 50
