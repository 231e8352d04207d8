"""Systems of the papers: each by its name, on pairs small enough to check by eye; what cannot run says how it would."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from little_tables import association, concept, variant, write
from little_training import write_tiny_bert

from embedder import HashedNgramEncoder, centroid_model
from kgbuild.errors import ModelError, UsageError
from kgbuild.evaluation.graph_models import ENVIRONMENT, _graph
from kgbuild.evaluation.systems import GRAPH_MODELS, System, each_system, open_system
from kgbuild.evaluation.training_part import TrainingPart
from kgbuild.evidence import Evidence
from kgbuild.pairs import build_pairs
from kgbuild.scoring import Scorer

TEXTS = ["Asthma", "Wheezing", "Gout", "Urate", "Height"]
SNPS = ["dbsnp:rs1", "dbsnp:rs2", "dbsnp:rs5", "dbsnp:rs9"]


@pytest.fixture
def part(tmp_path: Path) -> TrainingPart:
    """Two families: asthma and wheezing share rs1 to rs3, gout and urate rs4 to rs6; asthma lacks rs3 and gout rs6."""
    lungs = [association("Asthma", n) for n in (1, 2)] + [association("Wheezing", n) for n in (1, 2, 3)]
    joints = [association("Gout", n) for n in (4, 5)] + [association("Urate", n) for n in (4, 5, 6)]
    folder = tmp_path / "tables"
    folder.mkdir()
    edge = {"subject_id": "EFO:1", "predicate": "IS_A", "object_id": "EFO:2"}
    write(
        folder,
        concepts=[concept("EFO:1", "asthma"), concept("EFO:2", "lung disease")],
        relations=[edge],
        variants=[variant(n) for n in range(1, 8)],
        associations=lungs + joints,
    )
    return TrainingPart(build_pairs(folder).data, folder, tmp_path / "cache")


def scores(system: System, *pairs: tuple[str, int]) -> list[float]:
    snps = [f"dbsnp:rs{number}" for _, number in pairs]
    rows = np.arange(len(pairs))
    return [float(score) for score in system.text_snp([text for text, _ in pairs], rows, snps, rows)]


def test_a_text_model_places_a_snp_at_the_mean_of_its_traits(part: TrainingPart) -> None:
    system = open_system("hashed", part, scorer=None)
    vectors = system.embed(["Asthma", "Wheezing", "asthma"])  # type: ignore[attr-defined]  # only text models have it
    mean = vectors[:2].sum(axis=0)
    expected = vectors[0] @ mean / np.linalg.norm(mean)
    assert scores(system, ("Asthma", 1))[0] == pytest.approx(float(expected), abs=2e-3)
    assert np.isnan(scores(system, ("Asthma", 99))).all()
    same = system.text_text(["Asthma", "asthma"], np.array([0]), np.array([1]))
    assert float(same[0]) == pytest.approx(1.0, abs=1e-3)


def test_degree_counts_partners_of_both_sides(part: TrainingPart) -> None:
    system = open_system("degree", part, scorer=None)
    wheezing, asthma, nothing = scores(system, ("Wheezing", 1), ("Asthma", 1), ("Height", 9))
    assert [wheezing, asthma, nothing] == pytest.approx([np.log(4) + np.log(3), np.log(3) + np.log(3), 0.0])


def test_svd_finds_the_snp_that_a_trait_shares_with_its_like(part: TrainingPart) -> None:
    system = open_system("svd:2", part, scorer=None)
    own, other, unknown = scores(system, ("Asthma", 3), ("Asthma", 6), ("Height", 3))
    assert own > 0.9 > 0.1 > other
    assert np.isnan(unknown)


def test_the_own_model_is_there_by_score_and_by_similarity(part: TrainingPart) -> None:
    encoder = HashedNgramEncoder()
    model = centroid_model(part.data, encoder.encode(part.data.texts), encoder=encoder)
    scorer = Scorer(model, encoder.encode, evidence=Evidence.of(part.data))
    similarity = open_system("model:similarity", part, scorer=scorer)
    assert scores(similarity, ("Asthma", 1)) == [
        pytest.approx(float(scorer.text_snp(["Asthma"], np.array([0]), np.array([model.snp_rows["dbsnp:rs1"]]))[0][0]))
    ]
    assert np.isnan(scores(similarity, ("Asthma", 99))).all()


def test_the_graph_of_a_graph_model_has_each_training_pair_once(part: TrainingPart) -> None:
    nodes, relations, triples = _graph(part)
    names = list(nodes)
    told = {(names[head], list(relations)[relation], names[tail]) for head, relation, tail in triples.tolist()}
    assert len(told) == len(triples) == 10 + 1
    assert ("text\tasthma", "IS_A", "text\tlung disease") in told
    assert ("text\tGout", "associated with", "snp\tdbsnp:rs4") in told


def test_what_cannot_run_says_why_and_how_it_would(part: TrainingPart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    found = {name: (system, why) for name, system, why in each_system(["pykeen:TransE", "model", "degree"], part, scorer=None)}
    assert found["pykeen:TransE"][0] is None
    assert "kgbuild evaluate snp-trait --systems pykeen:TransE --pykeen pykeen/bin/python" in found["pykeen:TransE"][1]
    assert found["model"] == (None, 'this workspace has no model that places SNPs. `kgbuild train` with method = "generel"')
    assert found["degree"][0] is not None


def test_a_name_of_no_system_is_said_before_any_is_opened(part: TrainingPart) -> None:
    with pytest.raises(UsageError, match="no system called 'pykeen:TransX'"):
        next(each_system(["degree", "pykeen:TransX"], part, scorer=None))


def test_a_python_without_pykeen_is_no_crash(part: TrainingPart) -> None:
    with pytest.raises(ModelError, match="No module named 'pykeen'"):
        open_system("pykeen:TransE", part, scorer=None, pykeen=Path(sys.executable))
    with pytest.raises(ModelError, match="cannot be run"):
        open_system("pykeen:TransE", part, scorer=None, pykeen=Path("no/such/python"))


@pytest.mark.slow
def test_weights_that_cannot_be_fetched_name_the_command(part: TrainingPart) -> None:
    (_, system, why) = next(each_system(["text:kgbuild-tests/no-such-model"], part, scorer=None))
    assert system is None
    assert "hf download kgbuild-tests/no-such-model && kgbuild evaluate snp-trait --systems text:kgbuild-tests/no-such-model" in why


@pytest.mark.slow
def test_any_folder_of_a_bert_is_a_system_with_its_pooling(part: TrainingPart, tmp_path: Path) -> None:
    bert = tmp_path / "bert"
    bert.mkdir()
    write_tiny_bert(bert)
    first, mean = (open_system(f"text:{bert}@{pooling}", part, scorer=None) for pooling in ("cls", "mean"))
    assert np.isfinite(scores(first, ("Asthma", 1), ("Gout", 4))).all()
    assert scores(first, ("Asthma", 4)) != scores(mean, ("Asthma", 4))


@pytest.mark.skipif(ENVIRONMENT not in os.environ, reason=f"{ENVIRONMENT} names no Python with PyKEEN: python -m venv, pip install pykeen")
@pytest.mark.parametrize("model", GRAPH_MODELS)
def test_pykeen_trains_once_and_scores_by_its_own_function(part: TrainingPart, model: str) -> None:
    system = open_system(f"pykeen:{model}", part, scorer=None)
    again = open_system(f"pykeen:{model}", replace(part), scorer=None)
    pairs = [("Asthma", 1), ("Asthma", 4), ("Asthma", 99)]
    linked, other, unknown = scores(system, *pairs)
    assert linked > other
    assert np.isnan(unknown)
    assert scores(again, *pairs)[:2] == [linked, other]
