"""Seconds and peak memory of planning a pool: `cut`, with the checksums, over generated rows.

    python serve/bench_plan.py [--rows 10000000] [--folder DIR]

The files, one .jsonl of about 200 bytes a row and one .parquet of the same rows, are made first and deleted afterwards.
Each is planned by a process of its own, of which the peak is told; its plan is checked for the number of rows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scar.pools import cut, find
from scar.serving.engines.machine import peak_memory

CHUNK_ROWS = 1024
GROUP = 100_000
RESPONSE = "A made answer of some length, as short ones are, which says what there is to say, and no more than that: "


def main() -> None:
    """Make the files, plan each, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--folder", help="where the files are made; they take about 3 GB")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(planned(arguments.child)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        print("| type | bytes | rows | chunks | seconds | peak MiB |\n|---|---|---|---|---|---|")
        for path, make in ((Path(folder, "a.jsonl"), write_lines), (Path(folder, "a.parquet"), write_table)):
            make(path, arguments.rows)
            command = [sys.executable, __file__, "--child", str(path)]
            told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
            assert told["rows"] == arguments.rows
            cells = f"{told['bytes']:,} | {told['rows']:,} | {told['chunks']:,}"
            print(f"| {path.suffix[1:]} | {cells} | {told['seconds']:.1f} | {told['mib']:.0f} |", flush=True)
            path.unlink()


def planned(path: str) -> dict[str, float]:
    """Plan a file in this process."""
    started = time.perf_counter()
    facts, chunks = cut(find(path), CHUNK_ROWS)
    seconds = time.perf_counter() - started
    mib = peak_memory() / 2**20
    return {
        "bytes": facts[0].bytes,
        "rows": sum(chunk.rows for chunk in chunks),
        "chunks": len(chunks),
        "seconds": seconds,
        "mib": mib,
    }


def row(number: int) -> dict[str, str]:
    """Make a row."""
    return {"id": f"{number:010d}", "instruction": f"Explain {number}.", "response": f"{RESPONSE}{number}"}


def write_lines(path: Path, rows: int) -> None:
    """Write JSON Lines."""
    with open(path, "w") as out:
        out.writelines(json.dumps(row(number)) + "\n" for number in range(rows))


def write_table(path: Path, rows: int) -> None:
    """Write Parquet, a group at a time."""
    schema = pa.schema([(name, pa.string()) for name in row(0)])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, rows, GROUP):
            some = [row(number) for number in range(first, min(rows, first + GROUP))]
            writer.write_table(pa.Table.from_pylist(some, schema=schema))


if __name__ == "__main__":
    main()
