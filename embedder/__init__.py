"""Pairs and texts in, encoder out: texts and SNPs in one space. Knows no ontology and no store.

    from embedder import Encoder, EncoderSpec, TrainingSettings, open_encoder, train

    encoder = open_encoder(EncoderSpec("minilm"))
    model = train(data, encoder.encode(data.texts), TrainingSettings(), encoder=encoder)
    model.save(folder)

    space = Encoder.load(folder)
    space.similarity(["type 2 diabetes"], space.encode_variants(["rs7903146"]))

Names are loaded when they are first asked for, so that importing this package loads no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embedder.artifact import Model
    from embedder.centroid import centroid_model
    from embedder.data import PRESETS, Task, TrainingData, TrainingSettings
    from embedder.encoder import EncoderSpec, HashedNgramEncoder, TextEncoder, TransformerEncoder, open_encoder, unit_rows
    from embedder.errors import ArtifactError, CheckpointError, EmbedderError, EncoderError, TrainingError, UnknownVariantError
    from embedder.estimation import Estimate, estimate
    from embedder.space import Encoder
    from embedder.training import train

# Threads of OpenMP that wait spin by default: where another process wants the same cores, encoding was measured to be five to ten
# times slower. Read when torch is loaded; what the user has set stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Kernels are made for each shape and kept, 1,024 by default. Batches of one length come in ever new shapes: what is kept is seldom used
# again, and was measured to take half a gigabyte in training without saving time.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "32")

__all__ = [
    "PRESETS",
    "ArtifactError",
    "CheckpointError",
    "EmbedderError",
    "Encoder",
    "EncoderError",
    "EncoderSpec",
    "Estimate",
    "HashedNgramEncoder",
    "Model",
    "Task",
    "TextEncoder",
    "TrainingData",
    "TrainingError",
    "TrainingSettings",
    "TransformerEncoder",
    "UnknownVariantError",
    "centroid_model",
    "estimate",
    "open_encoder",
    "train",
    "unit_rows",
]

_HOMES = {
    "artifact": ("Model",),
    "centroid": ("centroid_model",),
    "data": ("PRESETS", "Task", "TrainingData", "TrainingSettings"),
    "encoder": ("EncoderSpec", "HashedNgramEncoder", "TextEncoder", "TransformerEncoder", "open_encoder", "unit_rows"),
    "errors": ("ArtifactError", "CheckpointError", "EmbedderError", "EncoderError", "TrainingError", "UnknownVariantError"),
    "estimation": ("Estimate", "estimate"),
    "space": ("Encoder",),
    "training": ("train",),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"embedder.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'embedder' has no attribute {name!r}")
