"""What a report is made of, whatever it is a report of: columns a piece at a time, and the way to all else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.pools import PoolFile
from scar.runs import Embeddings
from scar.selection.why.folder import RANK
from scar.selection.why.manifest import Stage
from scar.settings import Reading


class Table(Protocol):
    """The scored records, one a row, in pool order."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        ...

    def read(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield some columns, a piece at a time."""
        ...


@dataclass(frozen=True)
class Chosen:
    """What a selection says of itself."""

    name: str
    """The kept file."""
    stages: tuple[Stage, ...]
    audit: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """A run, or a run and what was kept of it."""

    name: str
    rows: int
    """Input rows of the pool."""
    rankers: tuple[str, ...]
    by: str
    """The score that is shown, in words."""
    score: str
    """Its column."""
    table: Table
    reading: Reading
    pool: Callable[[], list[PoolFile]]
    """Finds the files that were scored. InputError where they are gone or changed."""
    embeddings: Callable[[], Embeddings]
    """Opens the embeddings. InputError where there are none."""
    bundles: tuple[str, ...] = ()
    bundle_hashes: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of each ranker's ranker.json when it scored, where that is known."""
    chosen: Chosen | None = None
    details: Callable[[], Iterator[Mapping[str, Any]]] = lambda: iter(())
    """Reads what set_aside.jsonl says, a record at a time."""
    origin: Mapping[str, str] = field(default_factory=dict)
    """Where it all came from: pool, bundles, versions."""

    @property
    def tokens(self) -> str | None:
        """The column of token counts, where there is one."""
        name = f"{self.rankers[0]}_tokens"
        return name if name in self.table.schema.names else None


@dataclass(frozen=True)
class Records:
    """The numbers of all records, shape (n,): some twenty bytes each."""

    score: NDArray[np.float32]
    """NaN where there is none."""
    row: NDArray[np.int64]
    kept: NDArray[np.bool_]
    tokens: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, facts: Facts) -> "Records":
        """Read them."""
        rank = [RANK] if facts.chosen else []
        wanted = ["row", facts.score, *rank, *([facts.tokens] if facts.tokens else [])]
        pieces: dict[str, list[NDArray[Any]]] = {name: [] for name in wanted}
        for table in facts.table.read(wanted):
            for name, found in pieces.items():
                found.append(_numbers(table.column(name), is_score=name == facts.score))
        whole = {name: np.concatenate(found) if found else np.zeros(0) for name, found in pieces.items()}
        return cls(
            whole[facts.score].astype(np.float32),
            whole["row"].astype(np.int64),
            whole[RANK] > 0 if rank else np.zeros(len(whole["row"]), dtype=bool),
            whole[facts.tokens].astype(np.int64) if facts.tokens else None,
        )

    def __len__(self) -> int:
        """Give the number of records, scored or not."""
        return len(self.score)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Mark the records that have a score."""
        return np.isfinite(self.score)


def _numbers(column: pa.ChunkedArray, *, is_score: bool) -> NDArray[Any]:
    if is_score:
        return np.asarray(column.cast(pa.float32(), safe=False).fill_null(float("nan")))
    return np.asarray(column.cast(pa.int64()).fill_null(0))


def take(table: Table, columns: Sequence[str], records: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Give columns of some records, in their order; the records are sorted, and each named once."""
    found: dict[str, list[Any]] = {name: [] for name in columns}
    start = 0
    for piece in table.read(columns) if len(records) else ():
        inside = records[(records >= start) & (records < start + len(piece))] - start
        for name in columns if len(inside) else ():
            found[name] += piece.column(name).take(pa.array(inside)).to_pylist()
        start += len(piece)
    return found
