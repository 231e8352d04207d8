"""Which triples a bridge gets from the tables, and where its nodes' vectors come from."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from little_tables import concept, write

from embedder.triples import TripleData
from kgbuild import pipeline
from kgbuild.concept_pairs import COLUMNS
from kgbuild.errors import SourceError, UsageError
from kgbuild.evaluation.evaluated import Options
from kgbuild.triples import TripleOptions, build_triples, read_vectors, table_text
from kgbuild.workspace import Workspace

GENES = [
    {"id": "NCBIGene:1", "symbol": "AAA", "ensembl_ids": ["ENSG01"]},
    {"id": "NCBIGene:2", "symbol": "BBB", "ensembl_ids": ["ENSG02"]},
    {"id": "NCBIGene:3", "symbol": "CCC", "ensembl_ids": []},
]


def edge(subject: str, predicate: str, object_: str) -> dict[str, str]:
    return {"subject_id": subject, "predicate": predicate, "object_id": object_}


EDGES = [
    edge("NCBIGene:1", "GENE_ASSOCIATED_WITH", "EFO:1"),
    edge("NCBIGene:2", "GENE_ASSOCIATED_WITH", "EFO:2"),
    edge("NCBIGene:1", "INTERACTS_WITH", "NCBIGene:2"),
    edge("EFO:2", "IS_A", "EFO:1"),
    edge("EFO:1", "IS_A", "EFO:1"),
    edge("EFO:1", "IS_A", "EFO:gone"),
    edge("NCBIGene:3", "GENE_ASSOCIATED_WITH", "EFO:1"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    concepts = [concept("EFO:1", "asthma"), concept("EFO:2", "Childhood asthma"), concept("EFO:3", "without an edge")]
    return write(tmp_path / "tables", concepts=concepts, genes=GENES, relations=EDGES)


def lengths(texts: list[str]) -> np.ndarray:
    """Give vectors that show which text they are of."""
    return np.array([[len(text), ord(text[0]), 1] for text in texts], dtype=np.float32)


def named(data: TripleData) -> list[tuple[str, str, str]]:
    return data.named(data.triples)


def test_edges_become_triples_in_both_directions_with_the_vectors_of_names(folder: Path) -> None:
    made = build_triples(folder, lengths)
    data = made.data
    assert sorted(named(data)) == sorted(
        [
            ("NCBIGene:1", "GENE_ASSOCIATED_WITH", "EFO:1"),
            ("EFO:1", "inverse of GENE_ASSOCIATED_WITH", "NCBIGene:1"),
            ("NCBIGene:2", "GENE_ASSOCIATED_WITH", "EFO:2"),
            ("EFO:2", "inverse of GENE_ASSOCIATED_WITH", "NCBIGene:2"),
            ("NCBIGene:3", "GENE_ASSOCIATED_WITH", "EFO:1"),
            ("EFO:1", "inverse of GENE_ASSOCIATED_WITH", "NCBIGene:3"),
            ("NCBIGene:1", "INTERACTS_WITH", "NCBIGene:2"),
            ("NCBIGene:2", "INTERACTS_WITH", "NCBIGene:1"),
            ("EFO:2", "IS_A", "EFO:1"),
            ("EFO:1", "inverse of IS_A", "EFO:2"),
        ]
    )
    data.check()
    assert (data.types, data.spaces) == (("Disease", "Gene"), {"Disease": "text", "Gene": "text"})
    assert data.vectors["Disease"].tolist() == lengths(["asthma", "Childhood asthma"]).tolist()
    assert data.vectors["Gene"].tolist() == lengths(["AAA", "BBB", "CCC"]).tolist()
    assert data.descriptions is not None
    assert len(data.descriptions) == len(data.relations)
    assert made.counts == {
        "edges": 5,
        "edges from a node to itself left out": 1,
        "edges of nodes without a name left out": 1,
        "edges beyond the cap of a relation left out": 0,
        "edges of nodes without a vector left out": 0,
        "nodes": 5,
        "triples in both directions": 10,
    }


def test_nodes_of_one_name_are_one_group(tmp_path: Path) -> None:
    concepts = [concept("EFO:1", "Asthma"), concept("EFO:2", "asthma"), concept("EFO:3", "gout")]
    relations = [edge("EFO:1", "IS_A", "EFO:3"), edge("EFO:2", "IS_A", "EFO:3")]
    groups = build_triples(write(tmp_path, concepts=concepts, relations=relations), lengths).data.groups
    assert groups is not None
    assert groups.tolist() == [0, 0, 1]


def test_a_large_relation_is_cut_and_counted(folder: Path) -> None:
    made = build_triples(folder, lengths, options=TripleOptions(per_relation=1))
    assert (made.counts["edges"], made.counts["edges beyond the cap of a relation left out"]) == (3, 2)
    again = build_triples(folder, lengths, options=TripleOptions(per_relation=1))
    assert named(made.data) == named(again.data)


def test_tables_without_an_edge_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no edge between two named nodes"):
        build_triples(write(tmp_path, concepts=[concept("EFO:1", "asthma")]), lengths)


# ---------------------------------------------------------------- vectors from files

IDS, VECTORS = ["ENSG01", "NCBIGene:2", "ENSG99"], np.arange(1, 13, dtype=np.float32).reshape(3, 4)


def write_npz(path: Path) -> None:
    np.savez(path, ids=np.array(IDS), vectors=VECTORS)


def write_parquet(path: Path) -> None:
    pq.write_table(pa.table({"id": IDS, "vector": VECTORS.tolist()}), path)


def write_text(path: Path) -> None:
    delimiter = "," if ".csv" in path.name else "\t"
    lines = [
        "id" + delimiter + delimiter.join("abcd"),
        *(delimiter.join([id_, *map(str, row)]) for id_, row in zip(IDS, VECTORS.tolist(), strict=True)),
    ]
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.name.endswith(".gz") else content)


FILES: dict[str, Callable[[Path], None]] = {
    "esm.npz": write_npz,
    "esm.parquet": write_parquet,
    "esm.tsv": write_text,
    "esm.tsv.gz": write_text,
    "esm.csv": write_text,
}


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_file_gives_the_same_vectors(tmp_path: Path, name: str) -> None:
    FILES[name](tmp_path / name)
    ids, vectors = read_vectors(tmp_path / name)
    assert (ids, vectors.tolist()) == (IDS, VECTORS.tolist())


def test_vectors_of_a_file_go_to_the_nodes_of_its_type_and_nodes_without_one_are_counted(folder: Path, tmp_path: Path) -> None:
    write_npz(tmp_path / "esm.npz")
    made = build_triples(folder, lengths, node_vectors={"Gene": tmp_path / "esm.npz"})
    assert made.data.vectors["Gene"].tolist() == VECTORS[:2].tolist()  # by an Ensembl id, and by the id itself
    assert made.data.nodes == ["EFO:1", "EFO:2", "NCBIGene:1", "NCBIGene:2"]
    assert made.data.spaces == {"Disease": "text", "Gene": "esm.npz"}
    assert made.counts["Gene: nodes with a vector in esm.npz"] == 2
    assert made.counts["Gene: nodes without one left out"] == 1
    assert made.counts["Gene: ids in esm.npz that are of no node with an edge"] == 1
    assert made.counts["edges of nodes without a vector left out"] == 1
    made.data.check()


def test_a_type_or_ids_that_no_node_has_are_refused(folder: Path, tmp_path: Path) -> None:
    write_npz(tmp_path / "esm.npz")
    with pytest.raises(UsageError, match=r"nodes of the type 'Genes'.*\n  There are: Disease, Gene\."):
        build_triples(folder, lengths, node_vectors={"Genes": tmp_path / "esm.npz"})
    with pytest.raises(
        UsageError,
        match=r"not one of its 3 ids, 'ENSG01' for one, is that of a node of the type Disease\n  Use ids like 'EFO:1', 'EFO:2'\.",
    ):
        build_triples(folder, lengths, node_vectors={"Disease": tmp_path / "esm.npz"})


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "the vector is 1 wide": ("v.tsv", lambda p: p.write_text("a\t1\t2\nb\t1\n")),
    "line 2: not all cells after the first are numbers": ("v.tsv", lambda p: p.write_text("a\t1\t2\nb\t1\tx\n")),
    "vectors are 1 and 2 wide": ("v.parquet", lambda p: pq.write_table(pa.table({"id": ["a", "b"], "vector": [[1.0, 2.0], [1.0]]}), p)),
    "expected: columns `id` and `vector`": ("v.parquet", lambda p: pq.write_table(pa.table({"name": ["a"]}), p)),
    "expected: arrays `ids`": ("v.npz", lambda p: np.savez(p, vectors=VECTORS)),
    "not objects": ("v.npz", lambda p: np.savez(p, ids=np.array(IDS, dtype=object), vectors=VECTORS)),
    "1 vectors hold what is no number": ("v.npz", lambda p: np.savez(p, ids=np.array(["a", "b"]), vectors=np.array([[1.0], [np.nan]]))),
    "or are all 0": ("v.npz", lambda p: np.savez(p, ids=np.array(["a"]), vectors=np.zeros((1, 3)))),
    "1 ids come twice": ("v.npz", lambda p: np.savez(p, ids=np.array(["a", "a"]), vectors=VECTORS[:2])),
    r"2 ids have vectors of the shape \(3, 4\)": ("v.npz", lambda p: np.savez(p, ids=np.array(["a", "b"]), vectors=VECTORS)),
    "there is no such file": ("v.npz", lambda p: None),
    r"expected: a name that ends in \.npz, \.parquet": ("v.h5", lambda p: p.write_text("x")),
}


@pytest.mark.parametrize("message", BAD)
def test_a_file_that_is_not_one_of_vectors_is_refused(tmp_path: Path, message: str) -> None:
    name, make = BAD[message]
    make(tmp_path / name)
    with pytest.raises(SourceError, match=message):
        read_vectors(tmp_path / name)


def test_figures_stand_beside_each_other() -> None:
    figures = {"mrr": 0.5, "recall_at_1": 0.25, "recall_at_10": 0.5, "recall_at_100": 1.0}
    line = {"triples": 1234, "bridge": figures, "cosine": None}
    lines = list(table_text({"all": line, "by_relation": {"IS_A": line}, "mean_over_relations": {"bridge": figures, "cosine": None}}))
    assert [text.split() for text in lines] == [
        ["triples", "bridge", "cosine"],
        ["MRR", "R@1", "R@10", "R@100", "MRR", "R@1", "R@10", "R@100"],
        ["IS_A", "1,234", ".500", ".250", ".500", "1.000", "cannot"],
        ["mean", "over", "relations", ".500", ".250", ".500", "1.000", "cannot"],
        ["all", "triples", "1,234", ".500", ".250", ".500", "1.000", "cannot"],
    ]
    assert len({len(text) for text in lines}) == 1


def test_no_edge_between_held_out_concepts_is_left(folder: Path) -> None:
    held = pd.DataFrame([["disease-gene", "EFO:1", "asthma", "NCBIGene:1", "AAA", "test"]], columns=COLUMNS)
    made = build_triples(folder, lengths, concepts=held)
    every = {frozenset((head, tail)) for head, _, tail in named(build_triples(folder, lengths).data)}
    assert every - {frozenset((head, tail)) for head, _, tail in named(made.data)} == {frozenset(("EFO:1", "NCBIGene:1"))}
    assert made.counts["edges of held-out pairs of concepts left out"] == 1


# ---------------------------------------------------------------- the stage


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    """The tiny workspace with its tables, told to train a bridge; genes have vectors of eight numbers by chance."""
    root = tmp_path / "ws"
    shutil.copytree(finished.root, root)
    genes = [f"ENSG{n:011}" for n in range(3)] + symbols(Workspace.open(root))
    np.savez(root / "genes.npz", ids=np.array(genes), vectors=np.random.default_rng(0).normal(size=(len(genes), 8)))
    text = (root / "kgbuild.toml").read_text()
    settings = 'method = "biobridge"\nepochs = 2\nunseen = ["IS_A"]\nnode_vectors = { Gene = "genes.npz" }'
    (root / "kgbuild.toml").write_text(text.replace('method = "centroid"', settings))
    return Workspace.open(root)


def symbols(workspace: Workspace) -> list[str]:
    from kgbuild import tables

    return sorted(set(tables.read(workspace.folder("tables"), "genes", ["symbol"])["symbol"].to_pylist()))


@pytest.mark.slow
def test_training_a_bridge_prints_figures_and_leaves_a_folder_that_says_what_it_is(workspace: Workspace) -> None:
    from embedder.biobridge import Bridge

    outcome = pipeline.train(workspace)[-1]
    text, folder = outcome.text(), workspace.folder("model")
    assert "biobridge on hashed, fp32" in text
    assert "the same without IS_A" in text
    assert max(map(len, text.splitlines())) <= 124
    bridge = Bridge.load(folder / "bridge")
    assert bridge.retrieve(np.ones((2, 8)), "Gene", "GENE_ASSOCIATED_WITH", "Disease").shape == (2, bridge.dimension)
    report = json.loads((folder / "report.json").read_text())
    assert set(report["all"]) == {"triples", "bridge", "cosine", "popularity"}
    assert report["unseen"]["IS_A"]["triples_left_out"] > 0
    held = (folder / "triples.tsv").read_text().splitlines()
    assert len(held) == report["triples"] + 1
    card = (folder / "README.md").read_text()
    assert "It places no SNPs." in card
    assert "genes.npz (sha256 " in card
    assert not pipeline.train(workspace)[-1].ran


@pytest.mark.slow
def test_with_a_bridge_texts_keep_the_encoders_vectors_and_scoring_says_that_it_cannot(workspace: Workspace, tmp_path: Path) -> None:
    pipeline.train(workspace)
    (tmp_path / "pairs.tsv").write_text("left\tright\nasthma\tgout\n")
    with pytest.raises(UsageError, match="the model is a bridge: it places no SNPs"):
        pipeline.score(workspace, tmp_path / "pairs.tsv", tmp_path / "out.tsv")
    with pytest.raises(UsageError, match="keeps no checkpoints"):
        pipeline.train(workspace, resume=True)
    with pytest.raises(UsageError, match="has no estimate"):
        pipeline.estimate_training(workspace)
    assert [outcome.stage for outcome in pipeline.populate(workspace)] == ["tables", "links", "graph", "database"]


@pytest.mark.slow
def test_a_bridge_stands_beside_a_model_that_kept_the_same_concepts_from_training(
    workspace: Workspace, finished: Workspace, tmp_path: Path
) -> None:
    system = f"workspace:{workspace.root}"
    options = Options(draws=2, resamples=20, most_pairs=100, systems=(system,))
    pipeline.train(workspace)
    rows = pipeline.evaluate(finished, ["concept-concept"], options=options, out=tmp_path / "files").sections["concept-concept"].rows
    assert any("have vectors from a file, not of their names" in str(row.get("reason")) for row in rows)
    path = workspace.configuration_path
    path.write_text(path.read_text().replace('node_vectors = { Gene = "genes.npz" }', ""))
    pipeline.train(workspace)
    rows = pipeline.evaluate(finished, ["concept-concept"], options=options, out=tmp_path / "out").sections["concept-concept"].rows
    bridged = [row for row in rows if row.get("ranked_by") == system and row["what"] == "disease-gene"]
    assert bridged
    assert all(0 < row["auc"] < 1 for row in bridged), bridged
    path.write_text(path.read_text().replace("unseen =", "held_out_concepts = 0.1\nunseen ="))
    pipeline.train(workspace)
    rows = pipeline.evaluate(finished, ["concept-concept"], options=options, out=tmp_path / "again").sections["concept-concept"].rows
    assert any("with other concepts kept from training" in str(row.get("reason")) for row in rows)


@pytest.mark.slow
def test_another_file_of_vectors_makes_the_model_stale(workspace: Workspace) -> None:
    pipeline.train(workspace)
    np.savez(workspace.root / "genes.npz", ids=np.array(symbols(workspace)), vectors=np.ones((len(symbols(workspace)), 8)))
    assert pipeline.train(workspace)[-1].reasons == ["input vectors of Gene changed"]


@pytest.mark.slow
def test_a_name_that_is_neither_relation_nor_type_is_refused_before_training(workspace: Workspace) -> None:
    path = workspace.configuration_path
    path.write_text(path.read_text().replace('"IS_A"', '"IS_B"'))
    from embedder.errors import TrainingError

    with pytest.raises(TrainingError, match="'IS_B' is neither a relation nor a node type"):
        pipeline.train(workspace)
