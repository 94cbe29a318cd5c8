"""The parts that a page is put together from; a template writes them."""

from dataclasses import dataclass

from scar.report.svg.marks import Svg


@dataclass(frozen=True)
class Figure:
    """A chart, and what its marks mean."""

    chart: Svg
    caption: str
    steps: int = 0
    """Shades of a legend from 1 to `top`; 0: none."""
    top: str = ""


@dataclass(frozen=True)
class Grid:
    """A table; on a narrow screen each row becomes a card, and the head of a column stands beside its cell."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | Svg, ...], ...]
    caption: str = ""
    marked: int | None = None
    """The row that is spoken of."""
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A part of the page: what it says in a sentence or two, and what shows it."""

    id: str
    title: str
    reading: str
    figures: tuple[Figure, ...] = ()
    grids: tuple[Grid, ...] = ()
    note: str = ""
    """How it was measured."""


@dataclass(frozen=True)
class Tile:
    """A headline number."""

    value: str
    name: str
    beside: str = ""
    """What to hold it against."""
