"""Rows that were kept so far, and the nearest of them to new rows: among all, or among those of the nearest cells."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scar.selection.diversity.grid import on_grid
from scar.selection.diversity.vectors import Places, Rows, cosines, slack

Grid = NDArray[np.bool_]
Apart = Callable[[Places, Places], Grid]
"""Marks, in a grid of places by places, the pairs that never count as near."""
Nearest = tuple[NDArray[np.float64], Places]
"""Of each row: the exact cosine of the nearest kept row, -inf where none reaches a floor; and its place, or -1."""

_CHUNK = 16384
"""Kept rows that are compared at once."""


class Kept(Protocol):
    """Kept rows. `where` says in which parts of space rows lie, as `locate` gave it."""

    def locate(self, rows: Rows) -> Places:
        """Find the parts in which rows look for near ones, their own first: shape (m, parts)."""
        ...

    def add(self, places: Places, rows: Rows, where: Places) -> None:
        """Keep rows."""
        ...

    def nearest(self, places: Places, rows: Rows, where: Places, floor: float) -> Nearest:
        """Find the nearest kept row of each; the one that was kept earlier wins a tie."""
        ...

    def meets(self, seekers: Places, kept: Places) -> Grid:
        """Tell of pairs, by their `where`, whether the one looks where the other lies; (..., parts) broadcast."""
        ...


class Store:
    """Rows and their places in one array that grows."""

    def __init__(self, dimensions: int, room: int = 64) -> None:
        """`room` is for so many rows at first."""
        self._rows = np.empty((max(1, room), dimensions), dtype=np.float32)
        self._places = np.empty(max(1, room), dtype=np.int64)
        self.size = 0

    def add(self, places: Places, rows: Rows) -> None:
        """Take rows."""
        end = self.size + len(rows)
        if end > len(self._rows):
            room = max(end, 3 * len(self._rows) // 2)
            self._rows = np.concatenate(
                [self._rows, np.empty((room - len(self._rows), self._rows.shape[1]), np.float32)]
            )
            self._places = np.concatenate([self._places, np.empty(room - len(self._places), np.int64)])
        self._rows[self.size : end], self._places[self.size : end] = rows, places
        self.size = end

    def chunks(self) -> Iterator[tuple[Places, Rows]]:
        """Yield places and rows, a chunk at a time."""
        for start in range(0, self.size, _CHUNK):
            end = min(start + _CHUNK, self.size)
            yield self._places[start:end], self._rows[start:end]


class Best:
    """The nearest rows that were found so far for m rows: exact, whatever the order of what is shown."""

    def __init__(self, places: Places, rows: Rows, floor: float, apart: Apart | None) -> None:
        """Nothing below `floor` counts."""
        self.cosine, self.place = np.full(len(rows), -np.inf), np.full(len(rows), -1, dtype=np.int64)
        self._places, self._rows, self._floor, self._apart = places, rows, floor, apart

    def look(self, at: Places, places: Places, rows: Rows, open_: Grid | None = None) -> None:
        """Compare the rows `at` with others; `open_` marks the pairs of the grid that may be compared."""
        grid = self._rows[at] @ rows.T
        if self._apart is not None:
            grid[self._apart(self._places[at], places)] = -np.inf
        if open_ is not None:
            grid[~open_] = -np.inf
        best = grid.max(axis=1, initial=-np.inf)
        some = np.flatnonzero(best >= self._floor)
        band = best[some] - np.float32(2 * slack(rows.shape[1]))
        i, j = np.nonzero(grid[some] >= np.maximum(band, np.float32(self._floor))[:, None])
        self._settle(at[some[i]], places[j], cosines(self._rows[at[some[i]]], rows[j]))

    def _settle(self, at: Places, places: Places, cosine: NDArray[np.float64]) -> None:
        # By row, then nearest, then as they were shown: the first of each row is its best.
        order = np.lexsort((np.arange(len(at)), -cosine, at))
        order = order[np.diff(at[order], prepend=-1) != 0]
        order = order[cosine[order] > self.cosine[at[order]]]
        self.cosine[at[order]], self.place[at[order]] = cosine[order], places[order]


class Flat:
    """Kept rows that are all compared with new ones: exact."""

    def __init__(self, dimensions: int, apart: Apart | None = None, room: int = 64) -> None:
        """`room` is for so many rows at first."""
        self._store, self._apart = Store(dimensions, room), apart

    def locate(self, rows: Rows) -> Places:
        """All of space is one part."""
        return np.zeros((len(rows), 1), dtype=np.int64)

    def add(self, places: Places, rows: Rows, where: Places) -> None:
        """Keep rows."""
        self._store.add(places, rows)

    def nearest(self, places: Places, rows: Rows, where: Places, floor: float) -> Nearest:
        """Find the nearest kept row of each."""
        best = Best(places, rows, floor, self._apart)
        every = np.arange(len(rows), dtype=np.int64)
        for others, other_rows in self._store.chunks():
            best.look(every, others, other_rows)
        return best.cosine, best.place

    def meets(self, seekers: Places, kept: Places) -> Grid:
        """All meet all."""
        return np.ones(np.broadcast_shapes(seekers.shape, kept.shape)[:-1], dtype=bool)


class Cells:
    """Kept rows by the nearest of some centres; a new row looks in the cells of its `probes` nearest centres.

    A near row that lies in none of these is missed.
    """

    def __init__(self, centres: Rows, probes: int, apart: Apart | None = None) -> None:
        """`centres`: shape (cells, d)."""
        self._centres, self._probes, self._apart = on_grid(centres), min(probes, len(centres)), apart
        self._half = (self._centres.astype(np.float64) ** 2).sum(axis=1).astype(np.float32) / 2
        self._stores: dict[int, Store] = {}

    def locate(self, rows: Rows) -> Places:
        """Find the nearest centres, the nearest first."""
        grid = self._half - on_grid(rows) @ self._centres.T
        near = np.argpartition(grid, self._probes - 1, axis=1)[:, : self._probes]
        order = np.argsort(np.take_along_axis(grid, near, axis=1), axis=1, kind="stable")
        return np.take_along_axis(near, order, axis=1)

    def add(self, places: Places, rows: Rows, where: Places) -> None:
        """Keep rows, each in the cell of its nearest centre."""
        for cell, at in _by_cell(where[:, :1]):
            self._stores.setdefault(cell, Store(rows.shape[1])).add(places[at], rows[at])

    def nearest(self, places: Places, rows: Rows, where: Places, floor: float) -> Nearest:
        """Find the nearest kept row of each in the cells where it looks."""
        best = Best(places, rows, floor, self._apart)
        for cell, at in _by_cell(where):
            if cell in self._stores:
                for others, other_rows in self._stores[cell].chunks():
                    best.look(at, others, other_rows)
        return best.cosine, best.place

    def meets(self, seekers: Places, kept: Places) -> Grid:
        """A seeker meets what lies in one of its cells."""
        found = seekers[..., 0] == kept[..., 0]
        for part in range(1, seekers.shape[-1]):
            found |= seekers[..., part] == kept[..., 0]
        return np.asarray(found)


def _by_cell(where: Places) -> Iterator[tuple[int, Places]]:
    """Group rows by cell; a row is in as many groups as it has cells."""
    if not where.size:
        return
    flat = where.ravel()
    order = np.argsort(flat, kind="stable")
    cells, starts = np.unique(flat[order], return_index=True)
    for cell, at in zip(cells, np.split(order // where.shape[1], starts[1:]), strict=True):
        yield int(cell), at
