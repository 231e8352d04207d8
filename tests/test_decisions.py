"""What people decided is read strictly, kept in one file, and read by today's ids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kgbuild import tables
from kgbuild.decisions import Decision, apply, read, take_over, write
from kgbuild.errors import SourceError
from kgbuild.vocabulary import text_id

HEADER = "subject_id\tsubject_label\tpredicate_id\tpredicate_modifier\tobject_id\tmapping_justification\tmapping_date\tcomment\n"
MANUAL = "semapv:ManualMappingCuration"


def row(
    subject: str = "icd10cm:E11",
    object_: str = "MONDO:0005148",
    predicate: str = "skos:exactMatch",
    modifier: str = "",
    *,
    date: str = "",
    label: str = "x",
    justification: str = MANUAL,
    comment: str = "",
) -> str:
    return "\t".join([subject, label, predicate, modifier, object_, justification, date, comment]) + "\n"


def file(folder: Path, *rows: str, name: str = "mine.sssom.tsv") -> Path:
    (folder / name).write_text(f"#curie_map:\n#  skos: x\n{HEADER}{''.join(rows)}", encoding="utf-8")
    return folder / name


def said(decisions: Any) -> list[tuple[str, str, str]]:
    return [(d.subject_id, d.object_id, d.predicate) for d in decisions]


def test_ids_and_predicates_are_spelled_as_the_workspace_spells_them(tmp_path: Path) -> None:
    reading = read(
        file(tmp_path, row("ICD10CM:E119", "MONDO_0005148"), row("", "efo:0000270", "skos:broadMatch", label="wheeze"),
             row("text:abc", "http://www.ebi.ac.uk/efo/EFO_0000270", modifier="Not"), row("icd10cm:R69", "sssom:NoTermFound"))
    )  # fmt: skip
    assert said(reading.decisions) == [
        ("icd10cm:E11.9", "MONDO:0005148", "exact"),
        ("icd10cm:R69", "sssom:NoTermFound", "exact"),
        ("text:abc", "EFO:0000270", "not"),
        (text_id("wheeze"), "EFO:0000270", "broad"),
    ]


def test_rows_that_nobody_has_decided_on_are_counted_and_left(tmp_path: Path) -> None:
    reading = read(file(tmp_path, row(), row("icd10cm:E10", justification="semapv:SemanticSimilarityThresholdMatching")))
    assert (len(reading.decisions), reading.undecided) == (1, 1)


@pytest.mark.parametrize(
    ("bad", "found", "expected"),
    [
        (row(predicate="skos:samish"), "skos:samish", "skos:exactMatch or skos:broadMatch"),
        (row(predicate="skos:relatedMatch"), "skos:relatedMatch", "skos:exactMatch"),
        (row(modifier="maybe"), "maybe", "Not, or nothing"),
        (row("diabetes"), "diabetes", "a CURIE such as"),
        (row("icd10cm:diabetes"), "icd10cm:diabetes", "a letter, a digit"),
        (row(object_="T2D"), "T2D", "a CURIE such as"),
        (row("", label=""), "", "a text in subject_label"),
        (row(justification="manual"), "manual", MANUAL),
        (row(date="21.11.2026"), "21.11.2026", "2026-11-21"),
        ("one\ttwo\n", "2 cells instead of 8: one\ttwo", "as many cells"),
    ],
)
def test_a_bad_row_is_named_with_file_line_value_and_what_was_expected(bad: str, found: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=f"mine.sssom.tsv, line 5: .*\n.*found: {re.escape(repr(found))}\n.*expected: .*{expected}"):
        read(file(tmp_path, row(), bad))


def test_all_bad_rows_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        read(file(tmp_path, row(modifier="maybe"), row(), row("x")))
    assert "line 4: " in str(error.value)
    assert "also line 6: not an identifier with a known prefix, found 'x'" in str(error.value)


def test_two_words_on_one_pair_are_refused_unless_one_is_later(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="are decided on otherwise in line 4"):
        read(file(tmp_path, row(), row(modifier="Not")))
    later = read(file(tmp_path, row(date="2026-11-21"), row(modifier="Not", date="2026-11-20")))
    assert said(later.decisions) == [("icd10cm:E11", "MONDO:0005148", "exact")]


def test_that_no_term_fits_and_that_one_does_replace_each_other(tmp_path: Path) -> None:
    none = row(object_="sssom:NoTermFound", date="2026-11-21")
    rejected = row(object_="EFO:1", modifier="Not", date="2026-11-01")
    assert said(read(file(tmp_path, none, rejected, row(date="2026-11-20"))).decisions) == [
        ("icd10cm:E11", "EFO:1", "not"), ("icd10cm:E11", "sssom:NoTermFound", "exact"),
    ]  # fmt: skip
    assert said(read(file(tmp_path, none, row(date="2026-11-22"))).decisions) == [("icd10cm:E11", "MONDO:0005148", "exact")]


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    decisions = [
        Decision("icd10cm:E11", "EFO:1", "not", "Type 2", "one", "A. Person", "2026-11-21", 'not "this"; so\twhat', 0),
        Decision("icd10cm:E11", "MONDO:1", "broad"),
    ]
    write(tmp_path / "kept.tsv", decisions)
    from dataclasses import replace

    assert [replace(d, line=0) for d in read(tmp_path / "kept.tsv").decisions] == decisions


def test_what_is_taken_over_again_changes_nothing(tmp_path: Path) -> None:
    kept, mine = tmp_path / "kept.tsv", file(tmp_path, row(), row("icd10cm:E10", "MONDO:0005147"))
    assert take_over(kept, [mine], today="2026-11-21") == ["mine.sssom.tsv: 2 decisions, 2 new"]
    first = kept.read_bytes()
    assert b"2026-11-21" in first
    assert take_over(kept, [mine], today="2026-11-25") == ["mine.sssom.tsv: 2 decisions"]
    assert kept.read_bytes() == first


def test_the_later_word_wins_over_what_is_kept_and_the_older_one_is_told(tmp_path: Path) -> None:
    kept = tmp_path / "kept.tsv"
    take_over(kept, [file(tmp_path, row(date="2026-11-20"))], today="2026-11-20")
    told = take_over(kept, [file(tmp_path, row(modifier="Not", date="2026-11-19"))], today="2026-11-21")
    assert (told, read(kept).decisions[0].predicate) == (["mine.sssom.tsv: 1 decisions, 1 older than what is kept"], "exact")
    told = take_over(kept, [file(tmp_path, row(modifier="Not"))], today="2026-11-21")
    assert (told, read(kept).decisions[0].predicate) == (["mine.sssom.tsv: 1 decisions, 1 changed"], "not")


def test_a_file_with_a_bad_row_leaves_what_is_kept_alone(tmp_path: Path) -> None:
    kept = tmp_path / "kept.tsv"
    take_over(kept, [file(tmp_path, row())], today="2026-11-21")
    before = kept.read_bytes()
    good, bad = file(tmp_path, row("icd10cm:E10"), name="good.tsv"), file(tmp_path, row(modifier="maybe"), name="bad.tsv")
    with pytest.raises(SourceError, match="Nothing was taken over"):
        take_over(kept, [good, bad], today="2026-11-21")
    assert kept.read_bytes() == before


CONCEPTS = tables.from_rows(
    "concepts",
    [
        (id_, name, vocabulary, "Disease", obsolete, None, True, "s", 1)
        for id_, name, vocabulary, obsolete in [
            ("MONDO:0005148", "type 2 diabetes mellitus", "efo", False),
            ("EFO:0001360", "type II diabetes mellitus", "efo", True),
            ("icd10cm:E11", "Type 2 diabetes mellitus", "icd10cm", False),
            ("icd9cm:250.00", "Diabetes", "icd9cm", False),
        ]
    ],
)
XREFS = tables.from_rows("xrefs", [("EFO:0001360", "replaced_by", "MONDO:0005148", "s", 1)])


def applied(*decisions: Decision) -> tuple[list[tuple[str, ...]], dict[str, Any]]:
    found = apply(decisions, CONCEPTS, XREFS)
    return list(found.frame[["subject_id", "object_id", "decided"]].itertuples(index=False, name=None)), found.facts()


def test_an_obsolete_target_is_forwarded_and_that_is_said() -> None:
    rows, facts = applied(Decision("icd10cm:E11", "EFO:0001360", "exact"))
    assert rows == [("icd10cm:E11", "MONDO:0005148", "exact")]
    assert facts == {"applied": 1, "forwarded": ["EFO:0001360 -> MONDO:0005148"], "waiting": []}


def test_a_decision_on_today_s_id_stands_over_one_on_the_old_id() -> None:
    old = Decision("icd10cm:E11", "EFO:0001360", "exact", mapping_date="2026-11-21")
    new = Decision("icd10cm:E11", "MONDO:0005148", "not", mapping_date="2020-01-01")
    assert applied(old, new)[0] == applied(new, old)[0] == [("icd10cm:E11", "MONDO:0005148", "not")]


def test_a_decision_made_from_the_term_s_side_is_turned() -> None:
    assert applied(Decision("MONDO:0005148", "icd9cm:250.00", "broad"))[0] == [("icd9cm:250.00", "MONDO:0005148", "narrow")]


def test_what_is_there_beside_the_concepts_can_be_decided_on() -> None:
    found = apply([Decision("text:mine", "EFO:0001360", "exact")], CONCEPTS, XREFS, also={"text:mine": "sugar"})
    assert (found.frame["object_id"].tolist(), found.waiting) == (["MONDO:0005148"], ())


def test_what_is_about_nothing_loaded_waits_and_is_named() -> None:
    rows, facts = applied(Decision("icd10cm:E11", "MONDO:9", "exact"), Decision("icd10cm:E99", "MONDO:0005148", "exact"))
    assert (rows, facts["waiting"]) == ([], ["icd10cm:E11 -> MONDO:9", "icd10cm:E99 -> MONDO:0005148"])
