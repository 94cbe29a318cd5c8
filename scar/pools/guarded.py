"""A stream whose every read may fail in ways of its own: a network's. Knows no store."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Any, cast

BUFFER = 1 << 17
Guard = Callable[[], AbstractContextManager[None]]
"""Makes the context in which a read happens, which gives its errors other names."""


def guarded(stream: Any, guard: Guard) -> IO[bytes]:
    """Give a stream with the same bytes, each read of which happens within a guard."""
    return cast(IO[bytes], io.BufferedReader(_Guarded(stream, guard), BUFFER))


class _Guarded(io.RawIOBase):
    def __init__(self, stream: Any, guard: Guard) -> None:
        self._stream, self._guard = stream, guard

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._guard():
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def readinto(self, buffer: Any) -> int:
        with self._guard():
            part = self._stream.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()
