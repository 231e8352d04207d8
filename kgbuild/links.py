"""Codes and texts, the target's terms and what curators said in; the table `links` out: best first, each with its evidence.

What the workspace's own people decided wins over everything. What a curator said wins over what is predicted, and what a
curator rejected stays rejected. Predicted links are accepted from the probability at which, out of fold, the wanted share of
them was right; the next best go to review. A text that names several terms gets each of them, for review, and is never the same
as one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kgbuild import tables
from kgbuild.calibration import NEVER, Calibration, citations_of, cited_codes, equivalents, is_never_same
from kgbuild.composition import COMPOSITIONS, taken_apart
from kgbuild.decisions import MANUAL, NO_TERM, NOT
from kgbuild.features import FEATURES, Subjects, Terms, measure
from kgbuild.neighbours import Names
from kgbuild.retrieval import retrieve, with_pairs
from kgbuild.vocabulary import VOCABULARIES, text_id, vocabulary_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["COMPOSED", "DECIDED", "JUSTIFICATIONS", "NO_TERM", "VERSION", "link", "map_texts", "read_subjects", "read_terms"]

VERSION = 6

Embed = Callable[[list[str]], np.ndarray]  # texts -> float32 (n, d), rows of length 1
Progress = Callable[[str, int, int], None]

# https://mapping-commons.github.io/semantic-mapping-vocabulary/
JUSTIFICATIONS: dict[str, str] = {
    "curated": MANUAL,
    "replaced": "semapv:MappingChaining",
    "cross_reference": "semapv:BackgroundKnowledgeBasedMatching",
    "lexical": "semapv:LexicalMatching",
    "similarity": "semapv:SemanticSimilarityThresholdMatching",
}
COMPOSED = "composition"  # in the evidence: how the parts of a composite text are put together
DECIDED = "decision"  # in the column `calibration`: somebody who works with this workspace said so
LINKED_KINDS = ("Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText")

_PORTION = 20_000  # subjects at a time: 400,000 pairs with their features take 150 MB
_REVIEW_AT, _REVIEWED = 0.1, 3  # worth a person's look: this probable, and among so many
_SAME_AT = 0.8  # p_same from which a link is written as exact
_NONE_AT = 0.2  # below this best p_target, "none of these" is the better answer
_AGREE_AT = 0.6  # cosine from which names agree enough to trust a one-to-one cross-reference, or to look at uncalibrated
_GROUP = "primekg.group:"  # a grouped node is broader than each of what it groups
_SHOWN = (
    "gap",
    "tfidf",
    "label_tfidf",
    "subject_covered",
    "target_covered",
    "conflicts",
    "qualifiers_of_subject",
    "qualifiers_of_target",
    "residual_subject",
)


def link(
    subjects: Subjects,
    terms: Terms,
    *,
    mappings: pd.DataFrame,
    xrefs: pd.DataFrame,
    calibration: Calibration | None,
    decisions: pd.DataFrame | None = None,
    precision: float = 0.95,
    top_k: int = 10,
    progress: Progress | None = None,
) -> pa.Table:
    """Link every subject to its best terms.

    What is known elsewhere of a subject that `mappings` keeps for evaluation is hidden from its links; decisions are not.

    Args:
        mappings: Rows of the table of that name.
        xrefs: Rows of the table of that name.
        calibration: None: no probabilities; only lexically equal names are accepted.
        decisions: What `kgbuild.decisions.apply` gives; those on other pairs than a subject and a term become links unmeasured.
        precision: Wanted share of right ones among accepted predicted links.
        top_k: Links kept for each subject; what people said is kept beyond.
    """
    hidden = set(mappings.loc[mappings["use"] == "evaluate", "subject_id"])
    curated = _curated(mappings[(mappings["use"] == "fit") & ~mappings["subject_id"].isin(hidden)])
    cited, chained = _visible(cited_codes(xrefs, terms.names.ids), hidden), _visible(_chained(xrefs, subjects, terms), hidden)
    known = _Known(curated, cited, chained, _nothing_decided() if decisions is None else decisions, _composed(subjects, terms))
    parts, n = [_unmeasured(known.decided, set(subjects.names.ids), set(terms.names.ids))], len(subjects.names.ids)
    for start in range(0, n, _PORTION):
        rows = np.arange(start, min(start + _PORTION, n))
        portion = Subjects(subjects.names.of(rows), [subjects.vocabularies[row] for row in rows])
        scored = _scored(portion, terms, known, calibration)
        decided = _decided(scored, calibration, precision)
        parts.append(_as_table(_kept(decided, top_k), terms))
        if progress:
            progress("linking", min(start + _PORTION, n), n)
    return tables.concatenate("links", parts)


@dataclass(frozen=True)
class _Known:
    """What is known of pairs beside their names: curators' words, terms that cite codes, ids that were replaced, decisions, and
    terms that are named as a part.
    """

    curated: pd.DataFrame
    cited: pd.DataFrame
    chained: pd.DataFrame
    decided: pd.DataFrame
    composed: pd.DataFrame

    def pairs(self) -> pd.DataFrame:
        import pandas as pd

        frames = (self.curated, self.cited, self.chained, self.decided, self.composed)
        return pd.concat([frame[["subject_id", "object_id"]] for frame in frames]).drop_duplicates()


def _nothing_decided() -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(dtype=object) for name in ("subject_id", "object_id", "decided", "object_name", "cited")})


def _unmeasured(decided: pd.DataFrame, subjects: set[str], terms: set[str]) -> pa.Table:
    """Make links of decisions on pairs that are not searched: two codes, two texts, two terms."""
    rows = decided[(decided["object_id"] != NO_TERM) & ~(decided["subject_id"].isin(subjects) & decided["object_id"].isin(terms))]
    return tables.from_rows(
        "links",
        (
            (row.subject_id, row.object_id, 0, row.decided, None, float(row.decided != NOT), float(row.decided == "exact"),
             "reject" if row.decided == NOT else "accept", MANUAL, row.object_name, DECIDED, [row.cited])
            for row in rows.itertuples()
        ),
    )  # fmt: skip


def _composed(subjects: Subjects, terms: Terms) -> pd.DataFrame:
    """List the terms that are named as a part by a subject's first name: subject_id, object_id, composition, part.

    Of terms of one name, the first disease counts, and a term's preferred name before others.
    """
    import pandas as pd

    names = terms.names
    known: dict[str, str] = {}
    later = np.ones(len(names.owners), bool)
    later[terms.label_rows] = False
    is_other = np.array(terms.kinds, dtype=object)[names.owners] != "Disease"
    for row in np.lexsort((names.owners, later, is_other)):
        known.setdefault(names.normal[row], names.ids[names.owners[row]])
    rows, seen = [], set()
    for owner, text in zip(subjects.names.owners.tolist(), subjects.names.texts, strict=True):
        if owner in seen:
            continue
        seen.add(owner)
        vocabulary = VOCABULARIES.get(subjects.vocabularies[owner])
        if found := taken_apart(text, known, coded=vocabulary is not None and vocabulary.prefix is not None and vocabulary.coded):
            rows += [(subjects.names.ids[owner], id_, found.kind, part) for part, id_ in found.parts]
    columns = ["subject_id", "object_id", "composition", "part"]
    return pd.DataFrame(rows, columns=columns, dtype=object).drop_duplicates(["subject_id", "object_id"])


def _visible(frame: pd.DataFrame, hidden: set[str]) -> pd.DataFrame:
    return frame[~frame["subject_id"].isin(hidden)].reset_index(drop=True)


def _curated(mappings: pd.DataFrame) -> pd.DataFrame:
    """Give one row per curated pair: the most telling predicate, whether some curator rejected it, and the rows that say so."""
    import pandas as pd

    columns = ["subject_id", "object_id", "curated", "rejected", "cited_rows"]
    rows = []
    for (subject, object_), group in mappings.sort_values(["source", "line"]).groupby(["subject_id", "object_id"], sort=True):
        valid = set(group.loc[group["judged"] == "valid", "predicate"])
        predicate = next((p for p in ("exact", "broad", "narrow", "close", "unspecified") if p in valid), "")
        where = tuple(f"{source}:{line}" for source, line in zip(group["source"], group["line"], strict=True))
        rows.append((subject, object_, predicate, "invalid" in set(group["judged"]), where))
    return pd.DataFrame(rows, columns=columns).astype({"rejected": bool})


def _chained(xrefs: pd.DataFrame, subjects: Subjects, terms: Terms) -> pd.DataFrame:
    """List subjects whose id a term replaced, or that replaced a term's: the same thing under two ids."""
    import pandas as pd

    same, live = equivalents(xrefs), set(terms.names.ids)
    pairs = [(id_, other) for id_ in subjects.names.ids if id_ in same and id_ not in live for other in sorted(same[id_] & live)]
    return pd.DataFrame(pairs, columns=["subject_id", "object_id"], dtype=object)


def _scored(subjects: Subjects, terms: Terms, known: _Known, calibration: Calibration | None) -> pd.DataFrame:
    """Give candidate pairs with features, probabilities and what is known of them."""
    import pandas as pd

    ids, term_ids = subjects.names.ids, terms.names.ids
    pairs = retrieve(subjects.names, terms)
    pairs = with_pairs(pairs, subjects.names, ids, terms.names, known.pairs())
    features = measure(pairs, subjects, terms)
    citations = citations_of(pairs, ids, term_ids, known.cited)
    vocabularies = np.array(subjects.vocabularies, dtype=object)[pairs["subject"]]
    frame = pairs.assign(
        subject_id=np.array(ids, dtype=object)[pairs["subject"]], object_id=np.array(term_ids, dtype=object)[pairs["target"]]
    )
    frame = frame.assign(
        vocabulary=vocabularies, one_to_one=citations["cited_one_to_one"], cited=citations["cited"], never=is_never_same(features)
    )
    frame["kind"] = np.array(terms.kinds, dtype=object)[pairs["target"]]
    frame["p_target"] = np.nan if calibration is None else calibration.p_target(pairs, features, vocabularies, citations)
    relations = np.full((len(pairs), 3), np.nan) if calibration is None else calibration.p_relation(features)
    frame["p_exact"], frame["narrower"] = relations[:, 0], relations[:, 2] > relations[:, 1]
    frame["alone"] = features["alone"].to_numpy() > 0
    if calibration is not None:
        frame = pd.concat([frame, _weighed(features, pairs["subject"].to_numpy(), vocabularies, calibration)], axis=1)
    is_group = frame["subject_id"].str.startswith(_GROUP)
    frame["p_exact"] = frame["p_exact"].mask(is_group, np.minimum(frame["p_exact"], NEVER))
    frame["never"] |= is_group
    frame = pd.concat([frame, features[[name for name in _SHOWN if name not in frame]]], axis=1)
    frame = frame.merge(known.curated, on=["subject_id", "object_id"], how="left")
    frame["curated"], frame["rejected"] = frame["curated"].fillna("").astype(str), frame["rejected"].eq(True)
    chained = set(zip(known.chained["subject_id"], known.chained["object_id"], strict=True))
    frame["chained"] = [pair in chained for pair in zip(frame["subject_id"], frame["object_id"], strict=True)] if chained else False
    frame = frame.merge(known.composed, on=["subject_id", "object_id"], how="left")
    is_part = frame["composition"].notna()
    frame["p_exact"] = frame["p_exact"].mask(is_part, np.minimum(frame["p_exact"], NEVER))
    frame["never"] |= is_part
    frame = frame.merge(
        known.decided.rename(columns={"cited": "decided_in"}).drop(columns="object_name"), on=["subject_id", "object_id"], how="left"
    )
    frame["decided"] = frame["decided"].fillna("").astype(str)
    without = known.decided.loc[known.decided["object_id"] == NO_TERM].set_index("subject_id")["cited"]
    return frame.assign(without_in=frame["subject_id"].map(without))


_WEIGHED, _LEAST_WEIGHT = 5, 0.05  # features of each link that are written with their weight, and from which weight


def _weighed(features: pd.DataFrame, subject: np.ndarray, vocabularies: np.ndarray, calibration: Calibration) -> pd.DataFrame:
    """Name the features that tell a candidate apart from the others of its subject: which, their value, and what they weigh.

    The weight is what a feature adds to the log odds of p_target in the first fit, compared with the mean over the subject's
    candidates: what all of them share explains nothing.
    """
    import pandas as pd

    n = len(features)
    found = {name: np.zeros((n, _WEIGHED), np.float32) for name in ("feature", "value", "weight")}
    starts = np.flatnonzero(np.r_[True, subject[1:] != subject[:-1]]) if n else np.zeros(0, np.int64)
    names, of_row = np.unique(vocabularies.astype(str), return_inverse=True)
    coefficients = np.array([calibration.pairwise.get(v, calibration.pairwise[""]).coefficients for v in names], np.float32)
    for first, last in _slices(starts, n):
        values = features.iloc[first:last].to_numpy(np.float32)
        inside = starts[(starts >= first) & (starts < last)] - first
        sizes = np.diff(np.r_[inside, last - first])
        means = np.repeat(np.add.reduceat(values, inside, axis=0) / sizes[:, None], sizes, axis=0)
        weights = (values - means) * coefficients[of_row[first:last]]
        top = np.sort(np.argpartition(-np.abs(weights), _WEIGHED, axis=1)[:, :_WEIGHED], axis=1)
        top = np.take_along_axis(top, np.argsort(-np.abs(np.take_along_axis(weights, top, axis=1)), axis=1, kind="stable"), axis=1)
        found["feature"][first:last] = top
        found["value"][first:last] = np.take_along_axis(values, top, axis=1)
        found["weight"][first:last] = np.take_along_axis(weights, top, axis=1)
    return pd.DataFrame({f"{name}_{k}": column[:, k] for name, column in found.items() for k in range(_WEIGHED)}, index=features.index)


def _slices(starts: np.ndarray, n: int) -> Iterable[tuple[int, int]]:
    """Cut rows into slices of whole subjects, some thousands of rows each."""
    cuts = [*starts[::500].tolist(), n]
    return itertools.pairwise(cuts)


def _decided(frame: pd.DataFrame, calibration: Calibration | None, precision: float) -> pd.DataFrame:
    """Order the candidates of each subject and decide on each."""
    p_target, p_exact, alone = (frame[name].to_numpy(float) for name in ("p_target", "p_exact", "alone"))
    frame = frame.assign(p_same=p_target if calibration is None else calibration.p_same(p_target, p_exact, alone))
    frame = _ordered(_predicted(frame, calibration, precision), calibration is not None)
    frame["calibration"] = _calibration_names(frame, calibration)
    frame = _with_one_to_one(_with_parts(frame))
    frame = _with_chained(frame)
    return _with_decisions(_with_curated(frame))


def _calibration_names(frame: pd.DataFrame, calibration: Calibration | None) -> Any:
    names = {v: calibration.name_for(v) if calibration else "uncalibrated" for v in set(frame["vocabulary"])}
    return frame["vocabulary"].map(names)


def _ordered(frame: pd.DataFrame, calibrated: bool) -> pd.DataFrame:
    """Sort by probability (else equal names first, then cosine); a disease wins a tie for a code."""
    coded = frame["vocabulary"].map({key: v.coded for key, v in VOCABULARIES.items()}).eq(True)
    frame = frame.assign(preferred=coded & (frame["kind"] == "Disease"))
    keys = ["p_target"] if calibrated else ["equal", "preferred", "similarity"]
    by = ["subject", *keys, "preferred", "similarity", "object_id"] if calibrated else ["subject", *keys, "object_id"]
    frame = frame.sort_values(by, ascending=[True, *([False] * (len(by) - 2)), True]).reset_index(drop=True)
    return frame.assign(place=frame.groupby("subject").cumcount())


def _predicted(frame: pd.DataFrame, calibration: Calibration | None, precision: float) -> pd.DataFrame:
    frame = _ordered(frame, calibration is not None)
    first = frame["place"] < _REVIEWED
    if calibration is None:
        accepted = frame["equal"] & (frame["place"] == 0) & ~frame["never"]
        review = first & ((frame["similarity"] >= _AGREE_AT) | frame["equal"])
        same = accepted
    else:
        p_target, p_same = frame["p_target"].to_numpy(), frame["p_same"].to_numpy()
        accepted = calibration.accepts(p_target, p_same, frame["vocabulary"].to_numpy(object), precision)
        review = first & (frame["p_target"] >= _REVIEW_AT)
        same = frame["p_same"] >= _SAME_AT
    other = (frame["p_exact"] < 0.5) & (accepted | (frame["p_target"] >= 0.5))
    return frame.assign(
        decision=np.select([accepted, review], ["accept", "review"], "reject"),
        predicate=np.select([same, other & frame["narrower"], other], ["exact", "narrow", "broad"], "close"),
        justification=np.where(frame["equal"], JUSTIFICATIONS["lexical"], JUSTIFICATIONS["similarity"]),
    )


def _with_parts(frame: pd.DataFrame) -> pd.DataFrame:
    """Let a person look at the terms that a text names as parts; whether a curator would file it there is another matter."""
    is_part = frame["composition"].notna()
    frame["predicate"] = frame["predicate"].mask(is_part, frame["composition"].map(COMPOSITIONS))
    frame["decision"] = frame["decision"].mask(is_part & frame["decision"].eq("reject"), "review")
    return frame


def _with_one_to_one(frame: pd.DataFrame) -> pd.DataFrame:
    """Accept a term that cites the code, alone and no other of its vocabulary, where the names agree; two ontologies need not."""
    ontology = ~frame["vocabulary"].isin([key for key, v in VOCABULARIES.items() if v.prefix and key not in {"mondo", "doid"}])
    same_ontology = frame["one_to_one"] & ontology & ~frame["subject_id"].str.startswith(_GROUP)
    agreeing = frame["one_to_one"] & ~ontology & ~frame["never"] & (frame["similarity"] >= _AGREE_AT)
    exact = same_ontology | (agreeing & ~(frame["p_exact"] < 0.5) & ~frame["p_target"].isna())
    frame["justification"] = frame["justification"].mask(same_ontology | agreeing, JUSTIFICATIONS["cross_reference"])
    frame["predicate"] = frame["predicate"].mask(exact, "exact")
    frame["decision"] = frame["decision"].mask(exact, "accept").mask(agreeing & (frame["decision"] == "reject"), "review")
    return _certain(frame, same_ontology)


def _with_chained(frame: pd.DataFrame) -> pd.DataFrame:
    chained = frame["chained"].astype(bool)
    frame["justification"] = frame["justification"].mask(chained, JUSTIFICATIONS["replaced"])
    frame["predicate"], frame["decision"] = frame["predicate"].mask(chained, "exact"), frame["decision"].mask(chained, "accept")
    return _certain(frame, chained)


def _certain(frame: pd.DataFrame, rows: Any) -> pd.DataFrame:
    for name in ("p_target", "p_same"):
        frame[name] = frame[name].mask(rows, 1.0)
    return frame


def _with_curated(frame: pd.DataFrame) -> pd.DataFrame:
    """Let curators overrule: what they said is accepted, what they rejected blocked; the rest of such a subject is for review."""
    said, refused = frame["curated"] != "", frame["rejected"] & (frame["curated"] == "")
    told = frame["subject"].isin(set(frame.loc[said, "subject"]))
    frame["decision"] = frame["decision"].mask(told & ~said & (frame["decision"] == "accept"), "review")
    exact = frame["curated"].eq("exact")
    open_ = frame["curated"].isin(["unspecified", "close"])  # filed there, and nobody said whether it is the same
    p_exact = frame["p_exact"].fillna((frame["equal"] & ~frame["never"]).astype(float))
    p_same = np.select([exact, open_], [1.0, p_exact], 0.0)
    frame["p_same"] = frame["p_same"].mask(said | refused, p_same)
    frame["p_target"] = frame["p_target"].mask(said, 1.0).mask(refused, 0.0)
    composed = frame["composition"].map(COMPOSITIONS)
    named = np.select([open_ & composed.notna(), open_ & (p_exact >= _SAME_AT), open_], [composed, "exact", "broad"], frame["curated"])
    frame["predicate"] = frame["predicate"].mask(said, named).mask(refused, "not")
    frame["decision"] = frame["decision"].mask(said, np.where(frame["rejected"], "review", "accept")).mask(refused, "reject")
    frame["justification"] = frame["justification"].mask(said | refused, JUSTIFICATIONS["curated"])
    frame["calibration"] = frame["calibration"].mask(said | refused, "curated")
    return frame.assign(spoken=said | refused, said=said)


def _with_decisions(frame: pd.DataFrame) -> pd.DataFrame:
    """Let people who work with this workspace overrule everything, curators included.

    What else was accepted for such a subject waits for review if it was predicted, or if it says that the subject is the same
    as another term. Where somebody said that no term fits, nothing is left.
    """
    decided = frame["decided"]
    if not (decided.ne("") | frame["without_in"].notna()).any():
        return frame
    refused = decided.eq(NOT) | (frame["without_in"].notna() & decided.eq("") & frame["decision"].ne("reject"))
    said = decided.ne("") & ~refused
    of_told = frame["subject"].isin(set(frame.loc[said, "subject"]))
    of_same = frame["subject"].isin(set(frame.loc[decided.eq("exact"), "subject"]))
    waits = of_told & ~said & frame["decision"].eq("accept") & (~frame["spoken"] | (of_same & frame["predicate"].eq("exact")))
    frame["decision"] = frame["decision"].mask(waits, "review").mask(said, "accept").mask(refused, "reject")
    frame["predicate"] = frame["predicate"].mask(said, decided).mask(refused, NOT)
    frame["p_target"] = frame["p_target"].mask(said, 1.0).mask(refused, 0.0)
    frame["p_same"] = frame["p_same"].mask(said | refused, decided.eq("exact").astype(float))
    frame["justification"] = frame["justification"].mask(said | refused, MANUAL)
    frame["calibration"] = frame["calibration"].mask(said | refused, DECIDED)
    return frame.assign(spoken=frame["spoken"] | said | refused, said=(frame["said"] & ~refused) | said)


def _kept(frame: pd.DataFrame, top_k: int) -> pd.DataFrame:
    """Rank the links of each subject, curated ones first, and keep the best; what people said stays, and what is accepted."""
    later = np.select([frame["said"] & frame["calibration"].eq(DECIDED), frame["said"]], [0, 1], 2)
    frame = frame.assign(later=later, none=frame["p_target"].isna())
    frame["sorting"] = np.where(frame["none"], -frame["place"], -frame["p_target"].fillna(0.0))
    accepted = frame["decision"] != "accept"
    frame = frame.assign(not_accepted=accepted).sort_values(
        ["subject", "later", "sorting", "place"] if not frame["none"].any() else ["subject", "later", "not_accepted", "place"]
    )
    frame = frame.assign(rank=frame.groupby("subject").cumcount() + 1)
    stays = (frame["rank"] <= top_k) | frame["spoken"] | (frame["decision"] == "accept") | frame["composition"].notna()
    return frame[stays].reset_index(drop=True)


def _as_table(frame: pd.DataFrame, terms: Terms) -> pa.Table:
    import pyarrow as pa

    columns = {name: frame[name] for name in ("subject_id", "object_id", "rank", "predicate", "decision", "justification", "calibration")}
    columns |= {name: frame[name].astype(float).round(6) for name in ("similarity", "p_target", "p_same")}
    columns["matched_name"] = np.array(terms.names.texts, dtype=object)[frame["target_name"]]
    columns["evidence"] = _evidence(frame)
    expected = tables.schema("links")
    arrays = [pa.array(columns[name], type=expected.field(name).type, from_pandas=True) for name in expected.names]
    return pa.Table.from_arrays(arrays, schema=expected)


def _evidence(frame: pd.DataFrame) -> list[list[str]]:
    """Say what speaks for and against each link that is not simply rejected: who said so, then features, the weightiest first."""
    told = frame["cited_rows"].tolist()
    without = frame["without_in"].astype(object).where(frame["calibration"] == DECIDED)
    decided = frame["decided_in"].astype(object).where(frame["decided_in"].notna(), without).tolist()
    shown = frame["decision"].ne("reject").to_numpy()
    cells = {name: frame[name].to_numpy(float) for name in (*_SHOWN, "equal", "alone", "cited") if name in frame}
    weighed = _weighed_cells(frame)
    parts = list(zip(frame["composition"], frame["part"], strict=True))
    evidence: list[list[str]] = []
    for row, rows in enumerate(told):
        lines = [decided[row]] if isinstance(decided[row], str) else []
        lines += rows if isinstance(rows, tuple) else ()
        if isinstance(parts[row][0], str):
            lines += [f"{COMPOSED}={parts[row][0]}", f"part={parts[row][1]}"]
        if shown[row]:
            first = weighed(row)
            lines += first.values()
            lines += [f"{name}={column[row]:.3g}" for name, column in cells.items() if column[row] and name not in first]
        evidence.append(lines)
    return evidence


def _weighed_cells(frame: pd.DataFrame) -> Callable[[int], dict[str, str]]:
    """Give, for a row, the features with their weight as they are written."""
    if "feature_0" not in frame:
        return lambda _row: {}
    which, value, weight = (frame[[f"{name}_{k}" for k in range(_WEIGHED)]].to_numpy() for name in ("feature", "value", "weight"))

    def cells(row: int) -> dict[str, str]:
        names = [FEATURES[int(number)] for number in which[row]]
        return {n: f"{n}={v:.3g} ({w:+.2f})" for n, v, w in zip(names, value[row], weight[row], strict=True) if abs(w) >= _LEAST_WEIGHT}

    return cells


# ---------------------------------------------------------------- a person's own list


def map_texts(
    texts: Sequence[str],
    terms: Terms,
    embed: Embed,
    *,
    codes: Sequence[str | None] | None = None,
    mappings: pd.DataFrame | None = None,
    xrefs: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    calibration: Calibration | None = None,
    precision: float = 0.95,
    top_k: int = 10,
) -> list[dict[str, Any]]:
    """Map a person's own texts: for each, in their order, the best terms as SSSOM fields; "none of these" is an answer too.

    Args:
        codes: A CURIE per text, or None; what curators and cross-references say of it counts.
        mappings: Curated rows that may speak for a code or a text (those for evaluation stay silent).
        xrefs: Cross-references of the terms.
        decisions: What `kgbuild.decisions.apply` gives.
        calibration: None: no probabilities.
    """
    ids = [code or text_id(text) for text, code in zip(texts, codes or [None] * len(texts), strict=True)]
    first = {(id_, text): row for row, (id_, text) in reversed(list(enumerate(zip(ids, texts, strict=True))))}
    rows = sorted(first.values())
    # two rows of one code with different texts are two subjects: each is known by its place
    names = Names([ids[row] for row in rows], [texts[row] for row in rows], np.arange(len(rows)), embed([texts[row] for row in rows]))
    subjects = Subjects(names, [vocabulary_of(ids[row]) for row in rows])
    known = _known_to(mappings, xrefs, decisions, subjects, terms)
    decided = _kept(_decided(_scored(subjects, terms, known, calibration), calibration, precision), top_k)
    labels = np.array(terms.names.texts, dtype=object)[terms.label_rows] if terms.names.ids else np.zeros(0, object)
    answers: dict[tuple[str, str], list[dict[str, Any]]] = {(ids[row], texts[row]): [] for row in rows}
    for record in decided.to_dict("records"):
        key = (ids[rows[record["subject"]]], texts[rows[record["subject"]]])
        if record["rank"] <= top_k or isinstance(record["composition"], str):
            answers[key].append(_answer(key, record, str(labels[record["target"]])))
    return [answer for key in zip(ids, texts, strict=True) for answer in _with_none(key, answers[key], calibration)]


def _known_to(
    mappings: pd.DataFrame | None, xrefs: pd.DataFrame | None, decisions: pd.DataFrame | None, subjects: Subjects, terms: Terms
) -> _Known:
    import pandas as pd

    empty = pd.DataFrame({name: pd.Series(dtype=object) for name in ("subject_id", "object_id", "predicate")})
    xrefs = empty if xrefs is None else xrefs
    if mappings is None:
        curated = _curated(empty.assign(use="", judged="", source="", line=0))
        hidden: set[str] = set()
    else:
        hidden = set(mappings.loc[mappings["use"] == "evaluate", "subject_id"])
        curated = _curated(mappings[(mappings["use"] == "fit") & ~mappings["subject_id"].isin(hidden)])
    cited, nothing = _visible(cited_codes(xrefs, terms.names.ids), hidden), empty[["subject_id", "object_id"]]
    decided = _nothing_decided() if decisions is None else decisions
    return _Known(curated, cited, nothing, decided, _composed(subjects, terms))


_SKOS = {
    "exact": "skos:exactMatch",
    "broad": "skos:broadMatch",
    "narrow": "skos:narrowMatch",
    "close": "skos:closeMatch",
    "not": "skos:exactMatch",
}


def _answer(key: tuple[str, str], record: Mapping[str, Any], label: str) -> dict[str, Any]:
    """Spell one link as SSSOM fields; the confidence is that of the predicate that is written."""
    p_target, p_same = (None if np.isnan(record[name]) else round(float(record[name]), 6) for name in ("p_target", "p_same"))
    of = {"exact": p_same, "close": p_target}
    composition = record["composition"] if isinstance(record["composition"], str) else None
    spoken = record["calibration"] in {"curated", DECIDED} or composition is not None
    differing = None if p_target is None or p_same is None else round(max(p_target - p_same, 0.0), 6)
    return {
        "subject_id": key[0],
        "subject_label": key[1],
        "predicate_id": _SKOS[record["predicate"]],
        "predicate_modifier": "Not" if record["predicate"] == "not" else None,
        "object_id": record["object_id"],
        "object_label": label,
        "mapping_justification": record["justification"],
        "confidence": None if spoken else of.get(record["predicate"], differing),
        "similarity_score": round(float(np.clip(record["similarity"], 0, 1)), 6),
        "p_target": p_target,
        "p_same": p_same,
        "decision": record["decision"],
        "calibration": record["calibration"],
        COMPOSED: composition,
    }


def _with_none(key: tuple[str, str], answers: list[dict[str, Any]], calibration: Calibration | None) -> Iterable[dict[str, Any]]:
    """Put "none of these" first where no candidate is likely enough; its confidence is what the best of them leaves."""
    best = max((answer["p_target"] or 0.0 for answer in answers), default=0.0)
    alike = max((answer["similarity_score"] for answer in answers), default=0.0)
    unlikely = best < _NONE_AT if calibration else alike < _AGREE_AT
    if any(answer["decision"] == "accept" for answer in answers) or not unlikely:
        return answers
    none = {
        "subject_id": key[0],
        "subject_label": key[1],
        "predicate_id": _SKOS["close"],
        "predicate_modifier": None,
        "object_id": NO_TERM,
        "object_label": None,
        "mapping_justification": JUSTIFICATIONS["similarity"],
        "confidence": round(1 - best, 6) if calibration else None,
        "similarity_score": None,
        "p_target": None,
        "p_same": None,
        "decision": "review",
        "calibration": answers[0]["calibration"] if answers else "uncalibrated",
    }
    return [none, *answers]


# ---------------------------------------------------------------- from tables


def read_terms(tables_dir: Any, embed: Embed, *, target: str = "efo") -> Terms:
    """Read the live, nameable terms of the target vocabulary, their names and their hierarchy."""
    concepts = tables.read(tables_dir, "concepts", ["id", "vocabulary", "kind", "obsolete"]).to_pandas()
    concepts = concepts[(concepts["vocabulary"] == target) & ~concepts["obsolete"]].drop_duplicates("id")
    names = _read_names(tables_dir, concepts["id"].tolist(), embed)
    relations = tables.read(tables_dir, "relations", ["subject_id", "predicate", "object_id"])
    return Terms(names, concepts["kind"].tolist(), _parents(relations, set(concepts["id"])))


def read_subjects(tables_dir: Any, embed: Embed, *, target: str = "efo") -> Subjects:
    """Read the live concepts that are to be linked: phenotypes of every other vocabulary."""
    concepts = tables.read(tables_dir, "concepts", ["id", "vocabulary", "kind", "obsolete"]).to_pandas()
    wanted = (concepts["vocabulary"] != target) & ~concepts["obsolete"] & concepts["kind"].isin(LINKED_KINDS)
    targets = set(concepts.loc[(concepts["vocabulary"] == target) & ~concepts["obsolete"], "id"])
    concepts = concepts[wanted & ~concepts["id"].isin(targets)].drop_duplicates("id")
    return Subjects(_read_names(tables_dir, concepts["id"].tolist(), embed), concepts["vocabulary"].tolist())


def _read_names(tables_dir: Any, ids: list[str], embed: Embed) -> Names:
    """Read the names of concepts, each once, the label first."""
    import pandas as pd

    names = tables.read(tables_dir, "names", ["concept_id", "name", "role"]).to_pandas()
    places = pd.Series(range(len(ids)), index=ids)
    names = names[names["concept_id"].isin(places.index)]
    names = names.assign(owner=places.loc[names["concept_id"]].to_numpy(), later=names["role"] != "label")
    names = names.sort_values(["owner", "later"], kind="stable").drop_duplicates(["owner", "name"])
    texts = names["name"].tolist()
    return Names(ids, texts, names["owner"].to_numpy(np.int64), embed(texts))


def _parents(relations: pa.Table, ids: set[str]) -> list[tuple[str, str]]:
    import pyarrow.compute as pc

    rows = relations.filter(pc.equal(relations["predicate"], "IS_A"))
    pairs = zip(rows["subject_id"].to_pylist(), rows["object_id"].to_pylist(), strict=True)
    return [(child, parent) for child, parent in pairs if child in ids and parent in ids]
