"""What is kept from training: associations and mappings in, the held-out part as a file with its hash out.

A unit is drawn by the hash of its own name and the seed, so the same unit is held out whatever else the data hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.errors import ModelError, UsageError
from kgbuild.units import publication_days, term_twins, trait_families
from kgbuild.vocabulary import normalise_name

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "SNP_TRAIT_COLUMNS",
    "SPLITS",
    "draw",
    "loci_of",
    "read_split",
    "split_mappings",
    "split_snp_traits",
    "split_workspace",
    "trait_groups",
    "write_split",
]

MANY_TEXTS = 15  # a target with more texts is no bridge between them: it would tie half the mappings together
MANY_TERMS = 3  # a trait that is filed under more terms ("Obesity-related traits": 57) is no composite of them
SNP_TRAIT_COLUMNS = ["object_id", "object_name", "variant_id", "trait_group", "locus", "part", "by", "association_id"]
MAPPING_COLUMNS = ["subject_id", "subject_label", "vocabulary", "object_id", "predicate", "judged", "part"]

# what a SNP-trait pair is drawn with
SPLITS: Mapping[str, str] = {
    "locus": "a trait at a locus: every text of the trait, every variant of the LD block",
    "pair": "a trait and a variant, as published: their LD mates may stay in training",
    "trait": "a family of traits (parents, children, siblings of EFO): none of it is in training with any variant",
    "block": "a locus with all its traits: none of its variants is in training with any trait",
    "publication": "a publication with all its rows",
    "time": "all publications from a day on; the last ones before it are for development",
    "study": "all rows of the sources, studies or publications that are named",
}
_OF_ROWS = ("publication", "time", "study")  # whole publications go: a row of theirs goes also where training has its pair from elsewhere
REPEATED = "repeated"  # part of such a row


def split_workspace(
    folder: Path, *, by: str = "locus", share: float = 0.1, since: str | None = None, left_out: Sequence[str] = ()
) -> pd.DataFrame:
    """Split the SNP-trait pairs of a folder of tables, as `split_snp_traits` does."""
    given = [tables.read(folder, name) for name in ("associations", "variants", "concepts", "relations")]
    return split_snp_traits(given[0], given[1], concepts=given[2], relations=given[3], by=by, share=share, since=since, left_out=left_out)


def split_snp_traits(
    associations: pa.Table,
    variants: pa.Table,
    *,
    concepts: pa.Table | None = None,
    relations: pa.Table | None = None,
    share: float = 0.1,
    development: float = 0.05,
    by: str = "locus",
    since: str | None = None,
    left_out: Sequence[str] = (),
    seed: int = 20261121,
) -> pd.DataFrame:
    """Hold out SNP-trait pairs: `share` of the units as `test`, `development` as `development`, one row per pair.

    A trait is every text that is filed under the same term, a term of the same name, or is the same in its normal form. The
    MHC is one locus; a variant without a block belongs to its 1 Mb window, else to its publication. SPLITS says what a unit
    is. Where whole publications go, a pair that training has from another one is not held out, but the publication's own
    row of it is: such rows have the part `repeated` and their association_id.

    Args:
        associations: The table; `gwas` and `biobank` rows count.
        variants: The table.
        concepts: The table: twins of a term are found in it.
        relations: The table: for a split by trait.
        share: Of units, in (0, 1); by time or study what is named goes, whatever its share.
        development: Of units; by time of the rows before that day, the latest.
        by: Key of SPLITS.
        since: ISO date, by time.
        left_out: Keys of sources, `gcst:…` or `pubmed:…`, by study.
        seed: Another one draws other units.

    Raises:
        UsageError: The shares, `by`, `since` or `left_out` are not what they should be.
    """
    if not (share >= 0 and development >= 0 and share + development < 1):
        raise UsageError(f"shares of {share} and {development} are held out, expected at least 0 and less than 1 together")
    if by not in SPLITS:
        raise UsageError(f"a split by {by!r} is not known", advice=f"Use one of: {', '.join(SPLITS)}.")
    twins = term_twins(concepts) if concepts is not None else {}
    rows = _snp_trait_rows(associations, variants, twins)
    shares = (share, development)
    if by in _OF_ROWS:
        rows["part"] = _parts_of_rows(rows, by, since, left_out, shares, seed)
        rows = _without_known(rows)
    else:
        rows = rows.sort_values("publication", kind="stable").drop_duplicates(["object_id", "variant_id"])
        rows["part"] = _parts(_units(rows, by, relations, twins), shares, seed)
        rows["association_id"] = ""
    held = rows.loc[rows["part"] != ""].assign(by=by)[SNP_TRAIT_COLUMNS]
    return held.sort_values(["object_id", "variant_id", "association_id"]).reset_index(drop=True)


def _snp_trait_rows(associations: pa.Table, variants: pa.Table, twins: Mapping[str, str]) -> pd.DataFrame:
    """Give the associations of a trait as written and a single variant, with the trait's group and the variant's locus."""
    import pyarrow.compute as pc

    rows = associations.filter(pc.is_in(associations["kind"], _values(["gwas", "biobank"])))
    groups = trait_groups(rows, twins)
    columns = ["id", "variant_id", "object_id", "object_name", "term_ids", "publication", "study", "source", "date"]
    frame = rows.select(columns).to_pandas().rename(columns={"id": "association_id"})
    loci = loci_of(variants)
    frame = frame[frame["variant_id"].isin(set(loci))].copy()
    frame["trait_group"] = frame["object_id"].map(groups)
    frame["locus"] = frame["variant_id"].map(loci)
    unknown = frame["locus"].isna()
    frame.loc[unknown, "locus"] = frame.loc[unknown, "publication"].fillna("").radd("publication:")
    return frame


def _units(rows: pd.DataFrame, by: str, relations: pa.Table | None, twins: Mapping[str, str]) -> pd.Series[str]:
    if by == "block":
        return rows["locus"]
    if by == "trait":
        return rows["trait_group"].map(_families(rows, relations, twins))
    return rows["trait_group"] + "\x1f" + rows["locus" if by == "locus" else "variant_id"]


def _families(rows: pd.DataFrame, relations: pa.Table | None, twins: Mapping[str, str]) -> dict[str, str]:
    """Give each trait group its family; a composite trait belongs to the few terms that it is filed under."""
    import pyarrow.compute as pc

    edges: dict[str, list[str]] = {"subject_id": [], "object_id": []}
    if relations is not None:
        edges = relations.filter(pc.equal(relations["predicate"], "IS_A")).select(["subject_id", "object_id"]).to_pydict()
    is_a = zip(*([twins.get(term, term) for term in edges[side]] for side in ("subject_id", "object_id")), strict=True)
    few = rows.loc[rows["term_ids"].map(len) <= MANY_TERMS, ["trait_group", "term_ids"]].explode("term_ids").dropna().drop_duplicates()
    filed = zip(few["trait_group"], few["term_ids"].map(lambda term: twins.get(term, term)), strict=True)
    return trait_families(rows["trait_group"].unique(), is_a, filed)


def _parts(units: Iterable[str], shares: tuple[float, float], seed: int) -> list[str]:
    share, development = shares
    return ["test" if x < share else "development" if x < share + development else "" for x in draw(units, seed)]


def _parts_of_rows(
    rows: pd.DataFrame, by: str, since: str | None, left_out: Sequence[str], shares: tuple[float, float], seed: int
) -> list[str]:
    """Give each row its side: training (empty), development or test."""
    import numpy as np

    if by == "publication":
        return _parts(rows["publication"].fillna(rows["source"]), shares, seed)
    if by == "study":
        gone = rows["source"].isin(left_out) | rows["study"].isin(left_out) | rows["publication"].isin(left_out)
        missing = set(left_out) - set(rows["source"]) - set(rows["study"]) - set(rows["publication"])
        if missing or not left_out:
            raise UsageError(
                f"no association is of {sorted(missing)[0]!r}"
                if missing
                else "a split by study leaves out those that are named, and none is",
                advice='Name keys of sources, "gcst:..." or "pubmed:..." as left_out under [train].',
            )
        drawn = _parts(rows["trait_group"] + "\x1f" + rows["locus"], (0.0, shares[1]), seed)
        return ["test" if out else part for out, part in zip(gone, drawn, strict=True)]
    first = _day(since)
    days = rows["publication"].map(publication_days(rows)).to_numpy(dtype=float)
    earlier = days[days < first]
    if not len(earlier) or not (days >= first).any():
        raise UsageError(f"no association is from {'before' if not len(earlier) else 'on or after'} {since}", advice="Set another `since`.")
    late = np.quantile(earlier, 1 - shares[1])
    # what has no day is of no known side: neither trained on nor evaluated
    return ["test" if day >= first else "development" if day >= late and shares[1] else "" if day < first else REPEATED for day in days]


def _day(since: str | None) -> float:
    try:
        return float(date.fromisoformat(since or "").toordinal())
    except ValueError as error:
        raise UsageError(f"{since!r} is no date", advice='Set since = "2020-03-01" under [train].') from error


def _without_known(rows: pd.DataFrame) -> pd.DataFrame:
    """Make pairs of rows: a pair is on the first side that any of its rows is on; later rows of it are repeated."""
    order = {"": 0, "development": 1, "test": 2, REPEATED: 3}
    side = rows["part"].map(order)
    first = side.groupby([rows["trait_group"], rows["variant_id"]]).transform("min")
    repeated = (side > first) & (first == 0) | (side == 3)
    kept = rows[repeated].assign(part=REPEATED)
    names = {number: part for part, number in order.items()}
    held = rows[~repeated & (first > 0)].assign(part=first.map(names), association_id="")
    import pandas as pd

    return pd.concat([held.drop_duplicates(["object_id", "variant_id"]), kept])


def trait_groups(associations: pa.Table, twins: Mapping[str, str] | None = None) -> dict[str, str]:
    """Say which traits as written are one trait: those under the same single term, else those of the same normal form.

    A normal form has one group: the term that most rows of its texts have, or of that term's twins the least.
    """
    columns = associations.select(["object_id", "object_name", "term_ids"])
    frame = columns.to_pandas()
    named = frame.drop_duplicates("object_id")
    form = {object_id: normalise_name(name) for object_id, name in zip(named["object_id"], named["object_name"], strict=True)}
    frame = frame[frame["term_ids"].map(len) == 1]
    counts = frame.assign(term=frame["term_ids"].str[0], form=frame["object_id"].map(form)).groupby(["form", "term"]).size()
    best = counts.reset_index(name="n").sort_values(["form", "n", "term"], ascending=[True, False, True]).drop_duplicates("form")
    term_of = {text: (twins or {}).get(term, term) for text, term in zip(best["form"], best["term"], strict=True)}
    return {object_id: term_of.get(text, f"name:{text}") for object_id, text in form.items()}


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
