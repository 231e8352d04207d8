"""Two ids, the tables and the links in; out: what speaks for and against their being one thing, and what was made of it.

Needs no database and no encoder: everything is read from the workspace's tables, where every link carries its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kgbuild import contrast, merge, tables
from kgbuild.calibration import Calibration
from kgbuild.candidate_sets import read_candidate_sets
from kgbuild.errors import UsageError, WorkspaceError
from kgbuild.features import conflicts
from kgbuild.links import DECIDED
from kgbuild.qualifiers import is_residual, qualifiers
from kgbuild.vocabulary import VOCABULARIES, code_curie, curie_from_uri, normalise_curie, normalise_name

__all__ = ["End", "Evidence", "Explanation", "explain"]

_THROUGH = 3  # classes between two concepts that are shown


@dataclass(frozen=True)
class End:
    """One of the two concepts: as it was asked for, and as it is read."""

    asked: str
    id: str
    name: str
    vocabulary: str
    kind: str
    forwarded: tuple[str, ...] = ()  # how an obsolete id leads here, a line per step
    group_id: str = ""

    def text(self) -> str:
        """Say it in a line."""
        return f"{self.id}  {self.name}  ({self.vocabulary}, {self.kind})"


@dataclass(frozen=True)
class Evidence:
    """One thing that is known of a pair."""

    kind: str  # decision, curated, replaced by, cross-reference, hierarchy, same name, wording, or link
    subject_id: str
    object_id: str
    says: str
    where: str = ""  # source:line, or the calibration
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """What is known of two concepts, and what became of it."""

    left: End
    right: End
    evidence: tuple[Evidence, ...]
    through: tuple[str, ...]  # classes that both are linked to
    merged: bool
    why: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return asdict(self)

    def text(self) -> str:
        """Say it for a person to read."""
        lines = [line for end in (self.left, self.right) for line in (end.text(), *(f"    {step}" for step in end.forwarded))]
        lines += ["", *(line for piece in self.evidence for line in _lines_of(piece))]
        lines += [] if self.evidence else ["nothing is known of the two together, and no link was made between them"]
        verdict = "one harmonised concept" if self.merged else "not merged"
        return "\n".join([*lines, "", verdict, *(f"    {reason}" for reason in self.why)])


def _lines_of(piece: Evidence) -> Iterator[str]:
    yield f"{piece.kind:16} {piece.subject_id} -> {piece.object_id}: {piece.says}" + (f"  [{piece.where}]" if piece.where else "")
    for name, value in piece.details.items():
        shown = "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        if shown not in (None, ""):
            yield f"{'':20} {name}: {shown}"


def explain(
    tables_dir: Path,
    links_dir: Path,
    left: str,
    right: str,
    *,
    merge_at: float = 0.9,
    precision: float = 0.95,
    target: str = "efo",
) -> Explanation:
    """Follow the evidence between two concepts: what people and vocabularies say, the links, and why they are one or not.

    An obsolete id is read by the one that replaced it. Two concepts that no link joins are followed to the classes that both
    are linked to.

    Args:
        tables_dir: Folder of the ingest's tables.
        links_dir: Folder of links, groups and calibration.
        left: A CURIE, as any source spells it, or the id of a harmonised concept.
        right: Another.
        merge_at: Least p_same that merged.
        precision: Wanted share of right ones among accepted links.
        target: The vocabulary whose classes are centres.

    Raises:
        UsageError: There is no such concept.
        WorkspaceError: A table is missing.
    """
    known = _Known(tables_dir, links_dir, merge_at, precision, target)
    first, second = known.end(left), known.end(right)
    evidence, through = known.evidence(first.id, second.id), []
    if not any(piece.kind in {"link", "decision"} for piece in evidence) and first.id != second.id:
        through = known.between(first.id, second.id)
        evidence += [piece for class_ in through for end in (first, second) if end.id != class_ for piece in known.evidence(end.id, class_)]
    merged = bool(first.group_id) and first.group_id == second.group_id
    why = known.why_merged(first, second) if merged else known.why_apart(first, second, through)
    return Explanation(first, second, tuple(evidence), tuple(through), merged, tuple(why))


class _Known:
    """The tables, read row by row where they are needed."""

    def __init__(self, tables_dir: Path, links_dir: Path, merge_at: float, precision: float, target: str) -> None:
        self.tables_dir, self.links_dir = tables_dir, links_dir
        self.merge_at, self.precision, self.target = merge_at, precision, target

    # ---- the two ends

    def end(self, asked: str) -> End:
        """Find a concept by its id, an obsolete one by what replaced it."""
        id_ = self._spelled(asked)
        steps: list[str] = []
        if id_.startswith("harmonised:"):
            if new := merge.read_moved(self.links_dir / "moved.tsv").get(id_):
                steps.append(f"{id_} is gone: its centre is in {new} now")
            rows = self._groups(group_id=[new or id_])
            id_ = next((row["member_id"] for row in rows if row["is_centre"]), id_)
        seen = {id_}
        while not (row := self._concept(id_)) or row["obsolete"]:
            replaced = [r for r in self._xrefs(subject_id=[id_]) if r["predicate"] == "replaced_by" and r["object_id"] not in seen]
            if not replaced:
                break
            new = replaced[0]["object_id"]
            steps.append(f"{id_} is {'obsolete' if row else 'not loaded'}: read as {new} (replaced_by, {_place(replaced[0])})")
            seen.add(new)
            id_ = new
        if row is None:
            raise UsageError(f"there is no concept {asked!r}" + "".join(f"; {step}" for step in steps), advice=self._advice(asked))
        group = next((r["group_id"] for r in self._groups(member_id=[id_])), "")
        return End(asked, id_, row["name"], row["vocabulary"], row["kind"], tuple(steps), group)

    def _spelled(self, asked: str) -> str:
        curie = normalise_curie(asked) or curie_from_uri(asked) or asked
        prefix, _, code = curie.partition(":")
        vocabulary = next((key for key, v in VOCABULARIES.items() if v.prefix == prefix and key not in {"text", "mondo", "doid"}), None)
        try:
            return code_curie(vocabulary, code) if vocabulary else curie
        except ValueError:
            return curie

    def _advice(self, asked: str) -> str:
        wanted = normalise_name(asked)
        names = _read(self.tables_dir, "names", ["concept_id", "name"])
        found = sorted(
            {i for i, n in zip(names["concept_id"].to_pylist(), names["name"].to_pylist(), strict=True) if normalise_name(n) == wanted}
        )
        if found:
            return f"Concepts of that name: {', '.join(found[:8])}."
        return 'Give an id such as MONDO:0005148 or icd10cm:E11; `kgbuild query concept-search --text "type 2 diabetes"` finds ids by name.'

    def _concept(self, id_: str) -> dict[str, Any] | None:
        rows = _rows(self.tables_dir, "concepts", id=[id_])
        return min(rows, key=lambda row: row["obsolete"], default=None)

    # ---- rows

    def _xrefs(self, **keys: Sequence[str]) -> list[dict[str, Any]]:
        return _rows(self.tables_dir, "xrefs", **keys)

    def _links(self, **keys: Sequence[str]) -> list[dict[str, Any]]:
        return sorted(_rows(self.links_dir, "links", **keys), key=lambda row: (row["rank"], row["subject_id"], row["object_id"]))

    def _groups(self, **keys: Sequence[str]) -> list[dict[str, Any]]:
        return _rows(self.links_dir, "groups", **keys)

    # ---- evidence on a pair

    def evidence(self, left: str, right: str) -> list[Evidence]:
        """List what is known of a pair: what people said first, then vocabularies, then names and the link."""
        pair = [left, right]
        found = [*self._curated(pair), *self._cross_references(pair), *self._hierarchy(left, right)]
        found += [*self._same_names(left, right), *self._wording(left, right)]
        for row in self._links(subject_id=pair, object_id=pair):
            found.append(self._link(row))
        return found

    def _curated(self, pair: list[str]) -> Iterator[Evidence]:
        for row in _rows(self.tables_dir, "mappings", subject_id=pair, object_id=pair):
            says = f"{row['set']} files {row['subject_label']!r} there ({row['predicate']})"
            says = f"{row['set']} rejected {row['subject_label']!r} there" if row["judged"] == "invalid" else says
            note = "; kept for evaluation: no link was made of it" if row["use"] == "evaluate" else ""
            yield Evidence("curated", row["subject_id"], row["object_id"], says + note, _place(row))

    def _cross_references(self, pair: list[str]) -> Iterator[Evidence]:
        for row in self._xrefs(subject_id=pair, object_id=pair):
            if row["predicate"] == "replaced_by":
                yield Evidence("replaced by", row["subject_id"], row["object_id"], "the new id of the same thing", _place(row))
                continue
            if row["predicate"] == "broader":
                yield Evidence(
                    "cross-reference", row["subject_id"], row["object_id"], "rolls up into it: the object is broader", _place(row)
                )
                continue
            prefix = row["object_id"].partition(":")[0] + ":"
            citing = {r["subject_id"] for r in self._xrefs(object_id=[row["object_id"]]) if r["predicate"] == "xref"}
            cited = {r["object_id"] for r in self._xrefs(subject_id=[row["subject_id"]]) if r["object_id"].startswith(prefix)}
            only = "one to one" if len(citing) == len(cited) == 1 else "evidence, not identity"
            says = f"cites it; {len(citing)} cite it, {len(cited)} of its kind are cited: {only}"
            yield Evidence("cross-reference", row["subject_id"], row["object_id"], says, _place(row))

    def _hierarchy(self, left: str, right: str) -> Iterator[Evidence]:
        for child, parent in ((left, right), (right, left)):
            if steps := self._way_up(child, parent):
                yield Evidence("hierarchy", child, parent, f"is a kind of it: {' > '.join(steps)}")

    def _way_up(self, child: str, parent: str) -> list[str]:
        """Find the shortest way from a concept to one of its ancestors."""
        ways, waiting = {child: [child]}, [child]
        for id_ in waiting:
            for above in self._parents.get(id_, ()):
                if above not in ways:
                    ways[above] = [*ways[id_], above]
                    waiting.append(above)
        return ways.get(parent, []) if parent != child else []

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        parents: dict[str, list[str]] = {}
        for row in _rows(self.tables_dir, "relations", predicate=["IS_A"]):
            parents.setdefault(row["subject_id"], []).append(row["object_id"])
        return {child: sorted(above) for child, above in parents.items()}

    def _same_names(self, left: str, right: str) -> Iterator[Evidence]:
        names: dict[str, dict[str, str]] = {left: {}, right: {}}
        for row in _rows(self.tables_dir, "names", concept_id=[left, right]):
            names[row["concept_id"]].setdefault(normalise_name(row["name"]), row["name"])
        shared = sorted(names[left].keys() & names[right].keys() - {""}) if left != right else []
        if shared:
            pairs = [f"{names[left][form]!r} and {names[right][form]!r}" for form in shared[:3]]
            yield Evidence("same name", left, right, f"lexically equal: {', '.join(pairs)}")

    def _wording(self, left: str, right: str) -> Iterator[Evidence]:
        """Say which words of the preferred names make one of them something else than the other."""
        names = [concept["name"] for id_ in (left, right) if (concept := self._concept(id_))]
        if len(names) < 2 or left == right:
            return
        if axes := conflicts(*names):
            yield Evidence("wording", left, right, f"{names[0]!r} and {names[1]!r} differ in {', '.join(axes)}")
        for id_, other, name in ((left, right, names[0]), (right, left, names[1])):
            if is_residual(name):
                yield Evidence("wording", id_, other, f"{name!r} is a residual category: wider than what it names")
            if keys := set(qualifiers(name)) - set(qualifiers(names[1] if id_ == left else names[0])):
                yield Evidence("wording", id_, other, f"{name!r} is qualified ({', '.join(sorted(keys))}): not the thing itself")

    def _link(self, row: Mapping[str, Any]) -> Evidence:
        cited, features = _parted(row["evidence"])
        details = {
            "cosine": row["similarity"],
            "matched_name": row["matched_name"],
            "p_target": row["p_target"],
            "p_same": row["p_same"],
            "candidate_set": self._in_set(row),
            "features": features,
            "calibration": self._calibration(row),
            "justification": row["justification"],
            "said_in": cited,
        }
        kind = "decision" if row["calibration"] == DECIDED else "link"
        rank = f", rank {row['rank']}" if row["rank"] else ""
        return Evidence(kind, row["subject_id"], row["object_id"], f"{row['predicate']}, {row['decision']}{rank}", "", details)

    def _in_set(self, row: Mapping[str, Any]) -> str:
        """Say whether a person who looks at the set alone would see the candidate; empty where there is no set."""
        sets = read_candidate_sets(self.links_dir)
        concept = self._concept(row["subject_id"])
        if sets is None or concept is None or row["p_target"] is None or not row["rank"]:
            return ""
        vocabulary, first = np.array([concept["vocabulary"]], dtype=object), np.array([row["rank"] == 1])
        inside = sets.contains(np.array([row["p_target"]]), vocabulary, first)[0]
        return (
            f"{'inside' if inside else 'outside'}: the right term is in it with {sets.promised(concept['vocabulary']):.0%}, if there is one"
        )

    def _calibration(self, row: Mapping[str, Any]) -> str:
        """Name the fit, and from which probability it accepts."""
        path = self.links_dir / "calibration.json"
        if row["calibration"] in {"curated", DECIDED, "uncalibrated"} or not path.exists():
            return str(row["calibration"])
        try:
            fitted = Calibration.from_json(path.read_text(encoding="utf-8"))
        except ValueError:
            return str(row["calibration"])
        concept = self._concept(row["subject_id"])
        at, same = fitted.threshold(concept["vocabulary"] if concept else "", self.precision), fitted.same_threshold(self.precision)
        reached = [f"{name} {value:.3f}" for name, value in (("p_target", at), ("p_same", same)) if value <= 1]
        accepts = " or ".join(reached) if reached else "no probability: none reached it"
        return f"{row['calibration']}; at a wanted precision of {self.precision} it accepts from {accepts}"

    # ---- what is between two concepts, and what became of them

    def between(self, left: str, right: str) -> list[str]:
        """Name the classes that both are linked to, those of their groups first, then the likeliest."""
        linked: list[dict[str, float]] = []
        for id_ in (left, right):
            found = {id_: 1.0}
            for row in self._links(subject_id=[id_]):
                if row["decision"] != "reject":
                    found[row["object_id"]] = 1.0 if row["p_target"] is None else row["p_target"]
            linked.append(found)
        shared = sorted(linked[0].keys() & linked[1].keys(), key=lambda id_: (-linked[0][id_] * linked[1][id_], id_))
        centres = [centre for id_ in (left, right) if (centre := self._centre(id_)) not in {None, left, right}]
        first = [centre for centre in dict.fromkeys(centres) if centre in shared]
        return list(dict.fromkeys([*first, *shared]))[:_THROUGH]

    def _centre(self, id_: str) -> str | None:
        group = next((row["group_id"] for row in self._groups(member_id=[id_])), None)
        return next((row["member_id"] for row in self._groups(group_id=[group]) if row["is_centre"]), None) if group else None

    def why_merged(self, left: End, right: End) -> Iterator[str]:
        """Say how both came into their group."""
        members = {row["member_id"]: row for row in self._groups(group_id=[left.group_id])}
        centre = next(row["member_id"] for row in members.values() if row["is_centre"])
        yield f"{left.group_id}, {len(members)} members around {centre}"
        for id_ in dict.fromkeys((left.id, right.id)):
            row = members[id_]
            yield f"{id_}: " + (
                "its centre" if row["is_centre"] else f"the same as {centre}, p_same {row['p_same']:.3f} ({row['justification']})"
            )

    def why_apart(self, left: End, right: End, through: Iterable[str]) -> Iterator[str]:
        """Say what kept two concepts from merging."""
        ungrouped = [end for end in (left, right) if not end.group_id]
        for end in ungrouped:
            yield (
                f"{end.id} is a {end.kind}, and only phenotypes are merged"
                if end.kind not in merge.PHENOTYPE_KINDS
                else f"{end.id} is not live"
            )
        if ungrouped:
            return
        for end in (left, right):
            yield f"{end.id} is in {end.group_id}"
        if left.vocabulary == right.vocabulary and (left.vocabulary == self.target or _is_coded(left.vocabulary)):
            yield f"both are of the vocabulary {left.vocabulary}, which keeps them apart on purpose; only a person's decision joins them"
        direct = self._links(subject_id=[left.id, right.id], object_id=[left.id, right.id])
        for row in direct:
            yield from self._obstacle(row)
        if direct:
            return
        between = [id_ for id_ in through if id_ not in {left.id, right.id}]
        for class_ in between:
            for end in (left, right):
                for row in self._links(subject_id=[end.id], object_id=[class_]):
                    yield from self._obstacle(row)
        if not between and left.vocabulary != right.vocabulary:
            yield "no link joins them, and no class to which both are linked"

    def _obstacle(self, row: dict[str, Any]) -> Iterator[str]:
        """Say what kept one link from merging, or who was likelier."""
        import pandas as pd

        ends = {id_: concept for id_ in (row["subject_id"], row["object_id"]) if (concept := self._concept(id_))}
        phenotypes = {id_: c["vocabulary"] for id_, c in ends.items() if not c["obsolete"] and c["kind"] in merge.PHENOTYPE_KINDS}
        obstacle = merge.obstacles(pd.DataFrame([row]), phenotypes, merge_at=self.merge_at, target=self.target).iloc[0]
        link = f"{row['subject_id']} -> {row['object_id']}"
        if obstacle == "improbable":
            yield f"{link}: {merge.OBSTACLES[obstacle]} ({_figure(row['p_same'])}, asked for {self.merge_at})"
        elif obstacle:
            yield f"{link}: {merge.OBSTACLES[obstacle]} ({row['predicate']}, {row['decision']})"
        elif contrast.near_misses(*self._pair(row)):
            yield f"{link}: a known near miss, two different things; only a person's decision joins them"
        else:
            yield from self._competition(row, link)

    def _pair(self, row: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """Read a link, its two concepts and their names as tables."""
        ids = [row["subject_id"], row["object_id"]]
        wanted = {"concepts": {"id": ids}, "names": {"concept_id": ids}}
        concepts, names = (_table(name, _rows(self.tables_dir, name, **keys)) for name, keys in wanted.items())
        return _table("links", [row]), concepts, names

    def _competition(self, row: Mapping[str, Any], link: str) -> Iterator[str]:
        """Say who took the place: another class, or another code of the vocabulary."""
        centre, subject = self._centre(row["subject_id"]), self._concept(row["subject_id"])
        if centre == self._centre(row["object_id"]):
            yield f"{link}: the same (p_same {_figure(row['p_same'])})"
            return
        if centre not in {row["subject_id"], None}:
            yield f"{link}: {row['subject_id']} is held the same as {centre}, which is likelier"
            return
        ids = [r["member_id"] for g in self._groups(member_id=[row["object_id"]]) for r in self._groups(group_id=[g["group_id"]])]
        rivals = [id_ for id_ in ids if subject and (c := self._concept(id_)) and c["vocabulary"] == subject["vocabulary"]]
        if rivals:
            yield f"{link}: {', '.join(rivals)} of the same vocabulary is likelier there, and a class takes one code of each"
        else:
            yield f"{link}: a member of that group was told apart from {row['subject_id']} by a person"


def _is_coded(vocabulary: str) -> bool:
    return VOCABULARIES[vocabulary].coded if vocabulary in VOCABULARIES else True


def _parted(evidence: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part who said so (`source:line`) from features (`name=value (weight)`)."""
    lines = list(evidence)
    return [line for line in lines if "=" not in line], [line for line in lines if "=" in line]


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['source']}:{row['line']}"


def _figure(value: float | None) -> str:
    return "uncalibrated" if value is None else f"{value:.3f}"


def _read(folder: Path, name: str, columns: Sequence[str] | None = None, filters: Any = None) -> Any:
    import pyarrow.parquet as pq

    path = folder / f"{name}.parquet"
    if not path.exists():
        raise WorkspaceError(f"{path} is missing", advice="Run `kgbuild harmonise` to make tables and links again.")
    return pq.read_table(path, columns=None if columns is None else list(columns), filters=filters)


def _table(name: str, rows: Iterable[Mapping[str, Any]]) -> Any:
    columns = tables.schema(name).names
    return tables.from_rows(name, ([row[column] for column in columns] for row in rows))


def _rows(folder: Path, name: str, **keys: Sequence[str]) -> list[dict[str, Any]]:
    """Read the rows of a table in which each key column holds one of some values."""
    import pyarrow.compute as pc

    condition = None
    for column, values in keys.items():
        here = pc.field(column).isin(list(values))
        condition = here if condition is None else condition & here
    rows: list[dict[str, Any]] = _read(folder, name, filters=condition).to_pylist()
    return rows
