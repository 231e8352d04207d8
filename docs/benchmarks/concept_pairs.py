"""Measure the score of concept pairs beside the bare encoder, without a training: parts, and concepts that the graph does not know.

python docs/benchmarks/concept_pairs.py --workspace FOLDER --pairs 200      # FOLDER: any workspace with tables

Holds out test and development part as training does, fits the weights with the encoder's own cosine in place of the trained one, and
prints the AUC of the test part against one draw of others, and of others of the same degree, anchored on either side. `hidden`: the
concept is taken out of the graph, its own edges and its name, so that only what is near it speaks. Tables are read, nothing is written.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from embedder import EncoderSpec, open_encoder, unit_rows
from kgbuild.concept_pairs import concept_pairs, split_concepts
from kgbuild.evaluation.concepts import PairScores, World, evaluate_pairs
from kgbuild.relatedness import PARTS, Relatedness, fit_weights, pair_cosines
from kgbuild.surroundings import Surroundings
from kgbuild.vectors import VectorCache, encode_texts
from kgbuild.workspace import Workspace


class Hidden(Relatedness):
    """The same for concepts that the graph does not know."""

    def known(self, kind: str, concept: Any) -> Any:  # noqa: ARG002 - of no kind
        return np.zeros(len(concept), dtype=bool)

    def _own(self, found: Any, heads: Any, hide_own: bool) -> Any:  # noqa: ARG002 - always hidden
        return super()._own(found, heads, True)


def scores_of(related: Relatedness, base: Any) -> PairScores:
    hidden = Hidden(related.surroundings, related.weights)

    def scores(texts: list[str], left: Any, right: Any) -> Mapping[str, Any]:
        cosine = pair_cosines(base, left, right)
        found = {"cosine of the encoder": cosine, "score": np.array(cosine), **{f"part: {part}": np.zeros(len(left)) for part in PARTS}}
        for places, intercept, parts in related.contributions(texts, base, cosine, left, right):
            found["score"][places] = 1 / (1 + np.exp(-intercept - sum(parts.values())))
            for part, values in parts.items():
                found[f"part: {part}"][places] = values
        found["score, without degree"] = related.score(texts, base, cosine, left, right, without=("degree",))
        found["score, hidden"] = hidden.score(texts, base, cosine, left, right)
        return found

    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=200, help="of each table, at most")
    parser.add_argument("--draws", type=int, default=1)
    options = parser.parse_args()
    workspace = Workspace.open(options.workspace)
    folder, encoder, cache = workspace.folder("tables"), open_encoder(EncoderSpec("minilm")), VectorCache(workspace.cache_dir)

    def encode(texts: list[str]) -> Any:
        return unit_rows(encode_texts(texts, encoder, cache))

    started = time.process_time()
    known = concept_pairs(folder)
    split = split_concepts(known)
    surroundings = Surroundings.of(folder, encode, hidden=split)
    weights = fit_weights(surroundings, split, known, encode, lambda _, base, left, right: pair_cosines(base, left, right))
    related = Relatedness(surroundings, weights)
    print(f"{time.process_time() - started:.0f} s of the processor to gather and fit")
    print("| pairs | anchored on | ranked by | n | AUC | same degree |\n|---|---|---|---|---|---|")
    for table in dict.fromkeys(known["table"]):
        world, held = World.of(known, split, table), split[(split["table"] == table) & (split["part"] == "test")]
        scores = scores_of(related, encode(world.texts))
        for row in evaluate_pairs(table, world, held, scores, draws=options.draws, most_pairs=options.pairs, ranks=False):
            if "auc" in row:
                print(
                    f"| {table} | {row['anchor']} | {row['ranked_by']} | {row['n']} | {row['auc']:.3f} | {row['matched']:.3f} |", flush=True
                )


if __name__ == "__main__":
    main()
