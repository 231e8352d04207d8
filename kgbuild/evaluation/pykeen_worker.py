"""Triples in, vectors and scores out, by PyKEEN: run by the Python of an environment that has it, and knows nothing of kgbuild.

    PYTHON pykeen_worker.py FOLDER TransE --dimension 100 --epochs 100

FOLDER/triples.tsv holds head, relation and tail as numbers from 0. What is trained is kept there, so that a second run does not
train again. It says `epoch <number> <of>` while it trains, then `ready <version>`, and FOLDER/vectors.npy holds a row for each
node. Then each line `<wanted.npy> <scores.npy>` on standard input ((n, 3) triples in, (n,) scores out) is answered by `done`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["main", "say", "scores", "trained", "vectors", "version"]


def main() -> None:
    """Train, or read what was trained before, and answer until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("model")
    parser.add_argument("--dimension", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--negatives", type=int, default=8, help="for each triple")
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    model = trained(wanted)
    np.save(wanted.folder / "vectors.npy", vectors(model))
    say(f"ready {version()}")
    for line in sys.stdin:
        given, out = line.split()
        np.save(wanted.folder / out, scores(model, np.load(wanted.folder / given)))
        say("done")


def trained(wanted: argparse.Namespace) -> Any:
    """Train, or read what was trained before."""
    import torch
    from pykeen.models import model_resolver
    from pykeen.training import SLCWATrainingLoop, TrainingCallback
    from pykeen.triples import CoreTriplesFactory

    class Watch(TrainingCallback):  # type: ignore[misc]  # PyKEEN is not in the environment that types are checked in
        def post_epoch(self, epoch: int, epoch_loss: float, **_: Any) -> None:  # noqa: ARG002 - PyKEEN's signature
            say(f"epoch {epoch} {wanted.epochs}")

    triples = torch.from_numpy(np.loadtxt(wanted.folder / "triples.tsv", dtype=np.int64, delimiter="\t", ndmin=2))
    factory = CoreTriplesFactory(triples, num_entities=int(triples[:, [0, 2]].max()) + 1, num_relations=int(triples[:, 1].max()) + 1)
    model = model_resolver.make(wanted.model, triples_factory=factory, embedding_dim=wanted.dimension, random_seed=wanted.seed)
    kept = wanted.folder / "trained.pt"
    if kept.exists():
        model.load_state_dict(torch.load(kept, weights_only=True))
    else:
        optimiser = torch.optim.Adam(model.get_grad_params(), lr=wanted.rate)
        loop = SLCWATrainingLoop(
            model=model,
            triples_factory=factory,
            optimizer=optimiser,
            negative_sampler="basic",
            negative_sampler_kwargs={"num_negs_per_pos": wanted.negatives},
        )
        loop.train(factory, num_epochs=wanted.epochs, batch_size=wanted.batch, use_tqdm=False, callbacks=Watch())
        aside = kept.with_suffix(".part")
        torch.save(model.state_dict(), aside)
        aside.replace(kept)
    return model.eval()


def vectors(model: Any) -> np.ndarray:
    """Give a row for each node; a model that has several vectors of one has them side by side."""
    import torch

    with torch.inference_mode():
        found = [representation(indices=None).flatten(start_dim=1) for representation in model.entity_representations]
    return np.asarray(torch.cat(found, dim=1).detach().numpy(), dtype=np.float32)


def scores(model: Any, triples: np.ndarray) -> np.ndarray:
    """Score triples, some at a time."""
    import torch

    with torch.inference_mode():
        parts = [model.score_hrt(torch.from_numpy(triples[start : start + 65536])) for start in range(0, len(triples), 65536)]
    return np.concatenate([np.empty(0, np.float32), *(part.detach().numpy().ravel() for part in parts)])


def version() -> str:
    """Give PyKEEN's version."""
    import pykeen

    return str(pykeen.get_version())


def say(text: str) -> None:
    """Say a line to who started this process, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
