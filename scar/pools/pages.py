"""What a Parquet file's footer and page headers promise, read before Arrow allocates what they ask for.

Arrow's own view of a column's part of the footer ends the process where it is forged, so it is not asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

import pyarrow as pa

from scar.errors import InputError
from scar.pools.thrift import Fields, read_struct

LARGEST = 512 << 20
"""Bytes of a page: it is unpacked whole. What writes without pages has one a column."""
VALUES = 1 << 28
"""Values of a column of lists in a row group: one row may hold all of them."""
MOST_ROWS = 1000
"""Rows for each byte of a file: more are promised only by a forged one."""
HEAVY = 2 << 20
"""Bytes of a dictionary that no usual writer makes: it stops near 1 MiB."""
_HEADER = 1 << 14
_DICTIONARY = 2
_TEXT = 6
_BYTE_ARRAYS = (_TEXT, 7)
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_DELTA_BYTE_ARRAY = 7


class Page(NamedTuple):
    """What the header of a page promises."""

    kind: int
    size: int
    """Bytes, unpacked."""
    packed: int
    values: int


class Column(NamedTuple):
    """A column's part of a row group."""

    text: bool
    shared: bool
    """Whether a value may begin as the one before, which is not written again."""
    values: int
    unpacked: int
    packed: int
    first: int
    """Byte of the file at which its first page begins."""
    dictionary: bool
    codec: int | None
    """Number of what its pages are packed by; none where its values are no texts with a length each."""


@dataclass(frozen=True)
class Group:
    """A row group."""

    rows: int
    size: int
    columns: list[Column]

    def heaviest(self, stream: IO[bytes], place: str, *, whole: bool) -> list[int]:
        """Give by column how many bytes one value may weigh though it is written once: the size of the dictionary.

        With `whole` every page header is looked at; else, where looking costs a request, the dictionaries' alone.
        Raises InputError for a page that cannot be held, ArrowInvalid for what only a forged file has.
        """
        return [_heaviest(column, stream, place, whole=whole) for column in self.columns]


def groups(stream: IO[bytes]) -> list[Group]:
    """Read the footer. Raises ArrowInvalid where it promises what the file cannot hold."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 8))
    length = int.from_bytes(stream.read(4), "little")
    stream.seek(max(0, size - 8 - length))
    try:
        fields = read_struct(stream.read(length))[0]
        found = [_group(each) for each in fields.get(4) or []]
    except (IndexError, KeyError, TypeError, AttributeError) as error:
        raise pa.ArrowInvalid(f"the footer cannot be read: {error!r}") from None
    for number, group in enumerate(found):
        most = max([group.rows, *(column.values for column in group.columns)])
        if not 0 <= group.rows <= MOST_ROWS * size or most > max(VALUES, group.rows):
            raise pa.ArrowInvalid(
                f"row group {number} promises {most} rows or values in a file of {size} bytes"
            )
    return found


def _group(fields: Fields) -> Group:
    return Group(int(fields[3]), max(0, int(fields[2])), [_column(each[3]) for each in fields[1]])


def _column(meta: Fields) -> Column:
    first, dictionary = int(meta[9]), int(meta.get(11) or 0)
    return Column(
        meta[1] in _BYTE_ARRAYS,
        _DELTA_BYTE_ARRAY in meta[2],
        int(meta[5]),
        int(meta[6]),
        int(meta[7]),
        min(first, dictionary) if dictionary > 0 else first,
        dictionary > 0,
        int(meta[4]) if meta[1] == _TEXT else None,
    )


def _heaviest(column: Column, stream: IO[bytes], place: str, *, whole: bool) -> int:
    if not whole and not column.dictionary:
        return column.unpacked if column.shared and column.text else 0
    heavy = 0
    for page in _pages(column, stream, place):
        if column.text and (column.shared or page.kind == _DICTIONARY):
            heavy = max(heavy, page.size)
        if not whole:
            break
    return heavy


def longest(column: Column, stream: IO[bytes]) -> int:
    """Bytes of the longest text in a column's dictionary, or, where that is not told cheaply, of all of it."""
    page, length = _page(stream, column.first)
    if page.kind != _DICTIONARY or column.codec not in _CODECS or page.size > HEAVY:
        return page.size
    stream.seek(column.first + length)
    data, codec = stream.read(page.packed), _CODECS[column.codec]
    if codec is not None:
        data = pa.decompress(data, page.size, codec, asbytes=True)
    most = at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        most, at = max(most, size), at + 4 + size
    return most


def _pages(column: Column, stream: IO[bytes], place: str) -> Iterator[Page]:
    at, end, values = column.first, column.first + column.packed, 0
    while 0 <= at < end and values < column.values:
        page, length = _page(stream, at)
        # A dictionary may hold values that no row has: those of a table of which rows were taken.
        too_many = page.kind != _DICTIONARY and page.values > column.values
        if min(page.size, page.packed, page.values) < 0 or too_many:
            raise pa.ArrowInvalid(f"the page at byte {at} promises {page.values} values in {page.size} bytes")
        if page.size > LARGEST:
            raise InputError(
                f"{place}: the page at byte {at} has {page.size >> 20} MiB, and a page is read whole: write the "
                "file again with pages of 1 MiB"
            )
        yield page
        values += 0 if page.kind == _DICTIONARY else page.values
        at += length + page.packed


def _page(stream: IO[bytes], at: int) -> tuple[Page, int]:
    """Read a header; gives the page, and the bytes of the header."""
    for room in (_HEADER, _HEADER << 10):  # statistics may stand in it, as long as two values
        stream.seek(at)
        try:
            fields, length = read_struct(stream.read(room))
            inner: Fields = next((fields[name] for name in (5, 7, 8) if name in fields), {})
            return Page(int(fields[1]), int(fields[2]), int(fields[3]), int(inner.get(1) or 0)), length
        except IndexError:
            continue
        except (KeyError, TypeError, AttributeError):
            break
    raise pa.ArrowInvalid(f"no page header at byte {at}")
