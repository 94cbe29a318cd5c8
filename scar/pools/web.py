"""A text on a web server as one stream, begun at the byte where reading begins. Knows no pool."""

import io
from collections.abc import Callable
from typing import Any

from scar.pools.start import BLOCK

PARTIAL = 206
"""Status of an answer that is the part that was asked for."""


class WebText:
    """One answer of a server, asked for when the first byte is wanted; many servers give no second part of a file."""

    def __init__(self, ask: Callable[[dict[str, str]], Any]) -> None:
        """`ask` sends a request with some headers, and gives fsspec's stream of the answer."""
        self._ask = ask
        self._stream: Any = None
        self._at = 0

    def seekable(self) -> bool:
        """Say whether the beginning can still be chosen."""
        return self._stream is None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Choose it; gives the byte."""
        if self._stream is not None or whence == io.SEEK_END:
            raise io.UnsupportedOperation("the stream has begun, or its end is not known")
        self._at = offset + (self._at if whence == io.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        """Give the byte that comes next."""
        return self._at

    def read(self, size: int) -> bytes:
        """Read at most so many bytes; none at the end."""
        if self._stream is None:
            self._stream = self._begun()
        part = bytes(self._stream.read(size))
        self._at += len(part)
        return part

    def close(self) -> None:
        """End the connection."""
        if self._stream is not None:
            self._stream.close()

    def _begun(self) -> Any:
        if not self._at:
            return self._ask({})
        # Bytes are counted in the file itself, not in what a server packs for the way.
        stream = self._ask({"Range": f"bytes={self._at}-", "Accept-Encoding": "identity"})
        if stream.r.status != PARTIAL:  # the whole, for it knows no ranges
            _discard(stream, self._at)
        return stream


def _discard(stream: Any, size: int) -> None:
    # Not `skip`: fsspec's stream says that it can be sought in, and cannot.
    while size:
        block = stream.read(min(size, BLOCK))
        if not block:
            raise EOFError("the file is shorter than it was")
        size -= len(block)
