"""Open, stream and cut pools: files of rows, read as bytes, one chunk in memory at a time. Knows no model."""

import gzip
import hashlib
import itertools
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from scar import formats, original
from scar.errors import InputError
from scar.files import sha256
from scar.records import Address, Reason, Record, SetAside, Tiers
from scar.settings import Reading

SUFFIXES = (".jsonl", ".jsonl.gz")
BOM = b"\xef\xbb\xbf"
CHUNK_BYTES = 64 << 20
"""A chunk ends after this many bytes, however few its rows: a chunk's text is held in memory."""
_PEEK = 200
"""Rows that detection looks at before it gives up."""


@dataclass(frozen=True, slots=True)
class PoolFile:
    """One file of a pool; `name` is its path relative to the pool argument, with forward slashes."""

    path: Path
    name: str

    def open(self) -> IO[bytes]:
        """Open the file's rows as bytes, decompressed."""
        if self.name.endswith(".gz"):
            return cast(IO[bytes], gzip.open(self.path, "rb"))
        return open(self.path, "rb")


@dataclass(frozen=True, slots=True)
class Line:
    """One row as it stands in its file."""

    address: Address
    raw: bytes
    """The line's own bytes, without its line end and the file's byte order mark."""


@dataclass(frozen=True, slots=True)
class ParsedRow:
    """What became of one row: its records and set-aside parts, in order, and the columns to carry."""

    items: tuple[Record | SetAside, ...]
    carried: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of rows of one file: what is scored and committed together."""

    index: int
    file: str
    offset: int
    """Byte in the (decompressed) file at which the first row's line starts."""
    line: int
    row: int
    rows: int


@dataclass(frozen=True)
class FileFacts:
    """What the plan keeps of a file, to notice later that it changed."""

    name: str
    bytes: int
    sha256: str
    rows: int


def find(where: str | Path | Sequence[str | Path]) -> list[PoolFile]:
    """List the files of a pool: a file, a folder, a glob, or several of these.

    Raises InputError where nothing is there, saying what was looked for.
    """
    places = [where] if isinstance(where, str | Path) else list(where)
    files = [file for place in places for file in _find(Path(place))]
    twice = [name for name, times in Counter(file.name for file in files).items() if times > 1]
    if twice:
        raise InputError(f"the pool names {twice[0]} twice; name a file once, or the folder above both")
    return files


def _find(place: Path) -> list[PoolFile]:
    if place.is_dir():
        inside = sorted(
            path for path in place.rglob("*") if path.name.endswith(SUFFIXES) and _is_pool(path, place)
        )
        if not inside:
            raise InputError(f"{place}: no pool files in this folder (looked for {', '.join(SUFFIXES)})")
        return [_file(path, path.relative_to(place)) for path in inside]
    if place.exists():
        if not place.name.endswith(SUFFIXES):
            raise InputError(f"{place}: not a pool file ({', '.join(SUFFIXES)})")
        return [_file(place, Path(place.name))]
    root, matches = _glob(place)
    if not matches:
        raise InputError(f"{place}: no such file, folder or glob")
    return [
        _file(file.path, path.relative_to(root) / (file.name if path.is_dir() else ""))
        for path in matches
        for file in _find(path)
    ]


def _is_pool(path: Path, place: Path) -> bool:
    """Leave hidden files and our own run folders alone: their set-aside lists are no pools."""
    inner = path.relative_to(place).parts
    runs = any((place.joinpath(*inner[:depth]) / "ledger").is_dir() for depth in range(1, len(inner)))
    return path.is_file() and not runs and not any(part.startswith(".") for part in inner)


def _file(path: Path, name: Path) -> PoolFile:
    try:
        name.as_posix().encode()
    except UnicodeEncodeError:
        raise InputError(f"{os.fsencode(path)!r}: the file's name is not UTF-8; rename it") from None
    return PoolFile(path, name.as_posix())


def _glob(place: Path) -> tuple[Path, list[Path]]:
    """Give the part of a glob before its first mark, and what it matches."""
    fixed = list(itertools.takewhile(lambda part: not any(mark in part for mark in "*?["), place.parts))
    root = Path(*fixed) if fixed else Path()
    rest = place.parts[len(fixed) :]
    return root, sorted(root.glob(str(Path(*rest)))) if rest else []


def digest(where: str | Path) -> str:
    """Give one SHA-256 of a pool: of its file, or of the names and hashes of its files."""
    files = _original_files(where) or find(where)
    if len(files) == 1:
        return sha256(files[0].path)
    return hashlib.sha256(
        "".join(f"{file.name} {sha256(file.path)}\n" for file in files).encode()
    ).hexdigest()


def _original_files(where: str | Path) -> list[PoolFile]:
    """Give the files of a folder in the original's training layout, which is no pool but lists that belong together."""
    return [PoolFile(path, path.name) for path in original.files(Path(where))]


def lines(file: PoolFile, first_row: int = 0) -> Iterator[tuple[int, Line]]:
    """Yield (byte offset, row) for every row of a file in order; blank lines are not rows.

    Bytes, not text: a lone carriage return or U+2028 inside a row must not end it.
    """
    row, offset, raw = first_row, 0, b""
    try:
        with file.open() as stream:
            for number, raw in enumerate(stream, start=1):
                text = raw[len(BOM) :] if number == 1 and raw.startswith(BOM) else raw
                if text.strip():
                    yield offset, Line(Address(row, file.name, number), text.rstrip(b"\r\n"))
                    row += 1
                offset += len(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{file.path}: damaged after {offset} bytes: {error}") from None


def rows_of(files: Sequence[PoolFile]) -> Iterator[Line]:
    """Yield every row of a pool in order, numbered through."""
    row = 0
    for file in files:
        for _, line in lines(file, row):
            row = line.address.row + 1
            yield line


def cut(files: Sequence[PoolFile], chunk_rows: int) -> tuple[list[FileFacts], list[Chunk]]:
    """Plan a pool: read it once, check-sum each file, and cut it into chunks that never straddle files."""
    facts: list[FileFacts] = []
    chunks: list[Chunk] = []
    row = 0
    for file in files:
        first = row
        for offset, line in lines(file, row):
            room = chunks and chunks[-1].file == file.name and offset - chunks[-1].offset < CHUNK_BYTES
            if not room or line.address.row - chunks[-1].row >= chunk_rows:
                chunks.append(Chunk(len(chunks), file.name, offset, line.address.line, line.address.row, 0))
            row = line.address.row + 1
        facts.append(FileFacts(file.name, file.path.stat().st_size, sha256(file.path), row - first))
    if row == 0:
        raise InputError(f"the pool is empty: no rows in {', '.join(str(file.path) for file in files)}")
    ends = [chunk.row for chunk in chunks[1:]] + [row]
    return facts, [
        Chunk(c.index, c.file, c.offset, c.line, c.row, end - c.row)
        for c, end in zip(chunks, ends, strict=True)
    ]


class RowReader:
    """Turns the lines of a pool into records; remembers each file's layout."""

    def __init__(self, files: Sequence[PoolFile], reading: Reading, carry: Sequence[str] = ()) -> None:
        self.reading = reading
        self.carry = tuple(carry)
        self.layouts: dict[str, formats.Layout] = {}
        present: set[str] = set()
        whole = True
        for file in files:
            first = _first_rows(file)
            self.layouts[file.name] = _layout(file, first, reading)
            present |= {key for row in first for key in row}
            whole = whole and len(first) < _PEEK
        for column in self.carry:
            # In a longer file the column may come later: then it is null until it does.
            if column not in present and whole:
                raise InputError(
                    f"no column {column!r} to carry; there are: {', '.join(map(repr, sorted(present)))}"
                )

    def parse(self, line: Line) -> ParsedRow:
        """Read one row; what cannot be read is a value. Raises InputError for it only under `strict`."""
        row = decode(line)
        if isinstance(row, SetAside):
            items: tuple[Record | SetAside, ...] = (row,)
            carried: tuple[str | None, ...] = (None,) * len(self.carry)
        else:
            wanted = self.reading.responses
            expanded = list(formats.expand(row, self.layouts[line.address.file], line.address))
            items = tuple(item for item in expanded if wanted == "all" or item.part in (None, wanted))
            if not items:
                detail = f"no response is named {wanted!r}"
                items = (SetAside(line.address, Reason.MISSING_RESPONSE, detail, expanded[0].id),)
            carried = tuple(formats.carried(row, column) for column in self.carry)
        if self.reading.strict:
            _refuse_first(items)
        return ParsedRow(items, carried)


def _refuse_first(items: Iterable[object]) -> None:
    for item in items:
        if isinstance(item, SetAside):
            where = f"{item.address.file}, line {item.address.line}"
            raise InputError(f"{where}: {item.reason}: {item.detail} (--strict stops at the first such row)")


def decode(line: Line) -> dict[str, Any] | SetAside:
    """Parse a row's bytes as one JSON object, or say why that cannot be done."""
    try:
        row = json.loads(line.raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return SetAside(line.address, Reason.INVALID_UTF8, f"byte {error.start} of the line is not UTF-8")
    except RecursionError:
        return SetAside(line.address, Reason.INVALID_JSON, "nested too deep")
    except ValueError as error:
        return SetAside(line.address, Reason.INVALID_JSON, str(error))
    if not isinstance(row, dict):
        return SetAside(
            line.address, Reason.NOT_AN_OBJECT, f"the row is a {type(row).__name__}, not an object"
        )
    return row


def _first_rows(file: PoolFile) -> list[dict[str, Any]]:
    """Read the first rows of a file that can be read: what its layout is told by."""
    rows = (decode(line) for _, line in lines(file))
    return list(itertools.islice((row for row in rows if isinstance(row, dict)), _PEEK))


def _layout(file: PoolFile, rows: Sequence[dict[str, Any]], reading: Reading) -> formats.Layout:
    return formats.detect(rows, reading.format, reading.column_map, str(file.path))


def read_pool(
    where: str | Path | Sequence[str | Path], reading: Reading | None = None
) -> Iterator[Record | SetAside]:
    """Yield every record of a pool in order, and every row that cannot be one, with its reason."""
    files = find(where)
    reader = RowReader(files, reading or Reading())
    for line in rows_of(files):
        yield from reader.parse(line).items


def read_tiers(where: str | Path, reading: Reading | None = None) -> Iterator[Tiers | SetAside]:
    """Yield every row of a tiers file whole: the training data of a style ranker."""
    reading = reading or Reading(format="tiers")
    if isinstance(where, str | Path) and original.is_original(Path(where)):
        yield from _read_original(Path(where), reading)
        return
    files = find(where)
    layouts = {file.name: _layout(file, _first_rows(file), reading) for file in files}
    for name, layout in layouts.items():
        if layout.name != "tiers":
            raise InputError(f"{name}: the rows are {layout.name}; training and eval need responses by tier")
    for line in rows_of(files):
        row = decode(line)
        item = (
            row if isinstance(row, SetAside) else formats.tiers(row, layouts[line.address.file], line.address)
        )
        if reading.strict:
            _refuse_first([item])
        yield item


def _read_original(folder: Path, reading: Reading) -> Iterator[Tiers | SetAside]:
    if reading.column_map:
        raise InputError(f"{folder}: --columns {reading.columns}: the original's lists have fixed names")
    for item in original.read_original(folder):
        if reading.strict:
            _refuse_first([item])
        yield item
