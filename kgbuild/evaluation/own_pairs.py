"""Files of anybody's own pairs in, figures out: beside others that are drawn, by their own labels, and by their odds ratios."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kgbuild.errors import UsageError
from kgbuild.evaluation import concepts
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.odds_ratios import compare_effects, rows_by_gap
from kgbuild.evaluation.pair_files import PairFile, as_held_out, read_pairs
from kgbuild.evaluation.section import Section
from kgbuild.evaluation.snp_traits import measure, rows_of
from kgbuild.scoring import Resolver, Scorer

__all__ = ["evaluate"]

Array = npt.NDArray[Any]

COLUMNS = {
    "what": "pairs", "against": "against", "anchor": "anchored on", "ranked_by": "ranked by", "n": "n", "auc": "AUC", "interval": "95 %",
    "weighted": "AUC, weighted", "matched": "AUC, same degree", "mrr": "MRR", "recall_at_1": "R@1", "recall_at_10": "R@10", "reason": "why not",
}  # fmt: skip
NAMES = ("what", "against", "anchor", "ranked_by")


def evaluate(evaluated: Evaluated) -> Section:
    """Evaluate pairs of texts, ids and rs ids.

    A text and a SNP stand against SNPs and traits of training, as in the table snp-trait. Two texts, or two SNPs, stand against
    the other values of the file's column. With a label, pairs of 1 stand against those of 0; with an odds ratio, the stronger
    SNP of a text against the weaker.

    Raises:
        UsageError: No file is named.
        WorkspaceError: There is no model that places SNPs.
        SourceError: A file is not what it should be.
    """
    if not evaluated.options.files:
        raise UsageError("no file of pairs is named", advice="kgbuild evaluate pairs FILE --anchor left (columns left, right)")
    scorer, _ = evaluated.model()
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for path in evaluated.options.files:
        pairs = read_pairs(path)
        sides = _Sides.of(pairs, scorer, evaluated)
        notes.append(sides.account(pairs))
        for part in (_drawn_beside_training, _drawn_beside_the_file, _by_label, _by_odds_ratio):
            rows += [{"what": path.name, **row} for row in part(pairs, sides, scorer, evaluated)]
    return Section("Own pairs", COLUMNS, rows, NAMES, notes)


class _Sides:
    """What each pair of a file is: its kind ("text-snp", "snp-text", "text-text", "snp-snp", or "" with a reason) and its scores."""

    def __init__(self, kinds: Array, reasons: Counter[str], similarity: Array, score: Array) -> None:
        self.kinds, self.reasons, self.similarity, self.score = kinds, reasons, similarity, score

    @classmethod
    def of(cls, pairs: PairFile, scorer: Scorer, evaluated: Evaluated) -> _Sides:
        resolve = Resolver(scorer.model, evaluated.tables_dir)
        known = {cell: resolve(cell) for cell in {*pairs.left, *pairs.right}}
        texts = sorted({str(what) for kind, what in known.values() if kind == "text"})
        numbers = {text: number for number, text in enumerate(texts)}
        sides = [(known[left], known[right]) for left, right in zip(pairs.left, pairs.right, strict=True)]
        reasons = Counter(str(what) for pair in sides for kind, what in pair if not kind)
        kinds = np.array([f"{one[0]}-{other[0]}" if one[0] and other[0] else "" for one, other in sides], dtype=object)
        place = np.array([[numbers.get(str(what), -1) if kind != "snp" else int(what) for kind, what in pair] for pair in sides], np.int64)
        similarity, score = (np.full(len(sides), np.nan) for _ in range(2))
        for kind in ("text-snp", "snp-text"):
            chosen = kinds == kind
            if chosen.any():
                text, snp = place[chosen].T if kind == "text-snp" else place[chosen][:, ::-1].T
                similarity[chosen], score[chosen] = scorer.text_snp(texts, text, snp)
        chosen = kinds == "text-text"
        if chosen.any():
            similarity[chosen], score[chosen] = scorer.text_text(texts, *place[chosen].T)
        chosen = kinds == "snp-snp"
        if chosen.any():
            one, other = (scorer.model.snp_vectors[rows].astype(np.float32) for rows in place[chosen].T)
            similarity[chosen] = score[chosen] = np.einsum("ij,ij->i", one, other)
        return cls(kinds, reasons, similarity, score)

    def account(self, pairs: PairFile) -> str:
        """Say what became of the rows."""
        counted = ", ".join(f"{n:,} {kind}" for kind, n in Counter(kind for kind in self.kinds if kind).items())
        unknown = int((self.kinds == "").sum())
        first = f", the first: {next(iter(self.reasons))}" if self.reasons else ""
        return f"{pairs.path.name}: {len(self.kinds):,} rows: {counted or 'none'}; {unknown:,} not known to the model{first}."


def _anchors(anchor: str) -> tuple[str, ...]:
    return ("left", "right") if anchor == "both" else (anchor,)


def _drawn_beside_training(pairs: PairFile, sides: _Sides, scorer: Scorer, evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    for kind in ("text-snp", "snp-text"):
        chosen = np.flatnonzero(sides.kinds == kind)
        if not len(chosen):
            continue
        given = _part(pairs, chosen)
        measured = measure(scorer, as_held_out(given, scorer, evaluated.tables_dir), evaluated.tables_dir, evaluated.options)
        anchors = {"trait": kind.split("-").index("text"), "snp": kind.split("-").index("snp")}
        for row in rows_of("", [measured] if measured else [], evaluated.options):
            side = ("left", "right")[anchors[row["anchor"]]] if "anchor" in row else None
            if side is None or side in _anchors(evaluated.options.anchor):
                yield {**row, "against": f"those of training{row['what']}", "anchor": side and f"{side} ({row['anchor']})"} | {
                    "what": pairs.path.name
                }


def _part(pairs: PairFile, rows: Array) -> PairFile:
    left, right = ([side[row] for row in rows] for side in (pairs.left, pairs.right))
    numbers = {"label": pairs.label[rows], "weight": pairs.weight[rows], "odds_ratio": pairs.odds_ratio[rows]}
    return PairFile(pairs.path, left, right, **numbers, columns=pairs.columns)


def _drawn_beside_the_file(pairs: PairFile, sides: _Sides, scorer: Scorer, evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    import pandas as pd

    options = evaluated.options
    for kind in ("text-text", "snp-snp"):
        chosen = np.flatnonzero((sides.kinds == kind) & (pairs.label == 1))
        if not len(chosen):
            continue
        named = {f"{side}_name": [getattr(pairs, side)[row] for row in chosen] for side in ("left", "right")}
        frame = pd.DataFrame(named).drop_duplicates()
        values, _ = pd.factorize(pd.concat([frame["left_name"], frame["right_name"]]))
        frame["left"], frame["right"] = np.split(values, 2)
        frame = frame.assign(table="left-right", left_id=frame["left"], right_id=frame["right"])
        world = concepts.World.of(frame, frame[:0], "left-right")
        resolve = Resolver(scorer.model, evaluated.tables_dir)
        what = [resolve(name)[1] for name in world.texts]
        scores = _scores_of(kind, what, scorer)
        made = concepts.evaluate_pairs(
            "left-right",
            world,
            frame,
            scores,
            draws=options.draws,
            resamples=options.resamples,
            seed=options.seed,
            most_pairs=options.most_pairs,
        )
        yield from (
            {**row, "against": "those of the file"} | {"what": pairs.path.name} for row in made if row["anchor"] in _anchors(options.anchor)
        )


def _scores_of(kind: str, what: list[Any], scorer: Scorer) -> concepts.PairScores:
    """Give what scores pairs of two texts, or of two SNPs (rows of the model)."""

    def of_texts(_: list[str], left: Array, right: Array) -> dict[str, Array]:
        similarity, score = scorer.text_text([str(text) for text in what], left, right)
        return {"similarity": similarity, "score": score}

    def of_snps(_: list[str], left: Array, right: Array) -> dict[str, Array]:
        vectors = scorer.model.snp_vectors[np.array(what, dtype=np.int64)].astype(np.float32)
        return {"similarity": np.einsum("ij,ij->i", vectors[left], vectors[right])}

    return of_texts if kind == "text-text" else of_snps


def _by_label(pairs: PairFile, sides: _Sides, _: Scorer, evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    """Give how often a pair of label 1 lies above one of label 0 with the same anchor, and with any."""
    if "label" not in pairs.columns or len(set(pairs.label)) < 2:
        return
    usable = np.isfinite(sides.similarity)
    for anchor in (*_anchors(evaluated.options.anchor), "none"):
        cells = np.array(pairs.left if anchor == "left" else pairs.right if anchor == "right" else [""] * len(usable), dtype=object)
        for ranker in ("similarity", "score"):
            values = getattr(sides, ranker)
            each, weight = [], []
            for cell in dict.fromkeys(cells[usable].tolist()):
                rows = np.flatnonzero(usable & (cells == cell))
                positive, negative = rows[pairs.label[rows] == 1], rows[pairs.label[rows] == 0]
                if len(positive) and len(negative):
                    each += list(_shares(values[positive], values[negative]))
                    weight += pairs.weight[positive].tolist()
            row: dict[str, Any] = {"against": "label 0", "anchor": anchor, "ranked_by": ranker, "n": len(each)}
            if each:
                row |= {"auc": float(np.mean(each))}
                row |= {"weighted": float(np.average(each, weights=weight))} if "weight" in pairs.columns and sum(weight) else {}
            else:
                row |= {"reason": "no value of that side has pairs of both labels"}
            yield row


def _shares(own: Array, others: Array) -> Array:
    """Give each the share of the others below it, ties half.

    >>> _shares(np.array([1.0, 3.0]), np.array([1.0, 2.0])).tolist()
    [0.25, 1.0]
    """
    ordered = np.sort(others)
    below, up_to = np.searchsorted(ordered, own, side="left"), np.searchsorted(ordered, own, side="right")
    return np.asarray((below + up_to) / 2 / len(others))


def _by_odds_ratio(pairs: PairFile, sides: _Sides, _: Scorer, evaluated: Evaluated) -> Iterator[dict[str, Any]]:
    chosen = np.flatnonzero(np.isfinite(pairs.odds_ratio) & np.isin(sides.kinds, ("text-snp", "snp-text")))
    if not len(chosen):
        return
    texts, snps = (
        np.array([getattr(pairs, side if sides.kinds[row] == "text-snp" else other)[row] for row in chosen])
        for side, other in (("left", "right"), ("right", "left"))
    )
    made = compare_effects(texts, snps, np.exp(np.abs(np.log(pairs.odds_ratio[chosen]))), seed=evaluated.options.seed)
    ranked = {"similarity": sides.similarity[chosen], "score": sides.score[chosen]}
    for row in rows_by_gap(made, ranked, resamples=evaluated.options.resamples, seed=evaluated.options.seed):
        found = {"auc": row.get("first"), "interval": row.get("interval")}
        yield {"against": f"weaker SNPs, gap > {row['gap']:g}", "anchor": "trait", "ranked_by": row["ranked_by"], "n": row["n"], **found}
