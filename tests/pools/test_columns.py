"""Columnar files: Parquet, Arrow and saved data sets, each value as its type says."""

import datetime
import decimal
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

from scar.errors import InputError
from scar.formats import detect
from scar.pools import cut, find, read_pool, rows_of, source
from scar.pools.columns import BATCH_ROWS
from scar.pools.pieces import Most
from scar.records import Reason, Record, SetAside
from tests.files import write_as
from tests.make import pool_rows


def table(n=3, **more):
    return pa.table({"instruction": [f"i{k}" for k in range(n)], "response": ["r"] * n, **more})


def written(path, data, **more):
    if path.suffix == ".parquet":
        pq.write_table(data, path, **more)
    else:
        with (pa.ipc.new_stream if "stream" in path.name else pa.ipc.new_file)(path, data.schema) as writer:
            writer.write_table(data, **more)
    return path


FILES = ("a.parquet", "a.arrow", "a.stream.arrow")


@pytest.mark.parametrize("size", [1, 2, 700, 5000])
@pytest.mark.parametrize("name", FILES)
def test_rows_are_numbered_through_groups_of_any_size(name, size, tmp_path):
    n = 2500 if size > 2 else 50
    more = {"row_group_size": size} if name == "a.parquet" else {"max_chunksize": size}
    path = written(tmp_path / name, table(n), **more)
    rows = list(source(find(path)[0]).rows(7))
    assert [(row.address.row, row.address.line) for row in rows] == [(7 + k, k + 1) for k in range(n)]
    assert [row.decode()["instruction"] for row in rows] == [f"i{k}" for k in range(n)]
    pieces = list(source(find(path)[0]).pieces(Most(1, 1)))
    assert [(piece.start.offset, piece.start.line) for piece in pieces] == [(k, k + 1) for k in range(n)]
    assert max(row.batch.num_rows for row in rows) <= BATCH_ROWS


def test_a_chunk_of_heavy_rows_ends_early_by_the_mean_of_its_group(tmp_path, monkeypatch):
    heavy = table(20, text=[random.Random(k).randbytes(500).hex() for k in range(20)])
    path = written(tmp_path / "a.parquet", heavy, row_group_size=10)
    size = next(source(find(path)[0]).marks()).size
    assert size > 1000
    monkeypatch.setattr("scar.pools.chunks.CHUNK_BYTES", 3 * size)
    facts, chunks = cut(find(path), 1000)
    assert facts[0].rows == sum(chunk.rows for chunk in chunks) == 20
    assert max(chunk.rows for chunk in chunks) <= 4
    assert [chunk.offset for chunk in chunks] == [chunk.row for chunk in chunks]


VALUES = {
    "when": (pa.array([datetime.datetime(2020, 1, 2, 3)], pa.timestamp("us")), "2020-01-02 03:00:00.000000"),
    "fine": (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
    "day": (pa.array([datetime.date(2020, 1, 2)]), "2020-01-02"),
    "money": (pa.array([decimal.Decimal("1.10")]), "1.10"),
    "in": (pa.array([{"d": decimal.Decimal("1.10"), "n": None}]), {"d": "1.10", "n": None}),
    "bytes": (pa.array([b"\xff\x00"]), "/wA="),
    "nan": (pa.array([float("nan")]), None),
    "deep nan": (pa.array([[{"x": [float("inf"), 1.5]}]]), [{"x": [None, 1.5]}]),
    "map": (pa.array([[("k", float("nan"))]], pa.map_(pa.string(), pa.float64())), [["k", None]]),
    "word": (pa.array(["w"]).dictionary_encode(), "w"),
    "large": (pa.array(["é\n"], pa.large_string()), "é\n"),
    "view": (pa.array(["v"], pa.string_view()), "v"),
    "unsigned": (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
    "exact": (pa.array([2**53 + 1]), 2**53 + 1),
    "half": (pa.array([1.5], pa.float16()), 1.5),
    "flag": (pa.array([True]), True),
    "nothing": (pa.nulls(1), None),
    "span": (pa.array([5], pa.duration("s")), "5"),
    "odd span": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), [1, 2, 3]),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_any_type_has_a_spelling_in_json(name, tmp_path):
    values, expected = VALUES[name]
    (row,) = rows_of(find(written(tmp_path / "a.arrow", table(1, x=values))))
    assert isinstance(row.decode(), dict)
    assert json.loads(row.json(), parse_constant=pytest.fail)["x"] == expected
    assert row.arrow().column("x").to_pylist() == values.to_pylist() or "nan" in name or name == "map"


def broken_texts(texts):
    offsets = [0]
    for text in texts:
        offsets.append(offsets[-1] + len(text))
    buffers = [None, pa.array(offsets, pa.int32()).buffers()[1], pa.py_buffer(b"".join(texts))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


@pytest.mark.parametrize("name", FILES)
def test_a_text_that_is_not_utf8_is_its_own_rows_fault_alone(name, tmp_path):
    texts = broken_texts([b"good", b"\xff\xfe", b"fine", b"cut \xe4\xb8"])
    path = written(tmp_path / name, table(4).set_column(1, "response", texts))
    items = list(read_pool(path))
    assert [isinstance(item, Record) for item in items] == [True, False, True, False]
    assert [(i.reason, i.address.line) for i in items if isinstance(i, SetAside)] == [
        (Reason.INVALID_UTF8, 2),
        (Reason.INVALID_UTF8, 4),
    ]
    assert items[2].response == "fine"


@pytest.mark.parametrize("name", FILES)
def test_two_columns_of_one_name_are_refused(name, tmp_path):
    data = pa.table([["i"], ["r"], ["s"]], names=["instruction", "response", "response"])
    with pytest.raises(InputError, match=f"{name}: two columns are named 'response'; rename one"):
        list(read_pool(written(tmp_path / name, data)))


def test_a_cache_beside_a_saved_data_set_is_no_part_of_it(tmp_path):
    files = write_as("saved", tmp_path, pool_rows(3))
    written(tmp_path / "rows" / "cache-1234.arrow", table())
    assert [file.name for file in find(tmp_path / "rows")] == [file.name for file in files]
    assert len(list(read_pool(tmp_path / "rows"))) == 3


def test_a_saved_data_set_that_lost_a_shard_is_refused(tmp_path):
    Dataset.from_list([{"instruction": "i", "response": "r"}] * 4).save_to_disk(tmp_path / "d", num_shards=2)
    gone = next((tmp_path / "d").glob("data-00000*.arrow"))
    gone.unlink()
    with pytest.raises(InputError, match=f"is not whole: {gone.name} is missing"):
        find(tmp_path)


def test_a_state_of_something_else_is_no_matter(tmp_path):
    (tmp_path / "state.json").write_text('{"step": 3}')
    write_as("jsonl", tmp_path, [{"instruction": "i", "response": "r"}])
    assert [file.name for file in find(tmp_path)] == ["rows.jsonl"]


def test_a_saved_dictionary_of_splits_is_one_pool(tmp_path):
    from datasets import Dataset, DatasetDict

    splits = {"train": Dataset.from_list(pool_rows(3)), "test": Dataset.from_list(pool_rows(2))}
    DatasetDict(splits).save_to_disk(tmp_path / "all")
    items = list(read_pool(tmp_path / "all"))
    assert [item.address.row for item in items] == [0, 1, 2, 3, 4]
    assert {item.address.file.split("/")[0] for item in items} == {"train", "test"}


def test_layouts_joined_in_one_table_are_told_by_what_is_not_null(tmp_path):
    row = {
        "instruction": None,
        "response": None,
        "output": None,
        "messages": None,
        "prompt": "q",
        "completion": "a",
    }
    data = pa.Table.from_pylist([row, row])
    path = written(tmp_path / "a.parquet", data)
    assert [(item.turns[0].text, item.response) for item in read_pool(path)] == [("q", "a")] * 2
    assert detect([row], "auto", {}, "f").name == "prompt-completion"


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_off_or_of_another_type_is_named(name, tmp_path):
    path = written(tmp_path / name, table(100))
    whole = path.read_bytes()
    for data in (whole[: len(whole) // 2], whole[: len(whole) // 10], b"no such thing, but text", b""):
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"{name}: damaged"):
            list(read_pool(path))


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_an_error_that_names_the_file_or_another_value(name, tmp_path):
    path = written(tmp_path / name, table(30, more=[{"a": [k]} for k in range(30)]))
    whole, rng, told = path.read_bytes(), random.Random(name), 0
    for _ in range(60):
        data = bytearray(whole)
        # The first 64 bytes of Arrow hold lengths, which may ask for more memory than there is.
        data[rng.randrange(64, len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            cut(find(path), 10)
            list(read_pool(path))
        except InputError as error:
            told += 1
            assert name in str(error)
        except MemoryError:
            pass
    assert told


def test_a_dictionary_of_more_values_than_rows_is_legitimate(tmp_path):
    words = pa.array(["x", "y", "z"]).dictionary_encode()
    table = pa.table({"instruction": ["i"], "response": ["r"], "word": words.take(pa.array([2]))})
    pq.write_table(table, tmp_path / "p.parquet")
    (item,) = read_pool(tmp_path / "p.parquet")
    assert item.response == "r"
