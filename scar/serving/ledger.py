"""The ledger: which chunks are done, with what, checksummed. A chunk's files come first, then its entry."""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from scar.errors import InputError
from scar.records import SetAside
from scar.runs import (
    SET_ASIDE,
    SET_ASIDE_PARTS,
    Folder,
    Plan,
    data_name,
    embeddings_name,
    entry_name,
    set_aside_name,
)
from scar.runs.checked import checked, read_checked


@dataclass
class Counts:
    """What became of records: records = scored + the sum of set_aside."""

    rows: int = 0
    records: int = 0
    scored: int = 0
    truncated: int = 0
    """Scored records of which something was cut, for whichever ranker."""
    tokens: int = 0
    """By all rankers together."""
    set_aside: dict[str, int] = field(default_factory=dict)
    tokens_of: dict[str, int] = field(default_factory=dict)
    """Ranker -> tokens of the scored records."""
    truncated_of: dict[str, int] = field(default_factory=dict)
    """Ranker -> scored records of which something was cut for it."""

    def add(self, other: "Counts") -> None:
        """Add another chunk's counts."""
        for name in ("rows", "records", "scored", "truncated", "tokens"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("set_aside", "tokens_of", "truncated_of"):
            mine = getattr(self, name)
            for key, count in getattr(other, name).items():
                mine[key] = mine.get(key, 0) + count

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> "Counts":
        """Read them where they stand among other fields. KeyError or TypeError where one is missing, or no count."""
        values = {each.name: raw[each.name] for each in fields(cls)}
        for name, value in values.items():
            wanted = type(getattr(cls(), name))
            counts = value.values() if isinstance(value, dict) else [value]
            if type(value) is not wanted or not all(type(count) is int for count in counts):
                raise TypeError(f"{name} is {value!r}")
        return cls(**values)


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a chunk."""

    counts: Counts
    files: Mapping[str, Mapping[str, Any]]
    """Name -> its `bytes` and `sha256`."""

    @classmethod
    def read(cls, raw: bytes | None, index: int, fingerprint: str) -> "Entry | None":
        """Read an entry; None where there is none, or one that is damaged or of another run."""
        try:
            entry = read_checked(raw or b"")
            named = {data_name(index), set_aside_name(index)}
            if entry["chunk"] != index or entry["fingerprint"] != fingerprint:
                return None
            # Those of embeddings too, or not: the fingerprint says which.
            if set(entry["files"]) - {embeddings_name(index)} != named:
                return None
            sizes = [(file["bytes"], file["sha256"]) for file in entry["files"].values()]
            whole = all(isinstance(size, int) and isinstance(digest, str) for size, digest in sizes)
            return cls(Counts.of(entry), entry["files"]) if whole else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class Done:
    """What of a plan is done: the numbers of the chunks, and their counts together."""

    chunks: frozenset[int]
    counts: Counts


def commit(
    folder: Folder,
    index: int,
    table: pa.Table,
    set_aside: Sequence[SetAside],
    counts: Counts,
    fingerprint: str,
    embeddings: NDArray[np.float16] | None = None,
) -> None:
    """Write a chunk's files, each whole or not at all, then the entry that says that they are there.

    `fingerprint` is the run's `digest`, `embeddings` are those of the table's rows, (n, d), where the run has some. A
    kill between any two steps leaves a chunk that is done, or one to do again.
    """
    sheet = io.BytesIO()
    # The text-like columns get no statistics: a long value in a page header can make a file unreadable.
    pq.write_table(
        table, sheet, compression="zstd", write_statistics=["row", "line"], write_page_checksum=True
    )
    lines = "".join(json.dumps(_line(item), ensure_ascii=False) + "\n" for item in set_aside).encode()
    files = {data_name(index): sheet.getbuffer(), set_aside_name(index): memoryview(lines)}
    if embeddings is not None:
        whole = io.BytesIO()
        np.lib.format.write_array(whole, embeddings, version=(1, 0), allow_pickle=False)
        files[embeddings_name(index)] = whole.getbuffer()
    for name, content in files.items():
        with folder.writing(name) as stream:
            stream.write(content)
    entry = {
        "chunk": index,
        **asdict(counts),
        "files": {
            name: {"bytes": content.nbytes, "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
        "fingerprint": fingerprint,
    }
    with folder.writing(entry_name(index)) as stream:
        stream.write(checked(json.dumps(entry, indent=2)))


def _line(item: SetAside) -> dict[str, Any]:
    return {
        "row": item.address.row,
        "part": item.part,
        "file": item.address.file,
        "line": item.address.line,
        "id": item.id,
        "reason": item.code,
        "detail": item.detail,
    }


def digest(fingerprint: Mapping[str, Any]) -> str:
    """Give one hash of a fingerprint."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def entries(folder: Folder, plan: Plan, indices: Sequence[int]) -> Iterator[tuple[int, Entry | None]]:
    """Read the entries of chunks; None where a chunk has none that counts."""
    fingerprint = digest(plan.fingerprint)
    raw = folder.read_all([entry_name(index) for index in indices])
    for index, content in zip(indices, raw, strict=True):
        yield index, Entry.read(content, index, fingerprint)


def done(folder: Folder, plan: Plan, indices: Iterable[int] | None = None, stop: Event | None = None) -> Done:
    """Say which chunks, of all or of some, are done: those with an entry whose files are there in full size.

    Nothing is hashed: that is what `scar verify` does. `stop` is set where nobody waits for the answer any more.
    """
    with ThreadPoolExecutor(len(plan.rooms)) as threads:
        rooms = list(threads.map(folder.listing, plan.rooms))
    sizes = {name: file.bytes for room in rooms for name, file in room.items()}
    wanted = range(len(plan.chunks)) if indices is None else list(indices)
    there, counts = [], Counts()
    # A chunk without its files needs no entry to be read.
    for index, entry in entries(folder, plan, [n for n in wanted if data_name(n) in sizes]):
        if stop and stop.is_set():
            break
        if entry and all(sizes.get(name) == file["bytes"] for name, file in entry.files.items()):
            there.append(index)
            counts.add(entry.counts)
    return Done(frozenset(there), counts)


def join_set_aside(folder: Folder, plan: Plan) -> None:
    """Join the chunks' set-aside rows into one file, in pool order."""
    sizes = folder.listing(SET_ASIDE_PARTS)
    names = [set_aside_name(chunk.index) for chunk in plan.chunks]
    names = [name for name in names if name not in sizes or sizes[name].bytes]  # most are empty
    with folder.writing(SET_ASIDE) as out:
        # Many small files: a store is asked for several at a time.
        for name, part in zip(names, folder.read_all(names), strict=True):
            if part is None:
                raise InputError(
                    f"{folder.place}/{name}: missing: `scar verify {folder.place}` makes it anew"
                )
            out.write(part)
