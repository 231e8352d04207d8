"""A text is known by a hash of itself; the same text is one concept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgbuild.errors import ConfigurationError, SourceError
from kgbuild.sources import Harvest, Recognised, Sample, free_text
from kgbuild.vocabulary import text_id


def read(tmp_path: Path, text: str, **options: Any) -> Harvest:
    (tmp_path / "texts.csv").write_text(text, encoding="utf-8")
    return free_text.read(tmp_path / "texts.csv", source="f", options=options)


def test_texts_of_any_script_become_concepts(tmp_path: Path) -> None:
    texts = ['he said "asthma"', "a | b", "tab\there", "🧬 trait", "داء السكري", "two\nlines", "NA", "# not a comment"]
    quoted = "".join('"' + text.replace('"', '""') + '"\n' for text in texts)
    concepts = read(tmp_path, "phenotype\n" + quoted, column="phenotype").tables["concepts"].to_pylist()
    assert [(c["id"], c["name"], c["line"]) for c in concepts] == [
        (text_id(t), t, line) for t, line in zip(texts, (2, 3, 4, 5, 6, 7, 9, 10), strict=True)
    ]
    assert {(c["vocabulary"], c["kind"], c["group"], c["selectable"], c["obsolete"]) for c in concepts} == {
        ("text", "FreeText", None, True, False)
    }


def test_empty_and_repeated_texts_are_accounted_for(tmp_path: Path) -> None:
    harvest = read(
        tmp_path, "id;trait;class\n1;Café;drinks\n2; ;\n3;Cafe\u0301 ;\n4;x;y;z\n", column="trait", group_column="class", id_column="id"
    )
    assert [(c["name"], c["group"]) for c in harvest.tables["concepts"].to_pylist()] == [("Café", "drinks")]
    assert [(r["line"], r["fate"], r["reason"], r["detail"]) for r in harvest.ledger.table().to_pylist()] == [
        (3, "rejected", "the text is empty", "2"),
        (4, "merged", "the same text", "line 2"),
        (5, "rejected", "wrong number of cells", "4 cells instead of 3: 4;x;y;z"),
    ]
    assert harvest.ledger.rows_in == 4


def test_codes_of_a_vocabulary_are_ids(tmp_path: Path) -> None:
    harvest = read(tmp_path, "code\tname\nE119\tT2D\nnone\tx\nE11.9\tother\n", column="name", id_column="code", vocabulary="icd10")
    assert [(c["id"], c["name"], c["kind"]) for c in harvest.tables["concepts"].to_pylist()] == [("icd10:E11.9", "T2D", "ClinicalCode")]
    assert [(n["concept_id"], n["role"]) for n in harvest.tables["names"].to_pylist()] == [("icd10:E11.9", "label")]
    assert [r["reason"].partition(":")[0] for r in harvest.ledger.table().to_pylist()] == [
        "not a code of icd10",
        "the code has another text before",
    ]


def test_an_id_that_is_a_known_curie_is_kept(tmp_path: Path) -> None:
    ids = (
        read(tmp_path, "id\ttext\nukb.field:20002\tAsthma\n7\tAsthma\n", column="text", id_column="id").tables["concepts"]["id"].to_pylist()
    )
    assert ids == ["ukb.field:20002", text_id("Asthma")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "says no `column`"),
        ({"column": "a", "vocabulary": "loinc"}, "no vocabulary is called 'loinc'"),
        ({"column": "a", "vocabulary": "icd10"}, "need their codes"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, "a\nx\n", **options)


def test_a_missing_column_is_refused_with_the_columns_there_are(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="column 'trait' is missing\n  found: 'a, b'"):
        read(tmp_path, "a,b\n1,2\n", column="trait")


def test_a_column_of_texts_is_recognised() -> None:
    assert free_text.recognise(Sample(Path("mine.tsv"), ("id\tPhenotype", "1\tx"))) == Recognised(
        "free-text", "", "a column 'Phenotype', read as free text", {"column": "Phenotype"}, flavour="mine"
    )
    assert free_text.recognise(Sample(Path("mine.tsv"), ("id\tvalue", "1\tx"))) is None
