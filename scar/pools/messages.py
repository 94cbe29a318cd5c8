"""What the packed batches of an Arrow file unpack to, read before Arrow unpacks them.

Arrow's columnar format, "Encapsulated message format" and "Buffer compression": the metadata of a message is a
flatbuffer, and a packed buffer begins with its length once it is unpacked.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import pyarrow as pa

MAGIC = b"ARROW1"
LARGEST = 64 << 20
"""Bytes of a message's metadata."""
_GOES_ON = b"\xff\xff\xff\xff"
_AS_IT_IS = -1
_DICTIONARY, _BATCH = 2, 3
_OLD_PACKING = b"ARROW:experimental_compression"
"""How Arrow 0.17 said that buffers are packed."""


@dataclass(frozen=True)
class _Table:
    """A table of a flatbuffer: its fields by number."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> "_Table":
        return cls(data, _number(data, "<I", 0))

    def field(self, number: int) -> int:
        """Give the byte at which a field stands, 0 where it is left out."""
        names = self.at - _number(self.data, "<i", self.at)
        slot = 4 + 2 * number
        here = _number(self.data, "<H", names + slot) if slot < _number(self.data, "<H", names) else 0
        return self.at + here if here else 0

    def number(self, number: int, kind: str) -> int:
        """Give a number, 0 where it is left out."""
        here = self.field(number)
        return _number(self.data, kind, here) if here else 0

    def table(self, number: int) -> "_Table":
        return _Table(self.data, self._behind(number))

    def structs(self, number: int, kind: str) -> Iterator[tuple[int, ...]]:
        """Yield the structs of a vector, none where it is left out."""
        if not self.field(number):
            return
        start = self._behind(number)
        size, count = struct.calcsize(kind), _number(self.data, "<I", start)
        if start + 4 + size * count > len(self.data):
            raise pa.ArrowInvalid("a vector leads out of its message")
        yield from struct.iter_unpack(kind, self.data[start + 4 : start + 4 + size * count])

    def _behind(self, number: int) -> int:
        """Follow the offset that stands in a field."""
        if not (here := self.field(number)):
            raise pa.ArrowInvalid(f"a message has no field {number}")
        return here + _number(self.data, "<I", here)


@dataclass(frozen=True)
class _Message:
    kind: int
    unpacked: int
    end: int
    """Byte at which the next one begins."""


def unpacked(stream: IO[bytes], first: int = 0) -> Iterator[int]:
    """Yield the bytes of each record batch of an IPC file or stream once it is unpacked, with its dictionaries.

    Those that are not packed count nothing: they have their bytes in the file. Of a file the batches before number
    `first` are left out. Raises ArrowInvalid where the messages cannot be followed.
    """
    stream.seek(0)
    if stream.read(len(MAGIC)) == MAGIC:
        dictionaries, batches = _blocks(stream)
        held = sum(_must(stream, at).unpacked for at in dictionaries)
        yield from (held + _must(stream, at).unpacked for at in batches[first:])
        return
    at = held = 0
    while message := _message(stream, at):
        at = message.end
        held += message.unpacked if message.kind == _DICTIONARY else 0
        if message.kind == _BATCH:
            yield held + message.unpacked


def _blocks(stream: IO[bytes]) -> tuple[list[int], list[int]]:
    """Give where the messages of an IPC file stand: those of dictionaries, and of record batches."""
    end = stream.seek(0, 2) - len(MAGIC) - 4
    stream.seek(max(0, end))
    size = _number(stream.read(4), "<i", 0)
    if not 0 < size <= end:
        raise pa.ArrowInvalid("its footer does not fit into it")
    stream.seek(end - size)
    footer = _Table.root(stream.read(size))
    dictionaries, batches = ([block[0] for block in footer.structs(number, "<qi4xq")] for number in (2, 3))
    return dictionaries, batches


def _must(stream: IO[bytes], at: int) -> _Message:
    if (message := _message(stream, at)) is None:
        raise pa.ArrowInvalid(f"no message at byte {at}")
    return message


def _message(stream: IO[bytes], at: int) -> _Message | None:
    """Read the message at a byte, without its body; None at the end of a stream."""
    _go(stream, at)
    head = stream.read(4)
    if head == _GOES_ON:
        head, at = stream.read(4), at + 4
    size = _number(head, "<i", 0) if len(head) == 4 else 0
    if not size:
        return None
    if not 0 < size <= LARGEST:
        raise pa.ArrowInvalid(f"a message with {size} bytes of metadata")
    metadata, body = stream.read(size), at + 4 + size
    root = _Table.root(metadata)
    kind, length = root.number(1, "<B"), root.number(3, "<q")
    if length < 0:
        raise pa.ArrowInvalid(f"a message with {length} bytes")
    if kind not in (_DICTIONARY, _BATCH):
        return _Message(kind, 0, body + length)
    batch = root.table(2) if kind == _BATCH else root.table(2).table(1)
    packed = batch.field(3) or _OLD_PACKING in metadata
    return _Message(kind, _lengths(stream, body, batch) if packed else 0, body + length)


def _lengths(stream: IO[bytes], body: int, batch: _Table) -> int:
    """Add up what the packed buffers of a batch say that they unpack to."""
    total = 0
    for offset, length in batch.structs(2, "<qq"):
        if length < 8:
            continue
        _go(stream, body + offset)
        said = _number(stream.read(8), "<q", 0)
        total += length if said == _AS_IT_IS else max(0, said)
    return total


def _go(stream: IO[bytes], at: int) -> None:
    # Beyond its end the systems differ in what they let one seek.
    if not 0 <= at <= stream.seek(0, 2):
        raise pa.ArrowInvalid(f"a message leads to byte {at}, out of the file")
    stream.seek(at)


def _number(data: bytes, kind: str, at: int) -> int:
    if not 0 <= at <= len(data) - struct.calcsize(kind):
        raise pa.ArrowInvalid("a message is cut off")
    return int(struct.unpack_from(kind, data, at)[0])
