"""Unpack gzip and zstd as streams, a block at a time, and know where their members begin."""

import io
import zlib
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

import pyarrow as pa

from scar.pools.start import BLOCK, Start, skip

PACKED = 1 << 16
"""Bytes that are read at a time; the rest of them is copied for each member that ends in them."""
MEMBERS = 1 << 18
"""Members whose beginnings are kept until they are asked for."""
_FRAME, _SKIPPABLE = 0xFD2FB528, 0x184D2A50
Blocks = Iterator[tuple[int, bytes]]
"""Unpacked blocks, none empty, each with the byte of the packed file at which its member begins."""


class Unpacked(io.BufferedReader):
    """What a packed stream holds. Cannot be sought in: what lies before a place has to be unpacked."""

    def __init__(self, name: str, packed: IO[bytes], start: Start) -> None:
        """`packed` is open at its beginning; reading goes on at the row of `start`."""
        skip(packed, start.group)
        blocks = (gunzip if name.endswith(".gz") else unzstd)(packed, start.group)
        self._members = _Members(blocks, start)
        self._packed = packed
        super().__init__(self._members, buffer_size=BLOCK)
        skip(self, start.offset - start.group_at)

    def begun(self, at: int) -> tuple[int, int]:
        """Give where the member begins that holds byte `at`, which was read: in the packed file, in the unpacked one.

        Asked in order. A file that is one member begins at 0, 0: it has to be unpacked from its start.
        """
        return self._members.begun(at)

    def close(self) -> None:
        """Close what is below too."""
        super().close()
        self._packed.close()


def begun(stream: IO[bytes], at: int) -> tuple[int, int]:
    """Give `group` and `group_at` of a row that starts at byte `at`: 0, 0 in a file that is not packed."""
    return stream.begun(at) if isinstance(stream, Unpacked) else (0, 0)


class _Members(io.RawIOBase):
    """Hands blocks out as a stream, and remembers the members that they came from."""

    def __init__(self, blocks: Blocks, start: Start) -> None:
        self._blocks = blocks
        self._left = memoryview(b"")
        self._at = start.group_at
        self._begun: deque[tuple[int, int]] = deque(maxlen=MEMBERS)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpack the next bytes."""
        if not self._left:
            member, block = next(self._blocks, (0, b""))
            if block and (not self._begun or self._begun[-1][0] != member):
                self._begun.append((member, self._at))
            self._left = memoryview(block)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        self._at += size
        return size

    def begun(self, at: int) -> tuple[int, int]:
        """Give the last member that begins at or before `at`; the file's start where that was forgotten."""
        while len(self._begun) > 1 and self._begun[1][1] <= at:
            self._begun.popleft()
        return self._begun[0] if self._begun and self._begun[0][1] <= at else (0, 0)


def gunzip(packed: IO[bytes], at: int) -> Blocks:
    """Unpack gzip from a member's first byte on; zeros between members are padding."""
    data = packed.read(PACKED)
    while data:
        member, unpacker = at, zlib.decompressobj(31)
        while not unpacker.eof:
            data = data or packed.read(PACKED)
            if not data:
                raise EOFError("the file ends before its last gzip member does")
            block = unpacker.decompress(data, BLOCK)
            rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
            at += len(data) - len(rest)
            data = rest
            if block:
                yield member, block
        while True:
            rest = data.lstrip(b"\0")
            at += len(data) - len(rest)
            data = rest or packed.read(PACKED)
            if rest or not data:
                break


def unzstd(packed: IO[bytes], at: int) -> Blocks:
    """Unpack zstd from a frame's first byte on; frames are told apart by the sizes of their blocks."""
    while magic := packed.read(4):
        number, frame = int.from_bytes(magic, "little"), at
        if number & ~0xF == _SKIPPABLE:
            size = int.from_bytes(_exactly(packed, 4), "little")
            for left in range(size, 0, -BLOCK):
                _exactly(packed, min(left, BLOCK))
            at += 8 + size
            continue
        if number != _FRAME:
            raise EOFError(f"no zstd frame at byte {at}")
        parts = _Frame(magic, packed)
        with pa.CompressedInputStream(pa.PythonFile(parts, "r"), "zstd") as stream:
            while block := stream.read(BLOCK):
                yield frame, block
        at += parts.size


class _Frame:
    """A stream of one frame's bytes, and of no more."""

    def __init__(self, magic: bytes, packed: IO[bytes]) -> None:
        self._parts = _frame(magic, packed)
        self._left = b""
        self.size = 0
        self.closed = False

    def read(self, size: int) -> bytes:
        """Give at most so many bytes; none at the frame's end."""
        self._left = self._left or next(self._parts, b"")
        part, self._left = self._left[:size], self._left[size:]
        self.size += len(part)
        return part

    def close(self) -> None:
        """Leave the file below open: other frames follow."""
        self.closed = True


def _frame(magic: bytes, packed: IO[bytes]) -> Iterator[bytes]:
    """Yield a frame's parts as RFC 8878 has them: header, blocks, checksum."""
    flags = _exactly(packed, 1)
    single, sums = flags[0] >> 5 & 1, flags[0] >> 2 & 1
    content = (single, 2, 4, 8)[flags[0] >> 6]
    yield magic + flags + _exactly(packed, 1 - single + (0, 1, 2, 4)[flags[0] & 3] + content)
    last = 0
    while not last:
        head = _exactly(packed, 3)
        number = int.from_bytes(head, "little")
        last, kind, size = number & 1, number >> 1 & 3, number >> 3
        yield head + _exactly(packed, 1 if kind == 1 else size)
    if sums:
        yield _exactly(packed, 4)


def _exactly(packed: IO[bytes], size: int) -> bytes:
    data = packed.read(size)
    if len(data) < size:
        raise EOFError("the file ends before its last zstd frame does")
    return data
