"""Links and associations in; what needs a person, most valuable first, out: an SSSOM file, and a page that works by itself.

The value of a look at a concept is (1 + the associations that hang on it) x how uncertain its best link is. A link of
probability p is 4 p (1 - p) uncertain: 1 where it is as likely wrong as right, 0 where it is certain; of p_target and p_same
the less certain one counts. A link without a probability, and one that curators disagree about, is wholly uncertain. Equal
values: the concept first whose best candidate has more associations.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.candidate_sets import MOST, read_candidate_sets
from kgbuild.decisions import COLUMNS, MANUAL, NO_TERM
from kgbuild.exports import EXTENSIONS, mapping_records, write_sssom
from kgbuild.vocabulary import PREFIXES, content_id
from kgbuild.workspace import write_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["REVIEW_COLUMNS", "Item", "find", "write_file", "write_page"]

# further columns of the file, declared in its header: column -> (xsd type, meaning)
REVIEW_COLUMNS: dict[str, tuple[str, str]] = {
    "review_value": ("xsd:double", "(1 + associations of the subject) x uncertainty: the higher, the more a person's look is worth"),
    "associations": ("xsd:integer", "associations that hang on the subject"),
    "uncertainty": ("xsd:double", "4 p (1 - p) of the subject's best link, of p_target or p_same, whichever is less certain"),
}
_CANDIDATES = MOST  # of each subject, on the page and in the file: no candidate set is cut
_SYNONYMS, _PARENTS = 6, 3  # of each candidate, on the page
_PAGE = Path(__file__).parent / "pages" / "review.html"
_PLACEHOLDER = '"__DATA__"'


@dataclass(frozen=True)
class Item:
    """A concept that a person should look at, with its candidates, best first (rows of the table `links`)."""

    subject_id: str
    n_associations: int
    uncertainty: float
    candidates: tuple[Mapping[str, Any], ...]

    @property
    def value(self) -> float:
        return round((1 + self.n_associations) * self.uncertainty, 6)


def find(tables_dir: Path, links_dir: Path, *, limit: int | None = None) -> tuple[list[Item], int]:
    """Find the concepts that need a person, most valuable first, and how many there are in all.

    Those are concepts with a link for review and none that is accepted, and those whose curators disagree.
    """
    links = _waiting(tables.read(links_dir, "links").drop_columns(["justification"]).to_pandas())
    counts = _associations(tables.read(tables_dir, "associations", ["kind", "object_id", "term_ids"]))
    best = links[links["decision"] != "reject"].sort_values(["subject_id", "rank", "object_id"]).drop_duplicates("subject_id")
    best = best.assign(
        n=best["subject_id"].map(counts).fillna(0).astype(int),
        of_object=best["object_id"].map(counts).fillna(0),
        uncertainty=_uncertainties(best).mask(best["subject_id"].isin(_disputed(links)), 1.0),
    )
    best["value"] = (1 + best["n"]) * best["uncertainty"]
    best = best.sort_values(["value", "of_object", "subject_id"], ascending=[False, False, True]).head(limit or len(best))
    shown = links[links["subject_id"].isin(set(best["subject_id"]))]
    candidates = _candidates(_with_sets(shown, tables_dir, links_dir))
    found = zip(best["subject_id"], best["n"].tolist(), best["uncertainty"].tolist(), strict=True)
    return [Item(id_, n, round(u, 6), candidates[id_]) for id_, n, u in found], links["subject_id"].nunique()


def _waiting(links: pd.DataFrame) -> pd.DataFrame:
    """Keep the links of the subjects that wait for a person."""
    review, disputed = set(links.loc[links["decision"] == "review", "subject_id"]), _disputed(links)
    settled = set(links.loc[links["decision"] == "accept", "subject_id"]) - disputed
    return links[links["subject_id"].isin(review - settled) & (links["rank"] > 0)]


def _disputed(links: pd.DataFrame) -> set[str]:
    """Name the subjects of which one curator says yes and another no to the same term."""
    return set(links.loc[(links["decision"] == "review") & (links["calibration"] == "curated"), "subject_id"])


def _uncertainties(links: pd.DataFrame) -> pd.Series:
    import numpy as np
    import pandas as pd

    variances = [4 * links[name].astype(float) * (1 - links[name].astype(float)) for name in ("p_target", "p_same")]
    return pd.Series(np.fmax(*variances), links.index).fillna(1.0)


def _candidates(links: pd.DataFrame) -> dict[str, tuple[Mapping[str, Any], ...]]:
    rows = links.sort_values(["subject_id", "rank", "object_id"])
    rows = rows[rows.groupby("subject_id").cumcount() < _CANDIDATES]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows.astype(object).to_dict("records"):
        found.setdefault(row["subject_id"], []).append(row)
    return {subject: tuple(several) for subject, several in found.items()}


def _with_sets(links: pd.DataFrame, tables_dir: Path, links_dir: Path) -> pd.DataFrame:
    """Say which links are in their subject's candidate set, and how often the right term is in it; 0 where nothing was calibrated."""
    sets = read_candidate_sets(links_dir)
    if sets is None:
        return links.assign(in_candidate_set=False, promised=0.0)
    concepts = tables.read(tables_dir, "concepts", ["id", "vocabulary"])
    vocabulary = dict(zip(concepts["id"].to_pylist(), concepts["vocabulary"].to_pylist(), strict=True))
    of_row = links["subject_id"].map(vocabulary)
    inside = sets.contains(links["p_target"].to_numpy(float), of_row.to_numpy(object), links["rank"].to_numpy() == 1)
    return links.assign(in_candidate_set=inside, promised=of_row.map(sets.promised))


def _associations(associations: pa.Table) -> dict[str, int]:
    """Count, for each trait as written and each term, the associations that hang on it; eQTLs hang on genes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = associations.filter(pc.not_equal(associations["kind"], "eqtl"))
    ends = pa.chunked_array([*rows["object_id"].chunks, *pc.list_flatten(rows["term_ids"]).chunks], pa.string())
    return {pair["values"]: pair["counts"] for pair in pc.value_counts(ends).to_pylist()}


# ---------------------------------------------------------------- the file


def write_file(items: Sequence[Item], out: Path, *, tables_dir: Path, links_dir: Path, mapping_date: str | None = None) -> int:
    """Write the candidates of the items as SSSOM, in their order; give the number of rows.

    A row is decided on by setting its `mapping_justification` to semapv:ManualMappingCuration, with the predicate that holds
    or the modifier `Not`; rows that are left as they are decide nothing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    place = {item.subject_id: n for n, item in enumerate(items)}
    shown = {(item.subject_id, row["object_id"]) for item in items for row in item.candidates}
    links = tables.read(links_dir, "links")
    links = links.filter(pc.is_in(links["subject_id"], pa.array(list(place), pa.string())))
    pairs = zip(links["subject_id"].to_pylist(), links["object_id"].to_pylist(), strict=True)
    links = links.filter(pa.array([pair in shown for pair in pairs], pa.bool_()))
    concepts = tables.read(tables_dir, "concepts", ["id", "name", "vocabulary", "source"])
    sources = tables.read(tables_dir, "sources")
    records = mapping_records(links, concepts, sources, mapping_date=mapping_date, sets=read_candidate_sets(links_dir))
    of_row = [place[id_] for id_ in records["subject_id"].to_pylist()]
    for name, type_, values in (
        ("review_value", pa.float64(), [items[n].value for n in of_row]),
        ("associations", pa.int64(), [items[n].n_associations for n in of_row]),
        ("uncertainty", pa.float64(), [items[n].uncertainty for n in of_row]),
    ):
        records = records.append_column(name, pa.array(values, type_))
    order = sorted(range(len(of_row)), key=of_row.__getitem__)  # stable: within a subject by rank
    write_sssom(records.take(order), out, sources=sources, extensions=EXTENSIONS | REVIEW_COLUMNS, always=("predicate_modifier",))
    return int(records.num_rows)


# ---------------------------------------------------------------- the page


def write_page(items: Sequence[Item], out: Path, *, tables_dir: Path, title: str = "") -> None:
    """Write the items as one HTML file without any outer resource: decisions by keyboard, kept by the browser, given out as SSSOM."""
    data = json.dumps(_page_data(items, tables_dir, title), ensure_ascii=False, separators=(",", ":"))
    safe = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    template = _PAGE.read_text(encoding="utf-8")
    with write_whole(out) as aside:
        aside.write_text(template.replace(_PLACEHOLDER, safe), encoding="utf-8")


def _page_data(items: Sequence[Item], tables_dir: Path, title: str) -> dict[str, Any]:
    ids = {id_ for item in items for id_ in (item.subject_id, *(row["object_id"] for row in item.candidates))}
    about = _About(tables_dir, ids)
    shown = [
        {
            **about.subject(item.subject_id),
            "associations": item.n_associations,
            "uncertainty": item.uncertainty,
            "value": item.value,
            "promised": float(item.candidates[0]["promised"]),
            "candidates": [_candidate(row, about) for row in item.candidates],
        }
        for item in items
    ]
    key = content_id("review", *(f"{item.subject_id} {row['object_id']}" for item in items for row in item.candidates))
    prefixes = sorted({id_.partition(":")[0] for id_ in ids})
    return {
        "key": key,
        "title": title,
        "columns": COLUMNS,
        "justification": MANUAL,
        "no_term": NO_TERM,
        "curie_map": {p: PREFIXES.get(p, f"https://bioregistry.io/{p}:") for p in prefixes},
        "items": shown,
    }


def _candidate(row: Mapping[str, Any], about: _About) -> dict[str, Any]:
    return {
        **about.term(row["object_id"]),
        "predicate": row["predicate"],
        "decision": row["decision"],
        "calibration": row["calibration"],
        "in_set": bool(row["in_candidate_set"]),
        "matched": row["matched_name"],
        "evidence": list(row["evidence"]),
        **{name: _number(row[name]) for name in ("similarity", "p_target", "p_same")},
    }


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)


class _About:
    """What is known of the concepts on the page: names, and the parents of terms."""

    def __init__(self, tables_dir: Path, ids: set[str]) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = pa.array(sorted(ids), pa.string())
        concepts = tables.read(tables_dir, "concepts", ["id", "name", "vocabulary", "kind", "group"])
        relations = tables.read(tables_dir, "relations", ["subject_id", "predicate", "object_id"])
        up = relations.filter(pc.and_(pc.equal(relations["predicate"], "IS_A"), pc.is_in(relations["subject_id"], wanted)))
        names = tables.read(tables_dir, "names", ["concept_id", "name"])
        names = names.filter(pc.is_in(names["concept_id"], wanted))
        name_of = dict(zip(concepts["id"].to_pylist(), concepts["name"].to_pylist(), strict=True))
        self.concepts = {row["id"]: row for row in concepts.filter(pc.is_in(concepts["id"], wanted)).to_pylist()}
        self.names = _by_key(names["concept_id"].to_pylist(), names["name"].to_pylist())
        self.parents = _by_key(up["subject_id"].to_pylist(), (name_of.get(id_, id_) for id_ in up["object_id"].to_pylist()))

    def _named(self, id_: str) -> dict[str, Any]:
        label = self.concepts.get(id_, {}).get("name", id_)
        others = [name for name in dict.fromkeys(self.names.get(id_, ())) if name != label]
        return {"id": id_, "label": label, "names": others[:_SYNONYMS]}

    def subject(self, id_: str) -> dict[str, Any]:
        """Say what the subject is called, and where its vocabulary files it."""
        row = self.concepts.get(id_, {})
        return {**self._named(id_), "vocabulary": row.get("vocabulary", ""), "group": row.get("group") or ""}

    def term(self, id_: str) -> dict[str, Any]:
        """Say what a term is called, and what it is a kind of."""
        kind = self.concepts.get(id_, {}).get("kind", "")
        return {**self._named(id_), "kind": kind, "parents": sorted(set(self.parents.get(id_, ())))[:_PARENTS]}


def _by_key(keys: Iterable[str], values: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in zip(keys, values, strict=True):
        found.setdefault(key, []).append(value)
    return found
