"""A file of somebody's own pairs: what it may hold, and what is said of what it must not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kgbuild import pipeline, tables
from kgbuild.errors import SourceError, UsageError
from kgbuild.evaluation.evaluated import Options
from kgbuild.evaluation.pair_files import read_pairs
from kgbuild.workspace import Workspace


def written(folder: Path, text: str) -> Path:
    path = folder / "pairs.tsv"
    path.write_text(text)
    return path


def test_optional_columns_have_values_where_they_are_not_given(tmp_path: Path) -> None:
    pairs = read_pairs(written(tmp_path, "right\tleft\tweight\tOR\nrs1\tGout\t\t1.5\nrs2\tAsthma\t0.5\t\n"))
    assert (pairs.left, pairs.right, pairs.label.tolist(), pairs.weight.tolist()) == (
        ["Gout", "Asthma"],
        ["rs1", "rs2"],
        [1.0, 1.0],
        [1.0, 0.5],
    )
    assert pairs.odds_ratio[0] == 1.5
    assert math.isnan(pairs.odds_ratio[1])
    assert pairs.columns == {"weight", "odds_ratio"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("left\tother\na\tb\n", "column 'right' is missing"),
        ("left\tright\n", "a header and no row"),
        ("left\tright\na\t\n", "line 2: the cell of 'right' is empty"),
        ("left\tright\tlabel\na\tb\t1\nc\td\tyes\n", "line 3: the cell of 'label' is wrong\n  found: 'yes'"),
        ("left\tright\tweight\na\tb\t-1\n", "line 2: the cell of 'weight' is wrong"),
        ("left\tright\todds_ratio\na\tb\t0\n", "expected: a number above 0"),
        ("left\tright\na\tb\tc\n", "line 2: 3 cells instead of 2"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError) as error:
        read_pairs(written(tmp_path, text))
    assert message in str(error.value)


# ---------------------------------------------------------------- evaluated


def test_pairs_of_texts_and_snps_are_evaluated_by_draws_labels_and_odds_ratios(finished: Workspace, tmp_path: Path) -> None:
    rows = tables.read(finished.folder("tables"), "associations").to_pandas().query("kind == 'gwas'").head(60)
    lines = [
        f"{name}\t{snp[6:]}\t{n % 2}\t{1 + n / 10}"
        for n, (name, snp) in enumerate(zip(rows["object_name"], rows["variant_id"], strict=True))
    ]
    lines += ["asthma\teczema\t1\t", "asthma\tbronchial asthma\t1\t", "Crohn disease\tcolitis\t1\t", "asthma\trs999999999\t1\t"]
    path = written(tmp_path, "\n".join(["left\tright\tlabel\todds_ratio", *lines]) + "\n")
    options = Options(draws=2, resamples=50, files=(path,), anchor="left")
    made = pipeline.evaluate(finished, ["pairs"], options=options, out=tmp_path / "out").sections["pairs"]
    found = {(row["against"], row.get("anchor"), row.get("ranked_by")): row for row in made.rows}
    assert 0 <= found["those of training", "left (trait)", "similarity"]["auc"] <= 1
    assert [found["those of the file", "left", ranker]["n"] for ranker in ("similarity", "score")] == [3, 3]
    assert 0 <= found["label 0", "none", "score"]["auc"] <= 1
    assert found["weaker SNPs, gap > 0", "trait", "similarity"]["n"] > 0
    assert not [row for row in made.rows if str(row.get("anchor")).startswith("right")]
    assert "not known to the model, the first: rs" in made.notes[0]


def test_pairs_without_a_file_say_what_to_type(finished: Workspace) -> None:
    with pytest.raises(UsageError, match="kgbuild evaluate pairs FILE"):
        pipeline.evaluate(finished, ["pairs"])
