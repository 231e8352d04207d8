"""A GWAS Catalog file, an ontology and curated mappings in; how often the catalogue's curators use each term out.

`python -m kgbuild.evaluation.term_usage --gwas FILE --efo FILE --without train.tsv --without dev.tsv --out term_usage.tsv`
makes the table that the feature `used` is read from. Texts that somebody judged are left out, and one text of each term is
not counted, so that no text speaks for its own answer.
"""

from __future__ import annotations

import argparse
import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kgbuild.vocabulary import curie_from_uri, normalise_name

__all__ = ["count_texts", "main"]

_FORWARDS = 5  # steps from an obsolete id to a live one


def count_texts(
    rows: Iterable[tuple[str, str]], live: Sequence[str], replaced: Mapping[str, str], without: frozenset[str] = frozenset()
) -> dict[str, int]:
    """Count the different texts filed under each live term, beyond the first.

    >>> rows = [("Asthma", "http://www.ebi.ac.uk/efo/EFO_1"), ("Childhood asthma", "http://www.ebi.ac.uk/efo/EFO_0")]
    >>> count_texts(rows, ["EFO:1"], {"EFO:0": "EFO:1"}), count_texts(rows, ["EFO:1"], {}, frozenset({"asthma"}))
    ({'EFO:1': 1}, {})

    Args:
        rows: Pairs of a text and its terms' IRIs, separated by commas.
        live: Ids of the ontology's live terms.
        replaced: Obsolete id to the one that replaced it.
        without: Normal forms of the texts that are left out.
    """
    known = set(live)
    filed = {(normalise_name(text), term) for text, iris in rows for term in _live_terms(iris, known, replaced)}
    counts = Counter(term for text, term in filed if text not in without)
    return {term: n - 1 for term, n in sorted(counts.items()) if n > 1}


def _live_terms(iris: str, live: set[str], replaced: Mapping[str, str]) -> Iterator[str]:
    for iri in iris.split(","):
        term = curie_from_uri(iri.strip()) or ""
        for _ in range(_FORWARDS):
            term = term if term in live else replaced.get(term, term)
        if term in live:
            yield term


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table of term usage."""
    from kgbuild.sources import mappings, obo

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--gwas", type=Path, required=True, help="GWAS Catalog associations, gzipped")
    parser.add_argument("--efo", type=Path, required=True, help="EFO as OBO")
    parser.add_argument("--without", type=Path, action="append", default=[], help="curated mappings whose texts are left out")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    tables = obo.read(options.efo, source="efo", options={}).tables
    concepts = tables["concepts"].to_pandas()
    xrefs = tables["xrefs"].to_pandas()
    moved = xrefs[xrefs["predicate"] == "replaced_by"]
    judged = [mappings.read(path, source="x", options={}).tables["mappings"]["subject_label"].to_pylist() for path in options.without]
    counts = count_texts(
        _rows(options.gwas),
        concepts.loc[~concepts["obsolete"], "id"].tolist(),
        dict(zip(moved["subject_id"], moved["object_id"], strict=True)),
        frozenset(normalise_name(text) for texts in judged for text in texts),
    )
    lines = ["term\ttexts_beyond_the_first", *(f"{term}\t{n}" for term, n in counts.items())]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        header = next(handle).rstrip("\n").split("\t")
        text, iris = header.index("DISEASE/TRAIT"), header.index("MAPPED_TRAIT_URI")
        for line in handle:
            cells = line.rstrip("\n").split("\t")
            if cells[iris]:
                yield cells[text], cells[iris]


if __name__ == "__main__":
    main()
