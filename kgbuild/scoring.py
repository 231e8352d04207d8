"""Pairs in, the same pairs with a cosine and a ranking score out.

`similarity` is the cosine in the model's space. `score` is the same for two SNPs; for two texts see `kgbuild.relatedness` (a concept and a gene or drug) and
`kgbuild.synonymy` (any other two). For a text and a SNP it adds
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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.draws import Draws, World, interval
from kgbuild.errors import ModelError
from kgbuild.evidence import Evidence
from kgbuild.relatedness import Relatedness, pair_cosines
from kgbuild.sources.delimited import head, header_of, open_text, resolve_columns
from kgbuild.synonymy import Synonymy
from kgbuild.vocabulary import normalise_curie, variant_id

if TYPE_CHECKING:
    import pandas as pd

    from embedder import Model
    from embedder.encoder import Progress

    Encode = Callable[[list[str]], npt.NDArray[np.float32]]

__all__ = ["Ranking", "Resolver", "Scorer", "fit_ranking", "score_pairs"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

CHUNK = 131_072  # rows of a pair file that are held at a time
WEIGHTS = (0.0, 0.25, 0.5, 1.0)  # what is tried for each of the two; a finer grid moved no figure
LEAST_GAIN = 0.002  # in mean AUC on the development split, for neighbours to be used


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
        self._worlds: dict[Path, World] = {}

    @property
    def trait_vectors(self) -> Floats:
        """Unit vectors of the evidence's texts in the base encoder's space."""
        from embedder import unit_rows

        if self._trait_vectors is None:
            self._trait_vectors = unit_rows(self.encode(list(self.evidence.texts if self.evidence else ())))
        return self._trait_vectors

    relatedness: Relatedness | None = None  # for pairs of a concept and a gene or drug
    synonymy: Synonymy | None = None  # for any other two texts; without it their score is the similarity

    def text_text(self, texts: list[str], left: Integers, right: Integers) -> tuple[Floats, Floats]:
        """Give similarity and score of pairs of texts: `left` and `right` are rows of `texts`."""
        from embedder import unit_rows

        base = unit_rows(self.encode(texts))
        similarity = pair_cosines(self.model.text_vectors(base, texts), left, right)
        named = similarity if self.synonymy is None else self.synonymy.score(texts, left, right)
        if self.relatedness is None:
            return similarity, named
        related = self.relatedness.score(texts, base, similarity, left, right)
        return similarity, np.where(related == similarity, named, related)  # what it does not know keeps its similarity, to the bit

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

    def world(self, tables_dir: Path) -> World:
        """Give what the tables say goes together; they are read once."""
        if tables_dir not in self._worlds:
            if self.evidence is None:
                raise ModelError("the model was saved without its evidence", advice="Train again: kgbuild train")
            self._worlds[tables_dir] = World.of(self.model, self.evidence, tables_dir)
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
    resolve = Resolver(scorer.model, tables_dir)
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


class Resolver:
    """Say what a cell stands for: ("snp", row), ("text", text), or ("", reason)."""

    def __init__(self, model: Model, tables_dir: Path | None) -> None:
        self._model = model
        self._names = tables.names_by_id(tables_dir) if tables_dir is not None else {}
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


def _forwardings(folder: Path) -> dict[str, str]:
    if not (folder / "forwardings.parquet").exists():
        return {}
    rows = tables.read(folder, "forwardings", ["old_id", "new_id"]).to_pydict()
    return {normalise_curie(old) or old: new for old, new in zip(rows["old_id"], rows["new_id"], strict=True)}


def _score_chunk(pairs: list[tuple[str, str]], scorer: Scorer, resolve: Resolver, wrong: list[str]) -> list[tuple[str, str, str]]:
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
    here = kinds == "tt"
    if here.any():
        similarity[here], score[here] = scorer.text_text(texts, rows[here, 0], rows[here, 1])
    here = kinds == "ss"
    if here.any():
        vectors = scorer.model.snp_vectors
        similarity[here] = score[here] = _cosines(vectors[:], rows[here, 0], vectors, rows[here, 1])
    return similarity, score


# ---------------------------------------------------------------- how neighbours enter


def fit_ranking(scorer: Scorer, split: pd.DataFrame, tables_dir: Path, *, seed: int = 20261121) -> Ranking:
    """Choose the weights of neighbours on the development part; zeros when the gain is less than LEAST_GAIN or may be chance."""
    e = scorer.evidence
    if e is None or not len(e.texts):
        return Ranking()
    mean = scorer.trait_vectors.mean(axis=0)
    floor = round(float(mean @ mean), 4)
    plain = Scorer(scorer.model, scorer.encode, evidence=e, ranking=Ranking(floor=floor))
    plain._trait_vectors, plain._worlds = scorer.trait_vectors, scorer._worlds
    draws = Draws.of(plain.world(tables_dir), split, "development", seed=seed)
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
    helps = float(np.nanmean(gain)) >= LEAST_GAIN and interval(gain, draws.loci)[0] > 0
    chosen = best if helps else (0.0, 0.0)
    return Ranking(*chosen, floor=floor, gain=round(float(np.nanmean(gain)), 4), n_pairs=draws.n)
