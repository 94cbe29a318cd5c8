"""What every type of file can do: give its rows, and say cheaply where each stands."""

import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from scar.errors import InputError
from scar.pools.pieces import Most, Piece
from scar.pools.rows import Row
from scar.pools.start import BEGIN, Start

BOM = b"\xef\xbb\xbf"


class Source(Protocol):
    """The rows of one file."""

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[Row]:
        """Yield the rows in order from the one at `start` on, numbered from `first_row` on.

        Each is the row that reading from the file's start gives: address, bytes, and what is wrong with it.
        """

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces, in order: the same rows that `rows` gives, found as cheaply as can be."""


class Table(Source, Protocol):
    """The rows of a file whose columns and types are told beside them."""

    def schema(self) -> pa.Schema:
        """Give the columns and their types."""


def _line(error: Exception) -> str:
    """Give what an error says on one line: Arrow's have several."""
    return " ".join(str(error).split())


@contextmanager
def damage(place: str) -> Iterator[None]:
    """Turn what a broken file makes its reader raise into an InputError that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{place}: damaged: {_line(error)}") from None
    except MemoryError as error:
        # A length that was forged, or a row group that this machine cannot hold.
        raise InputError(f"{place}: damaged, or made for more memory than there is: {_line(error)}") from None
    except OSError as error:
        if error.errno is not None and error.filename:
            raise
        if error.errno is not None:  # a disk that fails while it is read names no file
            raise OSError(error.errno, error.strerror, place) from None
        # Arrow's own readers report a broken stream as an OSError without a number.
        raise InputError(f"{place}: damaged: {_line(error)}") from None
