"""What batches of Arrow files unpack to, beside what Arrow unpacks."""

import io
import tempfile
from contextlib import suppress

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import limits, read_pool
from scar.pools.messages import unpacked

TEXTS = [f"text {n} " + "ab" * n for n in range(60)]
TABLE = pa.table(
    {
        "text": TEXTS,
        "word": pa.array(["x" * 500, "y", None] * 20).dictionary_encode(),
        "lists": [[n, None] * (n % 3) for n in range(60)],
        "nothing": pa.nulls(60),
    }
)
WAYS = {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}


def written(way, packing, table=TABLE, rows=25, metadata=pa.ipc.MetadataVersion.V5):
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=packing, metadata_version=metadata)
    with WAYS[way](sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink


def bytes_of(array):
    """Bytes of an array's buffers, those of its dictionary among them."""
    own = sum(buffer.size for buffer in array.buffers() if buffer)
    return own + (bytes_of(array.dictionary) if pa.types.is_dictionary(array.type) else 0)


def as_arrow_unpacks(stream):
    stream.seek(0)
    data = stream.read()
    opened = pa.ipc.open_file(data) if data[:6] == b"ARROW1" else pa.ipc.open_stream(data)
    batches = (
        [opened.get_batch(n) for n in range(opened.num_record_batches)] if data[:6] == b"ARROW1" else opened
    )
    return [sum(bytes_of(column) for column in batch.columns) for batch in batches]


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
@pytest.mark.parametrize("way", WAYS)
def test_it_is_what_arrow_unpacks(way, packing):
    stream = written(way, packing)
    assert list(unpacked(stream)) == as_arrow_unpacks(stream)
    whole = written(way, packing, rows=60)
    assert list(unpacked(whole)) == as_arrow_unpacks(whole) and len(list(unpacked(whole))) == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_packed_counts_nothing(way):
    assert list(unpacked(written(way, None))) == [0, 0, 0]
    assert list(unpacked(written(way, "zstd", TABLE.slice(0, 0)))) == []


def test_of_a_file_the_first_batches_can_be_left_out():
    stream = written("file", "zstd")
    assert [list(unpacked(stream, first)) for first in range(5)] == [
        list(unpacked(stream))[n:] for n in range(5)
    ]


@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
def test_bytes_that_are_no_messages_are_damage_and_nothing_else(way, data):
    whole = written(way, "zstd").getvalue()
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(6, len(whole) - 1))] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    cut = bytes(damaged[: data.draw(st.integers(0, len(whole)))])
    for content in (bytes(damaged), cut, whole[: len(cut)]):
        with tempfile.TemporaryFile() as file, suppress(pa.ArrowInvalid):
            file.write(content)
            assert all(size >= 0 for size in unpacked(file))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bits", [31, 44, 62, 63])
def test_a_place_that_leads_out_of_the_file_is_damage(way, bits, tmp_path):
    """Each number of 64 bits, in turn: offsets, lengths and counts among them."""
    whole = written(way, "zstd").getvalue()
    for at in range(8, len(whole) - 8, 8):
        damaged = bytearray(whole)
        damaged[at : at + 8] = ((1 << bits) - 8).to_bytes(8, "little")
        (tmp_path / "a").write_bytes(damaged)
        with open(tmp_path / "a", "rb") as file, suppress(pa.ArrowInvalid):
            assert all(size >= 0 for size in unpacked(file))


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
@pytest.mark.parametrize("way", WAYS)
def test_a_batch_that_cannot_be_held_is_refused_before_it_is_unpacked(way, packing, tmp_path, monkeypatch):
    rows = pa.table({"instruction": ["i"] * 3, "response": ["short", "x" * (64 << 20), "short"]})
    (tmp_path / "a.arrow").write_bytes(written(way, packing, rows, rows=1).getvalue())
    monkeypatch.setattr(limits, "HELD", 32 << 20)
    before, records = pa.total_allocated_bytes(), []
    with pytest.raises(
        InputError, match=r"a\.arrow: damaged: a batch of 64 MiB; write it in smaller batches"
    ):
        records.extend(read_pool(tmp_path / "a.arrow"))
    assert pa.total_allocated_bytes() - before < 32 << 20
    monkeypatch.setattr(limits, "HELD", 65 << 20)
    assert len(list(read_pool(tmp_path / "a.arrow"))) == 3
