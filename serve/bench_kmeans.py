"""k-means over embeddings: ours beside scikit-learn's and faiss', from the same first centres, with as many iterations.

    python serve/bench_kmeans.py --embeddings made/embeddings.npy [--clusters 1000] [--rounds 3]

Each fit runs in a process of its own, in turn. Ours reads the file as it goes; the others are given all rows in
float32, and the time of making these is told apart. Inertia is that of all rows to the nearest of the centres found,
computed in one way for all. Without --embeddings, --rows are made: copies of random rows with noise.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.runs import Embeddings
from scar.selection.diversity.assign import assign, own_distances
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.vectors import Vectors
from scar.serving.engines.machine import peak_memory

ITERATIONS = 20


def main() -> None:
    """Measure and print; or, as a child, do one fit."""
    if sys.argv[1:2] == ["child"]:
        fit(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_source(parser)
    parser.add_argument("--clusters", type=int, default=1000)
    parser.add_argument("--contenders", nargs="+", default=["ours", "sklearn", "faiss"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.temp) as temp:
        file = source(arguments, Path(temp))
        rows = vectors(file, arguments.rows)
        first = np.sort(np.random.default_rng(arguments.seed).permutation(len(rows))[: arguments.clusters])
        np.save(Path(temp) / "start.npy", rows.take(first))
        print(f"{len(rows):,} x {rows.dimensions}, {arguments.clusters} clusters, {ITERATIONS} iterations")
        print(machine(arguments.threads))
        told: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.contenders}
        for _ in range(arguments.rounds):
            for name in arguments.contenders:
                centres = Path(temp) / f"{name}.npy"
                words = [name, str(file), str(len(rows)), str(Path(temp) / "start.npy"), str(centres)]
                told[name].append(child(__file__, words, arguments.threads))
        report(told, {name: inertia(rows, np.load(Path(temp) / f"{name}.npy")) for name in told})


def report(told: dict[str, list[dict[str, float]]], inertias: dict[str, float]) -> None:
    """Print a line a contender: medians, and what they are to ours."""
    base = statistics.median(each["seconds"] for each in told["ours"])
    for name, rounds in told.items():
        seconds = statistics.median(each["seconds"] for each in rounds)
        print(
            f"{name:8} {seconds:8.2f} s ({seconds / base:.2f} x ours)  "
            f"processor {statistics.median(each['cpu'] for each in rounds):.2f} s  "
            f"+ {rounds[-1]['load']:.2f} s to load  "
            f"peak {max(each['peak'] for each in rounds) / 2**20:,.0f} MiB  "
            f"inertia {inertias[name]:.1f} ({inertias[name] / inertias['ours'] - 1:+.2%})"
        )


def fit(name: str, file: str, count: str, start: str, out: str) -> None:
    """Fit once, save the centres, and tell the seconds and the peak memory."""
    rows, first = vectors(Path(file), int(count)), np.load(start)
    began = time.perf_counter()
    data = None if name == "ours" else rows.take(np.arange(len(rows)))
    loaded, spent = time.perf_counter(), time.process_time()
    centres = FITS[name](rows, data, first)
    told = {"seconds": time.perf_counter() - loaded, "cpu": time.process_time() - spent}
    np.save(out, centres)
    print(json.dumps({**told, "load": loaded - began, "peak": peak_memory()}))


def ours(rows: Vectors, data: Any, start: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fit on 256 rows a centre, and put all rows to their centres."""
    return k_means(rows, len(start), start=start, iterations=ITERATIONS).centres


def sklearn(rows: Vectors, data: Any, start: NDArray[np.float32]) -> Any:
    """Fit on all rows, as scikit-learn does."""
    from sklearn.cluster import KMeans

    settings = {"n_init": 1, "max_iter": ITERATIONS, "algorithm": "lloyd", "tol": 0, "copy_x": False}
    return KMeans(len(start), init=start, **settings).fit(data).cluster_centers_


def faiss(rows: Vectors, data: Any, start: NDArray[np.float32]) -> Any:
    """Fit on 256 rows a centre, which is faiss' default, and put all rows to their centres."""
    from faiss import Kmeans

    found = Kmeans(data.shape[1], len(start), niter=ITERATIONS, max_points_per_centroid=256)
    found.train(data, init_centroids=start)
    found.index.search(data, 1)
    return found.centroids


FITS = {"ours": ours, "sklearn": sklearn, "faiss": faiss}


def inertia(rows: Vectors, centres: NDArray[np.float32]) -> float:
    """Sum the squared distances of all rows to the nearest of some centres."""
    return sum(
        float(own_distances(block, centres, assign(block, centres)).sum()) for _, block in rows.blocks()
    )


def vectors(file: Path, count: int | None) -> Vectors:
    """Open the first rows of a file of embeddings."""
    stored = np.load(file, mmap_mode="r")
    return Vectors(Embeddings.of_array(stored[:count]), np.arange(len(stored[:count])))


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add what names the embeddings, and how often to measure."""
    parser.add_argument("--embeddings", type=Path, help=".npy, shape (n, d)")
    parser.add_argument("--rows", type=int, help="so many of them, or made ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temp", type=Path, help="folder with room for made embeddings")


def source(arguments: argparse.Namespace, folder: Path) -> Path:
    """Give the file of embeddings; made where none is named."""
    if arguments.embeddings:
        return Path(arguments.embeddings)
    arguments.rows = arguments.rows or 100_000
    draw, n, d = np.random.default_rng(arguments.seed), arguments.rows, 384
    distinct = draw.standard_normal((max(1, n // 50), d), dtype=np.float32)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    made = np.empty((n, d), dtype=np.float16)
    for start in range(0, n, 1 << 14):
        some = distinct[draw.integers(0, len(distinct), min(1 << 14, n - start))]
        some = some + draw.standard_normal(some.shape, dtype=np.float32) * np.float32(0.2 * distinct.std())
        made[start : start + len(some)] = some / np.linalg.norm(some, axis=1, keepdims=True)
    np.save(folder / "embeddings.npy", made)
    return folder / "embeddings.npy"


def child(program: str, words: list[str], threads: int) -> dict[str, Any]:
    """Run a measurement in a process of its own, with so many threads; gives what it told."""
    count = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, program, "child", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **count},
    )
    if done.returncode:
        sys.exit(f"{words[0]} failed")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def machine(threads: int) -> str:
    """Name the machine."""
    return f"{os.cpu_count()} processors, {platform.machine()}, {threads} threads; numpy {np.__version__}"


if __name__ == "__main__":
    main()
