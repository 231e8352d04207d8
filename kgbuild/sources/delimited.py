"""Open delimited text: gzip or not, TSV or CSV, columns by name; every cell stays text, every row knows its line.

Two ways in. `read_columns` is for large regular files: Arrow's reader, unquoted or quoted throughout. `read_rows` is for
tables that people make: quotes and line ends inside cells, and quotes that are only characters.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from kgbuild.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Row", "head", "header_of", "is_preamble", "open_text", "read_columns", "read_rows", "resolve_columns"]

_LINE_END = re.compile(r"\r\n|\n|\r")
_TRUNCATED = "The file is cut short or damaged. Download it again and compare its size or checksum."


@contextmanager
def open_text(path: Path, *, fallback: str | None = None, errors: str = "strict") -> Iterator[TextIO]:
    """Open a text file, gzip or not (told by its first bytes), as UTF-8; a byte-order mark is dropped.

    Args:
        fallback: Encoding of a file that is not UTF-8, where a publisher is known to use one.
        errors: What to do with bytes that cannot be decoded, as `bytes.decode` has it.

    Raises:
        SourceError: The file is missing, empty, truncated, not gzip inside, or not UTF-8 (with the line).
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(2)
            raw.seek(0)
            if not magic:
                raise SourceError(path, "the file is empty", expected="a file with a header and rows", advice="Download it again.")
            binary = gzip.GzipFile(fileobj=raw) if magic == b"\x1f\x8b" else raw
            encoding = fallback if fallback and _line_of_bad_bytes(path) else "utf-8-sig"
            with io.TextIOWrapper(binary, encoding=encoding, errors=errors, newline="") as text:
                yield text
    except FileNotFoundError:
        raise SourceError(path, "no such file", advice="Correct the path in kgbuild.toml.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceError(path, f"the compressed data cannot be read ({error})", advice=_TRUNCATED) from error
    except UnicodeDecodeError as error:
        line = _line_of_bad_bytes(path)
        around = error.object[max(0, error.start - 20) : error.start + 20].decode("latin-1")
        raise SourceError(path, "not UTF-8 text", line=line, value=around, expected="UTF-8 (shown as Latin-1)", advice="Convert the file, e.g. `iconv -f latin1 -t utf8`.") from error  # fmt: skip


def head(path: Path, n_lines: int = 200) -> tuple[str, ...]:
    """Give the first lines of a file, without line ends; fewer when it is cut short; bytes that are no text come as �."""
    lines: list[str] = []
    try:
        with open_text(path, errors="replace") as handle:
            for line in handle:
                lines.append(line.rstrip("\r\n"))
                if len(lines) >= n_lines:
                    break
    except SourceError:
        pass
    return tuple(lines)


def header_of(lines: Sequence[str]) -> tuple[str, list[str]]:
    r"""Guess delimiter and column names from the first line: a tab where there is one, else a comma, else a semicolon.

    >>> header_of(["a\tb,c"]), header_of(['"a","b"'])
    (('\t', ['a', 'b,c']), (',', ['a', 'b']))
    """
    first = lines[0] if lines else ""
    delimiter = next((d for d in ("\t", ",", ";", "|") if d in first), "\t")
    return delimiter, [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]


def is_preamble(line: str) -> bool:
    r"""Tell whether a line before the header is a comment (SSSOM's metadata), not a header that begins with ``#``.

    >>> is_preamble("#curie_map:"), is_preamble("#chrom\tpos"), is_preamble("a\tb")
    (True, False, False)
    """
    return line.startswith("#") and "\t" not in line


def resolve_columns(
    path: Path, present: Sequence[str], wanted: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]] | None = None
) -> dict[str, str]:
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


def read_columns(
    path: Path, *, delimiter: str, quoted: bool, columns: Mapping[str, Sequence[str]], optional: Mapping[str, Sequence[str]] | None = None
) -> tuple[pa.Table, list[tuple[int, str]]]:
    """Read named columns of a large file as strings, with a column `line`; rows with a wrong number of cells come beside.

    A blank line is no row, and counts as a line. `line` is the line on which the row starts.

    Args:
        quoted: RFC 4180 quotes are honoured; else a quote is a character like another.

    Raises:
        SourceError: As `open_text` and `resolve_columns`.
    """
    import pyarrow as pa

    with open_text(path) as handle:
        first, second = _header_line(path, handle), handle.readline()
    names = next(csv.reader([first], delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE), [])
    found = resolve_columns(path, names, columns, optional)
    if not second:  # Arrow does not skip a header that nothing follows
        return pa.table({key: pa.array([], pa.int64() if key == "line" else pa.string()) for key in (*found, "line")}), []
    included = sorted(set(found.values()))
    table, malformed, counter = _parse(path, delimiter, quoted, names, included)
    rows, bad_rows = table.num_rows, {number for number, _ in malformed}
    starts: Sequence[int]
    # Arrow numbers rows, and the header is its row 1: lines, unless a cell holds a line end
    if quoted and counter.lines != rows + len(malformed) + 1:
        starts, lines_of_bad = _row_starts(path, delimiter, names)
        malformed = [(line, text) for line, (_, text) in zip(lines_of_bad, malformed, strict=True)]
    else:
        starts = [n for n in range(2, rows + len(malformed) + 2) if n not in bad_rows]
    result = pa.table({**{key: table.column(name) for key, name in found.items()}, "line": pa.array(starts, pa.int64())})
    if counter.saw_blank:
        blank = _blank_lines(path)
        result = result.filter(pa.array([line not in blank for line in starts], pa.bool_()))
        malformed = [(line, text) for line, text in malformed if line not in blank]
    return result, malformed


class _LineCounter:
    """A byte stream that counts line ends, and notices blank lines, as Arrow reads through it."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream
        self._tail = b""
        self._ends = 0
        self.saw_blank = False
        self.closed = False

    def read(self, n_bytes: int | None = None) -> bytes:
        chunk: bytes = self._stream.read(n_bytes)
        self._ends += chunk.count(b"\n")
        if not self.saw_blank:
            seam = self._tail[-3:] + chunk[:3]
            self.saw_blank = any(pattern in seam or pattern in chunk for pattern in (b"\n\n", b"\n\r\n"))
        self._tail = (self._tail + chunk)[-3:] if chunk else self._tail
        return chunk

    def close(self) -> None:
        self.closed = True
        self._stream.close()

    @property
    def lines(self) -> int:
        return self._ends + (not self._tail.endswith(b"\n"))


def _parse(
    path: Path, delimiter: str, quoted: bool, names: list[str], included: list[str]
) -> tuple[pa.Table, list[tuple[int, str]], _LineCounter]:
    import pyarrow as pa
    import pyarrow.csv

    malformed: list[tuple[int, str]] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        malformed.append((row.number or 0, f"{row.actual_columns} cells instead of {row.expected_columns}: {row.text}"))
        return "skip"

    try:
        counter = _LineCounter(pa.input_stream(str(path), compression="gzip" if _is_gzip(path) else None))
        table = pyarrow.csv.read_csv(
            pa.PythonFile(counter, mode="r"),
            # one thread: only then does Arrow know the number of a malformed row
            read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=1 << 24, column_names=names, skip_rows=1),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                ignore_empty_lines=False,
                invalid_row_handler=note,
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=included, column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, OSError) as error:
        bad = _line_of_bad_bytes(path)
        if bad is not None:
            raise SourceError(
                path, "not UTF-8 text", line=bad, expected="UTF-8", advice="Convert the file, e.g. `iconv -f latin1 -t utf8`."
            ) from error
        what = (
            "the compressed data cannot be read" if _is_gzip(path) and re.search("compress|inflate", str(error)) else "not delimited text"
        )
        raise SourceError(path, f"{what} ({error})", advice=_TRUNCATED) from error
    return table, malformed, counter


def _row_starts(path: Path, delimiter: str, names: list[str]) -> tuple[list[int], list[int]]:
    """Find the first line of each good and each malformed row where quoted cells hold line ends: all cells are needed."""
    table, malformed, _ = _parse(path, delimiter, True, names, sorted(set(names)))
    spans = [0] * table.num_rows
    for column in table.columns:
        for place, cell in enumerate(column.to_pylist()):
            spans[place] += len(_LINE_END.findall(cell))
    bad_spans = {number: len(_LINE_END.findall(text)) for number, text in malformed}
    good, bad, line, place = [], [], 2, 0
    for number in range(2, len(spans) + len(bad_spans) + 2):
        if number in bad_spans:
            bad.append(line)
            line += 1 + bad_spans[number]
        else:
            good.append(line)
            line += 1 + spans[place]
            place += 1
    return good, bad


def _blank_lines(path: Path) -> set[int]:
    with open_text(path) as handle:
        return {number for number, line in enumerate(handle, 1) if not line.strip("\r\n")}


class Row(NamedTuple):
    """One row of a table that somebody made: its line and its cells by wanted key."""

    line: int
    cells: dict[str, str]


def read_rows(
    path: Path,
    *,
    delimiter: str | None = None,
    columns: Mapping[str, Sequence[str]],
    optional: Mapping[str, Sequence[str]] | None = None,
    fallback: str | None = None,
) -> Iterator[Row | tuple[int, str]]:
    """Read a table row by row; a row with a wrong number of cells comes as (line, what is wrong with it).

    A cell that starts with a quote is RFC 4180, line ends included, where that gives the right number of cells; else the
    quote is a character (``"Stroke, strict" (no controls)`` in a TSV). The text ``NA`` stays text; blank lines are passed
    over, and so is what `is_preamble` knows before the header.

    Raises:
        SourceError: As `open_text` and `resolve_columns`.
    """
    csv.field_size_limit(1 << 24)
    with open_text(path, fallback=fallback) as handle:
        lines = _numbered(handle)
        number, first = next(((n, text) for n, text in lines if not is_preamble(text)), (1, ""))
        if not first:
            raise SourceError(path, "the file is empty", line=number, expected="a header and rows", advice="Download it again.")
        delimiter = delimiter or header_of([first])[0]
        names = next(csv.reader([first], delimiter=delimiter), [])
        found = resolve_columns(path, names, columns, optional)
        places = {key: names.index(name) for key, name in found.items()}
        waiting: list[tuple[int, str]] = []  # lines that were read ahead for a quote that did not close
        while True:
            record = waiting.pop(0) if waiting else next(lines, None)
            if record is None:
                return
            start, text = record
            if not text:
                continue
            cells = _cells(text, delimiter, len(names), waiting, lines)
            if len(cells) != len(names):
                yield start, f"{len(cells)} cells instead of {len(names)}: {text}"
            else:
                yield Row(start, {key: cells[place] for key, place in places.items()})


_QUOTED_LINES = 50  # a quote that does not close within so many lines is a character


def _cells(text: str, delimiter: str, n_cells: int, waiting: list[tuple[int, str]], lines: Iterator[tuple[int, str]]) -> list[str]:
    """Split one row; lines that turn out to belong to it are taken off `waiting`, which is filled from `lines`."""
    if '"' not in text:
        return text.split(delimiter)
    joined, taken, unclosed = text, 0, False
    while True:
        try:
            cells = next(csv.reader(io.StringIO(joined, newline=""), delimiter=delimiter, strict=True))
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            if not unclosed or taken >= _QUOTED_LINES:
                break
            if taken == len(waiting):
                following = next(lines, None)
                if following is None:
                    break
                waiting.append(following)
            joined = f"{joined}\n{waiting[taken][1]}"
            taken += 1
            continue
        if len(cells) == n_cells:
            del waiting[:taken]
            return cells
        break
    literal = text.split(delimiter)
    return literal if unclosed or taken or len(literal) == n_cells else next(csv.reader([text], delimiter=delimiter))


def _numbered(handle: TextIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(handle, 1):
        yield number, line.rstrip("\r\n")


def _header_line(path: Path, handle: TextIO) -> str:
    first = handle.readline()
    if not first:
        raise SourceError(path, "the file is empty", expected="a header and rows", advice="Download it again.")
    return first.rstrip("\r\n")


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
