"""The records whose texts an audit looks at: the kept, and as many at random. Read in the one pass that writes rows."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.formats import carried
from scar.pools import Row, RowReader
from scar.records import Record, SetAside
from scar.selection.audit.side import Side, Tally

MOST = 10_000
"""Records of a side whose texts are looked at."""
MOST_DETECTED = 1_000
"""Records of a side whose language is detected."""
LANGUAGES = ("lang", "language")
"""Columns that tell a row's language, if it has one of them."""
SOURCE = "source"
TOLD = 1000
"""Characters that a language is told by."""
Detect = Callable[[str], str]


class Sample:
    """Texts of some kept records and some of the whole pool, turned into figures as the rows pass by."""

    def __init__(
        self, kept: NDArray[np.int64], pool: NDArray[np.int64], rows: NDArray[np.int64], reader: RowReader
    ) -> None:
        """`kept` and `pool` are numbers of records, the pool's in a random order; `rows` gives each record's row.

        The first of the pool's, as many as were kept, are the kept's twin.
        """
        self._sets = (set(kept.tolist()), set(pool[: len(kept)].tolist()), set(pool.tolist()))
        self._rows, self._reader = rows, reader
        self._wanted = set(rows[np.concatenate([kept, pool])].tolist())
        self._last = max(self._wanted, default=-1)
        self._tallies = (Tally(), Tally(), Tally())
        self._detect = _detector()
        self._detected = [0, 0, 0]

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Pass rows on, looking at those of the sample."""
        for row in rows:
            if row.address.row in self._wanted:
                self._see(row)
            yield row

    def finish(self, rows: Iterator[Row]) -> tuple[Side, Side, Side]:
        """Look at what is left of the rows, and give the figures: of the kept, of their twin, of the pool."""
        while self._wanted and self._last >= 0:
            row = next(rows, None)
            if row is None or row.address.row >= self._last:
                break
        kept, twin, pool = (tally.side() for tally in self._tallies)
        return kept, twin, pool

    def _see(self, row: Row) -> None:
        fields = row.decode()
        if isinstance(fields, SetAside):
            return
        first = int(np.searchsorted(self._rows, row.address.row))
        for number, item in enumerate(self._reader.parse(row).items, start=first):
            if isinstance(item, Record):
                self._add(number, item, fields)

    def _add(self, number: int, record: Record, fields: dict[str, Any]) -> None:
        for place, (chosen, tally) in enumerate(zip(self._sets, self._tallies, strict=True)):
            if number in chosen:
                tally.add(record, self._groups(record, fields, place))

    def _groups(self, record: Record, fields: dict[str, Any], place: int) -> dict[str, str]:
        found = {SOURCE: carried(fields, SOURCE) or ""} if SOURCE in fields else {}
        if told := next((name for name in LANGUAGES if name in fields), None):
            return found | {"language": carried(fields, told) or ""}
        if self._detect and self._detected[place] < MOST_DETECTED:
            self._detected[place] += 1
            found["language, detected"] = self._detect(record.response[:TOLD])
        return found


def _detector() -> Detect | None:
    """Give what tells a text's language, None where py3langid is not installed."""
    try:
        import py3langid
    except ImportError:
        return None
    return lambda text: str(py3langid.classify(text)[0]) if text.strip() else ""
