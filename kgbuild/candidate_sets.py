"""Judged subjects and the probabilities of their candidates in; out: which candidates to look at so that the right term is
among them nine times in ten.

Split conformal prediction: of subjects that the probabilities were not fitted on, the p_target of the right term is taken
(CERTAIN where it comes first, 0 where it was not found); a candidate is in the set if it comes first, or if its p_target is
not below all but the lowest tenth of these. That holds for subjects that have a right term and are like the judged ones,
whatever p_target is worth; a better p_target makes the sets smaller, down to the first candidate alone. Each vocabulary with
enough gold has a threshold of its own; the common one weighs all of these the same.

https://arxiv.org/abs/2107.07511
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kgbuild.calibration import MIN_GOLD, GoldPairs
from kgbuild.vocabulary import vocabulary_of

__all__ = [
    "CERTAIN",
    "FILE",
    "LEVEL",
    "MOST",
    "VERSION",
    "CandidateSets",
    "default_candidate_sets",
    "fit_candidate_sets",
    "marked",
    "read_candidate_sets",
    "right_and_size",
    "summary",
]

VERSION = 2
LEVEL = 0.9
MOST = 10  # candidates of a subject that links keep: a right term beyond these is missed, and counts as such
CERTAIN = 2.0  # above every probability: the first candidate is in its set in any case
FILE = "candidate_sets.json"  # in the links' folder

_DEFAULT = Path(__file__).parent / "data" / "candidate-sets-minilm.json"


@dataclass(frozen=True)
class CandidateSets:
    """From which p_target a candidate is in its subject's set.

    Args:
        level: How often the right term shall be in the set.
        thresholds: By the subject's vocabulary; "" for those without their own.
        reached: What out of fold was reached with these: `n` subjects, `coverage`, mean `size`.
        fitted_with: Hash of the calibration that gave p_target; empty: the one in the same folder.
    """

    level: float
    thresholds: Mapping[str, float]
    reached: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fitted_with: str = ""

    def contains(self, p_target: np.ndarray, vocabularies: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Tell which candidates are in the set of their subject.

        Args:
            p_target: One per candidate, nan where there is none: such a candidate is in no set.
            vocabularies: The subject's, one per candidate.
            first: Is it the first candidate of its subject?

        >>> sets = CandidateSets(0.9, {"": 0.2, "icd10cm": 0.1})
        >>> p, vocabularies = np.array([0.15, 0.15, np.nan, 0.01]), np.array(["text", "icd10cm", "icd10cm", "text"], dtype=object)
        >>> sets.contains(p, vocabularies, np.array([False, False, False, True])).tolist()
        [False, True, False, True]
        """
        common = self.thresholds[""]
        least = np.array([self.thresholds.get(v, common) for v in vocabularies], float)
        inside: np.ndarray = (p_target > 0) & (first | (p_target >= least))
        return inside

    def promised(self, vocabulary: str) -> float:
        """Say how often the right term is in the set of a subject that has one: the level, or less where it was not reached.

        >>> sets = CandidateSets(0.9, {"": 0.1, "icd10": 0.0}, {"": {"coverage": 0.9004}, "icd10": {"coverage": 0.7701}})
        >>> sets.promised("text"), sets.promised("icd10")
        (0.9, 0.77)
        """
        reached = self.reached.get(vocabulary if vocabulary in self.thresholds else "", {})
        return min(self.level, round(reached.get("coverage", self.level), 2))

    def to_json(self) -> str:
        """Write every number."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> CandidateSets:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


def fit_candidate_sets(gold: GoldPairs, p: np.ndarray, *, level: float = LEVEL) -> CandidateSets:
    """Choose the thresholds.

    Args:
        gold: Judged subjects with their candidates.
        p: p_target of each pair, from fits that saw nothing of its subject.
    """
    judged = _judged(gold)
    right, _ = right_and_size(gold, p)
    right, vocabularies = right[judged], gold.vocabularies[judged]
    counts = {name: int((vocabularies == name).sum()) for name in sorted(set(vocabularies))}
    own = {name: _threshold(right[vocabularies == name], np.ones(n), level) for name, n in counts.items() if n >= MIN_GOLD}
    alike = np.array([1 / counts[name] for name in vocabularies])
    sets = CandidateSets(level, {"": _threshold(right, alike, level), **own})
    covered, sizes = (column[judged] for column in right_and_size(gold, p, sets))
    reached = {name: _reached(covered[rows], sizes[rows]) for name in own for rows in [vocabularies == name]}
    return CandidateSets(level, sets.thresholds, {"": _reached(covered, sizes), **reached})


def right_and_size(gold: GoldPairs, p: np.ndarray, sets: CandidateSets | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Give, by subject, the highest p_target of a right term (CERTAIN for one that comes first), and the number of candidates;
    of its set's alone, with `sets`.

    What is not among the MOST first candidates, or is one for its cross-reference alone, is not found: 0.
    """
    subject = gold.pairs["subject"].to_numpy()
    p = np.where(gold.pairs["extra"].to_numpy(bool), 0.0, p)
    order = np.lexsort((-p, subject))
    first = np.searchsorted(subject[order], subject[order])
    counted = np.zeros(len(p), bool)
    counted[order[np.arange(len(p)) - first < MOST]] = True
    counted &= p > 0
    leads = np.zeros(len(p), bool)
    leads[order[np.arange(len(p)) == first]] = True
    if sets is not None:
        counted &= sets.contains(p, gold.vocabularies[subject], leads)
    found = counted & gold.pairs["right"].to_numpy()
    right = np.zeros(len(gold.sets))
    np.maximum.at(right, subject[found], np.where(leads, CERTAIN, p)[found])
    return right, np.bincount(subject[counted], minlength=len(gold.sets))


def _judged(gold: GoldPairs) -> np.ndarray:
    """Tell which subjects have a right term that was not taken away."""
    answered = np.array([bool(targets) for targets in gold.targets], bool)
    return np.asarray(answered & ~gold.absent, bool)


def _threshold(right: np.ndarray, weights: np.ndarray, level: float) -> float:
    """Give the highest value that no more than the wanted share lies below; 0 where too few right terms were found.

    >>> _threshold(np.linspace(0.05, 1, 20), np.ones(20), 0.9)  # two of twenty-one, the next one counted with them
    0.1
    """
    order = np.argsort(right, kind="stable")
    below = np.cumsum(weights[order]) / (weights.sum() + weights.mean())
    place = int(np.searchsorted(below, 1 - level + 1e-12, side="right")) - 1
    return float(np.floor(right[order[place]] * 1e6) / 1e6) if place >= 0 else 0.0


def _reached(covered: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
    return {"n": len(covered), "coverage": round(float((covered > 0).mean()), 4), "size": round(float(sizes.mean()), 2)}


def default_candidate_sets() -> CandidateSets | None:
    """Give those that ship with the program, for the calibration that ships with it (none while both are being made)."""
    if not _DEFAULT.exists():
        return None
    return CandidateSets.from_json(_DEFAULT.read_text(encoding="utf-8"))


def read_candidate_sets(links_dir: Path) -> CandidateSets | None:
    """Read what was chosen for a workspace's links; None where nothing was calibrated."""
    path = links_dir / FILE
    return CandidateSets.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def marked(answers: Sequence[Mapping[str, Any]], sets: CandidateSets | None) -> list[dict[str, Any]]:
    """Say of each answer (rows of `kgbuild.links.map_texts`) whether it is in its text's set; None for "none of these"."""
    if sets is None:
        return [dict(answer) for answer in answers]
    p = np.array([np.nan if answer["p_target"] is None else answer["p_target"] for answer in answers], float)
    vocabularies = np.array([vocabulary_of(answer["subject_id"]) for answer in answers], dtype=object)
    best: dict[tuple[str, str], float] = {}
    keys = [(answer["subject_id"], answer["subject_label"]) for answer in answers]
    for key, value in zip(keys, p.tolist(), strict=True):
        best[key] = max(best.get(key, 0.0), value if value == value else 0.0)
    inside = sets.contains(p, vocabularies, p == np.array([best[key] for key in keys])).tolist()
    return [{**a, "in_candidate_set": None if a["p_target"] is None else one} for a, one in zip(answers, inside, strict=True)]


def summary(answers: Sequence[Mapping[str, Any]], sets: CandidateSets, top: int) -> str:
    """Say how large the sets are, and how many may hold more than the `top` candidates that are shown."""
    sizes: dict[tuple[str, str], int] = {}
    for answer in {(a["subject_id"], a["subject_label"], a["object_id"]): a for a in answers}.values():
        key = (answer["subject_id"], answer["subject_label"])
        sizes[key] = sizes.get(key, 0) + bool(answer["in_candidate_set"])
    fuller = sum(size >= top for size in sizes.values())
    mean = sum(sizes.values()) / max(len(sizes), 1)
    least = min((sets.promised(vocabulary_of(id_)) for id_, _ in sizes), default=sets.level)
    beyond = f"; of {fuller:,} there may be more than the {top} shown (--top)" if fuller and top < MOST else ""
    return f"candidate sets, right term inside with {least:.0%} if there is one: {mean:.1f} terms a text{beyond}"
