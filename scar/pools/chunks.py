"""Cut a pool into chunks, each of one file: what is scored and committed together."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scar import original
from scar.errors import InputError
from scar.pools.places import Place, PoolFile, find
from scar.pools.read import source

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
    for file in files:
        first, size = row, 0
        for mark in source(file).marks():
            room = row > first and size < CHUNK_BYTES and row - chunks[-1].row < chunk_rows
            if not room:
                chunks.append(Chunk(len(chunks), file.name, mark.offset, mark.line, row, 0))
                size = 0
            size += mark.size
            row += 1
        facts.append(FileFacts(file.name, *file.facts(), row - first))
    if row == 0:
        raise InputError(f"the pool is empty: no rows in {', '.join(file.place for file in files)}")
    ends = [chunk.row for chunk in chunks[1:]] + [row]
    return facts, [
        Chunk(c.index, c.file, c.offset, c.line, c.row, end - c.row)
        for c, end in zip(chunks, ends, strict=True)
    ]


def digest(where: Place | Sequence[Place]) -> str:
    """Give one hash of a pool: of its file, or of the names and hashes of its files."""
    lists = original.files(Path(where)) if isinstance(where, str | Path) else []
    # A folder in the original's training layout is no pool, but lists that belong together.
    files = [PoolFile(str(path), path.name, "json") for path in lists] or find(where)
    marks = [(file.name, file.facts()[1]) for file in files]
    if len(marks) == 1:
        return marks[0][1]
    return hashlib.sha256("".join(f"{name} {mark}\n" for name, mark in marks).encode()).hexdigest()
