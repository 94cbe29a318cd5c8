"""A pool is cut into chunks that hold every row once."""

import hashlib
import io
import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import cut, find, read_pool, source
from scar.pools import lines as lines_module
from scar.pools.pieces import Mark, Most, pieces
from scar.pools.source import BOM
from scar.pools.start import Start
from tests.make import write_jsonl
from tests.pools.made import ROW, write


def test_a_chunk_of_huge_rows_ends_early(tmp_path, monkeypatch):
    monkeypatch.setattr("scar.pools.chunks.CHUNK_BYTES", 100)
    rows = [{"instruction": "i", "response": "x" * 90}] * 3 + [{"instruction": "i", "response": "y"}] * 3
    path = write_jsonl(tmp_path / "p.jsonl", rows)
    assert [chunk.rows for chunk in cut(find(path), 1000)[1]] == [1, 1, 1, 3]


@pytest.mark.parametrize("data", [b"", b"\n \t\r\n", BOM])
def test_a_pool_without_a_row_is_an_error_that_names_the_file(tmp_path, data):
    with pytest.raises(InputError, match="empty.*a.jsonl"):
        cut(find(write(tmp_path / "a.jsonl", data)), 10)


def planned(sizes, most):
    """The rule, row by row: a chunk ends at so many rows, or once it has so many bytes."""
    chunks = []
    for size in sizes:
        if not chunks or len(chunks[-1]) >= most.rows or sum(chunks[-1]) >= most.bytes:
            chunks.append([])
        chunks[-1].append(size)
    return [len(chunk) for chunk in chunks]


MOST = st.builds(Most, st.integers(1, 9), st.integers(1, 120))
LINES = st.lists(
    st.sampled_from([b"", b" ", b"\r", b"\x0b\t", b"x", b" x", b"x" * 70, b"\xc2\x85", b"\x00"]), max_size=40
)


@given(
    MOST, st.sampled_from([b"", BOM, BOM + b"\n"]), LINES, st.booleans(), st.sampled_from([4, 7, 64, 1 << 20])
)
def test_lines_are_cut_as_the_rule_has_it_however_they_are_read(
    tmp_path_factory, most, mark, lines, ended, block
):
    path = tmp_path_factory.getbasetemp() / "rule.jsonl"
    data = mark + b"\n".join(lines) + b"\n" * ended
    path.write_bytes(data)
    old, lines_module.BLOCK = lines_module.BLOCK, block
    try:
        found = list(source(find(path)[0]).pieces(most))
    finally:
        lines_module.BLOCK = old
    each = [line.removeprefix(BOM) if n == 0 else line for n, line in enumerate(io.BytesIO(data))]
    rows = [(n, line) for n, line in enumerate(each, start=1) if line.strip()]
    assert [piece.rows for piece in found] == planned([len(line) for _, line in rows], most)
    firsts = itertools.accumulate([0] + [piece.rows for piece in found[:-1]])
    assert [piece.start.line for piece in found] == [rows[first][0] for first in firsts if rows]
    for piece in found:
        start = piece.start.offset
        assert data[:start].count(b"\n") == piece.start.line - 1 and data[start - 1 : start] in (b"", b"\n")


@given(MOST, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), max_size=8))
def test_groups_are_cut_as_the_rule_has_it_without_a_look_at_each_row(most, groups):
    marks, row = [], 0
    for number, (rows, size) in enumerate(groups):
        marks.append(Mark(Start(row, row + 1, number, row), size, rows))
        row += rows
    found = list(pieces(marks, most))
    assert [piece.rows for piece in found] == planned(
        [size for rows, size in groups for _ in range(rows)], most
    )
    row = 0
    for start, rows in found:
        assert (start.offset, start.line) == (row, row + 1)
        assert start.group_at <= row < start.group_at + groups[start.group][0]
        row += rows


def test_a_text_is_read_once_to_be_planned_and_hashed(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "scar.pools.hashed.Local.open", lambda _, place: opened.append(place) or open(place, "rb")
    )
    monkeypatch.setattr("scar.pools.places.sha256", lambda _: pytest.fail("read again"))
    data = {"a.jsonl": ROW * 3, "b.jsonl.gz": ROW, "c.csv": b"instruction,response\ni,r"}
    files = [find(write(tmp_path / name, text))[0] for name, text in data.items()]
    facts, _ = cut(files, 2)
    for fact in facts:
        stored = (tmp_path / fact.name).read_bytes()
        assert (fact.bytes, fact.sha256) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert [place.rpartition("/")[2] for place in opened] == list(data)


def test_an_empty_file_among_others_is_no_error(tmp_path):
    write(tmp_path / "a.jsonl", b"")
    write(tmp_path / "b.jsonl", ROW)
    facts, chunks = cut(find(tmp_path), 10)
    assert [(fact.name, fact.rows) for fact in facts] == [("a.jsonl", 0), ("b.jsonl", 1)]
    assert [(chunk.file, chunk.row, chunk.rows) for chunk in chunks] == [("b.jsonl", 0, 1)]
    assert len(list(read_pool(tmp_path))) == 1


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
