"""Identifiers are spelled one way, and codes keep their dots and zeros."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild.vocabulary import PREFIXES, code_curie, curie_from_uri, normalise_curie, normalise_name, text_id, variant_id


@pytest.mark.parametrize(
    ("vocabulary", "code", "curie"),
    [
        ("icd10cm", "E119", "icd10cm:E11.9"),
        ("icd10cm", "S72.001A", "icd10cm:S72.001A"),
        ("icd10", "A00", "icd10:A00"),
        ("icd9cm", "001", "icd9cm:001"),
        ("icd9cm", "V1005", "icd9cm:V10.05"),
        ("phecode", "250.20", "phecode:250.20"),
        ("phecodex", "EM_202.2", "phecodex:EM_202.2"),
        ("finngen", "AB1_CMV", "finngen:AB1_CMV"),
        ("doid", "DOID:0050127", "DOID:0050127"),
    ],
)
def test_a_code_is_spelled_as_its_vocabulary_spells_it(vocabulary: str, code: str, curie: str) -> None:
    assert code_curie(vocabulary, code) == curie


@pytest.mark.parametrize(("vocabulary", "code"), [("icd10cm", "119"), ("icd9cm", "E11.9X"), ("phecode", ""), ("phecode", "25 0")])
def test_what_a_vocabulary_cannot_hold_is_refused(vocabulary: str, code: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        code_curie(vocabulary, code)


def test_efo_uris_come_from_three_hosts() -> None:
    uris = ["http://www.ebi.ac.uk/efo/EFO_0004593", "http://purl.obolibrary.org/obo/HP_0000819", "http://www.orpha.net/ORDO/Orphanet_558"]
    assert [curie_from_uri(uri) for uri in uris] == ["EFO:0004593", "HP:0000819", "Orphanet:558"]


@given(st.sampled_from(sorted(PREFIXES)), st.from_regex(r"[A-Za-z0-9]{1,12}", fullmatch=True))
def test_every_prefix_normalises_to_itself_whatever_its_case(prefix: str, local: str) -> None:
    assert normalise_curie(f"{prefix.upper()}:{local}") == normalise_curie(f"{prefix.lower()}:{local}") == f"{prefix}:{local}"


def test_prefixes_agree_with_curies() -> None:
    import curies

    converter = curies.load_prefix_map(dict(PREFIXES), strict=False)
    for prefix, start in PREFIXES.items():
        assert curie_from_uri(f"{start}123") == converter.compress(f"{start}123") == f"{prefix}:123"


@given(st.text())
def test_normalising_a_name_twice_changes_nothing(name: str) -> None:
    once = normalise_name(name)
    assert normalise_name(once) == once


def test_a_text_in_another_script_keeps_its_words() -> None:
    assert normalise_name("داء السكري 2") == "داء السكري 2"


def test_a_texts_id_does_not_depend_on_how_accents_are_encoded() -> None:
    assert text_id("Ménière") == text_id("Me\u0301nie\u0300re")


@pytest.mark.parametrize("text", ["rs12a", "rs", "rs0", "chr1:123", "", "rs1; rs2", "HLA-DRB1*15:01"])
def test_what_is_no_rs_id_gets_no_variant_id(text: str) -> None:
    assert variant_id(text) is None
