"""The same rows in every type of file that a pool may be."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq

from scar.pools import PoolFile, find

KINDS = ("jsonl", "jsonl.gz", "jsonl.zst", "json", "csv", "parquet", "arrow", "stream.arrow", "saved", "hub")


def lines_of(rows):
    """Give rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def csv_of(rows):
    """Give rows as csv, nested values as JSON text, an absent one as nothing."""
    header = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(header)
    for row in rows:
        writer.writerow(_cell(row.get(name)) for name in header)
    return out.getvalue().encode()


def _cell(value):
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def write_as(kind, folder, rows, stem="rows"):
    """Write rows as one type of file; give the files that the pool has then."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}.{kind}"
    if kind == "saved":
        from datasets import Dataset

        Dataset.from_list(rows).save_to_disk(folder / stem)
        return find(folder / stem)
    if kind == "hub":
        from scar.pools.hub import Split

        write_as("parquet", folder / stem, rows)
        return [
            PoolFile("made/rows", "made/rows:train", "hub", Split(str(folder / stem), None, None, "train"))
        ]
    if kind.endswith(("parquet", "arrow")):
        _columnar(kind, path, pa.Table.from_pylist(rows))
    else:
        path.write_bytes(_text(kind, rows))
    return find(path)


def _columnar(kind, path, table):
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=2)
        return
    new = pa.ipc.new_stream if kind == "stream.arrow" else pa.ipc.new_file
    with new(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


def _text(kind, rows):
    lines = lines_of(rows)
    return {
        "jsonl": lambda: lines,
        "jsonl.gz": lambda: gzip.compress(lines),
        "jsonl.zst": lambda: pa.compress(lines, "zstd", asbytes=True),
        "json": lambda: json.dumps(rows, ensure_ascii=False, indent=2).encode(),
        "csv": lambda: csv_of(rows),
    }[kind]()
