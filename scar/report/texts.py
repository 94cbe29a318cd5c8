"""Read some records of the pool again by their address, one row in memory at a time."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.pools import PoolFile, RowReader, rows_of
from scar.records import Record
from scar.report.facts import Facts, Records, take


def texts_of(
    facts: Facts, files: Sequence[PoolFile], records: Records, wanted: NDArray[np.int64]
) -> Iterator[tuple[int, Record]]:
    """Yield the wanted records, sorted numbers, with what they say. InputError where the pool is not the scored one."""
    if not len(wanted):
        return
    reader = RowReader(files, facts.reading)
    known = take(facts.table, ["file", "line"], wanted)
    addresses = list(zip(known["file"], known["line"], strict=True))
    place = 0
    for row in rows_of(files):
        if row.address.row != records.row[wanted[place]]:
            continue
        items = reader.parse(row).items
        while place < len(wanted) and records.row[wanted[place]] == row.address.row:
            item = _item(items, int(wanted[place]), records)
            if not isinstance(item, Record) or (row.address.file, row.address.line) != addresses[place]:
                break
            yield int(wanted[place]), item
            place += 1
        if place == len(wanted):
            return
        if records.row[wanted[place]] == row.address.row:
            break
    raise InputError("the pool is not the one that was scored: score it again")


def _item(items: Sequence[object], number: int, records: Records) -> object:
    """Give a record's part of its row: the parts stand in the scores as they stand in the row."""
    part = number - int(np.searchsorted(records.row, records.row[number]))
    return items[part] if 0 <= part < len(items) else None
