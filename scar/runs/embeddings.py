"""The embeddings of a run's records, a block at a time: as many of them as fit on the disk. Knows no model.

A record's embedding has length 1; one that was set aside has NaN everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.runs.folder import Folder
from scar.runs.names import embeddings_name
from scar.runs.plan import Plan

BLOCK = 8192
"""Embeddings that are taken at once."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of n records in d dimensions, in the order of the sidecar; parts may be maps of files."""

    parts: tuple[NDArray[Any], ...]
    """Each of shape (records of a chunk, d)."""

    def __post_init__(self) -> None:
        """Check the shapes."""
        if not self.parts or len({part.shape[1:] for part in self.parts}) != 1 or self.parts[0].ndim != 2:
            raise InputError("embeddings need parts of shape (n, d) with one d")

    @classmethod
    def of_run(cls, folder: Folder, plan: Plan) -> "Embeddings":
        """Open a run's embeddings. Raises InputError where it was scored without, or a file of them is damaged."""
        return cls(tuple(_part(folder, chunk.index) for chunk in plan.chunks))

    @classmethod
    def of_array(cls, array: NDArray[Any]) -> "Embeddings":
        """Take embeddings that are in memory, shape (n, d), as they are."""
        return cls((np.asarray(array),))

    @property
    def shape(self) -> tuple[int, int]:
        """Records and dimensions."""
        return int(self._starts[-1]), int(self.parts[0].shape[1])

    def take(self, records: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the embeddings of some records, in their order: shape (m, d), float32."""
        found = np.empty((len(records), self.shape[1]), dtype=np.float32)
        where = np.searchsorted(self._starts, records, side="right") - 1
        for part in np.unique(where):
            here = np.flatnonzero(where == part)
            found[here] = self.parts[part][records[here] - self._starts[part]]
        return found

    def blocks(
        self, records: NDArray[np.int64], size: int = BLOCK
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield some records with their embeddings, in their order, `size` at a time."""
        for start in range(0, len(records), size):
            some = records[start : start + size]
            yield some, self.take(some)

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(len(part) for part in self.parts)], dtype=np.int64)


def _part(folder: Folder, index: int) -> NDArray[Any]:
    name = embeddings_name(index)
    try:
        with folder.open(name) as stream:
            # A file of a disk is mapped; what comes from a store is held.
            if hasattr(stream, "fileno"):
                return np.asanyarray(np.lib.format.open_memmap(stream.name, mode="r"))
            return np.asanyarray(np.lib.format.read_array(stream, allow_pickle=False))
    except FileNotFoundError:
        raise InputError(
            f"{folder.place}: it has no embeddings, which this rule needs: score the pool with --embeddings"
        ) from None
    except ValueError as error:
        raise InputError(
            f"{folder.place}/{name}: damaged ({error}): `scar verify {folder.place}` makes it anew"
        ) from None
