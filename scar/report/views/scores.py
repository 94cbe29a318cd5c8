"""How the scores spread, of the pool and of what was kept; and against length."""

import numpy as np
from numpy.typing import NDArray

from scar.report.binned import Histogram, limits
from scar.report.gather import Gathered
from scar.report.section import Figure, Section
from scar.report.shown import count, number, signed
from scar.report.svg.density import LEVELS, density_chart
from scar.report.svg.histogram import Layer, histogram_chart

BINS = 60
EDGE = 0.03
"""Share of an axis that is left free at either end."""


def scores(found: Gathered) -> Section | None:
    """Show the distribution."""
    records = found.records
    pool = records.score[records.scored].astype(np.float64)
    kept = records.score[records.scored & records.kept].astype(np.float64)
    if not len(pool):
        return None
    ends = limits(pool)
    layers = [Layer("pool", Histogram.of(pool, ends, BINS), float(np.median(pool)))]
    if len(kept):
        layers.append(Layer("kept", Histogram.of(kept, ends, BINS), float(np.median(kept))))
    reading = _reading(pool, kept)
    beyond = layers[0].histogram.beyond
    caption = "Records by score; the line is the median." + (
        f" {count(beyond)} records lie beyond the ends, and count in the last bars." if beyond else ""
    )
    chart = histogram_chart(layers, f"score ({found.facts.by})", f"Histogram of scores. {reading}")
    return Section("scores", "Scores", reading, (Figure(chart, caption),))


def _reading(pool: NDArray[np.float64], kept: NDArray[np.float64]) -> str:
    if np.ptp(pool) == 0:
        return f"Every record has the score {number(pool[0])}: it orders nothing."
    spread = f"The pool's scores have the mean {number(pool.mean())} and the standard deviation {number(pool.std())}."
    if not len(kept):
        quarter, half, most = np.quantile(pool, [0.25, 0.5, 0.75])
        return f"{spread} Half of them lie between {number(quarter)} and {number(most)}, the median is {number(half)}."
    higher = (kept.mean() - pool.mean()) / pool.std()
    where = "above" if higher >= 0 else "below"
    return (
        f"{spread} Kept records have the mean {number(kept.mean())}: {number(abs(higher))} standard deviations "
        f"{where} it. The lowest of them has {number(kept.min())}."
    )


def length(found: Gathered) -> Section | None:
    """Show score against tokens."""
    records = found.records
    if records.tokens is None or not records.scored.any():
        return None
    # The logarithm of a record without tokens has no place on the axis.
    lengths, score = np.maximum(records.tokens, 1).astype(np.float64), records.score.astype(np.float64)
    across = (max(1.0, float(lengths[records.scored].min())), float(lengths[records.scored].max()))
    ends = (_wider(*across), _padded(*limits(score[records.scored])))
    figures = []
    for name, mask in (("pool", records.scored), ("kept", records.scored & records.kept)):
        if mask.any():
            said = f"Score against length, {name}: {count(mask.sum())} records."
            title = f"score ({found.facts.by}), {name}"
            chart, most = density_chart(lengths[mask], score[mask], ends, ("tokens", title), name, said)
            figures.append(Figure(chart, "Records a hexagon; the line is the median.", LEVELS, count(most)))
    note = (
        "Tokens as the ranker read them; what was cut off does not count. The axis of tokens is logarithmic."
    )
    return Section("length", "Score and length", _length_reading(found), tuple(figures), note=note)


def _wider(low: float, high: float) -> tuple[float, float]:
    """Leave room beside the points, on an axis of logarithms."""
    by = (high / low) ** EDGE if low < high else 2.0
    return low / by, high * by


def _padded(low: float, high: float) -> tuple[float, float]:
    return low - EDGE * (high - low), high + EDGE * (high - low)


def _length_reading(found: Gathered) -> str:
    rho, records = found.length_correlation, found.records
    if np.isnan(rho):
        return "Score and length have no correlation: one of them does not vary."
    size = next(word for most, word in _WORDS if abs(rho) < most)
    way = (
        ""
        if abs(rho) < 0.1
        else (": longer records score higher" if rho > 0 else ": longer records score lower")
    )
    told = f"Score and length are {size} correlated in the pool (Spearman {signed(rho)}){way}."
    if records.tokens is None or not (kept := records.kept & records.scored).any():
        return told
    means = [number(float(records.tokens[mask].mean())) for mask in (kept, records.scored)]
    return f"{told} Kept records have {means[0]} tokens on average, the pool's {means[1]}."


_WORDS = ((0.1, "hardly"), (0.3, "weakly"), (0.6, "clearly"), (2.0, "strongly"))
