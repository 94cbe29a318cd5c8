"""Small charts that stand in a row of a table: shares as bars, and numbers with what they vary by."""

from collections.abc import Sequence

from scar.report.svg.marks import Scale, Svg, at, tag

WIDE = 200


def bars(values: Sequence[tuple[str, float]], most: float) -> Svg:
    """Draw bars under each other, each as long as its share of `most`."""
    marks = [
        tag(
            "rect",
            x=0,
            y=9 * n,
            width=max(WIDE * value / most, 0.5 if value else 0) if most else 0,
            height=7,
            class_=f"bar {name}",
        )
        for n, (name, value) in enumerate(values)
    ]
    return _cell(9 * len(values) - 2, marks, "cell bars", "none")


def intervals(
    rows: Sequence[tuple[str, float, float, float]], ends: tuple[float, float], mark: float | None = None
) -> Svg:
    """Draw a line from low to high with a dot at the middle for each (name, middle, low, high)."""
    x = Scale(*ends, 5, WIDE - 5)
    tall = 12 * len(rows)
    marks = [tag("path", d=f"M{at(x(mark))} 0V{at(tall)}", class_="mark")] if mark is not None else []
    for n, (name, middle, low, high) in enumerate(rows):
        y = 12 * n + 6
        marks.append(tag("path", d=f"M{at(x(low))} {y}H{at(x(high))}", class_=f"reach {name}"))
        marks.append(tag("circle", cx=x(middle), cy=y, r=3.5, class_=f"dot {name}"))
    return _cell(tall, marks, "cell")


def _cell(tall: float, marks: Sequence[Svg], class_: str, fit: str | None = None) -> Svg:
    # The numbers stand beside it in words.
    box = {"viewBox": f"0 0 {WIDE} {at(tall)}", "preserveAspectRatio": fit, "aria_hidden": "true"}
    return tag("svg", *marks, class_=class_, **box)
