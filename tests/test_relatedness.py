"""What the graph says around two texts: found by name, smoothed over what is near, fitted on what was held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from little_tables import concept, write
from scipy.sparse import csr_matrix
from test_concept_pairs import edges

from kgbuild.concept_pairs import concept_pairs, split_concepts
from kgbuild.relatedness import PARTS, Relatedness, _through, fit_relatedness, fit_weights
from kgbuild.surroundings import Surroundings, similar_strings

N_THEMES, N_EACH = 6, 10
THEMES = ("kidney", "retina", "muscle", "thyroid", "cartilage", "spleen")


def encode(texts: list[str]) -> np.ndarray:
    """Place a text by its theme, with a little of its own."""
    made = np.zeros((len(texts), len(THEMES) + 16), dtype=np.float32)
    for row, text in enumerate(texts):
        made[row, [place for place, theme in enumerate(THEMES) if theme in text]] = 1
        made[row, len(THEMES) + sum(map(ord, text)) % 16] = 0.5
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def blind(texts: list[str], base: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.full(len(left), 0.25, dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Diseases, pathways and drugs of six organs, each with some of the genes of its organ."""
    random = np.random.default_rng(0)
    concepts, genes, triples = [], [], []
    for theme, organ in enumerate(THEMES):
        own = [f"NCBIGene:{100 * theme + g}" for g in range(N_EACH)]
        genes += [{"id": id_, "symbol": f"{organ[:3].upper()}{g}"} for g, id_ in enumerate(own)]
        for n in range(N_EACH):
            concepts += [
                concept(f"MONDO:{theme}{n}", f"{organ} disease {n}"),
                concept(f"msigdb:{theme}{n}", f"{organ} pathway {n}", "Pathway"),
            ]
            concepts.append(concept(f"drugbank:{theme}{n}", f"{organ}mab {n}", "Drug"))
            for predicate, object_ in (("GENE_ASSOCIATED_WITH", f"MONDO:{theme}{n}"), ("PARTICIPATES_IN", f"msigdb:{theme}{n}")):
                triples += [(gene, predicate, object_) for gene in random.choice(own, 6, replace=False)]
            triples += [(f"drugbank:{theme}{n}", "INDICATED_FOR", f"MONDO:{theme}{m}") for m in random.choice(N_EACH, 4, replace=False)]
            triples += [(f"drugbank:{theme}{n}", "TARGETS", gene) for gene in random.choice(own, 3, replace=False)]
        triples += [(own[g], "INTERACTS_WITH", own[g - 1]) for g in range(1, N_EACH)]
    folder = tmp_path_factory.mktemp("organs")
    return write(folder, concepts=concepts, genes=genes, relations=edges(*triples))


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Relatedness:
    pairs = concept_pairs(folder)
    split = split_concepts(pairs, share=0.05, development=0.1)
    weights = fit_weights(Surroundings.of(folder, encode, hidden=split), split, pairs, encode, blind)
    return Relatedness(Surroundings.of(folder, encode, hidden=split[split["part"] == "test"]), weights)


def scored(fitted: Relatedness, *pairs: tuple[str, str], without: tuple[str, ...] = ()) -> list[float]:
    texts = list(dict.fromkeys(text for pair in pairs for text in pair))
    left, right = (np.array([texts.index(pair[side]) for pair in pairs]) for side in (0, 1))
    base = encode(texts)
    return fitted.score(texts, base, blind(texts, base, left, right), left, right, without=without).tolist()


def test_held_out_pairs_stand_out_where_the_cosine_is_blind(folder: Path, fitted: Relatedness) -> None:
    split = split_concepts(concept_pairs(folder), share=0.05, development=0.1)
    for table in ("disease-gene", "pathway-gene", "indication-drug", "drug-gene", "indication-gene"):
        test = split[(split["table"] == table) & (split["part"] == "test")]
        held = list(zip(test["left_name"], test["right_name"], strict=True))
        others = [(left, right) for left, _ in held for _, right in held if left.split()[0][:3].upper() != right[:3].upper()]
        own, other = np.array(scored(fitted, *held)), np.array(scored(fitted, *others))
        assert (own[:, None] > other[None, :]).mean() > 0.95, table


def test_texts_that_the_graph_does_not_know_are_scored_by_what_they_are_near_to(fitted: Relatedness) -> None:
    good, bad = scored(fitted, ("chronic retina trouble", "RET3"), ("chronic retina trouble", "SPL3"))
    assert good > bad + 0.2
    good, bad = scored(fitted, ("thyroidmab new", "thyroid disease 1"), ("thyroidmab new", "spleen disease 1"))
    assert good > bad


def test_two_diseases_or_two_unknown_texts_keep_their_cosine(fitted: Relatedness) -> None:
    assert scored(fitted, ("kidney disease 1", "kidney disease 2"), ("foo", "bar"), ("RET1", "RET2")) == [0.25] * 3


def test_the_order_of_the_sides_is_no_matter(fitted: Relatedness) -> None:
    pairs = [("kidney disease 1", "KID2"), ("retina pathway 3", "RET1"), ("spleenmab 2", "spleen disease 4"), ("spleenmab 2", "SPL1")]
    assert scored(fitted, *pairs) == scored(fitted, *[(right, left) for left, right in pairs])


def test_parts_add_up_and_each_can_be_left_out(fitted: Relatedness) -> None:
    pair = ("kidney disease 1", "KID2")
    base = encode(list(pair))
    one, two = np.array([0]), np.array([1])
    ((_, intercept, parts),) = fitted.contributions(list(pair), base, blind([], base, one, two), one, two)
    log_odds = float(intercept + sum(values[0] for values in parts.values()))
    assert scored(fitted, pair) == pytest.approx([1 / (1 + np.exp(-log_odds))], abs=1e-6)
    assert scored(fitted, pair, without=("near",)) == pytest.approx([1 / (1 + np.exp(float(parts["near"][0]) - log_odds))], abs=1e-6)
    assert scored(fitted, pair, without=PARTS) == pytest.approx([1 / (1 + np.exp(-intercept))], abs=1e-6)


def test_what_is_saved_scores_the_same(fitted: Relatedness, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    again = Relatedness.load(tmp_path)
    pairs = [("kidney disease 1", "KID2"), ("retina pathway 3", "SPL1"), ("spleenmab 2", "spleen disease 4")]
    assert again is not None
    assert scored(again, *pairs) == pytest.approx(scored(fitted, *pairs), abs=1e-3)


def test_hidden_edges_are_not_among_the_surroundings(folder: Path) -> None:
    split = split_concepts(concept_pairs(folder), share=0.1)
    s = Surroundings.of(folder, encode, hidden=split)
    for row in split[split["table"] == "disease-gene"].itertuples():
        assert s.sets[s.aliases[row.left_name], s.gene_rows[row.right_name]] == 0
    held = {table: len(split[split["table"] == table]) for table in ("disease-gene", "pathway-gene", "drug-gene", "indication-drug")}
    whole = Surroundings.of(folder, encode)
    assert whole.sets.nnz - s.sets.nnz == held["disease-gene"] + held["pathway-gene"] + held["drug-gene"]
    assert whole.treats.nnz - s.treats.nnz == held["indication-drug"]


def test_a_kernel_is_applied_as_a_product_of_matrices_would() -> None:
    random = np.random.default_rng(1)
    profile, kernel = random.random((4, 7), dtype=np.float32), csr_matrix(random.random((5, 7)) * (random.random((5, 7)) < 0.4))
    local, rows = random.integers(0, 4, 30), random.integers(0, 5, 30)
    assert _through(profile, local, kernel, rows) == pytest.approx((profile @ kernel.T.toarray())[local, rows], abs=1e-6)


def test_names_of_a_family_are_alike() -> None:
    likeness = similar_strings(["atenolol"], ["metoprolol", "lisinopril", "zoledronate"], 3).toarray()[0]
    assert likeness[0] > 2 * max(likeness[1:])


def test_a_graph_of_a_few_edges_or_none_leaves_the_cosine(tmp_path: Path) -> None:
    few = edges(("NCBIGene:1", "GENE_ASSOCIATED_WITH", "MONDO:1"), ("NCBIGene:1", "PARTICIPATES_IN", "GO:1"))
    for number, relations in enumerate(([], few)):
        (folder := tmp_path / str(number)).mkdir()
        concepts, genes = (
            [concept("MONDO:1", "gout"), concept("GO:1", "a process", "BiologicalProcess")],
            [{"id": "NCBIGene:1", "symbol": "XDH"}],
        )
        write(folder, concepts=concepts, genes=genes, relations=relations)
        split = split_concepts(concept_pairs(folder), share=0.0)
        made = fit_relatedness(folder, split, encode, lambda base, texts: base)
        assert (made is None) == (not relations)
        if made is not None:
            made.save(folder)
            again = Relatedness.load(folder)
            assert again is not None
            assert scored(again, ("gout", "XDH"), ("a process", "XDH"), ("gout", "unheard of")) == [0.25] * 3


def test_an_acronym_that_is_a_gene_too_is_a_synonym_beside_its_concept(tmp_path: Path) -> None:
    concepts = [concept("MONDO:1", "pulmonary hypertension"), concept("MONDO:2", "gout")]
    names = [{"concept_id": "MONDO:1", "name": "PAH", "role": "synonym"}]
    relations = edges(*((f"NCBIGene:{gene}", "GENE_ASSOCIATED_WITH", f"MONDO:{n}") for gene in (1, 2) for n in (1, 2)))
    genes = [{"id": "NCBIGene:1", "symbol": "PAH"}, {"id": "NCBIGene:2", "symbol": "IL6"}]
    related = Relatedness(Surroundings.of(write(tmp_path, concepts=concepts, names=names, genes=genes, relations=relations), encode), {})
    texts = ["pulmonary hypertension", "PAH", "gout", "il6", "pah"]
    found = related.find(texts, encode(texts))
    assert (found.gene >= 0).tolist() == [False, True, False, True, False]
    left, right = np.array([0, 2, 2, 2]), np.array([1, 1, 3, 4])
    assert [pairs.places.tolist() for pairs in related.sort(found, left, right)] == [[1, 2]]
