"""Mapping tables and graphs as other tools read them, on a handful of rows."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kgbuild import exports, omop, tables
from kgbuild.candidate_sets import FILE, CandidateSets
from kgbuild.errors import UsageError
from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property, arrow_type
from kgbuild.stores import GraphFiles
from kgbuild.workspace import write_whole

MANUAL = "semapv:ManualMappingCuration"
COSINE = "semapv:SemanticSimilarityThresholdMatching"

SOURCES = [
    ("efo", "obo", "efo.obo", "aa", "3.74.0", "Apache-2.0", True, 3, 3, 0, 0),
    ("icd", "icd10cm-order", "icd.txt", "bb", "2021", "public domain", True, 3, 3, 0, 0),
    ("who", "icd10cm-order", "who.txt", "cc", None, None, False, 1, 1, 0, 0),
    ("curated", "curated-mappings", "map.tsv", "dd", None, "CC0", True, 1, 1, 0, 0),
    ("secret", "curated-mappings", "secret.tsv", "ee", None, None, False, 1, 1, 0, 0),
]
CONCEPTS = [
    ("EFO:1", "diabetes mellitus", "efo", "Disease", False, None, True, "efo", 1),
    ("EFO:2", 'asthma "allergic"', "efo", "Disease", False, None, True, "efo", 2),
    ("icd10cm:E11", "Type 2 diabetes", "icd10cm", "ClinicalCode", False, None, True, "icd", 1),
    ("icd10cm:J45", "Asthma", "icd10cm", "ClinicalCode", False, None, True, "icd", 2),
    ("icd10cm:Z99", "Dependence", "icd10cm", "ClinicalCode", False, None, True, "icd", 3),
    ("icd10:J45", "Asthma of WHO", "icd10", "ClinicalCode", False, None, True, "who", 1),
]
NAMES = [(id_, name, "label", source, line) for id_, name, *_, source, line in CONCEPTS] + [("EFO:2", "wheeze", "synonym", "secret", 9)]


def _link(
    subject: str, object_: str, rank: int, predicate: str, decision: str, numbers: tuple[float, float, float] | None, evidence: str
) -> tuple[Any, ...]:
    similarity, target, same = numbers or (None, None, None)
    justification = COSINE if numbers else MANUAL
    return (
        subject,
        object_,
        rank,
        predicate,
        similarity,
        target,
        same,
        decision,
        justification,
        "a name",
        "global" if numbers else "curated",
        [evidence],
    )


LINKS = [
    _link("icd10cm:J45", "EFO:2", 1, "exact", "accept", (1.0000002, 0.95, 0.9), "gap=0.2"),
    _link("icd10cm:J45", "EFO:1", 2, "not", "reject", None, "curated:4"),
    _link("icd10cm:E11", "EFO:1", 1, "broad", "accept", (0.8, 0.9, 0.3), "gap=0.1"),
    _link("icd10cm:Z99", "EFO:1", 1, "close", "review", (0.5, 0.4, 0.1), "gap=0.1"),
    _link("icd10cm:Z99", "EFO:2", 2, "close", "reject", (-0.1, 0.0, 0.0), "gap=0.1"),
    _link("icd10:J45", "EFO:2", 1, "exact", "accept", (0.9, 0.9, 0.9), "gap=0.1"),
    _link("icd10cm:E11", "EFO:2", 2, "narrow", "accept", None, "secret:12"),
]
GROUPS = [("harmonised:EFO-2", "EFO:2", True, 1.0, COSINE), ("harmonised:EFO-2", "icd10cm:J45", False, 0.9, COSINE)]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made = {"sources": SOURCES, "concepts": CONCEPTS, "names": NAMES}
    tables.write(tmp_path, {name: tables.from_rows(name, rows) for name, rows in made.items()})
    links_dir = tmp_path / "links"
    links_dir.mkdir()
    tables.write(links_dir, {"links": tables.from_rows("links", LINKS), "groups": tables.from_rows("groups", GROUPS)})
    return tmp_path, links_dir


def _sssom_rows(path: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = yaml.safe_load("\n".join(line[1:] for line in lines if line.startswith("#")))
    return header, list(csv.DictReader([line for line in lines if not line.startswith("#")], delimiter="\t"))


def test_sssom_holds_accepted_links_and_what_curators_rejected(folders: tuple[Path, Path], tmp_path: Path) -> None:
    summary = exports.export_mappings(*folders, tmp_path / "m.tsv")
    _, rows = _sssom_rows(tmp_path / "m.tsv")
    shown = [
        tuple(row[c] for c in ("subject_id", "predicate_id", "predicate_modifier", "object_id", "confidence", "similarity_score"))
        for row in rows
    ]
    assert shown == [
        ("icd10cm:E11", "skos:broadMatch", "", "EFO:1", "0.6", "0.8"),
        ("icd10cm:J45", "skos:exactMatch", "", "EFO:2", "0.9", "1"),
        ("icd10cm:J45", "skos:exactMatch", "Not", "EFO:1", "", ""),
    ]
    assert (summary.rows, summary.withheld) == ({"accept": 2, "reject": 1}, {"secret": 1, "who": 1})


def test_review_and_restricted_rows_come_when_asked_for(folders: tuple[Path, Path], tmp_path: Path) -> None:
    summary = exports.export_mappings(*folders, tmp_path / "m.tsv", include_review=True, include_restricted=True)
    assert (summary.rows, summary.withheld) == ({"accept": 4, "reject": 1, "review": 1}, {})


def test_a_part_of_a_composite_text_says_how_the_parts_are_put_together(folders: tuple[Path, Path], tmp_path: Path) -> None:
    part = (*LINKS[2][:-1], ["composition=any", "part=Diabetes mellitus"])
    tables.write(folders[1], {"links": tables.from_rows("links", [part, LINKS[0]])})
    exports.export_mappings(*folders, tmp_path / "m.tsv")
    rows = {row["object_id"]: (row["composition"], row["confidence"]) for row in _sssom_rows(tmp_path / "m.tsv")[1]}
    assert rows == {"EFO:1": ("any", ""), "EFO:2": ("", "0.9")}


def test_links_say_whether_they_are_in_their_subject_s_candidate_set(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (folders[1] / FILE).write_text(CandidateSets(0.9, {"": 0.92, "icd10cm": 0.97}).to_json())
    second = (*LINKS[2][:1], "EFO:2", 2, *LINKS[2][3:])
    tables.write(folders[1], {"links": tables.from_rows("links", [*LINKS[:-1], second])})
    exports.export_mappings(*folders, tmp_path / "m.tsv", include_restricted=True)
    header, rows = _sssom_rows(tmp_path / "m.tsv")
    inside = {(row["subject_id"], row["object_id"]): row["in_candidate_set"] for row in rows}
    assert inside == {
        ("icd10:J45", "EFO:2"): "true", ("icd10cm:E11", "EFO:1"): "true", ("icd10cm:E11", "EFO:2"): "false",
        ("icd10cm:J45", "EFO:2"): "true", ("icd10cm:J45", "EFO:1"): "",
    }  # fmt: skip
    assert header["extension_definitions"][-1] == {
        "slot_name": "in_candidate_set", "property": "kgbuild:in_candidate_set", "type_hint": "xsd:boolean",
    }  # fmt: skip


def test_labels_and_releases_come_from_the_sources(folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_mappings(*folders, tmp_path / "m.tsv", mapping_date="2026-11-21")
    _, rows = _sssom_rows(tmp_path / "m.tsv")
    wanted = (
        "subject_label",
        "subject_source",
        "subject_source_version",
        "object_label",
        "object_source",
        "object_source_version",
        "mapping_date",
    )
    assert [rows[1][c] for c in wanted] == [
        "Asthma",
        "bioregistry:icd10cm",
        "2021",
        'asthma "allergic"',
        "bioregistry:efo",
        "3.74.0",
        "2026-11-21",
    ]


def test_the_header_declares_prefixes_and_extensions(folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_mappings(*folders, tmp_path / "m.tsv")
    header, rows = _sssom_rows(tmp_path / "m.tsv")
    assert [e["slot_name"] for e in header["extension_definitions"]] == ["p_target", "p_same", "decision", "calibration"]
    assert set(header["curie_map"]) == {"EFO", "bioregistry", "icd10cm", "kgbuild", "kgbuild.record", "semapv", "skos", "wikidata"}
    assert (rows[1]["p_target"], rows[1]["p_same"], rows[1]["decision"]) == ("0.95", "0.9", "accept")


def test_record_ids_differ_and_stay(folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_mappings(*folders, tmp_path / "a.tsv")
    exports.export_mappings(*folders, tmp_path / "b.tsv", include_review=True)
    first, second = ({row["record_id"] for row in _sssom_rows(tmp_path / name)[1]} for name in ("a.tsv", "b.tsv"))
    assert len(first) == 3
    assert len(second - first) == 1
    assert first < second


def test_two_records_that_say_the_same_have_different_ids(folders: tuple[Path, Path]) -> None:
    links = tables.from_rows("links", [LINKS[0], LINKS[0]])
    records = exports.mapping_records(links, tables.read(folders[0], "concepts"), tables.read(folders[0], "sources"))
    assert len(set(records["record_id"].to_pylist())) == 2


def test_a_person_s_list_keeps_its_order_and_its_words(tmp_path: Path) -> None:
    said = {"predicate_id": "skos:closeMatch", "mapping_justification": COSINE, "decision": "review", "calibration": "global"}
    answers = [
        {"subject_id": "text:b", "subject_label": "favourite\tcolour", "object_id": "sssom:NoTermFound", "confidence": 0.9, **said},
        {"subject_id": "icd10cm:J45", "subject_label": "ASTHMA", "object_id": "EFO:2", "similarity_score": 0.5, "p_target": 0.4, **said},
        {"subject_id": "icd10cm:J45", "subject_label": "ASTHMA", "object_id": "EFO:2", "similarity_score": 0.5, "p_target": 0.4, **said},
    ]
    exports.write_sssom(exports.list_records(answers), tmp_path / "m.tsv")
    header, rows = _sssom_rows(tmp_path / "m.tsv")
    shown = [(row["subject_label"], row["object_id"], row["confidence"], row["similarity_measure"]) for row in rows]
    assert shown == [
        ("favourite\tcolour", "sssom:NoTermFound", "0.9", ""), ("ASTHMA", "EFO:2", "", "wikidata:Q1784941"), ("ASTHMA", "EFO:2", "", "wikidata:Q1784941"),
    ]  # fmt: skip
    assert header["curie_map"]["sssom"] == "https://w3id.org/sssom/"
    assert len({row["record_id"] for row in rows}) == 3


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(open(sys.argv[1]).read())", str(pipe)], stdout=subprocess.PIPE, text=True
    ) as reader:
        with write_whole(pipe) as out:
            out.write_text("a row")
        assert (reader.communicate(timeout=30)[0], pipe.is_fifo()) == ("a row\n", True)


def test_the_same_links_give_the_same_bytes(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for name in ("a.tsv", "b.tsv"):
        exports.export_mappings(*folders, tmp_path / name)
    assert (tmp_path / "a.tsv").read_bytes() == (tmp_path / "b.tsv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("format_", ["sssom", "json"])
def test_sssom_reads_and_validates_it(format_: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    from sssom.parsers import parse_sssom_json, parse_sssom_table
    from sssom.validators import DEFAULT_VALIDATION_TYPES, validate

    out = tmp_path / f"m.{format_}"
    exports.export_mappings(*folders, out, format=format_, include_review=True, include_restricted=True, mapping_date="2026-11-21")
    # not `strict=True`: sssom 0.4.21 refuses there what has regular metadata only
    mappings = (parse_sssom_table if format_ == "sssom" else parse_sssom_json)(str(out))
    assert len(mappings.df) == 6
    reports = validate(mappings, DEFAULT_VALIDATION_TYPES, fail_on_error=True)
    assert {kind: report.results for kind, report in reports.items()} == {kind: [] for kind in DEFAULT_VALIDATION_TYPES}


def test_json_holds_the_same_records(folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_mappings(*folders, tmp_path / "m.json", format="json")
    document = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert [(m["subject_id"], m["object_id"], m.get("predicate_modifier")) for m in document["mappings"]] == [
        ("icd10cm:E11", "EFO:1", None), ("icd10cm:J45", "EFO:2", None), ("icd10cm:J45", "EFO:1", "Not"),
    ]  # fmt: skip
    assert document["sssom_version"] == "1.1"
    assert document["@context"]["EFO"] == "http://www.ebi.ac.uk/efo/EFO_"
    assert document["mappings"][1]["other"] == "p_target=0.95; p_same=0.9; decision=accept; calibration=global"


def test_csv_has_one_row_per_code_also_without_an_answer(folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_mappings(*folders, tmp_path / "m.csv", format="csv")
    with (tmp_path / "m.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    shown = [
        tuple(
            row[c]
            for c in ("code", "subject_label", "harmonised_id", "object_id", "object_label", "predicate", "decision", "rejected_object_ids")
        )
        for row in rows
    ]
    assert shown == [
        ("E11", "Type 2 diabetes", "", "EFO:1", "diabetes mellitus", "broad", "accept", ""),
        ("J45", "Asthma", "harmonised:EFO-2", "EFO:2", 'asthma "allergic"', "exact", "accept", "EFO:1"),
        ("Z99", "Dependence", "", "", "", "", "review", ""),
    ]
    assert list(rows[0]) == list(exports.WIDE_COLUMNS)


def _csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_omop_gets_accepted_links_and_the_concepts_that_its_numbers_stand_for(folders: tuple[Path, Path], tmp_path: Path) -> None:
    summary = exports.export_mappings(*folders, tmp_path / "omop", format="omop", mapping_date="2026-11-21")
    rows, concepts, vocabularies = (_csv_rows(tmp_path / "omop" / f"{name}.csv") for name in omop.TABLES)
    assert [tuple(row.values()) for row in rows] == [
        ("E11", "0", "ICD10CM", "Type 2 diabetes", "2000000001", "EFO", "2026-11-21", "2099-12-31", ""),
        ("J45", "0", "ICD10CM", "Asthma", "2000000002", "EFO", "2026-11-21", "2099-12-31", ""),
    ]
    shown = [(row["concept_id"], row["concept_code"], row["concept_name"], row["domain_id"], row["standard_concept"]) for row in concepts]
    assert shown == [
        ("2000000001", "EFO:1", "diabetes mellitus", "Condition", ""),
        ("2000000002", "EFO:2", 'asthma "allergic"', "Condition", ""),
    ]
    assert [(row["vocabulary_id"], row["vocabulary_version"]) for row in vocabularies] == [("EFO", "3.74.0")]
    assert [list(table[0]) for table in (rows, concepts, vocabularies)] == [
        list(omop.MAP_COLUMNS),
        list(omop.CONCEPT_COLUMNS),
        list(omop.VOCABULARY_COLUMNS),
    ]
    assert (summary.rows, summary.withheld) == ({"accept": 2}, {"secret": 1, "who": 1})


def test_a_term_s_number_fits_omop_and_differs_from_that_of_its_namesakes() -> None:
    curies = ["EFO:0000001", "MONDO:0000001", "OBA:0000001", "OBA:VT0000001", "Orphanet:1", "NCIT:C1", "PR:000000001", "EFO:99999999"]
    numbers = [omop.concept_number(curie) for curie in curies]
    assert len(set(numbers)) == len(curies)
    assert all(2_000_000_000 <= number < 2**31 for number in numbers)


@pytest.mark.parametrize("format_", exports.MAPPING_FORMATS)
def test_python_gives_the_tables_that_the_files_hold(format_: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    summary = exports.export_mappings(*folders, tmp_path / "out", format=format_)
    given = exports.mapping_tables(*folders, format=format_)
    assert sum(summary.rows.values()) == next(iter(given.values())).num_rows
    assert list(given) == (list(omop.TABLES) if format_ == "omop" else ["mappings"])
    if format_ == "csv":
        read_back = pd.read_csv(tmp_path / "out", dtype=str)
        assert read_back["code"].tolist() == given["mappings"].to_pandas()["code"].tolist()


def test_an_unknown_format_is_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no export format is called 'xlsx'"):
        exports.export_mappings(*folders, tmp_path / "m", format="xlsx")


def test_no_links_give_a_header_and_no_rows(folders: tuple[Path, Path], tmp_path: Path) -> None:
    tables.write(folders[1], {"links": tables.empty("links")})
    for format_ in exports.MAPPING_FORMATS:
        assert exports.export_mappings(*folders, tmp_path / format_, format=format_).n_rows == 0
    assert _csv_rows(tmp_path / "omop" / "source_to_concept_map.csv") == []
    assert _sssom_rows(tmp_path / "sssom")[1] == []
    assert json.loads((tmp_path / "json").read_text())["mappings"] == []


# graphs


def _write(path: Path, rows: list[dict[str, Any]], properties: tuple[Property, ...], ends: tuple[str, ...] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pa.schema([*((end, pa.string()) for end in ends), *((p.name, arrow_type(p.type)) for p in properties)])
    pq.write_table(pa.Table.from_pylist(rows, schema), path)


@pytest.fixture
def graph(tmp_path: Path) -> GraphFiles:
    folder = tmp_path / "graph"
    disease = {
        "id": "EFO:2",
        "name": 'asthma "a|b"\n95 %',
        "kind": "Disease",
        "vocabulary": "efo",
        "synonyms": ["wheeze", "a|b"],
        "obsolete": False,
        "source": "efo",
    }
    code = {"id": "icd10:J45", "name": "Asthma of WHO", "vocabulary": "icd10", "synonyms": [], "obsolete": False, "source": "who"}
    group = {
        "id": "harmonised:EFO-2",
        "name": "asthma",
        "synonyms": ["Asthma of WHO", "Asthma"],
        "n_members": 2,
        "embedding": [0.6, 0.8],
        "source": "kgbuild",
    }
    variant = {"id": "dbsnp:rs1", "name": "rs1", "position": 5, "in_mhc": False, "source": "gwas"}
    for label, rows in {"Disease": [disease], "ClinicalCode": [code], "HarmonisedConcept": [group], "Variant": [variant]}.items():
        _write(folder / "nodes" / f"{label}.parquet", rows, NODE_LABELS[label].all_properties)
    links = [
        {"start_id": "EFO:2", "end_id": "harmonised:EFO-2", "id": "m1", "p_same": 1.0, "justification": MANUAL, "source": "kgbuild"},
        {"start_id": "icd10:J45", "end_id": "harmonised:EFO-2", "id": "m2", "p_same": 0.9, "justification": COSINE, "source": "kgbuild"},
    ]
    _write(folder / "edges" / "MEMBER_OF.parquet", links, EDGE_TYPES["MEMBER_OF"].all_properties, ("start_id", "end_id"))
    measured = {
        "start_id": "dbsnp:rs1",
        "end_id": "EFO:2",
        "id": "a1",
        "trait": "Asthma",
        "publication": "pubmed:7",
        "neg_log10_p": 8.5,
        "genome_wide": True,
        "flags": ["x", "y"],
        "source": "gwas",
    }
    _write(folder / "edges" / "ASSOCIATED_WITH.parquet", [measured], EDGE_TYPES["ASSOCIATED_WITH"].all_properties, ("start_id", "end_id"))
    return GraphFiles(folder)


def _kgx(path: Path) -> list[dict[str, str]]:
    header, *lines = [line.split("\t") for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
    return [{k: v for k, v in zip(header, line, strict=True) if v} for line in lines]


def test_kgx_nodes_carry_category_and_escaped_names(graph: GraphFiles, folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_graph(graph, tmp_path / "kgx", tables_dir=folders[0], include_restricted=True)
    nodes = {node["id"]: node for node in _kgx(tmp_path / "kgx" / "nodes.tsv")}
    assert nodes["EFO:2"] == {
        "id": "EFO:2", "category": "biolink:Disease", "name": 'asthma "a%7Cb"%0A95 %', "vocabulary": "efo",
        "synonym": "wheeze|a%7Cb", "deprecated": "false", "provided_by": "efo",
    }  # fmt: skip
    assert nodes["DBSNP:rs1"] == {
        "id": "DBSNP:rs1",
        "category": "biolink:SequenceVariant",
        "name": "rs1",
        "position": "5",
        "in_mhc": "false",
        "provided_by": "gwas",
    }
    assert exports.unescape(nodes["EFO:2"]["name"]) == 'asthma "a|b"\n95 %'


def test_kgx_edges_tell_measured_predicted_and_curated_apart(graph: GraphFiles, folders: tuple[Path, Path], tmp_path: Path) -> None:
    exports.export_graph(graph, tmp_path / "kgx", tables_dir=folders[0], include_restricted=True)
    edges = {edge["id"]: edge for edge in _kgx(tmp_path / "kgx" / "edges.tsv")}
    assert edges["a1"] == {
        "id": "a1", "subject": "DBSNP:rs1", "predicate": "biolink:associated_with", "object": "EFO:2",
        "knowledge_level": "statistical_association", "agent_type": "data_analysis_pipeline", "primary_knowledge_source": "infores:kgbuild",
        "trait": "Asthma", "publications": "PMID:7", "neg_log10_p": "8.5", "genome_wide": "true", "flags": "x|y", "provided_by": "gwas",
    }  # fmt: skip
    levels = {id_: (edge["knowledge_level"], edge["agent_type"]) for id_, edge in edges.items() if id_.startswith("m")}
    assert levels == {"m1": ("knowledge_assertion", "manual_agent"), "m2": ("prediction", "automated_agent")}


def test_what_may_not_be_passed_on_stays_out_with_its_edges_and_names(
    graph: GraphFiles, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    summary = exports.export_graph(graph, tmp_path / "kgx", tables_dir=folders[0])
    nodes = {node["id"]: node.get("synonym") for node in _kgx(tmp_path / "kgx" / "nodes.tsv")}
    assert nodes == {"EFO:2": "a%7Cb", "harmonised:EFO-2": "Asthma", "DBSNP:rs1": None}
    assert [edge["id"] for edge in _kgx(tmp_path / "kgx" / "edges.tsv")] == ["a1", "m1"]
    assert summary.withheld == {"(an end is withheld)": 1, "who": 1}
    assert summary.rows == {"ClinicalCode": 0, "Disease": 1, "HarmonisedConcept": 1, "Variant": 1, "ASSOCIATED_WITH": 1, "MEMBER_OF": 1}


def test_graph_csv_is_one_file_per_label_and_type(graph: GraphFiles, folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "csv"
    summary = exports.export_graph(graph, out, tables_dir=folders[0], format="csv", include_restricted=True)
    assert [path.relative_to(out).as_posix() for path in summary.files] == [
        "nodes/ClinicalCode.csv", "nodes/Disease.csv", "nodes/HarmonisedConcept.csv", "nodes/Variant.csv",
        "edges/ASSOCIATED_WITH.csv", "edges/MEMBER_OF.csv",
    ]  # fmt: skip
    with (out / "nodes" / "Disease.csv").open(encoding="utf-8", newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert (row["name"], row["synonyms"], row["obsolete"]) == ('asthma "a|b"\n95 %', "wheeze|a%7Cb", "false")


def test_escaping_can_be_undone() -> None:
    values = ["a|b", "95 %", "%7C", "%%7C", "%257C", "line\nline\r\tend", "%|", ""]
    escaped = exports._escaped(pa.array(values)).to_pylist()
    assert not any(character in value for value in escaped for character in "|\n\r\t")
    assert [exports.unescape(value) for value in escaped] == values
