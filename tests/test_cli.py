"""The command line teaches, answers in JSON where one pipes, and ends with the documented exit codes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    "init",
    "ingest",
    "train",
    "harmonise",
    "populate",
    "query",
    "explain",
    "review",
    "export",
    "map",
    "score",
    "evaluate",
    "serve",
    "status",
    "demo",
]


def run(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kgbuild", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment})


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_with_an_example_or_a_reason(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Usage: kgbuild " + command in done.stdout.replace("python -m kgbuild", "kgbuild")
    assert len(done.stdout) > 400


def test_help_lists_the_exit_codes() -> None:
    assert "3 a source file cannot be read" in " ".join(run("--help").stdout.split())


def test_the_workspace_may_be_named_before_or_after_the_command_or_in_the_environment(root: Path, tmp_path: Path) -> None:
    answers = [
        run("-w", root, "status", "--json"),
        run("status", "-w", root, "--json"),
        run("status", "--json", KGBUILD_WORKSPACE=str(root)),
        run("status", "--json", cwd=root),
    ]
    states = [json.loads(answer.stdout) for answer in answers]
    assert all(state == states[0] for state in states)
    assert [(s["stage"], s["up_to_date"]) for s in states[0]] == [
        (stage, True) for stage in ("tables", "model", "links", "graph", "database")
    ]


def test_a_folder_that_is_no_workspace_ends_with_4(tmp_path: Path) -> None:
    done = run("-w", tmp_path, "status")
    assert (done.returncode, done.stdout) == (4, "")
    assert "kgbuild init" in done.stderr


def test_an_unknown_key_in_the_configuration_ends_with_2_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "kgbuild.toml").write_text("sources = []\n[train]\nepoch = 3\n")
    done = run("-w", tmp_path, "ingest")
    assert done.returncode == 2
    assert "train.epoch" in done.stderr


def test_a_truncated_file_ends_with_3_and_no_traceback(tmp_path: Path) -> None:
    from kgbuild.demo import DATA

    (tmp_path / "ld.tsv.gz").write_bytes((DATA / "snp_ld_blocks.tsv.gz").read_bytes()[:500])
    (tmp_path / "kgbuild.toml").write_text('[[sources]]\nkey = "ld"\nkind = "ld-blocks"\npath = "ld.tsv.gz"\n')
    done = run("-w", tmp_path, "ingest")
    assert done.returncode == 3
    assert "ld.tsv.gz" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("--debug", "-w", tmp_path, "ingest").stderr


def test_init_writes_a_configuration_that_loads(tmp_path: Path) -> None:
    from kgbuild.configuration import load
    from kgbuild.demo import DATA

    done = run("init", tmp_path / "ws", "--data", DATA, "--json")
    assert done.returncode == 0, done.stderr
    found = {source["kind"] for source in json.loads(done.stdout)["sources"] if source["enabled"]}
    assert {
        "obo",
        "icd10cm-order",
        "icd9cm",
        "phecode-definitions",
        "phecode-map",
        "curated-mappings",
        "gwas-catalog",
        "eqtl",
        "ld-blocks",
        "ensembl-symbols",
        "primekg",
    } <= found
    assert {source.kind for source in load(tmp_path / "ws" / "kgbuild.toml").sources} == found
    assert run("init", tmp_path / "ws", "--data", DATA).returncode == 4


def test_queries_answer_as_json_and_as_tsv(root: Path) -> None:
    done = run("-w", root, "query", "counts", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    lines = run("-w", root, "query", "variants-of-trait", "--trait", "type 2 diabetes", "--limit", "3").stdout.splitlines()
    assert len(lines) == 4
    assert [line.split("\t")[0] for line in lines] == ["rank", "1", "2", "3"]


def test_an_unknown_template_or_parameter_ends_with_2_and_names_the_right_ones(root: Path) -> None:
    done = run("-w", root, "query", "variants-of-trai", "--trait", "asthma")
    assert done.returncode == 2
    assert "variants-of-trait" in done.stderr
    done = run("-w", root, "query", "variants-of-trait", "--triat", "asthma")
    assert done.returncode == 2
    assert "trait" in done.stderr


def test_a_person_s_own_list_is_mapped_to_sssom(root: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.csv"
    mine.write_text('name,code\n"Crohn\'s disease",K50\nNA,\nfavourite colour,\n')
    done = run("-w", root, "map", mine, "--column", "name", "--top", "2")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines() if not line.startswith("#")]
    table = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    first = next(row for row in table if row["subject_label"] == "Crohn's disease")
    assert first["object_label"].lower() == "crohn's disease"
    assert {row["subject_label"] for row in table} == {"Crohn's disease", "NA", "favourite colour"}


def test_pairs_are_scored_in_order(root: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("left\tright\ntype 2 diabetes\trs7903146\nasthma\trs999999999999\n")
    done = run("-w", root, "score", pairs, "--out", tmp_path / "scored.tsv")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (tmp_path / "scored.tsv").read_text().splitlines()]
    assert rows[0] == ["left", "right", "similarity", "score", "reason"]
    assert -1 <= float(rows[1][2]) <= 1
    assert math.isfinite(float(rows[1][3]))  # log odds, beyond 1 where neighbours speak for the pair
    assert rows[2][:4] == ["asthma", "rs999999999999", "", ""]
    assert rows[2][4]


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'faiss', 'sklearn', 'pandas', 'neo4j', 'jpype', 'pyarrow'}"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, kgbuild.cli; print(sorted({heavy} & set(sys.modules)))"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_two_concepts_are_explained_as_text_and_as_json(root: Path) -> None:
    done = run("-w", root, "explain", "EFO:0001360", "icd10cm:E11")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("MONDO:0005148  type 2 diabetes mellitus")
    found = json.loads(run("-w", root, "explain", "EFO:0001360", "icd10cm:E11", "--json").stdout)
    assert found["left"]["forwarded"][0].startswith("EFO:0001360 is obsolete: read as MONDO:0005148")
    assert run("-w", root, "explain", "EFO:0001360", "icd10cm:nothing").returncode == 2


def test_what_needs_a_person_is_written_and_counted(root: Path, tmp_path: Path) -> None:
    done = run("-w", root, "review", "--out", tmp_path / "r.tsv", "--page", tmp_path / "r.html", "--limit", "2", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["written"], summary["waiting"] > 2) == (2, True)
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_a_bad_row_of_decisions_ends_with_3_and_is_named(root: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.tsv"
    mine.write_text(
        "subject_id\tpredicate_id\tobject_id\tmapping_justification\nicd10cm:E11\tsame\tMONDO:1\tsemapv:ManualMappingCuration\n"
    )
    done = run("-w", root, "harmonise", "--decisions", mine)
    assert done.returncode == 3
    assert "mine.tsv, line 2: the predicate is none that decides\n  found: 'same'\n  expected: skos:exactMatch or" in done.stderr
    assert not (root / "decisions.sssom.tsv").exists()
