"""Curated mappings and candidates in; a fit out that turns the evidence on a pair into two probabilities.

`p_target`: a curator would file the subject under the term. `p_same`: both are the same thing, which is p_target times the
probability that a right target is an exact one; but where a term alone has the very name, curators who file elsewhere do not
make it another thing. Everything is linear in the features and kept as plain numbers: first a choice among a subject's
candidates and "none of these" (a conditional logit: McFadden 1974), then a logistic regression that recalibrates its
probabilities, a third for codes that terms cite as cross-references. Each vocabulary has its own coefficients, drawn towards
the common ones; one with little gold has the common ones, and is marked so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgbuild.features import FEATURES, NEVER_SAME, Subjects, Terms, measure
from kgbuild.neighbours import Names
from kgbuild.retrieval import DEPTH, retrieve, with_pairs
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ABSENT",
    "MIN_GOLD",
    "MOST",
    "NEVER",
    "RELATIONS",
    "RISING",
    "Calibration",
    "GoldPairs",
    "Logistic",
    "choice_logits",
    "citations_of",
    "cited_codes",
    "default_calibration",
    "equivalents",
    "fit",
    "gold_pairs",
    "has_default",
    "is_never_same",
    "logits_out_of_fold",
    "probabilities_out_of_fold",
    "probabilities_without_set",
]

Embed = Callable[[list[str]], np.ndarray]  # texts -> float32 (n, d), rows of length 1
Progress = Callable[[str, int, int], None]

VERSION = 3
MIN_GOLD = 200  # judged subjects below which a vocabulary (or a whole workspace) has no fit of its own
MANY_TEXTS = 15  # a term with more texts is no bridge between them when folds are made
FOLDS = 5
RELATIONS = ("exact", "broad", "narrow")  # of a right target: what the term is, beside the subject
NEVER = 0.05  # highest p_same of a residual or qualified text, or of names that contradict each other

_DEFAULT = Path(__file__).parent / "data" / "calibration-minilm.json"
_STEPS = 60  # of the optimiser; more changed nothing in cross-validation
_INVERSE_PENALTY = 0.1  # chosen by cross-validation on curated training sets, like the next two
_NARROW_WEIGHT = 4.0  # what a narrow target counts, for there are few
_OWN = 0.5  # how freely a vocabulary departs from the common coefficients
MOST = 1500  # judged subjects of a set of curators beyond which it counts no more
ABSENT = 0.2  # share of subjects that are shown once more without their right term: "none of these" must be learnt
_ABSENT_WEIGHT = 0.2  # what such a copy counts; with 1, texts that do have a term come out underconfident
_LIST_DEPTH, _LATER_WEIGHT = 3, 0.25  # candidates of a list that the second fit looks at, and what those after the first count
_SAME = "(the same)"  # key of the curve of p_same among the thresholds
_SAME_FLOOR = 0.9  # lowest p_same that accepts: sets that only say "exact" are easier than code lists, where .9 delivered .96
_DOUBT = 1.0  # standard errors taken off a precision before a threshold is chosen by it
_EXPECTED = 300.0  # judged pairs that the probabilities' own mean counts as, beside those seen above a threshold
_FEW = 30  # pairs below which a share of them says nothing

# sets of free texts that are unlike the free texts of users (names of diseases, most of them EFO's own): they teach the common
# coefficients, not those of free text
_APART = {"eva_clinvar": "disease names"}

# features whose meaning depends on who writes the names; the rest have common coefficients only
INTERACTING: tuple[str, ...] = (
    "similarity", "gap", "first", "equal", "tfidf", "label_tfidf", "subject_covered", "target_covered", "log_length_ratio",
    "label_similarity", "is_label", "qualifiers_of_subject", "qualifiers_of_target", "residual_subject", "composite_subject",
    "conflicts", "measured_subject", "measured_target", "prefix_EFO", "prefix_MONDO", "prefix_HP", "prefix_OBA", "prefix_Orphanet",
    "kind_Disease", "kind_Phenotype", "kind_Measurement", "log_names", "depth", "log_descendants", "leaf", "used", "has_descendant",
    "has_ancestor", "descendant_gap", "ancestor_gap", "near_first", "log_rank",
)  # fmt: skip
# evidence that two names are one: never a reason against, whatever few judged subjects seem to say
RISING: tuple[str, ...] = (
    "similarity", "similarity_over_70", "similarity_over_85", "similarity_over_95", "label_similarity",
    "equal", "exact", "tfidf", "label_tfidf", "subject_covered", "target_covered", "covered", "alone",
)  # fmt: skip
# of names and the hierarchy alone, so that one fit serves every encoder
RELATION_FEATURES: tuple[str, ...] = (
    "equal", "exact", "tfidf", "label_tfidf", "subject_covered", "target_covered", "covered", "is_label", "any_equal", "other_equal",
    "log_length_ratio", "length_difference", "subject_length", "target_length",
    "qualifiers_of_subject", "qualifiers_of_target", "qualifiers_shared", "residual_subject", "residual_target",
    "composite_subject", "composite_target", "composite_target_only", "conflicts", "sides_of_subject", "sides_of_target",
    "measured_subject", "measured_target", "malignant_subject", "malignant_target",
    "number_conflict", "number_of_subject", "number_of_target", "letter_conflict", "letter_of_target",
    "log_names", "depth", "log_descendants", "leaf",
)  # fmt: skip
LIST_FEATURES = ("logit", "others", "lead", "lead_of_first")
CITATION_FEATURES = ("logit", "cited", "cited_alone", "cited_one_to_one", "other_cited")


@dataclass(frozen=True)
class Logistic:
    """A logistic regression as plain numbers: coefficients of unscaled features, in their order."""

    intercept: float
    coefficients: tuple[float, ...]

    def logit(self, columns: np.ndarray) -> np.ndarray:
        return self.intercept + columns @ np.array(self.coefficients)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Calibration:
    """How evidence becomes probability, where that was learnt, and how well it did on what it had not seen.

    `pairwise` and `listwise` have the key "" for every vocabulary, and a vocabulary's name for its own.
    """

    encoder: str  # name of the encoder whose cosines it was fitted on
    pairwise: Mapping[str, Logistic]
    listwise: Mapping[str, Logistic]
    citations: Logistic | None
    exact: Logistic  # log odds of an exact target, against a broad one
    narrow: Logistic  # and of a narrow one
    named: float  # how often a term that alone has the subject's name, as its preferred one, is the same thing
    thresholds: Mapping[str, tuple[tuple[float, float], ...]]  # (probability, precision of what lies above), rising
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def name_for(self, vocabulary: str) -> str:
        """Say which fit a vocabulary gets: its own, or the common one."""
        return f"{self.provenance.get('name', 'workspace')}: {vocabulary if vocabulary in self.pairwise else 'all vocabularies'}"

    def p_target(
        self, pairs: pd.DataFrame, features: pd.DataFrame, vocabularies: np.ndarray, citations: pd.DataFrame | None = None
    ) -> np.ndarray:
        """Compute the probability that a curator would choose the term.

        Args:
            pairs: Rows of `candidates`, whole subjects in their order.
            vocabularies: The subject's, one per pair.
            citations: What `citations_of` says of the pairs; None keeps cross-references out.
        """
        columns, subject = features[list(FEATURES)].to_numpy(float), pairs["subject"].to_numpy()
        logit = choice_logits(_by_vocabulary(self.pairwise, columns, vocabularies), subject)
        return self._in_list(logit, subject, vocabularies, citations)

    def _in_list(self, logit: np.ndarray, subject: np.ndarray, vocabularies: np.ndarray, citations: pd.DataFrame | None) -> np.ndarray:
        logit = _by_vocabulary(self.listwise, _list_columns(logit, subject), vocabularies)
        if citations is not None and self.citations is not None:
            cited = self.citations.logit(np.column_stack([logit, citations[list(CITATION_FEATURES[1:])].to_numpy(float)]))
            logit = np.where(citations["any_cited"].to_numpy(), cited, logit)
        return _sigmoid(logit)

    def p_relation(self, features: pd.DataFrame) -> np.ndarray:
        """Compute the probability of each of RELATIONS, (n, 3), given that the target is right; `exact` is never likely for a
        residual or qualified text.
        """
        return _p_relation(self.exact, self.narrow, features)

    def p_same(self, p_target: np.ndarray, p_exact: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """Compute the probability that both are the same thing.

        Args:
            p_target: What `p_target` gives.
            p_exact: First column of `p_relation`.
            alone: The feature of that name: nobody else has the name.
        """
        return _p_same(p_target, p_exact, alone, self.named)

    def threshold(self, vocabulary: str, precision: float) -> float:
        """Give the lowest probability from which accepted links reached a precision, out of fold; above 1 when none did."""
        curve = self.thresholds.get(vocabulary) or self.thresholds.get("", ())
        return min((p for p, reached in curve if reached >= precision), default=2.0)

    def same_threshold(self, precision: float) -> float:
        """Give the lowest p_same from which links held the same reached a precision, out of fold; above 1 when none did."""
        return max(_SAME_FLOOR, min((p for p, reached in self.thresholds.get(_SAME, ()) if reached >= precision), default=2.0))

    def accepts(self, p_target: np.ndarray, p_same: np.ndarray, vocabularies: np.ndarray, precision: float) -> np.ndarray:
        """Tell which links reach a precision: as a target, or as the same thing.

        Curators file one text under different terms, so that p_target alone is seldom sure; that two names mean one thing can be.
        """
        thresholds = {v: self.threshold(v, precision) for v in set(vocabularies)}
        as_target = p_target >= np.array([thresholds[v] for v in vocabularies], float)
        return as_target | (p_same >= self.same_threshold(precision))

    def to_json(self) -> str:
        """Write every number; the same fit gives the same text."""
        return (
            json.dumps({"version": VERSION, "features": FEATURES, "relation_features": RELATION_FEATURES, **asdict(self)}, indent=1) + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It was written for other features.
        """
        raw = json.loads(text)
        made_for = [raw.pop(name, None) for name in ("version", "features", "relation_features")]
        if made_for != [VERSION, list(FEATURES), list(RELATION_FEATURES)]:
            raise ValueError("the calibration was made for other features than this version of kgbuild measures: fit it again")
        for name in ("exact", "narrow", "citations"):
            raw[name] = raw[name] and _logistic(raw[name])
        for name in ("pairwise", "listwise"):
            raw[name] = {vocabulary: _logistic(own) for vocabulary, own in raw[name].items()}
        raw["thresholds"] = {vocabulary: tuple((p, reached) for p, reached in curve) for vocabulary, curve in raw["thresholds"].items()}
        return cls(**raw)


def _logistic(raw: Mapping[str, Any]) -> Logistic:
    return Logistic(raw["intercept"], tuple(raw["coefficients"]))


def _by_vocabulary(fits: Mapping[str, Logistic], columns: np.ndarray, vocabularies: np.ndarray) -> np.ndarray:
    logit = fits[""].logit(columns)
    for vocabulary in sorted(set(vocabularies) & set(fits)):
        rows = vocabularies == vocabulary
        logit[rows] = fits[vocabulary].logit(columns[rows])
    return logit


def _list_columns(logit: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Say how each candidate stands in its list: LIST_FEATURES of runs of one subject."""
    if not len(logit):
        return np.zeros((0, len(LIST_FEATURES)))
    starts, group = _runs(subject)
    p = _sigmoid(logit)
    others = np.log(1e-3 + np.maximum(np.add.reduceat(p, starts)[group] - p, 0))
    first = np.maximum.reduceat(logit, starts)[group]
    is_first = logit == first
    second = np.maximum.reduceat(np.where(is_first, -9.0, logit), starts)[group]
    lead = np.clip(np.where(is_first, logit - second, logit - first), -5, 5)
    return np.column_stack([logit, others, lead, np.where(is_first, np.maximum(lead, 0), 0)])


def choice_logits(utility: np.ndarray, subject: np.ndarray) -> np.ndarray:
    """Compute the log odds that each candidate is chosen among those of its subject and "none of these", whose utility is 0.

    >>> np.round(choice_logits(np.array([0.0, 0.0, 2.0]), np.array([0, 0, 1])), 4).tolist()  # one of three, twice; 2 against none
    [-0.6931, -0.6931, 2.0]
    """
    if not len(utility):
        return np.zeros(0)
    starts, group = _runs(subject)
    most = np.maximum(np.maximum.reduceat(utility, starts), 0)
    weight = np.exp(utility - most[group])
    others = (np.add.reduceat(weight, starts) + np.exp(-most))[group] - weight
    return utility - most[group] - np.log(np.maximum(others, 1e-12))  # type: ignore[no-any-return]


def _runs(subject: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the first row of each run of one subject, and the run of each row."""
    new = np.r_[True, subject[1:] != subject[:-1]]
    return np.flatnonzero(new), np.cumsum(new) - 1


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(logit, -500, 500)))  # type: ignore[no-any-return]


def is_never_same(features: pd.DataFrame) -> np.ndarray:
    """Tell which pairs are never the same thing: one side is residual or qualified, or the names contradict each other."""
    equal: np.ndarray = features["equal"].to_numpy() > 0
    return (features[list(NEVER_SAME)].to_numpy() > 0).any(axis=1) & ~equal  # type: ignore[no-any-return]


def _p_relation(exact: Logistic, narrow: Logistic, features: pd.DataFrame) -> np.ndarray:
    columns = features[list(RELATION_FEATURES)].to_numpy(float)
    logits = np.column_stack([exact.logit(columns), np.zeros(len(columns)), narrow.logit(columns)])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = odds / odds.sum(axis=1, keepdims=True)
    most = np.where(is_never_same(features), np.minimum(p[:, 0], NEVER), p[:, 0])
    rest = p[:, 1:] * ((1 - most) / np.maximum(1 - p[:, 0], 1e-12))[:, None]
    return np.column_stack([most, rest])


def _p_same(p_target: np.ndarray, p_exact: np.ndarray, alone: np.ndarray, named: float) -> np.ndarray:
    return np.where(alone > 0, np.maximum(p_target, named), p_target) * p_exact  # type: ignore[no-any-return]


def has_default() -> bool:
    """Tell whether a fit ships with the program (it does not while the first one is being made)."""
    return _DEFAULT.exists()


@lru_cache(maxsize=1)
def default_calibration() -> Calibration:
    """Give the fit that ships with the program, for the packaged encoder."""
    return Calibration.from_json(_DEFAULT.read_text(encoding="utf-8"))


# ---------------------------------------------------------------- gold


@dataclass(frozen=True)
class GoldPairs:
    """Judged subjects with their candidates: one row per pair in every table.

    `pairs` has, beside the columns of `retrieve`, `right`, `relation` (one of RELATIONS, or empty where no curator said) and
    `extra` (a candidate for its cross-reference alone: no example of what names say).
    """

    subjects: Subjects
    sets: list[str]  # by subject: whose judgement
    components: np.ndarray  # by subject: what must stay in one fold
    targets: list[frozenset[str]]  # by subject: ids that are right
    absent: np.ndarray  # by subject: is the right term kept from the candidates
    pairs: pd.DataFrame
    features: pd.DataFrame
    citations: pd.DataFrame | None = None  # what terms' cross-references say of the pairs

    @property
    def vocabularies(self) -> np.ndarray:
        return np.array(self.subjects.vocabularies, dtype=object)


def gold_pairs(
    mappings: pd.DataFrame,
    terms: Terms,
    embed: Embed,
    *,
    same: Mapping[str, frozenset[str]] | None = None,
    cited: pd.DataFrame | None = None,
    absent: float = 0.0,
    repeat_absent: bool = False,
    most: int | None = None,
    progress: Progress | None = None,
) -> GoldPairs:
    """Find and measure the candidates of every judged subject, from its label alone.

    Args:
        mappings: Rows of the table `mappings` (`set` may be missing).
        same: Terms that are one thing under two ids (see `equivalents`): right when the other is.
        cited: What `cited_codes` gives; these terms become candidates of their code.
        absent: Share of the subjects whose right terms, and what equals them, are kept from the candidates.
        repeat_absent: Show those subjects twice, with and without.
        most: Subjects of each set of curators that are taken; more of them teach little and cost time.
    """
    judged = _judged_subjects(mappings, terms, same or {})
    if most is not None:
        judged = _at_most(judged, most)
    chosen = _drawn(judged["subject_id"] + "\x1f" + judged["subject_label"], absent)
    judged["absent"] = chosen if not repeat_absent else np.zeros(len(chosen), bool)
    if repeat_absent:
        import pandas as pd

        judged = pd.concat([judged, judged[chosen].assign(absent=True)], ignore_index=True)
    labels = judged["subject_label"].tolist()
    subjects = Subjects(
        Names([str(row) for row in range(len(labels))], labels, np.arange(len(labels)), embed(labels)), judged["vocabulary"].tolist()
    )
    pairs = retrieve(subjects.names, terms, DEPTH + 5, progress=progress)  # five to spare for what is taken out
    if cited is not None:
        pairs = with_pairs(pairs, subjects.names, judged["subject_id"].tolist(), terms.names, cited)
    pairs = _labelled(pairs, judged, terms)
    features = measure(pairs, subjects, terms)
    citations = None if cited is None else citations_of(pairs, judged["subject_id"].tolist(), terms.names.ids, cited)
    known = pairs["known"].to_numpy()
    return GoldPairs(
        subjects,
        judged["set"].tolist(),
        judged["component"].to_numpy(),
        judged["targets"].tolist(),
        judged["absent"].to_numpy(),
        pairs[known].reset_index(drop=True),
        features[known].reset_index(drop=True),
        None if citations is None else citations[known].reset_index(drop=True),
    )


def _judged_subjects(mappings: pd.DataFrame, terms: Terms, same: Mapping[str, frozenset[str]]) -> pd.DataFrame:
    """Give one row per subject as its curators saw it: right, wrong, exact and not exact targets, and its component."""
    frame = mappings.assign(set=mappings.get("set", default=""))
    frame = frame.drop_duplicates(["set", "vocabulary", "subject_id", "subject_label", "predicate", "object_id", "judged"])
    live = set(terms.names.ids)
    frame = frame[frame["object_id"].isin(live)].reset_index(drop=True)
    frame["component"] = _components(frame)
    frame["vocabulary"] = frame["set"].map(_APART).fillna(frame["vocabulary"])
    rows = []
    for (set_, vocabulary, subject_id, label), group in frame.groupby(["set", "vocabulary", "subject_id", "subject_label"], sort=True):
        valid = group[group["judged"] == "valid"]
        by_predicate = {p: _with_same(valid.loc[valid["predicate"] == p, "object_id"], same) for p in RELATIONS}
        rows.append(
            {
                "set": set_, "vocabulary": vocabulary, "subject_id": subject_id, "subject_label": label,
                "targets": _with_same(valid["object_id"], same),
                "wrong": frozenset(group.loc[group["judged"] == "invalid", "object_id"]),
                **by_predicate,
                "component": group["component"].iloc[0],
            }
        )  # fmt: skip
    import pandas as pd

    columns = ["set", "vocabulary", "subject_id", "subject_label", "targets", "wrong", *RELATIONS, "component"]
    return pd.DataFrame(rows, columns=columns)


def _with_same(ids: Sequence[str], same: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset(ids).union(*(same.get(id_, frozenset()) for id_ in ids))


def _labelled(pairs: pd.DataFrame, judged: pd.DataFrame, terms: Terms) -> pd.DataFrame:
    """Say of each pair whether it is right, and how related; take out what must be absent; keep DEPTH candidates and the equal ones."""
    ids = terms.names.ids
    twins = _lexical_twins(terms.names)
    right, relation, known, stays = [], [], [], []
    columns = {name: judged[name].tolist() for name in ("targets", "wrong", *RELATIONS, "absent")}
    hidden = [
        _with_twins(targets, twins) if absent else frozenset()
        for targets, absent in zip(columns["targets"], columns["absent"], strict=True)
    ]
    for subject, target in zip(pairs["subject"], pairs["target"], strict=True):
        id_ = ids[target]
        right.append(id_ in columns["targets"][subject])
        relation.append(next((name for name in RELATIONS if id_ in columns[name][subject]), ""))
        known.append(bool(columns["targets"][subject]) or id_ in columns["wrong"][subject])
        stays.append(id_ not in hidden[subject])
    pairs = pairs.assign(right=right, relation=relation, known=known)[np.array(stays, bool)]
    spare = pairs["near"] & (pairs["near"].groupby(pairs["subject"]).cumsum() > DEPTH) & ~pairs["equal"]
    found = ~spare & pairs["retrieved"]
    return pairs.assign(extra=~found)[found | pairs["asked_for"]].reset_index(drop=True)


def _lexical_twins(names: Names) -> dict[str, frozenset[str]]:
    """Give, for each term, the other terms with a lexically equal name."""
    by_form: dict[str, set[str]] = {}
    for form, owner in zip(names.normal, names.owners, strict=True):
        by_form.setdefault(form, set()).add(names.ids[owner])
    twins: dict[str, set[str]] = {}
    for group in by_form.values():
        for id_ in group if len(group) > 1 else ():
            twins.setdefault(id_, set()).update(group)
    return {id_: frozenset(group) for id_, group in twins.items()}


def _with_twins(targets: frozenset[str], twins: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return targets.union(*(twins.get(id_, frozenset()) for id_ in targets))


def _at_most(judged: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep so many subjects of each set, drawn by a hash of their own: who is kept must not say whose term is taken away."""
    numbers = _hashes("kept\x1f" + judged["subject_id"] + "\x1f" + judged["subject_label"])
    rank = judged.assign(number=numbers).groupby("set")["number"].rank(method="first")
    return judged[(rank <= most).to_numpy()].reset_index(drop=True)


def _drawn(keys: Sequence[str], share: float) -> np.ndarray:
    """Draw a share of the keys by their hash: the same keys on every machine, whatever the others are."""
    return _hashes(keys) < share


def _hashes(keys: Sequence[str]) -> np.ndarray:
    """Turn each key into a number from 0 to 1."""
    import hashlib

    return np.array([int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64 for key in keys], float)


def _components(mappings: pd.DataFrame) -> np.ndarray:
    """Join rows that share a text in its normal form, a code, or a target with few texts."""
    import pandas as pd
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    texts = "text " + mappings["subject_label"].map(normalise_name)
    codes = "code " + mappings["subject_id"]
    targets = "term " + mappings["object_id"]
    targets = targets.mask(texts.groupby(targets).transform("nunique") > MANY_TEXTS, codes)
    numbers, names = pd.factorize(pd.concat([texts, codes, targets]), sort=True)
    text, code, target = numbers.reshape(3, -1)
    edges = (np.concatenate([text, text]), np.concatenate([code, target]))
    _, component = connected_components(coo_matrix((np.ones(len(edges[0])), edges), shape=(len(names), len(names))), directed=False)
    return component[text]  # type: ignore[no-any-return]


def equivalents(xrefs: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Give, for each id that was replaced, and each that replaced one, the ids that are the same thing.

    >>> import pandas as pd
    >>> rows = [("EFO:1", "replaced_by", "MONDO:1"), ("EFO:2", "xref", "MONDO:2")]
    >>> sorted(equivalents(pd.DataFrame(rows, columns=["subject_id", "predicate", "object_id"]))["MONDO:1"])
    ['EFO:1', 'MONDO:1']
    """
    import networkx as nx

    rows = xrefs[xrefs["predicate"] == "replaced_by"]
    graph = nx.Graph(zip(rows["subject_id"], rows["object_id"], strict=True))
    return {id_: frozenset(group) for group in nx.connected_components(graph) for id_ in group}


# ---------------------------------------------------------------- cross-references


def cited_codes(xrefs: pd.DataFrame, term_ids: Sequence[str]) -> pd.DataFrame:
    """List the (code, term) pairs that terms' own cross-references state, with the number of terms that cite the code and
    of codes with that prefix that the term cites: subject_id, object_id, terms, codes.
    """
    terms = set(term_ids)
    stated = xrefs[(xrefs["predicate"] == "xref") & xrefs["subject_id"].isin(terms) & ~xrefs["object_id"].isin(terms)]
    pairs = stated[["object_id", "subject_id"]].set_axis(["subject_id", "object_id"], axis=1).drop_duplicates()
    prefix = pairs["subject_id"].map(lambda id_: id_.partition(":")[0])
    return pairs.assign(
        terms=pairs.groupby("subject_id")["object_id"].transform("size"),
        codes=pairs.groupby(["object_id", prefix])["subject_id"].transform("size"),
    ).reset_index(drop=True)


def citations_of(pairs: pd.DataFrame, subject_ids: Sequence[str], term_ids: Sequence[str], cited: pd.DataFrame) -> pd.DataFrame:
    """Say of each pair whether the term cites the subject's code: `any_cited` and CITATION_FEATURES without the first."""
    import pandas as pd

    keys = pd.DataFrame(
        {
            "subject_id": np.array(subject_ids, dtype=object)[pairs["subject"]],
            "object_id": np.array(term_ids, dtype=object)[pairs["target"]],
        }
    )
    found = keys.merge(cited, on=["subject_id", "object_id"], how="left")
    here = found["terms"].notna().to_numpy()
    any_cited = keys["subject_id"].isin(set(cited["subject_id"])).to_numpy()
    alone = here & (found["terms"] == 1).to_numpy()
    return pd.DataFrame(
        {
            "any_cited": any_cited,
            "cited": here,
            "cited_alone": alone,
            "cited_one_to_one": alone & (found["codes"] == 1).to_numpy(),
            "other_cited": any_cited & ~here,
        }
    )


# ---------------------------------------------------------------- fitting


def fit(
    gold: GoldPairs,
    *,
    encoder: str,
    logit: np.ndarray | None = None,
    p: np.ndarray | None = None,
    relations_from: Calibration | None = None,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Calibration | None:
    """Fit on judged pairs; None with too few. Thresholds come from scores out of fold.

    Args:
        encoder: Name of the encoder.
        logit: What `logits_out_of_fold` gives, where it is known.
        p: What `probabilities_out_of_fold` gives, where it is known.
        relations_from: What equal names are worth, and how right targets are related, where too little gold says so.
    """
    n_judged = len({(gold.sets[s], gold.subjects.names.texts[s]) for s in range(len(gold.sets)) if gold.targets[s]})
    relations, named = _fit_relations(gold), _named(gold)
    if relations_from is not None:
        relations = relations or (relations_from.exact, relations_from.narrow)
        named = relations_from.named if named is None else named
    if n_judged < MIN_GOLD or relations is None:
        return None
    logit = logits_out_of_fold(gold, progress=progress) if logit is None else logit
    p = probabilities_out_of_fold(gold, logit) if p is None else p
    everything = np.ones(len(gold.pairs), bool)
    counts = {
        name: int(sum(s == name and bool(t) for s, t in zip(gold.sets, gold.targets, strict=True))) for name in sorted(set(gold.sets))
    }
    return Calibration(
        encoder,
        _fit_pairwise(gold, everything),
        _fit_listwise(gold, logit, everything),
        _fit_citations(gold, p),
        *relations,
        named or 0.0,
        _thresholds(gold, p) | {_SAME: _same_curve(gold, p) or (relations_from.thresholds.get(_SAME, ()) if relations_from else ())},
        {"name": "workspace", "gold": counts, **(provenance or {})},
    )


def probabilities_without_set(gold: GoldPairs, name: str, logit: np.ndarray) -> np.ndarray:
    """Compute p_target of each pair with fits that saw nothing of one set of curators.

    Args:
        logit: What `logits_out_of_fold` gives: the second fit learns from these, of the other sets.
    """
    subject = gold.pairs["subject"].to_numpy()
    own = (np.array(gold.sets, dtype=object) == name)[subject]
    vocabularies = gold.vocabularies[subject]
    utility = _by_vocabulary(_fit_pairwise(gold, ~own), gold.features[list(FEATURES)].to_numpy(float), vocabularies)
    first = choice_logits(utility, subject)
    return _sigmoid(_by_vocabulary(_fit_listwise(gold, logit, ~own), _list_columns(first, subject), vocabularies))


def _folds(gold: GoldPairs) -> np.ndarray:
    """Give the fold of each pair; a component is in one fold."""
    fold = np.random.default_rng(0).permutation(int(gold.components.max(initial=0)) + 1)[gold.components] % FOLDS
    return fold[gold.pairs["subject"].to_numpy()]  # type: ignore[no-any-return]


def logits_out_of_fold(gold: GoldPairs, *, progress: Progress | None = None) -> np.ndarray:
    """Compute the log odds of each pair in the first fit, from fits that saw nothing of its component."""
    fold, logit, subject = _folds(gold), np.zeros(len(gold.pairs)), gold.pairs["subject"].to_numpy()
    columns, vocabularies = gold.features[list(FEATURES)].to_numpy(float), gold.vocabularies[subject]
    for number in range(FOLDS):
        rows = fold == number
        utility = _by_vocabulary(_fit_pairwise(gold, ~rows), columns[rows], vocabularies[rows])
        logit[rows] = choice_logits(utility, subject[rows])
        if progress:
            progress("calibrating", number + 1, FOLDS)
    return logit


def probabilities_out_of_fold(gold: GoldPairs, logit: np.ndarray) -> np.ndarray:
    """Compute p_target of each pair with fits that saw nothing of its component; cross-references play no part.

    Args:
        logit: What `logits_out_of_fold` gives.
    """
    fold, p = _folds(gold), np.zeros(len(logit))
    subject = gold.pairs["subject"].to_numpy()
    columns, vocabularies = _list_columns(logit, subject), gold.vocabularies[subject]
    for number in range(FOLDS):
        rows = fold == number
        p[rows] = _sigmoid(_by_vocabulary(_fit_listwise(gold, logit, ~rows), columns[rows], vocabularies[rows]))
    return p


def _fit_listwise(gold: GoldPairs, logit: np.ndarray, rows: np.ndarray) -> dict[str, Logistic]:
    """Fit on logits out of fold: those of the fit itself are too sure."""
    subject = gold.pairs["subject"].to_numpy()
    columns = _list_columns(logit, subject)
    kept = np.flatnonzero(rows & (_rank_within(logit, subject) < _LIST_DEPTH))
    places = list(range(len(LIST_FEATURES)))
    weights = np.where(_rank_within(logit, subject)[kept] == 0, 1.0, _LATER_WEIGHT) * _subject_weights(gold)[subject[kept]]
    return _fit_by_vocabulary(gold, columns[kept], kept, weights, places)


def _rank_within(value: np.ndarray, subject: np.ndarray) -> np.ndarray:
    order = np.lexsort((-value, subject))
    new = np.r_[True, subject[order][1:] != subject[order][:-1]] if len(order) else np.zeros(0, bool)
    rank = np.zeros(len(value), np.int64)
    rank[order] = np.arange(len(order)) - np.flatnonzero(new)[np.cumsum(new) - 1]
    return rank


def _fit_pairwise(gold: GoldPairs, rows: np.ndarray) -> dict[str, Logistic]:
    """Fit the choice among candidates: common coefficients and, for each vocabulary with enough gold, what it adds in some places."""
    kept = np.flatnonzero(rows & ~gold.pairs["extra"].to_numpy())
    subject = gold.pairs["subject"].to_numpy()[kept]
    columns = gold.features[list(FEATURES)].to_numpy(np.float32)[kept]
    mean, spread = _scale(columns)
    names = [v for v in sorted(set(gold.subjects.vocabularies)) if _n_judged(gold, v) >= MIN_GOLD]
    places = [FEATURES.index(name) for name in INTERACTING]
    design = _Design(((columns - mean) / spread).astype(np.float32), gold.vocabularies[subject], names, places)
    rising = [FEATURES.index(name) for name in RISING]
    coefficients = _choose(design, subject, gold.pairs["right"].to_numpy()[kept], _subject_weights(gold)[subject], rising)
    return _unscaled(coefficients[:-1], float(coefficients[-1]), names, places, mean, spread)


class _Design:
    """Columns of all rows; beside them, for each vocabulary, its rows' columns in some places and a constant; a constant last."""

    def __init__(self, scaled: np.ndarray, vocabularies: np.ndarray, names: Sequence[str], places: list[int]) -> None:
        self._columns = np.column_stack([scaled, np.ones(len(scaled), np.float32)])
        self._rows = [np.flatnonzero(vocabularies == name) for name in names]
        self._own = [np.column_stack([scaled[rows][:, places] * np.float32(_OWN), np.ones(len(rows), np.float32)]) for rows in self._rows]
        self._width = len(places) + 1
        self.size = scaled.shape[1] + self._width * len(names) + 1

    def utilities(self, coefficients: np.ndarray) -> np.ndarray:
        """Multiply each row by the coefficients."""
        small = coefficients.astype(np.float32)
        common = np.r_[small[: self._columns.shape[1] - 1], small[-1:]]
        utility: np.ndarray = (self._columns @ common).astype(float)
        for number, (rows, own) in enumerate(zip(self._rows, self._own, strict=True)):
            start = len(common) - 1 + number * self._width
            utility[rows] += own @ small[start : start + self._width]
        return utility

    def gradient(self, slope: np.ndarray) -> np.ndarray:
        """Multiply each coefficient's column by a slope per row."""
        small = slope.astype(np.float32)
        common = self._columns.T @ small
        parts = [own.T @ small[rows] for rows, own in zip(self._rows, self._own, strict=True)]
        return np.concatenate([common[:-1], *parts, common[-1:]]).astype(float)


def _choose(design: _Design, subject: np.ndarray, right: np.ndarray, weights: np.ndarray, rising: Sequence[int]) -> np.ndarray:
    """Fit a conditional logit: each subject chooses among its right candidates, or none of them where there is none.

    The common coefficients in the places `rising` are 0 or more.
    """
    from scipy.optimize import minimize

    starts, group = _runs(subject)
    has_right, weight = np.logical_or.reduceat(right, starts), weights[starts]
    penalty = np.full(design.size, 1 / _INVERSE_PENALTY)
    penalty[-1] = 0
    least = np.full(design.size, -np.inf)
    least[list(rising)] = 0

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        utility = design.utilities(coefficients)
        most = np.maximum(np.maximum.reduceat(utility, starts), 0)
        odds, none = np.exp(utility - most[group]), np.exp(-most)
        total = np.add.reduceat(odds, starts) + none
        chosen = np.maximum(np.where(has_right, np.add.reduceat(odds * right, starts), none), 1e-300)
        slope = odds / total[group] - np.where(right, odds / chosen[group], 0)
        value = -(weight * np.log(chosen / total)).sum() + (penalty * coefficients**2).sum() / 2
        return float(value), design.gradient(slope * weights) + penalty * coefficients

    bounds = [(low, np.inf) for low in least]
    found: np.ndarray = minimize(loss, np.zeros(design.size), jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS}).x
    return found


def _fit_by_vocabulary(
    gold: GoldPairs, columns: np.ndarray, kept: np.ndarray, weights: np.ndarray, places: list[int]
) -> dict[str, Logistic]:
    """Fit the common coefficients and, for each vocabulary with enough gold, what it adds to those in some places."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = _scale(columns)
    scaled = ((columns - mean) / spread).astype(columns.dtype)
    vocabularies = gold.vocabularies[gold.pairs["subject"].to_numpy()[kept]]
    names = [v for v in sorted(set(gold.subjects.vocabularies)) if _n_judged(gold, v) >= MIN_GOLD]
    right = gold.pairs["right"].to_numpy()[kept]
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000, tol=1e-4).fit(
        _design(scaled, vocabularies, names, places), right, sample_weight=weights
    )
    return _unscaled(model.coef_[0].astype(float), float(model.intercept_[0]), names, places, mean, spread)


def _design(scaled: np.ndarray, vocabularies: np.ndarray, names: Sequence[str], places: list[int]) -> Any:
    """Put beside the common columns, for each vocabulary, those in some places and a constant: filled in its own rows only."""
    from scipy import sparse

    width, index = len(places) + 1, {name: number for number, name in enumerate(names)}
    of_row = np.array([index.get(vocabulary, -1) for vocabulary in vocabularies], np.int64)
    known = of_row >= 0
    own = np.column_stack([scaled[known][:, places] * _OWN, np.ones(known.sum(), scaled.dtype)]).astype(scaled.dtype)
    columns = (of_row[known] * width)[:, None] + np.arange(width)
    starts = np.r_[0, np.cumsum(known * width)]
    beside = sparse.csr_matrix((own.ravel(), columns.ravel(), starts), shape=(len(scaled), max(len(names) * width, 1)))
    return sparse.hstack([sparse.csr_matrix(scaled), beside], format="csr")


def _scale(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give mean and spread of each column; one that hardly varies gets an infinite spread, and so no say."""
    mean, spread = columns.mean(axis=0, dtype=float), columns.std(axis=0, dtype=float)
    return mean, np.where(spread > 1e-3, spread, np.inf)


def _unscaled(
    coefficients: np.ndarray, intercept: float, names: Sequence[str], places: Sequence[int], mean: np.ndarray, spread: np.ndarray
) -> dict[str, Logistic]:
    n, width = len(mean), len(places) + 1

    def plain(scaled: np.ndarray, offset: float) -> Logistic:
        raw = scaled / spread
        return Logistic(round(offset - float(raw @ mean), 6), tuple(np.round(raw, 6).tolist()))

    fits = {"": plain(coefficients[:n], intercept)}
    for number, name in enumerate(names):
        part = coefficients[n + number * width : n + (number + 1) * width]
        scaled = coefficients[:n].copy()
        scaled[list(places)] += part[:-1] * _OWN
        fits[name] = plain(scaled, intercept + float(part[-1]))
    return fits


def _fit_citations(gold: GoldPairs, p: np.ndarray) -> Logistic | None:
    """Fit what a cross-reference adds, on subjects whose code some term cites."""
    from sklearn.linear_model import LogisticRegression

    if gold.citations is None:
        return None
    rows = np.flatnonzero(gold.citations["any_cited"].to_numpy() & ~gold.absent[gold.pairs["subject"].to_numpy()])
    if gold.pairs["subject"].iloc[rows].nunique() < MIN_GOLD:
        return None
    logit = np.log(np.maximum(p, 1e-9) / np.maximum(1 - p, 1e-9))[rows]
    columns = np.column_stack([logit, gold.citations[list(CITATION_FEATURES[1:])].to_numpy(float)[rows]])
    model = LogisticRegression(C=1.0, max_iter=1000).fit(columns, gold.pairs["right"].to_numpy()[rows])
    return Logistic(round(float(model.intercept_[0]), 6), tuple(np.round(model.coef_[0], 6).tolist()))


def _n_judged(gold: GoldPairs, vocabulary: str) -> int:
    """Count the judged subjects that say how a vocabulary's entries are filed; cross-walks do not."""
    walks = _cross_walks(gold)
    return sum(
        v == vocabulary and bool(t) and name not in walks
        for v, t, name in zip(gold.subjects.vocabularies, gold.targets, gold.sets, strict=True)
    )


def _cross_walks(gold: GoldPairs) -> frozenset[str]:
    """Name the sets that only ever say "exact": they list what matches, and nothing of the entries that have no match. A fit on
    one of them alone held two ICD-10-CM injury codes out of three to be likely links.
    """
    subject, right = gold.pairs["subject"].to_numpy(), gold.pairs["right"].to_numpy()
    said = np.array(gold.sets, dtype=object)[subject]
    other = set(said[right & (gold.pairs["relation"].to_numpy() != "exact")])
    return frozenset(set(gold.sets) - other)


def _subject_weights(gold: GoldPairs) -> np.ndarray:
    sizes = {name: gold.sets.count(name) for name in set(gold.sets)}
    of_set = np.array([min(1.0, MOST / sizes[name]) for name in gold.sets])
    return np.where(gold.absent, _ABSENT_WEIGHT, 1.0) * of_set  # type: ignore[no-any-return]


def _named(gold: GoldPairs) -> float | None:
    """Count how often a term that alone has the subject's name is the same thing, in sets that only state what is the same:
    whoever files under another term does not say that this one is something else. None where there are few such pairs.
    """
    subject = gold.pairs["subject"].to_numpy()
    walk = np.isin(np.array(gold.sets, dtype=object)[subject], sorted(_cross_walks(gold)))
    rows = walk & (gold.features["alone"].to_numpy() > 0) & ~gold.absent[subject] & ~gold.pairs["extra"].to_numpy(bool)
    right = gold.pairs["right"].to_numpy(bool)[rows]
    return round(float((right.sum() + 1) / (len(right) + 2)), 6) if len(right) >= _FEW else None


def _fit_relations(gold: GoldPairs, *, least: int = MIN_GOLD // 4) -> tuple[Logistic, Logistic] | None:
    """Fit how a right target is related (log odds of exact and of narrow, against broad) on targets that curators called one of
    RELATIONS, and on right targets of residual and qualified texts, which are never exact and count as broad; None where fewer
    than `least` were called broad.
    """
    from sklearn.linear_model import LogisticRegression

    right = gold.pairs["right"].to_numpy()
    said = np.where(right, gold.pairs["relation"].to_numpy(), "")
    if (said == "broad").sum() < least:
        return None
    never = is_never_same(gold.features) & right & (said == "")
    label = np.where(never, "broad", said)
    rows = np.flatnonzero(label != "")
    label, kinds = label[rows], np.where(never, "never", np.array(gold.sets, dtype=object)[gold.pairs["subject"].to_numpy()])[rows]
    judged = {kind for kind in set(kinds) if len(set(label[kinds == kind]) & {"exact", "broad"}) == 2}
    # sets that only ever say "exact" are of another kind of list: they count, but little
    weights = np.array([1.0 if kind in judged else min(1.0, 100 / np.count_nonzero(kinds == kind)) for kind in kinds])
    columns = gold.features[list(RELATION_FEATURES)].to_numpy(float)[rows]
    weights = weights * np.where(label == "narrow", _NARROW_WEIGHT, 1.0)
    mean, spread = _scale(columns)
    model = LogisticRegression(C=_INVERSE_PENALTY, max_iter=1000)
    model.fit((columns - mean) / spread, label.astype(str), sample_weight=weights)
    return _against_broad(model, "exact", mean, spread), _against_broad(model, "narrow", mean, spread)


def _against_broad(model: Any, relation: str, mean: np.ndarray, spread: np.ndarray) -> Logistic:
    """Take the log odds of a relation against broad from a fit of several; of a relation that nobody saw, next to nothing."""
    known = model.classes_.tolist()
    if relation not in known:
        return Logistic(-20.0, (0.0,) * len(mean))
    coefficients, intercepts = model.coef_, model.intercept_
    if len(known) == 2:  # one row, for the class that comes second
        coefficients, intercepts = np.vstack([-coefficients / 2, coefficients / 2]), np.r_[-intercepts / 2, intercepts / 2]
    one, other = known.index(relation), known.index("broad")
    raw = (coefficients[one] - coefficients[other]) / spread
    return Logistic(round(float(intercepts[one] - intercepts[other] - raw @ mean), 6), tuple(np.round(raw, 6).tolist()))


def _thresholds(gold: GoldPairs, p: np.ndarray) -> dict[str, tuple[tuple[float, float], ...]]:
    """Give, for all subjects and for each vocabulary with enough, the precision of what lies above each probability.

    Cross-walks are left out of the common one, for they would make it look easy.
    """
    subject, right = gold.pairs["subject"].to_numpy(), gold.pairs["right"].to_numpy()
    weights, vocabularies = _subject_weights(gold)[subject], gold.vocabularies[subject]
    walks = _cross_walks(gold)
    filed = ~np.isin(np.array(gold.sets, dtype=object)[subject], list(walks))
    common = filed if filed.any() else np.ones(len(p), bool)
    curves = {"": _curve(p[common], right[common], weights[common])}
    for vocabulary in sorted(set(gold.subjects.vocabularies)):
        if _n_judged(gold, vocabulary) >= MIN_GOLD:
            rows = vocabularies == vocabulary
            curves[vocabulary] = _curve(p[rows], right[rows], weights[rows])
    return curves


def _same_curve(gold: GoldPairs, p: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Give the precision of p_same, out of fold, on sets whose curators say which targets are exact."""
    subject, exact = gold.pairs["subject"].to_numpy(), gold.pairs["relation"].to_numpy() == "exact"
    sets = np.array(gold.sets, dtype=object)[subject]
    says = np.isin(sets, sorted(set(sets[exact])))
    fold, p_same, known = _folds(gold), np.zeros(len(p)), np.zeros(len(p), bool)
    alone = gold.features["alone"].to_numpy()
    for number in range(FOLDS):
        rows = fold == number
        others = replace(gold, pairs=gold.pairs.assign(right=gold.pairs["right"] & ~rows, extra=gold.pairs["extra"] | rows))
        fitted = _fit_relations(others, least=MIN_GOLD // 8)  # one component may hold most of the gold
        if fitted is not None:
            p_exact = _p_relation(*fitted, gold.features[rows])[:, 0]
            p_same[rows] = _p_same(p[rows], p_exact, alone[rows], _named(others) or 0.0)
            known |= rows
    right, kept = exact & gold.pairs["right"].to_numpy(), says & known
    return _curve(p_same[kept], right[kept], _subject_weights(gold)[subject][kept])


def _curve(p: np.ndarray, right: np.ndarray, weights: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Give (threshold, precision above it, less its standard error): the lowest that seems good enough is one that had luck.

    What was seen is drawn towards the mean of the probabilities: by counts less their standard error, what was accepted at .95
    was .90 right in cross-validation, and .94 with both.
    """
    points = []
    for threshold in np.round(np.arange(0.3, 0.996, 0.005), 3):
        above = p >= threshold
        total = weights[above].sum()
        if total > 0:
            expected = (weights * p)[above].sum() / total
            reached = float(((weights * right)[above].sum() + _EXPECTED * expected) / (total + _EXPECTED))
            error = float((reached * (1 - reached) / (total + _EXPECTED)) ** 0.5)
            points.append((float(threshold), round(reached - _DOUBT * error, 4)))
    return tuple(points)
