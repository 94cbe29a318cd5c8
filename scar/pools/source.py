"""What every type of file can do: give its rows, and say cheaply where each stands."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import pyarrow as pa

from scar.errors import InputError
from scar.pools.rows import Row

BOM = b"\xef\xbb\xbf"


class Mark(NamedTuple):
    """Where a row stands: what a plan needs to find it again."""

    offset: int
    """Byte in the (decompressed) file, or number of the row in a columnar one."""
    line: int
    """Line where the row starts, from 1; the number of the row where a file has no lines."""
    size: int
    """Bytes of the row; in a columnar file the mean of its group."""


class Source(Protocol):
    """The rows of one file."""

    def rows(self, first_row: int = 0) -> Iterator[Row]:
        """Yield the rows in order, numbered from `first_row` on."""

    def marks(self) -> Iterator[Mark]:
        """Yield where each row stands, in order."""


class Table(Source, Protocol):
    """The rows of a file whose columns and types are told beside them."""

    def schema(self) -> pa.Schema:
        """Give the columns and their types."""


@contextmanager
def damage(place: str) -> Iterator[None]:
    """Turn what a broken file makes its reader raise into an InputError that names the file."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{place}: damaged: {error}") from None
    except OSError as error:
        if error.errno is not None:
            raise
        # Arrow's own readers report a broken stream as an OSError without a number.
        raise InputError(f"{place}: damaged: {error}") from None
