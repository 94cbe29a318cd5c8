"""Axes that charts share: thin lines, few ticks, numbers of even width."""

from dataclasses import dataclass

from scar.report.svg.marks import Scale, Svg, at, tag, tick_label

WIDE = 480
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 26, 46
"""Margins that hold the labels also where a narrow screen writes them larger."""


@dataclass(frozen=True)
class Panel:
    """A rectangle of a chart with its two scales; y grows upwards."""

    x: Scale
    y: Scale

    @classmethod
    def of(
        cls, x: tuple[float, float], y: tuple[float, float], top: float, height: float, *, log: bool = False
    ) -> "Panel":
        """Lay a panel of a height at a place, as wide as all charts."""
        return cls(Scale(*x, LEFT, WIDE - RIGHT, log), Scale(*y, top + height, top))

    def across(self, title: str = "", *, labels: bool = True) -> Svg:
        """Draw the axis below: ticks, numbers, and what they count."""
        base, ticks = self.y.start, self.x.ticks()
        marks = [
            tag("path", d="".join(f"M{at(self.x(t))} {at(base)}v4" for t in ticks) or "M0 0", class_="tick")
        ]
        marks.append(tag("path", d=f"M{at(self.x.start)} {at(base)}H{at(self.x.end)}", class_="axis"))
        for tick in ticks if labels else ():
            marks.append(
                tag(
                    "text",
                    tick_label(tick, ticks) if not self.x.log else f"{tick:,g}",
                    x=self.x(tick),
                    y=base + 18,
                    class_="num mid",
                )
            )
        if title and labels:
            marks.append(
                tag("text", title, x=(self.x.start + self.x.end) / 2, y=base + 38, class_="title mid")
            )
        return Svg("".join(marks))

    def upwards(self, most: int = 3) -> Svg:
        """Draw the lines of the axis at the left, with their numbers."""
        ticks = self.y.ticks(most)
        lines = [
            tag("path", d=f"M{at(self.x.start)} {at(self.y(t))}H{at(self.x.end)}", class_="grid")
            for t in ticks
        ]
        numbers = [
            tag("text", tick_label(tick, ticks), x=self.x.start - 7, y=self.y(tick) + 4.5, class_="num end")
            for tick in ticks
        ]
        return Svg("".join([*lines, *numbers]))
