"""What a stage reports, as text for a person: short lines, counts with separators, figures with their meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kgbuild.triples import table_text

__all__ = ["as_text", "near_misses"]

_WIDTH = 120


def as_text(stage: str, facts: Mapping[str, Any]) -> str:
    """Give the lines that a stage is summed up in.

    >>> print(as_text("other", {"groups": 12034, "by_decision": {"accept": 3, "review": 4}}))
        groups: 12,034
        by decision: accept 3, review 4
    """
    lines = _LINES[stage](facts) if stage in _LINES else _plain(facts)
    return "\n".join(
        textwrap.fill(line, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8, break_long_words=False)
        if len(line) > _WIDTH
        else f"    {line}"
        for line in lines
    )


def _plain(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        yield f"{_words(name)}: {_shown(value)}"


def _tables(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{'source':28} {'rows':>10} {'kept':>10} {'merged':>10} {'rejected':>9}"
    for key, source in facts["sources"].items():
        counts = [source[f"rows_{what}"] for what in ("in", "kept", "merged", "rejected")]
        yield f"{key[:28]:28} {counts[0]:>10,} {counts[1]:>10,} {counts[2]:>10,} {counts[3]:>9,}"
        for reason, n in source["reasons"].items():
            yield f"    {n:,} {reason}"
    yield "tables: " + _shown({name: n for name, n in facts["tables"].items() if n})
    yield "joined: " + _shown({name.replace(": ", " "): n for name, n in facts["counts"].items() if n})


def _model(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["method"] == "biobridge":
        yield from _bridge(facts)
        return
    figures = facts["figures"]
    yield f"{facts['method']} on {facts['encoder']}: {facts['pairs']:,} pairs, {facts['snps']:,} SNPs"
    if not figures.get("scored_pairs"):
        yield "no held-out SNP-trait pair has a vector: nothing to evaluate"
        return
    yield f"held-out SNP-trait pairs: {figures['scored_pairs']:,} evaluated of {figures['held_out_pairs']:,} that were kept from training"
    yield f"{'AUC':24} {'which SNP?':>11} {'which trait?':>13}"
    for label, prefix, end in _AUC_ROWS:
        cells = [figures.get(f"{prefix}auc_{anchor}{end}") for anchor in ("trait", "snp")]
        yield f"{label:24} {_figure(cells[0]):>11} {_figure(cells[1]):>13}"
    for label, prefix in (("similarity", ""), ("score", "score_")):
        if f"{prefix}mrr" in figures:
            ranks = f"MRR {figures[f'{prefix}mrr']:.3f}, among the first ten {figures[f'{prefix}recall_at_10']:.3f}"
            yield f"trait of a SNP among all traits, by {label}: {ranks}"


def _bridge(facts: Mapping[str, Any]) -> Iterator[str]:
    figures = facts["figures"]
    yield f"biobridge on {facts['encoder']}: {facts['triples']:,} triples of {facts['nodes']:,} nodes trained on, ended by {facts['ended_by']}"
    yield "counted: " + _shown({name: n for name, n in facts["counts"].items() if n})
    yield f"{figures['triples']:,} triples whose head is new; filtered"
    yield from table_text(figures)
    for name, found in figures.get("unseen", {}).items():
        yield f"the same without {name}, {found['triples_left_out']:,} triples fewer:"
        yield from table_text(found)


_AUC_ROWS = (
    ("similarity", "", ""),
    ("score", "score_", ""),
    ("counting popularity alone", "", "_degree"),
    ("score, degree-matched", "score_", "_matched"),
)


def _links(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"calibration: {facts['calibration']}, {facts['fitted_on']:,} curated rows to fit on"
    yield f"{'first link of each':20} {'curated':>9} {'accept':>9} {'review':>9} {'reject':>9}"
    for vocabulary, counts in facts["by_vocabulary"].items():
        yield f"{vocabulary:20} " + " ".join(f"{counts.get(decision, 0):>9,}" for decision in ("curated", "accept", "review", "reject"))
    yield f"{facts['concepts']:,} concepts became {facts['harmonised_concepts']:,} harmonised ones, {facts['of_several_members']:,} of several members"
    yield from _decided(facts["decisions"], facts["ids_gone"])
    yield from near_misses(facts)
    figures = facts["figures"].get("as_is")
    if figures is None:
        yield "no curated mapping is held out: nothing to evaluate"
        return
    yield f"on {figures['n']:,} held-out curated subjects, by their text alone:"
    yield f"    right at 1 {figures['hits_at_1']:.3f}, among ten {figures['hits_at_10']:.3f}, MRR {figures['mrr']:.3f}"
    if "ece" in figures:
        low, high = figures["ece_interval"]
        yield f"    calibration error (ECE) {figures['ece']:.3f}, 95 % interval {low:.3f} to {high:.3f}, {figures['ece_by_chance']:.3f} by chance alone; Brier {figures['brier']:.3f}; {_accepted(figures)}"
        if "set_coverage" in figures:
            yield f"    candidate sets hold the right term of {figures['set_coverage']:.3f}, with {figures['set_size']:.1f} terms on average"
        absent = facts["figures"]["a_fifth_without_answer"]
        yield f"    with the right term of a fifth taken away: ECE {absent['ece']:.3f}; {_accepted(absent)}"


def _decided(decisions: Mapping[str, Any], ids_gone: int) -> Iterator[str]:
    if ids_gone:
        yield f"{ids_gone:,} ids of harmonised concepts are gone since the run before: moved.tsv says where to"
    if decisions["applied"] or decisions["waiting"]:
        yield f"decisions: {decisions['applied']:,} applied, {len(decisions['forwarded']):,} ids forwarded, {len(decisions['waiting']):,} about what is not loaded"
    yield from _first("    forwarded: ", decisions["forwarded"])
    yield from _first("    waits: ", decisions["waiting"])


def near_misses(facts: Mapping[str, Any]) -> Iterator[str]:
    """Say of the links' facts which near misses were merged or linked as exact: told with every build, run or not."""
    contrast = facts["contrast"]
    yield (
        f"near misses: {contrast['pairs']} pairs, {contrast['loaded']} of them loaded and checked; "
        f"{len(contrast['merged'])} merged, {len(contrast['linked_exact'])} linked as exact"
    )
    yield from _first("    MERGED: ", contrast["merged"])
    yield from _first("    linked as exact: ", contrast["linked_exact"])


def _first(what: str, lines: Sequence[str], most: int = 5) -> Iterator[str]:
    yield from (f"{what}{line}" for line in lines[:most])
    if len(lines) > most:
        yield f"{what}and {len(lines) - most:,} more"


def _accepted(figures: Mapping[str, Any]) -> str:
    right = figures["precision"]
    return f"accepted {figures['coverage']:.3f}" + (f", of which right {right:.3f}" if right is not None else "")


def _graph(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['nodes']:,} nodes: {_shown(_largest_first(facts['nodes_by_label']))}"
    yield f"{facts['edges']:,} edges: {_shown(_largest_first(facts['edges_by_type']))}"
    for reason, n in facts["left_out"].items():
        yield f"left out: {n:,} {reason}"


def _database(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{facts['where']}: {facts['nodes']:,} nodes, {facts['edges']:,} edges; counts read back equal the files"
    done = {what: sum(facts[what].values()) for what in ("created", "changed", "removed")}
    yield ", ".join(f"{what} {n:,}" for what, n in done.items())
    if facts["vanished"]:
        yield f"no more in the graph, and left in the database: {_shown(_largest_first(facts['vanished']))}"


_LINES = {"tables": _tables, "model": _model, "links": _links, "graph": _graph, "database": _database}


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(name))} {_shown(item)}" for name, item in value.items())
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
