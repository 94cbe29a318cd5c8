"""JSON Lines: bytes, line by line."""

import gzip
import json

import pyarrow as pa
import pytest

from scar.errors import InputError
from scar.pools import JsonRow, cut, find, read_pool, source
from scar.pools.pieces import Most
from scar.pools.source import BOM
from scar.records import Address, Reason, SetAside
from tests.pools.made import ROW, raws, write


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data + b"x", lambda data: ROW])
def test_a_damaged_gz_is_named(tmp_path, damage):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(damage(gzip.compress(ROW * 2000)))
    with pytest.raises(InputError, match="a.jsonl.gz: damaged"):
        cut(find(path), 10)


def test_line_ends_and_the_byte_order_mark_are_no_part_of_a_row(tmp_path):
    path = write(tmp_path / "a.jsonl", BOM + b'{"a":1}\r\n{"a":2}\n{"a":3}')
    assert raws(path) == [(1, b'{"a":1}'), (2, b'{"a":2}'), (3, b'{"a":3}')]


def test_a_byte_order_mark_further_down_is_part_of_its_row(tmp_path):
    path = write(tmp_path / "a.jsonl", ROW + b"\n" + BOM + ROW)
    assert raws(path) == [(1, ROW), (2, BOM + ROW)]
    assert [item.reason for item in read_pool(path) if isinstance(item, SetAside)] == [Reason.INVALID_JSON]


def test_blank_lines_are_no_rows_but_count_as_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", b'\n{"a":1}\n \t\r\n\n{"a":2}\n\n')
    assert raws(path) == [(2, b'{"a":1}'), (5, b'{"a":2}')]
    assert [row.address.row for row in source(find(path)[0]).rows(7)] == [7, 8]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1e", "\r"])
def test_only_a_line_feed_ends_a_row(tmp_path, mark):
    row = json.dumps({"instruction": "Ask.", "response": f"a{mark}b"}, ensure_ascii=False)
    data = row.replace(
        "\\r", "\r"
    ).encode()  # a lone carriage return is no JSON inside a text, but no line end either
    path = write(tmp_path / "a.jsonl", data + b"\n" + ROW + b"\n")
    assert raws(path) == [(1, data), (2, ROW)]


def test_a_gz_reads_as_its_content(tmp_path):
    data = BOM + b"\r\n".join([ROW, b"", ROW])
    assert raws(write(tmp_path / "a.jsonl.gz", data)) == raws(write(tmp_path / "a.jsonl", data))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": "\xe9"}', Reason.INVALID_UTF8),
        (b'{"a": "\xe4\xb8"}', Reason.INVALID_UTF8),
        (b"{'a': 1}", Reason.INVALID_JSON),
        (b'{"a": 1,}', Reason.INVALID_JSON),
        (b'{"a": 1} {"a": 2}', Reason.INVALID_JSON),
        (b'{"a": "\x00"}', Reason.INVALID_JSON),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", Reason.INVALID_JSON),
        (b"[1]", Reason.NOT_AN_OBJECT),
        (b"null", Reason.NOT_AN_OBJECT),
    ],
)
def test_a_line_that_is_no_object_says_why_and_where(raw, expected):
    item = JsonRow(Address(4, "a.jsonl", 9), raw).decode()
    assert (item.reason, item.address) == (expected, Address(4, "a.jsonl", 9))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "A.JSONL.GZ", "A.JsonL.ZST"])
def test_a_piece_starts_at_the_byte_where_its_row_starts(tmp_path, name):
    data = b"\n" + ROW + b"\r\n  \n\xff bad\n" + b" " + ROW + b"\n" + ROW
    packed = {"gz": gzip.compress, "st": lambda raw: pa.compress(raw, "zstd", asbytes=True)}.get(
        name.lower()[-2:], bytes
    )
    (tmp_path / name).write_bytes(packed(data))
    (file,) = find(tmp_path / name)
    starts, rows = [piece.start for piece in source(file).pieces(Most(1, 1))], list(source(file).rows(3))
    assert [start.line for start in starts] == [row.address.line for row in rows] == [2, 4, 5, 6]
    assert [row.address.row for row in rows] == [3, 4, 5, 6]
    with file.open() as stream:
        unpacked = stream.read()
    for start, row in zip(starts, rows, strict=True):
        assert unpacked[start.offset :].startswith(row.raw)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.csv.gz", "a.json.zst"])
def test_a_packed_file_that_is_cut_off_or_is_not_packed_is_named(tmp_path, name):
    data = b"\n".join([b"instruction,response", *[b"i,r"] * 3000] if "csv" in name else [ROW] * 3000)
    whole = gzip.compress(data) if name.endswith("gz") else pa.compress(data, "zstd", asbytes=True)
    for raw in (whole[: len(whole) // 2], whole[:5], ROW, bytes(8) + whole):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(InputError, match=f"{name}: damaged"):
            list(read_pool(tmp_path / name))


@pytest.mark.parametrize("pack", [gzip.compress, lambda raw: pa.compress(raw, "zstd", asbytes=True)])
def test_packed_pieces_one_after_the_other_are_one_file(tmp_path, pack):
    path = tmp_path / ("a.jsonl.gz" if pack is gzip.compress else "a.jsonl.zst")
    path.write_bytes(pack(ROW + b"\n" + ROW[:9]) + pack(ROW[9:] + b"\n"))
    assert len(list(read_pool(path))) == 2
