"""The sidecar: one row a record, as an Arrow table. Knows no engine."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scar.records import Address, Reason, Record, SetAside
from scar.serving.answers import Scores
from scar.serving.ledger import Counts
from scar.serving.vectors import finite

ByRanker = Mapping[str, Scores]
"""Each ranker's scores of the same n records, by its name."""
OWN = ("row", "part", "file", "line", "id", "reason")
"""Columns of every sidecar."""
EMBEDDING = "embedding"
"""Who failed, where a record could be scored but not embedded: its reason is `embedding:non_finite`."""


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


def with_scores(
    items: Sequence[Item], scores: ByRanker, embeddings: NDArray[np.float16] | None = None
) -> tuple[list[Item], list[int]]:
    """Set aside the records of which any score is not finite, or the embedding; also give each item's place among them.

    That place is -1 where the record was set aside before. All are measured against one another: a record that one
    ranker cannot score, or that has no embedding where they were asked for, has no score at all.
    """
    next_place = itertools.count()
    places = [-1 if item.set_aside else next(next_place) for item in items]
    good = {name: np.isfinite(each.scores) for name, each in scores.items()}
    if embeddings is not None:
        good[EMBEDDING] = finite(embeddings)
    failed = [[name for name in good if place >= 0 and not good[name][place]] for place in places]
    return [
        _lost(item, names, alone=len(scores) == 1) if names else item
        for item, names in zip(items, failed, strict=True)
    ], places


def _lost(item: Item, failed: Sequence[str], *, alone: bool) -> Item:
    rankers = [name for name in failed if name != EMBEDDING]
    who = "the model" if alone else " and ".join(rankers)
    detail = f"{who} gave no finite score, also alone"
    if not rankers:
        detail = "its embedding is zero or not finite, also alone: it has no direction"
    blamed = None if alone and rankers else failed[0]
    aside = SetAside(item.address, Reason.NON_FINITE, detail, item.id, item.part, blamed)
    return replace(item, set_aside=aside)


def laid_out(
    items: Sequence[Item], places: Sequence[int], embeddings: NDArray[np.float16]
) -> NDArray[np.float16]:
    """Lay out embeddings as the sidecar's rows are, (items, d): NaN where a record was set aside."""
    rows = np.full((len(items), embeddings.shape[1]), np.nan, dtype=np.float16)
    scored = [number for number, item in enumerate(items) if item.set_aside is None]
    rows[scored] = embeddings[[places[number] for number in scored]]
    return rows


def table(items: Sequence[Item], places: Sequence[int], scores: ByRanker, carry: Sequence[str]) -> pa.Table:
    """Lay out a chunk: identity, reason, each ranker's columns in turn, and the carried ones."""
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
            [item.set_aside.code if item.set_aside else None for item in items], pa.string()
        ).dictionary_encode(),
    }
    for name, each in scores.items():
        columns[name] = column(pa.array(each.scores, pa.float32()))
        columns[f"{name}_tokens"] = column(pa.array(each.tokens, pa.int32()))
        columns[f"{name}_truncated"] = column(pa.array(each.truncated, pa.bool_()))
        columns |= {more: column(pa.array(values, pa.float32())) for more, values in each.columns.items()}
    for number, carried in enumerate(carry):
        columns[carried] = pa.array([item.carried[number] for item in items], pa.string())
    return pa.table(columns)


def count(items: Sequence[Item], places: Sequence[int], scores: ByRanker) -> Counts:
    """Count a chunk; `rows` are the input rows, which several records may share."""
    good = [place for item, place in zip(items, places, strict=True) if item.set_aside is None]
    tokens = {name: int(each.tokens[good].sum()) for name, each in scores.items()}
    cut = {name: each.truncated[good] for name, each in scores.items()}
    return Counts(
        rows=len({item.address.row for item in items}),
        records=len(items),
        scored=len(good),
        truncated=int(np.logical_or.reduce(list(cut.values())).sum()),
        tokens=sum(tokens.values()),
        set_aside=dict(Counter(item.set_aside.code for item in items if item.set_aside)),
        tokens_of=tokens,
        truncated_of={name: int(which.sum()) for name, which in cut.items()},
    )
