"""JSON Lines: one object a line, read as bytes."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from scar.pools import limits
from scar.pools.limits import pass_line, too_long
from scar.pools.packed import begun
from scar.pools.pieces import Cutter, Ints, Most, Piece
from scar.pools.places import PoolFile
from scar.pools.rows import BadRow, JsonRow
from scar.pools.source import BOM, damage
from scar.pools.start import BEGIN, Start
from scar.records import Address

BLOCK = 1 << 20
_BLANK = np.isin(np.arange(256), list(b" \t\n\r\v\f"))
"""By byte: whether `bytes.strip` takes it off."""


@dataclass(frozen=True)
class JsonLines:
    """The rows of a .jsonl file, compressed or not; blank lines are not rows."""

    file: PoolFile

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[JsonRow | BadRow]:
        """Yield the rows."""
        with damage(self.file.place), self.file.open(start) as stream:
            for row, (line, raw) in enumerate(_lines(stream, start), start=first_row):
                address = Address(row, self.file.name, line)
                yield BadRow(too_long(address)) if raw is None else JsonRow(address, raw.rstrip(b"\r\n"))

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces; only line feeds are looked for, nothing is parsed."""
        cutter, start = Cutter(most), BEGIN
        with damage(self.file.place), self.file.open() as stream:
            for at, line, sizes in _scan(stream):
                for first, rows in cutter.starts(sizes):
                    if rows:
                        yield Piece(start, rows)
                    offset = int(at[first])
                    start = Start(offset, int(line[first]), *begun(stream, offset))
        if cutter.left:
            yield Piece(start, cutter.left)


def _lines(stream: IO[bytes], start: Start) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number and the bytes of each line that is not blank; none of one that is too long."""
    # Bytes, not text: a lone carriage return or U+2028 inside a row must not end it.
    first, line = not start.offset, start.line
    while raw := stream.readline(limits.LONGEST + 1):
        long = len(raw) > limits.LONGEST
        text = raw.removeprefix(BOM) if first else raw
        rest = long and not raw.endswith(b"\n") and pass_line(stream)[1]
        if rest or text.strip():
            yield line, None if long else text
        first, line = False, line + 1


def _scan(stream: IO[bytes]) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Yield (byte offsets, line numbers, sizes) of the rows that end in each block; a byte order mark has no size."""
    offset, line = 0, 1
    begins, solid, mark = 0, False, 0
    """Of the line that the block before left open: its first byte, whether it is not blank, and its mark's size."""
    while block := stream.read(BLOCK):
        data = np.frombuffer(block, np.uint8)
        if not offset and block.startswith(BOM):
            mark, data = len(BOM), data[len(BOM) :]
        feeds = np.flatnonzero(data == 10)
        at = np.concatenate(([0], feeds + 1))  # where lines begin; the last is left open
        full = _solid(data, at)
        full[0] |= solid
        ends = feeds + 1 + offset + mark * (not offset)
        starts = np.concatenate(([begins], ends))
        rows = np.flatnonzero(full[:-1])
        sizes = ends - starts[:-1]
        if len(sizes):
            sizes[0] -= mark
            mark = 0
        yield starts[rows], line + rows, sizes[rows]
        offset, line = offset + len(block), line + len(feeds)
        begins, solid = int(starts[-1]), bool(full[-1])
    if solid:
        yield np.array([begins]), np.array([line]), np.array([offset - begins - mark])


def _solid(
    data: "np.ndarray[tuple[int], np.dtype[np.uint8]]", at: Ints
) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Tell which of the lines that begin at `at` hold something other than white space."""
    here = at < len(data)
    full = here.copy()
    full[here] = ~_BLANK[data[at[here]]]
    if not full[here].all():  # few lines begin with white space, so that the rest is seldom looked at
        full[here] = np.logical_or.reduceat(~_BLANK[data], at[here]) if here.any() else False
    return full
