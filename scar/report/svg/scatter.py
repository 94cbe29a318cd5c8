"""A map of points without axes: what is near on it is alike, and no more."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scar.report.binned import limits
from scar.report.svg.marks import Scale, Svg, at, picture, tag

WIDE, TALL, EDGE = 480, 400, 14


def scatter_chart(
    points: NDArray[np.float64], classes: Sequence[tuple[str, NDArray[np.bool_]]], said: str
) -> Svg:
    """Draw points of shape (n, 2), class by class, the last on top: one shape a class, a dot a point."""
    x = Scale(*limits(points[:, 0]), EDGE, WIDE - EDGE)
    y = Scale(*limits(points[:, 1]), TALL - EDGE, EDGE)
    marks = [tag("rect", x=0.5, y=0.5, width=WIDE - 1, height=TALL - 1, class_="frame")]
    for name, mask in classes:
        dots = "".join(
            f"M{at(a)} {at(b)}h0" for a, b in zip(x(points[mask, 0]), y(points[mask, 1]), strict=True)
        )
        if dots:
            marks.append(tag("path", d=dots, class_=f"dots {name}"))
    return picture(WIDE, TALL, said, *marks)
