"""Write kept rows as JSON Lines: their own bytes, the added fields before the last brace."""

import gzip
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from scar.pools import Row
from scar.selection.spill import Spill

Added = dict[str, int | str | np.float32 | None]


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row to write, its rank from 1, and the columns to add to it."""

    row: Row
    rank: int
    added: Added = field(default_factory=dict)

    def line(self) -> bytes:
        """Give the row as JSON with the added fields; None is a field that this row does not have."""
        return splice(self.row.json(), {name: _text(v) for name, v in self.added.items() if v is not None})


def write_lines(
    out: Path, stream: IO[bytes], rows: Iterable[KeptRow], spill: Spill, *, by_rank: bool
) -> None:
    """Write rows to a stream, packed as the suffix of `out` says."""
    with packed(out, stream) as target:
        for kept in rows:
            if by_rank:
                spill.add(kept.rank, kept.line())
            else:
                target.write(kept.line() + b"\n")
        for line in spill.read(by_rank=True):
            target.write(line + b"\n")


def _text(value: int | str | np.float32) -> str:
    """Give an added value as JSON; a float32 as the shortest text that reads back as the same."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def splice(raw: bytes, added: dict[str, str]) -> bytes:
    """Add fields, given as JSON texts, to an object's own bytes before its last brace."""
    if not added:
        return raw
    end = raw.rindex(b"}")
    body = raw[:end]
    fields = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: {value}" for name, value in added.items())
    comma = b"" if body.rstrip().endswith(b"{") and _empty(raw) else b", "
    return body + comma + fields.encode() + raw[end:]


def _empty(raw: bytes) -> bool:
    return bool(json.loads(raw) == {})


@contextmanager
def packed(out: Path, stream: IO[bytes]) -> Iterator[Any]:
    """Pack what is written to a stream as the suffix of `out` says."""
    if out.name.endswith(".gz"):
        # No name and no time in the header: the same rows give the same bytes.
        with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packing:
            yield packing
    elif out.name.endswith(".zst"):
        # Arrow closes what it writes to, and the file has yet to be synced.
        with pa.CompressedOutputStream(pa.PythonFile(_Unclosed(stream), "w"), "zstd") as packing:
            yield packing
    else:
        yield stream


class _Unclosed:
    """A stream that another may not close."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.write, self.flush = stream.write, stream.flush
        self.closed = False

    def close(self) -> None:
        """Leave it open."""
        self.closed = True
