"""Seconds, peak memory, recall and precision of near-duplicate removal, beside datasketch on equal terms.

    python serve/bench_data.py POOL --out FOLDER --rows 100000 --only pool
    python -m serve.bench_dedup FOLDER/pool.jsonl [--rounds 3] [--only scar] [--words 5] [--threshold 0.7]

Each contender is a process of its own, and is timed from opening the file to the rows that stay. Both read it by
`scar.read_pool`, use the same runs of words, permutations and bands, verify every candidate by the exact Jaccard
similarity, and drop a row where it is near one that scores better and stays. datasketch is given 32-bit hashes made by
zlib's crc32, which is faster than its own; its sketches are lean, its sets stay in memory.

Recall is the share of the known copies of which one row was dropped: of all of them, and of those whose similarity
reaches the threshold (a copy with 5 % of its words changed may not). Precision is the share of dropped rows that were
dropped for their own known copy; the others are similar as well (each was verified), but not by design.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.curve import bands_for
from scar.selection.rules.duplicates import NearDuplicates
from scar.selection.scored import Scored
from scar.serving.engines.machine import peak_memory
from serve.bench_data import dicts, records, scored

NOBODY = -1
_ALONE = re.compile(
    "([\u0e00-\u109f\u1780-\u17ff\u2e80-\u312f\u3190-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)


def main() -> None:
    """Measure each contender in turn, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pool", type=Path, help="what bench_data.py made")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=list(CONTENDERS))
    parser.add_argument("--threshold", type=float, default=0.7)
    parser.add_argument("--words", type=int, default=5)
    parser.add_argument("--child", nargs=3, metavar=("CONTENDER", "ROWS", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    arguments.pool = arguments.pool.resolve()
    truth = known_copies(arguments.pool)
    names = [arguments.only] if arguments.only else list(CONTENDERS)
    with tempfile.TemporaryDirectory() as temp:
        rounds = [
            {name: measured(name, len(truth), arguments, Path(temp)) for name in names}
            for _ in range(arguments.rounds)
        ]
        reach = reaching(arguments, truth)
        print(
            f"{machine()}; {len(truth):,} rows, {int((truth != NOBODY).sum()):,} of them copies, "
            f"{int(reach.sum()):,} of these reach {arguments.threshold}"
        )
        print(
            "| | seconds | rows/s | peak MiB | recall, of copies that reach it | of all | dropped | precision |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for name in names:
            print(
                line(name, [each[name] for each in rounds], truth, reach, np.load(Path(temp) / f"{name}.npy"))
            )
    if len(names) > 1:
        ratios = [each["datasketch"]["seconds"] / each["scar"]["seconds"] for each in rounds]
        print(
            f"datasketch takes {statistics.median(ratios):.1f} times as long ({min(ratios):.1f} to {max(ratios):.1f})"
        )


def known_copies(pool: Path) -> NDArray[np.int64]:
    """Give for each row the one that it was copied from, NOBODY where it is none."""
    of = [row["copy_of"] for row in dicts(pool)]
    return np.asarray([NOBODY if each is None else each for each in of], dtype=np.int64)


def measured(name: str, rows: int, arguments: argparse.Namespace, temp: Path) -> dict[str, float]:
    """Run a contender in a process of its own."""
    settings = ["--threshold", str(arguments.threshold), "--words", str(arguments.words)]
    command = [sys.executable, "-m", "serve.bench_dedup", str(arguments.pool), *settings]
    command += ["--child", name, str(rows), str(temp / f"{name}.npy")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        sys.exit(f"{name} failed")
    found: dict[str, float] = json.loads(done.stdout)
    print(f"{name}: {found['seconds']:.1f} s, {found['mib']:.0f} MiB", file=sys.stderr, flush=True)
    return found


def child(arguments: argparse.Namespace) -> None:
    """Be a contender: time it, and leave what took the place of each row."""
    name, rows, out = arguments.child
    rule = NearDuplicates(threshold=arguments.threshold, words=arguments.words, chain=False)
    given = scored(arguments.pool, int(rows))
    if name == "datasketch":
        import datasketch  # noqa: F401  not on the clock
    started = time.perf_counter()
    taken = CONTENDERS[name](given, rule, arguments.pool)
    seconds = time.perf_counter() - started
    np.save(out, taken)
    print(json.dumps({"seconds": seconds, "mib": peak_memory() / 2**20}))


def by_scar(rows: Scored, rule: NearDuplicates, pool: Path) -> NDArray[np.int64]:
    """Select, as a user would."""
    crowded = rule.select(rows).crowded_by
    assert crowded is not None
    return crowded


def by_datasketch(rows: Scored, rule: NearDuplicates, pool: Path) -> NDArray[np.int64]:
    """Do the same with datasketch."""
    from datasketch import LeanMinHash, MinHash, MinHashLSH

    bands = bands_for(rule.threshold, rule.recall, rule.permutations)
    blank = MinHash(num_perm=bands.bands * bands.values, seed=1, hashfunc=int)
    index = MinHashLSH(num_perm=bands.bands * bands.values, params=(bands.bands, bands.values))
    sets, sketches = [], []
    for text in texts(pool):
        sets.append(set(hashed_runs(text, rule.words)))
        sketch = blank.copy()
        sketch.update_batch(list(sets[-1]))
        sketches.append(LeanMinHash(sketch))
    with index.insertion_session() as session:
        for number, lean in enumerate(sketches):
            session.insert(number, lean, check_duplication=False)
    return greedy(np.argsort(-rows.finite(), kind="stable"), index, sketches, sets, rule.threshold)


def greedy(
    order: NDArray[np.int64], index: Any, sketches: list[Any], sets: list[set[int]], threshold: float
) -> NDArray[np.int64]:
    """Keep rows best first, and drop what is near them."""
    taken, place = np.full(len(order), NOBODY, dtype=np.int64), np.argsort(order)
    for row in order.tolist():
        if taken[row] != NOBODY:
            continue
        for other in index.query(sketches[row]):
            if place[other] > place[row] and taken[other] == NOBODY:
                if jaccard(sets[row], sets[other]) >= threshold:
                    taken[other] = row
    return taken


def texts(pool: Path) -> Iterator[str]:
    """Give what the rule compares, in the same form."""
    for record in records(pool):
        text = " ".join((*(turn.text for turn in record.turns), record.response))
        yield (
            text.casefold()
            if text.isascii()
            else _ALONE.sub(r" \1 ", unicodedata.normalize("NFKC", text).casefold())
        )


def hashed_runs(text: str, words: int) -> Iterator[int]:
    """Hash the runs of words of a text."""
    cut = text.split()
    for place in range(max(1, len(cut) - words + 1)):
        yield zlib.crc32(" ".join(cut[place : place + words]).encode("utf-8", "surrogatepass"))


def jaccard(a: set[int], b: set[int]) -> float:
    """Give the similarity of two sets."""
    common = len(a & b)
    return common / (len(a) + len(b) - common)


CONTENDERS = {"scar": by_scar, "datasketch": by_datasketch}


def reaching(arguments: argparse.Namespace, truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the known copies whose similarity reaches the threshold, by Python's own sets of words."""
    copies = np.flatnonzero(truth != NOBODY)
    wanted = {*copies.tolist(), *truth[copies].tolist()}
    left: dict[int, set[int]] = {}
    reach, partner = (
        np.zeros(len(truth), dtype=bool),
        {**dict(zip(copies.tolist(), truth[copies].tolist(), strict=True))},
    )
    partner |= {original: copy for copy, original in partner.items()}
    for row, text in enumerate(texts(arguments.pool)):
        if row in wanted:
            own = set(hashed_runs(text, arguments.words))
            if (other := left.pop(partner[row], None)) is None:
                left[row] = own
            else:
                reach[row if truth[row] != NOBODY else partner[row]] = (
                    jaccard(own, other) >= arguments.threshold
                )
    return reach


def line(
    name: str,
    rounds: list[dict[str, float]],
    truth: NDArray[np.int64],
    reach: NDArray[np.bool_],
    taken: NDArray[np.int64],
) -> str:
    """Give a contender's line of the table."""
    seconds = [each["seconds"] for each in rounds]
    copies = np.flatnonzero(truth != NOBODY)
    found = (taken[copies] != NOBODY) | (taken[truth[copies]] != NOBODY)
    partner = truth.copy()
    partner[truth[copies]] = copies
    dropped = np.flatnonzero(taken != NOBODY)
    right = (partner[dropped] == taken[dropped]).mean() if len(dropped) else float("nan")
    middle = statistics.median(seconds)
    return (
        f"| {name} | {middle:.1f} ({min(seconds):.1f} to {max(seconds):.1f}) | {len(truth) / middle:,.0f} | "
        f"{statistics.median(each['mib'] for each in rounds):,.0f} | {found[reach[copies]].mean():.4f} | "
        f"{found.mean():.4f} | {len(dropped):,} | {right:.4f} |"
    )


def machine() -> str:
    """Name the machine."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {np.__version__}"


if __name__ == "__main__":
    main()
