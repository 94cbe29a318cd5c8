"""Tables on the screen."""

import errno
import sys

from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table

from scar.cli.screen import bare, visible

WIDE = 140


class _Console(Console):
    """Rich's own exits by itself where whoever read it has gone."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command line, as it does with all else that is printed."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe", "standard output")


def show(table: Table) -> None:
    """Print a table: as wide as the terminal, and wide where the output goes to a file.

    Cells that come from data are given as Text, or rich would read marks of its own in them.
    """
    console = _Console(file=bare(sys.stdout), width=None if sys.stdout.isatty() else WIDE)
    parts = [Segment(visible(part.text), part.style, part.control) for part in console.render(table)]
    console.print(Segments(parts), end="")
