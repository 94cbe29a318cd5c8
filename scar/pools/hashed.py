"""Take a file's SHA-256 while it is read: a pool is read once to be planned."""

import hashlib
import io
from typing import IO, Any, cast

from scar.pools.places import Local


class Hashed:
    """One file of this machine, hashed as it is read from its start to its end."""

    def __init__(self) -> None:
        self._disk = Local()
        self._tap: _Tap | None = None

    def open(self, place: str) -> IO[bytes]:
        """Open the file; what was opened last is what counts."""
        self._tap = _Tap(self._disk.open(place))
        return io.BufferedReader(self._tap, 1 << 20)

    def facts(self, place: str) -> tuple[int, str]:
        """Give the size and the SHA-256; the file is read for it only where it was not read to its end."""
        tap = self._tap
        return (tap.size, tap.sum.hexdigest()) if tap and tap.ended else self._disk.facts(place)

    def stamp(self, place: str) -> str:
        """Give what changes when the file is touched."""
        return self._disk.stamp(place)

    def forget(self) -> None:
        """Do nothing, as `Local`."""


class _Tap(io.RawIOBase):
    """Reads a stream in order, and hashes what passes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = cast(io.BufferedReader, stream)
        self.sum = hashlib.sha256()
        self.size = 0
        self.ended = False

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        size = self._stream.readinto(buffer)
        self.sum.update(memoryview(buffer)[:size])
        self.size += size
        self.ended = not size
        return size

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()
