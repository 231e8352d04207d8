"""Delimited text is read whole, cell for cell, and every row knows its line."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild.errors import SourceError
from kgbuild.sources.delimited import Row, head, read_columns, read_rows

AB = {"a": ("a",), "b": ("b",)}


def columns(
    path: Path, data: str | bytes, *, quoted: bool = False, delimiter: str = "\t", wanted: Any = None
) -> tuple[list[tuple[Any, ...]], list[tuple[int, str]]]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    table, malformed = read_columns(path, delimiter=delimiter, quoted=quoted, columns=wanted or AB)
    return [tuple(row.values()) for row in table.to_pylist()], malformed


def rows(path: Path, data: str | bytes, **arguments: Any) -> list[tuple[Any, ...]]:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return [(r.line, *r.cells.values()) if isinstance(r, Row) else r for r in read_rows(path, columns=AB, **arguments)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "t.tsv"


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_malformed_row_is_reported_with_its_line_and_the_others_keep_theirs(path: Path, quoted: bool, end: str) -> None:
    text = end.join(["a\tb", "1\t2", "bad", "3\t4", "x\ty\tz", "5\t6", ""])
    assert columns(path, text, quoted=quoted) == (
        [("1", "2", 2), ("3", "4", 4), ("5", "6", 6)],
        [(3, "1 cells instead of 2: bad"), (5, "3 cells instead of 2: x\ty\tz")],
    )


@pytest.mark.parametrize("quoted", [False, True])
def test_a_blank_line_is_no_row_but_counts_as_a_line(path: Path, quoted: bool) -> None:
    assert columns(path, "a\tb\n1\t2\n\n3\t4\nbad\n\n\n", quoted=quoted) == (
        [("1", "2", 2), ("3", "4", 4)],
        [(5, "1 cells instead of 2: bad")],
    )
    assert columns(path, "a\n1\n\n2\n", quoted=quoted, wanted={"a": ("a",)})[0] == [("1", 2), ("2", 4)]


def test_line_ends_in_quoted_cells_do_not_shift_the_lines_of_later_rows(path: Path) -> None:
    text = 'a\tb\tc\n1\t2\t"two\nlines"\nbad "\n3\t4\tx\n"p""q"\t5\ty\n'
    assert columns(path, text, quoted=True) == ([("1", "2", 2), ("3", "4", 5), ('p"q', "5", 6)], [(4, '1 cells instead of 3: bad "')])


def test_unquoted_columns_keep_quotes_as_characters(path: Path) -> None:
    assert columns(path, 'a\tb\n"1\t2"\n5" tall\t"x"\n') == ([('"1', '2"', 2), ('5" tall', '"x"', 3)], [])


def test_cells_stay_text_whatever_they_look_like(path: Path) -> None:
    text = "a\tb\n008\t1e-400\nNA\t\n🧬 | x\tداء السكري\u2028z\n"
    expected = [("008", "1e-400", 2), ("NA", "", 3), ("🧬 | x", "داء السكري\u2028z", 4)]
    assert columns(path, text) == (expected, [])
    assert rows(path, text) == [(line, a, b) for a, b, line in expected]


def test_malformed_rows_keep_their_lines_across_blocks(path: Path) -> None:
    chooser = random.Random(1)
    lines = ["bad" if chooser.random() < 0.001 else "1\t" + "x" * 200 for _ in range(200_000)]  # 40 MB: three blocks
    found, malformed = columns(path, "a\tb\n" + "\n".join(lines))
    assert [line for line, _ in malformed] == [n for n, line in enumerate(lines, 2) if line == "bad"]
    assert [row[-1] for row in found] == [n for n, line in enumerate(lines, 2) if line != "bad"]


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_and_gzip_make_no_difference(path: Path, prefix: bytes, pack: Any) -> None:
    data = pack(prefix + b"a\tb\n1\t2\n")
    assert columns(path, data) == ([("1", "2", 2)], [])
    assert rows(path, data) == [(2, "1", "2")]


def test_a_gzip_file_of_several_members_is_read_to_its_end(path: Path) -> None:
    data = gzip.compress(b"a\tb\n1\t2\n", mtime=0) + gzip.compress(b"3\t4\n")
    assert columns(path, data)[0] == [("1", "2", 2), ("3", "4", 3)]
    assert rows(path, data) == [(2, "1", "2"), (3, "3", "4")]


@pytest.mark.parametrize("read", [columns, rows])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (gzip.compress(b"", mtime=0), "the file is empty"),
        (gzip.compress(bytes(random.Random(0).randbytes(50_000)).hex().encode(), mtime=0)[:20_000], "the compressed data cannot be read"),
        (gzip.compress(b"a\tb\n" + b"1\t2\n" * 9, mtime=0)[:-4], "the compressed data cannot be read"),
        (b"a\tb\n1\t2\n3\tSj\xf6gren\n", "line 3: not UTF-8 text"),
        (b"a,b\n1,2\n", "column 'a' and 'b' is missing"),
        (b"a\tc\n1\t2\n", "column 'b' is missing"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(path: Path, read: Any, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(path, data, delimiter="\t")


def test_a_truncated_large_gzip_file_is_refused_not_shortened(path: Path) -> None:
    whole = gzip.compress(b"a\tb\n" + b"".join(b"%d\t%d\n" % (n, n * n) for n in range(200_000)))
    with pytest.raises(SourceError, match="the compressed data cannot be read"):
        columns(path, whole[: len(whole) // 2])
    with pytest.raises(SourceError, match="the compressed data cannot be read"):
        rows(path, whole[: len(whole) // 2])


def test_a_missing_file_is_a_source_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        list(read_rows(tmp_path / "none.tsv", columns=AB))


@pytest.mark.parametrize("data", ["a\tb\n", "a\tb", "a\tb\n\n"])
def test_a_header_without_rows_is_an_empty_table(path: Path, data: str) -> None:
    assert columns(path, data) == ([], [])
    assert rows(path, data) == []


def test_columns_are_found_by_name_whatever_the_case_and_order(path: Path) -> None:
    assert rows(path, "B;x; A\n1;2;3\n", delimiter=";") == [(2, "3", "1")]


def test_a_quoted_cell_may_hold_delimiters_quotes_and_line_ends(path: Path) -> None:
    assert rows(path, 'a,b\r\n"x, y","he said ""no"""\r\n"two\r\nlines",z\r\nlast,row\r\n') == [
        (2, "x, y", 'he said "no"'),
        (3, "two\nlines", "z"),
        (5, "last", "row"),
    ]


def test_a_quote_that_is_only_a_character_stays(path: Path) -> None:
    assert rows(path, 'a\tb\n"Stroke, strict" (no controls)\t1\n"open\t2\n5" tall\t3\n') == [
        (2, '"Stroke, strict" (no controls)', "1"),
        (3, '"open', "2"),
        (4, '5" tall', "3"),
    ]


def test_a_quote_that_never_closes_costs_one_row_at_most(path: Path) -> None:
    assert rows(path, 'a,b\n"open,1,2\nx,3\n"y",4\n') == [(2, '3 cells instead of 2: "open,1,2'), (3, "x", "3"), (4, "y", "4")]


def test_a_preamble_of_comments_is_passed_over(path: Path) -> None:
    assert rows(path, "# curie_map:\n#  x: y\na\tb\n1\t2\n#3\t4\n") == [(4, "1", "2"), (5, "#3", "4")]


def test_a_fallback_encoding_is_taken_only_where_the_file_is_not_utf8(path: Path) -> None:
    assert rows(path, "a\tb\nMénière\t1\n".encode("cp1252"), fallback="cp1252") == [(2, "Ménière", "1")]
    assert rows(path, "a\tb\nMénière\t1\n", fallback="cp1252") == [(2, "Ménière", "1")]


def test_the_head_of_a_damaged_or_missing_file_is_what_can_be_read(path: Path, tmp_path: Path) -> None:
    path.write_bytes(gzip.compress(b"a\tb\n1\t2\n" * 50_000, mtime=0)[:-8])
    assert (head(path, 2), head(tmp_path / "none")) == (("a\tb", "1\t2"), ())
    path.write_bytes(b"name\nSj\xf6gren\n")
    assert head(path) == ("name", "Sj�gren")


cell = st.text(st.characters(codec="utf-8", exclude_characters='\t\r\n"\x00\ufeff', exclude_categories=["Cs"]), min_size=1).filter(
    lambda t: not t.startswith("#")
)


@given(st.lists(st.tuples(cell, cell), max_size=5))
def test_both_ways_in_read_the_same(tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("same") / "t.tsv"
    text = "a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in table)
    expected = [(line, a, b) for line, (a, b) in enumerate(table, 2)]
    assert rows(path, text) == expected
    assert [(line, a, b) for a, b, line in columns(path, text)[0]] == expected
