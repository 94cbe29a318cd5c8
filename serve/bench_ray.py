"""What Ray costs: the same rows by plain `scar score`, and by one actor of a Ray on this machine.

    python serve/bench_ray.py POOL --ranker BUNDLE

Both have all processors. The time until the first chunk is committed stands apart: of Ray that is its start, an actor,
its imports and graphs, and that chunk; the rest is compared with the same chunks of the plain run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from scar.pools import find, rows_of
from scar.serving.engines import processors

NAMES = ("seconds", "to the first chunk", "rest", "rows/s of the rest")


def head(pool: str, rows: int, out: Path) -> Path:
    """Write the first rows of a pool as they are."""
    out.write_bytes(b"".join(row.json() + b"\n" for row in islice(rows_of(find(pool)), rows)))
    return out


def timed(pool: Path, ranker: str, run: Path, *flags: str) -> dict[str, float]:
    """Score in a process of its own, and read its time from the log that machines read."""
    words = [
        sys.executable,
        "-m",
        "scar",
        "score",
        str(pool),
        "--ranker",
        ranker,
        "--out",
        str(run),
        "--log-json",
        *flags,
    ]
    started, marks = time.perf_counter(), list[tuple[float, int]]()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("event") == "chunk":
            marks.append((time.perf_counter() - started, event["rows"]))
    if process.wait():
        sys.exit(f"{' '.join(words)} failed")
    (first, before), (last, rows) = marks[0], marks[-1]
    rate = (rows - before) / (last - first) if last > first else 0.0
    return dict(zip(NAMES, (time.perf_counter() - started, first, last - first, rate), strict=True))


def main() -> None:
    """Time both, in turn, and print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool")
    parser.add_argument("--ranker", required=True)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--chunk_rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    ray = ("--cluster", "ray", "--actors", "1", "--cpus-per-actor", str(processors()))
    ways: dict[str, tuple[str, ...]] = {"plain": (), "ray": ray}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as temp:
        rows = head(asked.pool, asked.rows, Path(temp) / "rows.jsonl")
        for number in range(asked.rounds):
            for name, flags in ways.items():
                run = Path(temp) / f"{name}{number}"
                found[name].append(
                    timed(rows, asked.ranker, run, "--chunk_rows", str(asked.chunk_rows), *flags)
                )
    print(f"| way | {' | '.join(NAMES)} |\n|---|{'---|' * len(NAMES)}")
    for name, rounds in found.items():
        print(f"| {name} | {' | '.join(spread([one[each] for one in rounds]) for each in NAMES)} |")
    both = zip(found["ray"], found["plain"], strict=True)
    print(
        f"Ray / plain, the rest, of each round: {spread([one['rest'] / other['rest'] for one, other in both])}"
    )


def spread(values: list[float]) -> str:
    """Give the median of some rounds, the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
