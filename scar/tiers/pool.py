"""The records of a pool, and the columns of their rows that a tiers file keeps. The one reader of pools here."""

from collections.abc import Iterator
from typing import Any

from scar.formats import flag
from scar.pools import Place, RowReader, find, rows_of
from scar.records import Record, SetAside
from scar.settings import Reading


def items(
    where: Place, reading: Reading, limit: int | None = None
) -> Iterator[tuple[Record | SetAside, dict[str, Any]]]:
    """Yield a pool's records and set-aside rows in order, each with `source` and `eval_only` of its row.

    After `limit` records it ends; the rest of the pool is not read.
    """
    files = find(where)
    reader = RowReader(files, reading)
    left = limit
    for row in rows_of(files):
        # Parsed twice, here and by the reader: its `carry` refuses a column that no row has.
        kept = _kept(row.decode())
        for item in reader.parse(row).items:
            yield item, kept
            left = left - 1 if left is not None and isinstance(item, Record) else left
            if left == 0:
                return


def _kept(row: dict[str, Any] | SetAside) -> dict[str, Any]:
    if isinstance(row, SetAside):
        return {}
    kept: dict[str, Any] = {}
    source = row.get("source")
    # A source that could not be written again, such as a lone surrogate, would end the join.
    if isinstance(source, str):
        kept["source"] = source.encode("utf-8", "replace").decode()
    if flag(row.get("eval_only")):
        kept["eval_only"] = True
    return kept
