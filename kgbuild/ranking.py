"""Development pairs in, weights out: how the features of a pair of a text and a SNP make one score.

A small network (`kgbuild.network`) is fitted to tell pairs that training did not see from pairs that are not known, for both
anchors at once, so it is the logarithm of odds under as many negatives as positives: it orders pairs, and is no probability
that one is true. It is either linear, or has hidden units: what a cosine says of a SNP that has associations of its own is
not what it says of one that has an LD block alone, and no sum of features can tell that. Cross-validation chooses. Half of
the development pairs are drawn by trait and locus (no LD mate of them stays with the trait), half one by one. Each subset
of parts has a network of its own, so that what is left when a part is switched off is the best that the others can do.

How large the effect of a SNP is expected to be (`kgbuild.effects`) does not tell true pairs from others, so it comes on top:

    score = network + strength · size · sigmoid(network)

where the size is that of the SNP whatever the trait, in standard deviations from its mean: the traits of one SNP keep their
order, and of the SNPs of a trait those that are likely anyway are ordered. The strength is the greatest of STRENGTHS that
costs less than MOST_LOSS in AUC on the development pairs. The part `effect` by itself is the size for the trait.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from math import factorial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kgbuild import effects, tables
from kgbuild.draws import N_NEGATIVES, Draws, World, interval
from kgbuild.effects import Effects
from kgbuild.errors import ModelError
from kgbuild.network import Network, Rivals, fit_network
from kgbuild.signals import FEATURES, PARTS, Signals
from kgbuild.splits import split_snp_traits

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DEVELOPMENT",
    "EFFECT",
    "MOST_PAIRS",
    "NEARBY",
    "Ranking",
    "SINGLE",
    "cross_validated",
    "drawn",
    "examples",
    "fit",
    "fit_effects",
    "fit_ranking",
    "rivals_of",
    "with_single_pairs",
]

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]

VERSION = 4
SINGLE = "development by pair"
DEVELOPMENT = {"development": "by locus", SINGLE: "by pair"}
SHARE = 0.03  # of pairs, that are held out one by one
MOST_PAIRS = 1_500  # of each kind
LEAST_PAIRS = 40  # fewer teach nothing
LEAST_GAIN = 0.002  # in mean AUC on folds that were left out, for the score to be more than the similarity
FOLDS = 5
HIDDEN = 32  # units; 48 and two layers of 48 gave the same
EFFECT = "effect"  # the part that orders likely pairs
TOLD = tuple(name for part, names in PARTS.items() if part != EFFECT for name in names)  # features that tell pairs from others
SIZE, SIZE_OF_SNP = (FEATURES.index(name) for name in PARTS[EFFECT])
STRENGTHS = (4.0, 3.0, 2.0, 1.5, 1.0, 0.5, 0.25)
MOST_LOSS = 0.002  # in mean AUC
MOST_LISTS = 400  # of each kind: pairs that are given rivals
ALIKE, NEAR = 120, 60  # rivals by similarity, and of what is linked to the block and the region
NEARBY = "no vector"  # kind of pairs whose SNP the model does not place


@dataclass(frozen=True)
class Ranking:
    """Networks by parts that count; none where the score is the similarity.

    Args:
        networks: Names of parts but `effect`, sorted and joined by "+" -> the network that is fitted on their features.
        gain: What the score brought over the similarity on development pairs, in mean AUC, cross-validated.
        n_pairs: How many these were.
        strength: Of the expected size of the effect; 0: it does not count.
        sizes: Mean and standard deviation of the expected sizes, for the trait and whatever the trait.
    """

    networks: Mapping[str, Network] = field(default_factory=dict)
    gain: float = 0.0
    n_pairs: int = 0
    strength: float = 0.0
    sizes: Sequence[Sequence[float]] = field(default_factory=lambda: [[0.0, 1.0], [0.0, 1.0]])

    def score(self, features: Floats, parts: Sequence[str] = tuple(PARTS)) -> Floats:
        """Give the score of each row of features."""
        if not (others := [part for part in parts if part != EFFECT]):
            return _standard(features[:, SIZE], self.sizes[0])
        odds = self.networks[_key(others)](features)
        return _with_effect(odds, _standard(features[:, SIZE_OF_SNP], self.sizes[1]), self.strength) if EFFECT in parts else odds

    def contributions(self, features: Floats, parts: Sequence[str] = tuple(PARTS)) -> dict[str, Floats]:
        """Give what each part adds to the score; they sum to it.

        A part adds what it changes when it comes to others, on average over the orders in which parts can come (Shapley, "A value
        for n-person games", 1953): what the others say already is shared.
        """
        if tuple(parts) == (EFFECT,):
            return {EFFECT: self.score(features, parts)}
        subsets = [others for size in range(len(parts) + 1) for others in combinations(sorted(parts), size)]
        even = np.zeros(len(features), dtype=np.float32)  # the odds of which nothing is known
        value = {others: self.score(features, others) if {*others} - {EFFECT} else even for others in subsets}
        value[EFFECT,] = _with_effect(
            even, _standard(features[:, SIZE_OF_SNP], self.sizes[1]), self.strength
        )  # beside others it raises odds, and is none by itself
        added = {part: np.zeros(len(features), dtype=np.float32) for part in PARTS if part in parts}
        for others in subsets:
            share = factorial(len(others)) * factorial(max(0, len(parts) - len(others) - 1)) / factorial(len(parts))
            for part in added.keys() - set(others):
                added[part] += np.float32(share) * (value[tuple(sorted((*others, part)))] - value[others])
        return added

    def save(self, folder: Path) -> None:
        """Write ranking.json."""
        document = {"version": VERSION, "features": FEATURES, **asdict(self)}
        (folder / "ranking.json").write_text(json.dumps(document) + "\n", encoding="utf-8")

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
        networks = {parts: Network(**network) for parts, network in document.pop("networks").items()}
        return cls(networks, **document)


def _standard(sizes: Floats, of: Sequence[float]) -> Floats:
    """Give sizes in standard deviations from their mean."""
    return np.asarray((sizes - np.float32(of[0])) / np.float32(of[1]), dtype=np.float32)


def _with_effect(odds: Floats, size: Floats, strength: float) -> Floats:
    """Raise what is likely by the size of its effect.

    >>> _with_effect(np.array([-9, 0, 9], np.float32), np.array([2, 2, 2], np.float32), 1.0).round(1).tolist()
    [-9.0, 1.0, 11.0]
    """
    return np.asarray(odds + np.float32(strength) * size / (1 + np.exp(-odds)), dtype=np.float32) if strength else odds


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
    """Fit the networks on the development parts; none where that brings less than LEAST_GAIN, or what may be chance."""
    kinds = drawn(world, split, seed)
    draws = [of for kind, of in kinds.items() if not kind.endswith(NEARBY)]
    n = sum(of.n for of in draws)
    if n < LEAST_PAIRS:
        return Ranking(n_pairs=n)
    features, label, valid, owner = examples(signals, list(kinds.values()))
    rivals = rivals_of(signals, world, draws, seed=seed)
    loci = np.concatenate([of.loci for of in kinds.values()]).astype(str)
    # pairs without a similarity come last, and count only where networks are fitted that do without
    similarity, of_gain = _aucs(features[:, 0], draws), loci[:n]
    scores = {hidden: cross_validated(features, label, valid, owner, loci, hidden=hidden, rivals=rivals) for hidden in (0, HIDDEN)}
    aucs = {hidden: _aucs(found, draws) for hidden, found in scores.items()}
    # within a kind of SNPs, which is what these draws compare, the two are close; only hidden units can tell the kinds apart
    hidden = HIDDEN if float(np.nanmean(aucs[HIDDEN] - aucs[0])) > -LEAST_GAIN else 0
    gain = aucs[hidden] - similarity
    mean = float(np.nanmean(gain))
    if mean < LEAST_GAIN or not interval(gain, of_gain)[0] > 0:
        return Ranking(gain=round(mean, 4), n_pairs=n)
    sizes = [[round(float(of.mean()), 6), max(1e-6, round(float(of.std()), 6))] for of in features[:, [SIZE, SIZE_OF_SNP]].T]
    standard = _standard(features[:, SIZE_OF_SNP], sizes[1])
    raised = {strength: _aucs(_with_effect(scores[hidden], standard, strength), draws) for strength in STRENGTHS}
    allowed = (strength for strength, found in raised.items() if float(np.nanmean(np.subtract(aucs[hidden], found))) < MOST_LOSS)
    strength = next(allowed, 0.0) if standard.any() else 0.0
    told = [part for part in PARTS if part != EFFECT]
    chosen = [parts for size in range(1, len(told) + 1) for parts in combinations(told, size)]
    fitted = {
        _key(parts): fit(features, label, valid, [name for part in parts for name in PARTS[part]], hidden=hidden, rivals=rivals)
        for parts in chosen
    }
    return Ranking(fitted, round(mean, 4), n, strength, sizes)


def fit_effects(signals: Signals, tables_dir: Path, split: pd.DataFrame) -> Effects:
    """Fit the expected size of an effect on the development pairs that have an odds ratio."""
    from embedder import unit_rows

    assert signals.effects is not None
    held = split[split["part"].isin(DEVELOPMENT)][["object_name", "variant_id"]].drop_duplicates()
    known = effects.known_effects(tables_dir).dropna(subset=["size"]).sort_values("neg_log10_p", ascending=False, kind="stable")
    pairs = held.merge(known.drop_duplicates(["object_name", "variant_id"]), on=["object_name", "variant_id"])
    pairs = pairs[pairs["variant_id"].isin(signals.model.snp_rows.keys())]
    if len(pairs) < effects.LEAST_PAIRS:
        return signals.effects
    texts = {text: number for number, text in enumerate(sorted(set(pairs["object_name"])))}
    text, snp = pairs["object_name"].map(texts).to_numpy(np.int64), pairs["variant_id"].map(signals.model.snp_rows).to_numpy(np.int64)
    base = unit_rows(signals.encode(list(texts)))
    found = signals.of_effects(signals.model.text_vectors(base, list(texts)), text, snp)
    return effects.fit(signals.effects, found, pairs["size"].to_numpy(np.float32))


def cross_validated(
    features: Floats,
    label: Booleans,
    valid: Booleans,
    owner: Integers,
    loci: npt.NDArray[Any],
    names: Sequence[str] = TOLD,
    *,
    hidden: int = HIDDEN,
    rivals: Rivals | None = None,
) -> Floats:
    """Score each row of `examples` by a fit without the loci of its fold; `loci` are those of the positives."""
    names_of, unit = np.unique(loci, return_inverse=True)
    fold_of = np.random.default_rng(0).permutation(len(names_of)) % FOLDS
    fold = fold_of[unit][owner]
    scores = np.zeros(len(label), dtype=np.float32)
    for number in range(FOLDS):
        left_out = fold == number
        others = None if rivals is None else rivals.part(~np.isin(rivals.loci, names_of[fold_of == number]))
        scores[left_out] = fit(features, label, valid & ~left_out, names, hidden=hidden, rivals=others)(features[left_out])
    return scores


def drawn(world: World, split: pd.DataFrame, seed: int, *, most_pairs: int = MOST_PAIRS) -> dict[str, Draws]:
    """Draw negatives for each kind of development pair; for SNPs that training did not see, others that it did not see.

    Otherwise the fit would learn that a SNP without associations goes with the trait. Those without a vector come last.
    """
    seen = np.zeros(len(world.snp_degree), dtype=bool)
    seen[world.seen_snps] = True
    n_placed = len(world.snp_degree) - len(world.nearby_rows)
    kinds = {
        "seen": world.seen_snps,
        "block only": np.flatnonzero(~seen[:n_placed]),
        NEARBY: np.fromiter(world.nearby_rows.values(), np.int64),
    }
    found = {}
    for kind, pool in kinds.items():
        known = world.nearby_rows if kind == NEARBY else world.snp_rows
        for part, name in DEVELOPMENT.items():
            held = split[split["part"] == part]
            rows = held["variant_id"].map(known).fillna(-1).to_numpy(np.int64)
            pairs = held[(rows >= 0) & (seen[rows] == (kind == "seen"))]
            of_kind = replace(world, snp_rows=known, seen_snps=pool)
            draws = Draws.of(of_kind, pairs, part, most_pairs=most_pairs, seed=seed) if len(pool) else None
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
    if not drawn:
        return np.empty((0, len(FEATURES)), dtype=np.float32), np.empty(0, bool), np.empty(0, bool), np.empty(0, np.int64)
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


def rivals_of(signals: Signals, world: World, drawn: Sequence[Draws], *, seed: int) -> Rivals | None:
    """Give pairs of known texts with the texts that are hardest to tell from theirs: none is known to go with the SNP.

    These are the ALIKE texts that are most similar to the SNP, and up to NEAR of those that its LD block and region have.
    """
    random = np.random.default_rng(seed)
    n_texts = len(signals.evidence.texts)
    texts: list[Integers] = []
    snps: list[int] = []
    loci: list[Any] = []
    for draws in drawn:
        of = np.flatnonzero(draws.positive[0] < n_texts)
        for row in random.choice(of, min(MOST_LISTS, len(of)), replace=False).tolist():
            text, snp = int(draws.positive[0][row]), int(draws.positive[1][row])
            allowed = ~world.known(np.arange(n_texts), np.full(n_texts, snp))
            allowed[text] = False
            near = signals.texts_near(snp)
            alike = np.where(allowed, signals.similarities(snp), -np.inf)
            most = np.argpartition(-alike, min(ALIKE, n_texts - 1))[:ALIKE]
            others = np.union1d(most[allowed[most]], random.permutation(near[allowed[near]])[:NEAR])
            if len(others):
                texts.append(np.concatenate([[text], others]))
                snps.append(snp)
                loci.append(str(draws.loci[row]))
    if not texts:
        return None
    sizes = [len(of_pair) for of_pair in texts]
    return Rivals(signals.of_known(np.concatenate(texts), np.repeat(snps, sizes)), np.cumsum([0, *sizes]), np.array(loci))


def fit(
    features: Floats,
    label: Booleans,
    used: Booleans,
    names: Sequence[str] = TOLD,
    *,
    hidden: int = HIDDEN,
    rivals: Rivals | None = None,
) -> Network:
    """Fit a network on the features of these names."""
    return fit_network(features, label, used, [FEATURES.index(name) for name in names], hidden=hidden, rivals=rivals)


def _aucs(scores: npt.NDArray[np.floating], drawn: Sequence[Draws]) -> Doubles:
    """Give each positive the mean of its two shares of negatives below it."""
    out, start = [], 0
    for draws in drawn:
        ends = start + np.cumsum([draws.n, draws.n * N_NEGATIVES, draws.n * N_NEGATIVES])
        parts = [scores[a:b] for a, b in zip([start, *ends[:-1].tolist()], ends.tolist(), strict=True)]
        out.append(draws.mean_aucs(*parts))
        start = int(ends[-1])
    return np.concatenate(out)
