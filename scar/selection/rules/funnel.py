"""Funnel: one score after the other, each narrowing what is left, with an audit of what it drops. Numpy only."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.selection.diversity.kmeans import k_means
from scar.selection.diversity.vectors import Vectors
from scar.selection.fuse import By, Fuse
from scar.selection.rules.budget import Budget, within
from scar.selection.rules.rule import (
    Chained,
    Needs,
    Outcome,
    Selection,
    best_first,
    is_number,
    is_seed,
    is_whole,
    require,
    selection,
)
from scar.selection.rules.shares import amounts, within_shares
from scar.selection.scored import Scored

_KEYS = ("by", "ratio", "per_group", "clusters", "audit")
_EXAMPLE = "{by: style, ratio: 0.5, per_group: source, audit: 0.05}"


@dataclass(frozen=True)
class FunnelStage:
    """Keep the best share of what is left, rounded up; of groups in proportion to their sizes, where they are named."""

    ratio: float
    by: By | None = None
    per_group: str | None = None
    """Column whose values are the groups."""
    clusters: int | None = None
    """Number of k-means clusters that are the groups; found anew among what is left."""
    audit: float = 0.0
    """Share of what this stage would drop that goes on all the same, at random, rounded up."""

    @classmethod
    def of(cls, stage: Any, number: int) -> "FunnelStage":
        """Read a mapping such as `{by: style, ratio: 0.5}`. Raises InputError naming the stage and the setting."""
        where = f"Funnel: stage {number}"
        require(isinstance(stage, Mapping), f"{where} must be a mapping such as {_EXAMPLE}, got {stage!r}")
        unknown = sorted(set(stage) - set(_KEYS), key=str)
        if unknown:
            raise InputError(f"{where} has no setting {unknown[0]!r}; it has: {', '.join(_KEYS)}")
        ratio, audit, column = stage.get("ratio"), stage.get("audit", 0.0), stage.get("per_group")
        require(
            is_number(ratio) and 0 < ratio <= 1,
            f"{where} needs a ratio above 0 and at most 1, got {ratio!r}",
        )
        require(is_number(audit) and 0 <= audit <= 1, f"{where} needs an audit from 0 to 1, got {audit!r}")
        require(
            column is None or isinstance(column, str),
            f"{where}: per_group must name a column, got {column!r}",
        )
        clusters = stage.get("clusters")
        require(
            clusters is None or (is_whole(clusters) and clusters >= 1),
            f"{where} needs a whole number of clusters, got {clusters!r}",
        )
        require(column is None or clusters is None, f"{where} takes per_group or clusters, not both")
        return cls(float(ratio), _by(stage.get("by"), where), column, clusters, float(audit))

    def keep(self, rows: Scored, seed: int) -> NDArray[np.bool_]:
        """Mark the best share of the eligible records."""
        budget = Budget(rows=max(_share(self.ratio, rows.eligible), int((rows.must & rows.eligible).sum())))
        order = best_first(rows.finite(self.by), rows.eligible)
        if self.per_group is None and self.clusters is None:
            return within(rows, budget, order)
        groups = self._groups(rows, seed)
        sizes = amounts(rows, budget, groups, int(groups.max()) + 1)
        return within_shares(rows, budget, groups, sizes, order)

    def _groups(self, rows: Scored, seed: int) -> NDArray[np.int64]:
        if self.per_group is not None:
            return rows.groups(self.per_group)
        assert self.clusters is not None
        records, groups = np.flatnonzero(rows.eligible), np.zeros(len(rows), dtype=np.int64)
        vectors = Vectors(rows.embeddings(), records)
        groups[records] = k_means(vectors, min(self.clusters, len(records)), seed=seed).labels
        return groups


@dataclass(frozen=True)
class Funnel(Chained):
    """Narrow by one score after the other; at each stage a few of those it would drop go on at random.

    `stages` are mappings of `by`, `ratio`, `per_group` (a carried column) or `clusters` (so many by k-means over the
    embeddings; either way groups keep their proportions) and `audit` (0.05 to 0.1 shows what a cheap score loses: a
    later, better score judges those records too). What the audit of the last stage spares is kept. Rounding is up, at
    least one record; the run's score orders the result, not the last stage's.
    """

    stages: Sequence[Mapping[str, Any]]
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the stages and the seed."""
        require(
            isinstance(self.stages, Sequence) and not isinstance(self.stages, str) and len(self.stages) > 0,
            f"Funnel needs a list of stages such as [{_EXAMPLE}], got {self.stages!r}",
        )
        require(is_seed(self.seed), f"Funnel needs a seed from 0 to 2**32 - 1, got {self.seed!r}")
        assert self.parsed
        object.__setattr__(self, "stages", [_plain(stage) for stage in self.stages])

    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash((self.parsed, self.seed))

    @cached_property
    def parsed(self) -> tuple[FunnelStage, ...]:
        """The stages, checked."""
        return tuple(FunnelStage.of(stage, number) for number, stage in enumerate(self.stages, start=1))

    def needs(self) -> Needs:
        """Read the columns of groups, and embeddings for clusters."""
        named = (stage.per_group for stage in self.parsed)
        return Needs(
            columns=tuple(dict.fromkeys(column for column in named if column is not None)),
            embeddings=any(stage.clusters is not None for stage in self.parsed),
        )

    def orders(self) -> tuple[By, ...]:
        """List the scores that stages name."""
        return tuple(dict.fromkeys(stage.by for stage in self.parsed if stage.by is not None))

    def select(self, rows: Scored) -> Selection:
        """Run the stages, and tell of each what came in, what went on, and how much of that by its audit."""
        left, told = rows, []
        for number, stage in enumerate(self.parsed):
            keep = stage.keep(left, self.seed) if left.eligible.any() else left.eligible
            spared = _audited(left.eligible & ~keep, stage.audit, (self.seed, number))
            told.append(
                {
                    "in": int(left.eligible.sum()),
                    "out": int((keep | spared).sum()),
                    "audited": int(spared.sum()),
                }
            )
            left = left.only(keep | spared)
        return selection(self, rows, Outcome(left.eligible, facts={"stages": told, "seed": self.seed}))


def _plain(stage: Mapping[str, Any]) -> dict[str, Any]:
    """Write a stage as a rules.yaml holds it."""
    return {key: value.to_config() if isinstance(value, Fuse) else value for key, value in stage.items()}


def _by(value: Any, where: str) -> By | None:
    if value is None or isinstance(value, str | Fuse):
        return value
    require(isinstance(value, Mapping), f"{where}: `by` must name a column, or fuse several, got {value!r}")
    try:
        return Fuse.from_config(value)
    except InputError as error:
        raise InputError(f"{where}: `by`: {error}") from None


def _share(ratio: float, among: NDArray[np.bool_]) -> int:
    # 0.07 * 100 is 7.000000000000001: without the rounding its ceiling would be 8.
    return math.ceil(round(ratio * int(among.sum()), 9))


def _audited(dropped: NDArray[np.bool_], share: float, seed: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark a random share of what would be dropped; all records are shuffled, so that others do not move a record."""
    spared = np.zeros(len(dropped), dtype=bool)
    if share:
        order = np.random.default_rng(seed).permutation(len(dropped))
        spared[order[dropped[order]][: _share(share, dropped)]] = True
    return spared
