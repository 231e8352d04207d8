"""Links in, groups out: which concepts are one thing.

A group is a star: one centre, and members each held to be the same as the centre. Nothing is glued by chains, so two codes
never meet through a third concept. At most one live target class is in a group, and it is the centre; a coded vocabulary
gives one code, for it keeps its codes apart on purpose; the others stay linked. Texts may be many.
What no class takes is grouped where vocabularies use lexically equal names; the rest stands alone. The result does not
depend on the order of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kgbuild import tables
from kgbuild.qualifiers import is_residual, qualifiers
from kgbuild.vocabulary import VOCABULARIES, normalise_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["PHENOTYPE_KINDS", "VERSION", "group_id", "merge"]

VERSION = 1
PHENOTYPE_KINDS = ("Disease", "Phenotype", "Measurement", "ClinicalCode", "FreeText")

# which member a group without a class is named after: the finest code list first, texts last
_PRECEDENCE = ("efo", "mondo", "doid", "primekg", "phecodex", "phecode", "icd10cm", "icd10", "icd9cm", "finngen", "text")
_CURATED = "semapv:ManualMappingCuration"


def merge(links: pa.Table, concepts: pa.Table, *, merge_at: float = 0.9, target: str = "efo") -> pa.Table:
    """Group the concepts that are phenotypes and live; every one of them is in exactly one group.

    Args:
        links: Table `links`; those that are accepted, exact and of `p_same` >= `merge_at` merge.
        concepts: Table `concepts`.
        merge_at: The least p_same.
        target: The vocabulary whose classes are centres.
    """
    import pandas as pd

    about = concepts.select(["id", "name", "vocabulary", "kind", "obsolete"]).to_pandas()
    about = about[~about["obsolete"] & about["kind"].isin(PHENOTYPE_KINDS)].sort_values("id")
    vocabulary = dict(zip(about["id"], about["vocabulary"], strict=True))
    members = _members_of_classes(links.to_pandas(), vocabulary, merge_at, target)
    left = about[~about["id"].isin(set(members["member_id"])) & (about["vocabulary"] != target)]
    centres = about.loc[about["vocabulary"] == target, "id"]
    parts = [_as_centres(centres), members, _groups_by_name(left, merge_at)]
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True) if any(map(len, parts)) else pd.DataFrame(columns=_COLUMNS)
    rows["group_id"] = [group_id(centre) for centre in rows["centre"]]
    rows = rows.sort_values(["group_id", "is_centre", "member_id"], ascending=[True, False, True])
    return tables.from_rows("groups", rows[["group_id", "member_id", "is_centre", "p_same", "justification"]].itertuples(index=False))


_COLUMNS = ["centre", "member_id", "is_centre", "p_same", "justification"]


def group_id(centre: str) -> str:
    """Name a group after its centre.

    >>> group_id("MONDO:0005148")
    'harmonised:MONDO_0005148'
    """
    return "harmonised:" + centre.replace(":", "_", 1)


def _members_of_classes(links: pd.DataFrame, vocabulary: dict[str, str], merge_at: float, target: str) -> pd.DataFrame:
    """Choose, for each concept, the class that it is the same as, and for each class one code of each vocabulary."""
    import pandas as pd

    blocked = set(zip(*(links.loc[links["predicate"] == "not", end] for end in ("subject_id", "object_id")), strict=True))
    same = links[(links["decision"] == "accept") & (links["predicate"] == "exact")].copy()
    same["curated"] = same["justification"] == _CURATED
    same["subject_vocabulary"] = same["subject_id"].map(vocabulary)
    same["object_vocabulary"] = same["object_id"].map(vocabulary)
    fits = (
        (same["p_same"] >= merge_at)
        & (same["object_vocabulary"] == target)
        & same["subject_vocabulary"].notna()
        & (same["subject_vocabulary"] != target)
    )
    free = [pair not in blocked for pair in zip(same["subject_id"], same["object_id"], strict=True)]
    same = same[fits & pd.Series(free, index=same.index)]
    best_first = same.sort_values(
        ["p_same", "curated", "similarity", "object_id", "subject_id"], ascending=[False, False, False, True, True], na_position="last"
    )
    chosen = best_first.drop_duplicates("subject_id")
    coded = chosen["subject_vocabulary"].map({key: v.coded for key, v in VOCABULARIES.items()}).fillna(True).astype(bool)
    second = chosen.duplicated(["object_id", "subject_vocabulary"]) & coded
    chosen = chosen[~second]
    made = {"centre": chosen["object_id"], "member_id": chosen["subject_id"], "is_centre": False, "p_same": chosen["p_same"]}
    return pd.DataFrame(made | {"justification": chosen["justification"]})


def _as_centres(ids: pd.Series) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"centre": ids, "member_id": ids, "is_centre": True, "p_same": 1.0, "justification": "semapv:UnspecifiedMatching"})


def _groups_by_name(left: pd.DataFrame, merge_at: float) -> pd.DataFrame:
    """Group what no class took where names are lexically equal; a residual or qualified name means another thing in each list.

    No gold says how often equal names are the same thing; p_same is the least that merging asks for.
    """
    import pandas as pd

    own_meaning = [is_residual(name) or bool(qualifiers(name)) for name in left["name"]]
    normal = [id_ if own else normalise_name(name) or id_ for id_, name, own in zip(left["id"], left["name"], own_meaning, strict=True)]
    rank = left["vocabulary"].map({key: n for n, key in enumerate(_PRECEDENCE)}).fillna(len(_PRECEDENCE))
    rows = left.assign(normal=normal, rank=rank).sort_values(["rank", "id"])
    coded = rows["vocabulary"].map({key: v.coded for key, v in VOCABULARIES.items()}).fillna(True).astype(bool)
    repeated = rows.duplicated(["normal", "vocabulary"]) & coded  # its own vocabulary keeps it apart: it stands alone
    rows.loc[repeated, "normal"] = rows.loc[repeated, "id"]
    rows["centre"] = rows.groupby("normal", sort=False)["id"].transform("first")
    is_centre = rows["centre"] == rows["id"]
    made = {
        "centre": rows["centre"],
        "member_id": rows["id"],
        "is_centre": is_centre,
        "p_same": is_centre.map({True: 1.0, False: merge_at}),
    }
    return pd.DataFrame(made | {"justification": is_centre.map({True: "semapv:UnspecifiedMatching", False: "semapv:LexicalMatching"})})
