"""The order of stages: unpacks the configuration, runs what is stale, and says what it did or why it did nothing.

`train` brings ingest up to date. `populate` brings the links up to date and never trains by itself: it uses the last
finished model, says when that is older than the tables, and takes the base encoder where there is none.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import configuration as configurations
from kgbuild import ingest as ingesting
from kgbuild.configuration import Configuration
from kgbuild.errors import SourceError, UsageError, WorkspaceError
from kgbuild.report import as_text, near_misses
from kgbuild.sources import reader, recognise
from kgbuild.workspace import COMMANDS, CONFIGURATION, Record, Stage, Workspace, now, write_whole

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from embedder import Estimate, Model, TextEncoder, TrainingData, TrainingSettings
    from embedder.biobridge import BridgeSettings
    from kgbuild.calibration import Calibration
    from kgbuild.decisions import Applied
    from kgbuild.evaluation.evaluated import Encode, Evaluated, Options
    from kgbuild.evaluation.section import Section
    from kgbuild.explanations import Explanation
    from kgbuild.features import Subjects
    from kgbuild.pairs import Pairs
    from kgbuild.scoring import Scorer
    from kgbuild.stores import GraphReader, Loaded
    from kgbuild.stores.neo4j import Neo4jStore
    from kgbuild.stores.verification import Verification

__all__ = [
    "Evaluation",
    "Initialised",
    "Outcome",
    "State",
    "estimate_training",
    "evaluate",
    "explain",
    "export",
    "harmonise",
    "ingest",
    "init",
    "map_file",
    "open_graph",
    "open_server",
    "populate",
    "review",
    "score",
    "serve",
    "status",
    "train",
    "verify",
]

TRAINING, METRICS = "training", "metrics.jsonl"  # where checkpoints lie until the model is whole, and what training reports

Progress = Callable[[str, int, int], None]
Ask = Callable[[str], str]  # question -> what a person types, unseen


@dataclass(frozen=True)
class Initialised:
    """What `init` found and wrote."""

    configuration_path: Path
    choices: list[recognise.Choice]
    unrecognised: list[Path]

    def as_dict(self) -> dict[str, Any]:
        return {
            "configuration": str(self.configuration_path),
            "sources": [{"path": str(c.path), "kind": c.recognised.kind, "enabled": c.enabled, "reason": c.reason} for c in self.choices],
            "unrecognised": [str(path) for path in self.unrecognised],
        }


@dataclass(frozen=True)
class Outcome:
    """What became of a stage: run, or found up to date."""

    stage: str
    ran: bool
    reasons: list[str]
    record: Record
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def text(self) -> str:
        notes = [f"    note: {note}" for note in self.notes]
        if not self.ran:
            return "\n".join([f"{self.stage}: up to date ({self.record.finished})", *notes])
        return "\n".join([f"{self.stage}: done in {self.record.seconds:.0f} s", as_text(self.stage, self.record.facts), *notes])


@dataclass(frozen=True)
class State:
    """A stage as `status` shows it."""

    stage: str
    command: str
    reasons: list[str]
    record: Record | None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "up_to_date": not self.reasons}

    def line(self) -> str:
        if self.record is None:
            return f"{self.stage:8} not run yet    `{self.command}`"
        state = "up to date" if not self.reasons else f"stale, run `{self.command}`"
        return f"{self.stage:8} {state:24} {self.record.finished}  {self.record.seconds:7.0f} s  {self.record.peak_megabytes:6} MB"


def init(root: Path, data: Path | None, *, model: str = "minilm") -> Initialised:
    """Look through a folder and write kgbuild.toml.

    Raises:
        WorkspaceError: There is a kgbuild.toml already.
        UsageError: The folder is not there.
    """
    if (root / CONFIGURATION).exists():
        raise WorkspaceError(f"{root / CONFIGURATION} exists", advice="Edit it, or remove it first; the stages' results stay.")
    if data is not None and not data.is_dir():
        raise UsageError(f"{data} is not a folder", advice="Name the folder that your downloaded files lie in.")
    found = recognise.recognise_folder(data) if data else recognise.Found([], [], [])
    choices = recognise.choose(found.recognised)
    method = "centroid" if model == "hashed" else "generel"
    with write_whole(root / CONFIGURATION) as aside:
        aside.write_text(configurations.render(choices, found.unrecognised, root, model=model, method=method), encoding="utf-8")
    return Initialised(root / CONFIGURATION, choices, found.unrecognised)


# ---------------------------------------------------------------- what each stage depends on


def _tables_stage(workspace: Workspace, configuration: Configuration, hashes: dict[Path, str]) -> Stage:
    inputs = {}
    for entry in configuration.entries(workspace.root):
        if not entry.path.is_file():
            raise UsageError(f"source {entry.key!r}: no file at {entry.path}", advice=f"Correct `path` in {workspace.configuration_path}.")
        hashes[entry.path] = inputs[entry.key] = workspace.input_hash(entry.path)
    sources = [source.model_dump(mode="json", exclude={"path"}) for source in configuration.sources]
    readers = {kind: reader(kind).VERSION for kind in sorted({source.kind for source in configuration.sources})}
    return Stage("tables", ingesting.VERSION, inputs, {"sources": {s["key"]: s for s in sources}, "readers": readers})


def _model_stage(workspace: Workspace, configuration: Configuration, tables: Stage) -> Stage:
    from kgbuild import pairs, ranking, triples

    wanted = configuration.train
    bridges = wanted.method == "biobridge"
    files = _node_vectors(workspace, configuration) if bridges else {}
    return Stage(
        "model",
        triples.VERSION if bridges else pairs.VERSION,
        {"tables": tables.key, **{f"vectors of {type_}": workspace.input_hash(path) for type_, path in files.items() if path.is_file()}},
        {
            "encoder": configuration.encoder.model_dump(),
            "train": configuration.train.model_dump(),
            **({} if bridges else {"score": ranking.VERSION}),
        },
    )


def _node_vectors(workspace: Workspace, configuration: Configuration) -> dict[str, Path]:
    return {type_: workspace.root / path for type_, path in configuration.train.node_vectors.items()}


def _links_stage(workspace: Workspace, configuration: Configuration, tables: Stage) -> Stage:
    from kgbuild import candidate_sets, contrast, decisions, links, merge

    inputs = {"tables": tables.key}
    if configuration.harmonise.space == "model":
        inputs["model"] = _model_key(workspace)
    if (workspace.root / decisions.FILE).exists():
        inputs["decisions"] = workspace.input_hash(workspace.root / decisions.FILE)
    settings = {"encoder": configuration.encoder.model_dump(), "harmonise": configuration.harmonise.model_dump()}
    made_by = {"merge": merge.VERSION, "contrast": contrast.VERSION, "candidate_sets": candidate_sets.VERSION}
    return Stage("links", links.VERSION, inputs, {**settings, **made_by})


def _graph_stage(workspace: Workspace, configuration: Configuration, tables: Stage, links: Stage) -> Stage:
    from kgbuild import graph

    inputs = {"tables": tables.key, "links": links.key, "model": _model_key(workspace)}
    return Stage("graph", graph.VERSION, inputs, {"concept_vectors": configuration.graph.concept_vectors})


def _database_stage(graph: Stage) -> Stage:
    from kgbuild.stores import embedded

    return Stage("database", embedded.VERSION, {"graph": graph.key}, {})


def _model_key(workspace: Workspace) -> str:
    record = workspace.record("model")
    return record.key if record else "base encoder"


def _stages(workspace: Workspace, configuration: Configuration, hashes: dict[Path, str]) -> dict[str, Stage]:
    tables = _tables_stage(workspace, configuration, hashes)
    links = _links_stage(workspace, configuration, tables)
    graph = _graph_stage(workspace, configuration, tables, links)
    stages = [tables, _model_stage(workspace, configuration, tables), links, graph]
    if not configuration.graph.to:
        stages.append(_database_stage(graph))
    return {stage.name: stage for stage in stages}


def status(workspace: Workspace) -> list[State]:
    """Say of each stage whether it is up to date, and what made it stale."""
    stages = _stages(workspace, configurations.load(workspace.configuration_path), {})
    return [State(name, COMMANDS[name], workspace.why_stale(stage), workspace.record(name)) for name, stage in stages.items()]


# ---------------------------------------------------------------- running them


def ingest(workspace: Workspace, *, progress: Progress | None = None) -> list[Outcome]:
    """Bring the tables up to date."""
    configuration = configurations.load(workspace.configuration_path)
    with workspace.lock():
        return [_ingest(workspace, configuration, progress)[1]]


def train(workspace: Workspace, *, progress: Progress | None = None, force: bool = False, resume: bool = False) -> list[Outcome]:
    """Bring the tables up to date, then train; `resume` goes on from the checkpoint of a run that was killed or out of time.

    Raises:
        CheckpointError: There is nothing to resume, or it was another training.
    """
    from kgbuild.vectors import VectorCache

    configuration = configurations.load(workspace.configuration_path)
    with workspace.lock():
        tables, first = _ingest(workspace, configuration, progress)
        stage = _model_stage(workspace, configuration, tables)
        if resume and configuration.train.method != "generel":
            raise UsageError(f"the method {configuration.train.method!r} keeps no checkpoints, so there is nothing to resume")
        running, tuned = workspace.root / TRAINING, _tuned_encoder(workspace)
        if not (force or resume) and workspace.why_stale(stage):
            _keep_unfinished(workspace, running)
        outcome = _run(
            workspace, stage, lambda folder: _build_model(workspace, configuration, folder, resume, progress), force=force or resume
        )
        if tuned and tuned != _tuned_encoder(workspace):  # nobody reads with it any more
            VectorCache(workspace.cache_dir).forget(tuned)
        if outcome.record.facts.get("stopped") == "time":
            return [first, replace(outcome, notes=["out of time: the model is what there was; `kgbuild train --resume` goes on"])]
        shutil.rmtree(running, ignore_errors=True)
        return [first, outcome]


def _tuned_encoder(workspace: Workspace) -> str:
    """Give the key of the language model that was trained with the current model; empty where none was."""
    record = workspace.record("model")
    path = workspace.root / f"model-{record.key}" / "model.json" if record else None
    described = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    return str(described["encoder_key"]) if described.get("tuned") else ""


def _keep_unfinished(workspace: Workspace, running: Path) -> None:
    """Refuse to overwrite what a killed training had reached; one that was out of time has given its model."""
    record = workspace.record("model")
    killed = any(running.glob("last.checkpoint")) and not (record and record.facts.get("stopped") == "time")
    if killed:
        raise UsageError(
            f"{running} holds a training that was killed", advice="Go on with `kgbuild train --resume`, or begin again with --force."
        )


def estimate_training(workspace: Workspace, *, progress: Progress | None = None) -> Estimate:
    """Bring the tables up to date, and say what `train` would take: sizes, steps, memory, time; nothing is trained.

    Raises:
        UsageError: The method is one that has no estimate.
    """
    import embedder

    configuration = configurations.load(workspace.configuration_path)
    if configuration.train.method != "generel":
        raise UsageError(f"the method {configuration.train.method!r} has no estimate", advice='Set method = "generel" under [train].')
    with workspace.lock():
        _ingest(workspace, configuration, progress)
        data = _training_data(workspace, configuration)[0].data
        return embedder.estimate(data, _settings(workspace, configuration), encoder=_encoder(workspace, configuration))


def harmonise(workspace: Workspace, *, decisions: Sequence[Path] = (), progress: Progress | None = None) -> list[Outcome]:
    """Bring the tables up to date, then link and merge; files of decisions are taken over into the workspace's own first.

    Raises:
        SourceError: A row of such a file cannot be taken; then nothing has changed.
    """
    from kgbuild import decisions as deciding

    configuration = configurations.load(workspace.configuration_path)
    with workspace.lock():
        told = deciding.take_over(workspace.root / deciding.FILE, decisions, today=date.today().isoformat())
        outcomes = _harmonise(workspace, configuration, progress)[2]
    return [*outcomes[:-1], replace(outcomes[-1], notes=[*told, *outcomes[-1].notes])]


def populate(
    workspace: Workspace, *, to: str | None = None, prune: bool = False, ask: Ask | None = None, progress: Progress | None = None
) -> list[Outcome]:
    """Bring the links up to date, build the graph, and load it: into the embedded engine, or into a Neo4j server.

    Args:
        to: The server's address, or "neo4j" for the one in NEO4J_URI; None: as the configuration says.
        prune: Remove from the server what earlier loads wrote and the graph no longer holds.
        ask: Asks a person for the server's password where the environment has none.
    """
    configuration = configurations.load(workspace.configuration_path)
    to = to or configuration.graph.to
    if prune and not to:
        raise UsageError("--prune is for a server", advice="The embedded database is built afresh each time and holds nothing old.")
    server = _server(to, ask) if to else None  # a wrong address or password is said before hours of work
    with workspace.lock():
        tables, links, outcomes = _harmonise(workspace, configuration, progress)
        stage = _graph_stage(workspace, configuration, tables, links)
        graph = _run(workspace, stage, lambda folder: _build_graph(workspace, configuration, folder, progress))
        outcomes.append(replace(graph, notes=_model_notes(workspace, tables)))
        if server is not None:
            with server:
                return [*outcomes, _load_server(workspace, server, prune, progress)]
        return [*outcomes, _run(workspace, _database_stage(stage), lambda folder: _load_embedded(workspace, folder, progress))]


def _server(to: str, ask: Ask | None) -> Neo4jStore:
    from kgbuild.stores.bolt import address_of
    from kgbuild.stores.neo4j import Neo4jStore

    return Neo4jStore.connect(address_of(to, ask=ask))


def _model_notes(workspace: Workspace, tables: Stage) -> list[str]:
    record = workspace.record("model")
    if record is None:
        return ["no model has been trained: concepts have the base encoder's vectors (`kgbuild train`)"]
    if record.inputs.get("tables") != tables.key:
        return [f"the model of {record.finished} is older than the tables; it was used as it is (`kgbuild train` makes a new one)"]
    return []


def _ingest(workspace: Workspace, configuration: Configuration, progress: Progress | None) -> tuple[Stage, Outcome]:
    hashes: dict[Path, str] = {}
    stage = _tables_stage(workspace, configuration, hashes)
    workspace.remember_files(hashes)

    def build(folder: Path) -> dict[str, Any]:
        return ingesting.ingest(configuration.entries(workspace.root), folder, progress=progress).facts()

    return stage, _run(workspace, stage, build)


def _harmonise(workspace: Workspace, configuration: Configuration, progress: Progress | None) -> tuple[Stage, Stage, list[Outcome]]:
    tables, first = _ingest(workspace, configuration, progress)
    stage = _links_stage(workspace, configuration, tables)
    outcome = _run(workspace, stage, lambda folder: _build_links(workspace, configuration, folder, progress))
    notes = [] if outcome.ran else list(near_misses(outcome.record.facts))
    return tables, stage, [first, replace(outcome, notes=notes)]


def _run(workspace: Workspace, stage: Stage, build: Callable[[Path], dict[str, Any]], *, force: bool = False) -> Outcome:
    reasons = workspace.why_stale(stage)
    if not reasons and not force:
        record = workspace.record(stage.name)
        assert record is not None  # - why_stale names a missing record as a reason
        return Outcome(stage.name, False, [], record)
    return Outcome(stage.name, True, reasons or ["asked for"], workspace.run(stage, build))


# ---------------------------------------------------------------- the encoder


def _encoder(workspace: Workspace, configuration: Configuration) -> TextEncoder:
    """Open the encoder; the precision that a probe chose once is kept, so that vectors of one workspace stay comparable."""
    from embedder import EncoderSpec, open_encoder

    wanted = configuration.encoder
    name = f"{wanted.model} {wanted.pooling} {wanted.precision} {wanted.max_length}"
    chosen = _choices(workspace).get(name)
    encoder = open_encoder(
        EncoderSpec(**chosen) if chosen else EncoderSpec(wanted.model, wanted.pooling, wanted.precision, wanted.max_length)
    )
    if not chosen:
        _keep_choice(workspace, name, asdict(encoder.spec))
    return encoder


def _precision(workspace: Workspace) -> str:
    """Say in which precision is trained here: what a probe chose once is kept, so that the same training gives the same model."""
    import torch

    from embedder.learner import fast_bf16

    chosen = _choices(workspace).get("training")
    if not chosen:
        fast = fast_bf16(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        chosen = {"precision": "bf16" if fast else "fp32"}
        _keep_choice(workspace, "training", chosen)
    return str(chosen["precision"])


def _choices(workspace: Workspace) -> dict[str, Any]:
    """Give what probes of the processor have chosen in this workspace."""
    path = workspace.cache_dir / "encoder.json"
    choices: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return choices


def _keep_choice(workspace: Workspace, name: str, chosen: Mapping[str, Any]) -> None:
    with write_whole(workspace.cache_dir / "encoder.json") as aside:
        aside.write_text(json.dumps({**_choices(workspace), name: chosen}, indent=1) + "\n")


class _Space:
    """The space that texts are placed in: the model's, or the encoder's own; vectors are cached."""

    def __init__(self, workspace: Workspace, configuration: Configuration, progress: Progress | None, *, trained: bool) -> None:
        from kgbuild.vectors import VectorCache

        self.model = _load_model(workspace) if trained and workspace.record("model") else None
        # a language model that was trained too lies in the model's folder and reads its texts
        tuned = self.model is not None and self.model.tuned
        self.encoder = self.model.open_encoder() if self.model is not None and tuned else _encoder(workspace, configuration)
        if self.model is not None:
            _check_encoder(self.model, self.encoder)
        self._cache = VectorCache(workspace.cache_dir)
        self._progress = progress

    def raw(self, texts: list[str]) -> np.ndarray:
        """Give the encoder's vectors, unit length."""
        from embedder import unit_rows
        from kgbuild.vectors import encode_texts

        return unit_rows(encode_texts(texts, self.encoder, self._cache, progress=self._progress))

    def embed(self, texts: list[str]) -> np.ndarray:
        """Give vectors in the model's space where there is one, unit length."""
        raw = self.raw(texts)
        return raw if self.model is None else self.model.text_vectors(raw, texts)


def _load_model(workspace: Workspace) -> Model:
    from embedder import Model

    return Model.load(workspace.folder("model"))


def _check_encoder(model: Model, encoder: TextEncoder) -> None:
    from kgbuild.errors import ModelError

    if model.encoder_key != encoder.key:
        raise ModelError(
            f"the model was trained on {model.encoder_spec}, the configuration now says {encoder.spec}",
            advice="Run `kgbuild train`, or set [encoder] back.",
        )


# ---------------------------------------------------------------- what the stages do


def _training_data(workspace: Workspace, configuration: Configuration) -> tuple[Pairs, dict[str, pd.DataFrame]]:
    """Split off what is kept for evaluation, and build the pairs of the rest."""
    from kgbuild import concept_pairs, pairs, ranking, splits, synonyms, tables

    tables_dir, wanted = workspace.folder("tables"), configuration.train
    snp_traits = splits.split_workspace(tables_dir, by=wanted.split, share=wanted.held_out, since=wanted.since, left_out=wanted.left_out)
    held = {
        "snp_traits": ranking.with_single_pairs(snp_traits, tables_dir),
        "mappings": splits.split_mappings(tables.read(tables_dir, "mappings")),
        "concepts": concept_pairs.split_concepts(concept_pairs.concept_pairs(tables_dir), share=wanted.held_out_concepts),
        "synonyms": synonyms.split_synonyms(tables_dir, share=wanted.held_out_synonyms),
    }
    return pairs.build_pairs(tables_dir, **held), held


def _build_model(
    workspace: Workspace, configuration: Configuration, folder: Path, resume: bool, progress: Progress | None
) -> dict[str, Any]:
    from embedder.card import write_card
    from kgbuild.evaluation.snp_traits import evaluate_snp_traits

    if configuration.train.method == "biobridge":
        return _build_bridge(workspace, configuration, folder, progress)
    made, space, scorer, snp_traits = _fit(workspace, configuration, folder, workspace.root / TRAINING, resume=resume, progress=progress)
    model = scorer.model
    if (workspace.root / TRAINING / METRICS).exists():
        shutil.copyfile(workspace.root / TRAINING / METRICS, folder / METRICS)
    figures = evaluate_snp_traits(scorer, snp_traits, workspace.folder("tables"))
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n")
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    write_card(folder, {**described, "figures": figures}, snps=len(model.snp_ids))
    encoder = f"{space.encoder.spec.model}, {space.encoder.spec.precision}" + (", trained too" if model.tuned else "")
    stopped = {"stopped": model.description["stopped"]} if "stopped" in model.description else {}
    facts = {"method": model.method, "encoder": encoder, "pairs": made.data.n_pairs, "snps": len(model.snp_ids)}
    return {**facts, **stopped, "figures": figures}


def _fit(
    workspace: Workspace,
    configuration: Configuration,
    folder: Path,
    running: Path,
    *,
    without: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
) -> tuple[Pairs, _Space, Scorer, pd.DataFrame]:
    """Train, and write splits, model and what its score needs into a folder; `without` names tasks to leave out."""
    from kgbuild import relatedness, splits

    tables_dir = workspace.folder("tables")
    made, held = _training_data(workspace, configuration)
    data = replace(made.data, tasks=[task for task in made.data.tasks if task.name not in without])
    hashes = {name: splits.write_split(folder / f"{name}.tsv", split) for name, split in held.items()}
    space = _Space(workspace, configuration, progress, trained=False)
    description = {"sources": _sources(tables_dir), "splits": hashes, "counts": made.counts, "tables": tables_dir.name}
    model = _trained(data, space, workspace, configuration, running, description, resume, progress)
    model.save(folder)
    space.encoder = model.open_encoder()
    scorer = _fitted(data, model, space.raw, held["snp_traits"], tables_dir, folder)
    if "relations" not in without:
        scorer.relatedness = relatedness.fit_relatedness(tables_dir, held["concepts"], space.raw, model.text_vectors, progress=progress)
        if scorer.relatedness is not None:
            scorer.relatedness.save(folder)
    return replace(made, data=data), space, scorer, held["snp_traits"]


def _fitted(data: TrainingData, model: Model, encode: Encode, snp_traits: pd.DataFrame, tables_dir: Path, folder: Path) -> Scorer:
    """Write what the score needs; give the scorer that knows of training alone, as it has to be evaluated."""
    from kgbuild import ranking, scoring
    from kgbuild.effects import Effects, known_effects
    from kgbuild.evidence import Evidence
    from kgbuild.regions import regions_of
    from kgbuild.signals import Signals

    regions = regions_of(tables_dir)
    evidence = Evidence.of(data, regions=regions)
    evidence.save(folder)
    kept = list(zip(snp_traits["object_name"], snp_traits["variant_id"], strict=True))
    every = Evidence.of(data, regions=regions, more=kept)
    every.save(folder, ALL_EVIDENCE)
    hidden = set(zip(snp_traits["object_id"], snp_traits["variant_id"], strict=True))
    known = Effects.of(evidence, known_effects(tables_dir, hidden), regions)
    effects = ranking.fit_effects(Signals(model, encode, evidence, known), tables_dir, snp_traits)
    effects.save(folder)
    replace(Effects.of(every, known_effects(tables_dir), regions), weights=effects.weights, weights_of_snp=effects.weights_of_snp).save(
        folder, ALL_EFFECTS
    )
    scorer = scoring.Scorer(model, encode, evidence=evidence, effects=effects)
    assert scorer.signals is not None
    scorer.ranking = ranking.fit_ranking(scorer.signals, scorer.world(tables_dir), snp_traits)
    scorer.ranking.save(folder)
    return scorer


def _build_bridge(workspace: Workspace, configuration: Configuration, folder: Path, progress: Progress | None) -> dict[str, Any]:
    """Train a bridge over the graph's relations; beside it lies a model in which texts keep the encoder's own vectors."""
    import pandas as pd

    from embedder.artifact import Model
    from embedder.biobridge import evaluate_bridge, evaluate_unseen, train_bridge
    from kgbuild import concept_pairs, splits, triples

    tables_dir, wanted = workspace.folder("tables"), configuration.train
    space = _Space(workspace, configuration, progress, trained=False)
    files = _node_vectors(workspace, configuration)
    concepts = concept_pairs.split_concepts(concept_pairs.concept_pairs(tables_dir), share=wanted.held_out_concepts)
    made = triples.build_triples(tables_dir, space.raw, concepts=concepts, node_vectors=files)
    trained, held = made.data.hold_out(wanted.held_out, wanted.seed)
    for name in wanted.unseen:  # one that is not there is said before minutes of training
        made.data.naming(name, held)
    bridge = train_bridge(trained, _bridge_settings(configuration), untrained=trained.untrained, progress=progress)
    figures = evaluate_bridge(bridge, made.data, trained, held)
    if wanted.unseen:
        figures["unseen"] = evaluate_unseen(wanted.unseen, bridge, made.data, trained, held, progress=progress)
    heads = pd.DataFrame(made.data.named(held), columns=["head_id", "relation", "tail_id"])
    written = {name: splits.write_split(folder / f"{name}.tsv", kept) for name, kept in (("triples", heads), ("concepts", concepts))}
    encoder = f"{space.encoder.spec.model}, {space.encoder.spec.precision}"
    encoders = {"text": encoder, **{path.name: f"sha256 {workspace.input_hash(path)}" for path in files.values()}}
    described = {
        "sources": _sources(tables_dir),
        "splits": written,
        "counts": made.counts,
        "tables": tables_dir.name,
        "encoders": encoders,
    }
    replace(bridge, description={**bridge.description, **described}).save(folder / "bridge")
    d = space.encoder.dimension
    Model(space.encoder.spec, space.encoder.key, d, "biobridge", {}, [], _no_vectors(d), description=described).save(folder)
    (folder / "README.md").write_text(triples.card(described, figures), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(figures, indent=1) + "\n")
    stopped = str(bridge.description["stopped"])
    facts = {"method": "biobridge", "encoder": encoder, "triples": len(trained.triples), "nodes": len(made.data.nodes)}
    return {**facts, "ended_by": stopped, "counts": made.counts, "figures": figures}


def _sources(tables_dir: Path) -> list[dict[str, Any]]:
    from kgbuild import tables

    used = ("source", "kind", "version", "sha256", "licence")
    return [{key: row[key] for key in used} for row in tables.read(tables_dir, "sources").to_pylist()]


def _no_vectors(dimension: int) -> np.ndarray:
    import numpy as np

    return np.empty((0, dimension), dtype=np.float16)


def _trained(
    data: TrainingData,
    space: _Space,
    workspace: Workspace,
    configuration: Configuration,
    running: Path,
    description: dict[str, Any],
    resume: bool,
    progress: Progress | None,
) -> Model:
    """Train, or place SNPs without training; `running` holds checkpoints until the model is whole, also when the process is killed."""
    import embedder

    if configuration.train.method == "centroid":
        return embedder.centroid_model(data, space.raw(list(data.texts)), encoder=space.encoder, description=description)
    settings = _settings(workspace, configuration)
    reads = settings.mode == "frozen" or settings.warm_start
    return embedder.train(
        data,
        space.raw(list(data.texts)) if reads else None,
        settings,
        encoder=space.encoder,
        checkpoints=running,
        resume=resume,
        metrics_path=running / METRICS,
        progress=progress,
        description=description,
    )


def _settings(workspace: Workspace, configuration: Configuration) -> TrainingSettings:
    """Give the preset with what the configuration overrules, and a precision that is settled."""
    import embedder

    wanted = configuration.train
    changes: dict[str, Any] = {"epochs": wanted.epochs, "batch_size": wanted.batch, "max_seconds": wanted.max_seconds, "seed": wanted.seed}
    changes |= {"mode": wanted.mode, "chunk_tokens": wanted.chunk_tokens, "development": wanted.development, "patience": wanted.patience}
    settings = replace(embedder.PRESETS[wanted.preset], **{name: value for name, value in changes.items() if value is not None})
    return replace(settings, precision=_precision(workspace)) if settings.precision == "auto" else settings


def _bridge_settings(configuration: Configuration) -> BridgeSettings:
    """Give a bridge's settings with what the configuration overrules."""
    from embedder.biobridge import BridgeSettings

    wanted = configuration.train
    changes: dict[str, Any] = {"epochs": wanted.epochs, "batch_size": wanted.batch, "max_seconds": wanted.max_seconds, "seed": wanted.seed}
    changes |= {"development": wanted.development, "patience": wanted.patience}
    return BridgeSettings(**{name: value for name, value in changes.items() if value is not None})


def _build_links(workspace: Workspace, configuration: Configuration, folder: Path, progress: Progress | None) -> dict[str, Any]:
    from kgbuild import candidate_sets, contrast, links, merge, tables
    from kgbuild.evaluation import mapping as evaluation

    tables_dir, settings = workspace.folder("tables"), configuration.harmonise
    applied = _decisions(workspace, configuration)  # first: a row that cannot be read must not cost minutes
    space = _Space(workspace, configuration, progress, trained=settings.space == "model")
    terms = links.read_terms(tables_dir, space.embed, target=settings.target)
    mappings, xrefs = tables.read(tables_dir, "mappings"), tables.read(tables_dir, "xrefs")
    calibrated = evaluation.calibrate(
        mappings,
        xrefs,
        terms,
        space.embed,
        encoder=space.encoder.spec.model,
        packaged=space.encoder.spec.model == "minilm" and settings.space == "encoder",
        precision=settings.precision,
        progress=progress,
    )
    calibration, report = calibrated.calibration, calibrated.figures
    if calibration is not None:
        (folder / "calibration.json").write_text(calibration.to_json(), encoding="utf-8")
    if calibrated.sets is not None:
        (folder / candidate_sets.FILE).write_text(calibrated.sets.to_json(), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if report.get("as_is", {}).get("reliability"):
        (folder / "reliability.svg").write_text(evaluation.reliability_svg(report["as_is"]), encoding="utf-8")
    subjects = links.read_subjects(tables_dir, space.embed, target=settings.target)
    made = links.link(
        subjects,
        terms,
        mappings=mappings.to_pandas(),
        xrefs=xrefs.to_pandas(),
        calibration=calibration,
        decisions=applied.frame,
        precision=settings.precision,
        top_k=settings.top_k,
        progress=progress,
    )
    concepts = tables.read(tables_dir, "concepts")
    earlier = tables.read(workspace.folder("links"), "groups") if workspace.record("links") else None
    names = tables.read(tables_dir, "names")
    close = contrast.near_misses(made, concepts, names)
    groups = merge.merge(made, concepts, merge_at=settings.merge_at, target=settings.target, earlier=earlier, near_misses=close)
    tables.write(folder, {"links": made, "groups": groups})
    known = merge.read_moved(workspace.folder("links") / "moved.tsv") if earlier else {}
    replaced = {row["subject_id"]: row["object_id"] for row in xrefs.to_pylist() if row["predicate"] == "replaced_by"} if earlier else {}
    gone = merge.moved(earlier, groups, known=known, replaced=replaced) if earlier else {}
    merge.write_moved(folder / "moved.tsv", gone)
    figures = {part: report[part]["all"] for part in ("as_is", "a_fifth_without_answer") if part in report}
    return {
        "calibration": report["calibration"],
        "fitted_on": report["fitted_on"],
        **_link_facts(made, groups, subjects),
        "ids_gone": len(gone.keys() - known.keys()),
        "decisions": applied.facts(),
        "contrast": contrast.check(made, groups, concepts, names),
        "figures": figures,
    }


def _decisions(workspace: Workspace, configuration: Configuration, also: Mapping[str, str] | None = None) -> Applied:
    """Read what people decided in this workspace, by the ids of the tables."""
    from kgbuild import decisions, tables

    path, tables_dir = workspace.root / decisions.FILE, workspace.folder("tables")
    said = decisions.read(path).decisions if path.exists() else ()
    concepts = tables.read(tables_dir, "concepts", ["id", "name", "vocabulary", "obsolete"])
    return decisions.apply(said, concepts, tables.read(tables_dir, "xrefs"), target=configuration.harmonise.target, also=also)


def _link_facts(links: pa.Table, groups: pa.Table, subjects: Subjects) -> dict[str, Any]:
    """Count links by decision and vocabulary, and what was merged."""
    import pandas as pd

    frame = links.select(["subject_id", "rank", "decision", "calibration"]).to_pandas()
    frame = frame[frame["rank"] == 1].merge(
        pd.DataFrame({"subject_id": subjects.names.ids, "vocabulary": subjects.vocabularies}), on="subject_id"
    )
    frame["decision"] = frame["decision"].mask(
        frame["calibration"].isin(["curated", "decision"]) & (frame["decision"] == "accept"), "curated"
    )
    counted = frame.groupby(["vocabulary", "decision"]).size()
    by_vocabulary: dict[str, dict[str, int]] = {}
    for (vocabulary, decision), n in counted.items():
        by_vocabulary.setdefault(vocabulary, {})[decision] = int(n)
    sizes = groups.group_by("group_id").aggregate([("member_id", "count")])["member_id_count"].to_pandas()
    return {
        "by_vocabulary": by_vocabulary,
        "concepts": groups.num_rows,
        "harmonised_concepts": len(sizes),
        "of_several_members": int((sizes > 1).sum()),
    }


def _build_graph(workspace: Workspace, configuration: Configuration, folder: Path, progress: Progress | None) -> dict[str, Any]:
    from kgbuild import __version__, graph, tables
    from kgbuild.schema import SCHEMA_VERSION
    from kgbuild.stores import GraphFiles

    tables_dir, links_dir = workspace.folder("tables"), workspace.folder("links")
    space = _Space(workspace, configuration, progress, trained=True) if configuration.graph.concept_vectors else None
    summary = graph.build(tables_dir, links_dir, folder, embed=space.embed if space else None, progress=progress)
    sources = tables.read(tables_dir, "sources").to_pylist()
    build = {
        "kgbuild_version": __version__,
        "schema_version": SCHEMA_VERSION,
        "tables": tables_dir.name,
        "links": links_dir.name,
        "model": _model_key(workspace),
        "encoder": configuration.encoder.model,
        "sources": json.dumps(
            [{k: s[k] for k in ("source", "kind", "file", "sha256", "version", "licence", "redistributable")} for s in sources]
        ),
        "left_out": json.dumps(summary.left_out),
    }
    (folder / GraphFiles.BUILD).write_text(json.dumps(build, indent=1) + "\n", encoding="utf-8")
    return {
        "nodes": sum(summary.nodes.values()),
        "edges": sum(summary.edges.values()),
        "nodes_by_label": summary.nodes,
        "edges_by_type": summary.edges,
        "left_out": summary.left_out,
    }


def _load_embedded(workspace: Workspace, folder: Path, progress: Progress | None) -> dict[str, Any]:
    from kgbuild.stores import GraphFiles
    from kgbuild.stores.embedded import EmbeddedStore, heap_for

    graph = GraphFiles(workspace.folder("graph"))
    with EmbeddedStore.create(folder, heap=heap_for(graph)) as store:
        loaded = store.load(graph, build=graph.build(), progress=progress)
    return _load_facts("the embedded engine", loaded)


def _load_facts(where: str, loaded: Loaded) -> dict[str, Any]:
    done = {name: dict(getattr(loaded, name)) for name in ("created", "changed", "removed", "vanished")}
    return {"where": where, "nodes": sum(loaded.counts.nodes.values()), "edges": sum(loaded.counts.edges.values()), **done}


def _load_server(workspace: Workspace, server: Neo4jStore, prune: bool, progress: Progress | None) -> Outcome:
    """Load a Neo4j server; what it holds is its own matter, so the manifest keeps no record of it."""
    from kgbuild.stores import GraphFiles

    graph = GraphFiles(workspace.folder("graph"))
    started = time.monotonic()
    list_path = workspace.exports_dir / "vanished.tsv"
    loaded = server.load(
        graph, build=graph.build(), progress=progress, prune=prune, tell_vanished=lambda ids: _list_vanished(list_path, ids, prune)
    )
    notes = [f"left alone: {n:,} nodes that kgbuild did not write ({labels})" for labels, n in server.strangers().items()]
    if loaded.vanished:
        notes.append(f"{list_path} lists what is in the database and no more in the graph; `--prune` removes it")
    record = Record("", 0, {}, {}, round(time.monotonic() - started, 1), 0, now(), _load_facts(str(server.where), loaded))
    return Outcome("database", True, ["a server is compared each time"], record, notes)


def _list_vanished(path: Path, ids: Mapping[str, list[str]], removing: bool) -> None:
    """Write what the database holds and the graph does not, before any of it is removed."""
    if not ids:
        return
    with write_whole(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as out:
        out.write("what\tid\tbecomes\n")
        for name, those in ids.items():
            out.writelines(f"{name}\t{id_}\t{'removed' if removing else 'left'}\n" for id_ in those)


# ---------------------------------------------------------------- what reads a finished workspace

ADDRESS = "serve.json"


@contextmanager
def open_graph(workspace: Workspace, *, at: str | None = None, ask: Ask | None = None) -> Iterator[GraphReader]:
    """Open the graph for reading: a Neo4j server's, through `kgbuild serve` where it runs, or the embedded database itself.

    Args:
        at: A server's address, or "neo4j" for the one in NEO4J_URI; None: as the configuration says.
    """
    if at or configurations.load(workspace.configuration_path).graph.to:
        with open_server(workspace, at=at, ask=ask) as server:
            yield server
        return
    from kgbuild.stores import bolt, bolt_server
    from kgbuild.stores.embedded import EmbeddedStore

    served = bolt_server.address(workspace.root / ADDRESS)
    store = bolt.BoltStore.connect(served) if served else EmbeddedStore.open(workspace.folder("database"), read_only=True)
    with store:
        yield store


def open_server(workspace: Workspace, *, at: str | None = None, ask: Ask | None = None) -> Neo4jStore:
    """Connect to a Neo4j server; the caller closes it.

    Raises:
        UsageError: No address is given or configured, or there is no password.
        StoreError: The server does not answer, or does not let the user in.
    """
    return _server(at or configurations.load(workspace.configuration_path).graph.to or "neo4j", ask)


def verify(
    workspace: Workspace, *, at: str | None = None, rows: int = 1_000, ask: Ask | None = None, progress: Progress | None = None
) -> Verification:
    """Compare the database with the graph's files: counts, and rows property by property (`rows` a label; 0: all)."""
    from kgbuild.stores import GraphFiles, verification
    from kgbuild.stores.neo4j import Neo4jStore

    with open_graph(workspace, at=at, ask=ask) as store:
        state = store.build_state() if isinstance(store, Neo4jStore) else None
        known = state["vanished"] if state else {}
        return verification.verify(GraphFiles(workspace.folder("graph")), store, rows=rows, vanished=known, progress=progress)


def map_file(
    workspace: Workspace,
    file: Path,
    *,
    column: str,
    code: str | None = None,
    code_vocabulary: str | None = None,
    to: str = "efo",
    top: int = 5,
    out: Path | None = None,
    progress: Progress | None = None,
) -> str:
    """Map a table of texts (and codes) to the target vocabulary and write SSSOM, to a file or to standard output.

    Raises:
        SourceError: The file lacks the column, or cannot be read.
        UsageError: The vocabulary is not one that is loaded.
    """
    from kgbuild import candidate_sets, exports, links, tables
    from kgbuild.vocabulary import text_id

    configuration = configurations.load(workspace.configuration_path)
    tables_dir, links_dir, settings = workspace.folder("tables"), workspace.folder("links"), configuration.harmonise
    concepts = tables.read(tables_dir, "concepts", ["id", "name", "vocabulary", "source"])
    if to.lower() not in set(concepts["vocabulary"].unique().to_pylist()):
        raise UsageError(f"no vocabulary {to!r} is loaded", advice="Its file must be among the sources of kgbuild.toml.")
    listed = _listed(file, column, code, code_vocabulary, set(concepts["id"].to_pylist()))
    space = _Space(workspace, configuration, progress, trained=settings.space == "model")
    answers = links.map_texts(
        [text for text, _ in listed],
        links.read_terms(tables_dir, space.embed, target=to.lower()),
        space.embed,
        codes=[curie for _, curie in listed],
        mappings=tables.read(tables_dir, "mappings").to_pandas(),
        xrefs=tables.read(tables_dir, "xrefs").to_pandas(),
        decisions=_decisions(workspace, configuration, also={curie or text_id(text): text for text, curie in listed}).frame,
        calibration=_read_calibration(links_dir),
        precision=settings.precision,
        top_k=top,
    )
    sets = candidate_sets.read_candidate_sets(links_dir)
    answers = candidate_sets.marked(answers, sets)
    exports.write_sssom(exports.list_records(answers), out or Path("/dev/stdout"), sources=tables.read(tables_dir, "sources"))
    answered = len({(answer["subject_id"], answer["subject_label"]) for answer in answers if answer["decision"] == "accept"})
    said = f"{len(set(listed)):,} texts: {answered:,} with an accepted term" + (f"; written to {out}" if out else "")
    return said + (f"\n{candidate_sets.summary(answers, sets, top)}" if sets else "")


def explain(workspace: Workspace, left: str, right: str) -> Explanation:
    """Follow the evidence between two concepts, with the settings that the links were made with.

    Raises:
        UsageError: There is no such concept.
        WorkspaceError: Nothing has been harmonised yet.
    """
    from kgbuild import explanations

    tables_dir, links_dir, made = workspace.folder("tables"), workspace.folder("links"), workspace.record("links")
    settings = made.settings["harmonise"] if made else {}
    wanted = {name: settings[name] for name in ("merge_at", "precision", "target") if name in settings}
    return explanations.explain(tables_dir, links_dir, left, right, **wanted)


def review(workspace: Workspace, out: Path | None = None, *, page: Path | None = None, limit: int | None = None) -> dict[str, Any]:
    """Write what needs a person, most valuable first, as SSSOM and, if asked for, as a page; give where to, and how much there is.

    Raises:
        WorkspaceError: Nothing has been harmonised yet.
    """
    from kgbuild import review as reviewing

    tables_dir, links_dir, made = workspace.folder("tables"), workspace.folder("links"), workspace.record("links")
    items, waiting = reviewing.find(tables_dir, links_dir, limit=limit)
    out = out or workspace.exports_dir / "review.sssom.tsv"
    date_made = made.finished[:10] if made else None
    rows = reviewing.write_file(items, out, tables_dir=tables_dir, links_dir=links_dir, mapping_date=date_made)
    if page:
        reviewing.write_page(items, page, tables_dir=tables_dir, title=f"{workspace.root.name}, links of {date_made}")
    return {"file": str(out), "page": str(page) if page else None, "waiting": waiting, "written": len(items), "candidates": rows}


_CODE_VOCABULARIES = ("icd10cm", "icd10", "icd9cm", "phecode", "phecodex")


def _listed(file: Path, column: str, code: str | None, code_vocabulary: str | None, concepts: set[str]) -> list[tuple[str, str | None]]:
    """Read (text, CURIE of its code or None) of each row; a code that is no loaded concept leaves its text a text."""
    from kgbuild.sources.delimited import Row, read_rows

    wanted = {"text": [column], **({"code": [code]} if code else {})}
    listed: list[tuple[str, str | None]] = []
    for row in read_rows(file, columns=wanted):
        if not isinstance(row, Row):
            raise SourceError(file, row[1], line=row[0], expected="as many cells as the header has", advice="Mend or remove the line.")
        text = row.cells["text"].strip()
        if text:
            listed.append((text, _code(row.cells.get("code", ""), code_vocabulary, concepts)))
    return listed


def _code(code: str, vocabulary: str | None, concepts: set[str]) -> str | None:
    from kgbuild.vocabulary import code_curie

    for candidate in (vocabulary,) if vocabulary else _CODE_VOCABULARIES:
        with suppress(ValueError):
            curie = code_curie(candidate, code)
            if curie in concepts or vocabulary:
                return curie
    return None


def _read_calibration(links_dir: Path) -> Calibration | None:
    from kgbuild.calibration import Calibration

    path = links_dir / "calibration.json"
    return Calibration.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def score(
    workspace: Workspace, pairs: Path, out: Path, *, without: Sequence[str] = (), parts: bool = False, progress: Progress | None = None
) -> str:
    """Score a file of pairs with the trained model; give a line that says how many were scored.

    Args:
        without: Parts of the score that do not count: of `kgbuild.signals.PARTS`, and `held-out`, the links that were kept from
            training so that it can be evaluated.
        parts: Whether what each part adds is written too.

    Raises:
        UsageError: There is no such part.
        WorkspaceError: No model has been trained.
    """
    from kgbuild import scoring
    from kgbuild.signals import PARTS

    space = _Space(workspace, configurations.load(workspace.configuration_path), progress, trained=True)
    folder = workspace.folder("model")
    if space.model is None:
        raise WorkspaceError("no model has been trained", advice="Run `kgbuild train` first.")
    if space.model.method == "biobridge":
        raise UsageError(
            "the model is a bridge: it places no SNPs, and finds the tails of a relation instead of scoring pairs",
            advice=f'Train with method = "generel" to score pairs; {folder / "README.md"} shows how a bridge is asked.',
        )
    if unknown := set(without) - {*PARTS, HELD_OUT}:
        raise UsageError(f"the score has no part {sorted(unknown)[0]!r}", advice=f"Its parts are {', '.join((*PARTS, HELD_OUT))}.")
    scorer = _scorer(workspace, space, held_out=HELD_OUT not in without)
    scorer.parts = tuple(part for part in PARTS if part not in without)
    if not scorer.parts:
        raise UsageError("no part of the score is left", advice="Leave out one `--without`.")
    counts = scoring.score_pairs(pairs, out, scorer, tables_dir=workspace.folder("tables"), parts=parts, progress=progress)
    return f"{out}: " + ", ".join(f"{n:,} {what.replace('_', ' ')}" for what, n in counts.items())


EVIDENCE = "evidence"
EFFECTS = "effects"
ALL_EFFECTS = "all_effects"
ALL_EVIDENCE = "all_evidence"  # with what was kept from training: for scores, never for an evaluation
HELD_OUT = "held-out"


def _scorer(workspace: Workspace, space: _Space, *, held_out: bool = False) -> Scorer:
    """Give the model with all that its score was saved with, what was kept from training too if `held_out`, and the names of the tables."""
    from kgbuild import scoring
    from kgbuild.effects import Effects
    from kgbuild.evidence import Evidence
    from kgbuild.ranking import Ranking
    from kgbuild.relatedness import Relatedness
    from kgbuild.synonymy import Synonymy

    assert space.model is not None
    folder = workspace.folder("model")
    evidence = Evidence.load(folder, ALL_EVIDENCE if held_out else EVIDENCE)
    effects = Effects.load(folder, ALL_EFFECTS if held_out else EFFECTS)
    scorer = scoring.Scorer(space.model, space.raw, evidence=evidence, effects=effects, ranking=Ranking.load(folder))
    scorer.relatedness = Relatedness.load(folder)
    scorer.synonymy = Synonymy.of(space.model, space.raw, workspace.folder("tables"), folder)
    return scorer


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation: its folder, what report.json holds, and its sections."""

    folder: Path
    document: dict[str, Any]
    sections: dict[str, Section]


def evaluate(
    workspace: Workspace,
    names: Sequence[str] = (),
    *,
    options: Options | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Make tables of figures on a finished workspace, and write them into a folder of it.

    Args:
        names: Of `kgbuild.evaluation.TABLES`; none: all that need nothing but the workspace. What one of those lacks is said in
            its section; for one that was named it is an error.
        options: How figures are drawn.
        out: Folder; None: evaluation-<time> in the workspace.

    Raises:
        UsageError: There is no such table, or the folder holds something.
        WorkspaceError: A table that was named needs what the workspace does not have yet.
    """
    from kgbuild import evaluation as evaluations
    from kgbuild.evaluation import reports
    from kgbuild.evaluation.evaluated import Options
    from kgbuild.evaluation.section import Section

    modules = {name: evaluations.table(name) for name in names or [name for name, table in evaluations.TABLES.items() if table.unasked]}
    options = options or Options()
    evaluated = _evaluated(workspace, configurations.load(workspace.configuration_path), options, progress)
    sections: dict[str, Section] = {}
    for name, module in modules.items():
        try:
            sections[name] = module.evaluate(evaluated)
        except WorkspaceError as error:
            if name in names:
                raise
            sections[name] = Section(evaluations.TABLES[name].question, {}, [], notes=[f"Not evaluated: {error.message}. {error.advice}"])
    folder = out or workspace.root / f"evaluation-{time.strftime('%Y-%m-%d-%H%M%S')}"
    return Evaluation(folder, reports.write_report(folder, sections, _about(workspace, options)), sections)


def _evaluated(workspace: Workspace, configuration: Configuration, options: Options, progress: Progress | None) -> Evaluated:
    """Open what there is of a workspace for its evaluation."""
    from kgbuild import splits
    from kgbuild.evaluation.evaluated import Evaluated

    space = _Space(workspace, configuration, progress, trained=True)
    model_dir = workspace.folder("model") if space.model is not None else None
    scorer = split = None
    if space.model is not None and model_dir is not None and space.model.method != "biobridge":
        scorer = _scorer(workspace, space)
        split = splits.read_split(model_dir / "snp_traits.tsv", space.model.description["splits"]["snp_traits"])
    evaluated = Evaluated(
        tables_dir=workspace.folder("tables"),
        cache_dir=workspace.cache_dir,
        links_dir=workspace.folder("links") if workspace.record("links") else None,
        model_dir=model_dir,
        scorer=scorer,
        encode=space.raw,
        encoder=space.encoder.spec.model,
        split=split,
        target=configuration.harmonise.target,
        options=options,
        progress=progress,
        retrain=lambda **changes: _retrained(workspace, configuration, evaluated, **changes),
    )
    return evaluated


@contextmanager
def _retrained(
    workspace: Workspace, configuration: Configuration, evaluated: Evaluated, *, seed: int | None = None, without: Sequence[str] = ()
) -> Iterator[Evaluated]:
    """Train aside, with another seed or without some tasks, for as long as it is evaluated."""
    changed = configuration.train if seed is None else configuration.train.model_copy(update={"seed": seed})
    configuration = configuration.model_copy(update={"train": changed})
    with tempfile.TemporaryDirectory(prefix="evaluation-", suffix=".building", dir=workspace.root) as aside:
        folder = Path(aside)
        _, space, scorer, split = _fit(workspace, configuration, folder, folder / TRAINING, without=without, progress=evaluated.progress)
        yield replace(evaluated, model_dir=folder, scorer=scorer, encode=space.raw, split=split, retrain=None)


def _about(workspace: Workspace, options: Options) -> dict[str, Any]:
    """Say what was evaluated, and how: two reports are compared by it."""
    from kgbuild import __version__

    records = {name: record for name in ("tables", "model", "links") if (record := workspace.record(name))}
    splits = {}
    if "model" in records:
        document = json.loads((workspace.folder("model") / "model.json").read_text(encoding="utf-8"))
        splits = document.get("splits", {})
    asked = {name: [str(x) for x in value] if isinstance(value, tuple) else value for name, value in asdict(options).items()}
    stages = {name: record.key for name, record in records.items()}
    return {"kgbuild": __version__, "made": now(), "stages": stages, "splits": splits, "options": asked}


def serve(workspace: Workspace, *, port: int, say: Callable[[str], None]) -> None:
    """Serve the embedded graph over Bolt until interrupted."""
    from kgbuild.stores import bolt_server

    bolt_server.serve(workspace.folder("database"), workspace.root / ADDRESS, port=port, say=say)


def export(
    workspace: Workspace,
    what: str,
    out: Path | None = None,
    format_: str | None = None,
    *,
    include_restricted: bool = False,
    review: bool = False,
    neo4j_version: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Export the mappings or the graph; give where to, and how many rows went and stayed.

    Raises:
        UsageError: There is nothing of that name to export.
    """
    from kgbuild import exports
    from kgbuild.stores import GraphFiles

    if what == "neo4j-admin":
        return _export_neo4j_admin(workspace, out, neo4j_version, progress)
    tables_dir = workspace.folder("tables")
    if what == "mappings":
        format_ = format_ or "sssom"
        links_dir, made = workspace.folder("links"), workspace.record("links")
        out = out or workspace.exports_dir / _NAMES.get(format_, f"mappings.{format_}")
        date = made.finished[:10] if made else None
        summary = exports.export_mappings(
            tables_dir,
            links_dir,
            out,
            format=format_,
            include_restricted=include_restricted,
            include_review=review,
            mapping_date=date,
            progress=progress,
        )
    elif what == "graph":
        format_ = format_ or "kgx"
        out = out or workspace.exports_dir / format_
        graph = GraphFiles(workspace.folder("graph"))
        summary = exports.export_graph(
            graph, out, tables_dir=tables_dir, format=format_, include_restricted=include_restricted, progress=progress
        )
    else:
        raise UsageError(f"there is no export called {what!r}", advice="Say `kgbuild export mappings`, `graph` or `neo4j-admin`.")
    return {
        "file": str(out),
        "rows_written": summary.n_rows,
        "rows_restricted": summary.n_withheld,
        "restricted_by_source": dict(summary.withheld),
    }


def _export_neo4j_admin(workspace: Workspace, out: Path | None, version: str | None, progress: Progress | None) -> dict[str, Any]:
    from kgbuild.stores import GraphFiles, neo4j_admin

    graph = GraphFiles(workspace.folder("graph"))
    made = neo4j_admin.write_import(
        graph,
        out or workspace.exports_dir / "neo4j-admin",
        version=version or neo4j_admin.VERSIONS[0],
        build=graph.build(),
        progress=progress,
    )
    return {
        "folder": str(made.folder),
        "nodes": sum(made.counts.nodes.values()),
        "edges": sum(made.counts.edges.values()),
        "script": str(made.folder / neo4j_admin.SCRIPT),
        "command": f"cd {shlex.quote(str(made.folder))} && {shlex.join(made.command)}",
    }


_NAMES = {"sssom": "mappings.sssom.tsv", "omop": "omop"}
