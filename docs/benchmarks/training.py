"""Measure training and encoding against sentence-transformers: same model, same names, same family of loss, in one run.

python docs/benchmarks/training.py encode finetune frozen      # each part in processes of its own; prints a table a part
python docs/benchmarks/training.py encode --rounds 9           # in turn, where other machines share the processor: medians
python docs/benchmarks/training.py gpu                         # on a GPU: pairs/s, share of the matrix peak, the paper's budget

Names come from the packaged part of EFO. Speeds are per second of processor time of one thread (OMP_NUM_THREADS is set to 1
unless it is set), so that other work on the machine moves them less; on a GPU per second of the clock. Peak memory is the
process's own. Needs `pip install 'kgbuild[minilm]' sentence-transformers`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from embedder import PRESETS, EncoderSpec, Task, TrainingData, TrainingSettings, open_encoder, unit_rows
from embedder.encoder import TransformerEncoder

NAMES = Path(__file__).parents[2] / "kgbuild" / "data" / "efo.obo.gz"
BATCH = 512
PAPER_PAIRS, PAPER_EPOCHS = 1_174_000, 25  # 246 k + 325 k + 136 k + 467 k
MATRIX_PEAK = {"H200": 990e12, "H100": 990e12, "A100": 312e12}  # bf16 without sparsity, as the vendor states it


def synonyms() -> tuple[list[str], list[str]]:
    """Pair each class's name with each synonym, shuffled."""
    left, right, name = [], [], ""
    with gzip.open(NAMES, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("name: "):
                name = line[6:].strip()
            elif found := re.match(r'synonym: "(.*?)"', line):
                left.append(name)
                right.append(found[1])
    order = np.random.default_rng(0).permutation(len(left))
    return [left[i] for i in order], [right[i] for i in order]


# ---------------------------------------------------------------- the parts: each variant runs alone and prints one line


def finetune_theirs(loss_name: str, steps: int) -> dict[str, float]:
    """Take steps as sentence-transformers' own trainer does: its tokenisation, its loss, AdamW, fp32."""
    import torch
    from sentence_transformers import SentenceTransformer, losses

    model = SentenceTransformer(str(_minilm()), device="cpu")
    made = {
        "default": lambda: losses.MultipleNegativesRankingLoss(model),
        "cached": lambda: losses.CachedMultipleNegativesRankingLoss(model, mini_batch_size=32),
    }[loss_name]()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-5)
    left, right = synonyms()
    tokenise = getattr(model, "preprocess", None) or model.tokenize

    def step(number: int) -> int:
        part = slice(number * BATCH, (number + 1) * BATCH)
        features = [tokenise(left[part]), tokenise(right[part])]
        optimiser.zero_grad()
        made(features, None).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return len(left[part])

    model.train()
    return _timed(step, steps)


def finetune_ours(precision: str, chunk: int | None, steps: int) -> dict[str, float]:
    """Take steps of the mode full."""
    settings = replace(PRESETS["paper"], dimension=None, precision=precision, chunk_tokens=chunk, batch_size=BATCH)
    return _learner_steps(settings, _encoder("fp32"), steps)[0]


def _learner_steps(settings: TrainingSettings, encoder: Any, steps: int) -> tuple[dict[str, float], float]:
    """Take steps on names alone; give what was measured, and tokens a pair."""
    from embedder.language_model import TunedTexts
    from embedder.learner import Learner

    left, right = synonyms()
    numbers = {text: number for number, text in enumerate(dict.fromkeys([*left, *right]))}
    sides = [np.array([numbers[text] for text in side]) for side in (left, right)]
    task = Task("synonyms", *sides, np.ones(len(left), np.float32))
    learner = Learner(TrainingData(list(numbers), [], np.empty(0, np.int64), [task]), None, settings, encoder=encoder)

    tokens: list[int] = []

    def step(number: int) -> int:
        rows = np.arange(number * BATCH, (number + 1) * BATCH) % len(task)
        learner.step(task, rows, number)
        assert isinstance(learner.texts, TunedTexts)
        tokens.append(learner.texts.n_tokens)
        return len(rows)

    return _timed(step, steps), sum(tokens) / len(tokens) / BATCH


def frozen(kind: str, steps: int, snps: int = 65_000, dimension: int = 768) -> dict[str, float]:
    """Move heads and a SNP table on frozen text vectors: dense AdamW through the same layers, or the trainer."""
    import torch

    from embedder.learner import Learner
    from embedder.loss import weighted_info_nce
    from embedder.model import Generel

    random = np.random.default_rng(0)
    texts = unit_rows(random.standard_normal((20_000, 384), dtype=np.float32))
    left, right = random.integers(0, len(texts), 200_000), random.integers(0, snps, 200_000)
    if kind == "ours":
        task = Task("gwas", left, right, np.ones(len(left), np.float32), "text", "snp")
        data = TrainingData([str(n) for n in range(len(texts))], [str(n) for n in range(snps)], np.full(snps, -1), [task])
        settings = replace(PRESETS["paper"], mode="frozen", dimension=dimension, batch_size=BATCH)
        learner = Learner(data, texts, settings, encoder=open_encoder(EncoderSpec("hashed")))

        def ours(number: int) -> int:
            learner.step(task, np.arange(number * BATCH, (number + 1) * BATCH), number)
            return BATCH

        return _timed(ours, steps)
    heads, table = Generel(384, dimension, ["gwas"]), torch.nn.Embedding(snps, dimension)
    optimiser = torch.optim.AdamW([*heads.parameters(), *table.parameters()], lr=2e-3)
    vectors = torch.from_numpy(texts)

    def step(number: int) -> int:
        part = slice(number * BATCH, (number + 1) * BATCH)
        optimiser.zero_grad()
        a = heads.text_vectors(vectors[torch.from_numpy(left[part])])
        b = heads.snp_vectors(table(torch.from_numpy(right[part])))
        weighted_info_nce(a, b, weight=torch.ones(BATCH), scale=heads.scale("gwas"), symmetric=False, normalise=False).backward()
        optimiser.step()
        return BATCH

    return _timed(step, steps)


def encode(kind: str, texts: int) -> dict[str, float]:
    """Read names: sentence-transformers' `encode` as it comes, or an encoder of a precision; and how near to fp32 one by one."""
    names = list(dict.fromkeys(synonyms()[1]))[:texts]
    if kind == "theirs":
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(_minilm()), device="cpu")
        read: Callable[[list[str]], Any] = model.encode
    else:
        read = _encoder(kind).encode
    read(names[:64])
    started = time.process_time()
    vectors = unit_rows(read(names))
    speed = len(names) / (time.process_time() - started)
    exact = unit_rows(_encoder("fp32").encode(names))
    return {"per_second": speed, "least_cosine": float((vectors * exact).sum(axis=1).min()), "megabytes": _megabytes()}


def gpu(shape: str, steps: int) -> dict[str, float]:
    """Take steps of the mode full on a GPU, with random weights of a shape, and compare with the matrix peak."""
    import torch

    encoder = _random_encoder(shape)
    settings = replace(PRESETS["paper"], batch_size=BATCH, precision="bf16")
    found, tokens_per_pair = _learner_steps(settings, encoder, steps)
    # two operations a weight and token forwards, four backwards; the word vectors are looked up, not multiplied
    in_layers = sum(weights.numel() for weights in encoder.module_to_train().encoder.parameters())
    flops = 6 * in_layers * tokens_per_pair * found["per_second"]
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    peak = next((value for key, value in MATRIX_PEAK.items() if key in name), float("nan"))
    return {**found, "share_of_peak": flops / peak, "paper_minutes": PAPER_PAIRS * PAPER_EPOCHS / found["per_second"] / 60}


PARTS: dict[str, dict[str, Callable[[], dict[str, float]]]] = {
    "encode": {
        "sentence-transformers, default": lambda: encode("theirs", 5000),
        "embedder fp32": lambda: encode("fp32", 5000),
        "embedder auto": lambda: encode("auto", 5000),
    },
    "finetune": {
        "MultipleNegativesRankingLoss fp32": lambda: finetune_theirs("default", 3),
        "CachedMultipleNegativesRankingLoss fp32": lambda: finetune_theirs("cached", 3),
        "embedder fp32": lambda: finetune_ours("fp32", None, 4),
        "embedder auto": lambda: finetune_ours("auto", None, 6),
        "embedder auto, gradient cache 2,048": lambda: finetune_ours("auto", 2048, 6),
    },
    "frozen": {
        "dense AdamW": lambda: frozen("dense", 12),
        "embedder": lambda: frozen("ours", 120),
    },
    "gpu": {
        "MiniLM": lambda: gpu("minilm", 60),
        "BERT-base": lambda: gpu("bert-base", 60),
    },
}


# ---------------------------------------------------------------- how it is measured


def _timed(step: Callable[[int], int], steps: int) -> dict[str, float]:
    """Take one step unmeasured, then time the rest."""
    import torch

    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.process_time
    step(0)
    started, pairs = clock(), 0
    for number in range(1, steps):
        pairs += step(number)
    if on_gpu:
        torch.cuda.synchronize()
    return {"per_second": pairs / (clock() - started), "megabytes": _megabytes()}


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _minilm() -> Path:
    from embedder.encoder import _packaged

    return _packaged()


def _encoder(precision: str) -> TransformerEncoder:
    return TransformerEncoder(EncoderSpec("minilm", precision=precision))


def _random_encoder(shape: str) -> TransformerEncoder:
    """Make a BERT of a shape with random weights and MiniLM's tokenizer: for speed what is in the weights does not matter."""
    import tempfile

    from tokenizers import Tokenizer
    from transformers import BertConfig, BertModel

    sizes = {
        "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
        "bert-base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    }[shape]
    folder = Path(tempfile.mkdtemp())
    tokenizer = Tokenizer.from_file(str(_minilm() / "tokenizer.json"))
    tokenizer.save(str(folder / "tokenizer.json"))
    BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **sizes)).save_pretrained(folder)
    return TransformerEncoder(EncoderSpec(str(folder), "cls", "fp32"))


def _alone(part: str, variant: str) -> dict[str, float]:
    command = [sys.executable, __file__, part, "--variant", variant]
    # what `embedder` sets for itself when it is imported must not reach the others
    theirs = {} if variant.startswith("embedder") else {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **theirs})
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Run parts, or with --variant one variant of one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=tuple(PARTS))
    parser.add_argument("--variant")
    parser.add_argument("--rounds", type=int, default=1, help="run all variants of a part so often in turn, and give medians")
    options = parser.parse_args(arguments)
    if options.variant:
        print(json.dumps(PARTS[options.parts[0]][options.variant]()))
        return
    for part in options.parts:
        rounds = [{variant: _alone(part, variant) for variant in PARTS[part]} for _ in range(options.rounds)]
        first = next(iter(PARTS[part]))
        columns = list(rounds[0][first])
        print(f"\n{part}\n| variant | {' | '.join(columns)} | x first |\n|{'---|' * (len(columns) + 2)}")
        for variant in PARTS[part]:
            middle = [float(np.median([found[variant][name] for found in rounds])) for name in columns]
            cells = " | ".join(f"{value:,.4g}" if value < 10 else f"{value:,.0f}" for value in middle)
            times = sorted(found[variant]["per_second"] / found[first]["per_second"] for found in rounds)
            spread = f" ({times[0]:.1f} to {times[-1]:.1f})" if len(rounds) > 1 else ""
            print(f"| {variant} | {cells} | {np.median(times):.1f}{spread} |", flush=True)


if __name__ == "__main__":
    main()
