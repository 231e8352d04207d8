"""What `kgbuild harmonise` measured on held-out curated mappings in, a table by vocabulary pair out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kgbuild.errors import WorkspaceError
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section

__all__ = ["evaluate"]

_GOLD = {
    "as_is": "as curated",
    "a_fifth_without_answer": "right term of a fifth taken away",
    "with_cross_references": "with the codes that terms cite",
}
_COLUMNS = {
    "what": "mappings", "gold": "gold", "n": "n", "hits_at_1": "Hits@1", "hits_at_10": "Hits@10", "mrr": "MRR",
    "ece": "ECE", "ece_interval": "95 % interval", "ece_by_chance": "ECE by chance", "brier": "Brier", "ece_same": "ECE of p_same", "n_same": "on",
    "coverage_at_95%": "accepted at .95", "precision_at_95%": "right of these", "coverage_at_90%": "accepted at .90", "precision_at_90%": "of these",
    "set_coverage": "right term in the set", "set_size": "terms in the set",
    "relation_f1": "relation F1", "relation_f1_exact_broad": "exact and broad", "relations_said": "relations judged",
}  # fmt: skip
_NOTES = (
    "Accepted at .95 and .90: the share of first answers that the fit accepts when that precision is wanted, and how many of them are right. "
    "Relation F1: macro over exact, broad and narrow, of right terms whose curators said which.",
    "ECE by chance: what probabilities that are exactly true would show on so many subjects.",
    "ECE of p_same: of first answers, where the curators' set says which right terms are exact.",
    "The mean over vocabularies, and that over the curators' sets, counts each of them the same.",
)


def evaluate(evaluated: Evaluated) -> Section:
    """Give the figures of the links as they were made, by vocabulary of the subject, with the reliability plot.

    Raises:
        WorkspaceError: Nothing has been harmonised yet.
    """
    folder = evaluated.links_dir
    if folder is None:
        raise WorkspaceError("nothing has been linked yet", advice="Run `kgbuild harmonise` first.")
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    rows = list(_rows(report, evaluated.target))
    notes = [
        f"Calibration: {report['calibration']}, fitted on {report['fitted_on']:,} curated rows; subjects are linked by their text alone."
    ]
    notes += _NOTES if rows else ["No curated mapping is held out: nothing to evaluate."]
    plot = folder / "reliability.svg"
    plots = {"mapping-reliability.svg": plot.read_bytes()} if plot.exists() else {}
    return Section("Mapping: held-out curated subjects", _COLUMNS, rows, ("what", "gold"), notes, plots)


def _rows(report: Mapping[str, Any], target: str) -> Iterator[dict[str, Any]]:
    for part, gold in _GOLD.items():
        if part in report:
            yield {"what": f"all to {target}", "gold": gold, **report[part]["all"]}
            for vocabulary, figures in report[part]["by_vocabulary"].items():
                yield {"what": f"{vocabulary} to {target}", "gold": gold, **figures}
            for key in ("vocabulary", "set"):
                yield {
                    "what": f"mean over {'vocabularies' if key == 'vocabulary' else 'sets'}",
                    "gold": gold,
                    **report[part][f"mean_over_{key}"],
                }
            for set_, figures in report[part]["by_set"].items():
                yield {"what": f"set {set_}", "gold": gold, **figures}
