"""A finished run folder written by hand: what `scar score` would leave, without a model."""

import pyarrow as pa

from scar.pools import RowReader, cut, find, rows_of
from scar.records import Record, SetAside
from scar.runs import Disk, Plan
from scar.serving.ledger import Counts, commit, digest
from scar.serving.report import write_summary
from scar.settings import Reading

TYPES = {"tokens": pa.int32(), "truncated": pa.bool_(), "source": pa.string(), "lang": pa.string()}
"""Of columns by their endings; all others are float32."""


def make_run(run, pool, scores, *, more=None, chunk_rows=3, finished=True):
    """Commit a run over `pool`; `scores` maps a ranker's name to one number a readable record, in order.

    `more` maps further columns in the same way: `quality_p`, `style_percentile`, `p_seen`, `style_tokens`.
    """
    files = find(pool)
    reader = RowReader(files, Reading())
    facts, chunks = cut(files, chunk_rows)
    plan = Plan((str(pool),), tuple(facts), tuple(chunks), tuple(scores), {})
    folder = Disk(run)
    folder.prepare()
    plan.write(folder)
    left = {name: iter(values) for name, values in {**scores, **(more or {})}.items()}
    rows = list(rows_of(files))
    for chunk in chunks:
        items = [
            item for line in rows[chunk.row : chunk.row + chunk.rows] for item in reader.parse(line).items
        ]
        aside = [item for item in items if isinstance(item, SetAside)]
        commit(folder, chunk.index, _table(items, left), aside, Counts(), digest({}))
    if finished:
        write_summary(folder, {})
    return run


def _table(items, left):
    given = [
        {name: next(it) if isinstance(item, Record) else None for name, it in left.items()} for item in items
    ]
    reasons = [str(item.reason) if isinstance(item, SetAside) else None for item in items]
    return pa.table(
        {
            "row": pa.array([item.address.row for item in items], pa.int64()),
            "part": pa.array([item.part for item in items], pa.string()),
            "file": pa.array([item.address.file for item in items]).dictionary_encode(),
            "line": pa.array([item.address.line for item in items], pa.int64()),
            "reason": pa.array(reasons, pa.string()).dictionary_encode(),
            **{name: pa.array([each[name] for each in given], _type(name)) for name in left},
        }
    )


def _type(name):
    return TYPES.get(name.rpartition("_")[2], pa.float32())
