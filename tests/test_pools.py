"""Every row of a pool is read, once, from where it stands; what cannot be read is a value with a reason."""

import gzip
import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import JsonRow, RowReader, cut, find, read_pool, read_tiers, rows_of, source
from scar.pools.source import BOM
from scar.records import Address, Reason, Record, SetAside
from scar.settings import Reading
from tests.make import pool_rows, tier_rows, write_jsonl

ROW = b'{"instruction": "Ask.", "response": "Answer."}'


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


def raws(path):
    return [(row.address.line, row.raw) for row in rows_of(find(path))]


def names(where):
    return [file.name for file in find(where)]


def test_a_pool_is_a_file_a_folder_a_glob_or_several(tmp_path, monkeypatch):
    for name in ("b.jsonl", "a.jsonl.gz", "deep/c.jsonl", "notes.txt", "deep/model.json"):
        write(tmp_path / name, ROW)
    assert names(tmp_path / "b.jsonl") == ["b.jsonl"]
    assert names(str(tmp_path)) == ["a.jsonl.gz", "b.jsonl", "deep/c.jsonl"]
    assert names(tmp_path / "*.jsonl*") == ["a.jsonl.gz", "b.jsonl"]
    assert names([tmp_path / "b.jsonl", tmp_path / "deep"]) == ["b.jsonl", "c.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert names("**/*.jsonl") == ["b.jsonl", "deep/c.jsonl"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    write(tmp_path / "a[1].jsonl", ROW)
    write(tmp_path / "a1.jsonl", ROW)
    assert names(tmp_path / "a[1].jsonl") == ["a[1].jsonl"]


def test_our_own_run_folders_and_hidden_files_are_no_pools(tmp_path):
    for name in (
        "a.jsonl",
        "a.jsonl.run/set_aside.jsonl",
        "a.jsonl.run/ledger/0.json",
        ".b.jsonl",
        ".cache/c.jsonl",
    ):
        write(tmp_path / name, ROW)
    assert names(tmp_path) == ["a.jsonl"]


def test_a_chunk_of_huge_rows_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr("scar.pools.chunks.CHUNK_BYTES", 100)
    rows = [{"instruction": "i", "response": "x" * 90}] * 3 + [{"instruction": "i", "response": "y"}] * 3
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    assert [chunk.rows for chunk in cut(find(path), 1000)[1]] == [1, 1, 1, 3]


def test_two_files_of_one_name_are_refused(tmp_path):
    write(tmp_path / "x" / "a.jsonl", ROW)
    write(tmp_path / "y" / "a.jsonl", ROW)
    with pytest.raises(InputError, match="a.jsonl twice.*folder"):
        find([tmp_path / "x", tmp_path / "y"])
    assert names(tmp_path) == ["x/a.jsonl", "y/a.jsonl"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("none.jsonl", "no such file"),
        ("*.jsonl", "no such file"),
        ("folder", "no pool files"),
        ("a.txt", "not a pool file"),
    ],
)
def test_a_place_without_a_pool_is_named(tmp_path, place, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(InputError) as error:
        find(tmp_path / place)
    assert place in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("data", [b"", b"\n \t\r\n", BOM])
def test_a_pool_without_a_row_is_an_error_that_names_the_file(tmp_path, data):
    with pytest.raises(InputError, match="empty.*a.jsonl"):
        cut(find(write(tmp_path / "a.jsonl", data)), 10)


def test_an_empty_file_among_others_is_no_error(tmp_path):
    write(tmp_path / "a.jsonl", b"")
    write(tmp_path / "b.jsonl", ROW)
    facts, chunks = cut(find(tmp_path), 10)
    assert [(fact.name, fact.rows) for fact in facts] == [("a.jsonl", 0), ("b.jsonl", 1)]
    assert [(chunk.file, chunk.row, chunk.rows) for chunk in chunks] == [("b.jsonl", 0, 1)]
    assert len(list(read_pool(tmp_path))) == 1


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


line_texts = st.sampled_from([ROW, b'{"a": 1}', b"no json", b"", b"  ", b"\xff\xfe"])
line_ends = st.sampled_from([b"\n", b"\r\n"])
file_texts = st.builds(
    lambda mark, body, last: mark + b"".join(text + end for text, end in body) + last,
    st.sampled_from([b"", BOM]),
    st.lists(st.tuples(line_texts, line_ends), max_size=9),
    line_texts,
)


@settings(deadline=None, max_examples=80)
@given(
    texts=st.lists(st.tuples(file_texts, st.booleans()), min_size=1, max_size=3), chunk_rows=st.integers(1, 5)
)
def test_chunks_partition_the_rows_and_never_straddle_files(texts, chunk_rows):
    with tempfile.TemporaryDirectory() as folder:
        data = {f"{number}.jsonl{'.gz' * zipped}": text for number, (text, zipped) in enumerate(texts)}
        for name, text in data.items():
            write(Path(folder) / name, text)
        expected = [
            (name, number, line)
            for name, text in data.items()
            for number, line in enumerate(text.removeprefix(BOM).split(b"\n"), start=1)
            if line.strip()
        ]
        if not expected:
            with pytest.raises(InputError):
                cut(find(folder), chunk_rows)
            return
        facts, chunks = cut(find(folder), chunk_rows)
        for fact in facts:
            stored = (Path(folder) / fact.name).read_bytes()
            assert (fact.bytes, fact.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
            assert fact.rows == sum(name == fact.name for name, _, _ in expected)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert [row for chunk in chunks for row in range(chunk.row, chunk.row + chunk.rows)] == list(
        range(len(expected))
    )
    for chunk in chunks:
        rows = expected[chunk.row : chunk.row + chunk.rows]
        after = expected[chunk.row + chunk.rows :][:1]
        assert {name for name, _, _ in rows} == {chunk.file}
        assert chunk.rows == chunk_rows or not after or after[0][0] != chunk.file
        assert (chunk.file, chunk.line) == rows[0][:2]
        at = data[chunk.file][chunk.offset :].removeprefix(BOM if chunk.offset == 0 else b"")
        assert at.split(b"\n")[0] == rows[0][2]


def test_rows_are_numbered_through_the_whole_pool(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", pool_rows(3))
    write(tmp_path / "b.jsonl", b"\n" + ROW + b"\nbad\n" + ROW)
    assert [item.address for item in read_pool(tmp_path)] == [
        Address(0, "a.jsonl", 1),
        Address(1, "a.jsonl", 2),
        Address(2, "a.jsonl", 3),
        Address(3, "b.jsonl", 2),
        Address(4, "b.jsonl", 3),
        Address(5, "b.jsonl", 4),
    ]


def test_files_of_one_pool_may_have_different_layouts(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", pool_rows(1))
    write_jsonl(tmp_path / "b.jsonl", tier_rows(1))
    assert [item.part for item in read_pool(tmp_path)] == [None, "human", "referenced", "direct"]


def test_two_rows_of_one_id_are_two_records(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{"id": "x", "instruction": "Ask.", "response": "A"}] * 2)
    assert [(item.id, item.address.row) for item in read_pool(path)] == [("x", 0), ("x", 1)]


def test_strict_stops_at_the_first_row_set_aside_and_says_where(tmp_path):
    path = write(tmp_path / "a.jsonl", ROW + b"\n\nbad\n[]\n")
    read = read_pool(path, Reading(strict=True))
    assert isinstance(next(read), Record)
    with pytest.raises(InputError, match="a.jsonl, line 3: invalid_json"):
        next(read)


def test_responses_picks_one_response_of_each_row(tmp_path):
    rows = [*tier_rows(2), {"id": "x", "instruction": "Ask.", "responses": {"human": "H"}}]
    items = list(read_pool(write_jsonl(tmp_path / "a.jsonl", rows), Reading(responses="direct")))
    assert [item.response for item in items[:2]] == [row["responses"]["direct"] for row in rows[:2]]
    assert (items[2].reason, items[2].id) == (Reason.MISSING_RESPONSE, "x")
    assert "'direct'" in items[2].detail


def test_responses_leaves_rows_of_one_response_alone(tmp_path):
    path = write(tmp_path / "a.jsonl", ROW)
    assert list(read_pool(path, Reading(responses="direct"))) == list(read_pool(path))


def test_carried_columns_stand_beside_each_row(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [*pool_rows(2), b"bad"])
    files = find(path)
    reader = RowReader(files, Reading(), ["source"])
    assert [reader.parse(row).carried for row in rows_of(files)] == [("s0",), ("s1",), (None,)]


def test_a_layout_is_told_by_the_readable_rows_of_a_file_that_starts_badly(tmp_path):
    path = write(tmp_path / "a.jsonl", b"bad\n[]\n" + json.dumps(tier_rows(1)[0]).encode())
    assert [item.part for item in read_pool(path)][2:] == ["human", "referenced", "direct"]


def test_tiers_are_read_whole_and_bad_rows_with_their_reason(tmp_path):
    rows = tier_rows(2)
    good, bad, last = read_tiers(write_jsonl(tmp_path / "a.jsonl", [rows[0], b"bad", rows[1]]))
    assert (good.responses, good.id) == (rows[0]["responses"], "t0-0")
    assert (bad.reason, bad.address.line, last.address.line) == (Reason.INVALID_JSON, 2, 3)


def test_tiers_are_refused_where_rows_have_one_response(tmp_path):
    with pytest.raises(InputError, match="a.jsonl"):
        list(read_tiers(write_jsonl(tmp_path / "a.jsonl", pool_rows(2))))


WHY = {
    Reason.INVALID_JSON: (2, 31, 32, 33),
    Reason.NOT_AN_OBJECT: (27, 28, 29, 30),
    Reason.MISSING_RESPONSE: (5, 7),
    Reason.MISSING_INSTRUCTION: (6, 8),
    Reason.EMPTY_RESPONSE: (9, 10),
    Reason.EMPTY_INSTRUCTION: (11,),
    Reason.RESPONSE_NOT_TEXT: (21, 22, 23, 24),
    Reason.INSTRUCTION_NOT_TEXT: (25,),
}


def test_every_dirty_line_is_read_as_its_sheet_expects(scar_data):
    folder = scar_data / "formats"
    text = (folder / "dirty.jsonl").read_bytes().split(b"\n")
    expected = {e["line"]: e["expect"] for e in map(json.loads, (folder / "dirty_expected.jsonl").open("rb"))}
    items = {item.address.line: item for item in read_pool(folder / "dirty.jsonl")}
    why = {line: reason for reason, of in WHY.items() for line in of}
    assert sorted(why) == [line for line, expect in expected.items() if expect == "reject"]
    assert len(expected) == len(text)
    for line, expect in expected.items():
        if expect == "skip":
            assert line not in items
        elif expect == "reject":
            assert items[line].reason == why[line], line
        elif expect == "accept" or isinstance(items[line], Record):
            row = json.loads(text[line - 1])
            assert (items[line].turns[0].text, items[line].response) == (
                row["instruction"],
                row["response"],
            ), line
    assert len(items[12].response) >= 190_000


def test_lines_of_bad_bytes_leave_the_good_ones_alone(scar_data):
    items = list(read_pool(scar_data / "formats" / "dirty_bytes.jsonl"))
    assert [item.address.line for item in items] == [1, 2, 3, 4, 5, 6, 7]
    assert [item.response for item in items if isinstance(item, Record)] == ["Yes.", "Yes."]
    json_, utf8 = Reason.INVALID_JSON, Reason.INVALID_UTF8
    assert [item.reason for item in items if isinstance(item, SetAside)] == [utf8, utf8, json_, json_, utf8]
