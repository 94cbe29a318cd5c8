"""The known layouts: their fields, in which columns these stand, and whether a row fits one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scar.formats.values import dialogue, nested

Row = Mapping[str, Any]
FIELDS = {
    "tiers": ("instruction", "responses"),
    "preference": ("chosen", "rejected"),
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "prompt-completion": ("prompt", "completion"),
    "alpaca": ("instruction", "output"),
    "plain": ("instruction", "response"),
}
"""Layout -> the fields that a row must have. In the order of trial: a row with more structure is read by it."""
OPTIONAL = {
    "tiers": ("input", "quality"),
    "preference": ("prompt",),
    "messages": (),
    "sharegpt": (),
    "prompt-completion": (),
    "alpaca": ("input",),
    "plain": ("input",),
}
JUDGEMENTS = {
    "tiers": (),
    "preference": ("margin",),
    "messages": ("label", "score"),
    "sharegpt": ("label", "score"),
    "prompt-completion": ("label", "score"),
    "alpaca": ("label", "score"),
    "plain": ("label", "score"),
}
"""Layout -> the fields that a quality ranker is taught by."""
ANYWHERE = ("id", "source", "eval_only")
"""Fields that mean the same in every layout."""
_KINDS: dict[str, tuple[Callable[[Any], Any], type]] = {
    "messages": (dialogue, list),
    "conversations": (dialogue, list),
    "responses": (nested, Mapping),
}
"""How the value of a structured field is read, and what it must be then."""


@dataclass(frozen=True)
class Layout:
    """The shape of a file's rows, and under which column each field stands."""

    name: str
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether a row can have several responses, each with a name."""
        return self.name in ("preference", "tiers")

    def field(self, row: Row, name: str) -> Any:
        """Give the value of a field, None where the row lacks it."""
        return row.get(self.columns.get(name, name))

    def column(self, name: str) -> str:
        """Give the column in which a field stands."""
        return self.columns.get(name, name)

    def has(self, row: Row) -> bool:
        """Tell whether the row has this layout's columns at all."""
        return all(self.column(name) in row for name in FIELDS[self.name])

    def fits(self, row: Row) -> bool:
        """Tell whether the row has a value of the right kind in this layout's columns.

        A null or an empty cell does not count: where layouts are joined in one table, every row has all columns.
        """
        return all(_holds(name, self.field(row, name)) for name in FIELDS[self.name])


def _holds(name: str, value: Any) -> bool:
    if value is None or value == "":
        return False
    if name not in _KINDS:
        return True
    read, kind = _KINDS[name]
    return isinstance(read(value), kind)


def known_fields(name: str) -> tuple[str, ...]:
    """Give every field of a layout that --columns can map."""
    return (*FIELDS[name], *OPTIONAL[name], *JUDGEMENTS[name], *ANYWHERE)


def candidates(wanted: str, columns: Mapping[str, str]) -> list[Layout]:
    """Give the layouts to try, in order: what was asked for, or all that have every mapped field."""
    names = [wanted] if wanted != "auto" else list(FIELDS)
    return [Layout(name, columns) for name in names if set(columns) <= set(known_fields(name))]


def layout_of(row: Row, columns: Mapping[str, str] | None = None) -> Layout | None:
    """Give the first layout that a row fits, None where it fits none."""
    return next((layout for layout in candidates("auto", columns or {}) if layout.fits(row)), None)
