"""The replies file of a run: appended line by line, healed and read again where a run was killed."""

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from scar.errors import InputError, RunError
from scar.tiers.batch import json_object, read_reply

_START = b'{"custom_id"'
_SYNC_SECONDS = 1.0
"""A kill loses nothing that was written; a power cut loses what was written in this time."""


class Journal:
    """A replies file that is open for more. One run at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. InputError where it is no replies file, or another run writes it."""
        self.path = path
        self.done: set[str] = set()
        """Requests that the server answered; those that failed are sent again."""
        self.healed = 0
        """Bytes of a half-written last line that were dropped."""
        self._stream = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        self._synced = time.monotonic()
        with ExitStack() as stack:
            stack.callback(self._stream.close)
            self._lock()
            self._check_ours()
            self._heal()
            stack.pop_all()

    def __enter__(self) -> "Journal":
        """Keep the file open for the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Make what was written durable."""
        with self._writing():
            try:
                self._sync()
            finally:
                self._stream.close()

    def append(self, reply: Mapping[str, Any]) -> None:
        """Write one reply; from here on a kill does not lose it."""
        # ASCII: a server may send a lone surrogate, which UTF-8 cannot hold.
        with self._writing():
            self._stream.write(json.dumps(reply).encode() + b"\n")
            self._stream.flush()
            if time.monotonic() - self._synced >= _SYNC_SECONDS:
                self._sync()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self.path}: {error.strerror}; what was written before is kept, the same command goes on"
            ) from None

    def _sync(self) -> None:
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{self.path}: another run is writing it; wait for it or choose another --out"
            ) from None

    def _heal(self) -> None:
        """Learn what is done, and cut off a line that a kill left half-written."""
        end, raw = 0, b"\n"
        for raw in self._stream:
            reply = read_reply(raw)
            if reply is None and not raw.endswith(b"\n"):
                self.healed = len(raw)
                break
            if reply is not None and reply.arrived:
                self.done.add(reply.custom_id)
            end += len(raw)
        self._stream.truncate(end)
        self._stream.seek(end)
        if not self.healed and not raw.endswith(b"\n"):
            self._stream.write(b"\n")

    def _check_ours(self) -> None:
        """Refuse to write into a pool or a file of requests."""
        if not stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode):
            raise InputError(f"{self.path} is no file that a run can go on from; choose another --out")
        raw = next((line for line in self._stream if line.strip()), b"")
        self._stream.seek(0)
        half = not raw.endswith(b"\n") and (raw.startswith(_START) or _START.startswith(raw))
        if read_reply(raw) is None and (json_object(raw) is not None or not half):
            raise InputError(f"{self.path} exists and holds no replies; choose another --out")
