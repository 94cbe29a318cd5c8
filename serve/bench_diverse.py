"""`Diverse`: the rows it keeps out of many beside those of brute force, and its time beside plain library routes.

    python serve/bench_diverse.py --embeddings made/embeddings.npy [--k 10000] [--tau 0.9] [--rounds 3]

Three others walk the same records one at a time: `numpy` multiplies the accepted rows by each (float32), `faiss`
searches an IndexFlatIP that grows by each accepted row, and `brute` is numpy in float64, the definition. All read the
same file of float16; scores are random, by --seed. Each walk runs in a process of its own, in turn. The peak counts the
pages of the file that were read.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.selection.rules.diverse import Diverse
from scar.selection.scored import Scored
from scar.serving.engines.machine import peak_memory
from serve.bench_kmeans import add_source, child, machine, source

Taken = list[int]


@dataclass(frozen=True)
class Pool:
    """What a walk reads."""

    embeddings: NDArray[Any]
    scores: NDArray[np.float32]
    scored: Scored
    """The same, as rules see it."""


def main() -> None:
    """Measure and print; or, as a child, walk once."""
    if sys.argv[1:2] == ["child"]:
        walk(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_source(parser)
    parser.add_argument("--k", type=int, default=10_000)
    parser.add_argument("--tau", type=float, default=0.9)
    parser.add_argument("--contenders", nargs="+", default=["ours", "numpy", "faiss", "brute"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.temp) as temp:
        file = str(source(arguments, Path(temp)))
        told: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.contenders}
        settings = [str(value) for value in (arguments.rows, arguments.k, arguments.tau, arguments.seed)]
        print(machine(arguments.threads))
        for number in range(arguments.rounds):
            for name in arguments.contenders:
                if name != "brute" or number == 0:
                    told[name].append(child(__file__, [name, file, *settings], arguments.threads))
    report(told)


def report(told: dict[str, list[dict[str, Any]]]) -> None:
    """Print a line a contender: median, what it is to ours, peak, and whether it kept the same rows."""
    base = statistics.median(each["seconds"] for each in told["ours"])
    print(f"{told['ours'][0]['kept']:,} rows kept of {told['ours'][0]['rows']:,}")
    for name, rounds in told.items():
        seconds = statistics.median(each["seconds"] for each in rounds)
        same = {each["digest"] for each in rounds} == {told["ours"][0]["digest"]}
        print(
            f"{name:6} {seconds:8.2f} s ({seconds / base:.2f} x ours)  "
            f"peak {max(each['peak'] for each in rounds) / 2**20:,.0f} MiB  "
            f"{'the same rows' if same else 'OTHER ROWS'}"
        )


def walk(name: str, file: str, count: str, k: str, tau: str, seed: str) -> None:
    """Walk once, and tell the seconds, the peak memory and a digest of what was kept, in order."""
    embeddings = np.load(file, mmap_mode="r")[: None if count == "None" else int(count)]
    scores = np.random.default_rng(int(seed)).standard_normal(len(embeddings)).astype(np.float32)
    pool = Pool(embeddings, scores, Scored.of_columns(style=scores, embeddings=embeddings))
    began = time.perf_counter()
    taken = WALKS[name](pool, int(k), float(tau))
    seconds = time.perf_counter() - began
    print(
        json.dumps(
            {
                "seconds": seconds,
                "peak": peak_memory(),
                "rows": len(scores),
                "kept": len(taken),
                "digest": hashlib.sha256(np.array(taken, dtype=np.int64).tobytes()).hexdigest(),
            }
        )
    )


def ours(pool: Pool, k: int, tau: float) -> Taken:
    """Select by the rule."""
    return [int(row) for row in Diverse(k=k, tau=tau).select(pool.scored).rows]


def best_first(pool: Pool, kind: Any) -> Iterator[tuple[int, Any]]:
    """Yield records best first, each with its embedding at length 1."""
    for row in np.argsort(-pool.scores, kind="stable"):
        vector = pool.embeddings[row].astype(np.float64)
        yield int(row), (vector / np.linalg.norm(vector)).astype(np.float32).astype(kind)


def by_products(pool: Pool, k: int, tau: float, kind: Any) -> Taken:
    """Multiply the accepted rows by each record."""
    kept, taken = np.empty((k, pool.embeddings.shape[1]), dtype=kind), list[int]()
    for row, vector in best_first(pool, kind):
        if taken and round(float((kept[: len(taken)] @ vector).max()), 6) > tau:
            continue
        kept[len(taken)] = vector
        taken.append(row)
        if len(taken) == k:
            break
    return taken


def numpy(pool: Pool, k: int, tau: float) -> Taken:
    """Walk in float32."""
    return by_products(pool, k, tau, np.float32)


def brute(pool: Pool, k: int, tau: float) -> Taken:
    """Walk in float64."""
    return by_products(pool, k, tau, np.float64)


def faiss(pool: Pool, k: int, tau: float) -> Taken:
    """Search an index that grows."""
    from faiss import IndexFlatIP

    index, taken = IndexFlatIP(pool.embeddings.shape[1]), list[int]()
    for row, vector in best_first(pool, np.float32):
        if taken and round(float(index.search(vector[None], 1)[0][0, 0]), 6) > tau:
            continue
        index.add(vector[None])
        taken.append(row)
        if len(taken) == k:
            break
    return taken


WALKS: dict[str, Callable[[Pool, int, float], Taken]] = {
    "ours": ours,
    "numpy": numpy,
    "faiss": faiss,
    "brute": brute,
}


if __name__ == "__main__":
    main()
