"""Open delimited text: gzip or not, TSV or CSV, columns by name; every cell stays text, every row knows its line.

Two ways in. `read_columns` is for large regular files: Arrow's reader, all cores, unquoted or simply quoted, one row a
line. `read_rows` is for tables that people make: Python's csv module, quotes and newlines inside cells.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from kgbuild.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Row", "head", "header_of", "open_text", "read_columns", "read_rows", "resolve_columns"]

_TRUNCATED = "The file is cut short or damaged. Download it again and compare its size or checksum."


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a text file, gzip or not (told by its first bytes), as UTF-8; a byte-order mark is dropped.

    Raises:
        SourceError: The file is missing, empty, truncated, not gzip inside, or not UTF-8 (with the line).
    """
    line = 0
    try:
        with path.open("rb") as raw:
            magic = raw.read(2)
            raw.seek(0)
            if not magic:
                raise SourceError(path, "the file is empty", expected="a file with a header and rows", advice="Download it again.")
            binary = gzip.open(raw) if magic == b"\x1f\x8b" else raw
            with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as text:
                yield text
    except FileNotFoundError:
        raise SourceError(path, "no such file", advice="Correct the path in kgbuild.toml.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(path, f"the compressed data cannot be read ({error})", advice=_TRUNCATED) from error
    except UnicodeDecodeError as error:
        line = _line_of_bad_bytes(path)
        raise SourceError(path, "not UTF-8 text", line=line, value=repr(error.object[error.start : error.start + 12]),
                          expected="UTF-8", advice="Convert the file, e.g. `iconv -f latin1 -t utf8`.") from error  # fmt: skip


def head(path: Path, n_lines: int = 200) -> tuple[str, ...]:
    """Give the first lines of a file, without line ends; fewer when it is cut short or not text."""
    lines: list[str] = []
    try:
        with open_text(path) as handle:
            for line in handle:
                lines.append(line.rstrip("\r\n"))
                if len(lines) >= n_lines:
                    break
    except SourceError:
        pass
    return tuple(lines)


def header_of(lines: Sequence[str]) -> tuple[str, list[str]]:
    """Guess delimiter and column names from the first line: a tab where there is one, else a comma, else a semicolon.

    >>> header_of(["a\\tb,c"]), header_of(['"a","b"'])
    (('\\t', ['a', 'b,c']), (',', ['a', 'b']))
    """
    first = lines[0] if lines else ""
    delimiter = next((d for d in ("\t", ",", ";", "|") if d in first), "\t")
    return delimiter, [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]


def resolve_columns(path: Path, present: Sequence[str], wanted: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """Find, for each wanted column, the name it has in the file (the first of its spellings, whatever the case).

    Raises:
        SourceError: A wanted column is missing; the message lists every missing one and the columns there are.
    """
    by_case = {name.strip().casefold(): name for name in present}
    found: dict[str, str] = {}
    missing = []
    for key, spellings in {**wanted, **(optional or {})}.items():
        name = next((by_case[s.casefold()] for s in spellings if s.casefold() in by_case), None)
        if name is not None:
            found[key] = name
        elif key in wanted:
            missing.append(" or ".join(repr(s) for s in spellings))
    if missing:
        raise SourceError(path, f"column {' and '.join(missing)} is missing", line=1, value=", ".join(present) or None,
                          expected=f"a header with {', '.join(s[0] for s in wanted.values())}",
                          advice="Is the delimiter right, and is this the file you meant? Name the columns in kgbuild.toml if yours differ.")  # fmt: skip
    return found


def read_columns(path: Path, *, delimiter: str, quoted: bool, columns: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]] | None = None) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Read named columns of a large file as strings, with a column `line`; rows with a wrong number of cells come beside.

    Args:
        quoted: RFC 4180 quotes are honoured (newlines inside them are not); else a quote is a character like another.

    Raises:
        SourceError: As `open_text` and `resolve_columns`.
    """
    import pyarrow as pa
    import pyarrow.csv

    with open_text(path) as handle:
        first = handle.readline().rstrip("\r\n")
    names = next(csv.reader([first], delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE), [])
    found = resolve_columns(path, names, columns, optional)
    malformed: list[tuple[int, str]] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append((row.number or 0, f"{row.actual_columns} cells instead of {row.expected_columns}: {row.text}"))
        return "skip"

    try:
        stream = pa.input_stream(str(path), compression="gzip" if _is_gzip(path) else None)
        table = pyarrow.csv.read_csv(
            stream,
            # one thread: only then does Arrow know the number of a malformed row
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24, column_names=names, skip_rows=1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, quote_char='"' if quoted else False, ignore_empty_lines=False, invalid_row_handler=note),
            convert_options=pyarrow.csv.ConvertOptions(include_columns=sorted(set(found.values())), column_types={name: pa.string() for name in names}, strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, OSError) as error:
        bad = _line_of_bad_bytes(path)
        if bad is not None:
            raise SourceError(path, "not UTF-8 text", line=bad, expected="UTF-8", advice="Convert the file, e.g. `iconv -f latin1 -t utf8`.") from error
        raise SourceError(path, f"cannot be read as delimited text ({error})", advice=_TRUNCATED) from error
    bad_lines = {number for number, _ in malformed}
    lines = [n for n in range(2, table.num_rows + len(malformed) + 2) if n not in bad_lines] if bad_lines else range(2, table.num_rows + 2)
    table = pa.table({**{key: table.column(name) for key, name in found.items()}, "line": pa.array(lines, pa.int64())})
    return table, malformed


class Row(NamedTuple):
    """One row of a table that somebody made: its line, its cells by wanted key, and the raw cells."""

    line: int
    cells: dict[str, str]


def read_rows(path: Path, *, delimiter: str | None = None, columns: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]] | None = None) -> Iterator[Row | tuple[int, str]]:
    """Read a table row by row; a row with a wrong number of cells comes as (line, what is wrong with it).

    A cell that starts with a quote is RFC 4180; the text ``NA`` stays text; empty lines are passed over.

    Raises:
        SourceError: As `open_text` and `resolve_columns`.
    """
    csv.field_size_limit(1 << 24)
    if delimiter is None:
        delimiter, _ = header_of(head(path, 1))
    with open_text(path) as handle:
        rows = csv.reader(handle, delimiter=delimiter)
        names = next(rows, [])
        found = resolve_columns(path, names, columns, optional)
        places = {key: names.index(name) for key, name in found.items()}
        line = rows.line_num
        for cells in rows:
            start, line = line + 1, rows.line_num
            if not cells:
                continue
            if len(cells) != len(names):
                yield start, f"{len(cells)} cells instead of {len(names)}: {delimiter.join(cells)}"
            else:
                yield Row(start, {key: cells[place] for key, place in places.items()})


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(2) == b"\x1f\x8b"


def _line_of_bad_bytes(path: Path) -> int | None:
    try:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as raw:
            for number, line in enumerate(raw, 1):
                try:
                    line.decode("utf-8")
                except UnicodeDecodeError:
                    return number
    except (OSError, EOFError, zlib.error):
        return None
    return None
