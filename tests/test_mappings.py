"""What curators said is read as they said it, and what is held out is never trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import ConfigurationError, SourceError
from kgbuild.sources import Harvest, Sample, mappings
from kgbuild.vocabulary import text_id

HEADER = "source\tsubject_id\tsubject_label\tobject_id\tpredicate\tjudged\tsplit\n"


def read(tmp_path: Path, text: str, **options: Any) -> Harvest:
    (tmp_path / "m.tsv").write_text(text, encoding="utf-8")
    return mappings.read(tmp_path / "m.tsv", source="m", options=options)


def rows(harvest: Harvest) -> list[tuple[Any, ...]]:
    return [tuple(row.values())[:8] for row in harvest.tables["mappings"].to_pylist()]


def fates(harvest: Harvest) -> list[tuple[Any, ...]]:
    return [(r["line"], r["fate"], r["reason"], r["detail"]) for r in harvest.ledger.table().to_pylist()]


def test_sets_say_the_vocabulary_and_splits_say_the_use(tmp_path: Path) -> None:
    text = HEADER + "\n".join(
        [
            "az_icd10\tE119\tType 2 diabetes\tMONDO:0005148\tunspecified\tvalid\ttrain",
            'finngen\tI9_STR\t"Stroke, strict" (no controls)\tHP:1\t\tinvalid\tdev',
            "gwas_trait\t\tHeight\tEFO_0004339\texact\t\ttest",
            "eva_clinvar\tRCV1\tDiabète | sucré\tORPHA:5\tnarrow\tvalid\ttrain",
            "phecode_saige\t008\tIntestinal infection\tEFO:1\tbroad\tvalid\t",
            "mondo_efo\tMONDO:0005148\tT2D\thttp://www.ebi.ac.uk/efo/EFO_0001360\tclose\tvalid\ttrain",
            "mondo_doid\tDOID:9352\tT2D\tMONDO:0005148\texact\tvalid\ttrain",
            "mondo_icd10cm\tH80-H83\tDiseases of inner ear\tEFO:2\texact\tvalid\ttrain",
        ]
    )
    harvest = read(tmp_path, text)
    assert rows(harvest) == [
        ("icd10:E11.9", "Type 2 diabetes", "icd10", "unspecified", "MONDO:0005148", "valid", "fit", "az_icd10"),
        ("finngen:I9_STR", '"Stroke, strict" (no controls)', "finngen", "unspecified", "HP:1", "invalid", "evaluate", "finngen"),
        (text_id("Height"), "Height", "text", "exact", "EFO:0004339", "valid", "evaluate", "gwas_trait"),
        (text_id("Diabète | sucré"), "Diabète | sucré", "text", "narrow", "Orphanet:5", "valid", "fit", "eva_clinvar"),
        ("phecode:008", "Intestinal infection", "phecode", "broad", "EFO:1", "valid", "fit", "phecode_saige"),
        ("MONDO:0005148", "T2D", "mondo", "close", "EFO:0001360", "valid", "fit", "mondo_efo"),
        ("DOID:9352", "T2D", "doid", "exact", "MONDO:0005148", "valid", "fit", "mondo_doid"),
        (text_id("Diseases of inner ear"), "Diseases of inner ear", "text", "exact", "EFO:2", "valid", "fit", "mondo_icd10cm"),
    ]
    assert (harvest.ledger.rows_in, fates(harvest), harvest.notes) == (8, [], {"subjects that are a range of codes, read as text": 1})


def test_options_name_vocabularies_and_hold_a_whole_file_out_but_never_let_a_held_out_row_in(tmp_path: Path) -> None:
    text = HEADER + "az_icd10\tE119\tT2D\tEFO:1\t\t\ttrain\nmine\tE10\tT1D\tEFO:2\t\t\tdev\n"
    vocabularies = {"az_icd10": "icd10cm", "mine": "icd10"}
    assert [(r[0], r[6]) for r in rows(read(tmp_path, text, vocabularies=vocabularies, use="fit"))] == [
        ("icd10cm:E11.9", "fit"),
        ("icd10:E10", "evaluate"),
    ]
    assert [r[6] for r in rows(read(tmp_path, text, vocabularies=vocabularies, use="evaluate"))] == ["evaluate", "evaluate"]


def test_rows_that_make_no_statement_are_rejected_with_the_reason(tmp_path: Path) -> None:
    text = HEADER + "\n".join(
        [
            "az_icd10\t119\tx\tEFO:1\t\t\t",
            "az_icd10\t\t\tEFO:1\t\t\t",
            "az_icd10\tE10\tx\tno term\t\t\t",
            "az_icd10\tE10\tx\tEFO:1\tperhaps\t\t",
            "az_icd10\tE10\tx\tEFO:1\t\tmaybe\t",
            "unheard\tE10\tx\tEFO:1\t\t\t",
            "az_icd10\tE10\tx\tEFO:1",
            "az_icd10\tE10\tx\tEFO:1\t\t\t",
            "az_icd10\tE10.\tx\tefo:1\tunspecified\tvalid\ttrain",
        ]
    )
    harvest = read(tmp_path, text)
    assert [(line, fate, reason.partition(":")[0]) for line, fate, reason, _ in fates(harvest)] == [
        (2, "rejected", "not a code of icd10"),
        (3, "rejected", "the subject has neither a code nor a text"),
        (4, "rejected", "the target is not an identifier with a known prefix"),
        (5, "rejected", "the predicate is none that is known"),
        (6, "rejected", "the judgement is neither valid nor invalid"),
        (7, "rejected", "no vocabulary is known for this set; name it under `vocabularies` in kgbuild.toml"),
        (8, "rejected", "wrong number of cells"),
        (10, "merged", "the same statement"),
    ]
    assert harvest.ledger.rows_in == 9


SSSOM = """#curie_map:
#  EFO: "http://www.ebi.ac.uk/efo/EFO_"
subject_id\tsubject_label\tpredicate_id\tpredicate_modifier\tobject_id\tobject_label\tmapping_justification
icd10cm:E119\tType 2 diabetes\tskos:exactMatch\t\tMONDO:0005148\tT2D\tsemapv:ManualMappingCuration
MONDO:0005147\tT1D\tskos:broadMatch\t\tICD10CM:E10\tType 1 diabetes\tsemapv:ManualMappingCuration
finngen:T2D\tT2D\tskos:exactMatch\tNot\tEFO:1\tx\tsemapv:ManualMappingCuration
text:0\tHeight\tskos:closeMatch\t\tEFO:0004339\tbody height\tsemapv:ManualMappingCuration
EFO:1\tx\tskos:narrowMatch\t\tHP:2\ty\tsemapv:ManualMappingCuration
EFO:1\tx\tskos:exactMatch\t\tsssom:NoTermFound\t\tsemapv:ManualMappingCuration
"""


def test_sssom_is_read_with_codes_as_subjects_and_not_as_invalid(tmp_path: Path) -> None:
    harvest = read(tmp_path, SSSOM)
    assert rows(harvest) == [
        ("icd10cm:E11.9", "Type 2 diabetes", "icd10cm", "exact", "MONDO:0005148", "valid", "fit", "m"),
        ("icd10cm:E10", "Type 1 diabetes", "icd10cm", "narrow", "MONDO:0005147", "valid", "fit", "m"),
        ("finngen:T2D", "T2D", "finngen", "exact", "EFO:1", "invalid", "fit", "m"),
        (text_id("Height"), "Height", "text", "close", "EFO:0004339", "valid", "fit", "m"),
        ("EFO:1", "x", "efo", "narrow", "HP:2", "valid", "fit", "m"),
    ]
    assert fates(harvest) == [(9, "rejected", "the target is not an identifier with a known prefix", "sssom:NoTermFound")]


@pytest.mark.parametrize(
    ("options", "message"), [({"use": "train"}, "use is 'train'"), ({"vocabularies": {"x": "loinc"}}, "no vocabulary is called loinc")]
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, HEADER, **options)


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="column 'object_id' is missing"):
        read(tmp_path, "source\tsubject_label\nx\ty\n")


@pytest.mark.parametrize(
    ("name", "lines", "evaluation"),
    [
        ("train.tsv", [HEADER, "x\t\ta\tEFO:1\t\t\ttrain"], False),
        ("dev.tsv", [HEADER, "x\t\ta\tEFO:1\t\t\tdev"], True),
        ("mixed.tsv", [HEADER, "x\t\ta\tEFO:1\t\t\tdev", "x\t\tb\tEFO:1\t\t\ttrain"], False),
        ("my_test.sssom.tsv", SSSOM.splitlines(), True),
        ("mine.sssom.tsv", SSSOM.splitlines(), False),
    ],
)
def test_mapping_files_are_recognised_and_held_out_ones_told_apart(name: str, lines: list[str], evaluation: bool) -> None:
    recognised = mappings.recognise(Sample(Path(name), tuple(line.rstrip("\n") for line in lines)))
    assert recognised is not None
    assert (recognised.kind, recognised.evaluation) == ("curated-mappings", evaluation)
    assert mappings.recognise(Sample(Path(name), ("a\tb",))) is None
