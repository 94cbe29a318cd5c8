"""`bench`: every contender of a bundle, and its peer, on the first rows of a pool, in turn."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scar.bundle import Bundle
from scar.pools import Place
from scar.serving.bench.course import WAYS, Course, way_name
from scar.serving.bench.job import SCORES, Timing
from scar.serving.bench.peak import Peaks, peaks
from scar.serving.bench.report import Measured, report
from scar.serving.bench.rounds import in_turn
from scar.serving.bench.sample import write_sample
from scar.serving.bench.work import EncoderSize, encoded_lengths
from scar.settings import BenchSettings, Reading


def bench(
    ranker: str | Path,
    pool: Place | Sequence[Place],
    settings: BenchSettings | None = None,
    *,
    reading: Reading | None = None,
) -> dict[str, Any]:
    """Time the contenders of a bundle on the first rows of a pool; gives the figures as plain values, as for JSON.

    Each timing is a process of its own, from reading to committing, without start-up. Raises InputError where the
    pool is empty, the bundle has no graphs, or a contender asked for by name cannot run here.
    """
    settings, reading = settings or BenchSettings(), reading or Reading()
    bundle = Bundle.open_ranker(ranker)
    with tempfile.TemporaryDirectory() as temp:
        course = Course(bundle, Path(temp), settings, reading)
        rows = write_sample(pool, settings.rows, course.pool)
        runs, left_out = course.runs()
        peer, note = course.peer() if settings.peers else ({}, "")
        timers: dict[str, Callable[[int], Timing]] = {
            **{name: course.timer(name, job) for name, job in runs.items()},
            **course.ways(runs),
            **{name: course.timer(name, job) for name, job in peer.items()},
        }
        # The machine's own speed belongs to the rounds too: it changes with what else runs.
        products: list[Peaks] = []
        timed_here = settings.device == "cpu"
        before = (lambda: products.append(peaks(settings.threads))) if timed_here else (lambda: None)
        found = in_turn(timers, settings.rounds, before=before)
        measured = _measured(course, found, list(runs))
        differences = _differences(course, next(iter(runs)))
    about = {"bundle": str(ranker), "kind": bundle.kind, "pool": str(pool), "rows": rows}
    about |= {"rounds": settings.rounds, "device": settings.device, "left_out": left_out}
    return {**about, "notes": [note] if note else [], **report(measured, products, differences)}


def _measured(course: Course, found: Mapping[str, list[Timing]], runs: Sequence[str]) -> list[Measured]:
    """Put beside each contender's timings what its encoder had to do."""
    size, first = EncoderSize.of(course.bundle), runs[0]
    work: dict[tuple[tuple[int, ...], bool], float] = {}
    measured: list[Measured] = []
    for name, timings in found.items():
        chunks, anew = timings[0].chunks, name == way_name(first, "anew")
        if chunks and (chunks, anew) not in work:
            lengths = encoded_lengths(course.bundle, course.pool, chunks, reading=course.reading, anew=anew)
            work[chunks, anew] = size.flops(lengths)
        role = "contender" if name in runs else "way" if chunks else "peer"
        asked = name if name in runs else first
        precision = asked.rpartition("/")[2] if chunks and course.settings.device == "cpu" else ""
        measured.append(Measured(name, role, timings, work.get((chunks, anew), 0.0), precision))
    return measured


def _differences(course: Course, first: str) -> dict[str, float]:
    """Give how far the scores of the other ways are from the run's: the largest difference, over their deviation."""
    own = np.load(course.place(first, 0) / SCORES)
    own = own[np.isfinite(own)]
    places = {name: course.place(name, 0) / SCORES for name in (way_name(first, way) for way in WAYS)}
    others = {name: np.load(path) for name, path in places.items() if path.exists()}
    spread = float(own.std()) or 1.0
    return {
        name: float(np.abs(own - scores[np.isfinite(scores)]).max()) / spread
        for name, scores in others.items()
    }
