"""A name and a workspace's training part in, what scores pairs out: every system of the papers under one small interface.

    model                 this workspace's model by its score; `model:similarity` by its bare cosine
    workspace:FOLDER      another workspace's model, trained in any mode; `workspace:FOLDER:similarity`; or a bridge (pairs of texts only)
    degree                how popular both sides are in training: no model at all
    svd                   truncated SVD of the degree-normalised matrix of SNPs x texts; `svd:64`: of that rank
    sapbert, minilm, ...  a text model, see TEXT_MODELS; `text:NAME` any other by Hugging Face id or folder; `@mean` or `@cls` pools so
    pykeen:TransE         a graph model by PyKEEN, which lives in an environment of its own (`--pykeen PYTHON`), see GRAPH_MODELS

Texts have vectors in a text model and SNPs have none: as in `embedder.centroid`, a SNP gets the weighted mean of the texts that
training links to it, and half of that of its LD block. So a text model can stand in a table of SNPs, and sees of them what
every other system sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from kgbuild.errors import ModelError, UsageError, WorkspaceError
from kgbuild.evaluation.training_part import TrainingPart, text_degrees
from kgbuild.vectors import VectorCache, encode_texts

if TYPE_CHECKING:
    from embedder import TextEncoder
    from embedder.biobridge import Bridge
    from kgbuild.scoring import Scorer

__all__ = [
    "GRAPH_MODELS",
    "TEXT_MODELS",
    "BridgeSystem",
    "DegreeSystem",
    "ModelSystem",
    "SvdSystem",
    "System",
    "TextSystem",
    "cosines",
    "each_system",
    "open_system",
    "rows_of",
]

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]

# name -> (Hugging Face id, pooling); models that were trained to give a name one vector pool as their authors did, plain
# language models by the mean: their first token was trained for something else
TEXT_MODELS: dict[str, tuple[str, str]] = {
    "minilm": ("minilm", "mean"),
    "hashed": ("hashed", "mean"),
    "biobert": ("dmis-lab/biobert-base-cased-v1.2", "mean"),
    "clinicalbert": ("emilyalsentzer/Bio_ClinicalBERT", "mean"),
    "pubmedbert": ("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext", "mean"),
    "sapbert": ("cambridgeltl/SapBERT-from-PubMedBERT-fulltext", "cls"),
    "coder": ("GanjinZero/coder_eng", "cls"),
    "krissbert": ("microsoft/BiomedNLP-KRISSBERT-PubMed-UMLS-EL", "cls"),
    "bge": ("BAAI/bge-base-en-v1.5", "cls"),
}
GRAPH_MODELS = ("TransE", "TransH", "TransR", "DistMult", "SimplE")


class System(Protocol):
    """What scores pairs: larger is nearer; NaN where it cannot place one side."""

    name: str

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:
        """Score pairs of texts (rows of `texts`).

        Args:
            predicate: What leads from left to right (`GENE_ASSOCIATED_WITH`, `inverse of TARGETS`), for those that tell relations apart.
        """
        ...

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:
        """Score pairs of a text and a SNP: rows of `texts` and of `snps`."""
        ...


def each_system(
    names: Sequence[str], part: TrainingPart, *, scorer: Scorer | None, pykeen: Path | None = None, progress: Progress | None = None
) -> Iterator[tuple[str, System | None, str]]:
    """Open systems one after the other, so that one is in memory at a time: name, system, and why there is none.

    Raises:
        UsageError: A name is that of no system; said before any of them is opened.
    """
    for name in names:
        _family(name)
    for name in names:
        try:
            system = open_system(name, part, scorer=scorer, pykeen=pykeen, progress=progress)
        except (ModelError, WorkspaceError) as error:
            yield name, None, " ".join(f"{error.message}. {error.advice}".split())
        else:
            yield name, system, ""


def open_system(
    name: str, part: TrainingPart, *, scorer: Scorer | None, pykeen: Path | None = None, progress: Progress | None = None
) -> System:
    """Open a system, or train it on the training part.

    Args:
        name: As the head of this file lists them.
        part: What training saw.
        scorer: The workspace's own model, for `model`.
        pykeen: The Python of an environment that has PyKEEN.
        progress: Told what is done.

    Raises:
        UsageError: It is the name of no system.
        ModelError: It cannot run here, for want of weights or an environment; the advice is the command that would run it.
        WorkspaceError: Another workspace holds no model.
    """
    family, what = _family(name)
    if family == "degree":
        return DegreeSystem(part)
    if family == "svd":
        return SvdSystem(name, part, rank=int(what or 128))
    if family == "model":
        if scorer is None:
            raise ModelError("this workspace has no model that places SNPs", advice='`kgbuild train` with method = "generel"')
        return ModelSystem(name, scorer, by_similarity=what == "similarity")
    if family == "workspace":
        return _of_workspace(name, what, part, progress)
    if family == "pykeen":
        from kgbuild.evaluation.graph_models import GraphSystem

        return GraphSystem.open(name, what, part, python=pykeen, progress=progress)
    return _text_system(name, what, part, progress)


def _family(name: str) -> tuple[str, str]:
    """Part a name into what kind of system it is and what is said of it.

    >>> _family("pykeen:TransE"), _family("sapbert@mean"), _family("text:models/mine")
    (('pykeen', 'TransE'), ('text', 'sapbert@mean'), ('text', 'models/mine'))
    """
    family, _, what = name.partition(":")
    if name.partition("@")[0] in TEXT_MODELS:
        return "text", name
    known = {
        "model": what in ("", "similarity"),
        "degree": not what,
        "svd": not what or (what.isdecimal() and int(what) > 0),
        "workspace": bool(what),
        "text": bool(what),
        "pykeen": what in GRAPH_MODELS,
    }
    if not known.get(family, False):
        raise UsageError(
            f"there is no system called {name!r}",
            advice=f"There are model, model:similarity, degree, svd, {', '.join(TEXT_MODELS)}, text:ID_OR_FOLDER, workspace:FOLDER, "
            f"{', '.join(f'pykeen:{model}' for model in GRAPH_MODELS)}.",
        )
    return family, what


# ---------------------------------------------------------------- without a model


class DegreeSystem:
    """How many partners both sides have in training: the larger, the higher."""

    name = "degree"

    def __init__(self, part: TrainingPart) -> None:
        self._snp_degrees, self._text_degrees = part.trait_degrees
        self._all_texts = dict(zip(part.data.texts, np.log1p(text_degrees(part.data)).tolist(), strict=True))

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:  # noqa: ARG002 - one degree for all
        degrees = np.array([self._all_texts.get(text, 0.0) for text in texts])
        return np.asarray(degrees[left] + degrees[right])

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:
        of_text = np.log1p([self._text_degrees.get(text, 0) for text in texts])
        of_snp = np.log1p([self._snp_degrees.get(snp, 0) for snp in snps])
        return np.asarray(of_text[text] + of_snp[snp])


class SvdSystem:
    """Truncated SVD of the weights of SNPs x texts (traits and genes), each divided by the roots of both degrees.

    A text and a SNP score the cosine of their rows, both scaled by the roots of the singular values.
    """

    def __init__(self, name: str, part: TrainingPart, *, rank: int) -> None:
        from scipy.sparse import diags
        from sklearn.decomposition import TruncatedSVD

        from embedder import unit_rows

        self.name = name
        matrix = part.matrix
        if min(matrix.shape) < 2:
            raise ModelError("training links fewer than two SNPs with two texts", advice="Add associations to the sources: kgbuild init")
        sides = [diags(1 / np.sqrt(np.maximum(np.asarray(matrix.sum(axis=axis)).ravel(), 1e-9))) for axis in (1, 0)]
        normal = sides[0] @ matrix @ sides[1]
        svd = TruncatedSVD(n_components=min(rank, min(matrix.shape) - 1), random_state=0).fit(normal)
        roots = np.sqrt(np.maximum(svd.singular_values_, 1e-9))
        self._snps = unit_rows((normal @ svd.components_.T) / roots)
        self._texts = unit_rows(svd.components_.T * roots)
        # a side without a partner has a row of zeros: there is nothing that is known of it
        self._snp_rows = {snp: row for row, snp in enumerate(part.data.snps) if self._snps[row].any()}
        self._text_rows = {text: row for row, text in enumerate(part.data.texts) if self._texts[row].any()}

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:  # noqa: ARG002 - one space for all
        rows = rows_of(self._text_rows, texts)
        return cosines(self._texts, rows[left], self._texts, rows[right])

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:
        return cosines(self._texts, rows_of(self._text_rows, texts)[text], self._snps, rows_of(self._snp_rows, snps)[snp])


# ---------------------------------------------------------------- text models


class TextSystem:
    """A frozen text model; SNPs lie at the mean of their texts."""

    def __init__(self, name: str, encoder: TextEncoder, part: TrainingPart, progress: Progress | None = None) -> None:
        self.name, self._encoder, self._part, self._progress = name, encoder, part, progress
        self._cache = VectorCache(part.cache_dir)
        self._snps: tuple[dict[str, int], Floats] | None = None

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Give unit vectors."""
        from embedder import unit_rows

        return unit_rows(encode_texts(texts, self._encoder, self._cache, progress=self._progress))

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:  # noqa: ARG002 - a text model knows no relations
        vectors = self.embed(texts)
        return cosines(vectors, left, vectors, right)

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:
        rows, vectors = self._placed()
        return cosines(self.embed(texts), text, vectors, rows_of(rows, snps)[snp])

    def _placed(self) -> tuple[dict[str, int], Floats]:
        if self._snps is None:
            from embedder import centroid_model

            if not self._part.traits.tasks:
                raise ModelError("training links no SNP to a trait", advice="Add associations to the sources: `kgbuild init`")
            model = centroid_model(self._part.traits, self.embed(self._part.traits.texts), encoder=self._encoder)
            self._snps = model.snp_rows, model.snp_vectors
        return self._snps


def _text_system(name: str, what: str, part: TrainingPart, progress: Progress | None) -> System:
    from embedder import EncoderSpec, open_encoder
    from embedder.errors import EncoderError

    wanted, _, pooling = what.partition("@")
    model, usual = TEXT_MODELS.get(wanted, (wanted, "auto"))
    try:
        encoder = open_encoder(EncoderSpec(model, pooling or usual, max_length=64))
    except EncoderError as error:
        here = not _is_hub_id(model)
        raise ModelError(
            error.message.partition(":")[0] if not here else error.message,
            advice=error.advice
            if here
            else f"Where there is a network: `hf download {model} && kgbuild evaluate snp-trait --systems {name}`",
        ) from error
    return TextSystem(name, encoder, part, progress)


def _is_hub_id(model: str) -> bool:
    return model.count("/") == 1 and not model.startswith((".", "/", "~")) and not Path(model).exists()


# ---------------------------------------------------------------- trained models


class ModelSystem:
    """A model of this program, by its score or by its cosine; a SNP that it does not place has none."""

    def __init__(self, name: str, scorer: Scorer, *, by_similarity: bool = False) -> None:
        self.name, self._scorer, self._which = name, scorer, 0 if by_similarity else 1

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:  # noqa: ARG002 - one space for all
        return self._scorer.text_text(list(texts), left, right)[self._which]

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:
        rows = rows_of(self._scorer.model.snp_rows, snps)[snp]
        scores = np.full(len(rows), np.nan, dtype=np.float32)
        known = rows >= 0
        scores[known] = self._scorer.text_snp(list(texts), text[known], rows[known])[self._which]
        return scores


class BridgeSystem:
    """A BioBridge: the cosine between a right text and where the relation leads from the left one.

    Without a predicate, and where a text names no node, it is the cosine of the two in the bridge's space; SNPs have no place in it.
    """

    def __init__(self, name: str, bridge: Bridge, texts: TextSystem, types: dict[str, str]) -> None:
        self.name, self._bridge, self._texts, self._types = name, bridge, texts, types

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> Floats:
        types = np.array([self._types.get(text, "") for text in texts], dtype=object)
        vectors = self._texts.embed(texts)
        scores = np.full(len(left), np.nan, dtype=np.float32)
        ends = np.array([f"{a}\t{b}" for a, b in zip(types[left].tolist(), types[right].tolist(), strict=True)], dtype=object)
        for end in sorted(set(ends.tolist())):
            head, tail = end.split("\t")
            here = ends == end
            if head in self._bridge.types and tail in self._bridge.types:
                asked = predicate in self._bridge.relations
                sought = self._bridge.retrieve(vectors, head, str(predicate), tail) if asked else self._bridge.project(vectors, head)
                scores[here] = cosines(sought, left[here], self._bridge.project(vectors, tail), right[here])
        return scores

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> Floats:  # noqa: ARG002 - none has a score
        return np.full(len(text), np.nan, dtype=np.float32)


def _of_workspace(name: str, what: str, part: TrainingPart, progress: Progress | None) -> System:
    """Open another workspace's model; one that was trained on what is held out here is refused."""
    from embedder.errors import EmbedderError
    from kgbuild.workspace import Workspace

    folder, _, way = what.rpartition(":") if what.endswith(":similarity") else (what, "", "")
    try:
        return _model_of(name, Workspace.open(Path(folder)).folder("model"), way == "similarity", part, progress)
    except EmbedderError as error:
        raise ModelError(error.message, advice=error.advice) from error


def _model_of(name: str, folder: Path, by_similarity: bool, part: TrainingPart, progress: Progress | None) -> System:
    from embedder import Model
    from kgbuild.effects import Effects
    from kgbuild.evidence import Evidence
    from kgbuild.ranking import Ranking
    from kgbuild.relatedness import Relatedness
    from kgbuild.scoring import Scorer
    from kgbuild.synonymy import Synonymy

    model = Model.load(folder)
    own = TextSystem(name, model.open_encoder(), part, progress)
    other = {name: model.description.get("splits", {}).get(name) for name in part.splits if name != "mappings"}
    if model.method == "biobridge":
        other = {"concepts": other.get("concepts")}  # it was trained on neither SNPs nor synonyms
    if wrong := sorted(name for name, digest in other.items() if digest != part.splits[name]):
        raise ModelError(
            f"{folder} was trained with other {' and '.join(wrong)} kept from training: it may have seen what is held out here",
            advice="Train it on the same tables, with the same split and shares under [train]: `kgbuild train`",
        )
    if model.method == "biobridge":
        from embedder.biobridge import Bridge
        from embedder.triples import TEXT

        bridge = Bridge.load(folder / "bridge")
        shape = bridge.network.shape
        if other_spaces := sorted(type_ for type_, space in zip(shape.types, shape.spaces, strict=True) if space != TEXT):
            raise ModelError(
                f"{folder}: nodes of the type {other_spaces[0]} have vectors from a file, not of their names",
                advice="Its own figures are in report.json beside it; leave node_vectors out for a bridge that reads names",
            )
        return BridgeSystem(name, bridge, own, part.node_types)
    evidence, effects = Evidence.load(folder), Effects.load(folder)
    scorer = Scorer(model, lambda texts: own.embed(texts), evidence=evidence, effects=effects, ranking=Ranking.load(folder))
    scorer.relatedness = Relatedness.load(folder)
    scorer.synonymy = Synonymy.of(model, own.embed, part.tables_dir, folder)
    return ModelSystem(name, scorer, by_similarity=by_similarity)


# ---------------------------------------------------------------- rows and cosines


def rows_of(known: dict[str, int], names: Sequence[str]) -> Integers:
    """Give the row of each name, -1 for one that is not known.

    >>> rows_of({"a": 5}, ["a", "b"]).tolist()
    [5, -1]
    """
    return np.fromiter((known.get(name, -1) for name in names), dtype=np.int64, count=len(names))


def cosines(left: Floats, left_rows: Integers, right: Floats, right_rows: Integers) -> Floats:
    """Multiply unit rows pair by pair, some at a time; NaN where a row is -1.

    >>> cosines(np.eye(2), np.array([0, 1, 0]), np.eye(2), np.array([0, 0, -1])).tolist()
    [1.0, 0.0, nan]
    """
    scores = np.full(len(left_rows), np.nan, dtype=np.float32)
    known = np.flatnonzero((left_rows >= 0) & (right_rows >= 0))
    for start in range(0, len(known), 16384):
        rows = known[start : start + 16384]
        a, b = left[left_rows[rows]], right[right_rows[rows]]
        scores[rows] = np.einsum("ij,ij->i", a.astype(np.float32), b.astype(np.float32))
    return scores
