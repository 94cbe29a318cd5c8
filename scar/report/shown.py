"""Texts and numbers as a page shows them: what would act on it is named instead, and nothing is lost in silence."""

import math
import re

_ACTS = re.compile(
    # Controls, half characters, line separators; marks that turn the direction of what follows; invisible tags.
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]"
    "|[\U000e0000-\U000e007f]"
)
MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def visible(text: str) -> str:
    """Name every character that a page would not show: NUL becomes (U+0000) in angle brackets."""
    return _ACTS.sub(lambda found: f"\u27e8U+{ord(found.group()):04X}\u27e9", text.replace("\r\n", "\n"))


def count(value: float) -> str:
    """Write a count, an average of counts too: 12,345."""
    return NONE if math.isnan(value) else f"{round(value):,}".replace("-", MINUS)


def number(value: float) -> str:
    """Write a number with three significant digits, more before the point where it has them: 0.123, 1.23, 1,235."""
    if not math.isfinite(value):
        return NONE
    size = math.floor(math.log10(abs(value))) if value else 0
    if not -4 <= size < 9:
        return f"{value:.2e}".replace("-", MINUS)
    return f"{value:,.{max(0, 2 - size) if value else 0}f}".replace("-", MINUS)


def percent(share: float) -> str:
    """Write a share: 12.3 %, and one that is not nothing not as 0."""
    if not math.isfinite(share):
        return NONE
    if 0 < abs(share) < 0.0005:
        return "< 0.1 %"
    return f"{share:.1%}".replace("%", "\N{NO-BREAK SPACE}%").replace("-", MINUS)


def signed(value: float) -> str:
    """Write a correlation: +0.12."""
    return NONE if not math.isfinite(value) else f"{value:+.2f}".replace("-", MINUS)


def short(text: str, most: int) -> str:
    """Cut a text of one line."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
