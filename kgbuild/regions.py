"""Variants, LD intervals and nearest genes in, the quarter megabase that each variant lies in out."""

from __future__ import annotations

from pathlib import Path

from kgbuild import tables

__all__ = ["MHC", "STEP", "regions_of"]

STEP = 250_000  # base pairs; a region and the two beside it reach 250 to 500 kb in either direction
MHC = ("MHC", 0)  # one region: its LD is too long for distances to say anything


def regions_of(folder: Path) -> dict[str, tuple[str, int]]:
    """Give the region of each single variant, as chromosome and number, so that neighbours are one apart.

    A variant without a position lies in the middle of its LD interval, else where the other variants of its nearest gene do;
    what has none of the three is left out.
    """
    import pandas as pd

    columns = ["id", "kind", "chromosome", "position", "in_mhc", "nearest_genes"]
    frame = tables.read(folder, "variants", columns).to_pandas()
    frame = frame[frame["kind"] == "single"].drop_duplicates("id")
    intervals = tables.read(folder, "loci", ["variant_id", "chromosome", "left", "right"]).to_pandas().drop_duplicates("variant_id")
    intervals = intervals.set_index("variant_id")
    gene = frame["nearest_genes"].map(lambda genes: genes[0] if len(genes) else None)
    position = frame["position"].astype(float).fillna(frame["id"].map((intervals["left"] + intervals["right"]) / 2))
    chromosome = frame["chromosome"].astype(object).fillna(frame["id"].map(intervals["chromosome"]))
    places = pd.DataFrame({"gene": gene, "chromosome": chromosome, "position": position}).dropna().groupby("gene")
    position = position.fillna(gene.map(places["position"].median()))
    chromosome = chromosome.fillna(gene.map(places["chromosome"].first()))
    found = {
        id_: (place, int(base // STEP))
        for id_, place, base in zip(frame["id"], chromosome, position, strict=True)
        if base == base and isinstance(place, str)
    }
    return found | dict.fromkeys(frame["id"][frame["in_mhc"].astype(bool)], MHC)
