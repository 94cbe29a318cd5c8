"""Why a row was kept or dropped: its scores and ranks, the rule, and the row that took its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scar.errors import InputError
from scar.selection.why.folder import CROWDED_BY, RANK, SCORE, STAGE, KeptFolder


@dataclass(frozen=True)
class Neighbour:
    """The record that took another one's place."""

    row: int
    part: str | None
    file: str
    line: int
    score: float | None
    rank: int | None
    """Among the kept, from 1."""


@dataclass(frozen=True)
class Explained:
    """What became of a record."""

    row: int
    part: str | None
    file: str
    line: int
    id: str | None
    scores: Mapping[str, Any]
    """Every column of the scores, carried ones among them."""
    by: str
    """What ordered."""
    score: float | None
    place: int | None
    """Among all that have a score, from 1 for the best; the earlier record wins a tie."""
    scored: int
    percentile: float | None
    """Share of the scored records, in percent, that have a lower score."""
    rank: int | None
    """Among the kept, from 1; None where it was dropped."""
    reason: str | None
    """Why it has no score."""
    dropped_by: str | None
    """The stage that dropped it, as it prints."""
    passed: tuple[str, ...]
    """The stages that kept it before."""
    facts: Mapping[str, Any]
    """What that stage tells of itself, such as the score at its cut."""
    crowded_by: Neighbour | None

    @property
    def verdict(self) -> str:
        """Say in a sentence what became of it."""
        if self.reason is not None:
            return f"set aside: {self.reason}"
        if self.rank is not None:
            return f"kept, rank {self.rank:,}"
        return f"dropped by {self.dropped_by}"


def why(kept: str | Path, row: int, part: str | None = None) -> list[Explained]:
    """Explain each record of a row of the pool, or one part of it. `row` counts from 0, as `scar_row` does.

    Raises InputError where the pool has no such row, the row no such part, or nothing stands beside the kept file.
    """
    folder = KeptFolder.open(kept)
    rows = folder.column("row")
    numbers = np.flatnonzero(rows == row)
    if not len(numbers):
        last = int(rows.max()) if len(rows) else -1
        raise InputError(
            f"no row {row}: the pool's rows are 0 to {last}" if last >= 0 else "the pool has no rows"
        )
    found = [(int(number), folder.record(int(number))) for number in numbers]
    if part is not None and part not in {each["part"] for _, each in found}:
        parts = ", ".join(str(each["part"]) for _, each in found if each["part"] is not None) or "none"
        raise InputError(f"row {row} has no part {part!r}; its parts: {parts}")
    scores = folder.column(SCORE)
    return [
        _explained(folder, number, record, scores)
        for number, record in found
        if part in (None, record["part"])
    ]


def _explained(folder: KeptFolder, number: int, record: Mapping[str, Any], scores: Any) -> Explained:
    manifest, score = folder.manifest, record[SCORE]
    scored = int(np.isfinite(scores).sum())
    place = percentile = None
    if score is not None:
        better = int((scores > scores[number]).sum() + (scores[:number] == scores[number]).sum())
        place, percentile = better + 1, 100 * int((scores < scores[number]).sum()) / scored
    stages = [stage.rule for stage in manifest.stages]
    at = record[STAGE]
    passed = stages if record[RANK] is not None else stages[: at or 0]
    by = (
        manifest.by
        if isinstance(manifest.by, str)
        else f"{manifest.by['fuse']} of {', '.join(manifest.by['of'])}"
    )
    own = {"row", "part", "file", "line", "id", "reason", SCORE, RANK, STAGE, CROWDED_BY}
    return Explained(
        row=record["row"],
        part=record["part"],
        file=record["file"],
        line=record["line"],
        id=record.get("id"),
        scores={name: value for name, value in record.items() if name not in own},
        by=by,
        score=score,
        place=place,
        scored=scored,
        percentile=percentile,
        rank=record[RANK],
        reason=record["reason"],
        dropped_by=None if at is None else stages[at],
        passed=tuple(passed),
        facts={} if at is None else manifest.stages[at].facts,
        crowded_by=_neighbour(folder, record[CROWDED_BY]),
    )


def _neighbour(folder: KeptFolder, number: int | None) -> Neighbour | None:
    if number is None:
        return None
    other = folder.record(number)
    return Neighbour(other["row"], other["part"], other["file"], other["line"], other[SCORE], other[RANK])
