"""A bridge learns where relations lead: rotations that are known, heads that are new, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedder.errors import ArtifactError, EmbedderError, TrainingError
from embedder.triples import TripleData

WIDTH = 16
HEADS, RELATIONS = 400, ("turns", "mirrors")


def rotations(spaces: dict[str, str] | None = None, width: int = WIDTH) -> TripleData:
    """Give heads, and for each relation the one tail that its rotation of the head's vector is."""
    rng = np.random.default_rng(0)
    heads = rng.normal(size=(HEADS, WIDTH)).astype(np.float32)
    tails = [heads @ np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0].astype(np.float32) for _ in RELATIONS]
    triples = [(head, relation, HEADS * (1 + relation) + head) for relation in range(len(RELATIONS)) for head in range(HEADS)]
    seen_otherwise = np.linalg.qr(rng.normal(size=(width, WIDTH)))[0].astype(np.float32).T  # the same tails by another encoder
    return TripleData(
        nodes=[f"n{number}" for number in range(3 * HEADS)],
        types=("Head", "Tail"),
        node_types=np.repeat([0, 1], [HEADS, 2 * HEADS]),
        vectors={"Head": heads, "Tail": np.concatenate(tails) @ (seen_otherwise if width > WIDTH else np.eye(WIDTH, dtype=np.float32))},
        relations=RELATIONS,
        triples=np.array(triples),
        spaces=spaces or {},
    )


def quick(**changes: object):  # type: ignore[no-untyped-def]
    from embedder.biobridge import BridgeSettings

    settings = BridgeSettings(
        dimension=64, epochs=25, batch_size=64, rate=3e-3, precision="fp32", patience=None, token_dropout=0.0, dropout=0.0
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


# ---------------------------------------------------------------- data; no torch


def test_a_held_out_head_is_at_no_end_of_a_training_triple() -> None:
    data = rotations().with_inverses()
    trained, held = data.hold_out(0.2, seed=3)
    assert set(held[:, 0]) & set(trained.triples[:, [0, 2]].ravel()) == set()
    assert len(np.unique(held[:, 0])) == round(0.2 * len(data.nodes))
    again = data.hold_out(0.2, seed=3)
    assert np.array_equal(trained.triples, again[0].triples)
    assert np.array_equal(held, again[1])


def test_nodes_of_one_group_are_held_out_together() -> None:
    data = replace(rotations(), groups=np.arange(3 * HEADS) // 2)
    held = data.hold_out(0.2, seed=0)[1]
    drawn = set(held[:, 0])
    assert {head ^ 1 for head in drawn} == drawn


def test_inverses_turn_triples_round_and_symmetric_relations_keep_their_name() -> None:
    data = replace(rotations(), triples=np.array([[0, 0, 400], [1, 1, 800]])).with_inverses({"mirrors"})
    assert data.relations == ("turns", "mirrors", "inverse of turns")
    assert data.triples.tolist() == [[0, 0, 400], [1, 1, 800], [400, 2, 0], [800, 1, 1]]
    assert data.without("turns").triples.tolist() == [[1, 1, 800], [800, 1, 1]]
    assert data.without("Tail").untrained == ("turns", "mirrors", "inverse of turns", "Head", "Tail")
    with pytest.raises(TrainingError, match="'spins' is neither a relation nor a node type"):
        data.without("spins")


BROKEN = {
    "mirrors: there is not one triple of it": lambda d: replace(d, triples=d.triples[d.triples[:, 1] == 0]),
    "Tail: 2 vectors hold something that is no number, or nothing; the first is that of n403": lambda d: replace(
        d, vectors={**d.vectors, "Tail": np.where(np.isin(np.arange(2 * HEADS), [3, 5])[:, None], np.nan, d.vectors["Tail"])}
    ),
    r"Tail: vectors have the shape \(5, 16\), expected \(800, width\)": lambda d: replace(
        d, vectors={**d.vectors, "Tail": d.vectors["Tail"][:5]}
    ),
    r"a node type number is outside 0\.\.1": lambda d: replace(d, node_types=d.node_types + 1),
    r"a relation number is outside 0\.\.1": lambda d: replace(d, triples=d.triples + np.array([0, 1, 0])),
    "space text: Head is 16 wide and Tail is 8 wide": lambda d: replace(d, vectors={**d.vectors, "Tail": d.vectors["Tail"][:, :8]}),
    r"triples have the shape \(0, 3\)": lambda d: replace(d, triples=d.triples[:0]),
    "turns: two of this name": lambda d: replace(d, relations=("turns", "turns")),
}


@pytest.mark.parametrize("message", BROKEN)
def test_what_does_not_fit_is_named(message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        BROKEN[message](rotations()).check()


def test_ranks_leave_out_known_tails_and_the_head_itself() -> None:
    from embedder.retrieval import filtered_ranks

    data = TripleData(
        ["a", "b", "c", "d"], ("X",), np.zeros(4, np.int64), {"X": np.eye(4, dtype=np.float32)}, ("r",), np.array([[0, 0, 1], [0, 0, 3]])
    )
    scores = np.array([[0.9, 0.8, 0.5, 0.1]])  # of a, the head; b, known; c, the only rival of d
    assert filtered_ranks(data, np.array([[0, 0, 3], [0, 0, 1]]), {"s": lambda heads, *_: scores.repeat(len(heads), axis=0)})[
        "s"
    ].tolist() == [2.0, 1.0]


def test_a_scorer_that_says_nothing_gets_what_chance_gives() -> None:
    from embedder.retrieval import filtered_ranks

    data = rotations()
    ranks = filtered_ranks(data, data.triples, {"flat": lambda heads, *_: np.zeros((len(heads), 2 * HEADS)), "cannot": lambda *_: None})
    assert set(ranks["flat"]) == {HEADS + 0.5}
    assert np.isnan(ranks["cannot"]).all()


def test_ranks_equal_those_counted_one_by_one() -> None:
    from embedder.retrieval import filtered_ranks

    rng = np.random.default_rng(1)
    nodes, types = [str(n) for n in range(40)], np.arange(40) % 2
    triples = np.unique(np.column_stack([rng.integers(0, 40, 200), rng.integers(0, 2, 200), rng.integers(0, 40, 200)]), axis=0)
    data = TripleData(nodes, ("X", "Y"), types, {"X": np.ones((20, 2), np.float32), "Y": np.ones((20, 2), np.float32)}, ("r", "s"), triples)
    table = rng.integers(0, 6, size=(40, 2, 40)).astype(float)
    found = filtered_ranks(data, triples, {"s": lambda heads, r, t: table[heads, r][:, types == t]})["s"]
    for (head, relation, tail), rank in zip(triples.tolist(), found, strict=True):
        known = {t for h, r, t in triples.tolist() if (h, r) == (head, relation)} | {head}
        rivals = [table[head, relation, n] for n in range(40) if types[n] == types[tail] and n not in known]
        own = table[head, relation, tail]
        assert rank == 1 + sum(s > own for s in rivals) + sum(s == own for s in rivals) / 2


# ---------------------------------------------------------------- training


@pytest.mark.slow
def test_rotations_are_learned_and_new_heads_find_their_tails() -> None:
    from embedder.biobridge import evaluate_bridge, train_bridge

    data = rotations()
    trained, held = data.hold_out(0.1, seed=0)
    figures = evaluate_bridge(train_bridge(trained, quick()), data, trained, held)
    assert figures["triples"] == 80
    assert figures["all"]["bridge"]["recall_at_10"] > 0.9
    assert figures["all"]["cosine"]["recall_at_10"] < 0.1
    assert figures["all"]["popularity"]["mrr"] < 0.01
    assert set(figures["by_relation"]) == set(RELATIONS)


@pytest.mark.slow
def test_vectors_of_another_width_are_bridged_where_cosine_cannot() -> None:
    from embedder.biobridge import evaluate_bridge, train_bridge

    data = rotations({"Tail": "other"}, width=24)
    trained, held = data.hold_out(0.1, seed=0)
    figures = evaluate_bridge(train_bridge(trained, quick()), data, trained, held)
    assert figures["all"]["cosine"] is None
    assert figures["all"]["bridge"]["recall_at_10"] > 0.8


@pytest.mark.slow
def test_a_bridge_is_the_same_again_and_after_saving(tmp_path: Path) -> None:
    from embedder.biobridge import Bridge, train_bridge

    data, settings = rotations(), quick(epochs=2)
    bridge, again = train_bridge(data, settings, description={"note": "x"}), train_bridge(data, settings)
    wanted = bridge.retrieve(data.vectors["Head"], "Head", "turns", "Tail")
    assert np.array_equal(wanted, again.retrieve(data.vectors["Head"], "Head", "turns", "Tail"))
    assert not np.array_equal(wanted, train_bridge(data, quick(epochs=2, seed=1)).retrieve(data.vectors["Head"], "Head", "turns", "Tail"))
    bridge.save(tmp_path)
    read = Bridge.load(tmp_path)
    assert np.array_equal(wanted, read.retrieve(data.vectors["Head"], "Head", "turns", "Tail"))
    assert np.array_equal(bridge.project(data.vectors["Tail"], "Tail"), read.project(data.vectors["Tail"], "Tail"))
    assert (read.settings, read.untrained, read.description["note"]) == (settings, frozenset(), "x")
    assert np.allclose(np.linalg.norm(wanted, axis=1), 1, atol=1e-5)
    again.save(tmp_path)
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == ["bridge", "config.json"]


@pytest.mark.slow
def test_before_training_a_bridge_is_the_cosine_of_what_it_is_given() -> None:
    from embedder.biobridge import train_bridge

    data = rotations()
    bridge = train_bridge(data, quick(dimension=WIDTH, epochs=1, rate=1e-12, development=0.0))
    units = data.vectors["Head"] / np.linalg.norm(data.vectors["Head"], axis=1, keepdims=True)
    assert np.allclose(bridge.retrieve(data.vectors["Head"], "Head", "turns", "Tail"), units, atol=1e-5)


@pytest.mark.slow
def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    from embedder.biobridge import Bridge, train_bridge

    with pytest.raises(ArtifactError, match="holds no bridge"):
        Bridge.load(tmp_path)
    train_bridge(rotations(), quick(epochs=1)).save(tmp_path)
    weights = next(tmp_path.glob("*.safetensors"))
    content = weights.read_bytes()
    weights.write_bytes(content[:-1])
    with pytest.raises(ArtifactError, match=r"is not the file that config\.json was written with"):
        Bridge.load(tmp_path)
    weights.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        Bridge.load(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 0}')
    with pytest.raises(ArtifactError, match="expected 'biobridge' of format 1"):
        Bridge.load(tmp_path)


@pytest.mark.slow
def test_what_was_not_trained_on_is_refused_or_asked_for_as_any() -> None:
    from embedder.biobridge import train_bridge

    data = rotations()
    only = data.without("mirrors")
    with pytest.raises(TrainingError, match="mirrors: there is not one triple of it"):
        train_bridge(only, quick(epochs=1))
    bridge = train_bridge(only, quick(epochs=1, token_dropout=0.1), untrained=["mirrors"])
    vectors = data.vectors["Head"]
    assert bridge.untrained == {"mirrors"}
    assert bridge.retrieve(vectors, "Head", "mirrors", "Tail").shape == (HEADS, 64)
    for wrong, message in (
        (("Hat", "turns", "Tail"), "no node type 'Hat'"),
        (("Head", "spins", "Tail"), "no relation 'spins'"),
        (("Head", "turns", "Tale"), "no node type 'Tale'"),
    ):
        with pytest.raises(EmbedderError, match=message):
            bridge.retrieve(vectors, *wrong)
    with pytest.raises(EmbedderError, match=r"have the shape \(400, 15\), expected \(n, 16\)"):
        bridge.retrieve(vectors[:, 1:], "Head", "turns", "Tail")
    with pytest.raises(EmbedderError, match="no number"):
        bridge.project(np.full((1, WIDTH), np.nan), "Head")


@pytest.mark.slow
def test_a_relation_left_out_is_compared_with_the_bridge_that_was_trained_on_it() -> None:
    from embedder.biobridge import evaluate_unseen, train_bridge

    data = rotations()
    trained, held = data.hold_out(0.1, seed=0)
    found = evaluate_unseen(["mirrors"], train_bridge(trained, quick()), data, trained, held)["mirrors"]
    assert (found["triples"], found["triples_left_out"], list(found["by_relation"])) == (40, 360, ["mirrors"])
    assert found["all"]["trained_on_it"]["recall_at_10"] > 0.9 > found["all"]["bridge"]["recall_at_10"]


@pytest.mark.slow
def test_a_modality_of_its_own_that_was_not_trained_on_cannot_be_placed() -> None:
    from embedder.biobridge import evaluate_unseen, train_bridge

    data = rotations({"Tail": "other"}, width=24)
    both = replace(data, triples=np.concatenate([data.triples, [[n, 0, n + 1] for n in range(HEADS - 1)]]))
    trained, held = both.hold_out(0.1, seed=0)
    figures = evaluate_unseen(["Tail"], train_bridge(trained, quick(epochs=1)), both, trained, held)["Tail"]
    assert figures["all"]["bridge"] is None
    assert figures["all"]["trained_on_it"] is not None


@pytest.mark.slow
def test_training_stops_by_the_clock_and_by_the_development_figure() -> None:
    from embedder.biobridge import train_bridge

    assert train_bridge(rotations(), quick(max_seconds=1e-9)).description["stopped"] == "time"
    bridge = train_bridge(rotations(), quick(rate=1e-12, patience=1))
    assert (bridge.description["stopped"], len(bridge.description["history"])) == ("development", 2)


@pytest.mark.slow
def test_settings_out_of_range_are_refused() -> None:
    from embedder.biobridge import train_bridge

    with pytest.raises(TrainingError, match=r"dropout is 1\.0"):
        quick(dropout=1.0)
    with pytest.raises(TrainingError, match="temperature is 0"):
        quick(temperature=0)
    with pytest.raises(TrainingError, match="4 heads do not divide the dimension 30"):
        train_bridge(rotations(), quick(dimension=30))


@pytest.mark.slow
@pytest.mark.parametrize("mask", [True, False])
def test_the_loss_is_that_of_a_slow_reference(mask: bool) -> None:
    """InfoNCE over the batch's distinct tails, known ones but the row's own taken out where that is asked for."""
    import torch

    from embedder.biobridge import Bridge, _Learner, _Network, _Shape

    data = replace(rotations(), triples=np.array([[0, 0, 400], [0, 0, 401], [1, 0, 401], [2, 1, 801]]))
    settings = quick(mask=mask, further_tails=0)
    torch.manual_seed(0)
    network = _Network(_Shape.of(data, settings), 0.0)
    torch.nn.init.normal_(network.shift.weight, std=0.1)
    loss = float(_Learner(network, settings, data, np.random.default_rng(0))._loss(data.triples).detach())
    bridge = Bridge(network, settings)
    placed, expected = bridge.project(data.vectors["Tail"], "Tail"), []
    for head, relation, tail in data.triples.tolist():
        wanted = bridge.retrieve(data.vectors["Head"][[head]], "Head", RELATIONS[relation], "Tail")[0]
        known = {t for h, r, t in data.triples.tolist() if (h, r) == (head, relation)} - {tail}
        rivals = [t for t in (400, 401, 801) if not (mask and t in known)]
        scores = np.array([wanted @ placed[t - HEADS] / settings.temperature for t in rivals])
        expected.append(np.log(np.exp(scores).sum()) - scores[rivals.index(tail)])
    assert loss == pytest.approx(np.mean(expected), rel=1e-4)
