"""A folder of training data in, a model's folder out, in one process or under torchrun.

python -m embedder train DATA MODEL --set epochs=10 --resume
torchrun --nproc-per-node 8 -m embedder train DATA MODEL --encoder bert-base-uncased --preset paper
python -m embedder estimate DATA --preset paper

DATA is what `TrainingData.save` wrote. Checkpoints and metrics.jsonl lie beside MODEL, in MODEL.run, until the model is whole.
"""

from __future__ import annotations

import argparse
import ast
import shutil
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from embedder import PRESETS, EmbedderError, EncoderSpec, TrainingData, TrainingError, TrainingSettings, estimate, open_encoder, train
from embedder.processes import joined

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give 1 where it failed for a reason that the message says."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options.preset, options.set)
        data, spec = TrainingData.load(options.data), EncoderSpec(options.encoder, options.pooling)
        if options.command == "estimate":
            print(estimate(data, settings, encoder=open_encoder(spec)).text())
            return 0
        run = options.model.with_name(options.model.name + ".run")
        with joined() as processes:  # before anything is put on a GPU: each process has its own
            encoder = open_encoder(spec)
            model = train(
                data,
                None,
                settings,
                encoder=encoder,
                checkpoints=run,
                resume=options.resume,
                metrics_path=run / "metrics.jsonl",
                progress=_say,
            )
            if processes.first:
                options.model.mkdir(parents=True, exist_ok=True)
                model.save(options.model)
                shutil.copyfile(run / "metrics.jsonl", options.model / "metrics.jsonl")
                if model.description["finished"]:
                    shutil.rmtree(run)
    except EmbedderError as error:
        print(f"embedder: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m embedder", description="Train one space for texts and SNPs.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, meaning in (("train", "Train."), ("estimate", "Say what it would take.")):
        command = commands.add_parser(name, help=meaning)
        command.add_argument("data", type=Path, help="folder that TrainingData.save wrote")
        if name == "train":
            command.add_argument("model", type=Path, help="folder for the model")
            command.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
        command.add_argument("--encoder", default="minilm", help="minilm, hashed, a Hugging Face id or a folder")
        command.add_argument("--pooling", default="auto", choices=("auto", "mean", "cls"))
        command.add_argument("--preset", default="default", choices=tuple(PRESETS))
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, instead of the preset's")
    return parser


def _settings(preset: str, changes: Sequence[str]) -> TrainingSettings:
    """Change a preset.

    >>> _settings("default", ["epochs=10", "mode=full", "chunk_tokens=None"]).epochs
    10
    """
    known = {field.name for field in fields(TrainingSettings)}
    values: dict[str, object] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in known:
            raise TrainingError(f"no setting is called {name!r}", advice=f"Known: {', '.join(sorted(known))}.")
        try:
            values[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            values[name] = text
    return replace(PRESETS[preset], **values)  # type: ignore[arg-type]


def _say(what: str, done: int, total: int) -> None:
    print(f"{done:,} of {total:,}  {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
