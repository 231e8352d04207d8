"""Links and concepts in; groups of concepts that are the same thing out, each a star around at most one live term.

Chains of pairwise links glue unlike things together, so a member is tied to its centre and to nothing else. Two codes of one
vocabulary never share a group: their own vocabulary keeps them apart, unless a curator said of each that it is the term.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.qualifiers import is_residual, qualifiers
from kgbuild.vocabulary import VOCABULARIES, content_id, normalise_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["MERGED_KINDS", "group_id", "merge"]

MERGED_KINDS = ("Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText")

# the first vocabulary among a group's members names it, so that a text that joins later does not rename it
_PRECEDENCE = ("efo", "mondo", "doid", "icd10", "icd10cm", "phecode", "phecodex", "icd9cm", "finngen", "primekg", "text")
_CURATED = "semapv:ManualMappingCuration"
_CHAINED = "semapv:MappingChaining"
_LEXICAL = "semapv:LexicalMatching"
_ITSELF = "semapv:UnspecifiedMatching"  # a centre with itself: nothing was matched


def group_id(centre: str) -> str:
    """Name the group around a term.

    >>> group_id("MONDO:0005148")
    'harmonised:MONDO_0005148'
    """
    return f"harmonised:{centre.replace(':', '_')}"


def merge(
    links: pa.Table, concepts: pa.Table, *, target: str = "efo", merge_at: float = 0.9, refused: Collection[tuple[str, str]] = ()
) -> pa.Table:
    """Put every live phenotype into exactly one group.

    The result depends on what is linked, not on the order of rows.

    Args:
        links: The table `links`.
        concepts: The table `concepts`.
        target: The vocabulary whose terms are centres.
        merge_at: p_same from which a link merges; a curator's exact, or an id that was replaced, merges anyway.
        refused: (id, id) pairs that must not share a group, in either order, beyond what links with `not` say.
    """
    members = _members(concepts)
    stars = _stars(links, members, target, merge_at)
    blocked = _blocked(links, refused)
    rows = _around_terms(members, stars, target, blocked)
    placed = {row[1] for row in rows}
    rows += _without_term(members[~members["id"].isin(placed)], blocked)
    return tables.from_rows("groups", sorted(rows))


def _members(concepts: pa.Table) -> pd.DataFrame:
    frame = concepts.select(["id", "name", "vocabulary", "kind", "obsolete"]).to_pandas()
    frame = frame[frame["kind"].isin(MERGED_KINDS) & ~frame["obsolete"]]
    order = {vocabulary: place for place, vocabulary in enumerate(_PRECEDENCE)}
    frame = frame.assign(precedence=frame["vocabulary"].map(order).fillna(len(order)).astype(int))
    return frame.sort_values(["precedence", "id"]).drop_duplicates("id").reset_index(drop=True)


def _stars(links: pa.Table, members: pd.DataFrame, target: str, merge_at: float) -> pd.DataFrame:
    """Choose, for each concept, the one term that it is the same as: the surest statement, then the highest p_same."""
    vocabulary_of = members.set_index("id")["vocabulary"]
    frame = links.select(["subject_id", "object_id", "predicate", "p_same", "decision", "justification", "similarity"]).to_pandas()
    frame = frame[frame["predicate"].eq("exact") & frame["decision"].eq("accept")]
    frame["vocabulary"] = frame["subject_id"].map(vocabulary_of)
    frame = frame[frame["vocabulary"].notna() & frame["vocabulary"].ne(target) & frame["object_id"].map(vocabulary_of).eq(target)]
    frame["stated"] = frame["justification"].isin([_CURATED, _CHAINED]) & frame["p_same"].eq(1.0)
    # uncalibrated: equal names were accepted without a number
    lexical = frame["p_same"].isna() & frame["justification"].eq(_LEXICAL)
    frame = frame[frame["stated"] | frame["p_same"].ge(merge_at) | lexical]
    frame = frame.assign(sure=frame["p_same"].fillna(-1.0), alike=frame["similarity"].fillna(0.0))
    frame = frame.sort_values(["subject_id", "stated", "sure", "alike", "object_id"], ascending=[True, False, False, False, True])
    return frame.drop_duplicates("subject_id").reset_index(drop=True)


def _blocked(links: pa.Table, refused: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    frame = links.select(["subject_id", "object_id", "predicate"]).to_pandas()
    frame = frame[frame["predicate"] == "not"]
    return {frozenset(pair) for pair in zip(frame["subject_id"], frame["object_id"], strict=True)} | {frozenset(pair) for pair in refused}


def _around_terms(members: pd.DataFrame, stars: pd.DataFrame, target: str, blocked: set[frozenset[str]]) -> list[tuple[Any, ...]]:
    """Make a group of each term of the target vocabulary, with what is the same; of several codes of one vocabulary, the surest."""
    rows: list[tuple[Any, ...]] = [(group_id(id_), id_, True, 1.0, _ITSELF) for id_ in members.loc[members["vocabulary"] == target, "id"]]
    stars = stars.sort_values(["object_id", "stated", "sure", "alike", "subject_id"], ascending=[True, False, False, False, True])
    taken: set[tuple[str, str]] = set()
    for link in stars.to_dict("records"):
        place = (link["object_id"], link["vocabulary"])
        coded = VOCABULARIES[link["vocabulary"]].coded if link["vocabulary"] in VOCABULARIES else True
        crowded = coded and place in taken and not link["stated"]
        if crowded or frozenset((link["subject_id"], link["object_id"])) in blocked:
            continue
        taken.add(place)
        p_same = None if link["sure"] < 0 else link["p_same"]
        rows.append((group_id(link["object_id"]), link["subject_id"], False, p_same, link["justification"]))
    return rows


def _without_term(members: pd.DataFrame, blocked: set[frozenset[str]]) -> list[tuple[Any, ...]]:
    """Group what no term holds by lexically equal names, one code per vocabulary; a residual or qualified text with none."""
    by_name: dict[str, list[tuple[str, str]]] = {}
    alone: list[tuple[str, str]] = []
    for id_, name, vocabulary in zip(members["id"], members["name"], members["vocabulary"], strict=True):
        form = normalise_name(name)
        if not form or is_residual(name) or qualifiers(name):
            alone.append((id_, vocabulary))
        else:
            by_name.setdefault(form, []).append((id_, vocabulary))
    rows = [_of_own(id_) for id_, _ in alone]
    for form in sorted(by_name):
        rows += _lexical_group(by_name[form], blocked)
    return rows


def _lexical_group(named: Sequence[tuple[str, str]], blocked: set[frozenset[str]]) -> list[tuple[Any, ...]]:
    """Make one group of concepts with one name; they come in the order of precedence, so the first is the centre."""
    centre = named[0][0]
    rows, seen = [_of_own(centre)], {named[0][1]}
    for id_, vocabulary in named[1:]:
        coded = VOCABULARIES[vocabulary].coded if vocabulary in VOCABULARIES else True
        if (coded and vocabulary in seen) or frozenset((id_, centre)) in blocked:
            rows.append(_of_own(id_))
            continue
        seen.add(vocabulary)
        rows.append((rows[0][0], id_, False, None, _LEXICAL))
    return rows


def _of_own(id_: str) -> tuple[Any, ...]:
    return (content_id("harmonised", id_), id_, True, 1.0, _ITSELF)
