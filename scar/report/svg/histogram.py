"""Two histograms above each other on one axis: the pool, and what was kept of it."""

from dataclasses import dataclass

from scar.report.binned import Histogram
from scar.report.shown import count
from scar.report.svg.axes import BOTTOM, TOP, WIDE, Panel
from scar.report.svg.marks import Svg, at, picture, tag

HEIGHT = 118
GAP = 38


@dataclass(frozen=True)
class Layer:
    """One of the histograms: its name, counts and median."""

    name: str
    histogram: Histogram
    median: float


def histogram_chart(layers: list[Layer], title: str, said: str) -> Svg:
    """Draw one panel a layer, on one axis across; each has its own heights."""
    tall = HEIGHT if len(layers) > 1 else 2 * HEIGHT
    marks, top = [], float(TOP)
    for number, layer in enumerate(layers):
        marks.append(_panel(layer, top, tall, title if number == len(layers) - 1 else ""))
        top += tall + GAP
    return picture(WIDE, top - GAP + BOTTOM, said, *marks)


def _panel(layer: Layer, top: float, tall: float, title: str) -> Svg:
    found = layer.histogram
    most = max(1, int(found.counts.max(initial=0)))
    panel = Panel.of((found.low, found.high), (0, most * 1.04), top, tall)
    at_median = float(panel.x(layer.median))
    marks = [panel.upwards(), _steps(panel, found, layer.name)]
    if found.counts.any():
        marks.append(
            tag("path", d=f"M{at(at_median)} {at(panel.y.start)}V{at(panel.y.end)}", class_="median")
        )
    told = f"{layer.name}: {count(found.counts.sum())}"
    marks.append(tag("text", told, x=panel.x.start, y=top - 9, class_=f"name {layer.name}"))
    return Svg("".join([*marks, panel.across(title, labels=bool(title))]))


def _steps(panel: Panel, found: Histogram, name: str) -> Svg:
    """Draw the bars as one shape."""
    bins = len(found.counts)
    wide = (panel.x.end - panel.x.start) / bins
    tops = "".join(f"V{at(panel.y(int(c)))}h{wide:.3f}" for c in found.counts)
    return tag(
        "path",
        d=f"M{at(panel.x.start)} {at(panel.y.start)}{tops}V{at(panel.y.start)}Z",
        class_=f"area {name}",
    )
