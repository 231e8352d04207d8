"""Measure what each feature and each part of the score brings, on pairs that a trained workspace kept from training.

python docs/benchmarks/score_features.py --workspace FOLDER                  # development pairs, cross-validated by locus
python docs/benchmarks/score_features.py --workspace FOLDER --part test      # the weights of ranking.json on the test pairs

Prints AUC for the trait's SNPs and the SNP's traits, by kind of held-out pair: by locus, of SNPs that training saw or that
have their LD block only, and one by one; SNPs without a vector have no similarity. Features are computed once and kept in --cache; the workspace is only read.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from embedder import Model
from kgbuild import ranking, splits
from kgbuild.draws import N_NEGATIVES, Draws, World
from kgbuild.effects import Effects
from kgbuild.evidence import Evidence
from kgbuild.ranking import Ranking
from kgbuild.signals import FEATURES, PARTS, Signals
from kgbuild.vectors import VectorCache, encode_texts
from kgbuild.workspace import Workspace

SEED = 20261121


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute features or read them back, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--part", choices=("development", "test"), default="development")
    parser.add_argument("--pairs", type=int, default=ranking.MOST_PAIRS, help="of each kind, at most")
    parser.add_argument("--cache", type=Path, help="npz to keep features in")
    options = parser.parse_args(arguments)
    found = _read(options.cache) or _computed(Workspace.open(options.workspace), options.part, options.pairs)
    if options.cache is not None and not options.cache.exists():
        np.savez(options.cache, **found)
    if options.part == "test":
        weights = Ranking.load(Workspace.open(options.workspace).folder("model"))
        for parts in _subsets():
            _print(" + ".join(parts), weights.score(found["features"], parts), found)
    else:
        for number, name in enumerate(FEATURES):
            _print(name, found["features"][:, number], found)
        for parts in _subsets():
            _print(" + ".join(parts), _cross_validated(found, [name for part in parts for name in PARTS[part]]), found)
        for name in FEATURES:
            _print(f"all but {name}", _cross_validated(found, [other for other in FEATURES if other != name]), found)


def _subsets() -> list[tuple[str, ...]]:
    return [parts for size in range(1, len(PARTS) + 1) for parts in combinations(PARTS, size)]


def _read(path: Path | None) -> dict[str, Any] | None:
    if path is None or not path.exists():
        return None
    with np.load(path) as archive:
        return dict(archive)


def _computed(workspace: Workspace, part: str, n_pairs: int) -> dict[str, Any]:
    folder = workspace.folder("model")
    model, evidence = Model.load(folder), Evidence.load(folder)
    assert evidence is not None
    encoder, cache = model.open_encoder(), VectorCache(workspace.root / "cache")
    signals = Signals(model, lambda texts: encode_texts(texts, encoder, cache), evidence, Effects.load(folder))
    world = World.of(model, evidence, workspace.folder("tables"))
    split = splits.read_split(folder / "snp_traits.tsv", model.description["splits"]["snp_traits"])
    drawn: list[tuple[str, Draws]] = []
    if part == "test":
        for matched in (False, True):
            draws = Draws.of(world, split, "test", most_pairs=n_pairs, seed=SEED, matched=matched)
            assert draws is not None
            drawn.append(("matched" if matched else "test", draws))
        nearby = replace(world, snp_rows=world.nearby_rows, seen_snps=np.fromiter(world.nearby_rows.values(), np.int64))
        if (draws := Draws.of(nearby, split, "test", most_pairs=n_pairs, seed=SEED)) is not None:
            drawn.append((ranking.NEARBY, draws))
    else:
        drawn = list(ranking.drawn(world, split, SEED, most_pairs=n_pairs).items())
    features, label, valid, owner = ranking.examples(signals, [draws for _, draws in drawn])
    kinds = np.concatenate([np.full(draws.n, name) for name, draws in drawn])
    loci = np.concatenate([draws.loci for _, draws in drawn]).astype(str)
    return {"features": features, "label": label, "valid": valid, "owner": owner, "kind": kinds, "locus": loci}


def _cross_validated(found: dict[str, Any], names: Sequence[str]) -> Any:
    return ranking.cross_validated(*(found[key] for key in ("features", "label", "valid", "owner", "locus")), names)


def _print(name: str, scores: Any, found: dict[str, Any]) -> None:
    """Print AUC for both anchors by kind; positives of a kind come before its negatives, first other SNPs, then other texts."""
    cells, start = [], 0
    kinds = list(dict.fromkeys(found["kind"].tolist()))
    for kind in kinds:
        n = int((found["kind"] == kind).sum())
        positive = scores[start : start + n, None]
        for number in (0, 1):
            rows = slice(start + n + number * n * N_NEGATIVES, start + n + (number + 1) * n * N_NEGATIVES)
            others, usable = scores[rows].reshape(n, N_NEGATIVES), found["valid"][rows].reshape(n, N_NEGATIVES)
            wins = ((positive > others) + 0.5 * (positive == others)) * usable
            cells.append(
                f"{float(np.mean(wins.sum(axis=1) / np.maximum(1, usable.sum(axis=1)))):.4f}" if np.isfinite(positive).all() else "-"
            )
        start += n * (1 + 2 * N_NEGATIVES)
    if name == FEATURES[0]:
        print(f"{'trait / SNP anchor':34}", *(f"{kind:>15}" for kind in kinds))
    print(f"{name:34}", *(f"{a:>7} {b:>7}" for a, b in zip(cells[::2], cells[1::2], strict=True)), flush=True)


if __name__ == "__main__":
    main()
