"""Rows/s and peak memory of reading each type of file: `scar.read_pool`, `datasets` (streamed), and the plain library.

    python serve/bench_read.py POOL [--rows 100000] [--rounds 3]

Every reading is a process of its own. `scar.read_pool` gives checked records with addresses; the two others give dicts.
Memory is the peak of the whole process.
"""

import argparse
import csv
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scar.pools import find, read_pool, rows_of
from scar.records import Record
from scar.serving.engines.machine import peak_memory

TYPES = ("jsonl", "jsonl.gz", "jsonl.zst", "json", "csv", "parquet", "arrow")
FIELDS = ("instruction", "response", "source")


def main() -> None:
    """Make the files, read each by each contender, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "pool", type=Path, help="plain rows; taken again from the start until there are enough"
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3, help="how much larger the large file is")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, metavar=("CONTENDER", "TYPE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        if arguments.child[0] == "datasets":
            import datasets  # noqa: F401  not on the clock
        started = time.perf_counter()
        number = READERS[arguments.child[0]](arguments.pool, arguments.child[1])
        seconds = time.perf_counter() - started
        print(json.dumps({"rows": number, "seconds": seconds, "mib": peak_memory() / 2**20}))
        return
    with tempfile.TemporaryDirectory() as temp:
        print(
            f"| type | {' | '.join(f'{name} rows/s' for name in READERS)} | MiB | MiB, {arguments.times}x rows |"
        )
        print("|---|" + "---|" * (len(READERS) + 2))
        for kind in TYPES:
            print(measured(Path(temp), kind, arguments), flush=True)


def measured(folder: Path, kind: str, arguments: argparse.Namespace) -> str:
    """Measure one type of file; gives its line of the table."""
    once, more = folder / f"once.{kind}", folder / f"more.{kind}"
    for path, rows in ((once, arguments.rows), (more, arguments.rows * arguments.times)):
        write(path, kind, rows_from(arguments.pool, rows))
    rounds = [{name: child(name, kind, once) for name in READERS} for _ in range(arguments.rounds)]
    cells = []
    for name in READERS:
        speeds = [each[name]["rows"] / each[name]["seconds"] for each in rounds if each[name]["rows"]]
        cells.append(f"{statistics.median(speeds):,.0f}" if speeds else "cannot read it")
    peaks = [statistics.median(each["scar"]["mib"] for each in rounds), child("scar", kind, more)["mib"]]
    once.unlink()
    more.unlink()
    return f"| {kind} | {' | '.join(cells)} | " + " | ".join(f"{peak:.0f}" for peak in peaks) + " |"


def child(name: str, kind: str, path: Path) -> dict[str, float]:
    """Read a file in a process of its own; no rows where the contender cannot."""
    command = [sys.executable, __file__, str(path), "--child", name, kind]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if process.returncode:
        return {"rows": 0, "seconds": 1, "mib": 0}
    told: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    return told


def rows_from(pool: Path, rows: int) -> Iterator[dict[str, Any]]:
    """Yield as many rows as asked for."""
    decoded = (row.decode() for row in rows_of(find(pool)))
    good = [{name: row[name] for name in FIELDS if name in row} for row in decoded if isinstance(row, dict)]
    return islice(cycle(good), rows)


def write(path: Path, kind: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows as a type of file."""
    if kind in ("parquet", "arrow"):
        write_table(path, kind, rows)
    elif kind == "csv":
        with open(path, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "json":
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("[")
            stream.writelines((",\n" if n else "") + json.dumps(row) for n, row in enumerate(rows))
            stream.write("]")
    else:
        with packed(path, kind) as stream:
            for row in rows:
                stream.write(json.dumps(row).encode() + b"\n")


def packed(path: Path, kind: str) -> Any:
    """Open a file for writing in its packing."""
    if kind.endswith("gz"):
        return gzip.open(path, "wb", compresslevel=1)
    return pa.output_stream(str(path), compression="zstd") if kind.endswith("zst") else open(path, "wb")


def write_table(path: Path, kind: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write a columnar file, 10,000 rows a group or batch."""
    schema = pa.schema([(name, pa.string()) for name in FIELDS])
    make: Any = pq.ParquetWriter if kind == "parquet" else pa.ipc.new_stream
    with make(str(path), schema) as writer:
        while some := list(islice(rows, 10_000)):
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


def ours(path: Path, _: str) -> int:
    """Read records."""
    return sum(isinstance(item, Record) for item in read_pool(path))


def theirs(path: Path, kind: str) -> int:
    """Read rows through `datasets`, streamed."""
    import datasets

    builder = "json" if kind.startswith("json") else kind
    return sum(1 for _ in datasets.load_dataset(builder, data_files=str(path), split="train", streaming=True))


def plain(path: Path, kind: str) -> int:
    """Read dicts with the standard library, or pyarrow, and nothing else."""
    if kind == "parquet":
        return sum(len(batch.to_pylist()) for batch in pq.ParquetFile(path).iter_batches(1024))
    if kind == "arrow":
        return sum(len(batch.to_pylist()) for batch in pa.ipc.open_stream(pa.OSFile(str(path))))
    if kind == "json":
        return len(json.loads(path.read_bytes()))
    if kind == "csv":
        with open(path, newline="", encoding="utf-8") as stream:
            return sum(1 for _ in csv.DictReader(stream))
    opener: Any = gzip.open if kind.endswith("gz") else open
    if kind.endswith("zst"):
        raise SystemExit("the standard library of this Python has no zstd")
    with opener(path, "rb") as stream:
        return sum(1 for line in stream if json.loads(line))


READERS = {"scar": ours, "datasets": theirs, "plain": plain}

if __name__ == "__main__":
    main()
