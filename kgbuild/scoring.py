"""Pairs in, the same pairs with a cosine and a ranking score out.

`similarity` is the cosine in the model's space. `score` is the same for two SNPs; for two texts see `kgbuild.relatedness` (a
concept and a gene or drug) and `kgbuild.synonymy` (any other two). For a text and a SNP it is a small network of features
(`kgbuild.signals`), which come in parts that can be switched off: the similarity; neighbours, that is how alike the text is to
what is linked to the SNP, its LD block and its region; degree, that is how much is known of the text, the SNP and its locus;
effect, that is how large the SNP's odds ratio for the trait is expected to be.
It is fitted on pairs that the model was not trained on (`kgbuild.ranking`) and lies in the model's folder as ranking.json;
without that the score is the similarity.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.draws import World
from kgbuild.effects import Effects
from kgbuild.errors import ModelError
from kgbuild.evidence import Evidence
from kgbuild.ranking import EFFECT, Ranking
from kgbuild.relatedness import Relatedness, pair_cosines
from kgbuild.signals import PARTS, Encode, Signals, cosines
from kgbuild.sources.delimited import head, header_of, open_text, resolve_columns
from kgbuild.synonymy import Synonymy
from kgbuild.vocabulary import normalise_curie, variant_id

if TYPE_CHECKING:
    from embedder import Model
    from embedder.encoder import Progress

__all__ = ["NEARBY", "Resolver", "Scorer", "score_pairs"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

CHUNK = 524_288  # rows of a pair file that are held at a time; texts of one chunk share their products with what is known


# ---------------------------------------------------------------- similarity and score


class Scorer:
    """A model with what its score needs; `encode` gives the base encoder's vectors of texts, `parts` are those that count."""

    def __init__(
        self,
        model: Model,
        encode: Encode,
        *,
        evidence: Evidence | None = None,
        effects: Effects | None = None,
        ranking: Ranking | None = None,
        parts: Sequence[str] = tuple(PARTS),
    ) -> None:
        self.model, self.encode, self.evidence = model, encode, evidence
        self.ranking = ranking or Ranking()
        self.parts = tuple(parts)
        self.signals = Signals(model, encode, evidence, effects) if evidence is not None else None
        self._worlds: dict[Path, World] = {}

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
        """Give similarity and score of pairs: `text` are rows of `texts`, `snp` rows of the model, or of `nearby`.

        A SNP without a vector has no similarity (NaN), and the score of the other parts.
        """
        from embedder import unit_rows

        if self.signals is None or not self.ranking.networks:
            vectors = self.model.text_vectors(unit_rows(self.encode(texts)), texts)
            similarity = cosines(vectors, text, self.model.snp_vectors, snp)
            return similarity, similarity
        features = self.signals(texts, text, snp)
        return features[:, 0], self._scores(features)

    def contributions(self, texts: list[str], text: Integers, snp: Integers) -> dict[str, Floats]:
        """Give what each part adds to the score of pairs; they sum to it."""
        if self.signals is None or not self.ranking.networks:
            return {}
        features = self.signals(texts, text, snp)
        added = {part: np.full(len(features), np.nan, dtype=np.float32) for part in self.parts}
        for rows, parts in self._by_parts(features):
            for part, values in self.ranking.contributions(features[rows], parts).items():
                added[part][rows] = values
        return added

    def _scores(self, features: Floats) -> Floats:
        score = np.full(len(features), np.nan, dtype=np.float32)
        for rows, parts in self._by_parts(features):
            score[rows] = self.ranking.score(features[rows], parts)
        return score

    def _by_parts(self, features: Floats) -> Iterator[tuple[npt.NDArray[np.bool_], Sequence[str]]]:
        """Give the rows that have all the parts, and those without a vector with the others."""
        placed = np.isfinite(features[:, 0])
        for rows, parts in ((placed, self.parts), (~placed, tuple(part for part in self.parts if part != "similarity"))):
            if parts and rows.any():
                yield rows, parts

    def expected_sizes(self, texts: list[str], text: Integers, snp: Integers) -> Floats | None:
        """Give the expected |log OR| of pairs in standard deviations from the mean: the part `effect` alone. None where none was fitted."""
        if self.signals is None or self.signals.effects is None or not self.signals.effects.weights or not self.ranking.networks:
            return None
        return self.ranking.score(self.signals(texts, text, snp), (EFFECT,))

    @property
    def nearby(self) -> dict[str, int]:
        """Rows of SNPs that have no vector, but something that is known near them."""
        return self.signals.nearby if self.signals is not None and self.ranking.networks else {}

    @property
    def trait_vectors(self) -> Floats:
        """Unit vectors of the evidence's texts in the base encoder's space."""
        return self.signals.base if self.signals is not None else np.zeros((0, self.model.dimension), dtype=np.float32)

    def ranked(self, similarity: Floats, snp: int) -> Floats:
        """Give the scores of all the evidence's texts for one SNP, from their similarities."""
        if self.signals is None or not self.ranking.networks:
            return similarity
        texts = np.arange(len(similarity))
        return self.ranking.score(self.signals.of_known(texts, np.full(len(texts), snp)), self.parts)

    def world(self, tables_dir: Path) -> World:
        """Give what the tables say goes together; they are read once."""
        if tables_dir not in self._worlds:
            if self.evidence is None:
                raise ModelError("the model was saved without its evidence", advice="Train again: kgbuild train")
            self._worlds[tables_dir] = World.of(self.model, self.evidence, tables_dir)
        return self._worlds[tables_dir]


# ---------------------------------------------------------------- files of pairs


def score_pairs(
    path: Path,
    out: Path,
    scorer: Scorer,
    *,
    tables_dir: Path | None = None,
    parts: bool = False,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Score a table with the columns `left` and `right`; write its rows, in order, with `similarity`, `score` and `reason`.

    A cell is an rs id, an id of a concept or gene in the tables, or a text. What is not known gets empty cells and a reason.

    Args:
        path: TSV or CSV, gzip or not.
        out: TSV if named so, else delimited as `path` is.
        scorer: The model.
        tables_dir: Where ids are looked up.
        parts: Whether `part_...` columns follow, with what each part adds to the score of a text and a SNP.
        progress: Told the rows done; their number is not known beforehand, so it is 0.

    Returns:
        Rows by reason; `scored` for those that have numbers.

    Raises:
        SourceError: The file cannot be read, or lacks a column.
    """
    resolve = Resolver(scorer.model, tables_dir, scorer.nearby)
    counts: Counter[str] = Counter()
    with out.open("w", encoding="utf-8", newline="") as handle:
        delimiter, header, rows = _pair_rows(path)
        writer = csv.writer(handle, delimiter="\t" if out.suffix == ".tsv" else delimiter, lineterminator="\n")
        shown = scorer.parts if parts else ()
        writer.writerow([*header, "similarity", "score", "reason", *(f"part_{part}" for part in shown)])
        for chunk in _chunks(rows):
            results = _score_chunk([(left, right) for _, left, right, _ in chunk], scorer, resolve, [wrong for *_, wrong in chunk], shown)
            writer.writerows([*cells, *result] for (cells, *_), result in zip(chunk, results, strict=True))
            counts.update(result[2] or "scored" for result in results)
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

    def __init__(self, model: Model, tables_dir: Path | None, nearby: Mapping[str, int] | None = None) -> None:
        self._model, self._nearby = model, nearby or {}
        self._names = tables.names_by_id(tables_dir) if tables_dir is not None else {}
        self._forwarded = _forwardings(tables_dir) if tables_dir is not None else {}

    def __call__(self, cell: str) -> tuple[str, int | str]:
        cell = cell.strip()
        if not cell:
            return "", "empty cell"
        snp = variant_id(cell.removeprefix("dbsnp:"))
        if snp is not None:
            snp = self._forwarded.get(snp, snp)
            row = self._model.snp_rows.get(snp, self._nearby.get(snp))
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


def _score_chunk(
    pairs: list[tuple[str, str]], scorer: Scorer, resolve: Resolver, wrong: list[str], shown: Sequence[str]
) -> list[list[str]]:
    """Give similarity, score, reason, and what the parts add, as they are written, for each pair."""
    known = {cell: resolve(cell) for cell in {cell for pair in pairs for cell in pair}}
    sides = [(known[left], known[right]) for left, right in pairs]
    reasons = [bad or "; ".join(str(what) for kind, what in side if not kind) for side, bad in zip(sides, wrong, strict=True)]
    texts = sorted({str(what) for kind, what in known.values() if kind == "text"})
    numbers = {text: number for number, text in enumerate(texts)}
    kinds = np.array([("x" if reason else left[0][0] + right[0][0]) for (left, right), reason in zip(sides, reasons, strict=True)])
    rows = np.array([[_number(what, kind, numbers) for kind, what in side] for side in sides], dtype=np.int64).reshape(-1, 2)
    similarity, score, added = _by_kinds(scorer, texts, kinds, rows, shown)
    none = [""] * (2 + len(shown))
    return [
        [*none[:2], reason, *none[2:]] if reason else [_number_text(s), _number_text(r), _why(s, r), *map(_number_text, more)]
        for reason, s, r, more in zip(reasons, similarity.tolist(), score.tolist(), added.tolist(), strict=True)
    ]


NEARBY = "no vector: the score is of what is known near the SNP"


def _why(similarity: float, score: float) -> str:
    return "" if similarity == similarity else NEARBY if score == score else "no vector of a SNP"


def _number_text(value: float) -> str:
    return "" if value != value else f"{value:.6f}"


def _number(what: int | str, kind: str, texts: Mapping[str, int]) -> int:
    return texts[str(what)] if kind == "text" else int(what) if kind == "snp" else -1


def _by_kinds(
    scorer: Scorer, texts: list[str], kinds: npt.NDArray[Any], rows: Integers, shown: Sequence[str]
) -> tuple[Floats, Floats, Floats]:
    """Score text-SNP, SNP-text, text-text and SNP-SNP pairs (kinds "ts", "st", "tt", "ss"); others stay 0.

    The third array, (pairs, parts), is NaN where a score has no parts.
    """
    similarity = np.zeros(len(rows), dtype=np.float32)
    score = np.zeros(len(rows), dtype=np.float32)
    added = np.full((len(rows), len(shown)), np.nan, dtype=np.float32)
    mixed = (kinds == "ts") | (kinds == "st")
    if mixed.any():
        text = np.where(kinds == "ts", rows[:, 0], rows[:, 1])[mixed]
        snp = np.where(kinds == "ts", rows[:, 1], rows[:, 0])[mixed]
        similarity[mixed], score[mixed] = scorer.text_snp(texts, text, snp)
        contributions = scorer.contributions(texts, text, snp) if shown else {}
        for column, part in enumerate(shown):
            if part in contributions:
                added[mixed, column] = contributions[part]
    here = kinds == "tt"
    if here.any():
        similarity[here], score[here] = scorer.text_text(texts, rows[here, 0], rows[here, 1])
    here = kinds == "ss"
    if here.any():
        vectors = scorer.model.snp_vectors
        placed = here & (rows < len(vectors)).all(axis=1)
        similarity[here], score[here] = np.nan, np.nan
        similarity[placed] = score[placed] = cosines(vectors[:], rows[placed, 0], vectors, rows[placed, 1])
    return similarity, score, added
