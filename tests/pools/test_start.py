"""Reading that begins at a chunk gives the rows that reading from the file's start gives."""

import gzip
import json
import struct
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import PoolFile, cut, find, read_chunks, rows_of
from scar.pools.packed import gunzip, unzstd
from scar.pools.source import BOM
from tests.files import write_as
from tests.make import pool_rows
from tests.pools.made import ROW, write


def told(rows):
    return [(row.address, row.decode(), row.json()) for row in rows]


def check_every_start(files, chunk_rows):
    """Plan, then read each chunk alone, every second one, the later half, and all of them."""
    whole = told(rows_of(files))
    if not whole:
        return []
    chunks = cut(files, chunk_rows)[1]
    for part in ([chunk] for chunk in chunks):
        ((chunk, rows),) = ((chunk, told(rows)) for chunk, rows in read_chunks(files, part))
        assert rows == whole[chunk.row : chunk.row + chunk.rows]
    for some in (chunks[::2], chunks[len(chunks) // 2 :], chunks):
        read = [row for _, rows in read_chunks(files, some) for row in told(rows)]
        assert read == [row for chunk in some for row in whole[chunk.row : chunk.row + chunk.rows]]
    return chunks


def in_pieces(data, cuts, pack):
    """Pack a file as several members or frames, empty ones among them."""
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(pack(data[a:b]) for a, b in zip(at, at[1:], strict=False))


def zst(data):
    return pa.compress(data, "zstd", asbytes=True)


def zst_streamed(data):
    """A frame that does not tell its size, between two that hold nothing to read."""
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(data)
    aside = struct.pack("<II", 0x184D2A53, 5) + b"aside"
    return aside + out.getvalue().to_pybytes() + aside


PACKS = {".gz": [gzip.compress], ".zst": [zst, zst_streamed]}
LINE = st.sampled_from(
    [ROW, ROW[:-1], b"", b" \t", b"\xff", BOM + ROW, b'{"a": "' + "é\u2028".encode() * 9 + b'"}']
)
LINES = st.builds(
    lambda mark, lines, last: mark + b"".join(line + end for line, end in lines) + last,
    st.sampled_from([b"", BOM]),
    st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n"])), max_size=12),
    LINE,
)
JSON_ROWS = st.lists(
    st.sampled_from([ROW, b'{"a":\n [1, {"b": "]}"}]}', b"nul", b"12", b'"t"', b'{"a": \xff}']), max_size=9
)
ARRAY = st.builds(
    lambda mark, rows, space: mark + b" [" + (b"," + space).join(rows) + space + b"]\n",
    st.sampled_from([b"", BOM]),
    JSON_ROWS,
    st.sampled_from([b"", b"\n", b"\r\n  "]),
)
CELLS = st.sampled_from(
    [b"i,r", b'"a\nb","c""d\r\n,"', b"one", b"", b" ", b'"x"y,z', b"\xff,r", b"a\rb,c", b'i,"open']
)
CSV = st.builds(
    lambda mark, rows, end, last: mark + end.join([b"instruction,response", *rows]) + end * last,
    st.sampled_from([b"", BOM, b"\n"]),
    st.lists(CELLS, max_size=12),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
LONGEST = st.sampled_from([48, 64 << 20])
"""How long a row may be: at 48 the one that most rows are is just short enough, with its line end."""
TEXT = {"jsonl": LINES, "json": ARRAY | LINES.map(lambda data: ROW + b"\n" + data), "csv": CSV}


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", TEXT)
def test_a_text_is_read_on_from_any_chunk(kind, packing, tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / f"a.{kind}{packing}"

    @given(TEXT[kind], st.integers(1, 4), st.lists(st.integers(0, 400), max_size=4), LONGEST, st.data())
    def check(data, chunk_rows, cuts, longest, drawn):
        packs = PACKS.get(packing)
        path.write_bytes(in_pieces(data, cuts, drawn.draw(st.sampled_from(packs))) if packs else data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("scar.pools.limits.LONGEST", longest)
            patch.setattr("scar.pools.start.BLOCK", 16)
            check_every_start([PoolFile(str(path), path.name, kind)], chunk_rows)

    check()


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.stream.arrow"])
def test_a_table_is_read_on_from_any_chunk(name, tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / name

    @given(st.lists(st.integers(0, 7), max_size=6), st.integers(1, 5))
    def check(sizes, chunk_rows):
        schema = pa.schema([("instruction", pa.string()), ("response", pa.string())])
        new = {"a.parquet": pq.ParquetWriter, "a.arrow": pa.ipc.new_file}.get(name, pa.ipc.new_stream)
        with new(str(path), schema) as writer:
            for number, size in enumerate(sizes):
                texts = [f"{number} {k}" for k in range(size)]
                writer.write_batch(pa.record_batch([texts, texts], schema=schema))
        for chunk in check_every_start(find(path), chunk_rows):
            grouped = name != "a.stream.arrow"
            assert chunk.group_at == (sum(sizes[: chunk.group]) if grouped else 0) <= chunk.offset
            assert not grouped or chunk.offset < chunk.group_at + sizes[chunk.group]

    check()


@pytest.mark.parametrize(
    "kind", ["jsonl", "jsonl.gz", "jsonl.zst", "json", "csv", "parquet", "arrow", "saved", "hub"]
)
def test_a_pool_of_any_kind_is_read_on_from_any_chunk(kind, tmp_path):
    rows = pool_rows(11)
    assert len(check_every_start(write_as(kind, tmp_path, rows), 3)) == 4


def test_files_in_memory_behind_a_url_are_read_on(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    for kind in ("jsonl", "jsonl.gz", "json", "csv", "parquet", "arrow"):
        (file,) = write_as(kind, tmp_path, pool_rows(9), "started")
        fsspec.filesystem("memory").pipe(f"/started/{file.name}", (tmp_path / file.name).read_bytes())
    files = find("memory://started/*")
    assert len(check_every_start(files, 4)) == 3 * 6


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zst), ("zst", zst_streamed)])
def test_a_chunk_knows_the_member_that_holds_its_first_row(suffix, pack, tmp_path):
    """Members of about 100 kB; a row lies across each border."""
    rows = [
        json.dumps({"instruction": f"i{k}", "response": "x" * (k * 7919 % 5000)}).encode() + b"\n"
        for k in range(400)
    ]
    data = b"".join(rows)
    path = tmp_path / f"a.jsonl.{suffix}"
    at = list(range(0, len(data), 100_003))
    members = [pack(data[a : a + 100_003]) for a in at]
    path.write_bytes(b"".join(members))
    packed_at = [sum(map(len, members[:n])) for n in range(len(members))]
    chunks = check_every_start(find(path), 16)
    for chunk in chunks:
        last = max(n for n, a in enumerate(at) if a <= chunk.offset)
        skipped = 13 if pack is zst_streamed else 0  # the frame that holds nothing stands before
        if last == 0:
            assert (chunk.group, chunk.group_at) == (skipped if chunk.group else 0, 0)
        else:
            assert (chunk.group, chunk.group_at) == (packed_at[last] + skipped, at[last])
        with open(path, "rb") as stream:
            stream.seek(chunk.group)
            blocks = (gunzip if suffix == "gz" else unzstd)(stream, chunk.group)
            start = chunk.offset - chunk.group_at
            first = b""
            while len(first) < start + len(rows[chunk.row]):
                first += next(blocks)[1]
        assert first[start : start + len(rows[chunk.row])] == rows[chunk.row]
    assert len({chunk.group for chunk in chunks}) > 5


def test_what_lies_before_a_member_is_not_read(tmp_path):
    path = write(tmp_path / "a.jsonl", b"")
    path = tmp_path / "b.jsonl.gz"
    members = [gzip.compress(ROW + b"\n" + bytes([10]) * 300_000) for _ in range(3)]
    path.write_bytes(b"".join(members))
    chunks = cut(find(path), 1)[1]
    path.write_bytes(b"\0" * len(members[0]) + members[1] + members[2])
    ((_, rows),) = ((chunk, told(rows)) for chunk, rows in read_chunks(find(path), chunks[2:]))
    assert rows[0][2] == ROW and rows[0][0].line == 600_003


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet", "a.arrow"])
def test_a_file_that_has_lost_rows_since_it_was_planned_is_named(name, tmp_path):
    kind = name.partition(".")[2]
    files = write_as(kind, tmp_path, pool_rows(9), "a")
    chunks = cut(files, 2)[1]
    write_as(kind, tmp_path, pool_rows(5), "a")
    with pytest.raises(InputError, match=f"{name}: "):
        for _, rows in read_chunks(files, chunks):
            list(rows)
    with pytest.raises(InputError, match=f"{name}: (changed while it was read|damaged)"):
        for _, rows in read_chunks(files, chunks[-1:]):
            list(rows)


def test_rows_that_are_not_taken_are_passed_over(tmp_path):
    files = write_as("jsonl", tmp_path, pool_rows(9))
    chunks = cut(files, 3)[1]
    first = [next(rows).address.row for _, rows in read_chunks(files, chunks)]
    assert first == [0, 3, 6]


def test_files_are_closed_when_the_chunks_are_done_with(tmp_path, monkeypatch):
    files = write_as("jsonl", tmp_path, pool_rows(9))
    opened = []
    real = PoolFile.open
    monkeypatch.setattr(PoolFile, "open", lambda *args: opened.append(real(*args)) or opened[-1])
    chunks = cut(files, 2)[1]
    opened.clear()
    parts = read_chunks(files, [chunks[0], chunks[1], chunks[3], chunks[4]])
    for _, rows in parts:
        next(rows)
    assert len(opened) == 2 and all(stream.closed for stream in opened)
    parts = read_chunks(files, chunks)
    next(next(parts)[1])
    parts.close()
    assert opened[-1].closed


def test_a_stamp_changes_when_a_file_is_touched(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    (file,) = write_as("jsonl", tmp_path, pool_rows(3))
    before = file.stamp()
    assert before == replace(file).stamp()
    data = (tmp_path / "rows.jsonl").read_bytes()
    (tmp_path / "rows.jsonl").write_bytes(data.replace(b"what", b"when"))
    assert file.stamp() != before
    store = fsspec.filesystem("memory")
    store.pipe("/stamped/a.jsonl", data)
    before = find("memory://stamped")[0].stamp()
    assert before and before == find("memory://stamped")[0].stamp()
    store.pipe("/stamped/a.jsonl", data)
    assert find("memory://stamped")[0].stamp() != before
