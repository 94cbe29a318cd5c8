"""The sidecar: one row a record, as an Arrow table. Knows no engine."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from scar.errors import InputError
from scar.records import Address, Reason, Record, SetAside
from scar.serving.ledger import Counts
from scar.serving.scorer import Scores

OWN = ("row", "part", "file", "line", "id", "reason")
"""Columns of every sidecar."""


def check_columns(name: str, carry: Sequence[str]) -> None:
    """Refuse names that would replace another column of the sidecar, or the rank of a kept row."""
    if name in (*OWN, "rank"):
        raise InputError(f"a ranker cannot be named {name!r}: the scores have a column of that name")
    taken = [column for column in carry if column in (*OWN, name, f"{name}_tokens", f"{name}_truncated")]
    if taken:
        raise InputError(f"--carry {taken[0]}: the scores have a column of that name already")


@dataclass(frozen=True, slots=True)
class Item:
    """A record without its text, or a set-aside one."""

    address: Address
    id: str | None
    part: str | None
    set_aside: SetAside | None
    carried: tuple[str | None, ...]

    @classmethod
    def of(cls, item: Record | SetAside, carried: tuple[str | None, ...]) -> "Item":
        """Forget a record's text."""
        return cls(item.address, item.id, item.part, item if isinstance(item, SetAside) else None, carried)


def with_scores(items: Sequence[Item], scores: Scores) -> tuple[list[Item], list[int]]:
    """Set aside the records whose score is not finite; also give, for each item, its place among the scores or -1."""
    next_place = itertools.count()
    places = [-1 if item.set_aside else next(next_place) for item in items]
    finite = np.isfinite(scores.scores)
    lost = [place >= 0 and not finite[place] for place in places]
    return [_lost(item) if gone else item for item, gone in zip(items, lost, strict=True)], places


def _lost(item: Item) -> Item:
    detail = "the model gave no finite score, also alone"
    return replace(item, set_aside=SetAside(item.address, Reason.NON_FINITE, detail, item.id, item.part))


def table(
    items: Sequence[Item], places: Sequence[int], scores: Scores, name: str, carry: Sequence[str]
) -> pa.Table:
    """Lay out a chunk: identity, reason, the ranker's columns, and the carried ones."""
    scored = pa.array([item.set_aside is None for item in items], pa.bool_())
    at = pa.array([place if place >= 0 else None for place in places], pa.int64())

    def column(values: pa.Array) -> pa.Array:
        taken = values.take(at)
        return pc.if_else(scored, taken, pa.scalar(None, values.type))

    columns: dict[str, pa.Array] = {
        "row": pa.array([item.address.row for item in items], pa.int64()),
        "part": pa.array([item.part for item in items], pa.string()),
        "file": pa.array([item.address.file for item in items], pa.string()).dictionary_encode(),
        "line": pa.array([item.address.line for item in items], pa.int64()),
        "id": pa.array([item.id for item in items], pa.string()),
        "reason": pa.array(
            [str(item.set_aside.reason) if item.set_aside else None for item in items], pa.string()
        ).dictionary_encode(),
        name: column(pa.array(scores.scores, pa.float32())),
        f"{name}_tokens": column(pa.array(scores.tokens, pa.int32())),
        f"{name}_truncated": column(pa.array(scores.truncated, pa.bool_())),
    }
    for number, carried in enumerate(carry):
        columns[carried] = pa.array([item.carried[number] for item in items], pa.string())
    return pa.table(columns)


def count(items: Sequence[Item], places: Sequence[int], scores: Scores) -> Counts:
    """Count a chunk; `rows` are the input rows, which several records may share."""
    good = [place for item, place in zip(items, places, strict=True) if item.set_aside is None]
    counts = Counts(
        rows=len({item.address.row for item in items}),
        records=len(items),
        scored=len(good),
        truncated=int(scores.truncated[good].sum()),
        tokens=int(scores.tokens[good].sum()),
    )
    for item in items:
        if item.set_aside:
            counts.set_aside[item.set_aside.reason] = counts.set_aside.get(item.set_aside.reason, 0) + 1
    return counts
