"""Measure what each setting of the frozen trainer brings on the packaged data: held-out SNP-trait pairs, several seeds.

python docs/benchmarks/training_options.py --workspace FOLDER --seeds 5      # FOLDER: what `kgbuild demo` made, or any with tables

Prints, for each setting, mean and standard deviation over the seeds of: AUC for the trait's SNPs and the SNP's traits, both
degree-matched too, and `order`: of two held-out pairs of one trait whose weights are .5 apart or more, how often the one of
the larger weight has the larger cosine (a half is chance). Tables are read, nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from embedder import PRESETS, EncoderSpec, Model, TrainingData, open_encoder, train, unit_rows
from kgbuild import pairs, scoring, splits, tables
from kgbuild.evaluation.snp_traits import evaluate_snp_traits
from kgbuild.evidence import Evidence
from kgbuild.vectors import VectorCache, encode_texts
from kgbuild.workspace import Workspace

HELD_OUT = 0.25  # share of units of a trait at a locus; the packaged data are small, so more than training keeps away
DEFAULT = PRESETS["default"]
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "mask known positives": {"mask": True},
    "mask known positives, without kin": {"mask": True, "kin": False},
    "both directions": {"symmetric": True},
    "one temperature for all tasks": {"temperature": "common"},
    "weights multiply, not normalised": {"normalise": False},
    "ranking term .1, runs of 8": {"ranking": 0.1, "run_length": 8},
    "ranking term .5, runs of 8": {"ranking": 0.5, "run_length": 8},
    "runs of 8 alone": {"run_length": 8},
    "no LD block vectors": {"block_vectors": False},
    "no residuals": {"residuals": False},
    "tables begin at random": {"warm_start": False},
    "fp32 heads": {"precision": "fp32"},
    "SNP rate 1e-2": {"snp_rate": 1e-2},
    "8 epochs": {"epochs": 8},
    "8 epochs, ranking term .5, runs of 8": {"epochs": 8, "ranking": 0.5, "run_length": 8},
    "SNP dropout 0": {"snp_dropout": 0.0},
    "residual dropout 0": {"residual_dropout": 0.0},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with each setting and seed, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=tuple(SETTINGS), default=tuple(SETTINGS))
    options = parser.parse_args(arguments)
    workspace = Workspace.open(options.workspace)
    folder = workspace.folder("tables")
    held = splits.split_snp_traits(tables.read(folder, "associations"), tables.read(folder, "variants"), share=0.0, development=HELD_OUT)
    data = pairs.build_pairs(folder, snp_traits=held, mappings=splits.split_mappings(tables.read(folder, "mappings"))).data
    weights, evidence = _held_weights(folder, data), Evidence.of(data)
    encoder, cache = open_encoder(EncoderSpec("minilm", max_length=64)), VectorCache(workspace.cache_dir)

    def read(texts: list[str]) -> Any:
        return unit_rows(encode_texts(texts, encoder, cache))

    print(f"{data.n_pairs:,} pairs, {len(data.snps):,} SNPs, {len(held):,} held-out rows, {len(weights):,} of them with a weight")
    print("| setting | AUC which SNP | which trait | degree-matched | order |\n|---|---|---|---|---|", flush=True)
    vectors = read(list(data.texts))
    for name in options.only:
        found = []
        for seed in range(options.seeds):
            changed = dict(SETTINGS[name])
            given = data if changed.pop("kin", True) else _without_kin(data)
            model = train(given, vectors, replace(DEFAULT, **changed, seed=seed), encoder=encoder)
            figures = evaluate_snp_traits(scoring.Scorer(model, read, evidence=evidence), held, folder, part="development")
            keys = ("auc_trait", "auc_snp", "auc_trait_matched", "auc_snp_matched")
            found.append([*(figures[key] for key in keys), _order(model, read, weights)])
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
        cells = [f"{a:.3f} ± {b:.3f}" for a, b in zip(mean, spread, strict=True)]
        print(f"| {name} | {cells[0]} | {cells[1]} | {cells[2]} / {cells[3]} | {cells[4]} |", flush=True)


def _without_kin(data: TrainingData) -> TrainingData:
    return replace(data, tasks=[replace(task, left_kin=None) for task in data.tasks])


def _held_weights(folder: Path, data: TrainingData) -> list[tuple[str, str, float]]:
    """Give text, SNP and weight of GWAS pairs that training does not have."""
    known, whole = ({(t, s): w for t, s, w in _gwas(d)} for d in (data, pairs.build_pairs(folder).data))
    return [(text, snp, weight) for (text, snp), weight in whole.items() if (text, snp) not in known]


def _gwas(data: TrainingData) -> list[tuple[str, str, float]]:
    task = next(task for task in data.tasks if task.name == "gwas")
    columns = zip(task.left.tolist(), task.right.tolist(), task.weight.tolist(), strict=True)
    return [(data.texts[text], data.snps[snp], weight) for text, snp, weight in columns]


def _order(model: Model, read: Any, weights: list[tuple[str, str, float]]) -> float:
    """Tell how often the order of two cosines of one trait is that of their weights."""
    usable = [row for row in weights if row[1] in model.snp_rows]
    texts = sorted({text for text, _, _ in usable})
    placed = dict(zip(texts, model.text_vectors(read(texts), texts), strict=True))
    right = total = 0
    by_text: dict[str, list[tuple[float, float]]] = {}
    for text, snp, weight in usable:
        cosine = float(placed[text] @ np.asarray(model.snp_vectors[model.snp_rows[snp]], dtype=np.float32))
        by_text.setdefault(text, []).append((weight, cosine))
    for rows in by_text.values():
        weight, cosine = np.array(rows).T
        apart = weight[:, None] - weight[None, :] >= 0.5
        right += int((apart & (cosine[:, None] > cosine[None, :])).sum())
        total += int(apart.sum())
    return right / total if total else float("nan")


if __name__ == "__main__":
    main()
