"""Data sets of the Hugging Face Hub, streamed (extra `hub`): nothing is written to disk, one batch in memory."""

import logging
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from scar.errors import InputError
from scar.pools.columns import BATCH_ROWS, arrow_rows, check_schema
from scar.pools.pieces import Mark, Most, Piece, pieces
from scar.pools.places import PoolFile
from scar.pools.rows import ArrowRow
from scar.pools.start import BEGIN, Start

log = logging.getLogger("scar")
_NAME = re.compile(r"(?P<repo>[^@:]+)(@(?P<revision>[^:]+))?(:(?P<one>[^:]+))?(:(?P<two>[^:]+))?")


@dataclass(frozen=True)
class Split:
    """One split of a data set, at a commit."""

    repo: str
    revision: str | None
    config: str | None
    split: str

    def tables(self, first: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order from number `first` on, a batch at a time, as the Hub sends them."""
        with _opened(self.repo):
            for table in self._stream().skip(first).with_format("arrow").iter(batch_size=BATCH_ROWS):
                check_schema(table.schema, self.repo)
                yield from table.to_batches()

    def schema(self) -> pa.Schema:
        """Give the columns and their types, as the first batch has them."""
        first = next(self.tables(), None)
        return pa.schema([]) if first is None else first.schema

    def _stream(self) -> Any:
        from datasets import load_dataset

        return load_dataset(self.repo, self.config, split=self.split, revision=self.revision, streaming=True)

    # What a Store is asked for: the Hub gives rows, not bytes.

    def open(self, place: str) -> IO[bytes]:
        """Refuse: there is no file to open."""
        raise InputError(f"{place}: a data set of the Hub has no bytes of its own")

    def facts(self, place: str) -> tuple[int, str]:
        """Give the commit: what changes when the data set does."""
        return 0, f"revision:{self.revision}"

    def stamp(self, place: str) -> str:
        """Give the commit."""
        return f"revision:{self.revision}"

    def forget(self) -> None:
        """Do nothing: a commit does not change."""


@contextmanager
def _opened(repo: str) -> Iterator[None]:
    """Turn what opening or reading on raises into an InputError that names the data set."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        RuntimeError,
        TypeError,  # what `datasets` raises where a file's types do not fit those of the files before
        DatasetsError,
        pa.ArrowException,
        *_http(HfHubHTTPError),
    ) as error:
        raise InputError(
            f"{repo}: the data set cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]} "
            "(a name is org/name[@revision][:config][:split])"
        ) from None


def _http(error: type[Exception]) -> tuple[type[Exception], ...]:
    """Give the bases of the Hub's own error: those of the HTTP library that this version of it is built on."""
    return tuple(base for base in error.__bases__ if issubclass(base, Exception))


def parse(name: str) -> Split:
    """Read `org/name[@revision][:config][:split]`; the split is train where none is named."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(f"{name!r}: write a data set of the Hub as org/name[@revision][:config][:split]")
    one, two = match["one"], match["two"]
    config, split = (one, two) if two else (None, one or "train")
    return Split(match["repo"], match["revision"], config, split)


def find_on_hub(name: str) -> list[PoolFile]:
    """Give a data set of the Hub as a pool of one file, at a commit. Raises InputError where it is not there."""
    split = parse(name)
    try:
        import datasets  # noqa: F401
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    except ImportError as error:
        raise InputError(
            f"{name}: no such file here; a data set of the Hub needs the hub extra: "
            f"pip install 'scar-rank[hub]' ({error})"
        ) from None
    try:
        commit = HfApi().dataset_info(split.repo, revision=split.revision).sha
    except (OSError, ValueError, OfflineModeIsEnabled, *_http(HfHubHTTPError)) as error:  # type: ignore[misc]
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{name}: no such file, folder or glob here, and not to be had from the Hub ({why})"
        ) from None
    log.info("%s: no such file here; taken from the Hub at %s, split %s", name, commit, split.split)
    at = Split(split.repo, commit, split.config, split.split)
    shown = ":".join(part for part in (split.repo, split.config, split.split) if part)
    place = ":".join(part for part in (f"{split.repo}@{commit}", split.config, split.split) if part)
    return [PoolFile(place, shown, "hub", at)]


@dataclass(frozen=True)
class HubRows:
    """The rows of a split."""

    file: PoolFile

    def schema(self) -> pa.Schema:
        """Give the columns and their types."""
        return self._split.schema()

    def rows(self, first_row: int = 0, start: Start = BEGIN) -> Generator[ArrowRow]:
        """Yield the rows; `line` is the number of the row, from 1."""
        yield from arrow_rows(self._split.tables(start.offset), self.file.name, first_row, start.line)

    def pieces(self, most: Most) -> Iterator[Piece]:
        """Yield the rows cut into pieces."""
        return pieces(self.marks(), most)

    def marks(self) -> Iterator[Mark]:
        """Yield where the rows of each batch stand; the Hub has to send them all for that."""
        row = 0
        for batch in self._split.tables():
            yield Mark(Start(row, row + 1), batch.nbytes // max(1, batch.num_rows), batch.num_rows)
            row += batch.num_rows

    @property
    def _split(self) -> Split:
        assert isinstance(self.file.store, Split)
        return self.file.store
