"""Synonyms that training does not see, lay language, and figures on both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from little_tables import association, concept, variant, write

from embedder import HashedNgramEncoder, unit_rows
from kgbuild import pipeline
from kgbuild.errors import SourceError, UsageError
from kgbuild.evaluation.evaluated import Options
from kgbuild.evaluation.synonyms import NamePairs, _Texts, read_lay_language
from kgbuild.pairs import build_pairs
from kgbuild.synonyms import split_synonyms
from kgbuild.synonymy import Synonymy
from kgbuild.vocabulary import normalise_name
from kgbuild.workspace import Workspace

LAY = (
    "ID\tTerm\tGeneral SNOMED ID\tGeneral SNOMED Label\tSpecific SNOMED ID\tSpecific SNOMED Label\tExample\n"
    "1\tsugar sickness\t1\tdiabetes mellitus\t2\ttype 2 diabetes mellitus\tI have sugar sickness\n"
    "2\tasthma\t3\tAsthma\t3\tAsthma\tequal to its label\n"
    "3\tbelly ache\t4\tabdominal pain\t\t\tmy belly ache\n"
)


def names(folder: Path, n: int = 400) -> Path:
    """Write a hundred diseases of four synonyms; one synonym is a trait too, one a label of another concept."""
    synonyms = [{"concept_id": f"EFO:{i % 100}", "name": f"name {i}", "role": "synonym"} for i in range(n)]
    more = [{"concept_id": "EFO:1", "name": name, "role": "synonym"} for name in ("Wheezing", "Disease 7")]
    return write(
        folder,
        concepts=[concept(f"EFO:{i}", f"disease {i}") for i in range(100)],
        names=synonyms + more,
        variants=[variant(1)],
        associations=[association("wheezing", 1)],
    )


def test_held_out_synonyms_are_nowhere_in_training(tmp_path: Path) -> None:
    held = split_synonyms(names(tmp_path), share=0.2, development=0.1)
    data = build_pairs(tmp_path, synonyms=held).data
    assert 40 < (held["part"] == "test").sum() < 120
    assert set(map(normalise_name, held["name"])) & set(map(normalise_name, data.texts)) == set()
    assert len(held) + sum(text.startswith("name ") for text in data.texts) == 400


def test_what_training_reads_anyway_is_not_held_out(tmp_path: Path) -> None:
    held = split_synonyms(names(tmp_path), share=0.49, development=0.0)
    assert not set(held["name"]) & {"Wheezing", "Disease 7"}
    assert len(split_synonyms(tmp_path, share=0.0, development=0.0)) == 0
    with pytest.raises(UsageError, match=r"shares of 0.4 and 0.2"):
        split_synonyms(tmp_path, share=0.4, development=0.2)


def test_lay_language_is_read_in_the_columns_that_it_comes_in(tmp_path: Path) -> None:
    path = tmp_path / "cometa.tsv"
    path.write_text(LAY)
    assert read_lay_language(path) == [
        ("sugar sickness", "diabetes mellitus"),
        ("sugar sickness", "type 2 diabetes mellitus"),
        ("belly ache", "abdominal pain"),
    ]
    path.write_text("ID\tWord\n1\tache\n")
    with pytest.raises(SourceError, match="Term"):
        read_lay_language(path)


def test_a_name_is_measured_against_names_that_are_not_its_own() -> None:
    pairs = NamePairs("names", "label", ["asthma"], ["bronchial asthma"], ["Asthma", "gout", "height"], {"asthma": {"asthma"}})
    characters = _Texts("characters", lambda texts: unit_rows(HashedNgramEncoder().encode(texts)))
    figures = pairs.measure(characters, Options(draws=2, resamples=50))
    assert (figures["n"], figures["auc"]) == (1, 1.0)
    nothing = _Texts("nothing", lambda texts: np.zeros((len(texts), 1), dtype=np.float32))
    assert pairs.measure(nothing, Options(draws=2, resamples=50))["auc"] == 0.5


def test_the_table_holds_the_model_beside_its_encoder_and_characters_alone(finished: Workspace, tmp_path: Path) -> None:
    (tmp_path / "cometa.tsv").write_text(LAY)
    options = Options(draws=1, resamples=50, systems=("degree",), lay=(tmp_path / "cometa.tsv",))
    made = pipeline.evaluate(finished, ["synonyms"], options=options, out=tmp_path / "report")
    rows = {(row["what"], row["ranked_by"]): row for row in made.sections["synonyms"].rows if row["what"].startswith(("held-out", "lay"))}
    rankers = ["similarity", "score", "base encoder (hashed)", "characters alone", "degree"]
    assert list(rows) == [(what, ranker) for what in ("held-out synonyms of efo", "lay language: cometa.tsv") for ranker in rankers]
    assert rows["held-out synonyms of efo", "similarity"]["auc"] > 0.7
    assert rows["lay language: cometa.tsv", "similarity"]["n"] == 3


def test_names_are_compared_by_all_names_of_both_and_as_abbreviations(tmp_path: Path) -> None:
    rows = [{"concept_id": "EFO:1", "name": name, "role": "synonym"} for name in ("hay fever", "pollinosis")]
    write(tmp_path, concepts=[concept("EFO:1", "seasonal allergic rhinitis"), concept("EFO:2", "gout")], names=rows)
    place = lambda texts: unit_rows(HashedNgramEncoder().encode(texts))  # noqa: E731 - it is what is given
    texts = ["seasonal allergic rhinitis", "hay fevers", "SAR", "gout", "GT"]
    pairs = np.array([(0, 1), (1, 0), (0, 2), (0, 3), (0, 4)]).T
    near, turned, short, other, no_short = Synonymy(tmp_path, place).score(texts, *pairs)
    vectors = place(["seasonal allergic rhinitis", "hay fevers", "hay fever"])
    assert near == turned == pytest.approx((vectors[2] @ vectors[1] + vectors[0] @ vectors[1]) / 2, abs=1e-6)
    assert (near > other, short - other > 0.4, no_short < 0.2) == (True, True, True)
    (unknown,) = Synonymy(tmp_path, place, hidden={"hay fever"}).score(texts, *pairs[:, :1])
    assert unknown < near
