"""The training data without each task in turn in, figures out: what each source of knowledge is worth."""

from __future__ import annotations

from typing import Any

from kgbuild.errors import WorkspaceError
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section
from kgbuild.evaluation.snp_traits import ANCHORS, measure

__all__ = ["evaluate"]

# task -> where its pairs come from
TASKS = {
    "synonyms": "other names of concepts",
    "relations": "edges of ontologies and the knowledge graph",
    "gwas": "GWAS associations",
    "eqtl": "genes and variants",
    "biobank": "a biobank's phenotype-genotype matrix",
}
COLUMNS = {
    "what": "trained on", "source": "what that is", "similarity_trait": "similarity, AUC by trait", "similarity_snp": "by SNP",
    "score_trait": "score, AUC by trait", "score_snp": "by SNP", "n": "n", "reason": "why not",
}  # fmt: skip


def evaluate(evaluated: Evaluated) -> Section:
    """Train aside without each task, and evaluate held-out SNP-trait pairs with it.

    Raises:
        WorkspaceError: There is no model that places SNPs, or it cannot be trained again.
    """
    scorer, _ = evaluated.model()
    if evaluated.retrain is None:
        raise WorkspaceError("a model that was trained for this evaluation is not trained again")
    counts = scorer.model.description.get("counts", {})
    rows = [{"what": "everything", **_figures(evaluated)}]
    for task, source in TASKS.items():
        row: dict[str, Any] = {"what": f"without {task}", "source": source}
        if not counts.get(f"{task}: distinct pairs"):
            rows.append({**row, "reason": "the workspace has no such data"})
            continue
        with evaluated.retrain(without=(task,)) as other:
            rows.append({**row, **_figures(other)})
    notes = ["Each is trained with the same seed on the same split; see `snp-trait --trainings` for what another seed does."]
    return Section("Ablation over training sources", COLUMNS, rows, notes=notes)


def _figures(evaluated: Evaluated) -> dict[str, Any]:
    scorer, split = evaluated.model()
    measured = measure(scorer, split[split["part"] == evaluated.options.part], evaluated.tables_dir, evaluated.options)
    if measured is None:
        return {"reason": "no held-out pair has a vector, or training links no text to a SNP"}
    aucs = {f"{ranker}_{anchor}": measured.auc(ranker, anchor) for ranker in ("similarity", "score") for anchor in ANCHORS}
    return {**aucs, "n": len(measured.loci)}
