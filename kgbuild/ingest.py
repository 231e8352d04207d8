"""Every configured source comes in through its reader; one set of joined tables, the ledger and the rejects go out.

Readers know nothing of each other, so what takes two sources to know is done here: one concept for each id, obsolete ids
forwarded, genes joined over their three kinds of id, variants united and placed in loci, composite traits tied to the terms that
their rows name, curated subjects of vocabularies that are not loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.ledger import Ledger, write_rejects
from kgbuild.schema import RELATIONS
from kgbuild.sources import Harvest, reader
from kgbuild.sources.measures import in_mhc
from kgbuild.vocabulary import VOCABULARIES, content_id, normalise_name

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["VERSION", "IngestSummary", "SourceEntry", "find_replacements", "ingest", "name_terms"]

VERSION = 1

Progress = Callable[[str, int, int], None]

# kinds whose rows become relations or associations one by one: when such a row's last trace goes, the ledger must hear of it
_ROW_BY_ROW = {"gwas-catalog", "eqtl", "biobank", "primekg"}
_MADE = ("concepts", "names", "xrefs", "variants", "associations", "loci", "relations", "mappings", "genes", "forwardings")
_WINDOW = 1_000_000  # base pairs: the locus of a variant without an LD block
_MHC_SPAN = 9_000_000


@dataclass(frozen=True)
class SourceEntry:
    """One source of kgbuild.toml."""

    key: str
    kind: str
    path: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None
    redistributable: bool = False
    version: str | None = None


@dataclass
class IngestSummary:
    """What came in and what became of it."""

    sources: dict[str, dict[str, Any]]  # by key: kind, rows_in, rows_kept, rows_merged, rows_rejected, reasons, notes
    tables: dict[str, int]  # rows
    counts: dict[str, int]  # what joining found

    def facts(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {"sources": self.sources, "tables": self.tables, "counts": self.counts}


@dataclass
class _Work:
    """The tables while they are joined, and the accounts that must follow."""

    parts: dict[str, pa.Table]
    ledgers: dict[str, Ledger]
    kinds: dict[str, str]  # source -> kind
    counts: Counter[str] = field(default_factory=Counter)
    touched: set[int] = field(default_factory=set)  # rows of `relations` with a replaced end: their ids are stale

    def frame(self, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        table = self.parts[name] if columns is None else self.parts[name].select(list(columns))
        return table.to_pandas(strings_to_categorical=False)

    def forwarded(self, changes: Iterable[tuple[str, str, str, int]], reason: str) -> None:
        """Log replaced ids, given as (old, new, source, line): a row for each old id and source."""
        rows: dict[tuple[str, str, str], list[int]] = {}
        for old, new, source, line in changes:
            known = rows.setdefault((old, new, source), [0, line])
            known[0] += 1
        made = [(old, new, reason, n, source, line) for (old, new, source), (n, line) in rows.items()]
        self.parts["forwardings"] = tables.concatenate("forwardings", [self.parts["forwardings"], tables.from_rows("forwardings", made)])
        self.counts[f"rows forwarded: {reason}"] += sum(row[3] for row in made)


def ingest(entries: Sequence[SourceEntry], folder: Path, *, progress: Progress | None = None) -> IngestSummary:
    """Read the sources, join them, and write the tables, `ledger.parquet`, `rejects.tsv` and `summary.json` to a folder.

    Raises:
        ConfigurationError: A kind of source is not known, or an option is wrong.
        SourceError: A file is not what its entry says, or is damaged.
    """
    steps = (_unite_concepts, _forward_variants, _forward_terms, _join_diseases, _join_genes, _settle_relations, _unite_variants,
             _settle_associations, _relate_terms, _add_curated_subjects, _count_mappings)  # fmt: skip
    total = len(entries) + len(steps) + 1
    tell = progress or (lambda _what, _done, _total: None)
    harvests: dict[str, Harvest] = {}
    for done, entry in enumerate(entries):
        tell(f"read {entry.key}", done, total)
        harvests[entry.key] = reader(entry.kind).read(entry.path, source=entry.key, options=entry.options)
    work = _Work(
        {name: tables.concatenate(name, (h.tables[name] for h in harvests.values() if name in h.tables)) for name in _MADE},
        {key: harvest.ledger for key, harvest in harvests.items()},
        {entry.key: entry.kind for entry in entries},
    )
    about = {entry.key: (harvests[entry.key].version, harvests[entry.key].notes) for entry in entries}
    harvests.clear()  # the tables are large, and are held once
    for done, step in enumerate(steps, len(entries)):
        tell(step.__name__.strip("_").replace("_", " "), done, total)
        step(work)
    tell("write tables", total - 1, total)
    summary = _write(work, entries, about, folder)
    tell("done", total, total)
    return summary


# ---- concepts and names ----------------------------------------------------------------------------------------------


def _unite_concepts(work: _Work) -> None:
    """Keep one concept for each id: an ontology's own row before PrimeKG's or a text's; all its names stay."""
    concepts, names = work.frame("concepts"), work.frame("names")
    rank = {key: place for place, key in enumerate(VOCABULARIES)}
    order = concepts["vocabulary"].map(rank).fillna(len(rank))
    nameless = [name == id_.partition(":")[2] for id_, name in zip(concepts["id"], concepts["name"], strict=True)]
    kept = concepts.assign(_rank=order, _nameless=nameless).sort_values(["_rank", "_nameless"], kind="stable")
    kept = kept.drop_duplicates("id").sort_index().drop(columns=["_rank", "_nameless"])
    work.counts["concepts united"] = len(concepts) - len(kept)
    work.parts["concepts"] = _table("concepts", kept)
    work.parts["names"] = _table("names", _one_label(names, kept))


def _one_label(names: pd.DataFrame, concepts: pd.DataFrame) -> pd.DataFrame:
    """Make every label but the concept's own a synonym, and keep each name of a concept once."""
    label = names["concept_id"].map(concepts.set_index("id")["name"])
    names = names.assign(role=names["role"].mask((names["role"] == "label") & label.notna() & (names["name"] != label), "synonym"))
    order = names["role"].map({"label": 0, "synonym": 1, "short": 2}).fillna(3)
    first = names.assign(_order=order).sort_values("_order", kind="stable").drop_duplicates(["concept_id", "name"])
    return first.sort_index().drop(columns="_order")


# ---- replaced identifiers --------------------------------------------------------------------------------------------


def find_replacements(replaced_by: Iterable[tuple[str, str]], live: set[str]) -> dict[str, str]:
    """Say by which id each replaced id is to be read: the last live one along the chain.

    An id that is live itself is replaced only by another live one (its release is older than the table that replaces it, and may
    not hold the new id yet). An id with several replacements is followed only where just one of them is live. Cycles end the walk.

    >>> find_replacements([("A:1", "A:2"), ("A:2", "A:3")], {"A:3"})
    {'A:1': 'A:3', 'A:2': 'A:3'}
    >>> find_replacements([("A:1", "A:2"), ("A:8", "A:9")], {"A:1"})
    {'A:8': 'A:9'}
    >>> find_replacements([("A:1", "A:2"), ("A:2", "A:1"), ("A:5", "A:6"), ("A:5", "A:7")], {"A:6", "A:7"})
    {}
    """
    direct: defaultdict[str, list[str]] = defaultdict(list)
    for old, new in replaced_by:
        if new not in direct[old]:
            direct[old].append(new)
    found = {old: _end_of_chain(old, direct, live) for old in direct}
    return {old: new for old, new in found.items() if new is not None}


def _end_of_chain(old: str, direct: Mapping[str, Sequence[str]], live: set[str]) -> str | None:
    seen, place, last_live = {old}, old, None
    while place in direct:
        options = direct[place] if len(direct[place]) == 1 else [option for option in direct[place] if option in live]
        if len(options) != 1:
            break
        place = options[0]
        if place in seen:
            return last_live
        seen.add(place)
        last_live = place if place in live else last_live
    return last_live or (place if place != old and old not in live else None)


def _forward_terms(work: _Work) -> None:
    """Read obsolete terms by the ones that replaced them, wherever they are referred to."""
    live = _live(work)
    xrefs = work.parts["xrefs"].select(["subject_id", "predicate", "object_id"]).to_pydict()
    pairs = [(s, o) for s, p, o in zip(*xrefs.values(), strict=True) if p == "replaced_by"]
    new_of = find_replacements(pairs, live)
    superseded = {old for old in new_of if old in live}
    for table, column in (("mappings", "object_id"), ("mappings", "subject_id"), ("relations", "subject_id"), ("relations", "object_id")):
        _replace(work, table, column, new_of, "replaced_by")
    _forward_term_lists(work, new_of)
    _supersede(work, superseded, new_of)
    work.counts["terms superseded by a live term"] = len(superseded)


def _supersede(work: _Work, superseded: set[str], new_of: Mapping[str, str]) -> None:
    """Mark terms obsolete whose successor is loaded too, and give the successor their names."""
    if not superseded:
        return
    concepts, names = work.frame("concepts"), work.frame("names")
    concepts["obsolete"] |= concepts["id"].isin(superseded)
    given = names[names["concept_id"].isin(superseded)]
    given = given.assign(concept_id=given["concept_id"].map(new_of), role="synonym")
    import pandas as pd

    work.parts["concepts"] = _table("concepts", concepts)
    work.parts["names"] = _table("names", _one_label(pd.concat([names, given], ignore_index=True), concepts))


def _replace(work: _Work, table: str, column: str, new_of: Mapping[str, str], reason: str) -> None:
    """Replace ids in a column, and log which."""
    hit = _mask(work, table, column, new_of)
    rows = hit.nonzero()[0]
    if not len(rows):
        return
    olds, sources, lines = work.parts[table].take(rows).select([column, "source", "line"]).to_pydict().values()
    news = [new_of[old] for old in olds]
    work.forwarded(zip(olds, news, sources, lines, strict=True), reason)
    _set_where(work, table, column, hit, news)
    if table == "relations":
        work.touched.update(rows.tolist())


def _forward_term_lists(work: _Work, new_of: Mapping[str, str]) -> None:
    """Replace ids inside `term_ids`."""
    import pyarrow as pa

    associations = work.parts["associations"]
    codes, lists = _distinct_lists(associations.column("term_ids"))
    touched = [[term for term in terms if term in new_of] for terms in lists]
    if not any(touched):
        return
    sources, lines = associations.column("source").to_pylist(), associations.column("line").to_pylist()
    hits = [place for place, code in enumerate(codes.tolist()) if touched[code]]
    work.forwarded(((old, new_of[old], sources[place], lines[place]) for place in hits for old in touched[codes[place]]), "replaced_by")
    changed = [list(dict.fromkeys(new_of.get(term, term) for term in terms)) for terms in lists]
    _set(work, "associations", "term_ids", pa.array(changed, pa.list_(pa.string())).take(pa.array(codes)))


def _live(work: _Work) -> set[str]:
    """Give the ids that are live in a vocabulary; PrimeKG, which repeats others' ids, is none."""
    concepts = work.parts["concepts"].select(["id", "vocabulary", "obsolete"]).to_pydict()
    return {id_ for id_, vocabulary, obsolete in zip(*concepts.values(), strict=True) if not obsolete and vocabulary != "primekg"}


def _join_diseases(work: _Work) -> None:
    """Hang PrimeKG's edges of a disease that is no class of a loaded ontology on the one live class that stands for it.

    That is the class that a newer release replaces by this disease, else the class that alone cites it and cites no other of its
    kind. The disease keeps its own concept and names; one that rows for evaluation are about is left where it is.
    """
    concepts = work.frame("concepts", ["id", "vocabulary", "kind"])
    diseases = set(concepts["id"][(concepts["vocabulary"] == "primekg") & (concepts["kind"] == "Disease")])
    grouped = _mask(work, "relations", "object_id", {id_ for id_ in diseases if id_.startswith("primekg.group:")})
    members = set(work.parts["relations"].filter(_arrow(grouped)).column("subject_id").to_pylist()) - set(concepts["id"])
    ours = {id_ for id_ in diseases | members if id_.startswith("MONDO:")}
    mappings = work.frame("mappings", ["subject_id", "use"])
    free = ours - set(mappings["subject_id"][mappings["use"] == "evaluate"])
    xrefs = work.frame("xrefs", ["subject_id", "predicate", "object_id"])
    xrefs = xrefs[xrefs["subject_id"].isin(_live(work)) & xrefs["object_id"].str.startswith("MONDO:")].drop_duplicates()
    joined: set[str] = set()
    for predicate, reason in (("replaced_by", "replaced_by"), ("xref", "cross-reference")):
        stated = xrefs[xrefs["predicate"] == predicate]
        alone = ~stated.duplicated("object_id", keep=False) & ~stated.duplicated("subject_id", keep=False)
        chosen = stated[alone & stated["object_id"].isin(free - joined)]
        new_of = dict(zip(chosen["object_id"], chosen["subject_id"], strict=True))
        joined |= new_of.keys()
        work.counts[f"PrimeKG diseases joined by {reason}"] = len(new_of)
        for column in ("subject_id", "object_id"):
            _replace(work, "relations", column, new_of, reason)
    work.counts["PrimeKG diseases in no loaded ontology"] = len(ours) - len(joined)


# ---- relations -------------------------------------------------------------------------------------------------------

_SYMMETRIC = {relation.edge_type for relation in RELATIONS.values() if not relation.from_type} - {"IS_A"}


def _settle_relations(work: _Work) -> None:
    """Give relations their ids again after ends were replaced; drop loops, ends that nobody describes, repeats, and circles."""
    _spell_relations(work)
    _drop(work, "relations", _circular(work), "merged", "after ids were joined, both ends are one concept, or the parent is a descendant")
    known = {*work.parts["concepts"].column("id").to_pylist(), *work.parts["genes"].column("id").to_pylist()}
    homeless = ~(_mask(work, "relations", "subject_id", known) & _mask(work, "relations", "object_id", known))
    _drop(work, "relations", homeless, "rejected", "an end is no concept or gene of any source")
    _drop(work, "relations", _repeats(work, "relations"), "merged", "the same edge as one that was read before")


def _spell_relations(work: _Work) -> None:
    """Order the ends of symmetric relations, and hash again, where an end was replaced."""
    rows = sorted(work.touched)
    if not rows:
        return
    cells = work.parts["relations"].take(rows).select(["subject_id", "predicate", "object_id"]).to_pydict()
    spelled = [(p, *(sorted((s, o)) if p in _SYMMETRIC else (s, o))) for s, p, o in zip(*cells.values(), strict=True)]
    hit = _at(work, "relations", rows)
    _set_where(work, "relations", "id", hit, [content_id("relation", s, p, o) for p, s, o in spelled])
    _set_where(work, "relations", "subject_id", hit, [s for _, s, _ in spelled])
    _set_where(work, "relations", "object_id", hit, [o for _, _, o in spelled])


def _circular(work: _Work) -> np.ndarray[Any, Any]:
    """Find relations with a replaced end that became loops, or that close a circle of IS_A."""
    rows = sorted(work.touched)
    hierarchy = work.parts["relations"].filter(_arrow(_mask(work, "relations", "predicate", {"IS_A"})))
    parents: defaultdict[str, list[str]] = defaultdict(list)
    for child, parent in zip(hierarchy.column("subject_id").to_pylist(), hierarchy.column("object_id").to_pylist(), strict=True):
        parents[child].append(parent)
    cells = work.parts["relations"].take(rows).select(["subject_id", "predicate", "object_id"]).to_pydict() if rows else {}
    closed = []
    for place, child, predicate, parent in zip(rows, *cells.values(), strict=True) if rows else ():
        circle = predicate == "IS_A" and _reaches(parent, child, parents)
        if circle:
            parents[child].remove(parent)
        if circle or child == parent:
            closed.append(place)
    return _at(work, "relations", closed)


def _reaches(start: str, goal: str, parents: Mapping[str, Sequence[str]]) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        place = waiting.pop()
        if place == goal:
            return True
        fresh = [parent for parent in parents.get(place, ()) if parent not in seen]
        seen.update(fresh)
        waiting += fresh
    return False


# ---- genes -----------------------------------------------------------------------------------------------------------


def _join_genes(work: _Work) -> None:
    """Make one gene of its Ensembl ids, its symbol and its NCBI id; a symbol that two NCBI genes have joins nothing."""
    genes = [tuple(row.values()) for row in work.parts["genes"].to_pylist()]
    symbol_of: dict[str, str] = {}
    for id_, symbol, *_ in genes:
        if symbol not in {id_, id_.partition(":")[2], ""}:
            symbol_of.setdefault(id_, symbol)
        elif id_.startswith("symbol:"):
            symbol_of.setdefault(id_, id_.removeprefix("symbol:"))
    final = _final_genes(symbol_of)
    joined: dict[str, list[Any]] = {}
    for id_, _, ensembl_ids, source, line in genes:
        new = final.get(id_, id_)
        row = joined.setdefault(new, [new, symbol_of.get(new) or symbol_of.get(id_) or new, {}, source, line])
        row[1] = symbol_of.get(id_, row[1]) if row[1] == new else row[1]
        row[2].update(dict.fromkeys(ensembl_ids))
    work.parts["genes"] = tables.from_rows(
        "genes", ((id_, symbol, sorted(ids), source, line) for id_, symbol, ids, source, line in joined.values())
    )
    _rewrite_eqtl_genes(work, final, symbol_of)
    work.counts["genes joined to an NCBI gene"] = sum(new.startswith("NCBIGene:") for new in final.values())


def _final_genes(symbol_of: Mapping[str, str]) -> dict[str, str]:
    """Say by which id each gene goes: the NCBI gene with its symbol, else (for a bare symbol) the one Ensembl gene with it."""
    bearers: dict[str, dict[str, list[str]]] = {"NCBIGene": defaultdict(list), "ensembl": defaultdict(list)}
    for id_, symbol in symbol_of.items():
        kind = id_.partition(":")[0]
        if kind in bearers:
            for spelling in {symbol, symbol.upper()}:
                bearers[kind][spelling].append(id_)

    def only(kind: str, symbol: str) -> str | None:
        for spelling in (symbol, symbol.upper()):
            if bearers[kind].get(spelling):
                return bearers[kind][spelling][0] if len(bearers[kind][spelling]) == 1 else None
        return None

    final = {}
    for id_, symbol in symbol_of.items():
        kind = id_.partition(":")[0]
        new = None if kind == "NCBIGene" else only("NCBIGene", symbol) or (only("ensembl", symbol) if kind == "symbol" else None)
        if new:
            final[id_] = new
    return final


def _rewrite_eqtl_genes(work: _Work, final: Mapping[str, str], symbol_of: Mapping[str, str]) -> None:
    eqtl = _mask(work, "associations", "kind", {"eqtl"})
    measured = set(work.parts["associations"].filter(_arrow(eqtl)).column("object_id").unique().to_pylist())
    hit = eqtl & _mask(work, "associations", "object_id", final)
    olds = work.parts["associations"].filter(_arrow(hit)).column("object_id").to_pylist()
    _set_where(work, "associations", "object_id", hit, [final[old] for old in olds])
    if measured:
        work.counts["eQTL genes"] = len(measured)
        work.counts["eQTL genes without a symbol"] = sum(gene not in symbol_of for gene in measured)
        work.counts["eQTL genes with a symbol and no NCBI gene"] = sum(gene in symbol_of and gene not in final for gene in measured)


# ---- variants and loci -----------------------------------------------------------------------------------------------


def _forward_variants(work: _Work) -> None:
    """Read merged rs ids by today's, in every source: a source that says so speaks for all."""
    import pyarrow as pa

    log = work.frame("forwardings", ["old_id", "new_id", "reason"])
    merged = log[(log["reason"] == "merged rs id") & log["old_id"].str.startswith("dbsnp:")]
    new_of = find_replacements(zip(merged["old_id"], merged["new_id"], strict=True), set())
    if not new_of:
        return
    for table, column in (("associations", "variant_id"), ("variants", "id"), ("loci", "variant_id")):
        changed = work.parts["forwardings"]
        _replace(work, table, column, new_of, "merged rs id")
        if table != "associations":  # there the rows are counted; elsewhere they are only spelled anew
            work.parts["forwardings"] = changed
    codes, lists = _distinct_lists(work.parts["variants"].column("members"))
    _set(
        work,
        "variants",
        "members",
        pa.array([[new_of.get(m, m) for m in members] for members in lists], pa.list_(pa.string())).take(pa.array(codes)),
    )
    loci = work.frame("loci").drop_duplicates("variant_id")
    work.parts["loci"] = _table("loci", loci)


def _unite_variants(work: _Work) -> None:
    """Make one row of each variant, and say in which locus it lies."""
    united = _one_row_each(work.parts["variants"])
    _place_in_loci(united, work)
    work.parts["variants"] = _table("variants", united)
    work.counts["variants in the MHC"] = int(united["in_mhc"].sum())
    work.counts["variants with an LD block"] = int(united["locus"].str.startswith("ld:").fillna(False).sum())
    work.counts["variants without a locus"] = int(united["locus"].isna().sum())


def _one_row_each(variants: pa.Table) -> pd.DataFrame:
    """Unite the rows of each variant: the first place on GRCh38, else the first place; the first of everything else."""
    import numpy as np

    frame = variants.to_pandas(integer_object_nulls=True)
    for name in ("members", "nearest_genes"):
        frame[name] = [tuple(cells) or None for cells in frame[name]]
    placed = np.where(frame["position"].isna(), 3, np.where(frame["build"] == "GRCh38", 0, np.where(frame["build"].isna(), 2, 1)))
    order = frame["id"].map(dict(zip(reversed(frame["id"].tolist()), range(len(frame) - 1, -1, -1), strict=True)))
    frame = frame.assign(_order=order, _placed=placed)
    place = frame.sort_values(["_order", "_placed"], kind="stable").drop_duplicates("id").set_index("id")
    rest = frame.groupby("id", sort=False)
    united = rest[["kind", "members", "chromosome", "consequence", "nearest_genes", "source", "line"]].first()
    for name in ("position", "build"):
        united[name] = place[name]
    united["chromosome"] = place["chromosome"].where(place["position"].notna(), united["chromosome"])
    united["in_mhc"] = rest["in_mhc"].any()
    for name in ("members", "nearest_genes"):
        united[name] = [cells if isinstance(cells, tuple) else () for cells in united[name]]
    return united.reset_index().astype({"line": "int64"})


def _place_in_loci(variants: pd.DataFrame, work: _Work) -> None:
    """Add the columns locus and locus_span: the MHC, else the LD block, else a window; a set has the locus that its members share."""
    import numpy as np
    import pandas as pd

    loci = work.frame("loci", ["variant_id", "chromosome", "left", "right", "block"])
    blocks = loci.groupby("block")
    width = dict(blocks["right"].max() - blocks["left"].min())
    ld = variants[["id"]].merge(loci.drop_duplicates("variant_id"), how="left", left_on="id", right_on="variant_id")
    clash = ld["chromosome"].notna() & variants["chromosome"].notna() & (ld["chromosome"] != variants["chromosome"])
    work.counts["variants whose LD interval is on another chromosome"] = int(clash.sum())
    ld = ld.mask(clash)
    variants["chromosome"] = variants["chromosome"].where(variants["chromosome"].notna(), ld["chromosome"])
    on_38 = variants["build"] == "GRCh38"
    position = pd.to_numeric(variants["position"], errors="coerce").where(on_38).astype(float)
    near = [bool(in_mhc(c, p, q)) for c, p, q in zip(*_mhc_interval(variants["chromosome"], position, ld), strict=True)]
    variants["in_mhc"] = variants["in_mhc"].to_numpy(dtype=bool) | np.array(near, dtype=bool)
    block = ld["block"].notna()
    known = position.notna() & variants["chromosome"].notna()
    windows = "window:" + variants["chromosome"].fillna("") + ":" + (position.fillna(0) // _WINDOW).astype("int64").astype(str)
    locus = pd.Series(np.where(block, "ld:" + ld["block"].fillna("").astype(str), np.where(known, windows, "")), variants.index)
    span = pd.Series([width.get(cell, _WINDOW) for cell in ld["block"]], variants.index, dtype=float).where(block | known)
    locus, span = locus.mask(variants["in_mhc"], "MHC"), span.mask(variants["in_mhc"], float(_MHC_SPAN))
    variants["locus"] = locus.where(locus != "").astype(object)
    variants["locus_span"] = span.astype("Int64")
    _place_sets(variants)


def _mhc_interval(
    chromosome: pd.Series[Any], position: pd.Series[Any], ld: pd.DataFrame
) -> tuple[list[str | None], list[int | None], list[int | None]]:
    """Give what is known of where a variant lies: its place on GRCh38, else its LD interval."""
    start = position.where(position.notna(), ld["left"])
    end = position.where(position.notna(), ld["right"])
    whole = [[None if cell != cell else int(cell) for cell in column.tolist()] for column in (start, end)]
    return chromosome.tolist(), whole[0], whole[1]


def _place_sets(variants: pd.DataFrame) -> None:
    """Give a set the locus that all its members share; it lies in the MHC if one of them does."""
    sets = variants.index[variants["kind"].isin(["haplotype", "interaction"])]
    if not len(sets):
        return
    members = {member for place in sets for member in variants.at[place, "members"]}
    of = variants[variants["id"].isin(members)].set_index("id")[["locus", "in_mhc", "locus_span"]].to_dict("index")
    for place in sets:
        found = [of[member] for member in variants.at[place, "members"] if member in of]
        variants.at[place, "in_mhc"] = bool(variants.at[place, "in_mhc"]) or any(row["in_mhc"] for row in found)
        shared = {row["locus"] for row in found}
        one = len(shared) == 1 and len(found) == len(variants.at[place, "members"]) and None not in shared
        variants.at[place, "locus"] = shared.pop() if one else None
        variants.at[place, "locus_span"] = found[0]["locus_span"] if one else None


# ---- associations ----------------------------------------------------------------------------------------------------


def _settle_associations(work: _Work) -> None:
    """Drop associations that two sources have, and flag those in the MHC."""
    import pyarrow as pa

    _drop(work, "associations", _repeats(work, "associations"), "merged", "the same association as one that was read before")
    variants = work.parts["variants"].select(["id", "in_mhc"]).to_pydict()
    mhc = _mask(work, "associations", "variant_id", {id_ for id_, inside in zip(*variants.values(), strict=True) if inside})
    codes, lists = _distinct_lists(work.parts["associations"].column("flags"))
    both = [*lists, *(list(dict.fromkeys([*flags, "in_mhc"])) for flags in lists)]
    _set(work, "associations", "flags", pa.array(both, pa.list_(pa.string())).take(pa.array(codes + len(lists) * mhc)))


def _relate_terms(work: _Work) -> None:
    """Settle how each association's terms relate to its trait, now that their names are known; and which of them its text names."""
    import pyarrow as pa

    names, kinds = _names_and_kinds(work)
    columns = ["object_name", "p_text", "term_ids", "term_relation", "qualifiers"]
    has_terms = pa.compute.greater(pa.compute.list_value_length(work.parts["associations"].column("term_ids")), 0).combine_chunks()
    hit = _mask_of(has_terms)
    cells = work.parts["associations"].filter(has_terms).select(columns).to_pydict()

    @cache
    def settled(
        trait: str, p_text: str | None, terms: tuple[str, ...], relation: str | None, found: tuple[str, ...]
    ) -> tuple[str, tuple[str, ...]]:
        return name_terms(trait, p_text, terms, relation or "unresolved", found, names=names, kinds=kinds)

    results = [
        settled(trait, p_text, tuple(terms), relation, tuple(found))
        for trait, p_text, terms, relation, found in zip(*cells.values(), strict=True)
    ]
    _set_where(work, "associations", "term_relation", hit, [relation for relation, _ in results])
    named = pa.array([terms for _, terms in results], pa.list_(pa.string()))
    nothing = pa.array([[]], pa.list_(pa.string()))
    import numpy as np

    places = np.full(len(hit), len(results), dtype=np.int64)
    places[hit] = np.arange(len(results))
    _set(work, "associations", "named_term_ids", pa.concat_arrays([named, nothing]).take(pa.array(places)))
    work.counts.update({f"associations: {relation}": n for relation, n in Counter(relation for relation, _ in results).items()})


def _names_and_kinds(work: _Work) -> tuple[dict[str, frozenset[str]], dict[str, str]]:
    """Give the normal forms of every name of the terms that stand beside other terms, and the kind of each."""
    _, lists = _distinct_lists(work.parts["associations"].column("term_ids"))
    wanted = {term for terms in lists for term in terms}
    concepts = work.parts["concepts"].select(["id", "kind"]).to_pydict()
    kinds = {id_: kind for id_, kind in zip(*concepts.values(), strict=True) if id_ in wanted}
    rows = work.parts["names"].filter(_arrow(_mask(work, "names", "concept_id", wanted))).select(["concept_id", "name"]).to_pydict()
    names: defaultdict[str, set[str]] = defaultdict(set)
    for id_, name in zip(*rows.values(), strict=True):
        names[id_].add(normalise_name(name))
    return {id_: frozenset(found) for id_, found in names.items()}, kinds


def name_terms(
    trait: str,
    p_text: str | None,
    terms: Sequence[str],
    relation: str,
    found: Sequence[str],
    *,
    names: Mapping[str, frozenset[str]],
    kinds: Mapping[str, str],
) -> tuple[str, tuple[str, ...]]:
    """Settle the relation of a trait's terms to it, and say which terms its text names: those get edges.

    Of several terms, the one that the text of the p value names, as a whole or in parentheses, is meant, else the one that the
    trait's text names so; then the relation is `named`.

    >>> names = {"A:1": frozenset({"asthma"}), "A:2": frozenset({"eczema"})}
    >>> name_terms("Allergic disease", "(Asthma)", ["A:1", "A:2"], "unresolved", (), names=names, kinds={})
    ('named', ('A:1',))
    >>> name_terms("Asthma or eczema", None, ["A:1", "A:2"], "union", (), names=names, kinds={})
    ('union', ('A:1', 'A:2'))
    >>> name_terms("Levels in eczema", None, ["A:1", "A:2"], "intersection", (), names=names, kinds={"A:1": "Measurement"})
    ('context', ())
    """
    if len(terms) == 1:
        relation = relation if relation in {"single", "context"} else "context" if found else "single"
        return relation, tuple(terms) if relation == "single" else ()
    if relation in {"unresolved", "union", "named"}:
        for text in (p_text, trait):
            named = {term for phrase in _phrases(text or "") for term in terms if phrase in names.get(term, frozenset())}
            if len(named) == 1:
                return "named", (named.pop(),)
    if relation == "intersection" and any(kinds.get(term) == "Measurement" for term in terms):
        relation = "context"
    return relation, tuple(terms) if relation == "union" else ()


@lru_cache(maxsize=1 << 16)
def _phrases(text: str) -> frozenset[str]:
    """Give the normal forms of a text as a whole and of what stands in its parentheses.

    >>> sorted(_phrases("Obesity-related traits (Fat mass )"))
    ['fat mass', 'obesity related traits fat mass']
    """
    return frozenset(normalise_name(part) for part in (text, *re.findall(r"\(([^()]*)\)", text))) - {""}


# ---- curated mappings ------------------------------------------------------------------------------------------------


def _add_curated_subjects(work: _Work) -> None:
    """Make a concept of each curated subject that no source describes; never of one that is kept for evaluation."""
    known = set(work.parts["concepts"].column("id").to_pylist())
    rows: dict[str, tuple[str, str, str, int]] = {}
    held = {row["subject_id"] for row in work.parts["mappings"].select(["subject_id", "use"]).to_pylist() if row["use"] == "evaluate"}
    for row in work.parts["mappings"].to_pylist():
        if row["use"] == "fit" and row["subject_id"] not in known and row["subject_id"] not in held and row["subject_label"].strip():
            rows.setdefault(row["subject_id"], (row["subject_label"].strip(), row["vocabulary"], row["source"], row["line"]))
    concepts = [
        (id_, label, vocabulary, _kind_of_subject(vocabulary), False, None, True, *place)
        for id_, (label, vocabulary, *place) in rows.items()
    ]
    names = [(id_, label, "label", *place) for id_, (label, _, *place) in rows.items()]
    for table, made in (("concepts", concepts), ("names", names)):
        work.parts[table] = tables.concatenate(table, [work.parts[table], tables.from_rows(table, made)])
    work.counts["concepts made of curated subjects"] = len(rows)


def _kind_of_subject(vocabulary: str) -> str:
    known = VOCABULARIES.get(vocabulary)
    if known is None or not known.coded:
        return "FreeText"
    return "Disease" if vocabulary in {"mondo", "doid", "efo"} else "ClinicalCode"


def _count_mappings(work: _Work) -> None:
    """Count the curated rows whose target is no live concept: they stay, and cannot be linked."""
    concepts = work.parts["concepts"].select(["id", "obsolete"]).to_pydict()
    live = {id_ for id_, obsolete in zip(*concepts.values(), strict=True) if not obsolete}
    work.counts["mappings to no live concept"] = sum(
        object_id not in live for object_id in work.parts["mappings"].column("object_id").to_pylist()
    )


# ---- tables ----------------------------------------------------------------------------------------------------------


def _table(name: str, frame: pd.DataFrame) -> pa.Table:
    return tables.from_columns(name, len(frame), {column: frame[column] for column in tables.TABLES[name].column_names})


def _arrow(mask: np.ndarray[Any, Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(mask)


def _mask_of(column: pa.Array) -> np.ndarray[Any, Any]:
    return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _mask(work: _Work, table: str, column: str, values: Iterable[str]) -> np.ndarray[Any, Any]:
    """Mark the rows whose cell is one of some values."""
    import pyarrow as pa
    import pyarrow.compute

    found = pyarrow.compute.is_in(work.parts[table].column(column), value_set=pa.array(list(values), pa.string()))
    return _mask_of(found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found)


def _at(work: _Work, table: str, rows: Sequence[int]) -> np.ndarray[Any, Any]:
    """Mark rows by number."""
    import numpy as np

    mask = np.zeros(work.parts[table].num_rows, dtype=bool)
    mask[list(rows)] = True
    return mask


def _set(work: _Work, table: str, column: str, values: Any) -> None:
    place = work.parts[table].schema.get_field_index(column)
    work.parts[table] = work.parts[table].set_column(place, work.parts[table].schema.field(place), values)


def _set_where(work: _Work, table: str, column: str, mask: np.ndarray[Any, Any], values: Sequence[str]) -> None:
    """Put values, in order, into the marked rows of a column."""
    import pyarrow as pa
    import pyarrow.compute

    if not mask.any():
        return
    whole = work.parts[table].column(column).combine_chunks()
    _set(work, table, column, pyarrow.compute.replace_with_mask(whole, pa.array(mask), pa.array(values, whole.type)))


def _distinct_lists(column: pa.ChunkedArray) -> tuple[np.ndarray[Any, Any], list[list[str]]]:
    """Give each distinct list of a column a number: the number of each row, and the lists."""
    import numpy as np
    import pyarrow.compute

    joined = pyarrow.compute.binary_join(column, "\x1f").combine_chunks().dictionary_encode()
    return joined.indices.to_numpy().astype(np.int64), [words.split("\x1f") if words else [] for words in joined.dictionary.to_pylist()]


def _repeats(work: _Work, table: str) -> np.ndarray[Any, Any]:
    """Mark rows whose id another row has before them."""
    mask: np.ndarray[Any, Any] = work.frame(table, ["id"])["id"].duplicated().to_numpy()
    return mask


def _drop(work: _Work, table: str, mask: np.ndarray[Any, Any], fate: str, reason: str) -> None:
    """Drop rows of a table, and settle the accounts of sources of whose rows nothing is left."""
    import numpy as np

    if not mask.any():
        return
    gone, left = work.parts[table].filter(_arrow(mask)), work.parts[table].filter(_arrow(~mask))
    work.parts[table] = left
    work.counts[f"{table} dropped: {reason}"] += gone.num_rows
    for source in gone.column("source").unique().to_pylist():
        if work.kinds[source] not in _ROW_BY_ROW:
            continue
        of, still = (part.filter(_arrow(np.array(part.column("source").to_pylist(), dtype=object) == source)) for part in (gone, left))
        lines = of.column("line").to_numpy()
        lost, first = np.unique(lines, return_index=True)
        lost_mask = ~np.isin(lost, still.column("line").to_numpy())
        ids = of.column("id").take(first[lost_mask]).to_pylist()
        work.ledgers[source].unkeep(int(lost_mask.sum()))
        settle = work.ledgers[source].merge_many if fate == "merged" else work.ledgers[source].reject_many
        settle(lost[lost_mask].tolist(), reason, ids)


def _write(work: _Work, entries: Sequence[SourceEntry], about: Mapping[str, tuple[str, dict[str, int]]], folder: Path) -> IngestSummary:
    """Write tables, ledger, rejects and summary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, accounts = [], {}
    for entry in entries:
        ledger, (version, notes) = work.ledgers[entry.key], about[entry.key]
        numbers = {"rows_in": ledger.rows_in, "rows_kept": ledger.kept, "rows_merged": ledger.merged, "rows_rejected": ledger.rejected}
        accounts[entry.key] = {"kind": entry.kind, **numbers, "reasons": ledger.reasons(), "notes": notes}
        rows.append(
            (
                entry.key,
                entry.kind,
                entry.path.name,
                _sha256(entry.path),
                version or entry.version,
                entry.licence,
                entry.redistributable,
                *numbers.values(),
            )
        )
    work.parts["sources"] = tables.from_rows("sources", rows)
    tables.write(folder, work.parts)
    ledgers = list(work.ledgers.values())
    fates = [ledger.table() for ledger in ledgers]
    pq.write_table(pa.concat_tables(fates) if fates else Ledger("").table(), folder / "ledger.parquet", compression="zstd")
    write_rejects(folder / "rejects.tsv", ledgers)
    summary = IngestSummary(
        accounts, {name: table.num_rows for name, table in sorted(work.parts.items())}, dict(sorted(work.counts.items()))
    )
    (folder / "summary.json").write_text(json.dumps(summary.facts(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return summary


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
