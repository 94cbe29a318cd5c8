"""What the bundle says: ordering on held-out rows, and calibration."""

import numpy as np

from scar.report.binned import limits
from scar.report.gather import Gathered
from scar.report.ranker import Figure as Measure
from scar.report.ranker import Measured, Ranker
from scar.report.section import Figure, Grid, Section
from scar.report.shown import count, percent, signed
from scar.report.svg.bars import intervals
from scar.report.svg.curve import curve_chart
from scar.report.svg.marks import Svg

MOST_PARTS = 24


def ranker(found: Gathered, of: Ranker, place: int) -> Section:
    """Show one ranker."""
    grids = [_grid(of.overall, "contender", of.measure)] if of.overall else []
    parts = [each for each in of.parts if each.every][:MOST_PARTS]
    grids += [_grid(parts, "part", "the ranker alone, by pair of tiers and by source")] if parts else []
    told = [_reading(of), *of.calibrated]
    if of.changed:
        told.append("The bundle was changed since it scored: these figures are of what it is now.")
    curve = _curve(found, of)
    note = (
        "Intervals: 95 %, bootstrap. Length-matched: pairs of about equal length alone." if of.overall else ""
    )
    title = f"The ranker: {of.name}"
    return Section(f"ranker{place}", title, " ".join(told), (curve,) if curve else (), tuple(grids), note)


def _reading(of: Ranker) -> str:
    what = f"A {of.kind} ranker on {of.encoder}."
    best = of.overall[0].every if of.overall else None
    if best is None:
        return f"{what} It was not evaluated: `scar eval BUNDLE FILE` says how well it orders."
    rho = (
        f"; its scores and the responses' length: Spearman {signed(of.length_correlation)}"
        if of.length_correlation is not None
        else ""
    )
    beaten = [m for m in of.overall[1:] if m.every and best.low > m.every.high]
    beside = "above every baseline's interval" if len(beaten) == 3 else "not clearly above every baseline"
    return f"{what} Its {of.measure}: {percent(best.value)} ({count(best.n)} of them), {beside}{rho}."


def _grid(lines: tuple[Measured, ...] | list[Measured], first: str, caption: str) -> Grid:
    rows = tuple(
        (line.name, _picture(line.every), _text(line.every), _picture(line.matched), _text(line.matched))
        for line in lines
    )
    return Grid(
        (first, "", "all", "", "length-matched"),
        rows,
        caption,
        0 if first == "contender" else None,
        "accuracy",
    )


def _picture(figure: Measure | None) -> Svg | str:
    return intervals([("kept", figure.value, figure.low, figure.high)], (0, 1), 0.5) if figure else ""


def _text(figure: Measure | None) -> str:
    if figure is None:
        return "no pairs"
    return f"{percent(figure.value)} ({percent(figure.low)} to {percent(figure.high)}, n = {count(figure.n)})"


def _curve(found: Gathered, of: Ranker) -> Figure | None:
    """Draw probability, or else percentile, over the scores of the pool."""
    there = found.records.score[found.records.scored]
    part = of.calibration.probability or of.calibration.percentile
    if part is None or not len(there) or found.facts.by != of.name:
        return None
    x = np.linspace(*limits(there), 160)
    scale, what = (
        (1, "probability") if of.calibration.probability else (100, "share of the reference pool below")
    )
    chart = curve_chart(
        x, part.apply(x).astype(np.float64) / scale, (f"score ({of.name})", what), f"{what} over the score"
    )
    return Figure(chart, "What the calibration makes of a score, over the scores of this pool.")
