"""A curve from 0 to 1 over a score: what a calibration makes of it."""

import numpy as np
from numpy.typing import NDArray

from scar.report.svg.axes import BOTTOM, TOP, WIDE, Panel
from scar.report.svg.marks import Svg, path, picture, tag

TALL = 200


def curve_chart(x: NDArray[np.float64], y: NDArray[np.float64], titles: tuple[str, str], said: str) -> Svg:
    """Draw y over x; both of shape (n,), y within 0 and 1."""
    panel = Panel.of((float(x[0]), float(x[-1])), (0, 1), TOP, TALL)
    line = zip(panel.x(x), panel.y(y), strict=True)
    title = tag("text", titles[1], x=panel.x.start, y=TOP - 10, class_="name pool")
    return picture(
        WIDE, TOP + TALL + BOTTOM, said, panel.upwards(4), path(line, "line"), panel.across(titles[0]), title
    )
