"""Names that training did not have in, figures out: whether they are recognised, and what they are worth in place of the label.

Three questions. Does a held-out synonym of a concept lie nearer to its label than random names do? Do lay people's words lie
nearer to the clinical term than other terms do (a file in COMETA's columns)? And where a held-out synonym takes the place of
a trait in held-out SNP-trait pairs, or of a concept in held-out pairs of concepts, what of the AUC is left?
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.draws import Draws, interval
from kgbuild.errors import SourceError, WorkspaceError
from kgbuild.evaluation.concepts import World, evaluate_pairs
from kgbuild.evaluation.evaluated import Evaluated, Options
from kgbuild.evaluation.section import Section
from kgbuild.evaluation.systems import ModelSystem, System, cosines
from kgbuild.sources.delimited import Row, read_rows
from kgbuild.splits import read_split
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NamePairs", "evaluate", "read_lay_language"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

N_NEGATIVES = 20
MOST_PAIRS = 2_000  # of one row; its interval is narrow enough
FEWEST_PAIRS = 10  # for a figure of substitution

COLUMNS = {
    "what": "names", "ranked_by": "ranked by", "anchor": "anchored on", "n": "n", "auc": "AUC", "interval": "95 % interval",
    "substituted": "AUC, synonym instead", "reason": "why not",
}  # fmt: skip
_NOTES = (
    "AUC: share of 20 drawn names that lie below the right one, a mean over draws. Of synonyms the label stays and names of the same vocabulary that "
    "training had are drawn; of lay language the lay term stays and clinical terms of the file are drawn.",
    "Substitution: the same held-out pairs and negatives twice, with the name that training knew and with a synonym that it did not have.",
)


def evaluate(evaluated: Evaluated) -> Section:
    """Give the figures of held-out synonyms, of lay language, and of substitution, for the model and the systems that were asked for.

    Raises:
        WorkspaceError: There is no model, or it was trained without a split of synonyms.
        SourceError: A file of lay language cannot be read.
    """
    scorer, split = evaluated.model()
    hashes = scorer.model.description.get("splits", {})
    if evaluated.model_dir is None or "synonyms" not in hashes:
        raise WorkspaceError("the model was trained without keeping synonyms", advice="Train again: kgbuild train")
    held = read_split(evaluated.model_dir / "synonyms.tsv", hashes["synonyms"])
    held = held[held["part"] == evaluated.options.part]
    sets = [_of_vocabulary(evaluated.tables_dir, held, evaluated.target), *(_of_lay_language(path) for path in evaluated.options.lay)]
    pairs = _Pairs.of(evaluated, split[split["part"] == evaluated.options.part], held)
    rows: list[dict[str, Any]] = []
    for system in _own(evaluated):
        rows += _rows(system, sets, pairs, evaluated.options)
    for name, other, why in evaluated.systems() if evaluated.options.systems else ():
        rows += (
            [{"what": sets[0].what, "ranked_by": name, "reason": why}] if other is None else _rows(other, sets, pairs, evaluated.options)
        )
    if not evaluated.options.lay:
        rows.append(
            {
                "what": "lay language",
                "reason": "no file given: --lay FILE (COMETA's columns: Term, General SNOMED Label, Specific SNOMED Label)",
            }
        )
    order = {what: place for place, what in enumerate(dict.fromkeys(row["what"] for row in rows))}
    rows.sort(key=lambda row: order[row["what"]])
    return Section("Synonyms and lay language", COLUMNS, rows, ("what", "ranked_by", "anchor"), _NOTES)


def _own(evaluated: Evaluated) -> Iterator[System]:
    """Give what every report has: the model's similarity and score, the base encoder, and characters alone as the trivial answer."""
    from embedder import HashedNgramEncoder, unit_rows

    scorer, _ = evaluated.model()
    yield ModelSystem("similarity", scorer, by_similarity=True)
    yield ModelSystem("score", scorer)
    yield _Texts(f"base encoder ({evaluated.encoder})", evaluated.encode)
    yield _Texts("characters alone", lambda texts: unit_rows(HashedNgramEncoder().encode(texts)))


class _Texts:
    """Vectors of texts alone; SNPs have no place."""

    def __init__(self, name: str, embed: Callable[[list[str]], npt.NDArray[np.float32]]) -> None:
        self.name, self._embed = name, embed

    def text_text(self, texts: Sequence[str], left: Integers, right: Integers, predicate: str | None = None) -> npt.NDArray[np.floating]:  # noqa: ARG002 - no relations
        vectors = self._embed(list(texts))
        return cosines(vectors, left, vectors, right)

    def text_snp(self, texts: Sequence[str], text: Integers, snps: Sequence[str], snp: Integers) -> npt.NDArray[np.floating]:  # noqa: ARG002 - none has a score
        return np.full(len(text), np.nan)


def _rows(system: System, sets: Sequence[NamePairs], pairs: _Pairs, options: Options) -> Iterator[dict[str, Any]]:
    for names in sets:
        yield {"what": names.what, "ranked_by": system.name, "anchor": names.anchor, **names.measure(system, options)}
    yield from pairs.rows(system, options)


# ---------------------------------------------------------------- names against other names


@dataclass(frozen=True)
class NamePairs:
    """Two names of one thing each, and what else the second could have been.

    Args:
        what: What is measured.
        anchor: What the name that stays is.
        stays: (n,) names.
        goes: (n,) their partners.
        pool: Names that are drawn instead of them.
        known: Name that stays -> names that it is known to go with, in their normal form.
    """

    what: str
    anchor: str
    stays: Sequence[str]
    goes: Sequence[str]
    pool: Sequence[str]
    known: Mapping[str, Collection[str]]

    def measure(self, system: System, options: Options) -> dict[str, Any]:
        """Give n, AUC and interval; the names that stay are resampled."""
        if not self.stays or len(self.pool) < 2:
            return {"n": len(self.stays), "reason": "there is no such pair"}
        chosen = np.random.default_rng(options.seed).permutation(len(self.stays))[: min(MOST_PAIRS, options.most_pairs)]
        stays, goes = [self.stays[row] for row in chosen], [self.goes[row] for row in chosen]
        numbers: dict[str, int] = {}
        left, right, pool = (
            np.array([numbers.setdefault(text, len(numbers)) for text in side], dtype=np.int64) for side in (stays, goes, self.pool)
        )
        texts = list(numbers)
        normal = [normalise_name(text) for text in texts]
        own = _lowest(system.text_text(texts, left, right))
        if not np.isfinite(own).any():
            return {"n": len(stays), "reason": "it places none of these names"}
        shares = []
        for draw in range(options.draws):
            other = pool[np.random.default_rng([options.seed, draw]).integers(0, len(pool), (len(left), N_NEGATIVES))]
            valid = np.array(
                [[normal[place] not in self.known[stay] for place in row] for stay, row in zip(stays, other.tolist(), strict=True)]
            )
            found = _lowest(system.text_text(texts, np.repeat(left, N_NEGATIVES), other.ravel())).reshape(other.shape)
            wins = ((own[:, None] > found) + 0.5 * (own[:, None] == found)) * valid
            with np.errstate(invalid="ignore"):
                shares.append(wins.sum(axis=1) / valid.sum(axis=1))
        each = np.nanmean(np.stack(shares), axis=0)
        return {
            "n": len(stays),
            "auc": float(np.nanmean(each)),
            "interval": interval(each, np.array(stays, dtype=object), resamples=options.resamples),
        }


def _lowest(scores: npt.NDArray[np.floating]) -> Floats:
    """Let a pair without a score lie below all that have one."""
    return np.where(np.isnan(scores), -np.inf, scores).astype(np.float64)


def _of_vocabulary(tables_dir: Path, held: pd.DataFrame, vocabulary: str) -> NamePairs:
    """Give the held-out synonyms of a vocabulary with their labels; names that training had are drawn against them."""
    concepts = tables.read(tables_dir, "concepts", ["id", "vocabulary"]).to_pydict()
    ids = {id_ for id_, of in zip(concepts["id"], concepts["vocabulary"], strict=True) if of == vocabulary}
    names = tables.read(tables_dir, "names", ["concept_id", "name", "role"]).to_pandas()
    names = names[names["concept_id"].isin(ids)]
    labels = tables.names_by_id(tables_dir)
    known: dict[str, set[str]] = {}
    for id_, name in zip(names["concept_id"], names["name"].map(normalise_name), strict=True):
        known.setdefault(labels[id_], {normalise_name(labels[id_])}).add(name)
    hidden = set(held["name"].map(normalise_name))
    pool = [name for name in names["name"].drop_duplicates() if normalise_name(name) not in hidden]
    rows = held[held["concept_id"].isin(ids)]
    return NamePairs(f"held-out synonyms of {vocabulary}", "label", rows["label"].tolist(), rows["name"].tolist(), pool, known)


def read_lay_language(path: Path) -> list[tuple[str, str]]:
    """Read a tab-separated file in COMETA's columns: distinct pairs of a lay term and a clinical one, general or specific.

    Columns (https://aclanthology.org/2020.emnlp-main.253): ID, Term, General SNOMED ID, General SNOMED Label, Specific SNOMED
    ID, Specific SNOMED Label, Example; only Term and the two labels are read, and one of the labels may be missing.

    Raises:
        SourceError: The file cannot be read, lacks a column, or holds no pair.
    """
    labels = {"general": ["General SNOMED Label"], "specific": ["Specific SNOMED Label"]}
    pairs: dict[tuple[str, str], None] = {}
    for row in read_rows(path, delimiter="\t", columns={"term": ["Term"]}, optional=labels):
        if not isinstance(row, Row):
            raise SourceError(path, row[1], line=row[0], expected="as many cells as the header has", advice="Mend or remove the line.")
        term = row.cells["term"].strip()
        for label in (row.cells.get(name, "").strip() for name in labels):
            if term and label and normalise_name(term) != normalise_name(label):
                pairs[term, label] = None
    if not pairs:
        raise SourceError(
            path, "no pair of a lay term and another clinical term", expected="Term and General SNOMED Label or Specific SNOMED Label"
        )
    return list(pairs)


def _of_lay_language(path: Path) -> NamePairs:
    pairs = read_lay_language(path)
    known: dict[str, set[str]] = {}
    for term, label in pairs:
        known.setdefault(term, set()).add(normalise_name(label))
    terms, labels = ([pair[side] for pair in pairs] for side in (0, 1))
    return NamePairs(f"lay language: {path.name}", "lay term", terms, labels, list(dict.fromkeys(labels)), known)


# ---------------------------------------------------------------- a synonym in place of the label


@dataclass(frozen=True)
class _Pairs:
    """Held-out pairs in which a concept has a held-out synonym, ready to be scored with either name."""

    snp_traits: Sequence[tuple[Draws, Draws]]  # by draw: with the name as it was, with the synonym
    snps: Sequence[str]
    concepts: Sequence[tuple[str, World, World, pd.DataFrame]]  # table, world, the same with synonyms, pairs

    @classmethod
    def of(cls, evaluated: Evaluated, split: pd.DataFrame, held: pd.DataFrame) -> _Pairs:
        scorer, _ = evaluated.model()
        first = held.drop_duplicates("concept_id").set_index("concept_id")["name"].to_dict()
        options = evaluated.options
        draws: list[tuple[Draws, Draws]] = []
        named = split[split["trait_group"].isin(set(first))].drop_duplicates(["trait_group", "variant_id"])
        if len(named) and scorer.evidence is not None:
            world = scorer.world(evaluated.tables_dir)
            both = [named, named.assign(object_name=named["trait_group"].map(first))]
            for draw in range(options.draws):
                made = [Draws.of(world, frame, options.part, most_pairs=options.most_pairs, seed=options.seed, draw=draw) for frame in both]
                if made[0] is not None and made[1] is not None and made[0].n == made[1].n >= FEWEST_PAIRS:
                    draws.append((made[0], made[1]))
        return cls(draws, scorer.model.snp_ids, list(_concept_pairs(evaluated, first)))

    def rows(self, system: System, options: Options) -> Iterator[dict[str, Any]]:
        yield from self._snp_trait_rows(system, options)
        for table, world, substituted, held in self.concepts:
            found = [_figures_by_anchor(system, table, of, held, options) for of in (world, substituted)]
            for anchor, row in found[0].items():
                yield {**row, "what": f"{table}, left named anew", "anchor": anchor, "substituted": found[1][anchor]["auc"]}

    def _snp_trait_rows(self, system: System, options: Options) -> Iterator[dict[str, Any]]:
        each: dict[tuple[str, int], list[Floats]] = {}
        for pair in self.snp_traits:
            for number, draws in enumerate(pair):
                positive, other_snp, other_text = (
                    _lowest(system.text_snp(draws.texts, side[0], self.snps, side[1]))
                    for side in (draws.positive, draws.other_snp, draws.other_text)
                )
                if not np.isfinite(positive).any() and not number:
                    return
                each.setdefault(("trait", number), []).append(draws.each_auc(positive, other_snp, draws.valid_snp))  # type: ignore[arg-type]
                each.setdefault(("snp", number), []).append(draws.each_auc(positive, other_text, draws.valid_text))  # type: ignore[arg-type]
        for anchor in ("trait", "snp") if each else ():
            own, new = (np.nanmean(np.stack(each[anchor, number]), axis=0) for number in (0, 1))
            loci = self.snp_traits[0][0].loci
            figures = {"n": len(own), "auc": float(np.nanmean(own)), "interval": interval(own, loci, resamples=options.resamples)}
            yield {
                "what": "SNP-trait, trait named anew",
                "ranked_by": system.name,
                "anchor": anchor,
                **figures,
                "substituted": float(np.nanmean(new)),
            }


def _concept_pairs(evaluated: Evaluated, synonyms: Mapping[str, str]) -> Iterator[tuple[str, World, World, pd.DataFrame]]:
    """Give the tables of concept pairs in which enough left sides have a held-out synonym."""
    from kgbuild.concept_pairs import concept_pairs

    scorer, _ = evaluated.model()
    hashes = scorer.model.description.get("splits", {})
    if evaluated.model_dir is None or "concepts" not in hashes:
        return
    split = read_split(evaluated.model_dir / "concepts.tsv", hashes["concepts"])
    known = concept_pairs(evaluated.tables_dir)
    for table in dict.fromkeys(known["table"]):
        held = split[(split["table"] == table) & (split["part"] == evaluated.options.part) & split["left_id"].isin(set(synonyms))]
        if len(held) >= FEWEST_PAIRS:
            world = World.of(known, split, table)
            anew = {name: synonyms[id_] for id_, name in zip(held["left_id"], held["left_name"], strict=True)}
            yield (
                table,
                world,
                replace(world, texts=[anew.get(text, text) for text in world.texts]),
                held.assign(anew=held["left_name"].map(anew)),
            )


def _figures_by_anchor(system: System, table: str, world: World, held: pd.DataFrame, options: Options) -> dict[str, dict[str, Any]]:
    def scores(texts: list[str], left: Integers, right: Integers) -> dict[str, npt.NDArray[Any]]:
        return {system.name: _lowest(system.text_text(texts, left, right))}

    frame = held if held["left_name"].isin(set(world.texts)).all() else held.assign(left_name=held["anew"])
    rows = evaluate_pairs(
        table, world, frame, scores, draws=options.draws, resamples=options.resamples, seed=options.seed, most_pairs=MOST_PAIRS, ranks=False
    )
    kept = ("ranked_by", "n", "auc", "interval")
    return {row["anchor"]: {key: row[key] for key in kept} for row in rows if row["ranked_by"] == system.name}
