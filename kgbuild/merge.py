"""Links and the groups of an earlier run in, groups out: which concepts are one thing, and what became of earlier groups.

A group is a star: one centre, and members each held to be the same as the centre. Nothing is glued by chains, so two codes
never meet through a third concept. At most one live target class is in a group, and it is the centre; a coded vocabulary
gives one code, for it keeps its codes apart on purpose; the others stay linked. Texts may be many. Only a person's decision
on that very pair overrules this: two classes, or two codes of one vocabulary, that somebody holds to be the same.
What no class takes is grouped where vocabularies use lexically equal names, or where somebody decided so; the rest stands
alone. The result does not depend on the order of rows. A group without a class keeps its centre, and so its id, for as long
as that concept is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kgbuild import tables
from kgbuild.decisions import MANUAL, NOT
from kgbuild.links import DECIDED
from kgbuild.qualifiers import is_residual, qualifiers
from kgbuild.vocabulary import VOCABULARIES, normalise_name

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import pyarrow as pa

__all__ = ["OBSTACLES", "PHENOTYPE_KINDS", "VERSION", "group_id", "merge", "moved", "obstacles", "read_moved", "write_moved"]

VERSION = 3
PHENOTYPE_KINDS = ("Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText")

# what keeps a link from merging, the first that holds -> in words
OBSTACLES: dict[str, str] = {
    "rejected": "a person rejected the match",
    "not accepted": "the link was not accepted",
    "not exact": "the link does not say that they are the same thing",
    "not a class": "the object is not a live class of the target vocabulary",
    "two classes": "their own vocabulary keeps the two apart, and nobody decided otherwise",
    "not live": "the subject is not a live phenotype",
    "improbable": "p_same is below what merging asks for",
}

# which member a group without a class is named after: the finest code list first, texts last
_PRECEDENCE = ("efo", "mondo", "doid", "primekg", "phecodex", "phecode", "icd10cm", "icd10", "icd9cm", "finngen", "text")
_CENTRE = "semapv:UnspecifiedMatching"
_COLUMNS = ["centre", "member_id", "is_centre", "p_same", "justification"]


def merge(
    links: pa.Table,
    concepts: pa.Table,
    *,
    merge_at: float = 0.9,
    target: str = "efo",
    earlier: pa.Table | None = None,
    near_misses: Iterable[frozenset[str]] = (),
) -> pa.Table:
    """Group the concepts that are phenotypes and live; every one of them is in exactly one group.

    Args:
        links: Table `links`; those that are accepted, exact and of `p_same` >= `merge_at` merge.
        concepts: Table `concepts`.
        merge_at: The least p_same.
        target: The vocabulary whose classes are centres.
        earlier: Table `groups` of the run before: its groups without a class keep their centres.
        near_misses: Pairs that are known to be different things, whatever curators and probabilities say of them.
    """
    import pandas as pd

    about = concepts.select(["id", "name", "vocabulary", "kind", "obsolete"]).to_pandas()
    about = about[~about["obsolete"] & about["kind"].isin(PHENOTYPE_KINDS)].sort_values("id")
    vocabulary = dict(zip(about["id"], about["vocabulary"], strict=True))
    frame = _that_count(links)
    apart = _apart(frame, near_misses)
    centres = about.loc[about["vocabulary"] == target, "id"]
    classes, decided = set(centres), _decided_pairs(frame)
    twins = _twin_classes(decided, classes, apart)
    heads = _heads(pair for pair in decided if not set(pair) & classes and set(pair) <= set(vocabulary))
    members = _members_of_classes(frame, vocabulary, twins, heads, apart, merge_at, target)
    left = about[~about["id"].isin(set(members["member_id"])) & (about["vocabulary"] != target)]
    by_name = _groups_by_name(left, heads, apart, _standing(earlier), merge_at)
    parts = [_as_centres(centres[~centres.isin(set(twins))]), _as_twins(twins), members, by_name]
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else pd.DataFrame(columns=_COLUMNS)
    rows["group_id"] = [group_id(centre) for centre in rows["centre"]]
    rows = rows.sort_values(["group_id", "is_centre", "member_id"], ascending=[True, False, True])
    return tables.from_rows("groups", rows[["group_id", "member_id", "is_centre", "p_same", "justification"]].itertuples(index=False))


def _that_count(links: pa.Table) -> pd.DataFrame:
    """Keep what merging looks at: accepted links and rejections, without their evidence."""
    import pyarrow.compute as pc

    rows = links.filter(pc.or_(pc.equal(links["decision"], "accept"), pc.equal(links["predicate"], NOT)))
    return rows.drop_columns(["evidence", "matched_name"]).to_pandas()


def group_id(centre: str) -> str:
    """Name a group after its centre.

    >>> group_id("MONDO:0005148")
    'harmonised:MONDO_0005148'
    """
    return "harmonised:" + centre.replace(":", "_", 1)


def moved(
    earlier: pa.Table,
    groups: pa.Table,
    *,
    known: Mapping[str, str | None] | None = None,
    replaced: Mapping[str, str] | None = None,
) -> dict[str, str | None]:
    """Say what became of the ids of earlier runs that are gone: the group that their centre is in now, or None.

    Args:
        earlier: Table `groups` of the run before.
        groups: That of now.
        known: What this said in the run before, of runs still earlier.
        replaced: Obsolete id -> the one that replaced it: a centre that a new release made obsolete leads there.

    >>> rows = [("harmonised:a_1", "a:1", True, 1.0, ""), ("harmonised:a_2", "a:2", True, 1.0, "")]
    >>> now = [("harmonised:b_1", "b:1", True, 1.0, ""), ("harmonised:b_1", "a:1", False, 0.9, "")]
    >>> moved(tables.from_rows("groups", rows), tables.from_rows("groups", now), known={"harmonised:a_0": "harmonised:a_1"})
    {'harmonised:a_0': 'harmonised:b_1', 'harmonised:a_1': 'harmonised:b_1', 'harmonised:a_2': None}
    """
    now = dict(zip(groups["member_id"].to_pylist(), groups["group_id"].to_pylist(), strict=True))
    live = set(now.values())
    rows = earlier.select(["group_id", "member_id", "is_centre"]).to_pylist()
    heirs = replaced or {}
    centres = {row["group_id"]: row["member_id"] for row in rows if row["is_centre"] and row["group_id"] not in live}
    gone = {group: now.get(id_, now.get(heirs.get(id_, ""))) for group, id_ in centres.items()}
    before = {old: gone.get(new, new) if new else None for old, new in (known or {}).items() if old not in live}
    return dict(sorted((before | gone).items()))


def write_moved(path: Path, ids: Mapping[str, str | None]) -> None:
    """Write what `moved` says, as TSV."""
    path.write_text("".join(f"{old}\t{new or ''}\n" for old, new in {"earlier id": "now in", **ids}.items()), encoding="utf-8")


def read_moved(path: Path) -> dict[str, str | None]:
    """Read what `write_moved` wrote; nothing where there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:] if path.exists() else []
    return {old: new or None for old, _, new in (line.partition("\t") for line in lines)}


def obstacles(links: pd.DataFrame, vocabulary: Mapping[str, str], *, merge_at: float, target: str) -> pd.Series:
    """Say of each link what keeps it from merging: a key of OBSTACLES, or nothing.

    Args:
        links: Rows of the table `links`.
        vocabulary: Live phenotype -> its vocabulary.
        merge_at: The least p_same.
        target: The vocabulary whose classes are centres.
    """
    import numpy as np
    import pandas as pd

    subject, object_ = links["subject_id"].map(vocabulary), links["object_id"].map(vocabulary)
    found = {
        "rejected": links["predicate"] == NOT,
        "not accepted": links["decision"] != "accept",
        "not exact": links["predicate"] != "exact",
        "not a class": object_ != target,
        "two classes": (subject == target) & (links["calibration"] != DECIDED),
        "not live": subject.isna(),
        "improbable": ~(links["p_same"] >= merge_at),
    }
    return pd.Series(np.select([found[name].to_numpy(bool) for name in OBSTACLES], list(OBSTACLES), ""), links.index, dtype=object)


def _apart(links: pd.DataFrame, near_misses: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    """Give the near misses, and the pairs that some person rejected, of which nobody decided that they are the same."""
    rejected, same = links[links["predicate"] == NOT], _decided_pairs(links)
    pairs = {frozenset(pair) for pair in zip(rejected["subject_id"], rejected["object_id"], strict=True)}
    return (pairs | set(near_misses)) - set(map(frozenset, same))


def _decided_pairs(links: pd.DataFrame) -> list[tuple[str, str]]:
    """List the (subject, object) pairs that somebody decided to be the same."""
    said = links[(links["calibration"] == DECIDED) & (links["predicate"] == "exact") & (links["decision"] == "accept")]
    return sorted(set(zip(said["subject_id"], said["object_id"], strict=True)))


def _heads(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give, for each concept that somebody decided to be the same as others, the one that stands for them all.

    The one that is only ever an object, else the smallest id.

    >>> _heads([("b", "a"), ("c", "b"), ("x", "y")])
    {'a': 'a', 'b': 'a', 'c': 'a', 'x': 'y', 'y': 'y'}
    """
    import networkx as nx

    pairs = list(pairs)
    subjects = {subject for subject, _ in pairs}
    heads: dict[str, str] = {}
    for same in nx.connected_components(nx.Graph(pairs)):
        head = min(same, key=lambda id_: (id_ in subjects, id_))
        heads |= dict.fromkeys(same, head)
    return dict(sorted(heads.items()))


def _twin_classes(decided: list[tuple[str, str]], classes: set[str], apart: set[frozenset[str]]) -> dict[str, str]:
    """Give, for each class that somebody decided to be the same as another, the class whose group it joins."""
    heads = _heads(pair for pair in decided if set(pair) <= classes)
    return {id_: head for id_, head in heads.items() if id_ != head and frozenset((id_, head)) not in apart}


def _members_of_classes(
    links: pd.DataFrame,
    vocabulary: Mapping[str, str],
    twins: Mapping[str, str],
    heads: Mapping[str, str],
    apart: set[frozenset[str]],
    merge_at: float,
    target: str,
) -> pd.DataFrame:
    """Choose, for each concept, the class that it is the same as, and for each class one code of each vocabulary.

    Concepts that somebody decided to be the same choose together.
    """
    import pandas as pd

    same = links[obstacles(links, vocabulary, merge_at=merge_at, target=target) == ""]
    same = same[same["subject_id"].map(vocabulary) != target]  # two classes: see _twin_classes
    same = same.assign(
        centre=same["object_id"].map(lambda id_: twins.get(id_, id_)),
        head=same["subject_id"].map(lambda id_: heads.get(id_, id_)),
        curated=same["justification"] == MANUAL,
        decided=same["calibration"] == DECIDED,
        subject_vocabulary=same["subject_id"].map(vocabulary),
    )
    ends = zip(same["subject_id"], same["object_id"], same["centre"], strict=True)
    free = [not {frozenset((subject, id_)) for id_ in ids} & apart for subject, *ids in ends]
    best_first = same[pd.Series(free, same.index, dtype=bool)].sort_values(
        ["decided", "p_same", "curated", "similarity", "object_id", "subject_id", "justification"],
        ascending=[False, False, False, False, True, True, True],
        na_position="last",
    )
    chosen = best_first.drop_duplicates("head")
    chosen = _with_the_same(chosen[~_second_codes(chosen)], heads, vocabulary)
    chosen = chosen[~chosen["head"].isin(set(chosen.loc[_second_codes(chosen), "head"]))]
    chosen = chosen[_stay(zip(chosen["centre"], chosen["subject_id"], strict=True), apart)]
    return chosen.rename(columns={"subject_id": "member_id"}).assign(is_centre=False)[_COLUMNS]


def _second_codes(chosen: pd.DataFrame) -> pd.Series:
    """Tell which rows, best first, bring a class a second code of one vocabulary that nobody decided on."""
    decided_first = chosen.sort_values("decided", ascending=False, kind="stable")
    first = decided_first.groupby(["centre", "subject_vocabulary"], sort=False)["head"].transform("first").reindex(chosen.index)
    coded = chosen["subject_vocabulary"].map(_is_coded).astype(bool)
    return chosen["head"].ne(first) & coded & ~chosen["decided"].astype(bool)


def _with_the_same(chosen: pd.DataFrame, heads: Mapping[str, str], vocabulary: Mapping[str, str]) -> pd.DataFrame:
    """Add, after the concepts that chose a class, those that somebody decided to be the same as one of them."""
    import pandas as pd

    others = pd.DataFrame({"other": list(heads), "head": list(heads.values())}, dtype=object).merge(chosen, on="head", how="inner")
    others = others[others["other"] != others["subject_id"]]
    others = others.assign(
        subject_id=others["other"], subject_vocabulary=others["other"].map(vocabulary), justification=MANUAL, decided=True
    )
    return pd.concat([chosen, others], ignore_index=True)


def _is_coded(vocabulary: str) -> bool:
    return VOCABULARIES[vocabulary].coded if vocabulary in VOCABULARIES else True


def _stay(rows: Iterable[tuple[str, str]], apart: set[frozenset[str]]) -> np.ndarray:
    """Tell which (centre, member) rows, best first, stay when two members that somebody told apart may not share a group."""
    import numpy as np

    told_apart = {id_ for pair in apart for id_ in pair}
    inside: dict[str, list[str]] = {}
    stay = []
    for centre, member in rows:
        others = inside.setdefault(centre, [])
        fits = member not in told_apart or not any(frozenset((member, other)) in apart for other in [centre, *others])
        stay.append(fits)
        if fits and member in told_apart:
            others.append(member)
    return np.array(stay, bool)


def _as_centres(ids: pd.Series) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"centre": ids, "member_id": ids, "is_centre": True, "p_same": 1.0, "justification": _CENTRE})


def _as_twins(twins: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    made = {"centre": list(twins.values()), "member_id": list(twins), "is_centre": False, "p_same": 1.0, "justification": MANUAL}
    return pd.DataFrame(made)


_NEW = 3


def _standing(earlier: pa.Table | None) -> dict[str, int]:
    """Say how each concept stood in the run before: 0 centre of a group of several, 1 its member, 2 alone."""
    if earlier is None:
        return {}
    rows = earlier.select(["group_id", "member_id", "is_centre"]).to_pandas()
    alone = rows.groupby("group_id")["member_id"].transform("size") == 1
    standing = (~rows["is_centre"]).astype(int).mask(alone, 2)
    return dict(zip(rows["member_id"], standing, strict=True))


def _groups_by_name(
    left: pd.DataFrame, heads: Mapping[str, str], apart: set[frozenset[str]], standing: Mapping[str, int], merge_at: float
) -> pd.DataFrame:
    """Group what no class took where names are lexically equal; a residual or qualified name means another thing in each list.

    No gold says how often equal names are the same thing; p_same is the least that merging asks for. What somebody decided to
    be the same goes by the name of the one that stands for it.
    """
    import numpy as np
    import pandas as pd

    own_meaning = [is_residual(name) or bool(qualifiers(name)) for name in left["name"]]
    normal = [id_ if own else normalise_name(name) or id_ for id_, name, own in zip(left["id"], left["name"], own_meaning, strict=True)]
    # centres and members of the run before stay what they were, so that what comes later neither renames nor displaces them
    rank = left["vocabulary"].map({key: n for n, key in enumerate(_PRECEDENCE)}).fillna(len(_PRECEDENCE))
    rows = left.assign(normal=normal, rank=rank, standing=left["id"].map(standing).fillna(_NEW)).sort_values(["standing", "rank", "id"])
    rows["decided"] = np.array([id_ in heads and heads[id_] != id_ for id_ in rows["id"]], bool)
    rows = _named_as_decided(rows, heads)
    decided_first = rows.assign(free=~rows["id"].isin(heads)).sort_values("free", kind="stable")
    repeated = decided_first.duplicated(["normal", "vocabulary"]).reindex(rows.index)
    repeated = repeated.astype(bool) & rows["vocabulary"].map(_is_coded).astype(bool) & ~rows["decided"]
    rows.loc[repeated, "normal"] = rows.loc[repeated, "id"]  # its own vocabulary keeps it apart: it stands alone
    rows = _named_as_decided(rows, heads)
    rows["centre"] = rows.groupby("normal", sort=False)["id"].transform("first")
    alone = ~_stay(zip(rows["centre"], rows["id"], strict=True), apart)
    rows.loc[alone, "centre"] = rows.loc[alone, "id"]
    is_centre = rows["centre"] == rows["id"]
    p_same = rows["decided"].map({True: 1.0, False: merge_at}).mask(is_centre, 1.0)
    justification = rows["decided"].map({True: MANUAL, False: "semapv:LexicalMatching"}).mask(is_centre, _CENTRE)
    made = {"centre": rows["centre"], "member_id": rows["id"], "is_centre": is_centre, "p_same": p_same, "justification": justification}
    return pd.DataFrame(made)


def _named_as_decided(rows: pd.DataFrame, heads: Mapping[str, str]) -> pd.DataFrame:
    named = dict(zip(rows["id"], rows["normal"], strict=True))
    return rows.assign(normal=[named.get(heads.get(id_, id_), name) for id_, name in named.items()])
