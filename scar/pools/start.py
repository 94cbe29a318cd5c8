"""Where in a file reading may begin: at a row, without reading what lies before it where that can be helped."""

from typing import IO, NamedTuple

BLOCK = 1 << 18


class Start(NamedTuple):
    """A row, and the nearest place before it at which its file can be opened."""

    offset: int = 0
    """Byte of the unpacked file at which the row starts; its number in a columnar file."""
    line: int = 1
    """Line where the row starts, from 1; its number, from 1, where a file has no lines."""
    group: int = 0
    """Byte of the packed file at which a gzip member or zstd frame begins; number of a row group or record batch."""
    group_at: int = 0
    """Byte of the unpacked file at which that member begins; first row of that group."""


BEGIN = Start()
"""The first row of any file but a csv, which has its header there."""


def skip(stream: IO[bytes], size: int) -> None:
    """Go on by so many bytes. Raises EOFError where there are fewer; a stream that can be sought in tells later."""
    if size and stream.seekable():
        stream.seek(size, 1)
        return
    while size:
        block = stream.read(min(size, BLOCK))
        if not block:
            raise EOFError("the file is shorter than it was")
        size -= len(block)
