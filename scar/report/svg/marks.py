"""SVG elements as text, escaped; and the scales of their axes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from scar.report.shown import number, visible


class Svg(str):
    """Markup that is safe as it stands."""

    def __html__(self) -> str:
        """Tell a template that it needs no escaping."""
        return self


def tag(name: str, *content: str, **attributes: Any) -> Svg:
    """Make an element: strings inside are escaped, elements are not; `class_` is class, `text_anchor` text-anchor."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(part if isinstance(part, Svg) else escape(visible(part)) for part in content)
    return Svg(f"<{name}{given}>{inside}</{name}>" if inside else f"<{name}{given}/>")


def picture(width: float, height: float, said: str, *content: str) -> Svg:
    """Make a chart that says in a line what it shows, for whoever does not see it."""
    box = {"viewBox": f"0 0 {at(width)} {at(height)}", "role": "img", "aria_label": said}
    return tag("svg", *content, **box)


def at(value: float) -> str:
    """Write a coordinate, to a tenth."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def path(points: Iterable[Sequence[float]], class_: str) -> Svg:
    """Make a line through points."""
    told = "L".join(f"{at(x)} {at(y)}" for x, y in points)
    return tag("path", d=f"M{told}" if told else "M0 0", class_=class_)


def _value(value: Any) -> str:
    return visible(value) if isinstance(value, str) else at(value)


@dataclass(frozen=True)
class Scale:
    """Numbers to places on an axis; of numbers above 0 also by their logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def unit(self, value: Any) -> Any:
        """Give a number's, or an array's, place from 0 to 1; what lies beyond the ends stands at them."""
        low, high = self._of(self.low), self._of(self.high)
        return np.clip((self._of(value) - low) / (high - low), 0, 1)

    def __call__(self, value: Any) -> Any:
        """Give the place of a number or an array."""
        return self.start + self.unit(value) * (self.end - self.start)

    def _of(self, value: Any) -> Any:
        return np.log(np.maximum(value, 1e-300)) if self.log else np.asarray(value, dtype=np.float64)

    def ticks(self, most: int = 6) -> list[float]:
        """Give round numbers inside."""
        return _log_ticks(self.low, self.high) if self.log else _ticks(self.low, self.high, most)


def _ticks(low: float, high: float, most: int) -> list[float]:
    raw = (high - low) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * m for m in (1, 2, 2.5, 5, 10, 20) if size * m >= raw)
    first = math.ceil(low / step - 1e-9)
    return [step * n for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for among in ((1,), (1, 3), (1, 2, 5)):
        found = [m * 10.0**p for p in powers for m in among if low <= m * 10.0**p <= high]
        if len(found) >= 3:
            break
    return found


def tick_label(value: float, ticks: Sequence[float]) -> str:
    """Write a tick with as many digits as tell it from its neighbours."""
    step = min((b - a for a, b in zip(ticks, ticks[1:], strict=False)), default=abs(value) or 1.0)
    size = math.floor(math.log10(step) + 1e-9)
    if max(abs(value), step) >= 1e6 or step < 1e-5:
        return number(value)
    text = f"{value:,.{max(0, -size)}f}"
    # 2.5 and 7.5 between 0 and 10 have a digit more than their step says.
    if size >= 0 and any(tick != int(tick) for tick in ticks):
        text = f"{value:,.1f}"
    elif size < 0 and any(abs(round(tick, -size) - tick) > step / 100 for tick in ticks):
        text = f"{value:,.{1 - size}f}"
    return text.replace("-", "\N{MINUS SIGN}")
