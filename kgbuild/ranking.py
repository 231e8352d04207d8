"""Development pairs in, weights out: how the features of a pair of a text and a SNP make one score.

    score = constant + sum over features of weight · feature

is a logistic regression of pairs that training did not see against pairs that are not known, for both anchors at once, so it is
the logarithm of odds under as many negatives as positives: it orders pairs, and is no probability that one is true. Half
of the development pairs are drawn by trait and locus (no LD mate of them stays with the trait), half one by one. Each
subset of parts has weights of its own, so that what is left when a part is switched off is the best that the others can do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.draws import N_NEGATIVES, Draws, World, interval
from kgbuild.errors import ModelError
from kgbuild.signals import FEATURES, PARTS, Signals
from kgbuild.splits import split_snp_traits

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEVELOPMENT", "MOST_PAIRS", "Ranking", "cross_validated", "drawn", "examples", "fit_ranking", "with_single_pairs"]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

VERSION = 2
SINGLE = "development by pair"
DEVELOPMENT = {"development": "by locus", SINGLE: "by pair"}
SHARE = 0.03  # of pairs, that are held out one by one
MOST_PAIRS = 1_500  # of each kind
LEAST_PAIRS = 40  # fewer teach nothing
LEAST_GAIN = 0.002  # in mean AUC on folds that were left out, for the score to be more than the similarity
FOLDS = 5
PENALTY = 0.1  # scikit-learn's C, on standardised features; 0.01 and 1 gave the same


@dataclass(frozen=True)
class Ranking:
    """Weights by parts that count; none where the score is the similarity.

    Args:
        weights: Names of parts, sorted and joined by "+" -> a constant and a weight for each of FEATURES.
        gain: What the score brought over the similarity on development pairs, in mean AUC, cross-validated.
        n_pairs: How many these were.
    """

    weights: Mapping[str, Sequence[float]] = field(default_factory=dict)
    gain: float = 0.0
    n_pairs: int = 0

    def score(self, features: Floats, parts: Sequence[str] = tuple(PARTS)) -> Floats:
        """Give the score of each row of features."""
        weights = np.asarray(self._of(parts), dtype=np.float64)
        return np.asarray(features @ weights[1:] + weights[0], dtype=np.float32)

    def contributions(self, features: Floats, parts: Sequence[str] = tuple(PARTS)) -> dict[str, Floats]:
        """Give what each part adds to the score."""
        weights = dict(zip(FEATURES, self._of(parts)[1:], strict=True))
        columns = {name: number for number, name in enumerate(FEATURES)}
        return {
            part: np.asarray(sum(weights[name] * features[:, columns[name]] for name in PARTS[part]), dtype=np.float32)
            for part in PARTS
            if part in parts
        }

    def _of(self, parts: Sequence[str]) -> Sequence[float]:
        return self.weights[_key(parts)]

    def save(self, folder: Path) -> None:
        """Write ranking.json."""
        document = {"version": VERSION, "features": FEATURES, **asdict(self)}
        (folder / "ranking.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Ranking:
        """Read it back; where there is none the score is the similarity.

        Raises:
            ModelError: An earlier version wrote it.
        """
        path = folder / "ranking.json"
        if not path.exists():
            return cls()
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("version", None) != VERSION or document.pop("features", None) != list(FEATURES):
            raise ModelError(f"{path} is of an earlier version", advice="Train again: kgbuild train")
        return cls(**document)


def _key(parts: Sequence[str]) -> str:
    """Name a set of parts.

    >>> _key(["similarity", "degree"])
    'degree+similarity'
    """
    return "+".join(sorted(parts))


def with_single_pairs(split: pd.DataFrame, folder: Path, *, seed: int = 20261128) -> pd.DataFrame:
    """Hold out SHARE of the pairs one by one beside a split, as `development by pair`.

    Their LD mates, and other texts of the trait, stay in training: what `score` is asked about later is mostly like that.
    """
    import pandas as pd

    if not len(split):
        return split
    given, variants, concepts = (tables.read(folder, name) for name in ("associations", "variants", "concepts"))
    single = split_snp_traits(given, variants, concepts=concepts, share=0.0, development=SHARE, by="pair", seed=seed).assign(part=SINGLE)
    held = set(zip(split["object_id"], split["variant_id"], strict=True))
    new = [pair not in held for pair in zip(single["object_id"], single["variant_id"], strict=True)]
    return pd.concat([split, single[new]], ignore_index=True)


def fit_ranking(signals: Signals, world: World, split: pd.DataFrame, *, seed: int = 20261121) -> Ranking:
    """Fit the weights on the development parts; none where that brings less than LEAST_GAIN, or what may be chance."""
    draws = list(drawn(world, split, seed).values())
    n = sum(of.n for of in draws)
    if n < LEAST_PAIRS:
        return Ranking(n_pairs=n)
    features, label, valid, owner = examples(signals, draws)
    loci = np.concatenate([of.loci for of in draws]).astype(str)
    gain = _aucs(cross_validated(features, label, valid, owner, loci), draws) - _aucs(features[:, 0], draws)
    mean = float(np.nanmean(gain))
    if mean < LEAST_GAIN or not interval(gain, loci)[0] > 0:
        return Ranking(gain=round(mean, 4), n_pairs=n)
    chosen = [parts for size in range(1, len(PARTS) + 1) for parts in combinations(PARTS, size)]
    fitted = {_key(parts): _fit(features, label, valid, [name for part in parts for name in PARTS[part]]) for parts in chosen}
    return Ranking({key: [round(value, 6) for value in weights.tolist()] for key, weights in fitted.items()}, round(mean, 4), n)


def cross_validated(
    features: Floats, label: Booleans, valid: Booleans, owner: Integers, loci: npt.NDArray[Any], names: Sequence[str] = FEATURES
) -> Doubles:
    """Score each row of `examples` by a fit without the loci of its fold; `loci` are those of the positives."""
    _, unit = np.unique(loci, return_inverse=True)
    fold = np.random.default_rng(0).permutation(int(unit.max()) + 1)[unit][owner] % FOLDS
    scores = np.zeros(len(label))
    for number in range(FOLDS):
        left_out = fold == number
        weights = _fit(features, label, valid & ~left_out, names)
        scores[left_out] = features[left_out] @ weights[1:] + weights[0]
    return scores


def drawn(world: World, split: pd.DataFrame, seed: int, *, most_pairs: int = MOST_PAIRS) -> dict[str, Draws]:
    """Draw negatives for each kind of development pair; for SNPs that training did not see, others that it did not see.

    Otherwise the fit would learn that a SNP without associations goes with the trait.
    """
    seen = np.zeros(len(world.snp_degree), dtype=bool)
    seen[world.seen_snps] = True
    found = {}
    for part, name in DEVELOPMENT.items():
        held = split[split["part"] == part]
        rows = held["variant_id"].map(world.snp_rows)
        of_seen = np.array([row == row and seen[int(row)] for row in rows], dtype=bool)
        for kind, pool, pairs in (("seen", world.seen_snps, held[of_seen]), ("block only", np.flatnonzero(~seen), held[~of_seen])):
            draws = Draws.of(replace(world, seen_snps=pool), pairs, part, most_pairs=most_pairs, seed=seed) if len(pool) else None
            if draws is not None:
                found[f"{name}, {kind}"] = draws
    return found


def examples(signals: Signals, drawn: Sequence[Draws]) -> tuple[Floats, Booleans, Booleans, Integers]:
    """Give features, which rows are positive, which may be used, and the positive that each belongs to."""
    texts: dict[str, int] = {}
    text: list[Integers] = []
    snp: list[Integers] = []
    owner: list[Integers] = []
    label: list[Booleans] = []
    valid: list[Booleans] = []
    before = 0
    for draws in drawn:
        numbers = np.array([texts.setdefault(name, len(texts)) for name in draws.texts], dtype=np.int64)
        own = before + np.arange(draws.n)
        others = np.repeat(own, N_NEGATIVES)
        text += [numbers[rows] for rows, _ in (draws.positive, draws.other_snp, draws.other_text)]
        snp += [rows for _, rows in (draws.positive, draws.other_snp, draws.other_text)]
        valid += [np.ones(draws.n, dtype=bool), draws.valid_snp.ravel(), draws.valid_text.ravel()]
        owner += [own, others, others]
        label += [np.ones(draws.n, dtype=bool), np.zeros(2 * len(others), dtype=bool)]
        before += draws.n
    features = signals(list(texts), np.concatenate(text), np.concatenate(snp))
    return features, np.concatenate(label), np.concatenate(valid), np.concatenate(owner)


def _fit(features: Floats, label: Booleans, used: Booleans, names: Sequence[str]) -> Doubles:
    """Give a constant and a weight for each of FEATURES; positives weigh as much as negatives."""
    from sklearn.linear_model import LogisticRegression

    columns = [FEATURES.index(name) for name in names]
    chosen = features[used][:, columns].astype(np.float64)
    mean, spread = chosen.mean(axis=0), np.maximum(chosen.std(axis=0), 1e-6)
    weight = np.where(label[used], (~label[used]).sum() / max(1, label[used].sum()), 1.0)
    model = LogisticRegression(C=PENALTY, max_iter=500).fit((chosen - mean) / spread, label[used], sample_weight=weight)
    out = np.zeros(1 + len(FEATURES))
    out[1 + np.array(columns)] = model.coef_[0] / spread
    out[0] = model.intercept_[0] - float((model.coef_[0] / spread) @ mean)
    return out


def _aucs(scores: npt.NDArray[np.floating], drawn: Sequence[Draws]) -> Doubles:
    """Give each positive the mean of its two shares of negatives below it."""
    out, start = [], 0
    for draws in drawn:
        ends = start + np.cumsum([draws.n, draws.n * N_NEGATIVES, draws.n * N_NEGATIVES])
        parts = [scores[a:b] for a, b in zip([start, *ends[:-1].tolist()], ends.tolist(), strict=True)]
        out.append(draws.mean_aucs(*parts))
        start = int(ends[-1])
    return np.concatenate(out)
