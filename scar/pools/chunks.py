"""Cut a pool into chunks, each of one file: what is scored and committed together."""

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from scar import original
from scar.errors import InputError
from scar.pools.hashed import Hashed
from scar.pools.pieces import Most
from scar.pools.places import TEXT, Local, Place, PoolFile, find
from scar.pools.read import source
from scar.pools.rows import Row
from scar.pools.start import Start

CHUNK_BYTES = 64 << 20
"""A chunk ends after this many bytes, however few its rows: a chunk's text is held in memory."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of rows of one file."""

    index: int
    file: str
    offset: int
    """Byte in the (decompressed) file at which the first row starts; its number in a columnar file."""
    line: int
    row: int
    rows: int
    group: int = 0
    """Byte of the packed file at which the gzip member or zstd frame begins that holds the first row; number of the
    row group or record batch."""
    group_at: int = 0
    """Byte of the unpacked file at which that member begins; first row of that group."""

    @property
    def start(self) -> Start:
        """Where reading begins."""
        return Start(self.offset, self.line, self.group, self.group_at)


@dataclass(frozen=True)
class FileFacts:
    """What the plan keeps of a file, to notice later that it changed."""

    name: str
    bytes: int
    sha256: str
    """Hash of the content; behind a URL the store's own mark, on the Hub the commit."""
    rows: int


def cut(files: Sequence[PoolFile], chunk_rows: int) -> tuple[list[FileFacts], list[Chunk]]:
    """Plan a pool: learn where its rows stand, check-sum each file, cut it into chunks that never straddle files."""
    facts: list[FileFacts] = []
    chunks: list[Chunk] = []
    row = 0
    for file in map(_hashed, files):
        first = row
        for (offset, line, group, group_at), rows in source(file).pieces(Most(chunk_rows, CHUNK_BYTES)):
            chunks.append(Chunk(len(chunks), file.name, offset, line, row, rows, group, group_at))
            row += rows
        facts.append(FileFacts(file.name, *file.facts(), row - first))
    if row == 0:
        raise InputError(f"the pool is empty: no rows in {', '.join(file.place for file in files)}")
    return facts, chunks


def _hashed(file: PoolFile) -> PoolFile:
    """Have a file of this machine that is read whole hashed at the same time."""
    return replace(file, store=Hashed()) if type(file.store) is Local and file.kind in TEXT.values() else file


def read_chunks(files: Sequence[PoolFile], chunks: Iterable[Chunk]) -> Generator[tuple[Chunk, Iterator[Row]]]:
    """Yield chunks of a plan, any of them in order, each with its rows; neighbours are read without opening again.

    The rows are to be taken before the next chunk. Raises InputError where there are fewer than planned.
    """
    named = {file.name: file for file in files}
    rows: Generator[Row] | None = None
    after: tuple[str, int] | None = None
    try:
        for chunk in chunks:
            if rows is None or after != (chunk.file, chunk.row):
                if rows:
                    rows.close()
                rows = source(named[chunk.file]).rows(chunk.row, chunk.start)
            own = _planned(chunk, rows, named[chunk.file].place)
            yield chunk, own
            deque(own, maxlen=0)  # what was left of them
            after = chunk.file, chunk.row + chunk.rows
    finally:
        if rows:
            rows.close()


def _planned(chunk: Chunk, rows: Iterator[Row], place: str) -> Iterator[Row]:
    left = chunk.rows
    for row in islice(rows, chunk.rows):
        left -= 1
        yield row
    if left:
        raise InputError(
            f"{place}: changed while it was read: from line {chunk.line} on there are {chunk.rows - left} rows, "
            f"where {chunk.rows} were planned; the same command looks at it again, and says what differs"
        )


def digest(where: Place | Sequence[Place]) -> str:
    """Give one hash of a pool: of its file, or of the names and hashes of its files."""
    lists = original.files(Path(where)) if isinstance(where, str | Path) else []
    # A folder in the original's training layout is no pool, but lists that belong together.
    files = [PoolFile(str(path), path.name, "json") for path in lists] or find(where)
    marks = [(file.name, file.facts()[1]) for file in files]
    if len(marks) == 1:
        return marks[0][1]
    return hashlib.sha256("".join(f"{name} {mark}\n" for name, mark in marks).encode()).hexdigest()
