"""Training data and settings in; what a training would take out: steps, memory, disk, and time from a few steps measured.

Nothing is written and nothing is kept. Sizes are counted; memory is arithmetic over them; time is what some steps and some
texts took here and now, so it is as good as the machine is quiet.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from embedder.batches import Batches
from embedder.data import TrainingData, TrainingSettings
from embedder.encoder import TextEncoder, TransformerEncoder, unit_rows
from embedder.language_model import TunedTexts
from embedder.learner import Learner
from embedder.metrics import spoken_time

__all__ = ["Estimate", "estimate"]

PROBED_TEXTS = 256
LIBRARIES = 550 * 2**20  # bytes that Python and torch take before anything is loaded, as measured
WARM_UP = 2  # steps that pay for starting threads and choosing kernels
ADAM = 4  # a weight, its gradient and two moments
ROW_ADAM = 3  # a table's weights and two moments: gradients are only as many as a batch touches


@dataclass(frozen=True)
class Estimate:
    """What a training would take.

    Args:
        pairs: By task.
        texts: Distinct ones.
        snps: Rows of the SNP table.
        ld_blocks: Blocks with a vector.
        trained_weights: Weights that move, by part.
        steps: Batches of the whole training.
        memory_bytes: Of the process: libraries, encoder, tables, weights, optimisers, text vectors, and what one batch holds on the way.
        checkpoint_bytes: Of one checkpoint; two may lie on the disk, and a third while it is written.
        pairs_per_second: Measured.
        training_seconds: Of all steps at that speed.
        encoding_seconds: Of reading all texts once, beforehand; 0 where that is not needed.
    """

    pairs: Mapping[str, int]
    texts: int
    snps: int
    ld_blocks: int
    trained_weights: Mapping[str, int]
    steps: int
    memory_bytes: int
    checkpoint_bytes: int
    pairs_per_second: float
    training_seconds: float
    encoding_seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Give it all as plain values."""
        return asdict(self)

    def text(self) -> str:
        """Say it in lines."""
        pairs = ", ".join(f"{name} {n:,}" for name, n in self.pairs.items())
        weights = ", ".join(f"{part} {n:,}" for part, n in self.trained_weights.items() if n)
        lines = [
            f"pairs      {sum(self.pairs.values()):,} ({pairs})",
            f"texts      {self.texts:,}; SNPs {self.snps:,}; LD blocks {self.ld_blocks:,}",
            f"weights    {weights}",
            f"steps      {self.steps:,}",
            f"memory     about {self.memory_bytes / 2**30:.1f} GiB while it trains; a checkpoint {self.checkpoint_bytes / 2**30:.2f} GiB on the disk",
            f"time       about {spoken_time(self.training_seconds)} at {self.pairs_per_second:,.0f} pairs/s",
        ]
        if self.encoding_seconds:
            lines.append(f"           and up to {spoken_time(self.encoding_seconds)} to read the texts, less those that are cached")
        return "\n".join(lines)


def estimate(data: TrainingData, settings: TrainingSettings, *, encoder: TextEncoder, probe_seconds: float = 10.0) -> Estimate:
    """Count, reckon and measure; takes about `probe_seconds` and the time of building the tables.

    Raises:
        TrainingError: The data do not fit.
    """
    data.check()
    learner = Learner(data, _stand_ins(data, settings, encoder), replace(settings, warm_start=False), encoder=encoder)
    speed, tokens = _speed(learner, probe_seconds)
    weights = _weights(learner)
    lm_weights = _count(learner.texts.module.parameters()) if isinstance(learner.texts, TunedTexts) else 0
    rows = weights["SNP table"] + weights["LD blocks"] + weights["known texts"]
    dense = weights["heads"] + weights["language model"]
    frozen = len(data.texts) * encoder.dimension if settings.mode == "frozen" else 0
    steps = sum(-(-len(task) // settings.batch_size) for task in data.tasks) * settings.epochs
    reading = settings.mode == "frozen" or settings.warm_start
    memory = (
        LIBRARIES
        + _encoder_bytes(encoder)
        + 4 * (ROW_ADAM * rows + (ADAM - 1) * dense + weights["heads"] + lm_weights + frozen)
        + _batch_bytes(learner, tokens)
    )
    return Estimate(
        pairs={task.name: len(task) for task in data.tasks},
        texts=len(data.texts),
        snps=len(data.snps),
        ld_blocks=data.n_blocks,
        trained_weights=weights,
        steps=steps,
        memory_bytes=int(memory),
        checkpoint_bytes=4 * (ROW_ADAM * rows + (ADAM - 1) * weights["heads"] + 2 * weights["language model"] + lm_weights),
        pairs_per_second=speed,
        training_seconds=data.n_pairs * settings.epochs / speed,
        encoding_seconds=_encoding_seconds(data, encoder) if reading else 0.0,
    )


def _stand_ins(data: TrainingData, settings: TrainingSettings, encoder: TextEncoder) -> Any:
    """Make vectors of the right shape: how long a step takes does not hang on what is in them."""
    if settings.mode != "frozen":
        return None
    some = np.random.default_rng(0).standard_normal((min(4096, len(data.texts)), encoder.dimension)).astype(np.float32)
    return unit_rows(np.resize(some, (len(data.texts), encoder.dimension)))


def _speed(learner: Learner, seconds: float) -> tuple[float, int]:
    """Take steps for a while; give pairs a second, and the tokens of the largest batch that was met."""
    settings, tasks = learner.settings, learner.data.tasks
    batches = Batches(tasks, epochs=1000, size=settings.batch_size, run_length=settings.run_length, random=learner.random)
    pairs = tokens = 0
    started = begun = time.perf_counter()
    for number, batch in enumerate(batches):
        learner.step(tasks[batch.task], batch.rows, number)
        if isinstance(learner.texts, TunedTexts):
            tokens = max(tokens, learner.texts.n_tokens)
        now = time.perf_counter()
        if number < WARM_UP and now - begun < seconds:
            started = now
            continue
        pairs += len(batch.rows)
        if now - begun > seconds:
            break
    return pairs / max(1e-9, time.perf_counter() - started), tokens


def _weights(learner: Learner) -> dict[str, int]:
    return {
        "heads": _count(learner.heads.parameters()),
        "SNP table": learner.snps.rows.numel(),
        "LD blocks": learner.blocks.rows.numel(),
        "known texts": learner.residuals.rows.numel(),
        "language model": _count(learner.texts.parameters) if isinstance(learner.texts, TunedTexts) else 0,
    }


def _count(parameters: Any) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _encoder_bytes(encoder: TextEncoder) -> int:
    """Give the room of the encoder's own weights; n-grams have none."""
    return sum(weights.numel() * weights.element_size() for weights in encoder.weights()) if isinstance(encoder, TransformerEncoder) else 0


def _batch_bytes(learner: Learner, tokens: int) -> int:
    """Reckon what a step holds: about 24 numbers a token, layer and dimension (what the allocator keeps included), and the matrices of cosines."""
    number = 2 if learner.bf16 else 4
    held = 3 * 4 * learner.settings.batch_size**2 + 8 * 4 * learner.settings.batch_size * learner.dimension
    if not isinstance(learner.texts, TunedTexts):
        return held
    configuration = learner.texts.module.config
    at_once = min(tokens, learner.settings.chunk_tokens or tokens)
    rounded = 2 * 2 * _count(learner.texts.module.parameters()) if learner.bf16 else 0  # a copy that runs, and its gradients
    return held + rounded + int(24 * number * at_once * configuration.num_hidden_layers * configuration.hidden_size)


def _encoding_seconds(data: TrainingData, encoder: TextEncoder) -> float:
    random = np.random.default_rng(0)
    some = [data.texts[i] for i in random.permutation(len(data.texts))[:PROBED_TEXTS].tolist()]
    encoder.encode(some[:8])
    started = time.perf_counter()
    encoder.encode(some)
    return (time.perf_counter() - started) / len(some) * len(data.texts)
