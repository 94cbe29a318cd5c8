"""The first rows of a pool as a file of their own: what every contender is given."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from scar.errors import InputError
from scar.pools import Place, find, rows_of


def write_sample(pool: Place | Sequence[Place], rows: int, path: Path) -> int:
    """Write the first rows of a pool as JSON Lines; gives their number. InputError where there are none."""
    number = 0
    with open(path, "wb") as out:
        for row in islice(rows_of(find(pool)), rows):
            out.write(row.json() + b"\n")
            number += 1
    if not number:
        raise InputError(f"{pool}: the pool is empty: there is nothing to time")
    return number
