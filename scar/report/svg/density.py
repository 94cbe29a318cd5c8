"""Where many points lie: hexagons, darker where there are more, and the median along the way."""

import numpy as np
from numpy.typing import NDArray

from scar.report.binned import hexagons, levels, trend
from scar.report.svg.axes import BOTTOM, TOP, WIDE, Panel
from scar.report.svg.marks import Svg, at, path, picture, tag

TALL = 250
ACROSS = 36
LEVELS = 6
FEWEST = 8
"""Points that a median is taken of, at least."""


def density_chart(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    ends: tuple[tuple[float, float], tuple[float, float]],
    titles: tuple[str, str],
    name: str,
    said: str,
) -> tuple[Svg, int]:
    """Draw points, x by its logarithm, and give the most that lie in one hexagon; `ends` are those of both axes."""
    panel = Panel.of(ends[0], ends[1], TOP, TALL, log=True)
    across, up = panel.x.unit(x), panel.y.unit(y)
    wide = panel.x.end - panel.x.start
    found = hexagons(across, up, ACROSS, TALL / wide)
    shapes = [_shape(panel, found.centres[mask], wide, level) for level, mask in _classes(found.counts)]
    middle = trend(across, up, fewest=FEWEST)
    line = [(panel.x.start + a * wide, panel.y.start - b * TALL) for a, b in middle]
    marks = [panel.upwards(5), *shapes, panel.across(titles[0])]
    if len(line) > 2:
        marks += [path(line, "trend under"), path(line, "trend")]
    marks.append(tag("text", titles[1], x=panel.x.start, y=TOP - 10, class_=f"name {name}"))
    return picture(WIDE, TOP + TALL + BOTTOM, said, *marks), int(found.counts.max(initial=0))


def _classes(counts: NDArray[np.int64]) -> list[tuple[int, NDArray[np.bool_]]]:
    of = levels(counts, LEVELS)
    return [(level, of == level) for level in range(LEVELS) if (of == level).any()]


def _shape(panel: Panel, centres: NDArray[np.float64], wide: float, level: int) -> Svg:
    """Draw all hexagons of a class as one shape."""
    size = wide / ACROSS
    half, side = size / 2, size / np.sqrt(3)
    one = f"l{at(half)} {at(side / 2)}v{at(side)}l{at(-half)} {at(side / 2)}l{at(-half)} {at(-side / 2)}v{at(-side)}z"
    starts = (f"M{at(panel.x.start + a * wide)} {at(panel.y.start - b * TALL - side)}" for a, b in centres)
    return tag("path", d="".join(start + one for start in starts), class_=f"d{level + 1}")
