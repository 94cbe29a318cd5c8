"""The console that tables go to."""

import sys

from rich.console import Console

WIDE = 140


def console() -> Console:
    """Give a console: as wide as the terminal, and wide where the output goes to a file."""
    return Console() if sys.stdout.isatty() else Console(width=WIDE)
