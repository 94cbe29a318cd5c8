"""Keep a line of Ray's off standard error: it tells that it was asked to be silent, before it is."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LINE = re.compile(rb"\[[^\]\n]*\] logging\.cc:\d+: Set ray log level from environment variable [^\n]*\n")
"""It would stand in the progress bar, and in the way of who reads `--log-json`."""


@contextmanager
def hushed() -> Iterator[None]:
    """Hold back what is written to standard error, by whatever library, and write it without that line at the end."""
    try:
        own = os.dup(2)
    except OSError:  # closed: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(own, 2)
            os.close(own)
            held.seek(0)
            # Whoever cannot be told anything is no reason to stop.
            with suppress(OSError), open(2, "wb", closefd=False) as stream:
                stream.write(LINE.sub(b"", held.read()))
