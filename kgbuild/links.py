"""Concepts, candidates and what curators said come in; links with probabilities and decisions go out.

Curated rows win: a valid one is accepted whatever the cosine, an invalid one blocks its pair. What is predicted is accepted
from the probability at which, out of fold, the wanted share was right; is for review below that; and only a link that is
held to be the same thing (`p_same` >= `same_at`) is written as exact, any other accepted one as broad.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgbuild import tables
from kgbuild.calibration import Calibration, Embed, default_calibration
from kgbuild.features import Subjects, Terms, measure
from kgbuild.neighbours import Names, candidates
from kgbuild.vocabulary import VOCABULARIES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["NO_TERM", "VERSION", "Judge", "link", "map_texts", "read_subjects", "read_terms"]

Progress = Callable[[str, int, int], None]

VERSION = 1
PHENOTYPE_KINDS = ("Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText")

REVIEW_FROM = 0.2  # p_target below which a candidate is not worth a person's time
SUBJECTS_AT_A_TIME = 20_000  # features of more would not fit into memory
_SHOWN = (
    "similarity",
    "equal",
    "tfidf",
    "gap",
    "subject_covered",
    "target_covered",
    "conflicts",
    "residual_subject",
    "qualifiers_of_subject",
)
_CURATED = "semapv:ManualMappingCuration"
# what curators say, strongest first: where two speak of one pair, the stronger stands
_STRENGTH = ("exact", "narrow", "broad", "close", "unspecified")


@dataclass(frozen=True)
class Judge:
    """Everything that turns a candidate into a decision.

    Args:
        calibration: None: nothing is known of this encoder's cosines, so links go to review unless the names are equal.
        precision: Wanted share of right ones among accepted links.
        same_at: p_same from which a link is written as exact.
        top_k: Candidates that are kept of each subject.
        keep_from: p_target below which a candidate that is not the first is not kept.
    """

    calibration: Calibration | None
    precision: float = 0.95
    same_at: float = 0.9
    top_k: int = 10
    keep_from: float = 0.02


# ---------------------------------------------------------------- what is linked to what


def read_terms(tables_dir: Path, embed: Embed, *, target: str = "efo") -> Terms:
    """Read the live classes of the target vocabulary, with every name."""
    concepts = tables.read(tables_dir, "concepts", ["id", "vocabulary", "kind", "obsolete"]).to_pandas()
    concepts = concepts[(concepts["vocabulary"] == target) & ~concepts["obsolete"]].sort_values("id")
    relations = tables.read(tables_dir, "relations", ["subject_id", "predicate", "object_id"]).to_pandas()
    is_a = relations[relations["predicate"] == "IS_A"]
    parents = list(zip(is_a["subject_id"], is_a["object_id"], strict=True))
    return Terms(_names_of(tables_dir, concepts["id"].tolist(), embed), concepts["kind"].tolist(), parents)


def read_subjects(tables_dir: Path, embed: Embed, *, target: str = "efo") -> Subjects:
    """Read the live phenotypes of every other vocabulary."""
    concepts = tables.read(tables_dir, "concepts", ["id", "vocabulary", "kind", "obsolete"]).to_pandas()
    wanted = (concepts["vocabulary"] != target) & ~concepts["obsolete"] & concepts["kind"].isin(PHENOTYPE_KINDS)
    concepts = concepts[wanted].sort_values("id")
    return Subjects(_names_of(tables_dir, concepts["id"].tolist(), embed), concepts["vocabulary"].tolist())


def _names_of(tables_dir: Path, ids: list[str], embed: Embed) -> Names:
    """Give every name of some concepts, labels first, in a stable order."""
    names = tables.read(tables_dir, "names", ["concept_id", "name", "role"]).to_pandas()
    names = names[names["concept_id"].isin(set(ids))]
    order = names["role"].map({"label": 0, "synonym": 1}).fillna(2)
    names = names.assign(order=order).sort_values(["concept_id", "order", "name"]).drop_duplicates(["concept_id", "name"])
    row = {id_: place for place, id_ in enumerate(ids)}
    texts = names["name"].tolist()
    return Names(ids, texts, np.array([row[id_] for id_ in names["concept_id"]], dtype=np.int64), embed(texts))


# ---------------------------------------------------------------- linking


def link(
    subjects: Subjects,
    terms: Terms,
    judge: Judge,
    *,
    mappings: pd.DataFrame | None = None,
    xrefs: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> pa.Table:
    """Link every subject to the target terms.

    Args:
        subjects: What is to be linked.
        terms: The target vocabulary.
        judge: How to decide.
        mappings: Rows of the table `mappings`; those whose `use` is `fit` are what curators said.
        xrefs: Rows of the table `xrefs`; an id that another replaced is the same thing.

    Returns:
        The table `links`: curated rows first, then candidates by p_target.
    """
    import pandas as pd

    parts = [_predicted(part, subjects, terms) for part in _candidates(subjects, terms, judge, progress)]
    predicted = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*tables.TABLES["links"].column_names, "p_exact", "equal"])
    )
    known = set(subjects.names.ids)
    curated = _curated(mappings, predicted, known, set(terms.names.ids), judge.same_at)
    replaced = _replaced(xrefs, known, set(terms.names.ids))
    said = pd.concat([curated, replaced], ignore_index=True).drop_duplicates(["subject_id", "object_id"])
    predicted = _give_way(predicted, said)
    rows = pd.concat([part for part in (said, predicted) if len(part)], ignore_index=True) if len(said) or len(predicted) else predicted
    rows = (
        rows.sort_values(["subject_id", "first", "p_target", "similarity", "object_id"], ascending=[True, False, False, False, True])
        if len(rows)
        else rows
    )
    rows["rank"] = rows.groupby("subject_id").cumcount() + 1 if len(rows) else []
    return tables.from_rows("links", (_plain(row) for row in rows[tables.TABLES["links"].column_names].itertuples(index=False)))


def _plain(row: Sequence[Any]) -> list[Any]:
    return [None if isinstance(value, float) and value != value else value for value in row]


def _candidates(subjects: Subjects, terms: Terms, judge: Judge, progress: Progress | None) -> Iterator[pd.DataFrame]:
    """Find and judge candidates, some thousand subjects at a time, with the features that are shown."""
    n = len(subjects.names.ids)
    for start in range(0, n, SUBJECTS_AT_A_TIME):
        rows = np.arange(start, min(n, start + SUBJECTS_AT_A_TIME))
        part = Subjects(subjects.names.of(rows), [subjects.vocabularies[row] for row in rows])
        if progress:
            progress("linking", start, n)
        found = _judged(part, terms, judge)
        yield found.assign(subject=found["subject"] + start)
    if progress:
        progress("linking", n, n)


def _judged(subjects: Subjects, terms: Terms, judge: Judge) -> pd.DataFrame:
    """Judge the candidates of some subjects: best first, at most top_k each."""
    import pandas as pd

    pairs = candidates(subjects.names, terms.names, max(20, judge.top_k))  # the fit was made with twenty competing
    features = measure(pairs, subjects, terms)
    vocabularies = np.array(subjects.vocabularies, dtype=object)[pairs["subject"].to_numpy()]
    shown = features[[name for name in _SHOWN if name != "similarity"]].add_prefix("_")
    frame = pd.concat([pairs.reset_index(drop=True), shown.reset_index(drop=True)], axis=1)
    equal = frame["equal"].to_numpy()
    fit = judge.calibration
    names_alone = (fit or default_calibration()).p_exact(features)
    if fit is None:  # cosines of an unknown encoder say nothing sure; equal names do
        frame["p_target"], frame["p_same"] = np.nan, np.where(equal, names_alone, np.nan)
        frame["calibration"] = "uncalibrated"
        threshold = np.full(len(frame), 2.0)
    else:
        frame["p_target"] = fit.p_target(features, vocabularies)
        frame["p_same"] = frame["p_target"] * names_alone
        by_vocabulary = {v: (fit.name_for(v), fit.threshold(v, judge.precision)) for v in set(subjects.vocabularies)}
        frame["calibration"] = [by_vocabulary[v][0] for v in vocabularies]
        threshold = np.array([by_vocabulary[v][1] for v in vocabularies], dtype=float)
    frame["p_exact"] = names_alone
    frame["threshold"] = threshold
    frame = frame.sort_values(["subject", "p_target", "equal", "similarity", "target"], ascending=[True, False, False, False, True])
    frame["rank"] = frame.groupby("subject").cumcount() + 1
    frame = frame[(frame["rank"] == 1) | ((frame["rank"] <= judge.top_k) & (frame["p_target"].fillna(1.0) >= judge.keep_from))]
    frame["decision"] = _decisions(frame, calibrated=fit is not None)
    same = (frame["p_same"] >= judge.same_at) & (frame["rank"] == 1)
    frame["predicate"] = np.where(same, "exact", "broad")
    frame["matched_name"] = [terms.names.texts[row] for row in frame["target_name"]]
    return frame


def _decisions(frame: pd.DataFrame, *, calibrated: bool) -> np.ndarray:
    """Accept, review or reject; only the first candidate is accepted."""
    first = (frame["rank"] == 1).to_numpy()
    if not calibrated:
        return np.where(first & frame["equal"].to_numpy(), "accept", "review")
    p = frame["p_target"].to_numpy()
    return np.where(first & (p >= frame["threshold"].to_numpy()), "accept", np.where(p >= REVIEW_FROM, "review", "reject"))


def _predicted(frame: pd.DataFrame, subjects: Subjects, terms: Terms) -> pd.DataFrame:
    """Spell judged candidates as rows of the table `links`."""
    lexical = frame["equal"].to_numpy()
    made = frame[
        ["rank", "predicate", "similarity", "p_target", "p_same", "decision", "matched_name", "calibration", "p_exact", "equal"]
    ].copy()
    made["subject_id"] = [subjects.names.ids[row] for row in frame["subject"]]
    made["object_id"] = [terms.names.ids[row] for row in frame["target"]]
    made["justification"] = np.where(lexical, "semapv:LexicalMatching", "semapv:SemanticSimilarityThresholdMatching")
    shown = [name for name in _SHOWN if name != "similarity"]
    values = frame[[f"_{name}" for name in shown]].to_numpy()
    made["evidence"] = [[f"{name}={value:.3g}" for name, value in zip(shown, row, strict=True) if value] for row in values]
    made["first"] = False
    return made


def _curated(mappings: pd.DataFrame | None, predicted: pd.DataFrame, subjects: set[str], terms: set[str], same_at: float) -> pd.DataFrame:
    """Spell what curators said as links. Where they did not say how the two relate, names decide whether they are the same."""
    import pandas as pd

    columns = [*tables.TABLES["links"].column_names, "first"]
    if mappings is None or not len(mappings):
        return pd.DataFrame(columns=columns)
    rows = mappings[(mappings["use"] == "fit") & mappings["subject_id"].isin(subjects) & mappings["object_id"].isin(terms)].copy()
    rows["evidence"] = rows["source"].astype(str) + ":" + rows["line"].astype(str)
    rows["strength"] = rows["predicate"].map({name: n for n, name in enumerate(_STRENGTH)}).fillna(len(_STRENGTH))
    rows = rows.sort_values(
        ["subject_id", "object_id", "judged", "strength", "source", "line"], ascending=[True, True, False, True, True, True]
    )
    rows["evidence"] = rows.groupby(["subject_id", "object_id", "judged"])["evidence"].transform(lambda of_pair: "\x1f".join(of_pair))
    rows = rows.drop_duplicates(["subject_id", "object_id"])  # valid before invalid: a rejection blocks where nobody disagrees
    measured = predicted[["subject_id", "object_id", "similarity", "p_exact", "matched_name"]]
    rows = rows.merge(measured, on=["subject_id", "object_id"], how="left")
    valid = (rows["judged"] == "valid").to_numpy()
    stated = rows["predicate"].to_numpy()
    p_exact = rows["p_exact"].to_numpy(float)
    open_ = stated == "unspecified"
    rows["p_same"] = np.where(~valid, 0.0, np.where(stated == "exact", 1.0, np.where(open_, p_exact, 0.0)))
    predicate = np.where(open_, np.where(np.nan_to_num(p_exact) >= same_at, "exact", "broad"), stated)
    rows["predicate"] = np.where(valid, predicate, "not")
    rows["p_target"] = valid.astype(float)
    rows["decision"] = np.where(valid, "accept", "reject")
    rows["evidence"] = [text.split("\x1f") for text in rows["evidence"]]
    rows["matched_name"] = rows["matched_name"].fillna("")
    return rows.assign(rank=1, justification=_CURATED, calibration="curated", first=True)[columns]


def _replaced(xrefs: pd.DataFrame | None, subjects: set[str], terms: set[str]) -> pd.DataFrame:
    """Link an id to the class that it replaced, or that replaced it: one thing under two ids."""
    import pandas as pd

    columns = [*tables.TABLES["links"].column_names, "first"]
    if xrefs is None or not len(xrefs):
        return pd.DataFrame(columns=columns)
    rows = xrefs[xrefs["predicate"] == "replaced_by"]
    forward = rows[rows["subject_id"].isin(subjects) & rows["object_id"].isin(terms)][["subject_id", "object_id", "source", "line"]]
    back = rows[rows["object_id"].isin(subjects) & rows["subject_id"].isin(terms)]
    back = back.rename(columns={"subject_id": "object_id", "object_id": "subject_id"})[["subject_id", "object_id", "source", "line"]]
    made = pd.concat([forward, back], ignore_index=True).sort_values(["subject_id", "object_id"]).drop_duplicates("subject_id")
    evidence = [[f"{source}:{line}"] for source, line in zip(made["source"], made["line"], strict=True)]
    return made.assign(
        rank=1, predicate="exact", similarity=np.nan, p_target=1.0, p_same=1.0, decision="accept", justification="semapv:MappingChaining",
        matched_name="", calibration="replaced_by", evidence=evidence, first=True,
    )[columns]  # fmt: skip


def _give_way(predicted: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """Drop predicted links of pairs that were judged; a subject with a curated target keeps the others at most for review."""
    import pandas as pd

    if not len(said) or not len(predicted):
        return predicted
    judged = pd.MultiIndex.from_frame(said[["subject_id", "object_id"]])
    left = predicted[~pd.MultiIndex.from_frame(predicted[["subject_id", "object_id"]]).isin(judged)].copy()
    settled = left["subject_id"].isin(set(said.loc[said["decision"] == "accept", "subject_id"]))
    left.loc[settled & (left["decision"] == "accept"), "decision"] = "review"
    return left


# ---------------------------------------------------------------- a person's own list

NO_TERM = "sssom:NoTermFound"


def map_texts(
    texts: Sequence[str],
    subject_ids: Sequence[str],
    vocabularies: Sequence[str],
    terms: Terms,
    embed: Embed,
    judge: Judge,
    *,
    known: pa.Table | None = None,
) -> pa.Table:
    """Map texts to the target vocabulary: rows of the table `links`, best first, at most top_k of each text.

    A text whose first candidate is not worth a look gets one more row, last: NO_TERM, with p_target and p_same the probability
    that none of the candidates is right.

    Args:
        texts: What is to be mapped, each once per subject.
        subject_ids: An id for each text.
        vocabularies: The vocabulary of each, for its calibration; an unknown one counts as free text.
        terms: The target vocabulary.
        embed: Texts to unit vectors.
        judge: How to decide.
        known: Rows of the table `links` of a workspace: what curators said of the codes among `subject_ids` goes before.
    """
    import pandas as pd

    names = Names(list(subject_ids), list(texts), np.arange(len(texts)), embed(list(texts)))
    subjects = Subjects(names, [v if v in VOCABULARIES else "text" for v in vocabularies])
    parts = [_predicted(part, subjects, terms) for part in _candidates(subjects, terms, judge, None)]
    if not parts:
        return tables.empty("links")
    rows = pd.concat(parts, ignore_index=True)
    rows["order"] = 1
    said = _known_rows(known, set(subject_ids), set(terms.names.ids))
    rows = pd.concat([part for part in (said, _give_way(rows, said), _nothing_found(rows, said)) if len(part)], ignore_index=True)
    place = {id_: n for n, id_ in enumerate(subject_ids)}
    rows["place"] = rows["subject_id"].map(place)
    rows = rows.sort_values(["place", "order", "p_target", "similarity", "object_id"], ascending=[True, True, False, False, True])
    rows["rank"] = rows.groupby("place").cumcount() + 1
    rows = rows[(rows["rank"] <= judge.top_k) | (rows["object_id"] == NO_TERM)]
    return tables.from_rows("links", (_plain(row) for row in rows[tables.TABLES["links"].column_names].itertuples(index=False)))


def _known_rows(known: pa.Table | None, subjects: set[str], terms: set[str]) -> pd.DataFrame:
    import pandas as pd

    if known is None:
        return pd.DataFrame(columns=["subject_id", "object_id", "decision"])
    rows = known.to_pandas()
    rows = rows[rows["subject_id"].isin(subjects) & rows["object_id"].isin(terms) & (rows["calibration"] == "curated")]
    return rows.assign(order=np.where(rows["decision"] == "accept", 0, 2))


def _nothing_found(rows: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """Say of texts whose best candidate is to be rejected that they have no counterpart, and how sure that is."""
    best = rows.sort_values("p_target", ascending=False).drop_duplicates("subject_id")
    none = best[(best["decision"] == "reject") & ~best["subject_id"].isin(set(said["subject_id"]))].copy()
    sure = 1 - none["p_target"]
    return none.assign(
        object_id=NO_TERM, predicate="exact", similarity=np.nan, p_target=sure, p_same=sure, decision="review", matched_name="", order=3
    )
