"""Write held-out SNP-trait pairs under the PheCode that curators gave the trait, as a file for `kgbuild evaluate`.

python docs/benchmarks/phecode_pairs.py --workspace FOLDER --out phecode-pairs.tsv
kgbuild -w FOLDER evaluate snp-trait --pairs phecode-pairs.tsv

The pairs are those of the split that training did not see, whose trait is filed under a term that a curated set of the
workspace maps a PheCode to. `left` is the PheCode's text, which no row of the catalogue has to have, `right` the rs id.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from embedder import Model
from kgbuild import splits, tables
from kgbuild.workspace import Workspace


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file, and say how many pairs it has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    workspace = Workspace.open(options.workspace)
    folder = workspace.folder("tables")
    mappings = tables.read(folder, "mappings", ["subject_label", "vocabulary", "object_id", "judged"]).to_pandas()
    curated = mappings[(mappings["vocabulary"] == "phecode") & (mappings["judged"] == "valid")]
    rows = tables.read(folder, "associations", ["object_id", "term_ids"]).to_pandas().drop_duplicates("object_id")
    terms = rows[rows["term_ids"].map(len) == 1].assign(term=lambda frame: frame["term_ids"].str[0])[["object_id", "term"]]
    model = workspace.folder("model")
    written = Model.load(model).description["splits"]["snp_traits"]
    held = splits.read_split(model / "snp_traits.tsv", written)
    pairs = (
        held[held["part"] == "test"]
        .merge(terms, on="object_id")
        .merge(curated, left_on="term", right_on="object_id", suffixes=("", "_curated"))
    )
    pairs = pairs[["subject_label", "variant_id"]].drop_duplicates()
    pairs["variant_id"] = pairs["variant_id"].str.removeprefix("dbsnp:")
    pairs.to_csv(options.out, sep="\t", index=False, header=["left", "right"])
    print(f"{options.out}: {len(pairs):,} pairs of {pairs['subject_label'].nunique():,} PheCodes")


if __name__ == "__main__":
    main()
