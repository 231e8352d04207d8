"""What needs a person comes first where most hangs on it; what was decided on the page comes back and holds."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from little_tables import table

from kgbuild import decisions, pipeline, review, tables
from kgbuild.candidate_sets import FILE, CandidateSets
from kgbuild.workspace import Workspace

NAMES = {
    "MONDO:1": "type 1 diabetes", "MONDO:2": "type 2 diabetes", "EFO:1": "diabetes </script><b>", "icd10cm:E11": 'Type "2" diabetes', "icd10cm:E10": "Type 1",
    "icd10cm:E13": "Other diabetes", "phecode:250": "Diabetes", "phecode:251": "Sugar", "text:a": "T2D",
}  # fmt: skip


def link(
    subject: str, object_: str, rank: int, p_target: float | None, p_same: float | None, decision: str, calibration: str = "fit"
) -> dict[str, Any]:
    return {
        "subject_id": subject, "object_id": object_, "rank": rank, "p_target": p_target, "p_same": p_same, "decision": decision, "similarity": 0.9,
        "calibration": calibration, "predicate": "close", "justification": "semapv:LexicalMatching", "matched_name": "x", "evidence": ["gap=0.2 (+1.10)"],
    }  # fmt: skip


LINKS = [
    link("icd10cm:E11", "MONDO:2", 1, 0.9, 0.5, "review"),
    link("icd10cm:E11", "EFO:1", 2, 0.1, 0.0, "reject"),
    link("icd10cm:E10", "MONDO:1", 1, 0.9, 0.9, "accept"),
    link("icd10cm:E10", "EFO:1", 2, 0.3, 0.1, "review"),
    link("icd10cm:E13", "EFO:1", 1, 0.5, 0.1, "review"),
    link("phecode:250", "EFO:1", 1, 1.0, 1.0, "review", "curated"),
    link("phecode:250", "MONDO:2", 2, 1.0, 1.0, "accept", "curated"),
    link("phecode:251", "EFO:1", 1, 0.1, 0.0, "reject"),
    link("text:a", "MONDO:2", 1, 0.9, 0.9, "review"),
]
ASSOCIATIONS = [
    *({"kind": "biobank", "object_id": "icd10cm:E11", "id": f"b{n}"} for n in range(2)),
    *({"kind": "gwas", "object_id": "text:a", "id": f"g{n}", "term_ids": ["MONDO:2"]} for n in range(9)),
    {"kind": "eqtl", "object_id": "icd10cm:E13", "id": "e"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tables")
    concepts = [
        {"id": i, "name": n, "vocabulary": "efo" if i[0] in "ME" else i.split(":")[0], "kind": "Disease", "source": "s"}
        for i, n in NAMES.items()
    ]
    names = [{"concept_id": i, "name": n, "role": "label"} for i, n in NAMES.items()] + [
        {"concept_id": "MONDO:2", "name": "NIDDM", "role": "synonym"}
    ]
    tables.write(
        made,
        {
            "concepts": table("concepts", concepts), "names": table("names", names), "links": table("links", LINKS), "sources": tables.empty("sources"),
            "associations": table("associations", ASSOCIATIONS), "xrefs": tables.empty("xrefs"),
            "relations": table("relations", [{"subject_id": "MONDO:2", "predicate": "IS_A", "object_id": "EFO:1"}]),
        },
    )  # fmt: skip
    (made / FILE).write_text(CandidateSets(0.9, {"": 0.2, "text": 0.05}).to_json())
    return made


def test_what_most_hangs_on_comes_first_and_what_is_settled_does_not_come(folder: Path) -> None:
    found = [(item.subject_id, item.n_associations, item.uncertainty, item.value) for item in review.find(folder, folder)[0]]
    assert found == [
        ("text:a", 9, 0.36, 3.6),
        ("icd10cm:E11", 2, 1.0, 3.0),
        ("icd10cm:E13", 0, 1.0, 1.0),
        ("phecode:250", 0, 1.0, 1.0),  # its curators disagree
    ]
    items, waiting = review.find(folder, folder, limit=1)
    assert ([item.subject_id for item in items], waiting) == (["text:a"], 4)


def test_a_link_without_probability_is_wholly_uncertain(folder: Path, tmp_path: Path) -> None:
    tables.write(tmp_path, {"links": table("links", [link("text:a", "MONDO:2", 1, None, None, "review")])})
    assert [(item.uncertainty, item.value) for item in review.find(folder, tmp_path)[0]] == [(1.0, 10.0)]


def rows_of(path: Path) -> list[dict[str, str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines, delimiter="\t"))


def test_the_file_is_sssom_in_that_order_and_says_the_value(folder: Path, tmp_path: Path) -> None:
    n = review.write_file(review.find(folder, folder)[0], tmp_path / "review.tsv", tables_dir=folder, links_dir=folder)
    rows = rows_of(tmp_path / "review.tsv")
    assert n == len(rows) == 6
    assert [(row["subject_id"], row["object_id"], row["review_value"], row["associations"]) for row in rows[:3]] == [
        ("text:a", "MONDO:2", "3.6", "9"), ("icd10cm:E11", "MONDO:2", "3", "2"), ("icd10cm:E11", "EFO:1", "3", "2"),
    ]  # fmt: skip
    assert {row["predicate_modifier"] for row in rows} == {""}


def test_the_file_edited_by_hand_is_a_file_of_decisions(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "review.tsv"
    review.write_file(review.find(folder, folder)[0], path, tables_dir=folder, links_dir=folder)
    lines = path.read_text(encoding="utf-8").splitlines()
    place = next(n for n, line in enumerate(lines) if line.startswith("icd10cm:E13"))
    lines[place] = lines[place].replace("semapv:LexicalMatching", decisions.MANUAL).replace("skos:closeMatch", "skos:broadMatch")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    reading = decisions.read(path)
    assert ([(d.subject_id, d.object_id, d.predicate) for d in reading.decisions], reading.undecided) == (
        [("icd10cm:E13", "EFO:1", "broad")],
        5,
    )


def test_the_page_needs_nothing_else_and_no_name_ends_its_script(folder: Path, tmp_path: Path) -> None:
    review.write_page(review.find(folder, folder)[0], tmp_path / "review.html", tables_dir=folder, title="mine")
    page = (tmp_path / "review.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r"<(link|img|iframe)|\bsrc=|@import|url\(|\bfetch\(|XMLHttpRequest|import\(", page)
    assert page.count("</script>") == 2
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert data["items"][1]["label"] == 'Type "2" diabetes'
    assert data["items"][1]["candidates"][0]["parents"] == ["diabetes </script><b>"]
    assert data["items"][1]["candidates"][0]["names"] == ["NIDDM"]
    assert [candidate["in_set"] for candidate in data["items"][1]["candidates"]] == [True, False]


@pytest.fixture
def workspace(root: Path, tmp_path: Path) -> Workspace:
    """Give a copy that a test may change."""
    shutil.copytree(root, tmp_path / "ws", ignore=shutil.ignore_patterns("graph-*", "database-*"))
    return Workspace.open(tmp_path / "ws")


@pytest.mark.slow  # links are made twice more
def test_decisions_come_back_win_hold_and_leave_the_review(workspace: Workspace, tmp_path: Path) -> None:
    summary = pipeline.review(workspace, tmp_path / "review.tsv", page=tmp_path / "review.html", limit=3)
    assert (summary["written"], summary["waiting"] > 3, (tmp_path / "review.html").exists()) == (3, True, True)
    first = rows_of(tmp_path / "review.tsv")[0]
    subject, object_ = first["subject_id"], first["object_id"]
    mine = [
        decisions.Decision(subject, object_, "exact"),
        decisions.Decision("icd10cm:E11", "EFO:0001360", "not"),  # obsolete: MONDO:0005148 today
        decisions.Decision("icd10cm:E10", "MONDO:9999999", "exact"),
    ]
    decisions.write(tmp_path / "mine.sssom.tsv", mine)

    outcome = pipeline.harmonise(workspace, decisions=[tmp_path / "mine.sssom.tsv"])[-1]
    assert outcome.notes == ["mine.sssom.tsv: 3 decisions, 3 new"]
    assert outcome.record.facts["decisions"] == {
        "applied": 2,
        "forwarded": ["EFO:0001360 -> MONDO:0005148"],
        "waiting": ["icd10cm:E10 -> MONDO:9999999"],
    }
    links = {(row["subject_id"], row["object_id"]): row for row in tables.read(workspace.folder("links"), "links").to_pylist()}
    assert (links[subject, object_]["decision"], links[subject, object_]["p_same"]) == ("accept", 1.0)
    assert links["icd10cm:E11", "MONDO:0005148"]["predicate"] == "not"
    assert pipeline.explain(workspace, subject, object_).merged
    assert not pipeline.explain(workspace, "icd10cm:E11", "MONDO:0005148").merged
    assert subject not in {item.subject_id for item in review.find(workspace.folder("tables"), workspace.folder("links"))[0]}
    assert [o.ran for o in pipeline.harmonise(workspace)] == [False, False]
    assert [o.ran for o in pipeline.harmonise(workspace, decisions=[tmp_path / "mine.sssom.tsv"])] == [False, False]


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def browser(chromium: str) -> Any:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, folder: Path, tmp_path: Path) -> Any:
    review.write_page(review.find(folder, folder)[0], tmp_path / "review.html", tables_dir=folder, title="mine")
    context = browser.new_context()
    opened = context.new_page()
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.on("console", lambda message: opened.errors.append(message.text) if message.type == "error" else None)
    opened.goto((tmp_path / "review.html").as_uri())
    yield opened
    assert opened.errors == []
    context.close()


def press(page: Any, *keys: str) -> str:
    """Press keys, one after another; give the name of the concept that is shown then."""
    for key in keys:
        page.keyboard.press(key)
    return str(page.locator("main h2").inner_text())


def downloaded(page: Any, folder: Path) -> decisions.Reading:
    with page.expect_download() as waiting:
        page.keyboard.press("d")
    waiting.value.save_as(folder / "decisions.tsv")
    return decisions.read(folder / "decisions.tsv")


@pytest.mark.slow
def test_the_keyboard_decides_and_the_download_is_read_back(page: Any, tmp_path: Path) -> None:
    assert press(page) == "T2D"
    page.locator("#author").fill("A. Person")
    page.locator("main").focus()
    assert press(page, "a") == 'Type "2" diabetes'
    assert "the right term, if there is one, is the one marked ◆ 90 times in 100" in page.locator("main").inner_text()
    assert "◆ type 2 diabetes" in page.locator("main").inner_text()
    assert press(page, "r") == "Other diabetes"  # nothing else of it waits
    assert press(page, "ArrowLeft", "ArrowDown", "b") == "Other diabetes"
    assert press(page, "0", "t") == "Diabetes"
    page.locator("#note-box input").fill('a "note"\twith all')
    assert press(page, "Enter", "n") == "Diabetes"  # the last one
    assert page.locator("#said").inner_text() == "all decided: download the decisions"
    assert "4 of 4 concepts, 5 decisions" in page.locator("#count").inner_text()
    told = [(d.subject_id, d.object_id, d.predicate, d.comment) for d in downloaded(page, tmp_path).decisions]
    assert told == [
        ("icd10cm:E11", "EFO:1", "broad", ""), ("icd10cm:E11", "MONDO:2", "not", ""), ("icd10cm:E13", "sssom:NoTermFound", "exact", ""),
        ("phecode:250", "EFO:1", "narrow", 'a "note"\twith all'), ("text:a", "MONDO:2", "exact", ""),
    ]  # fmt: skip
    assert {d.author_label for d in decisions.read(tmp_path / "decisions.tsv").decisions} == {"A. Person"}
    assert decisions.read(tmp_path / "decisions.tsv").decisions[1].subject_label == 'Type "2" diabetes'


@pytest.mark.slow
def test_undo_goes_back_and_a_key_pressed_again_takes_back(page: Any) -> None:
    press(page, "a", "r")
    assert press(page, "u") == 'Type "2" diabetes'
    assert press(page, "u") == "T2D"
    assert "0 decisions" in page.locator("#count").inner_text()
    assert press(page, "u") == "T2D"
    assert press(page, "r", "ArrowLeft", "r") == "T2D"
    assert "0 decisions" in page.locator("#count").inner_text()


@pytest.mark.slow
def test_progress_outlives_the_page(page: Any) -> None:
    assert press(page, "a", "r") == "Other diabetes"
    page.reload()
    page.locator("h2", has_text="Other diabetes").wait_for()  # the storage may be handed over a moment later
    assert "2 of 4 concepts, 2 decisions" in page.locator("#count").inner_text()
    assert press(page, "u") == 'Type "2" diabetes'


@pytest.mark.slow
def test_two_tabs_of_a_page_are_one_piece_of_work(page: Any) -> None:
    other = page.context.new_page()
    other.goto(page.url)
    assert press(page, "a") == 'Type "2" diabetes'
    other.locator("h2", has_text='Type "2" diabetes').wait_for()
    assert press(other, "r") == "Other diabetes"
    page.locator("h2", has_text="Other diabetes").wait_for()
    assert "2 of 4 concepts, 2 decisions" in page.locator("#count").inner_text()


@pytest.mark.slow
def test_the_mouse_does_the_same_and_nothing_goes_out_before_a_decision(page: Any) -> None:
    press(page, "d")
    assert page.locator("#said").inner_text() == "nothing has been decided yet"
    page.locator("nav button").nth(1).click()
    page.locator(".candidate").nth(1).click()
    page.get_by_role("button", name="reject").click()
    assert page.locator(".candidate").nth(1).locator(".verdict").inner_text() == "rejected"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["review", "decisions"])
def test_sssom_s_own_validator_passes_what_is_written(what: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{what}.sssom.tsv"
    if what == "review":
        review.write_file(review.find(folder, folder)[0], path, tables_dir=folder, links_dir=folder)
    else:
        made = [("icd10cm:E11", "MONDO:2", "not"), ("text:a", decisions.NO_TERM, "exact"), ("icd10cm:E11", "EFO:1", "broad")]
        decisions.write(path, [decisions.Decision(*one, mapping_date="2026-11-21", comment='a "note"') for one in made])
    done = subprocess.run(
        [sys.executable, "-c", "from sssom.cli import main; main()", "validate", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
