"""`kgbuild evaluate`: tables of figures, whole or not at all, comparable across runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kgbuild import evaluation, pipeline, tables
from kgbuild.cli import app
from kgbuild.errors import SourceError, UsageError, WorkspaceError
from kgbuild.evaluation.evaluated import Options
from kgbuild.evaluation.reports import compare, read_report, write_report
from kgbuild.evaluation.section import Section
from kgbuild.workspace import Workspace


def test_held_out_pairs_have_a_row_for_each_anchor_and_ranker_and_say_what_is_missing(report: pipeline.Evaluation) -> None:
    rows = by_name(report.sections["snp-trait"])
    assert {name[1:] for name in rows if name[0] == "held out"} == {
        (anchor, ranker) for anchor in ("trait", "snp") for ranker in ("similarity", "score", "degree alone")
    }
    cosine = rows["held out", "snp", "similarity"]
    assert cosine["interval"][0] <= cosine["auc"] <= cosine["interval"][1]
    assert cosine["n"] > 50
    assert min(cosine["mrr"], cosine["spread_draws"]) > 0
    assert "no file given" in rows["a biobank's pairs", None, None]["reason"]


def test_a_biobanks_pairs_stand_beside_and_known_loci_are_told_apart(finished: Workspace, tmp_path: Path) -> None:
    associations = tables.read(finished.folder("tables"), "associations").to_pandas().query("kind == 'gwas'").head(80)
    pairs = associations.assign(left=associations["object_name"], right=associations["variant_id"].str.removeprefix("dbsnp:"))
    pairs[["left", "right"]].to_csv(tmp_path / "mvp.tsv", sep="\t", index=False)
    made = pipeline.evaluate(finished, ["snp-trait"], options=replace(QUICK, files=(tmp_path / "mvp.tsv",)), out=tmp_path / "out")
    rows = by_name(made.sections["snp-trait"])
    seen, new = (rows[f"mvp.tsv, {end}", "trait", "similarity"] for end in ("trait at locus seen", "not seen"))
    assert seen["n"] + new["n"] == rows["mvp.tsv", "trait", "similarity"]["n"] > 20


def test_further_trainings_show_their_own_spread(finished: Workspace, tmp_path: Path) -> None:
    made = pipeline.evaluate(finished, ["snp-trait"], options=replace(QUICK, trainings=2), out=tmp_path / "out")
    row = by_name(made.sections["snp-trait"])["held out", "snp", "similarity"]
    assert row["spread_trainings"] == 0.0  # the method `centroid` has nothing random
    assert not list(finished.root.glob("evaluation-*"))


def test_an_ablation_trains_without_each_source_and_says_which_is_not_there(finished: Workspace, tmp_path: Path) -> None:
    rows = by_name(pipeline.evaluate(finished, ["ablation"], options=QUICK, out=tmp_path / "out").sections["ablation"])
    assert rows[("everything",)]["similarity_snp"] != rows[("without eqtl",)]["similarity_snp"]
    assert rows[("without biobank",)]["reason"] == "the workspace has no such data"
    assert "links no text to a SNP" in rows[("without gwas",)]["reason"]


@pytest.mark.slow
def test_a_map_shows_terms_genes_and_snps_of_chosen_diseases_as_svg_and_png(finished: Workspace, tmp_path: Path) -> None:
    options = replace(QUICK, areas=("asthma", "type 2 diabetes mellitus"))
    made = pipeline.evaluate(finished, ["map"], options=options, out=tmp_path / "out")
    rows = by_name(made.sections["map"])
    asthma = rows["asthma", "t-sne"]
    assert asthma["snps"] > 10
    assert asthma["chance"] < asthma["purity"] <= 1
    picture = ElementTree.parse(made.folder / "map-t-sne.svg").getroot()
    assert len(picture.findall("{*}circle")) >= asthma["snps"]
    assert (made.folder / "map-t-sne.png").read_bytes().startswith(b"\x89PNG")


def test_an_area_that_is_no_term_is_refused(finished: Workspace) -> None:
    with pytest.raises(UsageError, match="'love' is no term of efo"):
        pipeline.evaluate(finished, ["map"], options=replace(QUICK, areas=("love",)))


QUICK = Options(draws=2, resamples=50, most_pairs=300)


@pytest.fixture(scope="module")
def report(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> pipeline.Evaluation:
    return pipeline.evaluate(finished, ["snp-trait", "mapping"], options=QUICK, out=tmp_path_factory.mktemp("reports") / "first")


def by_name(section: Section) -> dict[tuple[Any, ...], Mapping[str, Any]]:
    return {tuple(row.get(name) for name in section.names): row for row in section.rows}


def test_a_report_holds_each_table_as_markdown_and_json_with_its_plots(report: pipeline.Evaluation) -> None:
    document = json.loads((report.folder / "report.json").read_text())
    assert list(document["sections"]) == ["snp-trait", "mapping"]
    assert document["about"]["splits"]["snp_traits"]
    markdown = (report.folder / "report.md").read_text()
    assert [f"## {section.title}" in markdown for section in report.sections.values()] == [True, True]
    plots = [name for section in report.sections.values() for name in section.plots]
    assert all((report.folder / name).stat().st_size for name in plots)


def test_every_table_has_a_module_of_the_same_shape() -> None:
    assert all(callable(evaluation.table(name).evaluate) for name in evaluation.TABLES)


def test_an_unknown_table_is_refused_with_the_list_of_them(finished: Workspace) -> None:
    with pytest.raises(UsageError, match="no table called 'snps'"):
        pipeline.evaluate(finished, ["snps"])


def test_what_a_table_lacks_is_an_error_where_it_was_named_and_a_note_where_not(finished: Workspace, tmp_path: Path) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (root / "kgbuild.toml").write_text(finished.configuration_path.read_text())
    manifest = json.loads((finished.root / "manifest.json").read_text())
    manifest["stages"] = {name: record for name, record in manifest["stages"].items() if name == "tables"}
    (root / "manifest.json").write_text(json.dumps(manifest))
    (root / finished.folder("tables").name).symlink_to(finished.folder("tables"))
    with pytest.raises(WorkspaceError, match="no model that places SNPs"):
        pipeline.evaluate(Workspace.open(root), ["snp-trait"])
    assert not list(root.glob("evaluation-*"))
    made = pipeline.evaluate(Workspace.open(root), options=QUICK)
    assert made.sections["snp-trait"].notes[0].startswith("Not evaluated: there is no model")


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="holds something"):
        write_report(tmp_path, {}, {})


def test_two_reports_are_compared_row_by_row(tmp_path: Path) -> None:
    def written(name: str, *rows: dict[str, Any]) -> Path:
        write_report(tmp_path / name, {"t": Section("T", {"what": "what", "auc": "AUC", "n": "n"}, rows)}, {})
        return tmp_path / name

    first = written("first", {"what": "a", "auc": 0.5, "n": 7}, {"what": "gone", "auc": 0.1})
    second = written("second", {"what": "a", "auc": 0.75, "n": 7}, {"what": "new", "auc": 0.2})
    found = compare(first, second)["t"]
    assert [dict(row) for row in found.rows] == [
        {"what": "a", "figure": "AUC", "first": 0.5, "second": 0.75, "difference": "+0.250"},
        {"what": "gone", "figure": "the row", "first": "only here", "second": None},
        {"what": "new", "figure": "the row", "first": None, "second": "only here"},
    ]
    assert found.notes == ["1 figures are equal"]
    assert compare(first, first)["t"].rows == []


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(SourceError, match="no report"):
        read_report(tmp_path)


def test_the_command_prints_text_or_json_and_lists_the_tables(finished: Workspace, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    asked = ["evaluate", "mapping", "-w", str(finished.root), "--out"]
    plain = CliRunner().invoke(app, [*asked, str(tmp_path / "a")])
    assert plain.stdout.startswith("Mapping: held-out curated subjects\n")
    document = json.loads(CliRunner().invoke(app, [*asked, str(tmp_path / "b"), "--json"]).stdout)
    assert document["sections"]["mapping"]["rows"][0]["n"] > 0
    assert [line.split()[0] for line in CliRunner().invoke(app, ["evaluate", "--list"]).stdout.splitlines()] == list(evaluation.TABLES)


def test_another_part_than_those_of_the_split_is_refused() -> None:
    with pytest.raises(UsageError, match="--part train"):
        Options(part="train")


def test_systems_stand_beside_the_model_and_one_that_cannot_run_says_why(
    finished: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KGBUILD_PYKEEN", raising=False)
    options = Options(draws=1, resamples=50, most_pairs=100, systems=("degree", "svd:8", "hashed", "model:similarity", "pykeen:TransE"))
    made = pipeline.evaluate(finished, ["snp-trait"], options=options, out=tmp_path / "report")
    rows = {(row["what"], row.get("ranked_by"), row.get("anchor")): row for row in made.sections["snp-trait"].rows}
    assert "--pykeen" in rows["held out", "pykeen:TransE", None]["note"]
    for anchor in ("trait", "snp"):
        own, again = rows["held out", "similarity", anchor], rows["held out", "model:similarity", anchor]
        assert own["auc"] == pytest.approx(again["auc"], abs=1e-4)
        assert rows["held out", "degree", anchor]["auc"] == pytest.approx(rows["held out", "degree alone", anchor]["auc"], abs=1e-4)
        assert 0 < rows["held out", "svd:8", anchor]["placed"] <= rows["held out", "hashed", anchor]["placed"] <= 1
