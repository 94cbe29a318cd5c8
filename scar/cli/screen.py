"""What goes to the screen: text of pools, files and rankers is shown, and never acts on the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import IO, Any, cast

MARK = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Replace what a terminal would act on instead of showing: escapes, carriage returns, marks of direction."""
    return "".join(c if c.isprintable() or c in "\n\t" else MARK for c in text)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from None


class Shown:
    """A stream of text that is visible, whoever prints to it."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to a stream."""
        self.stream = stream

    def write(self, text: str) -> int:
        """Write what can be shown. Raises OSError that names the stream."""
        with _named():
            return self.stream.write(visible(text))

    def flush(self) -> None:
        """Write what waits. Raises OSError that names the stream."""
        with _named():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self.stream, name)


@contextmanager
def shown(stream: IO[str]) -> Iterator[None]:
    """Let nothing but visible text through to standard output, for the block."""
    with redirect_stdout(cast(IO[str], Shown(stream))):
        yield


def bare(stream: IO[str]) -> IO[str]:
    """Give the stream below, for what styles its own text."""
    return stream.stream if isinstance(stream, Shown) else stream
