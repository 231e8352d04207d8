"""Tables, links and groups in; the graph's node and edge files out (Parquet, columns as in kgbuild.schema).

One file per label and per edge type. Every end of an edge is a node; a table row whose end is not among the concepts is left
out, counted by reason, and the counts are part of the build's facts. Edge ids are made from content, so the same fact has
the same id in every build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.qualifiers import qualifiers
from kgbuild.schema import EDGE_TYPES, NODE_LABELS, Property, arrow_type
from kgbuild.vocabulary import gene_symbol_id

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["VERSION", "GraphSummary", "build"]

VERSION = 1
_GROUPED_LABELS = {"Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText"}
_ROWS_AT_A_TIME = 100_000

Progress = Callable[[str, int, int], None]
Embed = Callable[[list[str]], "np.ndarray"]


@dataclass
class GraphSummary:
    """What was written, and what could not be."""

    nodes: dict[str, int] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)  # reason -> rows

    def leave_out(self, reason: str, rows: int) -> None:
        if rows:
            self.left_out[reason] = self.left_out.get(reason, 0) + rows


def build(
    tables_dir: Path,
    links_dir: Path,
    out: Path,
    *,
    embed: Embed | None = None,
    progress: Progress | None = None,
) -> GraphSummary:
    """Write `out`/nodes/<Label>.parquet and `out`/edges/<TYPE>.parquet.

    Args:
        embed: Gives unit vectors, float32 (n, d), of n names. A harmonised concept gets that of its name if it says something:
            if it has several members, or associations, or a class at its centre. Half of all codes would only fill the index.
    """
    (out / "nodes").mkdir(parents=True)
    (out / "edges").mkdir()
    summary = GraphSummary()
    writer = _Writer(out, summary)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("concepts", lambda: _write_concepts(tables_dir, writer)),
        ("genes and variants", lambda: _write_genes_and_variants(tables_dir, writer)),
        ("associations", lambda: _write_associations(tables_dir, writer)),
        ("harmonised concepts", lambda: _write_groups(tables_dir, links_dir, writer, embed)),
        ("links", lambda: _write_links(tables_dir, links_dir, writer)),
        ("relations", lambda: _write_relations(tables_dir, writer)),
    ]
    for done, (what, step) in enumerate(steps):
        if progress:
            progress(f"graph: {what}", done, len(steps))
        step()
    if progress:
        progress("graph", len(steps), len(steps))
    return summary


class _Writer:
    """Writes node and edge files, and knows which nodes and associations there are."""

    def __init__(self, out: Path, summary: GraphSummary) -> None:
        self.out = out
        self.summary = summary
        self._node_ids: list[pa.Array] = []
        self.association_ends: pd.DataFrame | None = None  # association_id, end_id
        self.gene_of_symbol: dict[str, str] = {}

    def nodes(self, label: str, rows: pd.DataFrame) -> None:
        if rows.empty:
            return
        self._node_ids.append(_strings(rows["id"]))
        self.summary.nodes[label] = len(rows)
        self._write(self.out / "nodes" / f"{label}.parquet", rows, (), NODE_LABELS[label].all_properties)

    def are_nodes(self, ids: pd.Series) -> np.ndarray:
        """Tell which ids are nodes that have been written."""
        import pyarrow as pa
        import pyarrow.compute as pc

        known = pa.concat_arrays(self._node_ids)
        present: np.ndarray = pc.is_in(_strings(ids), value_set=known).to_numpy(zero_copy_only=False)
        return present

    def edges(self, edge_type: str, rows: pd.DataFrame, *, origin: str) -> None:
        """Write edges whose two ends are nodes; the same edge once."""
        if rows.empty:
            return
        present = self.are_nodes(rows["start_id"]) & self.are_nodes(rows["end_id"])
        self.summary.leave_out(f"{origin}: an end is not among the concepts", int((~present).sum()))
        rows = rows[present]
        if "id" not in rows:
            rows = rows.assign(id=edge_type + "|" + rows["start_id"] + "|" + rows["end_id"])
        before = len(rows)
        rows = rows.drop_duplicates("id")
        self.summary.leave_out(f"{origin}: says what another row says", before - len(rows))
        if len(rows):
            self.summary.edges[edge_type] = len(rows)
            self._write(self.out / "edges" / f"{edge_type}.parquet", rows, ("start_id", "end_id"), EDGE_TYPES[edge_type].all_properties)

    def _write(self, path: Path, rows: pd.DataFrame, ends: tuple[str, ...], properties: tuple[Property, ...]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = pa.schema([*((end, pa.string()) for end in ends), *((p.name, arrow_type(p.type)) for p in properties)])
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for start in range(0, len(rows), _ROWS_AT_A_TIME):
                part = rows.iloc[start : start + _ROWS_AT_A_TIME]
                writer.write_table(pa.Table.from_arrays([_array(part, f) for f in schema], schema=schema))


def _strings(values: pd.Series) -> pa.Array:
    import pyarrow as pa

    array = pa.array(values, from_pandas=True)
    return (array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array).cast(pa.string())


def _array(rows: pd.DataFrame, column: pa.Field) -> pa.Array:
    import pyarrow as pa

    if column.name not in rows:
        return pa.nulls(len(rows), column.type)
    array = pa.array(rows[column.name], from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    return array.cast(column.type)


def _frame(folder: Path, name: str, columns: list[str]) -> pd.DataFrame:
    return tables.read(folder, name, columns).to_pandas()


def _names(tables_dir: Path) -> dict[str, list[str]]:
    """Give every name of each concept, the label first, each once."""
    frame = _frame(tables_dir, "names", ["concept_id", "name", "role"])
    frame["order"] = frame["role"] != "label"
    frame = frame.sort_values(["concept_id", "order", "name"], kind="stable").drop_duplicates(["concept_id", "name"])
    names: dict[str, list[str]] = {}
    for concept, name in zip(frame["concept_id"], frame["name"], strict=True):
        names.setdefault(concept, []).append(name)
    return names


def _write_concepts(tables_dir: Path, writer: _Writer) -> None:
    concepts = _frame(tables_dir, "concepts", ["id", "name", "vocabulary", "kind", "obsolete", "group", "source"])
    forwarded = _forwarded(tables_dir)
    # an obsolete class stays only as a signpost to the one that replaced it
    lost = concepts["obsolete"] & ~concepts["id"].isin(forwarded)
    writer.summary.leave_out("concepts: obsolete and not replaced", int(lost.sum()))
    concepts = concepts[~lost]
    names = _names(tables_dir)
    concepts["synonyms"] = [[n for n in names.get(i, ()) if n != name] for i, name in zip(concepts["id"], concepts["name"], strict=True)]
    concepts["search_text"] = [
        "" if old else "\n".join([n, *s]) for n, s, old in zip(concepts["name"], concepts["synonyms"], concepts["obsolete"], strict=True)
    ]
    concepts.loc[concepts["search_text"] == "", "search_text"] = None
    is_text = concepts["kind"] == "FreeText"
    concepts["qualifiers"] = [list(qualifiers(name)) if text else None for name, text in zip(concepts["name"], is_text, strict=True)]
    for label, rows in concepts.groupby("kind", sort=True):
        writer.nodes(str(label), rows)


def _forwarded(tables_dir: Path) -> dict[str, str]:
    """Give obsolete id -> the live id that replaced it, chains followed."""
    concepts = _frame(tables_dir, "concepts", ["id", "obsolete"])
    live = set(concepts.loc[~concepts["obsolete"], "id"])
    xrefs = _frame(tables_dir, "xrefs", ["subject_id", "predicate", "object_id"])
    xrefs = xrefs[xrefs["predicate"] == "replaced_by"]
    step = dict(zip(xrefs["subject_id"], xrefs["object_id"], strict=True))
    forwarded: dict[str, str] = {}
    for old in concepts.loc[concepts["obsolete"], "id"]:
        seen, new = {old}, step.get(old)
        while new is not None and new not in live and new not in seen:
            seen.add(new)
            new = step.get(new)
        if new is not None and new in live:
            forwarded[old] = new
    return forwarded


def _write_genes_and_variants(tables_dir: Path, writer: _Writer) -> None:
    import pandas as pd

    variants = _frame(
        tables_dir,
        "variants",
        ["id", "kind", "members", "chromosome", "position", "build", "consequence", "nearest_genes", "locus", "in_mhc", "source"],
    )
    genes = _frame(tables_dir, "genes", ["id", "symbol", "ensembl_ids", "source"])
    writer.gene_of_symbol = dict(zip(genes["symbol"], genes["id"], strict=True))
    nearest = variants[["id", "nearest_genes", "source"]].explode("nearest_genes").dropna(subset=["nearest_genes"])
    unknown = nearest.loc[~nearest["nearest_genes"].isin(writer.gene_of_symbol), ["nearest_genes", "source"]].drop_duplicates(
        "nearest_genes"
    )
    if len(unknown):  # a gene that no gene table knows is still the nearest gene
        named = pd.DataFrame(
            {"id": [gene_symbol_id(s) for s in unknown["nearest_genes"]], "symbol": unknown["nearest_genes"], "source": unknown["source"]}
        )
        named["ensembl_ids"] = [[] for _ in range(len(named))]
        genes = pd.concat([genes, named[~named["id"].isin(set(genes["id"]))]])
        writer.gene_of_symbol |= dict(zip(named["symbol"], named["id"], strict=True))
    genes = genes.rename(columns={"symbol": "name"}).drop_duplicates("id")
    writer.nodes("Gene", genes.assign(kind="Gene", vocabulary="gene", search_text=genes["name"], obsolete=False))
    variants = variants.rename(columns={"kind": "variant_kind"})
    variants["name"] = variants["id"].str.removeprefix("dbsnp:")
    writer.nodes("Variant", variants.assign(kind="Variant", vocabulary="dbsnp", search_text=variants["name"], obsolete=False))
    edges = pd.DataFrame(
        {"start_id": nearest["id"], "end_id": nearest["nearest_genes"].map(writer.gene_of_symbol), "source": nearest["source"]}
    )
    writer.edges("NEAREST_GENE", edges, origin="variants")
    members = variants[["id", "members", "source"]].explode("members").dropna(subset=["members"])
    writer.edges(
        "PART_OF_SET",
        pd.DataFrame({"start_id": members["members"], "end_id": members["id"], "source": members["source"]}),
        origin="variant sets",
    )


_ASSOCIATION_COLUMNS = [
    p.name
    for p in EDGE_TYPES["ASSOCIATED_WITH"].properties
    if p.name not in {"association_id", "association_kind", "trait", "term_relation"}
]


def _write_associations(tables_dir: Path, writer: _Writer) -> None:
    import pandas as pd

    columns = [
        "id",
        "kind",
        "variant_id",
        "object_id",
        "object_name",
        "term_relation",
        "named_term_ids",
        "tissue",
        "se",
        "source",
        *_ASSOCIATION_COLUMNS,
    ]
    rows = _frame(tables_dir, "associations", columns)
    eqtl = rows[rows["kind"] == "eqtl"].rename(columns={"variant_id": "start_id", "object_id": "end_id", "effect": "beta"})
    writer.edges("EQTL_OF", eqtl, origin="eQTL associations")
    rows = rows[rows["kind"] != "eqtl"].rename(
        columns={"variant_id": "start_id", "id": "association_id", "kind": "association_kind", "object_name": "trait"}
    )
    written = rows.rename(columns={"object_id": "end_id"}).assign(term_relation="as_written")
    named = rows.explode("named_term_ids").dropna(subset=["named_term_ids"]).rename(columns={"named_term_ids": "end_id"})
    edges = pd.concat([written, named.drop(columns="object_id")], ignore_index=True)
    edges["id"] = edges["association_id"] + "|" + edges["end_id"]
    writer.edges("ASSOCIATED_WITH", edges, origin="associations")
    writer.association_ends = edges[["association_id", "end_id"]]


def _write_groups(tables_dir: Path, links_dir: Path, writer: _Writer, embed: Embed | None) -> None:
    import pandas as pd

    groups = _frame(links_dir, "groups", ["group_id", "member_id", "is_centre", "p_same", "justification"])
    concepts = _frame(tables_dir, "concepts", ["id", "name", "kind"]).set_index("id")
    names = _names(tables_dir)
    groups = groups.sort_values(["group_id", "is_centre", "member_id"], ascending=[True, False, True])
    centres = groups.drop_duplicates("group_id").set_index("group_id")["member_id"]
    size = groups.groupby("group_id")["member_id"].size()
    associations = _associations_of_groups(groups, writer.association_ends)
    every_name: dict[str, dict[str, None]] = {}
    for group, member in zip(groups["group_id"], groups["member_id"], strict=True):
        every_name.setdefault(group, {}).update(dict.fromkeys(names.get(member, ())))
    rows = pd.DataFrame({"id": centres.index, "centre": centres.to_numpy()})
    rows["name"] = rows["centre"].map(concepts["name"])
    rows["concept_kind"] = rows["centre"].map(concepts["kind"])
    rows["n_members"] = rows["id"].map(size)
    rows["n_associations"] = rows["id"].map(associations).fillna(0).astype("int64")
    rows["synonyms"] = [[n for n in every_name[i] if n != name] for i, name in zip(rows["id"], rows["name"], strict=True)]
    rows["search_text"] = ["\n".join([name, *synonyms]) for name, synonyms in zip(rows["name"], rows["synonyms"], strict=True)]
    rows = rows.assign(kind="HarmonisedConcept", vocabulary="kgbuild", obsolete=False, source="kgbuild")
    if embed is not None:
        telling = (rows["n_members"] > 1) | (rows["n_associations"] > 0) | ~rows["concept_kind"].isin(["ClinicalCode", "FreeText"])
        vectors = iter(embed(rows.loc[telling, "name"].tolist()))
        rows["embedding"] = [next(vectors) if tells else None for tells in telling]
    writer.nodes("HarmonisedConcept", rows)
    edges = groups.rename(columns={"member_id": "start_id", "group_id": "end_id"}).assign(source="kgbuild")
    group_of = dict(zip(groups["member_id"], groups["group_id"], strict=True))
    signposts = [(old, group_of[new]) for old, new in sorted(_forwarded(tables_dir).items()) if new in group_of]
    forwarded = pd.DataFrame(signposts, columns=["start_id", "end_id"]).assign(
        p_same=1.0, justification="semapv:MappingChaining", source="kgbuild"
    )
    writer.edges("MEMBER_OF", pd.concat([edges, forwarded], ignore_index=True), origin="groups")


def _associations_of_groups(groups: pd.DataFrame, ends: pd.DataFrame | None) -> pd.Series:
    """Count associations by group; one that ends at a text and at its term counts once."""
    import pandas as pd

    if ends is None:
        return pd.Series(dtype="int64")
    joined = groups[["group_id", "member_id"]].merge(ends, left_on="member_id", right_on="end_id")
    return joined.groupby("group_id")["association_id"].nunique()


# link predicate -> (edge type, does the edge start at the subject)
_LINK_EDGES: Mapping[str, tuple[str, bool]] = {
    "exact": ("SAME_AS", True),
    "broad": ("BROADER_THAN", False),
    "narrow": ("BROADER_THAN", True),
}


def _write_links(tables_dir: Path, links_dir: Path, writer: _Writer) -> None:
    import pandas as pd

    links = _frame(
        links_dir,
        "links",
        ["subject_id", "object_id", "predicate", "similarity", "p_target", "p_same", "decision", "justification", "calibration"],
    )
    worth = links["decision"].isin(["accept", "review"])
    kept = worth & links["predicate"].isin(list(_LINK_EDGES))
    writer.summary.leave_out("links: close, for review only (they are in the mapping table)", int((worth & ~kept).sum()))
    links = links[kept].assign(source="kgbuild")
    by_type: dict[str, list[pd.DataFrame]] = {}
    for predicate, (edge_type, from_subject) in _LINK_EDGES.items():
        ends = {"subject_id": "start_id", "object_id": "end_id"} if from_subject else {"subject_id": "end_id", "object_id": "start_id"}
        by_type.setdefault(edge_type, []).append(links[links["predicate"] == predicate].rename(columns=ends))
    for edge_type, parts in by_type.items():
        writer.edges(edge_type, pd.concat(parts, ignore_index=True), origin="links")
    xrefs = _frame(tables_dir, "xrefs", ["subject_id", "predicate", "object_id", "source"])
    inside = writer.are_nodes(xrefs["object_id"]) & writer.are_nodes(xrefs["subject_id"])
    writer.summary.leave_out("xrefs: to vocabularies that are not loaded", int((~inside).sum()))
    writer.edges("XREF", xrefs[inside].rename(columns={"subject_id": "start_id", "object_id": "end_id"}), origin="xrefs")


def _write_relations(tables_dir: Path, writer: _Writer) -> None:
    for edge_type, rows in _relations_by_type(tables_dir):
        writer.edges(edge_type, rows.rename(columns={"subject_id": "start_id", "object_id": "end_id"}), origin="relations")


def _relations_by_type(tables_dir: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.compute as pc

    relations = tables.read(tables_dir, "relations", ["id", "subject_id", "predicate", "object_id", "source"])
    for edge_type in sorted(pc.unique(relations["predicate"]).to_pylist()):
        yield edge_type, relations.filter(pc.equal(relations["predicate"], edge_type)).drop_columns(["predicate"]).to_pandas()
