"""A pool is cut into chunks that hold every row once."""

import hashlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import cut, find, read_pool
from scar.pools.source import BOM
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
