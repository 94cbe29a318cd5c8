"""Texts in a temp file, read back one by one: memory holds their places only. Knows no format."""

import tempfile
from array import array
from types import TracebackType
from typing import Self


class Texts:
    """Numbered texts as bytes: each takes 8 bytes of memory, and its length on the disk of the temp folder."""

    def __init__(self) -> None:
        """Open the temp file; where TMPDIR says, or the system's own."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the block
        self._starts = array("q", [0])

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the temp file."""
        self._file.close()

    def __len__(self) -> int:
        """Give the number of texts."""
        return len(self._starts) - 1

    def add(self, text: bytes) -> None:
        """Take the next text. All are added before the first is read."""
        self._starts.append(self._starts[-1] + self._file.write(text))

    def __getitem__(self, number: int) -> bytes:
        """Read a text."""
        self._file.seek(self._starts[number])
        return self._file.read(self._starts[number + 1] - self._starts[number])
