"""Tables on the screen."""

import sys

from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table

from scar.cli.screen import bare, visible

WIDE = 140


def show(table: Table) -> None:
    """Print a table: as wide as the terminal, and wide where the output goes to a file.

    Cells that come from data are given as Text, or rich would read marks of its own in them.
    """
    console = Console(file=bare(sys.stdout), width=None if sys.stdout.isatty() else WIDE)
    parts = [Segment(visible(part.text), part.style, part.control) for part in console.render(table)]
    console.print(Segments(parts), end="")
