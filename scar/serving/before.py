"""What of a run was done before. On a store a listing of many chunks tells it, and each is made sure of meanwhile."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

from scar.pools import Chunk
from scar.runs import LEDGER, Disk, Folder, Plan, entry_name
from scar.serving.ledger import Counts, Done, done

MANY = 500
"""Entries that are read while the rest is scored: each is a request, some milliseconds of this process alone."""


@dataclass(frozen=True)
class Before:
    """What was done before."""

    chunks: frozenset[int]
    counts: Counts
    """Of these chunks; their rows alone where the rest is still being read."""
    reading: Future[Done] | None = None

    def lost(self, counts: Counts) -> frozenset[int]:
        """Say which chunks are not done after all, once all is read; corrects the counts of the whole run."""
        if self.reading is None:
            return frozenset()
        read = self.reading.result()
        counts.rows -= self.counts.rows
        counts.add(read.counts)
        return self.chunks - read.chunks


@contextmanager
def before(folder: Folder, plan: Plan, chunks: Sequence[Chunk]) -> Iterator[Before]:
    """Look at what is done of some chunks of a plan, for the block.

    An entry comes after the files it stands for, so a listed one is trusted until it is read.
    """
    entered = _entered(folder, chunks)
    if len(entered) < MANY:
        had = done(folder, plan, [chunk.index for chunk in chunks])
        yield Before(had.chunks, had.counts)
        return
    stop = Event()
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(done, folder, plan, [chunk.index for chunk in entered], stop)
        try:
            rows = sum(chunk.rows for chunk in entered)
            yield Before(frozenset(chunk.index for chunk in entered), Counts(rows=rows), reading)
        finally:
            stop.set()


def _entered(folder: Folder, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Give the chunks that have an entry; none on a disk, which is read at once."""
    if isinstance(folder, Disk) or len(chunks) < MANY:
        return []
    listed = folder.listing(LEDGER)
    return [chunk for chunk in chunks if entry_name(chunk.index) in listed]
