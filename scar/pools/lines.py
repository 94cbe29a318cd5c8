"""JSON Lines: one object a line, read as bytes."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO

from scar.pools.packed import begun
from scar.pools.places import PoolFile
from scar.pools.rows import JsonRow
from scar.pools.source import BOM, Mark, damage
from scar.pools.start import BEGIN, Start
from scar.records import Address


@dataclass(frozen=True)
class JsonLines:
    """The rows of a .jsonl file, compressed or not; blank lines are not rows."""

    file: PoolFile

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[JsonRow]:
        """Yield the rows."""
        with damage(self.file.place), self.file.open(start) as stream:
            for row, (_, line, raw) in enumerate(_lines(stream, start), start=first_row):
                yield JsonRow(Address(row, self.file.name, line), raw.rstrip(b"\r\n"))

    def marks(self) -> Iterator[Mark]:
        """Yield where each row stands; nothing is parsed."""
        with damage(self.file.place), self.file.open() as stream:
            for offset, line, raw in _lines(stream, BEGIN):
                yield Mark(Start(offset, line, *begun(stream, offset)), len(raw))


def _lines(stream: IO[bytes], start: Start) -> Iterator[tuple[int, int, bytes]]:
    # Bytes, not text: a lone carriage return or U+2028 inside a row must not end it.
    offset = start.offset
    for line, raw in enumerate(stream, start=start.line):
        text = raw if offset else raw.removeprefix(BOM)
        if text.strip():
            yield offset, line, text
        offset += len(raw)
