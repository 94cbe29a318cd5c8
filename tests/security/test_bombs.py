"""Files that are small and hold much: read as streams, in bounded memory, nothing lost."""

import gzip
import io
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scar.errors import InputError
from scar.pools import cut, find, read_pool
from scar.pools.pages import VALUES, groups
from scar.pools.thrift import read_struct
from scar.records import Reason
from tests.pools.made import ROW
from tests.security.bounded import read

GIB = 1 << 30
FIRST, LAST = ROW + b"\n", b"\n" + ROW + b"\n"


def packed(path, parts):
    """Write parts, each so many times a block, packed; nothing of it is held."""
    if path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as out:
            for block, times in parts:
                for _ in range(times):
                    out.write(block)
        return path
    pack = zlib.compressobj(1, wbits=31)
    with open(path, "wb") as out:
        for block, times in parts:
            for _ in range(times):
                out.write(pack.compress(block))
        out.write(pack.flush())
    return path


MIB = 1 << 20
LONG = {
    "a.jsonl": ([(FIRST, 1), (bytes(MIB), 2048), (LAST, 1)], 3, [[0, 1], [1, 2], [2, 3]]),
    "blank.jsonl": (
        [(FIRST, 1), (b" " * MIB, 1024), (b"\n" * MIB, 4), (LAST, 1)],
        2,
        [[0, 1], [1, 3 + 4 * MIB]],
    ),
    "a.json": (
        [
            (b"[" + ROW + b',{"a":"', 1),
            (b"\\\\" * (MIB // 2), 80),
            (b'"},[', 1),
            (b"[" * 1000, 100),
            (b'"', 1),
            (b"]" * MIB, 80),
            (b'"', 1),
            (b"]" * 1000, 100),
            (b"],", 1),
            (b"[" * MIB, 36),
            (b"]" * MIB, 36),
            (b"," + ROW + b"]", 1),
            (b" " * MIB, 256),
        ],
        5,
        [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]],
    ),
    "a.csv": (
        [
            (b"instruction,response\ni,r\ni,", 1),
            (b"x" * MIB, 512),
            (b'\ni,r\ni,"', 1),
            (b"y\n" * (MIB // 2), 1),
            (b"z" * MIB, 512),
            (b"\ni,r\n", 1),
        ],
        5,
        [[0, 2], [1, 3], [2, 4], [3, 5], [4, 6 + MIB // 2]],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "packing"),
    [(name, kind) for name in LONG for kind in ("gz", "zst") if (name, kind) != ("a.json", "zst")],
)
def test_a_row_without_an_end_is_set_aside_and_not_held(name, packing, tmp_path):
    parts, rows, addresses = LONG[name]
    path = packed(tmp_path / f"{name}.{packing}", parts)
    assert path.stat().st_size < 12 * MIB
    told = read(path)
    assert told["error"] is None
    assert told["rows"] == told["planned"] == sum(told["items"].values()) == rows
    assert told["addresses"] == addresses
    aside = rows - told["items"]["record"]
    assert told["items"].get("too_long", 0) == aside and (aside or "blank" in name)
    assert told["mib"] < 600


@pytest.mark.slow
def test_a_gzip_of_nothing_but_members_is_read(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"") * 200_000 + gzip.compress(ROW) + bytes(MIB))
    told = read(path)
    assert (told["rows"], told["items"]) == (1, {"record": 1}) and told["mib"] < 300


def table(path, columns, **more):
    pq.write_table(pa.table(columns), path, **more)
    return path


@pytest.mark.slow
def test_a_text_that_stands_in_every_row_is_not_held_for_each(tmp_path):
    """30 GB of text in 100 kB: one dictionary of one value of 10 MB, written once."""
    text = "x" * (10 * MIB)
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), [text])
    path = table(
        tmp_path / "a.parquet",
        {"instruction": ["i"] * 3000, "response": rows},
        compression="zstd",
        store_schema=False,
    )
    assert path.stat().st_size < 100_000
    (file,) = find(path)
    chunks = cut([file], 1024)[1]
    assert max(chunk.rows for chunk in chunks) == 7  # 64 MiB of text
    told = read(path, rows=100)
    assert told["error"] is None and told["items"] == {"record": told["rows"]} and told["mib"] < 1500


@pytest.mark.slow
def test_a_dictionary_of_a_column_of_that_type_is_not_held_for_each_row(tmp_path):
    rows = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 2000, pa.int32()), ["x" * (10 * MIB), "y"])
    columns = {"instruction": ["i"] * 4000, "response": rows}
    with pa.ipc.new_file(tmp_path / "a.arrow", pa.table(columns).schema) as writer:
        writer.write_table(pa.table(columns))
    for path in (table(tmp_path / "a.parquet", columns), tmp_path / "a.arrow"):
        told = read(path, rows=60)
        assert told["error"] is None and told["rows"] >= 60 and told["mib"] < 1500


REFERENCES = 100_000
WORD = pa.DictionaryArray.from_arrays(pa.array([0] * REFERENCES, pa.int32()), ["x" * MIB])
ENDS = [0, REFERENCES, REFERENCES, REFERENCES]
NESTED = {
    "list": pa.ListArray.from_arrays(ENDS, WORD),
    "map": pa.MapArray.from_arrays(ENDS, pa.array(range(REFERENCES)), WORD),
    "struct in a list": pa.ListArray.from_arrays(ENDS, pa.StructArray.from_arrays([WORD], ["a"])),
    "list of lists": pa.ListArray.from_arrays([0, 1, 1, 1], pa.ListArray.from_arrays([0, REFERENCES], WORD)),
}


@pytest.mark.parametrize("name, codec", zip(NESTED, ["zstd", "gzip"] * 2, strict=True))
def test_a_list_of_a_text_that_is_written_once_is_refused_before_it_is_held(name, codec, tmp_path):
    """100 GB of text in one row, in 50 kB."""
    columns = {"instruction": ["i"] * 3, "response": ["r"] * 3, "more": NESTED[name]}
    path = table(tmp_path / "a.parquet", columns, store_schema=False, compression=codec)
    assert path.stat().st_size < MIB
    told = read(path)
    assert "a.parquet: 3 neighbouring rows hold lists of 100," in told["error"] and told["mib"] < 1500


@pytest.mark.parametrize("name", [*NESTED, "view", "nulls"])
def test_a_row_of_an_arrow_file_that_is_written_once_and_stands_often_is_set_aside(name, tmp_path):
    arrays = {
        "view": pa.ListViewArray.from_arrays([0, 0, 0], [1 << 16, 1, 1], pa.array(["x" * 2000] * (1 << 16))),
        "nulls": pa.LargeListArray.from_arrays([0, 1 << 30, 1 << 30, 1 << 30], pa.nulls(1 << 30)),
    }
    columns = pa.table({"instruction": ["i"] * 3, "response": ["r"] * 3, "more": (NESTED | arrays)[name]})
    with pa.ipc.new_stream(tmp_path / "a.arrow", columns.schema) as writer:
        writer.write_table(columns)
    first, *others = read_pool(tmp_path / "a.arrow")
    assert first.reason is Reason.TOO_LONG and [item.response for item in others] == ["r", "r"]


def test_lists_of_texts_that_are_usual_are_read(tmp_path):
    """A text that stands in every row, beside others; in a dictionary of 2 MB, and too much for it."""
    rows = [["the same"] * 3 + [str(n) * 100] for n in range(30_000)]
    columns = {"instruction": ["i"] * 30_000, "response": ["r"] * 30_000, "more": rows}
    items = read_pool(table(tmp_path / "a.parquet", columns, dictionary_pagesize_limit=2 * MIB))
    assert sum(1 for _ in items) == 30_000


def test_a_value_that_is_too_long_is_its_own_rows_fault(tmp_path):
    columns = {"instruction": ["i"] * 3, "response": ["r", "x" * (65 * MIB), "r"]}
    for path in (
        table(tmp_path / "a.parquet", columns),
        table(tmp_path / "b.parquet", columns, use_dictionary=False),
    ):
        told = read(path)
        assert told["items"] == {"record": 2, "too_long": 1} and told["mib"] < 1500


@pytest.mark.slow
def test_a_page_that_cannot_be_held_is_refused_before_it_is(tmp_path):
    path = table(
        tmp_path / "a.parquet",
        {"instruction": ["i"], "response": ["x" * (600 * MIB)]},
        compression="zstd",
        use_dictionary=False,
        write_statistics=False,
    )
    assert path.stat().st_size < MIB
    told = read(path)
    assert (
        "a.parquet: the page at byte" in told["error"]
        and "has 600 MiB" in told["error"]
        and told["mib"] < 300
    )


@pytest.mark.slow
def test_a_text_that_begins_as_the_one_before_is_weighed_by_its_page(tmp_path):
    texts = ["x" * (4 * MIB) + str(k) for k in range(300)]
    path = table(
        tmp_path / "a.parquet",
        {"instruction": ["i"] * 300, "response": texts},
        use_dictionary=False,
        column_encoding={"instruction": "PLAIN", "response": "DELTA_BYTE_ARRAY"},
        write_statistics=False,
    )
    del texts
    assert path.stat().st_size < 10 * MIB
    told = read(path, rows=60)
    assert told["error"] is None and told["mib"] < 2000


def footer(path, change):
    """Change the footer of a Parquet file in place; of the same length."""
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    data[-8 - length : -8] = change(bytes(data[-8 - length : -8]))
    path.write_bytes(data)


@pytest.mark.parametrize("promised", [1, 299, 301, 2**13, 2**14 - 1])
def test_a_forged_number_of_rows_is_a_damaged_file(promised, tmp_path):
    """Everywhere in the footer where 300 stands as a number of rows or values, at once."""
    path = table(tmp_path / "a.parquet", {"instruction": ["i"] * 300, "response": ["r"] * 300})

    def varint(value):
        return (
            bytes([value * 2 & 0x7F | 0x80, value * 2 >> 7]) if value > 63 else bytes([value * 2 | 0x80, 0])
        )

    footer(path, lambda data: data.replace(varint(300), varint(promised)))
    told = read(path)
    assert "a.parquet: damaged" in told["error"] and told["mib"] < 300


def test_a_row_group_that_lacks_a_column_is_a_damaged_file(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"instruction": ["i"], "response": ["r"]}), path, store_schema=False)
    data = path.read_bytes()
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    (at,) = (
        at
        for at in range(start, len(data) - 8)
        # A list of two structs, each with one in its third field: what a column has.
        if data[at] == 0x2C and isinstance(read_struct(data, at + 1)[0].get(3), dict)
    )
    first = read_struct(data, at + 1)[1]
    less = data[start:at] + b"\x1c" + data[at + 1 : first] + data[read_struct(data, first)[1] : -8]
    path.write_bytes(data[:start] + less + len(less).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(InputError, match=r"a\.parquet: damaged"):
        list(read_pool(path))


def promising(rows, values=None):
    """Write a footer with a row group of so many rows, and a column of so many values, as Thrift's compact protocol."""

    def integer(value):
        number, out = value << 1 ^ value >> 63, b""
        while number > 0x7F:
            number, out = number >> 7, out + bytes([number & 0x7F | 0x80])
        return out + bytes([number])

    # Type, encodings, path, codec, values, sizes unpacked and packed, first page: fields 1 to 7, and 9.
    meta = (
        b"\x15\x0c\x19\x15\x00\x19\x18\x01a\x15\x00\x16"
        + integer(values or 0)
        + b"\x16\x02\x16\x02\x26\x08\x00"
    )
    columns = b"\x19\x0c" if values is None else b"\x19\x1c\x3c" + meta + b"\x00"
    footer = b"\x49\x1c" + columns + b"\x16\x00\x16" + integer(rows) + b"\x00\x00"
    return io.BytesIO(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def test_a_footer_that_promises_what_no_file_holds_is_refused_by_our_own_reading_of_it():
    assert [group.rows for group in groups(promising(5))] == [5]
    assert groups(promising(5, VALUES))[0].columns[0].values == VALUES
    for rows, values in ((1 << 40, None), (-1, None), (5, VALUES + 1)):
        with pytest.raises(pa.ArrowInvalid, match="row group 0 promises"):
            groups(promising(rows, values))


def test_a_footer_that_is_nested_without_end_is_refused():
    with pytest.raises(pa.ArrowInvalid, match="nested too deep"):
        read_struct(b"\x1c" * 100_000)
