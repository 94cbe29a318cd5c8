"""`tune`: which token budget and chunk size to give an engine here. What it finds, a user gives as flags."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scar.bundle import Bundle
from scar.errors import InputError
from scar.pools import Place
from scar.serving.bench.contenders import chosen, possible
from scar.serving.bench.course import Course
from scar.serving.bench.job import Timing
from scar.serving.bench.rounds import Spread, in_turn, ratios
from scar.serving.bench.sample import write_sample
from scar.settings import BenchSettings, Reading

AROUND = (0.25, 0.5, 1, 2, 4)
"""Budgets and chunk sizes that are tried, in those of the engine's table."""
Cell = tuple[int, int]
"""batch_tokens and chunk_rows."""


def tune(
    ranker: str | Path,
    pool: Place | Sequence[Place],
    settings: BenchSettings | None = None,
    *,
    reading: Reading | None = None,
) -> dict[str, Any]:
    """Time budgets, then chunk sizes at the best budget, on the first rows of a pool; plain values, as for JSON.

    The engine is the one contender asked for, or what `auto` chooses. Raises InputError as `bench` does.
    """
    settings = settings or BenchSettings()
    if len(settings.contenders) > 1:
        raise InputError(f"--tune is of one contender at a time, got {', '.join(settings.contenders)}")
    bundle = Bundle.open_ranker(ranker)
    with tempfile.TemporaryDirectory() as temp:
        course = Course(bundle, Path(temp), settings, reading or Reading())
        rows = write_sample(pool, settings.rows, course.pool)
        named = chosen(possible(bundle, settings.device), settings.contenders)
        scoring = named[0].scoring if settings.contenders else {}
        default = _default(course.look("default", course.job(scoring)))
        first = _timed(course, scoring, budget_cells(default), "budget")
        last = _timed(course, scoring, chunk_cells(fastest(first), default, rows), "chunk")
    about = {"bundle": str(ranker), "pool": str(pool), "rows": rows, "rounds": settings.rounds}
    about["contender"] = settings.contenders[0] if settings.contenders else "auto"
    return {**about, **advice(last, default), "cells": _cells({**first, **last})}


def _default(timing: Timing) -> Cell:
    return timing.settings["batch_tokens"], timing.settings["chunk_rows"]


def around(size: int) -> list[int]:
    """Give the sizes to try around one."""
    return sorted({max(1, int(size * times)) for times in AROUND})


def budget_cells(default: Cell) -> list[Cell]:
    """Give every budget at the default chunk size, the default among them."""
    return [(budget, default[1]) for budget in around(default[0])]


def chunk_cells(best: Cell, default: Cell, rows: int) -> list[Cell]:
    """Give every chunk size that cuts so many rows at the best budget, beside that cell and the default."""
    # A chunk of all rows or more is one and the same.
    sizes = {size for size in around(default[1]) if size < rows} | {best[1]}
    return list(dict.fromkeys([default, best, *((best[0], size) for size in sorted(sizes))]))


def _timed(
    course: Course, scoring: Mapping[str, str], cells: Sequence[Cell], step: str
) -> dict[Cell, list[Timing]]:
    timers = {
        f"{step}: {budget} tokens, {chunk} rows": course.timer(
            f"{step}-{budget}-{chunk}", course.job({**scoring, "batch_tokens": budget, "chunk_rows": chunk})
        )
        for budget, chunk in cells
    }
    return dict(zip(cells, in_turn(timers, course.settings.rounds).values(), strict=True))


def fastest(found: Mapping[Cell, Sequence[Timing]]) -> Cell:
    """Give the cell of the highest median speed."""
    return max(found, key=lambda cell: Spread.of(_speeds(found[cell])).median)


def advice(found: Mapping[Cell, Sequence[Timing]], default: Cell) -> dict[str, Any]:
    """Give the flags to use, and what they gain over the defaults, round by round of the same rounds."""
    best = fastest(found)
    gain = Spread.of(ratios(_speeds(found[best]), _speeds(found[default])))
    return {
        "default": _named(default),
        "best": _named(best),
        "flags": f"--batch_tokens {best[0]} --chunk_rows {best[1]}",
        "gain": asdict(gain),
    }


def _named(cell: Cell) -> dict[str, int]:
    return {"batch_tokens": cell[0], "chunk_rows": cell[1]}


def _cells(found: Mapping[Cell, Sequence[Timing]]) -> list[dict[str, Any]]:
    return [
        {
            **_named(cell),
            "rows_per_second": asdict(Spread.of(_speeds(timings))),
            "padding": timings[0].padding,
            "memory_bytes": max(timing.peak for timing in timings),
        }
        for cell, timings in sorted(found.items())
    ]


def _speeds(timings: Sequence[Timing]) -> list[float]:
    return [timing.rows_per_second for timing in timings]
