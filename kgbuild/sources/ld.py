"""A table of LD intervals and blocks in (SNP, chrom, left, right, block); loci out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild import tables
from kgbuild.ledger import Ledger
from kgbuild.sources import Harvest, Recognised, Sample
from kgbuild.sources.delimited import head, header_of, read_columns
from kgbuild.sources.release import says_subset, version_in

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["COLUMNS", "VERSION", "read", "recognise"]

VERSION = 1

COLUMNS = {
    "snp": ("SNP", "rsid", "variant"),
    "chromosome": ("chrom", "chr", "chromosome"),
    "left": ("left", "start"),
    "right": ("right", "end"),
    "block": ("block", "ld_block"),
}
_CHROMOSOMES = {**{str(n): str(n) for n in range(1, 23)}, "X": "X", "23": "X"}


def recognise(sample: Sample) -> Recognised | None:
    """Recognise a header with SNP, chromosome, left, right and block."""
    lower = {name.casefold() for name in header_of(sample.lines)[1]}
    if not all(lower & {s.casefold() for s in spellings} for spellings in COLUMNS.values()):
        return None
    return Recognised(
        "ld-blocks", version_in(sample.path.name), "columns SNP, chrom, left, right, block", subset=says_subset(sample.path.name)
    )


def read(path: Path, *, source: str, options: Mapping[str, Any]) -> Harvest:
    """Read one interval a row; one SNP has one interval.

    Raises:
        SourceError: A column is missing or the file cannot be read.
    """
    import pyarrow as pa

    delimiter = options.get("delimiter") or header_of(head(path, 1))[0]
    raw, malformed = read_columns(path, delimiter=delimiter, quoted=True, columns=COLUMNS)
    ledger = Ledger(source)
    for line, text in malformed:
        ledger.reject(line, "wrong number of cells", text)
    good = _checked(raw, ledger)
    ledger.keep(0, rows=good.num_rows)
    arrays = [good.column(name) for name in ("variant_id", "chromosome", "left", "right", "block")]
    arrays += [pa.repeat(source, good.num_rows), good.column("line")]
    return Harvest({"loci": pa.Table.from_arrays(arrays, schema=tables.schema("loci"))}, ledger, version_in(path.name))


def _checked(raw: pa.Table, ledger: Ledger) -> pa.Table:
    """Give the rows that hold what they should, typed; each check takes away the rows that fail it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.table({name: raw.column(name) if name == "line" else pc.utf8_trim_whitespace(raw.column(name)) for name in raw.column_names})
    table = _only(table, pc.match_substring_regex(pc.utf8_lower(table["snp"]), "^rs[1-9][0-9]*$"), "snp", "not an rs id", ledger)
    chromosomes = pc.replace_substring_regex(table["chromosome"], "^(?i)chr", "").combine_chunks().dictionary_encode()
    spelled = pa.array([_CHROMOSOMES.get(name.upper()) for name in chromosomes.dictionary.to_pylist()], pa.string()).take(
        chromosomes.indices
    )
    table = _only(table.append_column("spelled", spelled), pc.is_valid(spelled), "chromosome", "not a chromosome 1..22 or X", ledger)
    for end in ("left", "right"):
        table = _only(table, pc.match_substring_regex(table[end], "^[0-9]{1,12}$"), end, f"`{end}` is not a base pair position", ledger)
    left, right = (table[end].cast(pa.int64()) for end in ("left", "right"))
    table = _only(
        table.append_column("from", left).append_column("to", right),
        pc.less_equal(left, right),
        "left",
        "the interval ends before it begins",
        ledger,
    )
    table = _only(table, pc.not_equal(table["block"], ""), "snp", "the SNP has no block", ledger)
    rs_ids = pc.binary_join_element_wise("dbsnp:", pc.utf8_lower(table["snp"]), "")
    table = pa.table(
        {
            "variant_id": rs_ids,
            "chromosome": table["spelled"],
            "left": table["from"],
            "right": table["to"],
            "block": table["block"],
            "line": table["line"],
        }
    )
    return _without_repeats(table, ledger)


def _only(table: pa.Table, good: pa.ChunkedArray, column: str, reason: str, ledger: Ledger) -> pa.Table:
    import pyarrow.compute as pc

    bad = table.filter(pc.invert(good))
    if bad.num_rows:
        ledger.reject_many(bad["line"].to_pylist(), reason, bad[column].to_pylist())
    return table.filter(good) if bad.num_rows else table


def _without_repeats(table: pa.Table, ledger: Ledger) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    codes = table["variant_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    repeats = np.flatnonzero(first[inverse] != np.arange(len(codes)))
    for place in repeats.tolist():
        row, known = (table.slice(n, 1).to_pylist()[0] for n in (place, int(first[inverse[place]])))
        line, known_line = row.pop("line"), known.pop("line")
        if row == known:
            ledger.merge(line, "the same interval", f"line {known_line}")
        else:
            ledger.reject(line, "the SNP has another interval before", f"{row['variant_id']}, on line {known_line}")
    return table.take(pa.array(np.sort(first))) if len(repeats) else table
