"""Chosen diseases in; a picture of their terms, genes and SNPs in the model's space, and how much of it is in the picture, out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kgbuild import tables
from kgbuild.errors import UsageError
from kgbuild.evaluation.drawing import COLOURS, Drawing
from kgbuild.evaluation.evaluated import Evaluated
from kgbuild.evaluation.section import Section
from kgbuild.vocabulary import normalise_curie, normalise_name

__all__ = ["evaluate"]

Floats = npt.NDArray[np.float32]

MOST = {"term": 40, "gene": 60, "SNP": 120}  # of one area: more would hide each other
CORNERS = {"term": 4, "gene": 3, "SNP": 0}
NEIGHBOURS = 10
COLUMNS = {
    "what": "area", "terms": "terms", "genes": "genes", "snps": "SNPs", "purity": "10 neighbours of its own area", "chance": "by chance",
    "purity_drawn": "of them in the picture", "trustworthiness": "trustworthiness of the picture", "method": "drawn by",
}  # fmt: skip


def evaluate(evaluated: Evaluated) -> Section:
    """Draw the terms below each area with their genes and SNPs by t-SNE, and by UMAP where it is installed.

    Raises:
        UsageError: An area is no term that is loaded.
        WorkspaceError: There is no model that places SNPs.
    """
    scorer, _ = evaluated.model()
    options = evaluated.options
    areas = [_Area.of(name, evaluated) for name in options.areas or _largest(evaluated.tables_dir)]
    points = list({(point.kind, point.id): point for area in areas for point in area.points(evaluated)}.values())
    names = [point.name for point in points if point.kind != "SNP"]
    of_text = dict(zip(names, evaluated.embed(names), strict=True)) if names else {}
    snp_vectors, rows = scorer.model.snp_vectors, scorer.model.snp_rows
    vectors = np.stack([snp_vectors[rows[p.id]].astype(np.float32) if p.kind == "SNP" else of_text[p.name] for p in points])
    labels = np.array([point.area for point in points])
    table: list[dict[str, Any]] = []
    plots: dict[str, bytes] = {}
    for method, project in _methods(options.seed).items():
        if len(points) <= 3 * NEIGHBOURS:
            break
        places = project(vectors)
        table += _rows(method, areas, points, labels, vectors, places)
        picture = _draw(method, [area.name for area in areas], points, places)
        png = picture.png()
        plots |= {f"map-{method}.svg": picture.svg(), **({f"map-{method}.png": png} if png else {})}
    notes = [
        "Squares are terms, triangles genes, discs SNPs; what belongs to several areas has the colour of the first.",
        "Trustworthiness (0 to 1): are neighbours in the picture neighbours in the space? Distances between clouds say nothing.",
    ]
    notes += [] if table else [f"Only {len(points)} points: too few to draw."]
    return Section("Map of chosen diseases", COLUMNS, table, ("what", "method"), notes, plots)


@dataclass(frozen=True)
class _Point:
    kind: str  # term, gene or SNP
    id: str
    name: str
    area: str


@dataclass(frozen=True)
class _Area:
    """A term with all that lies below it."""

    name: str
    ids: frozenset[str]

    @classmethod
    def of(cls, wanted: str, evaluated: Evaluated) -> _Area:
        concepts = tables.read(evaluated.tables_dir, "concepts", ["id", "name", "vocabulary", "kind", "obsolete"]).to_pandas()
        terms = concepts[(concepts["vocabulary"] == evaluated.target) & ~concepts["obsolete"]]
        curie = normalise_curie(wanted) if ":" in wanted else None
        found = terms[terms["id"] == curie] if curie else terms[terms["name"].map(normalise_name) == normalise_name(wanted)]
        if not len(found):
            raise UsageError(
                f"{wanted!r} is no term of {evaluated.target}", advice="Name a term as the vocabulary does, or its id: --area asthma"
            )
        below = _below(sorted(found["id"]), evaluated.tables_dir)
        # the knowledge graph has nodes of its own for some diseases: those of the same name belong to it
        others = concepts[concepts["kind"] == "Disease"]
        names = set(terms.loc[terms["id"].isin(below), "name"].map(normalise_name))
        return cls(str(found["name"].iloc[0]), below | frozenset(others.loc[others["name"].map(normalise_name).isin(names), "id"]))

    def points(self, evaluated: Evaluated) -> Iterator[_Point]:
        """Give terms, genes by their number of associations, and SNPs by their strongest one."""
        folder, scorer = evaluated.tables_dir, evaluated.model()[0]
        names = tables.names_by_id(folder)
        yield from [_Point("term", id_, names[id_], self.name) for id_ in self._terms(names)]
        relations = tables.read(folder, "relations", ["subject_id", "predicate", "object_id"]).to_pandas()
        genes = relations[(relations["predicate"] == "GENE_ASSOCIATED_WITH") & relations["object_id"].isin(self.ids)][
            "subject_id"
        ].value_counts()
        known = [id_ for id_ in sorted(genes.index, key=lambda id_: (-genes[id_], id_)) if id_ in names]
        yield from [_Point("gene", id_, names[id_], self.name) for id_ in known[: MOST["gene"]]]
        rows = tables.read(folder, "associations", ["kind", "variant_id", "term_ids", "neg_log10_p"]).to_pandas().query("kind == 'gwas'")
        rows = rows[[bool(self.ids.intersection(terms)) for terms in rows["term_ids"]]]
        rows = rows[rows["variant_id"].isin(scorer.model.snp_rows.keys())]
        best = rows.sort_values(["neg_log10_p", "variant_id"], ascending=[False, True]).drop_duplicates("variant_id")["variant_id"]
        yield from [_Point("SNP", id_, id_.removeprefix("dbsnp:"), self.name) for id_ in best.head(MOST["SNP"])]

    def _terms(self, names: Mapping[str, str]) -> list[str]:
        """Give ids of differing names, the area's own first."""
        by_name = {names[id_]: id_ for id_ in sorted(self.ids & names.keys(), reverse=True)}
        own = [self.name] if self.name in by_name else []
        return [by_name[name] for name in dict.fromkeys([*own, *sorted(by_name)])][: MOST["term"]]


def _below(ids: Sequence[str], folder: Path) -> frozenset[str]:
    import pyarrow.compute as pc

    relations = tables.read(folder, "relations", ["subject_id", "predicate", "object_id"])
    edges = relations.filter(pc.equal(relations["predicate"], "IS_A")).to_pydict()
    children: dict[str, list[str]] = {}
    for child, parent in zip(edges["subject_id"], edges["object_id"], strict=True):
        children.setdefault(parent, []).append(child)
    found: set[str] = set()
    waiting = list(ids)
    while waiting:
        term = waiting.pop()
        if term not in found:
            found.add(term)
            waiting += children.get(term, ())
    return frozenset(found)


def _largest(folder: Path, n: int = 4) -> list[str]:
    """Give the diseases that most associations are filed under, where nobody named one."""
    concepts = tables.read(folder, "concepts", ["id", "kind", "obsolete"]).to_pandas()
    diseases = set(concepts.loc[(concepts["kind"] == "Disease") & ~concepts["obsolete"], "id"])
    counts = tables.read(folder, "associations", ["term_ids"])["term_ids"].combine_chunks().flatten().value_counts().to_pylist()
    ranked = sorted((-row["counts"], row["values"]) for row in counts if row["values"] in diseases)
    return [id_ for _, id_ in ranked[:n]]


def _methods(seed: int) -> dict[str, Callable[[Floats], Floats]]:
    """Give the ways of drawing that are installed."""

    def t_sne(vectors: Floats) -> Floats:
        from sklearn.manifold import TSNE

        return np.asarray(
            TSNE(perplexity=min(30, len(vectors) // 4), metric="cosine", init="pca", random_state=seed).fit_transform(vectors)
        )

    methods: dict[str, Callable[[Floats], Floats]] = {"t-sne": t_sne}
    try:
        import umap
    except ImportError:
        return methods
    return {**methods, "umap": lambda vectors: np.asarray(umap.UMAP(metric="cosine", random_state=seed).fit_transform(vectors))}


def _rows(
    method: str, areas: Sequence[_Area], points: Sequence[_Point], labels: npt.NDArray[Any], vectors: Floats, places: Floats
) -> Iterator[dict[str, Any]]:
    from sklearn.manifold import trustworthiness

    trust = float(trustworthiness(vectors, places, n_neighbors=NEIGHBOURS, metric="cosine"))
    same = {key: _purity(space, labels) for key, space in (("purity", vectors), ("purity_drawn", places))}
    for area in areas:
        own = labels == area.name
        counts = {f"{key}s".lower(): sum(point.kind == key and point.area == area.name for point in points) for key in MOST}
        purities = {key: float(values[own].mean()) for key, values in same.items()} if own.any() else {}
        yield {"what": area.name, **counts, **purities, "chance": float(own.mean()), "trustworthiness": trust, "method": method}


def _purity(space: Floats, labels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Give each point the share of its nearest neighbours that have its label."""
    distance = ((space[:, None] - space[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :NEIGHBOURS]
    return np.asarray((labels[nearest] == labels[:, None]).mean(axis=1))


def _draw(method: str, areas: Sequence[str], points: Sequence[_Point], places: Floats) -> Drawing:
    picture = Drawing(820, 640, f"{method.replace('t-sne', 't-SNE').replace('umap', 'UMAP')} of terms, genes and SNPs")
    low, high = places.min(axis=0), places.max(axis=0)
    x, y = ((places - low) / np.maximum(high - low, 1e-9) * (560, 560) + (30, 50)).T
    picture.words(30, 26, picture.title, size=15)
    for rank, kind in enumerate(("SNP", "gene", "term")):  # terms on top
        for number, point in enumerate(points):
            if point.kind == kind:
                colour = COLOURS[areas.index(point.area) % len(COLOURS)]
                picture.dot(
                    float(x[number]), float(y[number]), 3.5 + 1.5 * rank, colour, corners=CORNERS[kind], tip=f"{point.name} ({point.area})"
                )
    for number, area in enumerate(areas):
        picture.dot(622, 62 + 22 * number, 6, COLOURS[number % len(COLOURS)])
        picture.words(634, 66 + 22 * number, area if len(area) < 30 else area[:29] + "…")
    for number, (kind, corners) in enumerate(CORNERS.items()):
        picture.dot(622, 80 + 22 * (len(areas) + number), 6, "#666666", corners=corners)
        picture.words(634, 84 + 22 * (len(areas) + number), kind)
    for term in _labelled(points, areas):
        picture.words(float(x[term]), float(y[term]) - 8, points[term].name[:34], anchor="middle", size=10)
    return picture


def _labelled(points: Sequence[_Point], areas: Sequence[str]) -> list[int]:
    """Give, for each area, the term that is its own name, to be written beside its mark."""
    return [number for number, point in enumerate(points) if point.kind == "term" and point.name == point.area and point.area in areas]
