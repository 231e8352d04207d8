"""Curated mappings that nothing was fitted on in; figures out: how often the first term is right, and whether the
probabilities mean what they say.

A held-out subject is linked from its label alone: nothing curated and no cross-reference of its code is used. Gold holds
almost no text without an answer, while real lists are full of them: every figure is given as the gold is, and again with the
right term (and those with an equal name) taken from the candidates of a fifth of the texts. A third time the terms that cite
the code itself count, too.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kgbuild import calibration as calibrating
from kgbuild.calibration import ABSENT, MOST, RELATIONS, Calibration, GoldPairs, cited_codes, equivalents, gold_pairs
from kgbuild.candidate_sets import CandidateSets, default_candidate_sets, fit_candidate_sets, right_and_size
from kgbuild.features import Terms
from kgbuild.splits import split_mappings
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "Calibrated",
    "calibrate",
    "calibration_error_by_chance",
    "evaluate_links",
    "expected_calibration_error",
    "f1_by_relation",
    "figures_of",
    "fit_default",
    "main",
    "reliability_svg",
    "split_gold",
]

Embed = Callable[[list[str]], np.ndarray]
Progress = Callable[[str, int, int], None]

BINS = 10
RESAMPLES = 500
_REPORTED = 500  # subjects of a set that the shipped fit is reported on: the sets that matter most have fewer, and others thousands
WANTED = (0.95, 0.90)  # precisions of which is told what share is accepted, and how precise that turned out


@dataclass(frozen=True)
class Calibrated:
    """What to link with, and how well it did on what it had not seen; no calibration: too little gold for this encoder."""

    calibration: Calibration | None
    sets: CandidateSets | None
    figures: dict[str, Any]


def calibrate(
    mappings: pa.Table,
    xrefs: pa.Table,
    terms: Terms,
    embed: Embed,
    *,
    encoder: str,
    packaged: bool,
    precision: float = 0.95,
    progress: Progress | None = None,
) -> Calibrated:
    """Fit on the workspace's curated mappings and evaluate on those kept apart.

    With too little gold, the packaged encoder gets the fit that ships with the program, and another encoder none.

    Args:
        encoder: Name of the encoder, for the calibration's provenance.
        packaged: Is it the packaged one, in its own space?
    """
    fit_rows, held_out = split_gold(mappings)
    references = xrefs.to_pandas()
    same, cited = equivalents(references), cited_codes(references, terms.names.ids)
    visible = cited[~cited["subject_id"].isin(set(held_out["subject_id"]))]
    default = calibrating.default_calibration() if calibrating.has_default() else None
    fitted, sets = None, default_candidate_sets() if packaged else None
    if len(fit_rows):
        gold = gold_pairs(fit_rows, terms, embed, same=same, cited=visible, absent=ABSENT, repeat_absent=True, most=MOST, progress=progress)
        logit = calibrating.logits_out_of_fold(gold, progress=progress)
        p = calibrating.probabilities_out_of_fold(gold, logit)
        fitted = calibrating.fit(gold, encoder=encoder, logit=logit, p=p, relations_from=default)
        if fitted is not None:
            sets = fit_candidate_sets(gold, p)
    used = fitted or (default if packaged else None)
    figures: dict[str, Any] = {
        "calibration": used.provenance.get("name", "workspace") if used else "uncalibrated",
        "fitted_on": len(fit_rows),
    }
    if len(held_out):
        figures |= evaluate_links(held_out, terms, embed, used, sets=sets, same=same, cited=cited, precision=precision)
    return Calibrated(used, sets, figures)


def split_gold(mappings: pa.Table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part curated rows into those to fit on and those to evaluate on: rows kept for evaluation where there are any, else a
    share of the components. What shares a code or a text with an evaluated subject is in neither.
    """
    frame = mappings.to_pandas()
    if (frame["use"] == "evaluate").any():
        held = frame[frame["use"] == "evaluate"]
    else:
        parts = split_mappings(mappings)
        keys = set(zip(parts["subject_id"], parts["subject_label"], strict=True))
        held = frame[[key in keys for key in zip(frame["subject_id"], frame["subject_label"], strict=True)]]
    rest = frame[(frame["use"] == "fit") & ~frame.index.isin(held.index)]
    texts, codes = set(held["subject_label"].map(normalise_name)), set(held["subject_id"])
    apart = ~rest["subject_id"].isin(codes) & ~rest["subject_label"].map(normalise_name).isin(texts)
    return rest[apart].reset_index(drop=True), held.reset_index(drop=True)


def evaluate_links(
    held_out: pd.DataFrame,
    terms: Terms,
    embed: Embed,
    calibration: Calibration | None,
    *,
    sets: CandidateSets | None = None,
    same: Mapping[str, frozenset[str]] | None = None,
    cited: pd.DataFrame | None = None,
    precision: float = 0.95,
    most: int | None = None,
) -> dict[str, Any]:
    """Link held-out subjects from their labels and compare with what curators said.

    Args:
        held_out: Rows of the table `mappings`.
        sets: Which candidates to look at.
        same: What `equivalents` gives.
        cited: What `cited_codes` gives: the figures are given once more with it.
        precision: The one that links are accepted at.
        most: Subjects of each set of curators that are taken; None takes all.
    """
    figures = {}
    parts: list[tuple[str, float, pd.DataFrame | None]] = [("as_is", 0.0, None), ("a_fifth_without_answer", ABSENT, None)]
    if calibration is not None and cited is not None and len(cited):
        parts.append(("with_cross_references", 0.0, cited))
    for name, absent, references in parts:
        gold = gold_pairs(held_out, terms, embed, same=same, cited=references, absent=absent, most=most)
        gold = replace(gold, subjects=replace(gold.subjects, vocabularies=_vocabularies(gold, held_out)))
        p = None
        if calibration is not None:
            vocabularies = gold.vocabularies[gold.pairs["subject"].to_numpy()]
            p = calibration.p_target(gold.pairs, gold.features, vocabularies, gold.citations)
        figures[name] = figures_of(gold, p, calibration, precision, sets=sets)
    return figures


def _vocabularies(gold: GoldPairs, held_out: pd.DataFrame) -> list[str]:
    """Give subjects the vocabulary that they have in the tables, not the one that a fit sets apart."""
    of_set = held_out.groupby(["set", "subject_label"])["vocabulary"].first().to_dict()
    return [
        of_set.get((set_, text), v) for set_, text, v in zip(gold.sets, gold.subjects.names.texts, gold.subjects.vocabularies, strict=True)
    ]


def figures_of(
    gold: GoldPairs,
    p: np.ndarray | None,
    calibration: Calibration | None = None,
    precision: float = 0.95,
    *,
    sets: CandidateSets | None = None,
) -> dict[str, Any]:
    """Compute figures over all judged subjects, by vocabulary and by curators' set, and their mean over each.

    Without probabilities there are no calibration figures, and candidates come in the order of their cosines.

    Args:
        p: p_target of each pair.
        calibration: The fit that gave it; accepts links.
        sets: Which candidates to look at.
    """
    firsts = _firsts(gold, p, calibration, precision, sets)
    pairs = _relations(gold, calibration)
    figures: dict[str, Any] = {"all": _summary(firsts, p is not None) | _relation_figures(pairs)}
    for key in ("vocabulary", "set"):
        parts = {}
        for name, part in firsts.groupby(key, sort=True):
            parts[name] = _summary(part, p is not None, interval=key == "vocabulary")
            parts[name] |= _relation_figures(pairs[pairs[key] == name])
        figures[f"by_{key}"] = parts
        figures[f"mean_over_{key}"] = _mean(list(parts.values()))
    figures["reliability"] = _bins(firsts["p"].to_numpy(), firsts["right"].to_numpy()) if p is not None else []
    return figures


def _firsts(
    gold: GoldPairs,
    p: np.ndarray | None,
    calibration: Calibration | None,
    precision: float,
    sets: CandidateSets | None,
) -> pd.DataFrame:
    """Give one row per judged subject with an answer: its first candidate, the rank of the first right one, and its set."""
    import pandas as pd

    order = gold.pairs["similarity"].to_numpy(float) if p is None else p
    frame = gold.pairs[["subject", "right", "similarity", "target"]].assign(p=order)
    wanted = {"accepted": precision, **{f"accepted_at_{w:.0%}": w for w in WANTED}} if calibration is not None and p is not None else {}
    if calibration is not None:
        vocabularies, p_exact = gold.vocabularies[gold.pairs["subject"].to_numpy()], calibration.p_relation(gold.features)[:, 0]
        p_same = calibration.p_same(order, p_exact, gold.features["alone"].to_numpy())
        frame = frame.assign(**{name: calibration.accepts(order, p_same, vocabularies, value) for name, value in wanted.items()})
        frame = frame.assign(p_same=p_same, same=_same(gold))
    frame = frame.sort_values(["subject", "p", "similarity", "target"], ascending=[True, False, False, True])
    frame["rank"] = frame.groupby("subject").cumcount() + 1
    judged = [row for row, targets in enumerate(gold.targets) if targets]
    first = frame[frame["rank"] == 1].set_index("subject").reindex(judged)
    rank = frame[frame["right"]].groupby("subject")["rank"].min().reindex(judged)
    columns = {
        "set": [gold.sets[row] for row in judged],
        "vocabulary": [gold.subjects.vocabularies[row] for row in judged],
        "component": gold.components[judged],
        "right": first["right"].eq(True).to_numpy(),
        "rank": rank.fillna(np.inf).to_numpy(),
        "p": first["p"].fillna(0.0).to_numpy(),
        **{name: first[name].eq(True).to_numpy() for name in wanted},
        **{name: first[name].to_numpy(float) for name in ("p_same", "same") if name in first},
    }
    if sets is not None and p is not None:
        right, size = right_and_size(gold, p, sets)
        columns |= {"in_set": right[judged] > 0, "set_size": size[judged]}
    return pd.DataFrame(columns)


def _same(gold: GoldPairs) -> np.ndarray:
    """Say of each pair whether it is the same thing: 1, 0, or nan where its curators say no more than that it is right."""
    right, said = gold.pairs["right"].to_numpy(bool), gold.pairs["relation"].to_numpy()
    sets = np.array(gold.sets, dtype=object)[gold.pairs["subject"].to_numpy()]
    tells = np.isin(sets, sorted(set(sets[said != ""])))
    return np.where(tells, np.where(right, np.where(said == "", np.nan, (said == "exact").astype(float)), 0.0), np.nan)


def _relations(gold: GoldPairs, calibration: Calibration | None) -> pd.DataFrame:
    """Give one row per right pair of which curators said how it is related: what they said, and what the fit says."""
    import pandas as pd

    said = gold.pairs["relation"].to_numpy()
    rows = np.flatnonzero(said != "") if calibration is not None else np.zeros(0, np.int64)
    subject = gold.pairs["subject"].to_numpy()[rows]
    columns = {"set": np.array(gold.sets, dtype=object)[subject], "vocabulary": gold.vocabularies[subject], "said": said[rows]}
    fitted = calibration.p_relation(gold.features.iloc[rows]).argmax(axis=1) if calibration is not None else rows
    return pd.DataFrame(columns | {"fitted": np.array(RELATIONS, dtype=object)[fitted]})


def _relation_figures(pairs: pd.DataFrame) -> dict[str, Any]:
    """Compute F1 of the relation, given the right term, where curators told exact from broad or narrow."""
    told = {relation: int((pairs["said"] == relation).sum()) for relation in RELATIONS}
    if not told["exact"] or not told["broad"]:
        return {"relations_said": None, "relation_f1": None, "relation_f1_exact_broad": None}
    f1 = f1_by_relation(pairs["said"].to_numpy(), pairs["fitted"].to_numpy())
    two = [f1["exact"], f1["broad"]]
    three = [*two, f1["narrow"]] if told["narrow"] else two
    return {
        "relations_said": ", ".join(f"{relation} {n}" for relation, n in told.items()),
        "relation_f1": _rounded(sum(three) / len(three)),
        "relation_f1_exact_broad": _rounded(sum(two) / len(two)),
    }


def f1_by_relation(said: np.ndarray, fitted: np.ndarray) -> dict[str, float]:
    """Compute F1 of each relation: the harmonic mean of precision and recall; 0 where it is never right.

    >>> said = np.array(["exact", "exact", "broad", "narrow"])
    >>> f1_by_relation(said, np.array(["exact", "broad", "broad", "broad"]))
    {'exact': 0.6667, 'broad': 0.5, 'narrow': 0.0}
    """
    found = {}
    for relation in RELATIONS:
        both = ((said == relation) & (fitted == relation)).sum()
        found[relation] = _rounded(2 * both / max((said == relation).sum() + (fitted == relation).sum(), 1))
    return found


def _summary(firsts: pd.DataFrame, calibrated: bool, *, interval: bool = True) -> dict[str, Any]:
    right, p, rank = firsts["right"].to_numpy(), firsts["p"].to_numpy(), firsts["rank"].to_numpy()
    figures: dict[str, Any] = {
        "n": len(firsts),
        "hits_at_1": _rounded(right.mean()),
        "hits_at_10": _rounded((rank <= 10).mean()),
        "mrr": _rounded((1 / rank).mean()),
    }
    if not calibrated:
        return figures
    figures |= {
        "ece": _rounded(expected_calibration_error(p, right)),
        "ece_by_chance": _rounded(calibration_error_by_chance(p)),
        "brier": _rounded(((p - right) ** 2).mean()),
    }
    if interval:
        figures["ece_interval"] = [_rounded(x) for x in _interval(p, right, firsts["component"].to_numpy())]
    for end in ("", *(f"_at_{wanted:.0%}" for wanted in WANTED)):
        if f"accepted{end}" in firsts:
            accepted = firsts[f"accepted{end}"].to_numpy()
            figures[f"coverage{end}"] = _rounded(accepted.mean())
            figures[f"precision{end}"] = _rounded(right[accepted].mean()) if accepted.any() else None
    known = firsts["same"].notna().to_numpy() if "same" in firsts else np.zeros(len(firsts), bool)
    if known.any():
        same = firsts["same"].to_numpy()[known]
        figures |= {"n_same": int(known.sum()), "ece_same": _rounded(expected_calibration_error(firsts["p_same"].to_numpy()[known], same))}
    if "in_set" in firsts:
        figures |= {"set_coverage": _rounded(firsts["in_set"].mean()), "set_size": _rounded(firsts["set_size"].mean())}
    return figures


def _mean(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = [name for name in dict.fromkeys(itertools.chain(*parts)) if name not in {"n", "n_same", "ece_interval", "relations_said"}]
    known = {name: [part[name] for part in parts if part.get(name) is not None] for name in names}
    return {name: _rounded(float(np.mean(values))) if values else None for name, values in known.items()}


def _rounded(value: float) -> float:
    return round(float(value), 4)


def expected_calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """Compute the mean distance between probability and share of right ones, over ten bins of equal width, by their size.

    >>> expected_calibration_error(np.array([0.95, 0.95, 0.15, 0.15]), np.array([1, 1, 0, 0]))
    0.1
    """
    bins = _bins(p, right)
    return round(sum(b["n"] * abs(b["p"] - b["right"]) for b in bins) / max(len(p), 1), 12)


def calibration_error_by_chance(p: np.ndarray) -> float:
    """Compute the ECE that probabilities show which are exactly true: the mean over draws of what is right from them.

    It falls with the number of subjects; an ECE near it says nothing against a calibration.

    >>> bool(calibration_error_by_chance(np.full(50, 0.5)) > 5 * calibration_error_by_chance(np.full(5_000, 0.5)))
    True
    """
    rng = np.random.default_rng(0)
    return float(np.mean([expected_calibration_error(p, rng.random(len(p)) < p) for _ in range(RESAMPLES)]))


def _bins(p: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    place = np.minimum((np.asarray(p) * BINS).astype(int), BINS - 1)
    n = np.bincount(place, minlength=BINS)
    sums, hits = np.bincount(place, weights=p, minlength=BINS), np.bincount(place, weights=right, minlength=BINS)
    return [{"n": int(n[b]), "p": float(sums[b] / n[b]), "right": float(hits[b] / n[b])} for b in range(BINS) if n[b]]


def _interval(p: np.ndarray, right: np.ndarray, component: np.ndarray) -> tuple[float, float]:
    """Give the middle 95 % of the error over resamples of whole components: their texts and targets go together."""
    rng = np.random.default_rng(0)
    _, group = np.unique(component, return_inverse=True)
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 2))
    members = [order[a:b] for a, b in itertools.pairwise(bounds)]
    if not members:
        return 0.0, 0.0
    values = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[drawn] for drawn in rng.integers(0, len(members), len(members))])
        values.append(expected_calibration_error(p[rows], right[rows]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def reliability_svg(figures: Mapping[str, Any], *, title: str = "Held-out curated pairs") -> str:
    """Draw probability against the share of right ones: a dot per bin, its area by the number of subjects."""
    bins, size, edge = figures["reliability"], 320, 40
    most = max((b["n"] for b in bins), default=1)

    def place(x: float, y: float) -> tuple[float, float]:
        return round(edge + x * size, 1), round(edge + (1 - y) * size, 1)

    dots = []
    for b in bins:
        x, y = place(b["p"], b["right"])
        dots.append(
            f'<circle cx="{x}" cy="{y}" r="{4 + 12 * (b["n"] / most) ** 0.5:.1f}"><title>n = {b["n"]}, p = {b["p"]:.3f}, right = {b["right"]:.3f}</title></circle>'
        )
    ticks = []
    for value in (0, 0.25, 0.5, 0.75, 1):
        x, y = place(value, 0)
        ticks.append(f'<text x="{x}" y="{y + 16}" text-anchor="middle">{value:g}</text>')
        x, y = place(0, value)
        ticks.append(f'<text x="{x - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    width = size + 2 * edge
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{width + 16}" font-family="sans-serif" font-size="11">
<text x="{width / 2}" y="20" text-anchor="middle" font-size="13">{title}: ECE {figures["all"]["ece"]:.3f}, n = {figures["all"]["n"]}</text>
<rect x="{edge}" y="{edge}" width="{size}" height="{size}" fill="none" stroke="#999"/>
<line x1="{edge}" y1="{edge + size}" x2="{edge + size}" y2="{edge}" stroke="#bbb" stroke-dasharray="4"/>
<g fill="#2b6cb0" fill-opacity="0.7">{"".join(dots)}</g>
{"".join(ticks)}
<text x="{width / 2}" y="{width - 4}" text-anchor="middle">probability of the first candidate</text>
<text x="12" y="{width / 2}" text-anchor="middle" transform="rotate(-90 12 {width / 2})">share that is right</text>
</svg>
"""


# ---------------------------------------------------------------- the fit that ships with the program


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the calibration that ships with the program and its candidate sets, and write its figures into it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--efo", type=Path, required=True, help="EFO as OBO")
    parser.add_argument("--fit", type=Path, required=True, help="curated mappings to fit on")
    parser.add_argument("--evaluate", type=Path, required=True, help="curated mappings to report on, after everything is chosen")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors")
    parser.add_argument("--out", type=Path, required=True, help="calibration-minilm.json; candidate-sets-minilm.json comes beside it")
    options = parser.parse_args(arguments)
    made, sets = fit_default(options.efo, options.fit, options.evaluate, options.cache)
    text = made.to_json()
    options.out.write_text(text, encoding="utf-8")
    sets = replace(sets, fitted_with=hashlib.sha256(text.encode()).hexdigest())
    options.out.with_name(options.out.name.replace("calibration", "candidate-sets")).write_text(sets.to_json(), encoding="utf-8")
    print(json.dumps(made.provenance["figures"], indent=1))


def fit_default(efo_path: Path, fit_path: Path, evaluate_path: Path, cache_dir: Path) -> tuple[Calibration, CandidateSets]:
    """Fit on curated mappings in the packaged encoder's space; report on others, and on each set left out in turn."""
    terms, xrefs, embed, encoder = _packaged(efo_path, cache_dir)
    from kgbuild.sources import mappings as reader

    fit_rows = reader.read(fit_path, source="fit", options={}).tables["mappings"].to_pandas()
    held = reader.read(evaluate_path, source="evaluate", options={"use": "evaluate"}).tables["mappings"].to_pandas()
    same = equivalents(xrefs)
    cited = cited_codes(xrefs, terms.names.ids)
    gold = gold_pairs(fit_rows, terms, embed, same=same, cited=cited, absent=ABSENT, repeat_absent=True, most=MOST)
    logit = calibrating.logits_out_of_fold(gold)
    p = calibrating.probabilities_out_of_fold(gold, logit)
    provenance = {"name": "default (MiniLM)", "terms": len(terms.names.ids)}
    made = calibrating.fit(gold, encoder=encoder, logit=logit, p=p, provenance=provenance)
    if made is None:
        raise ValueError(f"{fit_path} holds too few judged subjects")
    sets = fit_candidate_sets(gold, p)
    figures = evaluate_links(held, terms, embed, made, sets=sets, same=same, cited=cited, most=_REPORTED)
    left_out = _each_set_left_out(gold, logit)
    return replace(made, provenance={**made.provenance, "figures": {"held_out": figures, "each_set_left_out": left_out}}), sets


def _each_set_left_out(gold: GoldPairs, logit: np.ndarray) -> dict[str, dict[str, Any]]:
    """Fit without each set of curators in turn, and report on it."""
    reports = {}
    for name in sorted(set(gold.sets)):
        p = calibrating.probabilities_without_set(gold, name, logit)
        own = [
            targets if set_ == name and not absent else frozenset()
            for targets, set_, absent in zip(gold.targets, gold.sets, gold.absent, strict=True)
        ]
        summary = figures_of(replace(gold, targets=own), p)["all"]
        reports[name] = {key: summary[key] for key in ("n", "hits_at_1", "ece", "brier")}
    return reports


def _packaged(efo_path: Path, cache_dir: Path) -> tuple[Terms, pd.DataFrame, Embed, str]:
    from embedder import EncoderSpec, open_encoder, unit_rows
    from kgbuild.neighbours import Names
    from kgbuild.sources import obo
    from kgbuild.vectors import VectorCache, encode_texts

    encoder, cache = open_encoder(EncoderSpec("minilm", precision="fp32", max_length=64)), VectorCache(cache_dir)

    def embed(texts: list[str]) -> np.ndarray:
        return unit_rows(encode_texts(texts, encoder, cache))

    made = {name: table.to_pandas() for name, table in obo.read(efo_path, source="efo", options={}).tables.items()}
    concepts = made["concepts"][~made["concepts"]["obsolete"]]
    row = {id_: place for place, id_ in enumerate(concepts["id"])}
    names = made["names"][made["names"]["concept_id"].isin(row)]
    parents = made["relations"].loc[made["relations"]["predicate"] == "IS_A", ["subject_id", "object_id"]]
    texts = names["name"].tolist()
    listed = Names(list(row), texts, names["concept_id"].map(row).to_numpy(np.int64), embed(texts))
    return (
        Terms(listed, concepts["kind"].tolist(), list(parents.itertuples(index=False, name=None))),
        made["xrefs"],
        embed,
        encoder.spec.model,
    )
