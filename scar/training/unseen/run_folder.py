"""The candidates' out-of-fold scores as a run folder: `scar select` reads it like any other. Not to be recomputed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.files import write_json
from scar.pools import Place, cut, recorded
from scar.runs import CHUNKS, LEDGER, RUN, SET_ASIDE_PARTS, Plan
from scar.serving.answers import Scores
from scar.serving.ledger import Counts, commit, join_set_aside
from scar.serving.sidecar import Item, count, table
from scar.training.unseen.rows import Rows

CHUNK_ROWS = 2048


@dataclass(frozen=True)
class Candidates:
    """What the folds say of the candidates; arrays of shape (n,)."""

    scores: Scores
    fold: NDArray[np.int16]


def write_run(
    run: Path,
    rows: Rows,
    pool: Place | Sequence[Place],
    name: str,
    candidates: Candidates,
    fingerprint: Mapping[str, Any],
    seconds: float,
) -> Counts:
    """Write plan, chunks, ledger and run.json of the candidates' scores."""
    facts, chunks = cut(rows.files, CHUNK_ROWS)
    plan = Plan(tuple(recorded(pool, rows.files)), tuple(facts), tuple(chunks), (name,), dict(fingerprint))
    for folder in (CHUNKS, SET_ASIDE_PARTS, LEDGER):
        (run / folder).mkdir(parents=True)
    plan.write(run)
    total, item, place = Counts(), 0, 0
    for chunk in plan.chunks:
        end = item
        while end < len(rows.items) and rows.items[end].address.row < chunk.row + chunk.rows:
            end += 1
        items = rows.items[item:end]
        scored = sum(each.set_aside is None for each in items)
        counts = _chunk(run, chunk.index, items, _part(candidates, place, place + scored), name, plan)
        total.add(counts)
        item, place = end, place + scored
    join_set_aside(run, plan)
    summary = {
        **asdict(total),
        "seconds": round(seconds, 3),
        "rows_per_second": round(total.rows / seconds, 2) if seconds else 0.0,
        "out_of_fold": True,
    }
    write_json(run / RUN, summary)
    return total
