"""Look at the first rows of a pool, through a ranker's tokenizer where one is given."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from scar.bundle import Bundle
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.formats import Layout
from scar.formats.layouts import known_fields
from scar.inspection.seen import FileLook, Inspection
from scar.inspection.tally import Tally
from scar.pools import Place, PoolFile, RowReader, find, rows_of
from scar.settings import Reading

ROWS = 100_000
"""Rows that are looked at, unless more are asked for."""


def inspect_pool(
    pool: Place | Sequence[Place],
    ranker: str | Path | None = None,
    *,
    reading: Reading | None = None,
    rows: int = ROWS,
) -> Inspection:
    """Look at the first `rows` rows of a pool, through the tokenizer of a ranker where one is given.

    Raises InputError where the pool or the bundle cannot be read.
    """
    if rows < 1:
        raise InputError(f"--rows must be at least 1, got {rows}")
    reading = reading or Reading()
    encoder = PairEncoder.of_bundle(Bundle.open(ranker)) if ranker else None
    files = find(pool)
    reader = RowReader(files, reading)
    looks = tuple(_look(file, reader.layouts[file.name], reader.columns[file.name]) for file in files)
    seen = Inspection(looks, "characters")
    if encoder:
        told = "pair" if encoder.settings.inputs == "pair" else "text"
        seen = Inspection(looks, "tokens", encoder.settings.max_tokens, told)
    tally = Tally(seen, encoder)
    stream = rows_of(files)
    for row in islice(stream, rows):
        tally.see(row, reader)
    seen.whole = next(stream, None) is None
    tally.finish()
    return seen


def _look(file: PoolFile, layout: Layout, present: Sequence[str]) -> FileLook:
    wanted = {layout.column(name) for name in known_fields(layout.name)}
    read = tuple(name for name in present if name in wanted)
    return FileLook(
        file.name, file.kind, layout.name, read, tuple(name for name in present if name not in wanted)
    )
