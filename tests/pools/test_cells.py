"""csv: values are text and stay text; a row that cannot be read leaves the others alone."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import cut, find, limits, read_pool, rows_of, source
from scar.pools.source import BOM
from scar.records import Reason, Record
from tests.pools.made import write

HEAD = b"instruction,response,n\n"


def read(tmp_path, body, head=HEAD):
    return list(rows_of(find(write(tmp_path / "a.csv", head + body))))


def whole(rows):
    return [(row.address.line, row.decode()) for row in rows]


@given(
    st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]))] * 2), min_size=1, max_size=5),
    st.data(),
)
def test_what_was_written_as_csv_is_read_as_it_was(tmp_path_factory, rows, data):
    out = io.StringIO(newline="")
    ends, quoting = (
        data.draw(st.sampled_from(["\n", "\r\n"])),
        data.draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])),
    )
    writer = csv.writer(out, lineterminator=ends, quoting=quoting)
    writer.writerows([("a", "b"), *rows])
    path = write(tmp_path_factory.mktemp("csv") / "a.csv", out.getvalue().encode())
    assert [tuple(row.decode().values()) for row in rows_of(find(path))] == rows
    text, marks = path.read_bytes(), list(source(find(path)[0]).marks())
    for mark, row, read in zip(marks, rows, rows_of(find(path)), strict=True):
        own = text[mark.start.offset : mark.start.offset + mark.size].decode()
        assert tuple(next(csv.reader(io.StringIO(own, newline="")))) == row
        assert mark.start.line == read.address.line == text[: mark.start.offset].count(b"\n") + 1


def test_cells_hold_line_breaks_and_quotes_and_the_line_is_where_the_row_starts(tmp_path):
    rows = read(tmp_path, b'"a\nb\r\n""c""",r,1\r\n\n  \n"x, y",r,\n')
    fields = [
        {"instruction": 'a\nb\r\n"c"', "response": "r", "n": "1"},
        {"instruction": "x, y", "response": "r", "n": ""},
    ]
    assert whole(rows) == [(2, fields[0]), (7, fields[1])]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    (row,) = read(tmp_path, b"i,r,1", BOM + HEAD)
    assert list(row.decode()) == ["instruction", "response", "n"]


@pytest.mark.parametrize(
    ("bad", "reason", "told"),
    [
        (b"only one\n", Reason.INVALID_ROW, "1 cells, where the header has 3 columns"),
        (b"i,r,1,2\n", Reason.INVALID_ROW, "4 cells"),
        (b"i,\xff\xfe,1\n", Reason.INVALID_UTF8, "not UTF-8"),
        (b'i,"r"x,1\n', Reason.INVALID_ROW, "not csv"),
        (b"i,a\rb,1\n", Reason.INVALID_ROW, "not csv"),
    ],
)
def test_a_bad_row_is_set_aside_alone(tmp_path, bad, reason, told):
    good, odd, last = read(tmp_path, b"i,r,1\n" + bad + b"i,s,2\n")
    assert (odd.decode().reason, odd.address.line, odd.address.row) == (reason, 3, 1)
    assert told in odd.decode().detail
    assert (good.decode()["response"], last.decode()["response"], last.address.line) == ("r", "s", 4)


def test_a_nul_is_text(tmp_path):
    assert read(tmp_path, b"i,a\x00b,1\n")[0].decode()["response"] == "a\0b"


def test_a_quotation_mark_that_is_never_closed_ends_at_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LONGEST", 1000)
    try:
        rows = read(tmp_path, b'i,"open,1\n' + b"i,r,1\n" * 1000)
        assert [row.decode().reason for row in rows[:1]] == [Reason.TOO_LONG]
        assert rows[0].address.line == 2
        assert len([row for row in rows if isinstance(row.decode(), dict)]) > 800
    finally:
        csv.field_size_limit(131072)


def test_a_quotation_mark_that_is_not_closed_by_the_end_is_one_bad_row(tmp_path):
    good, bad = read(tmp_path, b'i,r,1\ni,"open,1\ni,r,1\n')
    assert isinstance(good.decode(), dict)
    assert (bad.decode().reason, bad.address.line) == (Reason.INVALID_ROW, 3)


def test_a_name_that_stands_twice_in_the_header_is_refused(tmp_path):
    with pytest.raises(InputError, match="a.csv: the header names 'x' twice; rename one column"):
        read(tmp_path, b"1,2\n", b"x,x\n")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_mark_than_the_comma_is_named(tmp_path, mark):
    path = write(tmp_path / "a.csv", f"instruction{mark}response\nAsk.{mark}Answer.\n".encode())
    with pytest.raises(InputError, match=f"parted by commas here, not by {re.escape(repr(mark))}"):
        list(read_pool(path))


def test_a_carriage_return_alone_is_told_in_a_users_words(tmp_path):
    path = write(tmp_path / "a.csv", b"instruction,response\rAsk.,Answer.\r")
    with pytest.raises(InputError, match="a carriage return alone: lines end in LF or CRLF"):
        list(read_pool(path))


def test_a_header_that_cannot_be_read_names_the_file(tmp_path):
    with pytest.raises(InputError, match="a.csv: the header cannot be read: .*UTF-8"):
        read(tmp_path, b"1,2\n", b"x,\xff\n")


@pytest.mark.parametrize("data", [b"", HEAD, BOM + HEAD, HEAD + b"\r\n \n"])
def test_a_csv_without_a_row_is_an_empty_pool(tmp_path, data):
    with pytest.raises(InputError, match="empty.*a.csv"):
        cut(find(write(tmp_path / "a.csv", data)), 10)


def test_a_long_cell_is_read_whole(tmp_path):
    (row,) = read(tmp_path, b'i,"' + b"x\n" * 100_000 + b'",1\n')
    assert len(row.decode()["response"]) == 200_000


def test_a_packed_csv_reads_as_its_content(tmp_path):
    write(tmp_path / "A.CSV.GZ", HEAD + b"i,r,1\n")
    import gzip

    (tmp_path / "A.CSV.GZ").write_bytes(gzip.compress(HEAD + b"i,r,1\n"))
    (record,) = read_pool(tmp_path / "A.CSV.GZ")
    assert isinstance(record, Record) and record.response == "r"
