"""JSON Lines: one object a line, read as bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

from scar.pools.places import PoolFile
from scar.pools.rows import JsonRow
from scar.pools.source import BOM, Mark, damage
from scar.records import Address


@dataclass(frozen=True)
class JsonLines:
    """The rows of a .jsonl file, compressed or not; blank lines are not rows."""

    file: PoolFile

    def rows(self, first_row: int = 0) -> Iterator[JsonRow]:
        """Yield the rows."""
        for row, (_, line, raw) in enumerate(self._lines(), start=first_row):
            yield JsonRow(Address(row, self.file.name, line), raw.rstrip(b"\r\n"))

    def marks(self) -> Iterator[Mark]:
        """Yield where each row stands; nothing is parsed."""
        for offset, line, raw in self._lines():
            yield Mark(offset, line, len(raw))

    def _lines(self) -> Iterator[tuple[int, int, bytes]]:
        # Bytes, not text: a lone carriage return or U+2028 inside a row must not end it.
        offset = 0
        with damage(self.file.place), self.file.open() as stream:
            for number, raw in enumerate(stream, start=1):
                text = raw.removeprefix(BOM) if number == 1 else raw
                if text.strip():
                    yield offset, number, text
                offset += len(raw)
