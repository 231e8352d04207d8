"""What is kept from training: associations and mappings in, the held-out part as a file with its hash out.

A unit is drawn by the hash of its own name and the seed, so the same unit is held out whatever else the data hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild.errors import ModelError, UsageError
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["draw", "loci_of", "read_split", "split_mappings", "split_snp_traits", "trait_groups", "write_split"]

MANY_TEXTS = 15  # a target with more texts is no bridge between them: it would tie half the mappings together
SNP_TRAIT_COLUMNS = ["object_id", "object_name", "variant_id", "trait_group", "locus", "part"]
MAPPING_COLUMNS = ["subject_id", "subject_label", "vocabulary", "object_id", "predicate", "judged", "part"]


def split_snp_traits(
    associations: pa.Table, variants: pa.Table, *, share: float = 0.1, development: float = 0.05, by: str = "locus", seed: int = 20261121
) -> pd.DataFrame:
    """Hold out SNP-trait pairs: `share` of the units as `test`, `development` as `development`, one row per pair.

    By `locus`, a unit is a trait (every text that is filed under the same term) at a locus: no LD mate of a held-out pair
    stays with the same trait. The MHC is one locus; a variant without one belongs to its 1 Mb window, else to its
    publication. By `pair`, as published, each pair is drawn by itself.

    Raises:
        UsageError: The shares or `by` are not what they should be.
    """
    if not (share >= 0 and development >= 0 and share + development < 1):
        raise UsageError(f"shares of {share} and {development} are held out, expected at least 0 and less than 1 together")
    if by not in ("locus", "pair"):
        raise UsageError(f"a split by {by!r} is not known", advice="Use `locus` or `pair`.")
    pairs = _snp_trait_pairs(associations, variants)
    other = pairs["locus"] if by == "locus" else pairs["variant_id"]
    trait = pairs["trait_group"] if by == "locus" else pairs["object_id"]
    drawn = draw(trait + "\x1f" + other, seed)
    pairs["part"] = ["test" if x < share else "development" if x < share + development else "" for x in drawn]
    held = pairs.loc[pairs["part"] != "", SNP_TRAIT_COLUMNS]
    return held.sort_values(["object_id", "variant_id"]).reset_index(drop=True)


def _snp_trait_pairs(associations: pa.Table, variants: pa.Table) -> pd.DataFrame:
    """Give the distinct pairs of a trait as written and a single variant, with the trait's group and the variant's locus."""
    import pyarrow.compute as pc

    columns = ["kind", "variant_id", "object_id", "object_name", "term_ids", "term_relation", "named_term_ids", "publication"]
    rows = associations.select(columns).filter(pc.is_in(associations["kind"], _values(["gwas", "biobank"])))
    groups = trait_groups(rows)
    frame = rows.select(["variant_id", "object_id", "object_name", "publication"]).to_pandas()
    frame = frame.sort_values("publication", kind="stable").drop_duplicates(["object_id", "variant_id"])
    loci = loci_of(variants)
    frame = frame[frame["variant_id"].isin(set(loci))].copy()
    frame["trait_group"] = frame["object_id"].map(groups)
    frame["locus"] = frame["variant_id"].map(loci)
    unknown = frame["locus"].isna()
    frame.loc[unknown, "locus"] = frame.loc[unknown, "publication"].fillna("").radd("publication:")
    return frame


def trait_groups(associations: pa.Table) -> dict[str, str]:
    """Say which traits as written are one trait: those under the same single term, else those of the same normal form.

    One text has one group, by the term that most of its rows have.
    """
    columns = associations.select(["object_id", "object_name", "term_ids", "term_relation", "named_term_ids"])
    frame = columns.to_pandas()
    names = frame.drop_duplicates("object_id").set_index("object_id")["object_name"]
    groups = {object_id: f"name:{normalise_name(name)}" for object_id, name in names.items()}
    single = [terms[0] if len(terms) == 1 else None for terms in frame["term_ids"]]
    frame["term"] = single
    known = frame.dropna(subset=["term"])
    counts = known.groupby(["object_id", "term"], sort=True).size().reset_index(name="n")
    best = counts.sort_values(["object_id", "n", "term"], ascending=[True, False, True]).drop_duplicates("object_id")
    by_name: dict[str, str] = {}
    for object_id, term in zip(best["object_id"], best["term"], strict=True):
        by_name[groups[object_id]] = term
        groups[object_id] = term
    # a text without a term joins its namesake that has one
    return {object_id: by_name.get(group, group) for object_id, group in groups.items()}


def loci_of(variants: pa.Table) -> dict[str, str | None]:
    """Give the locus of each single variant: LD block, 1 Mb window or MHC; None where its place is not known."""
    import pyarrow.compute as pc

    single = variants.filter(pc.equal(variants["kind"], "single"))
    frame = single.select(["id", "locus", "in_mhc", "chromosome", "position"]).to_pydict()
    found: dict[str, str | None] = {}
    for id_, locus, in_mhc, chromosome, position in zip(*frame.values(), strict=True):
        if in_mhc:
            locus = "MHC"
        elif locus is None and chromosome is not None and position is not None:
            locus = f"window:{chromosome}:{position // 1_000_000}"
        found[id_] = locus
    return found


def split_mappings(mappings: pa.Table, *, share: float = 0.2, seed: int = 20261121) -> pd.DataFrame:
    """Hold out curated mappings: rows that are there for evaluation, where there are any, else a share of the components.

    A component joins mappings that share a text (in its normal form), a code, or a target; so no text that is evaluated
    has a twin in training. Rows come with `part`: `test` or empty.

    Raises:
        UsageError: The share is not what it should be.
    """
    if not 0 <= share < 1:
        raise UsageError(f"a share of {share} is held out, expected at least 0 and less than 1")
    frame = mappings.select(["subject_id", "subject_label", "vocabulary", "object_id", "predicate", "judged", "use"]).to_pandas()
    if (frame["use"] == "evaluate").any():
        held = frame["use"] == "evaluate"
    else:
        drawn = draw(_component_names(frame), seed)
        held = [x < share for x in drawn]
    frame["part"] = "test"
    return frame.loc[held, MAPPING_COLUMNS].drop_duplicates().sort_values(MAPPING_COLUMNS).reset_index(drop=True)


def _component_names(frame: pd.DataFrame) -> list[str]:
    """Give, per mapping, the name of its component: the least of the names in it."""
    import numpy as np
    import pandas as pd
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    texts = "text " + frame["subject_label"].map(normalise_name)
    codes = "code " + frame["subject_id"]
    targets = "term " + frame["object_id"]
    crowded = texts.groupby(targets).transform("nunique") > MANY_TEXTS
    targets = targets.mask(crowded, codes)
    numbers, names = pd.factorize(pd.concat([texts, codes, targets]), sort=True)
    text, code, target = numbers.reshape(3, -1)
    edges = (np.concatenate([text, text]), np.concatenate([code, target]))
    graph = coo_matrix((np.ones(len(edges[0])), edges), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)  # names are sorted: the first is the least
    return [str(names[first[number]]) for number in component[text]]


def write_split(path: Path, split: pd.DataFrame) -> str:
    """Write a split as TSV and give the sha256 of the file."""
    text = split.to_csv(sep="\t", index=False, lineterminator="\n")
    path.write_text(text, encoding="utf-8", newline="")
    return hashlib.sha256(text.encode()).hexdigest()


def read_split(path: Path, sha256: str) -> pd.DataFrame:
    """Read a split back.

    Raises:
        ModelError: The file is missing, or not the one with this hash.
    """
    import pandas as pd

    if not path.exists():
        raise ModelError(f"{path} is missing: what was kept from training is not known", advice="Train again: kgbuild train")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise ModelError(
            f"{path} has the hash {found}, expected {sha256}", advice="The file was changed after training. Train again: kgbuild train"
        )
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def draw(units: Iterable[str], seed: int) -> list[float]:
    """Give each unit its number in [0, 1), by its name and the seed."""
    drawn: dict[str, float] = {}
    for unit in units:
        if unit not in drawn:
            digest = hashlib.blake2b(f"{seed}\x1f{unit}".encode(), digest_size=8).digest()
            drawn[unit] = int.from_bytes(digest, "big") / 2**64
    return [drawn[unit] for unit in units]


def _values(values: list[str]) -> Any:
    import pyarrow as pa

    return pa.array(values)
