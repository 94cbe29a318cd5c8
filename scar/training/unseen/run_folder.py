"""The candidates' out-of-fold scores as a run folder, which `scar select` reads; it cannot be recomputed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scar.runs import Disk, Plan
from scar.serving.answers import Scores
from scar.serving.ledger import Counts, commit, digest, join_set_aside
from scar.serving.report import write_summary
from scar.serving.sidecar import Item, count, table
from scar.training.unseen.rows import Rows

FOLD = "fold"
"""The column of the fold in which a candidate was scored."""


@dataclass(frozen=True)
class Candidates:
    """What the folds say of the n candidates, in pool order."""

    name: str
    scores: Scores
    fold: NDArray[np.int16]

    def part(self, start: int, end: int) -> "Candidates":
        """Give some that stand together."""
        some, mine = slice(start, end), self.scores
        columns = {name: values[some] for name, values in mine.columns.items()}
        scores = Scores(mine.scores[some], mine.tokens[some], mine.truncated[some], columns)
        return Candidates(self.name, scores, self.fold[some])


def write_run(
    run: Path, rows: Rows, candidates: Candidates, fingerprint: Mapping[str, Any], facts: Mapping[str, Any]
) -> Counts:
    """Write plan, chunks, ledger and run.json; `facts` stand in run.json beside the counts."""
    plan = Plan(rows.pool, tuple(rows.files), tuple(rows.chunks), (candidates.name,), dict(fingerprint))
    folder = Disk(run)
    folder.prepare()
    plan.write(folder)
    total, first, scored = Counts(), 0, 0
    for chunk in plan.chunks:
        last = first
        while last < len(rows.items) and rows.items[last].address.row < chunk.row + chunk.rows:
            last += 1
        items = rows.items[first:last]
        end = scored + sum(item.set_aside is None for item in items)
        total.add(_commit(folder, chunk.index, items, candidates.part(scored, end), plan))
        first, scored = last, end
    join_set_aside(folder, plan)
    write_summary(folder, {**asdict(total), **facts})
    return total


def _commit(folder: Disk, index: int, items: list[Item], part: Candidates, plan: Plan) -> Counts:
    """Write a chunk."""
    places, next_place = [], 0
    for item in items:
        places.append(-1 if item.set_aside else next_place)
        next_place += item.set_aside is None
    scores = {part.name: part.scores}
    at = pa.array([place if place >= 0 else None for place in places], pa.int64())
    sheet = table(items, places, scores, ()).append_column(FOLD, pa.array(part.fold, pa.int16()).take(at))
    counts = count(items, places, scores)
    aside = [item.set_aside for item in items if item.set_aside]
    commit(folder, index, sheet, aside, counts, digest(plan.fingerprint))
    return counts
