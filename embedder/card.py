"""What a run wrote down in; README.md out: what the model is, what it was trained on, how, and how well it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_card"]

_HEADINGS = {  # of what a caller may add to a model's description, in the order in which it is shown
    "sources": "Data",
    "licences": "Licences",
    "splits": "Kept from training",
    "counts": "Pairs, counted",
    "figures": "How well it does",
    "settings": "Settings",
}


def write_card(folder: Path, document: Mapping[str, Any], *, snps: int) -> None:
    """Write README.md from what model.json holds."""
    (folder / "README.md").write_text("\n".join(_lines(document, snps)) + "\n", encoding="utf-8")


def _lines(document: Mapping[str, Any], snps: int) -> Iterator[str]:
    base = document["encoder"]["model"]
    yield from ("---", "library_name: sentence-transformers", "pipeline_tag: sentence-similarity", "tags: [biomedical, genetics]")
    yield from (f"base_model: {base}", "---", "", "# Texts and SNPs in one space", "")
    how = "was trained too" if document["tuned"] else "was left as it is"
    method = "weighted multi-task InfoNCE" if document["method"] == "generel" else "no training: a SNP lies at the mean of its texts"
    yield f"{snps:,} SNPs and any text as vectors of {document['dimension']} dimensions, compared by cosine. Made by {method}; the language"
    yield f"model ({base}, {document['encoder']['pooling']} pooling) {how}."
    yield from ("", "```python", "from embedder import Encoder", "", 'encoder = Encoder.load("this-folder")')
    yield from ('texts = encoder.encode(["type 2 diabetes"])', 'snps = encoder.encode_variants(["rs7903146"])', "```", "")
    yield "The text half is a sentence-transformers model too; texts that were trained on have a vector of their own beside"
    yield "that (residuals.safetensors), which only `embedder` adds."
    if document.get("finished") is False:
        yield from ("", "Training was stopped before its end.")
    for key in (*_HEADINGS, *(key for key in document if key not in _HEADINGS and key not in _SAID)):
        if document.get(key) not in (None, {}, [], ""):
            yield from ("", f"## {_HEADINGS.get(key, key.replace('_', ' ').capitalize())}", "", *_items(document[key]))


_SAID = {"format", "method", "dimension", "encoder", "encoder_key", "tuned", "files", "finished"}


def _items(value: Any, depth: int = 0) -> Iterator[str]:
    """List what is in a value, nested as it is.

    >>> list(_items({"seed": 1, "pairs": {"gwas": 10}}))
    ['- seed: 1', '- pairs:', '  - gwas: 10']
    """
    if not isinstance(value, Mapping | list | tuple):
        yield str(value)
        return
    entries = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for name, item in entries:
        start = "  " * depth + "- " + (f"{name}:" if name is not None else "")
        if isinstance(item, Mapping | list | tuple):
            yield start.rstrip()
            yield from _items(item, depth + 1)
        else:
            yield f"{start} {item}" if name is not None else f"{start}{item}"
