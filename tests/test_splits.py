"""What is held out: whole units, the same ones each time, and nothing of them left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from little_tables import association, table, variant

from kgbuild.errors import ModelError, UsageError
from kgbuild.splits import loci_of, read_split, split_mappings, split_snp_traits, trait_groups, write_split


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
