"""Pairs in, the same pairs with a cosine and a ranking score out; and how well these tell real SNP-trait pairs from others.

`similarity` is the cosine in the model's space. `score` is the same for two texts or two SNPs. For a text and a SNP it adds
what the SNP's neighbours say: with `direct` the highest cosine, in the base encoder's space, between the text and the traits
that the SNP is linked to in training, and `block` the same over its LD block (not in the MHC, not in blocks over 1 Mb),

    score = similarity + direct_weight · (direct - floor) + block_weight · (block - floor)

where a SNP without such traits counts as `floor`, the mean cosine of two traits. The weights are chosen on a development split
that the model was not trained on, and lie in the model's folder as ranking.json; they are 0 where neighbours do not help.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.errors import ModelError
from kgbuild.sources.delimited import head, header_of, open_text, resolve_columns
from kgbuild.splits import loci_of, trait_groups
from kgbuild.vocabulary import normalise_curie, variant_id

if TYPE_CHECKING:
    import pandas as pd

    from embedder import Model, TrainingData
    from embedder.encoder import Progress

    Encode = Callable[[list[str]], npt.NDArray[np.float32]]

__all__ = ["Evidence", "Ranking", "Scorer", "evaluate_snp_traits", "fit_ranking", "score_pairs"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

CHUNK = 131_072  # rows of a pair file that are held at a time
WEIGHTS = (0.0, 0.25, 0.5, 1.0)  # what is tried for each of the two; a finer grid moved no figure
LEAST_GAIN = 0.002  # in mean AUC on the development split, for neighbours to be used


# ---------------------------------------------------------------- what training linked to a SNP


@dataclass(frozen=True)
class Evidence:
    """Which texts training linked to each SNP: lists by SNP and by LD block, one after the other.

    Args:
        texts: The texts that are linked to any SNP.
        snps: Ids.
        snp_texts: (links,) numbers of texts, by SNP.
        snp_starts: (SNPs + 1,) where each SNP's begin.
        blocks: (SNPs,) block of each SNP; -1 for none that says something.
        block_texts: (links,) numbers of texts, by block.
        block_starts: (blocks + 1,).
    """

    texts: Sequence[str]
    snps: Sequence[str]
    snp_texts: Integers
    snp_starts: Integers
    blocks: Integers
    block_texts: Integers
    block_starts: Integers

    @classmethod
    def of(cls, data: TrainingData, tasks: Sequence[str] = ("gwas", "biobank")) -> Evidence:
        """Gather the links of trait tasks."""
        chosen = [task for task in data.tasks if task.name in tasks]
        left = np.concatenate([np.empty(0, np.int64), *(task.left for task in chosen)])
        snps = np.concatenate([np.empty(0, np.int64), *(task.right for task in chosen)])
        numbers, texts = np.unique(left, return_inverse=True)
        inside = data.snp_blocks[snps] >= 0
        snp_texts, snp_starts = _lists(snps, texts, len(data.snps))
        block_texts, block_starts = _lists(data.snp_blocks[snps][inside], texts[inside], data.n_blocks)
        return cls([data.texts[n] for n in numbers], data.snps, snp_texts, snp_starts, data.snp_blocks, block_texts, block_starts)

    @cached_property
    def snp_rows(self) -> dict[str, int]:
        return {snp: row for row, snp in enumerate(self.snps)}

    @property
    def snp_degrees(self) -> Integers:
        """Number of texts of each SNP."""
        return np.diff(self.snp_starts)

    @property
    def text_degrees(self) -> Integers:
        """Number of SNPs of each text."""
        return np.bincount(self.snp_texts, minlength=len(self.texts))

    def save(self, folder: Path) -> None:
        """Write evidence.npz and evidence.json."""
        arrays = {name: getattr(self, name) for name in _EVIDENCE_ARRAYS}
        np.savez(folder / "evidence.npz", **{name: array.astype(np.int32) for name, array in arrays.items()})
        document = {"texts": list(self.texts), "snps": list(self.snps)}
        (folder / "evidence.json").write_text(json.dumps(document, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Evidence | None:
        """Read them back; None where the model was saved without.

        Raises:
            ModelError: The two do not fit each other.
        """
        if not (folder / "evidence.json").exists():
            return None
        document = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
        with np.load(folder / "evidence.npz") as archive:
            arrays = {name: archive[name].astype(np.int64) for name in _EVIDENCE_ARRAYS}
        if len(arrays["blocks"]) != len(document["snps"]) or arrays["snp_texts"].max(initial=-1) >= len(document["texts"]):
            raise ModelError(f"{folder}: evidence.npz and evidence.json do not fit each other", advice="Train again: kgbuild train")
        return cls(texts=document["texts"], snps=document["snps"], **arrays)


_EVIDENCE_ARRAYS = ("snp_texts", "snp_starts", "blocks", "block_texts", "block_starts")


def _lists(owners: Integers, members: Integers, n_owners: int) -> tuple[Integers, Integers]:
    """Sort (owner, member) pairs into one list of distinct members per owner, and give where each begins."""
    width = int(members.max(initial=0)) + 1
    owner, member = np.divmod(np.unique(owners * width + members), width)
    return member, np.searchsorted(owner, np.arange(n_owners + 1))


# ---------------------------------------------------------------- similarity and score


@dataclass(frozen=True)
class Ranking:
    """How neighbours enter the score; `gain` is the most that they brought on the development split, in mean AUC."""

    direct_weight: float = 0.0
    block_weight: float = 0.0
    floor: float = 0.0
    gain: float = 0.0
    n_pairs: int = 0

    def save(self, folder: Path) -> None:
        (folder / "ranking.json").write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Ranking:
        path = folder / "ranking.json"
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()


class Scorer:
    """A model with what its score needs; `encode` gives the base encoder's vectors of texts."""

    def __init__(self, model: Model, encode: Encode, *, evidence: Evidence | None = None, ranking: Ranking | None = None) -> None:
        self.model, self.encode, self.evidence = model, encode, evidence
        self.ranking = ranking or Ranking()
        self._trait_vectors: Floats | None = None
        self._worlds: dict[Path, _World] = {}

    @property
    def trait_vectors(self) -> Floats:
        """Unit vectors of the evidence's texts in the base encoder's space."""
        from embedder import unit_rows

        if self._trait_vectors is None:
            self._trait_vectors = unit_rows(self.encode(list(self.evidence.texts if self.evidence else ())))
        return self._trait_vectors

    def text_snp(self, texts: list[str], text: Integers, snp: Integers) -> tuple[Floats, Floats]:
        """Give similarity and score of pairs: `text` are rows of `texts`, `snp` rows of the model."""
        from embedder import unit_rows

        base = unit_rows(self.encode(texts))
        similarity = _cosines(self.model.text_vectors(base, texts), text, self.model.snp_vectors, snp)
        return similarity, self._score(similarity, base, text, snp)

    def parts(self, texts: list[str], text: Integers, snp: Integers) -> tuple[Floats, Floats, Floats]:
        """Give similarity, and how far direct and block evidence lie above the floor."""
        from embedder import unit_rows

        base = unit_rows(self.encode(texts))
        similarity = _cosines(self.model.text_vectors(base, texts), text, self.model.snp_vectors, snp)
        direct, block = self._neighbours(base, text, snp, direct=True, block=True)
        return similarity, direct, block

    def ranked(self, similarity: Floats, snp: int) -> Floats:
        """Give the scores of all the evidence's texts for one SNP, from their similarities."""
        e, r = self.evidence, self.ranking
        row = int(self._evidence_rows[snp])
        if e is None or row < 0:
            return similarity
        score = similarity.copy()
        lists = ((r.direct_weight, e.snp_texts, e.snp_starts, row), (r.block_weight, e.block_texts, e.block_starts, int(e.blocks[row])))
        for weight, members, starts, owner in lists:
            linked = members[starts[owner] : starts[owner + 1]] if owner >= 0 else members[:0]
            if weight > 0 and len(linked):
                score += weight * ((self.trait_vectors @ self.trait_vectors[linked].T).max(axis=1) - r.floor)
        return score

    def world(self, tables_dir: Path) -> _World:
        """Give what the tables say goes together; they are read once."""
        if tables_dir not in self._worlds:
            if self.evidence is None:
                raise ModelError("the model was saved without its evidence", advice="Train again: kgbuild train")
            self._worlds[tables_dir] = _World.of(self.model, self.evidence, tables_dir)
        return self._worlds[tables_dir]

    def _score(self, similarity: Floats, base: Floats, text: Integers, snp: Integers) -> Floats:
        r = self.ranking
        direct, block = self._neighbours(base, text, snp, direct=r.direct_weight > 0, block=r.block_weight > 0)
        return np.asarray(similarity + r.direct_weight * direct + r.block_weight * block, dtype=np.float32)

    def _neighbours(self, base: Floats, text: Integers, snp: Integers, *, direct: bool, block: bool) -> tuple[Floats, Floats]:
        nothing = np.zeros(len(text), dtype=np.float32)
        e = self.evidence
        if e is None or not (direct or block):
            return nothing, nothing
        rows = self._evidence_rows[snp]
        floor = self.ranking.floor
        first = _best_cosines(base, self.trait_vectors, text, rows, e.snp_texts, e.snp_starts, floor) - floor if direct else nothing
        blocks = np.where(rows >= 0, e.blocks[rows], -1)
        second = _best_cosines(base, self.trait_vectors, text, blocks, e.block_texts, e.block_starts, floor) - floor if block else nothing
        return first, second

    @cached_property
    def _evidence_rows(self) -> Integers:
        known = self.evidence.snp_rows if self.evidence else {}
        return np.fromiter((known.get(snp, -1) for snp in self.model.snp_ids), dtype=np.int64, count=len(self.model.snp_ids))


def _cosines(left: Floats, left_rows: Integers, right: npt.NDArray[Any], right_rows: Integers) -> Floats:
    """Multiply unit rows pair by pair, some at a time."""
    out = np.empty(len(left_rows), dtype=np.float32)
    for start in range(0, len(left_rows), 16384):
        part = slice(start, start + 16384)
        out[part] = np.einsum("ij,ij->i", left[left_rows[part]], right[right_rows[part]].astype(np.float32))
    return out


def _best_cosines(
    base: Floats, traits: Floats, text: Integers, owner: Integers, members: Integers, starts: Integers, floor: float
) -> Floats:
    """Give each pair the highest cosine between its text and its owner's traits; the floor for an owner of -1 or without any.

    Pairs are taken by text, some hundred texts at a time, so that one product of matrices serves all pairs of a text.
    """
    best = np.full(len(text), floor, dtype=np.float32)
    counts = np.where(owner >= 0, starts[owner + 1] - starts[owner], 0)
    pairs = np.flatnonzero(counts > 0)
    pairs = pairs[np.argsort(text[pairs], kind="stable")]
    for part in _portions(text[pairs], counts[pairs]):
        rows = pairs[part]
        n = counts[rows]
        first = np.concatenate([[0], np.cumsum(n)[:-1]])
        linked = members[np.arange(n.sum()) + np.repeat(starts[owner[rows]] - first, n)]
        used = np.zeros(len(traits), dtype=bool)
        used[linked] = True
        column = np.cumsum(used) - 1
        texts, line = np.unique(text[rows], return_inverse=True)
        cosines = base[texts] @ traits[used].T
        best[rows] = np.maximum.reduceat(cosines.ravel()[np.repeat(line * cosines.shape[1], n) + column[linked]], first)
    return best


def _portions(texts: Integers, counts: Integers, *, most_texts: int = 256, most_links: int = 2_000_000) -> Iterator[slice]:
    """Cut pairs, sorted by text, into portions of few texts and few links.

    >>> list(_portions(np.array([1, 1, 2, 3]), np.array([5, 5, 5, 5]), most_texts=2))
    [slice(0, 3, None), slice(3, 4, None)]
    """
    if not len(texts):
        return
    number = np.cumsum(np.concatenate([[0], texts[1:] != texts[:-1]])) // most_texts
    weight = np.cumsum(counts) // most_links
    cuts = 1 + np.flatnonzero((number[1:] != number[:-1]) | (weight[1:] != weight[:-1]))
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(texts)], strict=True):
        yield slice(start, stop)


# ---------------------------------------------------------------- files of pairs


def score_pairs(
    path: Path, out: Path, scorer: Scorer, *, tables_dir: Path | None = None, progress: Progress | None = None
) -> dict[str, int]:
    """Score a table with the columns `left` and `right`; write its rows, in order, with `similarity`, `score` and `reason`.

    A cell is an rs id, an id of a concept or gene in the tables, or a text. What is not known gets empty cells and a reason.

    Args:
        path: TSV or CSV, gzip or not.
        out: TSV if named so, else delimited as `path` is.
        scorer: The model.
        tables_dir: Where ids are looked up.
        progress: Told the rows done; their number is not known beforehand, so it is 0.

    Returns:
        Rows by reason; `scored` for those that have numbers.

    Raises:
        SourceError: The file cannot be read, or lacks a column.
    """
    resolve = _Resolver(scorer.model, tables_dir)
    counts: Counter[str] = Counter()
    with out.open("w", encoding="utf-8", newline="") as handle:
        delimiter, header, rows = _pair_rows(path)
        writer = csv.writer(handle, delimiter="\t" if out.suffix == ".tsv" else delimiter, lineterminator="\n")
        writer.writerow([*header, "similarity", "score", "reason"])
        for chunk in _chunks(rows):
            results = _score_chunk([(left, right) for _, left, right, _ in chunk], scorer, resolve, [wrong for *_, wrong in chunk])
            writer.writerows([*cells, *result] for (cells, *_), result in zip(chunk, results, strict=True))
            counts.update(reason or "scored" for *_, reason in results)
            if progress is not None:
                progress("score", sum(counts.values()), 0)
    return dict(counts)


_PairRow = tuple[list[str], str, str, str]  # cells, left, right, what is wrong with the row


def _pair_rows(path: Path) -> tuple[str, list[str], Iterator[_PairRow]]:
    delimiter, _ = header_of(head(path, 1))
    with open_text(path) as handle:
        header = next(csv.reader(handle, delimiter=delimiter), [])
    found = resolve_columns(path, header, {"left": ("left",), "right": ("right",)})
    places = header.index(found["left"]), header.index(found["right"])

    def rows() -> Iterator[_PairRow]:
        with open_text(path) as handle:
            reader = csv.reader(handle, delimiter=delimiter)
            next(reader)
            for cells in reader:
                if not cells:
                    continue
                wrong = "" if len(cells) == len(header) else f"{len(cells)} cells instead of {len(header)}"
                if wrong:  # keep every character, in as many cells as the header has
                    cells = [*cells[: len(header) - 1], delimiter.join(cells[len(header) - 1 :])]
                    cells += [""] * (len(header) - len(cells))
                yield cells, cells[places[0]], cells[places[1]], wrong

    return delimiter, header, rows()


def _chunks(rows: Iterator[_PairRow]) -> Iterator[list[_PairRow]]:
    chunk: list[_PairRow] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Resolver:
    """What a cell stands for: ("snp", row), ("text", text), or ("", reason)."""

    def __init__(self, model: Model, tables_dir: Path | None) -> None:
        self._model = model
        self._names = _names_by_id(tables_dir) if tables_dir is not None else {}
        self._forwarded = _forwardings(tables_dir) if tables_dir is not None else {}

    def __call__(self, cell: str) -> tuple[str, int | str]:
        cell = cell.strip()
        if not cell:
            return "", "empty cell"
        snp = variant_id(cell.removeprefix("dbsnp:"))
        if snp is not None:
            row = self._model.snp_rows.get(self._forwarded.get(snp, snp))
            return ("snp", row) if row is not None else ("", f"{cell}: no association in training, nor a locus that has one")
        curie = normalise_curie(cell) if ":" in cell or "_" in cell else None
        if curie is None:
            return "text", cell
        name = self._names.get(self._forwarded.get(curie, curie))
        return ("text", name) if name is not None else ("", f"{cell}: no such id in the tables")


def _names_by_id(folder: Path) -> dict[str, str]:
    concepts = tables.read(folder, "concepts", ["id", "name"]).to_pydict()
    genes = tables.read(folder, "genes", ["id", "symbol"]).to_pydict()
    return dict(zip(genes["id"], genes["symbol"], strict=True)) | dict(zip(concepts["id"], concepts["name"], strict=True))


def _forwardings(folder: Path) -> dict[str, str]:
    if not (folder / "forwardings.parquet").exists():
        return {}
    rows = tables.read(folder, "forwardings", ["old_id", "new_id"]).to_pydict()
    return {normalise_curie(old) or old: new for old, new in zip(rows["old_id"], rows["new_id"], strict=True)}


def _score_chunk(pairs: list[tuple[str, str]], scorer: Scorer, resolve: _Resolver, wrong: list[str]) -> list[tuple[str, str, str]]:
    """Give (similarity, score, reason) as they are written, for each pair."""
    known = {cell: resolve(cell) for cell in {cell for pair in pairs for cell in pair}}
    sides = [(known[left], known[right]) for left, right in pairs]
    reasons = [bad or "; ".join(str(what) for kind, what in side if not kind) for side, bad in zip(sides, wrong, strict=True)]
    texts = sorted({str(what) for kind, what in known.values() if kind == "text"})
    numbers = {text: number for number, text in enumerate(texts)}
    kinds = np.array([("x" if reason else left[0][0] + right[0][0]) for (left, right), reason in zip(sides, reasons, strict=True)])
    rows = np.array([[_number(what, kind, numbers) for kind, what in side] for side in sides], dtype=np.int64).reshape(-1, 2)
    similarity, score = _by_kinds(scorer, texts, kinds, rows)
    return [
        ("", "", reason) if reason else (f"{s:.6f}", f"{r:.6f}", "")
        for reason, s, r in zip(reasons, similarity.tolist(), score.tolist(), strict=True)
    ]


def _number(what: int | str, kind: str, texts: Mapping[str, int]) -> int:
    return texts[str(what)] if kind == "text" else int(what) if kind == "snp" else -1


def _by_kinds(scorer: Scorer, texts: list[str], kinds: npt.NDArray[Any], rows: Integers) -> tuple[Floats, Floats]:
    """Score text-SNP, SNP-text, text-text and SNP-SNP pairs (kinds "ts", "st", "tt", "ss"); others stay 0."""
    similarity = np.zeros(len(rows), dtype=np.float32)
    score = np.zeros(len(rows), dtype=np.float32)
    mixed = (kinds == "ts") | (kinds == "st")
    if mixed.any():
        text = np.where(kinds == "ts", rows[:, 0], rows[:, 1])[mixed]
        snp = np.where(kinds == "ts", rows[:, 1], rows[:, 0])[mixed]
        similarity[mixed], score[mixed] = scorer.text_snp(texts, text, snp)
    for kind in ("tt", "ss"):
        here = kinds == kind
        if here.any():
            vectors = scorer.model.text_vectors(scorer.encode(texts), texts) if kind == "tt" else scorer.model.snp_vectors
            similarity[here] = score[here] = _cosines(vectors[:] if kind == "ss" else vectors, rows[here, 0], vectors, rows[here, 1])
    return similarity, score


# ---------------------------------------------------------------- how good they are


def fit_ranking(scorer: Scorer, split: pd.DataFrame, tables_dir: Path, *, seed: int = 20261121) -> Ranking:
    """Choose the weights of neighbours on the development part; zeros when the gain is less than LEAST_GAIN or may be chance."""
    e = scorer.evidence
    if e is None or not len(e.texts):
        return Ranking()
    mean = scorer.trait_vectors.mean(axis=0)
    floor = round(float(mean @ mean), 4)
    plain = Scorer(scorer.model, scorer.encode, evidence=e, ranking=Ranking(floor=floor))
    plain._trait_vectors, plain._worlds = scorer.trait_vectors, scorer._worlds
    draws = _Draws.of(plain, split, tables_dir, "development", seed=seed)
    if draws is None:
        return Ranking(floor=floor)
    parts = [plain.parts(draws.texts, *side) for side in (draws.positive, draws.other_snp, draws.other_text)]
    each = {}
    for direct in WEIGHTS:
        for block in WEIGHTS:
            scored = [similarity + direct * first + block * second for similarity, first, second in parts]
            each[direct, block] = draws.mean_aucs(*scored)
    best = max(each, key=lambda pair: (round(float(np.nanmean(each[pair])), 4), -sum(pair)))
    gain = each[best] - each[0.0, 0.0]
    helps = float(np.nanmean(gain)) >= LEAST_GAIN and _interval(gain, draws.loci)[0] > 0
    chosen = best if helps else (0.0, 0.0)
    return Ranking(*chosen, floor=floor, gain=round(float(np.nanmean(gain)), 4), n_pairs=draws.n)


def evaluate_snp_traits(
    scorer: Scorer, split: pd.DataFrame, tables_dir: Path, *, part: str = "test", most_pairs: int = 10_000, seed: int = 20261121
) -> dict[str, float]:
    """Measure how well held-out SNP-trait pairs stand out against random ones that are no known pair.

    Negatives come from SNPs and traits that training saw, and are never a known pair, an LD mate of one, or an ancestor or
    descendant of its trait. Beside each AUC stand that of the degree alone (which trait or SNP is popular), and the AUC
    against negatives of the same degree. Intervals (95 %) resample loci.

    Returns:
        Figures by name: `auc_trait` (the SNP is exchanged), `auc_snp` (the trait is exchanged), `..._degree`,
        `..._matched` and `..._seen` (SNPs that training linked to another trait, not only their LD block), for the cosine and, with the prefix `score_`, for the score; `mrr` and `recall_at_10` of the trait among
        all traits, known ones left out; how many held-out pairs there are and how many have a vector.
    """
    figures: dict[str, float] = {"held_out_pairs": int((split["part"] == part).sum())}
    draws = _Draws.of(scorer, split, tables_dir, part, most_pairs=most_pairs, seed=seed)
    if draws is None:
        return figures | {"scored_pairs": 0}
    figures |= {"pairs_with_a_vector": draws.n_with_vector, "scored_pairs": draws.n}
    matched = _Draws.of(scorer, split, tables_dir, part, most_pairs=most_pairs, seed=seed, matched=True)
    for end, drawn in (("", draws), ("_matched", matched)):
        if drawn is None:
            continue
        scored = [scorer.text_snp(drawn.texts, *side) for side in (drawn.positive, drawn.other_snp, drawn.other_text)]
        for number, prefix in enumerate(("", "score_")):
            figures |= drawn.figures(prefix, end, *(values[number] for values in scored))
    figures |= draws.degree_figures()
    figures |= _rank_figures(scorer, draws)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()}


N_NEGATIVES = 20


@dataclass(frozen=True)
class _Draws:
    """Held-out pairs and negatives for them, as rows of `texts` and of the model's SNPs."""

    texts: list[str]
    n_with_vector: int
    loci: npt.NDArray[Any]  # of each positive
    positive: tuple[Integers, Integers]  # (n,) text, SNP
    other_snp: tuple[Integers, Integers]  # (n * N_NEGATIVES,)
    other_text: tuple[Integers, Integers]
    valid_snp: npt.NDArray[np.bool_]  # (n, N_NEGATIVES)
    valid_text: npt.NDArray[np.bool_]
    snp_degree: Integers  # by row of the model
    text_degree: Integers  # by row of texts
    world: _World

    @classmethod
    def of(
        cls, scorer: Scorer, split: pd.DataFrame, tables_dir: Path, part: str, *, most_pairs: int = 10_000, seed: int, matched: bool = False
    ) -> _Draws | None:
        """Draw them; None when no held-out pair has a vector."""
        if scorer.evidence is None:
            return None
        world = scorer.world(tables_dir)
        held = split[split["part"] == part]
        held = held[[variant in scorer.model.snp_rows for variant in held["variant_id"].tolist()]]
        held = held.drop_duplicates(["object_name", "variant_id"])
        n_with_vector = len(held)
        if not n_with_vector:
            return None
        if len(held) > most_pairs:
            held = held.sample(most_pairs, random_state=seed)
        random = np.random.default_rng(seed)
        texts = [*scorer.evidence.texts]
        numbers = {text: number for number, text in enumerate(texts)}
        text = np.array([numbers.setdefault(name, len(numbers)) for name in held["object_name"]], dtype=np.int64)
        snp = np.array([scorer.model.snp_rows[variant] for variant in held["variant_id"]], dtype=np.int64)
        world = world.with_texts(list(numbers), dict(zip(held["object_name"], held["trait_group"], strict=True)))
        other_snp, valid_snp = world.draw_snps(text, snp, random, matched=matched)
        other_text, valid_text = world.draw_texts(text, snp, random, matched=matched)
        return cls(
            texts=list(numbers),
            n_with_vector=n_with_vector,
            loci=held["locus"].to_numpy(dtype=object),
            positive=(text, snp),
            other_snp=(np.repeat(text, N_NEGATIVES), other_snp.ravel()),
            other_text=(other_text.ravel(), np.repeat(snp, N_NEGATIVES)),
            valid_snp=valid_snp,
            valid_text=valid_text,
            snp_degree=world.snp_degree,
            text_degree=world.text_degree,
            world=world,
        )

    @property
    def n(self) -> int:
        return len(self.positive[0])

    def each_auc(self, positive: Floats, other: Floats, valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Give each positive the share of its negatives that lie below it, ties half."""
        others = other.reshape(valid.shape)
        wins = (positive[:, None] > others) + 0.5 * (positive[:, None] == others)
        with np.errstate(invalid="ignore"):
            return np.asarray((wins * valid).sum(axis=1) / valid.sum(axis=1))

    def mean_aucs(self, positive: Floats, other_snp: Floats, other_text: Floats) -> npt.NDArray[np.float64]:
        """Give each positive the mean of its two shares."""
        return (self.each_auc(positive, other_snp, self.valid_snp) + self.each_auc(positive, other_text, self.valid_text)) / 2

    def figures(self, prefix: str, end: str, positive: Floats, other_snp: Floats, other_text: Floats) -> dict[str, float]:
        out: dict[str, float] = {}
        for name, other, valid in (("trait", other_snp, self.valid_snp), ("snp", other_text, self.valid_text)):
            values = self.each_auc(positive, other, valid)
            out[f"{prefix}auc_{name}{end}"] = float(np.nanmean(values))
            if not end:
                out[f"{prefix}auc_{name}_low"], out[f"{prefix}auc_{name}_high"] = _interval(values, self.loci)
                out[f"{prefix}auc_{name}_seen"] = float(np.nanmean(values[self.seen])) if self.seen.any() else float("nan")
        return out

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Tell which positives have a SNP that training linked to another trait; the others have their LD block only."""
        return np.asarray(self.snp_degree[self.positive[1]] > 0)

    def degree_figures(self) -> dict[str, float]:
        snps, texts = self.snp_degree.astype(np.float32), self.text_degree.astype(np.float32)
        return {
            "auc_trait_degree": float(np.nanmean(self.each_auc(snps[self.positive[1]], snps[self.other_snp[1]], self.valid_snp))),
            "auc_snp_degree": float(np.nanmean(self.each_auc(texts[self.positive[0]], texts[self.other_text[0]], self.valid_text))),
        }


def _interval(values: npt.NDArray[np.float64], units: npt.NDArray[Any], *, resamples: int = 500, seed: int = 0) -> tuple[float, float]:
    """Give the 95 % interval of a mean under resampling of units."""
    known = np.isfinite(values)
    names, unit = np.unique(units[known].astype(str), return_inverse=True)
    if len(names) < 2:
        return float("nan"), float("nan")
    sums, sizes = np.bincount(unit, weights=values[known]), np.bincount(unit)
    drawn = np.random.default_rng(seed).integers(0, len(names), (resamples, len(names)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _rank_figures(scorer: Scorer, draws: _Draws, *, most_pairs: int = 500) -> dict[str, float]:
    """Rank the held-out trait of a SNP among all traits of training; known and related ones are left out."""
    n_texts = len(scorer.evidence.texts) if scorer.evidence else 0
    in_training = np.flatnonzero(draws.positive[0] < n_texts)[:most_pairs]
    if not len(in_training) or n_texts < 2:
        return {}
    vectors = scorer.model.text_vectors(scorer.trait_vectors, draws.texts[:n_texts])
    ranks: dict[str, list[float]] = {"": [], "score_": []}
    for text, snp in zip(draws.positive[0][in_training].tolist(), draws.positive[1][in_training].tolist(), strict=True):
        allowed = ~draws.world.known(np.arange(n_texts), np.full(n_texts, snp))
        similarity = vectors @ scorer.model.snp_vectors[snp].astype(np.float32)
        for prefix, values in (("", similarity), ("score_", scorer.ranked(similarity, snp))):
            own = values[text]
            ranks[prefix].append(1 + float(((values > own) & allowed).sum()) + 0.5 * float(((values == own) & allowed).sum()))
    out = {}
    for prefix, of_pairs in ranks.items():
        out[f"{prefix}mrr"] = float(np.mean(1 / np.array(of_pairs)))
        out[f"{prefix}recall_at_10"] = float(np.mean(np.array(of_pairs) <= 10))
    return out


@dataclass(frozen=True)
class _World:
    """What is known to go together, as (trait group, locus): a negative must not be one of these."""

    snp_degree: Integers
    text_degree: Integers
    seen_snps: Integers  # rows of the model that a trait task names
    n_seen_texts: int
    text_group: Integers  # of each text
    snp_locus: Integers  # of each row of the model
    n_loci: int
    taken: Integers  # sorted group * n_loci + locus, relatives of known groups included
    group_numbers: Mapping[str, int]

    @classmethod
    def of(cls, model: Model, evidence: Evidence, tables_dir: Path) -> _World:
        import pyarrow.compute as pc

        columns = ["kind", "variant_id", "object_id", "object_name", "term_ids", "term_relation", "named_term_ids"]
        rows = tables.read(tables_dir, "associations", columns)
        rows = rows.filter(pc.not_equal(rows["kind"], "eqtl"))
        loci = loci_of(tables.read(tables_dir, "variants", ["id", "kind", "chromosome", "position", "locus", "in_mhc"]))
        groups = trait_groups(rows)
        names = dict(zip(rows["object_name"].to_pylist(), rows["object_id"].to_pylist(), strict=True))
        labels = _names_by_id(tables_dir)
        by_label: dict[str, str] = {label: id_ for id_, label in labels.items()}
        group_of = {name: groups[object_id] for name, object_id in names.items()}
        locus_numbers: dict[str, int] = {}
        snp_locus = np.array([locus_numbers.setdefault(loci.get(snp) or snp, len(locus_numbers)) for snp in model.snp_ids], dtype=np.int64)
        group_numbers: dict[str, int] = {}
        text_groups = [group_of.get(text) or by_label.get(text, f"name:{text}") for text in evidence.texts]
        text_group = np.array([group_numbers.setdefault(group, len(group_numbers)) for group in text_groups], dtype=np.int64)
        units = {
            (group_numbers.setdefault(groups[trait], len(group_numbers)), locus_numbers[loci.get(snp) or snp])
            for trait, snp in zip(rows["object_id"].to_pylist(), rows["variant_id"].to_pylist(), strict=True)
            if (loci.get(snp) or snp) in locus_numbers
        }
        taken = _with_relatives(units, group_numbers, tables_dir)
        known = evidence.snp_rows
        degrees = evidence.snp_degrees
        snp_degree = np.array([degrees[known[snp]] if snp in known else 0 for snp in model.snp_ids], dtype=np.int64)
        keys = np.unique(taken[:, 0] * len(locus_numbers) + taken[:, 1])
        return cls(
            snp_degree,
            evidence.text_degrees,
            np.flatnonzero(snp_degree > 0),
            len(evidence.texts),
            text_group,
            snp_locus,
            len(locus_numbers),
            keys,
            group_numbers,
        )

    def with_texts(self, texts: list[str], groups: Mapping[str, str]) -> _World:
        """Append held-out texts that training did not see."""
        from dataclasses import replace

        new = texts[self.n_seen_texts :]
        numbers = [self.group_numbers.get(groups[text], -1) for text in new]
        return replace(
            self,
            text_group=np.concatenate([self.text_group, np.array(numbers, dtype=np.int64)]),
            text_degree=np.concatenate([self.text_degree, np.zeros(len(new), dtype=np.int64)]),
        )

    def known(self, text: Integers, snp: Integers) -> npt.NDArray[np.bool_]:
        """Tell which pairs are known, or an LD mate or a relative of known ones."""
        keys = self.text_group[text] * self.n_loci + self.snp_locus[snp]
        at = np.minimum(np.searchsorted(self.taken, keys), max(0, len(self.taken) - 1))
        return self.taken[at] == keys if len(self.taken) else np.zeros(len(keys), dtype=bool)

    def draw_snps(
        self, text: Integers, snp: Integers, random: np.random.Generator, *, matched: bool
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Draw SNPs for each text; those that are known to go with it are drawn again, some times."""
        draw = _drawer(self.seen_snps, self.snp_degree, snp, random, matched=matched)
        return _redrawn(draw, lambda other: self.known(np.repeat(text, N_NEGATIVES), other.ravel()).reshape(other.shape))

    def draw_texts(
        self, text: Integers, snp: Integers, random: np.random.Generator, *, matched: bool
    ) -> tuple[Integers, npt.NDArray[np.bool_]]:
        """Draw texts for each SNP likewise."""
        draw = _drawer(np.arange(self.n_seen_texts), self.text_degree, text, random, matched=matched)
        return _redrawn(draw, lambda other: self.known(other.ravel(), np.repeat(snp, N_NEGATIVES)).reshape(other.shape))


def _drawer(pool: Integers, degree: Integers, anchor: Integers, random: np.random.Generator, *, matched: bool) -> Callable[[], Integers]:
    """Give a function that draws N_NEGATIVES of the pool for each anchor, from its own bin of degrees if `matched`."""
    if not matched:
        return lambda: pool[random.integers(0, len(pool), (len(anchor), N_NEGATIVES))]
    bins = _degree_bins(degree)
    ordered = pool[np.argsort(bins[pool], kind="stable")]
    first = np.searchsorted(bins[ordered], bins[anchor], side="left")
    last = np.searchsorted(bins[ordered], bins[anchor], side="right")
    # an anchor of a degree that nothing in training has takes the nearest one
    first = np.minimum(first, len(ordered) - 1)
    size = np.maximum(1, last - first)
    return lambda: ordered[first[:, None] + (random.random((len(anchor), N_NEGATIVES)) * size[:, None]).astype(np.int64)]


def _degree_bins(degree: Integers) -> Integers:
    """Bin degrees: each its own up to 8, then by eighths of an octave.

    >>> _degree_bins(np.array([0, 1, 2, 8, 100, 101])).tolist()
    [0, 1, 2, 8, 37, 37]
    """
    return np.where(degree <= 8, degree, 8 + (8 * np.log2(np.maximum(degree, 8) / 8)).astype(np.int64))


def _redrawn(draw: Callable[[], Integers], known: Callable[[Integers], npt.NDArray[np.bool_]]) -> tuple[Integers, npt.NDArray[np.bool_]]:
    other = draw()
    bad = known(other)
    for _ in range(5):
        if not bad.any():
            break
        other = np.where(bad, draw(), other)
        bad = known(other)
    return other, ~bad


def _with_relatives(units: Iterable[tuple[int, int]], group_numbers: Mapping[str, int], tables_dir: Path) -> Integers:
    """Add, for each known (group, locus), the same locus with each ancestor and descendant of the group."""
    related = _relatives(group_numbers, tables_dir)
    rows = [(relative, locus) for group, locus in units for relative in (group, *related.get(group, ()))]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _relatives(group_numbers: Mapping[str, int], tables_dir: Path) -> dict[int, list[int]]:
    """Give the ancestors and descendants of each group that are groups too."""
    import pyarrow.compute as pc

    relations = tables.read(tables_dir, "relations", ["subject_id", "predicate", "object_id"])
    relations = relations.filter(pc.equal(relations["predicate"], "IS_A"))
    parents: dict[str, list[str]] = {}
    for child, parent in zip(relations["subject_id"].to_pylist(), relations["object_id"].to_pylist(), strict=True):
        parents.setdefault(child, []).append(parent)
    related: dict[int, list[int]] = {}
    for group, number in group_numbers.items():
        above: set[str] = set()
        waiting = list(parents.get(group, ()))
        while waiting:
            term = waiting.pop()
            if term not in above:
                above.add(term)
                waiting += parents.get(term, ())
        for ancestor in sorted(above & group_numbers.keys()):
            related.setdefault(number, []).append(group_numbers[ancestor])
            related.setdefault(group_numbers[ancestor], []).append(number)
    return related
