"""A .json file: one array of objects, read element by element; or JSON Lines under another name."""

import itertools
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from scar.errors import InputError
from scar.pools import limits
from scar.pools.limits import too_long
from scar.pools.lines import JsonLines
from scar.pools.nesting import Nesting, whole
from scar.pools.packed import begun
from scar.pools.pieces import Mark, Most, Piece, pieces
from scar.pools.places import PoolFile
from scar.pools.rows import BadRow, JsonRow
from scar.pools.source import BOM, damage
from scar.pools.start import BEGIN, Start
from scar.records import Address, SetAside

BLOCK, STEP = 1 << 20, 8 << 20
"""Bytes that are read at a time, at least and at most."""
FIRST = 1 << 12
"""Bytes of a value that are looked at first, where it is not found whole; twice as many each time after."""
_BETWEEN = re.compile(rb"[\s,]*+")
_BREAK = re.compile(rb"[\r\n]\s*")
_SCALAR = re.compile(rb"[^,\]\s]*+")
_SPACE = re.compile(rb"\s*+")


@dataclass(frozen=True)
class JsonArray:
    """The elements of the array in a .json file. Memory holds a block and one element."""

    file: PoolFile

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[JsonRow | BadRow]:
        """Yield the rows; `line` is the number of the element, from 1."""
        if self._is_lines():
            yield from JsonLines(self.file).rows(first_row, start)
            return
        with damage(self.file.place), self.file.open(start) as stream:
            for number, each in enumerate(elements(stream, self.file.place, start.offset)):
                address = Address(first_row + number, self.file.name, start.line + number)
                yield BadRow(too_long(address)) if each.raw is None else JsonRow(address, one_line(each.raw))

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces."""
        return JsonLines(self.file).pieces(most) if self._is_lines() else pieces(self.marks(), most)

    def marks(self) -> Iterator[Mark]:
        """Yield where each row of the array stands."""
        with damage(self.file.place), self.file.open() as stream:
            for number, each in enumerate(elements(stream, self.file.place), start=1):
                yield Mark(Start(each.offset, number, *begun(stream, each.offset)), each.size)

    def _is_lines(self) -> bool:
        """Tell whether the file has an object a line: much of what is called .json does."""
        with damage(self.file.place), self.file.open() as stream:
            start = stream.read(BLOCK).removeprefix(BOM).lstrip()
        if start.startswith(b"[") or not start:
            return False
        first = next(itertools.islice(JsonLines(self.file).rows(), 1), None)
        if first is None or isinstance(first.decode(), SetAside):
            raise InputError(
                f"{self.file.place}: neither an array of rows, [{{...}}, ...], nor one object a line, in UTF-8; "
                "a list inside an object must be taken out first"
            )
        return True


def one_line(raw: bytes) -> bytes:
    """Put an element on one line; JSON has no raw line break inside a string, so this changes no value."""
    return _BREAK.sub(b" ", raw) if b"\n" in raw or b"\r" in raw else raw


class Element(NamedTuple):
    """An element of an array, as it is written."""

    offset: int
    size: int
    raw: bytes | None
    """Its bytes; none where they are more than LONGEST."""


def elements(stream: IO[bytes], place: str, offset: int = 0) -> Iterator[Element]:
    """Yield every element of the one array that a stream holds.

    Elements are told apart by brackets and strings alone, so that one that is not JSON spoils no other. The stream
    may begin at any element, whose `offset` is then given: no element is at 0.
    """
    window = _Window(stream, offset)
    if not offset and not window.starts_with_bracket():
        return
    while window.at_element():
        yield window.element()
    if not window.closed:
        raise InputError(
            f"{place}: the array does not end: the file is cut off, or a text in it is never closed"
        )
    if not window.at_end():
        raise InputError(f"{place}: there is text after the end of the array, at byte {window.offset}")


class _Window:
    """The part of the stream that is in memory, and a place in it."""

    def __init__(self, stream: IO[bytes], before: int = 0) -> None:
        self._stream = stream
        self._buffer = b""
        self._before = before
        self._place = 0
        self._ended = False
        self.closed = False
        """Whether the bracket that ends the array was met."""

    @property
    def offset(self) -> int:
        """The place as a byte of the stream."""
        return self._before + self._place

    def starts_with_bracket(self) -> bool:
        """Go behind the opening bracket; False where the stream is blank."""
        self._more()
        self._place = len(BOM) if self._buffer.startswith(BOM) else 0
        self._skip(_SPACE)
        self._place += 1
        return self._place <= len(self._buffer)

    def at_element(self) -> bool:
        """Go to the next element; False at the end of the array, or of the stream."""
        self._skip(_BETWEEN)
        if self._place < len(self._buffer) and self._buffer[self._place] != ord("]"):
            return True
        self.closed = self._place < len(self._buffer)
        self._place += self.closed
        return False

    def element(self) -> Element:
        """Give the element at the place, and go behind it."""
        start = self.offset
        if found := whole.match(self._buffer, self._place):
            return self._taken(start, self._before + found.end())
        if self._buffer[self._place] not in b'{["':
            return self._taken(start, self._scalar())
        return self._taken(start, self._nested())

    def at_end(self) -> bool:
        """Tell whether nothing but white space follows; go to what does."""
        self._skip(_SPACE)
        return self._place == len(self._buffer)

    def _nested(self) -> int:
        """Find where an object, array or text ends; what is too long to be held is dropped on the way."""
        nesting, at, step = Nesting(), self.offset, FIRST
        while True:
            there = at - self._before
            block = self._buffer[there : there + step]
            if block and (end := nesting.end(block)):
                return at + end
            at, step = at + len(block), min(2 * step, BLOCK)
            if self._full:
                self._place = at - self._before
            if not block and not self._more():
                return at

    @property
    def _full(self) -> bool:
        return len(self._buffer) - self._place > limits.LONGEST

    def _scalar(self) -> int:
        while True:
            match = _SCALAR.match(self._buffer, self._place)
            end = match.end() if match else self._place
            if end < len(self._buffer):
                return self._before + end
            if self._full:
                self._place = end
            if not self._more():
                return self._before + len(self._buffer)

    def _taken(self, start: int, end: int) -> Element:
        size = end - start
        raw = self._buffer[start - self._before : end - self._before] if size <= limits.LONGEST else None
        self._place = end - self._before
        return Element(start, size, raw)

    def _skip(self, pattern: re.Pattern[bytes]) -> None:
        while True:
            match = pattern.match(self._buffer, self._place)
            self._place = match.end() if match else self._place
            if self._place < len(self._buffer) or not self._more():
                return

    def _more(self) -> bool:
        """Read on, dropping what lies before the place; the longer the element, the larger the steps."""
        if self._ended:
            return False
        kept = self._buffer[self._place :]
        block = self._stream.read(max(BLOCK, min(len(kept), STEP)))
        self._ended = not block
        self._before += self._place
        self._buffer, self._place = kept + block, 0
        return not self._ended
