"""Valid files of every type, and what chance makes of them."""

import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from tests.files import csv_of, lines_of

LAYOUTS = {
    "plain": lambda k: {"instruction": f"Ask {k}.", "response": "é" * (k % 9) + "a", "n": k},
    "alpaca": lambda k: {"instruction": f"i{k}", "input": "", "output": f"o{k}"},
    "messages": lambda k: {
        "messages": [{"role": "user", "content": f"q{k}"}, {"role": "assistant", "content": "a"}]
    },
    "preference": lambda k: {"prompt": f"p{k}", "chosen": "good", "rejected": "bad"},
}


def table_bytes(rows, kind, rng):
    """Give rows as a columnar file, written one way of many."""
    table, out = pa.Table.from_pylist(rows), io.BytesIO()
    if kind == "parquet":
        pq.write_table(
            table,
            out,
            row_group_size=rng.choice([3, 10, 100]),
            compression=rng.choice(["none", "snappy", "zstd", "gzip", "brotli", "lz4"]),
            use_dictionary=rng.random() < 0.5,
            data_page_version=rng.choice(["1.0", "2.0"]),
            write_statistics=rng.random() < 0.5,
            store_schema=rng.random() < 0.5,
        )
        return out.getvalue()
    if rng.random() < 0.3:
        names = [name for name in table.schema.names if pa.types.is_string(table.schema.field(name).type)]
        for name in names:
            place = table.schema.get_field_index(name)
            table = table.set_column(place, name, table.column(name).dictionary_encode())
    options = pa.ipc.IpcWriteOptions(compression=rng.choice([None, "lz4", "zstd"]))
    with rng.choice([pa.ipc.new_file, pa.ipc.new_stream])(out, table.schema, options=options) as writer:
        writer.write_table(table.combine_chunks(), max_chunksize=rng.choice([4, 100]))
    return out.getvalue()


def zst(data):
    """Pack as a frame."""
    return pa.compress(data, "zstd", asbytes=True)


KINDS = {
    "jsonl": lambda rows, rng: lines_of(rows),
    "jsonl.gz": lambda rows, rng: gzip.compress(lines_of(rows)) + gzip.compress(lines_of(rows[:3])),
    "jsonl.zst": lambda rows, rng: zst(lines_of(rows)) + zst(lines_of(rows[:3])),
    "json": lambda rows, rng: json.dumps(
        rows, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1])
    ).encode(),
    "json.gz": lambda rows, rng: gzip.compress(json.dumps(rows).encode()),
    "csv": lambda rows, rng: csv_of(rows),
    "csv.zst": lambda rows, rng: zst(csv_of(rows)),
    "parquet": lambda rows, rng: table_bytes(rows, "parquet", rng),
    "arrow": lambda rows, rng: table_bytes(rows, "arrow", rng),
}
PACKED = {
    "gz": (gzip.decompress, gzip.compress),
    "zst": (lambda data: pa.CompressedInputStream(pa.BufferReader(data), "zstd").read(), zst),
}


def valid(kind, rng):
    """Give a file that is as it should be."""
    layout = rng.choice(list(LAYOUTS.values()))
    return KINDS[kind]([layout(k) for k in range(rng.choice([1, 12, 40]))], rng)


ODD = [
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b'"',
    b"{",
    b"[",
    b"]",
    b"}",
    b",",
    b"\\",
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f\xff\xff\xff",
    b"\xef\xbb\xbf",
]


def flipped(data, rng, _):
    """Flip one to eight bits."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def overwritten(data, rng, _):
    """Write something odd over a place; the end of a file, where tables keep their footer, is a likely one."""
    odd = rng.choice(ODD)
    at = rng.randrange(len(data)) if rng.random() < 0.5 else max(0, len(data) - 1 - rng.randrange(600))
    return data[:at] + odd + data[at + len(odd) :]


def inserted(data, rng, _):
    """Put something odd in."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(ODD) * rng.choice([1, 1, 50]) + data[at:]


def cut_off(data, rng, _):
    """Leave the end out."""
    return data[: rng.randrange(len(data))]


def cut_out(data, rng, _):
    """Leave a part out."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice([1, 4, 64]) :]


def spliced(data, rng, other):
    """Go on as another file does."""
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


HOW = (flipped, flipped, overwritten, inserted, cut_off, cut_out, spliced)


def mutated(kind, rng):
    """Give a file that is not as it should be; of a packed one sometimes what is in it."""
    data, other = valid(kind, rng), valid(kind, rng)
    inner = PACKED.get(kind.rpartition(".")[2]) if rng.random() < 0.5 else None
    if inner:
        data, other = inner[0](data), inner[0](other)
    data = rng.choice(HOW)(data, rng, other)
    return inner[1](data) if inner else data
