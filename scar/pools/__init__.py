"""Open, stream and cut pools of any type of file; bytes in, records out. Knows no model."""

from scar.pools.chunks import Chunk, FileFacts, cut, digest, read_chunks
from scar.pools.places import Place, PoolFile, find, recorded
from scar.pools.read import (
    FirstRows,
    ParsedRow,
    RowReader,
    read_judged,
    read_pool,
    read_tiers,
    rows_of,
    source,
)
from scar.pools.rows import ArrowRow, JsonRow, Row, TextRow
from scar.pools.source import Table

__all__ = [
    "ArrowRow",
    "Chunk",
    "FileFacts",
    "FirstRows",
    "JsonRow",
    "ParsedRow",
    "Place",
    "PoolFile",
    "Row",
    "RowReader",
    "Table",
    "TextRow",
    "cut",
    "digest",
    "find",
    "read_chunks",
    "read_judged",
    "read_pool",
    "read_tiers",
    "recorded",
    "rows_of",
    "source",
]
