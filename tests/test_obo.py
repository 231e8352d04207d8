"""An ontology's terms are read as they are written, each stanza accounted for; obonet is the oracle."""

from __future__ import annotations

import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import obonet
import pytest

from kgbuild.errors import SourceError
from kgbuild.sources import Harvest, Recognised, Sample, obo

PACKAGED = Path(str(files("kgbuild"))) / "data" / "efo.obo.gz"
HEADER = "format-version: 1.2\ndata-version: 2.87\nontology: http://www.ebi.ac.uk/efo/efo.owl\n\n"


def read(tmp_path: Path, text: str, header: str = HEADER, **options: Any) -> Harvest:
    path = tmp_path / "x.obo"
    path.write_text(header + text, encoding="utf-8")
    return obo.read(path, source="o", options=options)


def rows(harvest: Harvest, table: str, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[c] for c in columns) for row in harvest.tables[table].to_pylist()]


def fates(harvest: Harvest) -> list[tuple[Any, ...]]:
    return [(r["line"], r["fate"], r["reason"], r["detail"]) for r in harvest.ledger.table().to_pylist()]


ASTHMA = """[Term]
id: MONDO:0004979
name: asthma
def: "Wheezing. ! not a comment" [x:y] {a="b"}
synonym: "Asthma, bronchial" EXACT [] {source="DOID:2841"}
synonym: "wheezy \\"chest\\", pain" EXACT OMO:1 [a:b]
synonym: "airway disease" BROAD []
xref: ICD10:J45 {source="MONDO:equivalentTo"} ! asthma
xref: ICD9:493.9
xref: ORDO:123 "a name"
xref: SNOMEDCT:195967001
xref: UMLS:C0004096
xref: KEGG COMPOUND:C1 "KEGG"
xref: FYLER:10 ! kept as written
is_a: EFO:0000408 {x="y"} ! disease
alt_id: EFO:0000270

[Term]
id: EFO:0000408
name: disease
"""


def test_a_term_becomes_a_concept_with_names_cross_references_and_parent(tmp_path: Path) -> None:
    harvest = read(tmp_path, ASTHMA)
    assert rows(harvest, "concepts", "id", "name", "vocabulary", "kind", "obsolete", "selectable", "line") == [
        ("MONDO:0004979", "asthma", "efo", "Disease", False, True, 5),
        ("EFO:0000408", "disease", "efo", "Disease", False, True, 22),
    ]
    assert rows(harvest, "names", "concept_id", "name", "role") == [
        ("MONDO:0004979", "asthma", "label"),
        ("MONDO:0004979", "Asthma, bronchial", "synonym"),
        ("MONDO:0004979", 'wheezy "chest", pain', "synonym"),
        ("EFO:0000408", "disease", "label"),
    ]
    assert rows(harvest, "xrefs", "subject_id", "predicate", "object_id") == [
        ("MONDO:0004979", "xref", "icd10:J45"),
        ("MONDO:0004979", "xref", "icd9cm:493.9"),
        ("MONDO:0004979", "xref", "Orphanet:123"),
        ("MONDO:0004979", "xref", "FYLER:10"),
        ("EFO:0000270", "replaced_by", "MONDO:0004979"),
    ]
    assert rows(harvest, "relations", "subject_id", "predicate", "object_id", "line") == [("MONDO:0004979", "IS_A", "EFO:0000408", 5)]
    assert (harvest.version, harvest.ledger.kept, fates(harvest)) == ("2.87", 2, [])
    assert harvest.notes == {
        "cross-references that are no identifier, dropped": 1,
        "cross-references to UMLS, SNOMED CT, MedDRA or MedGen, dropped": 2,
    }


def test_every_stanza_is_kept_merged_or_rejected_with_its_line(tmp_path: Path) -> None:
    text = """[Term]
id: EFO:1
name: one

[Term]
id: EFO:1
name: one
synonym: "uno" EXACT []

[Term]
id: EFO:1
name: another

[Term]
name: no id

[Term]
id: EFO:2

[Typedef]
id: part_of
name: part of

[Term]
id: EFO:3
is_obsolete: true
replaced_by: EFO:1
"""
    harvest = read(tmp_path, text)
    assert fates(harvest) == [
        (9, "merged", "another stanza of the same id", "line 5"),
        (14, "rejected", "the id is defined before as something else", "EFO:1 'another', on line 5 'one'"),
        (18, "rejected", "the stanza has no id", "no id"),
        (21, "rejected", "the stanza has no name", "EFO:2"),
    ]
    assert (harvest.ledger.rows_in, harvest.ledger.kept) == (6, 2)
    assert rows(harvest, "names", "concept_id", "name") == [("EFO:1", "one"), ("EFO:1", "uno")]
    assert rows(harvest, "xrefs", "subject_id", "predicate", "object_id") == [("EFO:3", "replaced_by", "EFO:1")]


def test_kinds_come_from_ancestors_then_replacement_then_name_or_prefix(tmp_path: Path) -> None:
    terms = [
        ("EFO:0001444", "measurement", ""),
        ("EFO:1", "height", "is_a: EFO:0001444"),
        ("EFO:2", "tall", "is_a: EFO:1\nis_a: EFO:2"),
        ("GO:0008150", "biological process", ""),
        ("EFO:3", "energy intake", "is_a: GO:0008150"),
        ("GO:7", "growth", "is_a: GO:0008150"),
        ("EFO:4", "old height", "is_obsolete: true\nreplaced_by: http://www.ebi.ac.uk/efo/EFO_1"),
        ("EFO:5", "iron measurement", ""),
        ("OBA:6", "size", "is_a: EFO:99"),
        ("EFO:8", "anything", ""),
    ]
    harvest = read(tmp_path, "\n".join(f"[Term]\nid: {i}\nname: {n}\n{rest}\n" for i, n, rest in terms))
    assert [kind for (kind,) in rows(harvest, "concepts", "kind")] == [
        "Measurement", "Measurement", "Measurement", "BiologicalProcess", "Phenotype", "BiologicalProcess", "Measurement", "Measurement", "Measurement", "Phenotype",
    ]  # fmt: skip
    assert harvest.notes == {"is_a of a term to itself, dropped": 1, "is_a to a term that the file does not define, dropped": 1}


def test_names_hold_any_character(tmp_path: Path) -> None:
    names = ['"quoted"', "a | b", "a\tb", "🧬 gene", "داء السكري", "Yahoo! {fever}"]
    stanzas = [f"[Term]\nid: EFO:{n}\nname: {name}\n" for n, name in enumerate(names)]
    assert rows(read(tmp_path, "\n".join(stanzas)), "concepts", "name") == [(name,) for name in names]


def test_windows_line_ends_and_gzip_change_nothing(tmp_path: Path) -> None:
    expected = read(tmp_path, ASTHMA)
    path = tmp_path / "y.obo.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + (HEADER + ASTHMA).replace("\n", "\r\n").encode()))
    assert obo.read(path, source="o", options={}).tables == expected.tables


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no .Term. stanza"),
        ("[Typedef]\nid: part_of\n", "holds no .Term. stanza"),
        ("[Term]\nid: EFO:1\nname one\n", "line 7: a line is no `tag: value`\n  found: 'name one'"),
        ("<html>\n", "line 5: a line is no `tag: value`"),
    ],
)
def test_a_file_that_is_no_obo_is_refused_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(tmp_path, text)


def test_a_truncated_gzip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.obo.gz").write_bytes(PACKAGED.read_bytes()[:50_000])
    with pytest.raises(SourceError, match="the compressed data cannot be read"):
        obo.read(tmp_path / "x.obo.gz", source="o", options={})


def test_the_ontology_in_the_header_is_the_vocabulary_where_it_is_one(tmp_path: Path) -> None:
    stanza = "[Term]\nid: MONDO:1\nname: x\n"
    vocabularies = [read(tmp_path, stanza, f"ontology: {name}\n").tables["concepts"]["vocabulary"].to_pylist() for name in ("mondo", "hp")]
    assert vocabularies == [["mondo"], ["efo"]]
    assert read(tmp_path, stanza, vocabulary="doid").tables["concepts"]["vocabulary"].to_pylist() == ["doid"]


def test_version_and_ontology_are_recognised_from_the_header() -> None:
    lines = (
        "format-version: 1.4",
        "data-version: http://www.ebi.ac.uk/efo/releases/v3.74.0/efo.owl",
        "ontology: efo",
        "",
        "[Term]",
        "id: EFO:1",
    )
    assert obo.recognise(Sample(Path("efo.obo"), lines)) == Recognised("obo", "3.74.0", "OBO stanzas of the ontology efo", flavour="efo")
    assert obo.recognise(Sample(Path("x.tsv"), ("id\tname",))) is None


def test_the_packaged_ontology_reads_as_obonet_reads_it() -> None:
    harvest = obo.read(PACKAGED, source="o", options={})
    with gzip.open(PACKAGED, "rt", encoding="utf-8") as handle:
        graph = obonet.read_obo(handle, ignore_obsolete=False)
    names = {node: data["name"] for node, data in graph.nodes(data=True) if "name" in data}
    exact = {
        (node, text.split('"')[1])
        for node, data in graph.nodes(data=True)
        for text in data.get("synonym", [])
        if '" EXACT' in text and "\\" not in text
    }
    assert dict(rows(harvest, "concepts", "id", "name")) == names
    assert set(rows(harvest, "relations", "subject_id", "object_id")) == {
        (child, parent) for child, parent, key in graph.edges(keys=True) if key == "is_a"
    }
    assert exact <= set(rows(harvest, "names", "concept_id", "name"))
    assert {old for old, _ in rows(harvest, "xrefs", "subject_id", "predicate") if _ == "replaced_by"} == {
        n for n, d in graph.nodes(data=True) if "replaced_by" in d
    }
    assert harvest.ledger.rows_in == len(graph)
