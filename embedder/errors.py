"""What can go wrong in the embedder, as one tree.

EmbedderError       an argument, a text vector or a model folder is not what it should be
├── EncoderError    a language model is missing, damaged or not the one it should be
├── TrainingError   the data cannot be trained on, or training went astray
├── CheckpointError a checkpoint cannot be written, is damaged, or belongs to another training
├── ArtifactError   a saved model is missing, damaged, or its pieces disagree
└── UnknownVariantError  a variant has no vector in the model
"""

from __future__ import annotations

__all__ = ["ArtifactError", "CheckpointError", "EmbedderError", "EncoderError", "TrainingError", "UnknownVariantError"]


class EmbedderError(ValueError):
    """Say what happened and what was expected, then what to do next.

    >>> print(EmbedderError("no model is called 'x'", advice="Use `minilm` or `hashed`."))
    no model is called 'x'
      Use `minilm` or `hashed`.
    """

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(f"{message}\n  {advice}" if advice else message)
        self.message = message
        self.advice = advice


class EncoderError(EmbedderError):
    """A language model is missing, damaged or not the one it should be."""


class TrainingError(EmbedderError):
    """The data cannot be trained on, or training went astray."""


class ArtifactError(EmbedderError):
    """A saved model is missing, damaged, or its pieces disagree."""


class CheckpointError(EmbedderError):
    """A checkpoint cannot be written, is damaged, or belongs to another training."""


class UnknownVariantError(EmbedderError):
    """A variant has no vector in the model."""
