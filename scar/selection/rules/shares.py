"""A budget shared among groups: what rules of quotas stand on. Numpy only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.selection.quotas import quotas
from scar.selection.rules.budget import Budget, Purse
from scar.selection.scored import Scored

Numbers = NDArray[np.int64]
MOST_TOLD = 20
"""Groups that facts tell one by one."""


def amounts(rows: Scored, budget: Budget, groups: Numbers, count: int) -> Numbers:
    """Sum what each of `count` groups has left, in the budget's unit: records, or tokens; shape (count,)."""
    return _sums(budget.purse(rows).costs, groups, rows.eligible, count)


def within_shares(
    rows: Scored,
    budget: Budget,
    groups: Numbers,
    weights: NDArray[Any],
    order: Numbers,
    most: int | None = None,
) -> NDArray[np.bool_]:
    """Mark what a budget pays for when groups share it by their weights, each spending along an order of records.

    `groups` gives the group of every record, `weights` has shape (g,), `order` holds eligible records, each once. What
    must stay comes first and counts in its group's share. A record that costs more than is left of its group's share is
    passed over; what all groups could not spend is then spent along the whole order. No group spends more than `most`,
    but for what must stay.
    """
    purse, must = budget.purse(rows), rows.must & rows.eligible
    order = np.concatenate([order[must[order]], order[~must[order]]])
    has = _sums(purse.costs, groups, rows.eligible, len(weights))
    floor = _sums(purse.costs, groups, must, len(weights))
    room = has if most is None else np.maximum(np.minimum(has, most), floor)
    share = quotas(weights, room, purse.left, floor)
    if budget.tokens is None:
        return _first_of_groups(rows, groups, share, order)
    return _spend(purse, groups, share, room, order)


def _sums(costs: Numbers, groups: Numbers, among: NDArray[np.bool_], count: int) -> Numbers:
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, groups[among], costs[among])
    return sums


def _first_of_groups(rows: Scored, groups: Numbers, share: Numbers, order: Numbers) -> NDArray[np.bool_]:
    order = order[np.argsort(groups[order], kind="stable")]
    starts = np.searchsorted(groups[order], np.arange(len(share)))
    rank = np.arange(len(order)) - starts[groups[order]]
    keep = np.zeros(len(rows), dtype=bool)
    keep[order[rank < share[groups[order]]]] = True
    return keep


def _spend(purse: Purse, groups: Numbers, share: Numbers, room: Numbers, order: Numbers) -> NDArray[np.bool_]:
    """Let groups spend their shares, then spend what is left within the room that groups have."""
    left, spare = share.tolist(), (room - share).tolist()
    passed = [record for record in order.tolist() if not _pay(purse, record, left, int(groups[record]))]
    spare = [more + rest for more, rest in zip(spare, left, strict=True)]
    for record in passed:
        _pay(purse, record, spare, int(groups[record]))
    return purse.keep()


def _pay(purse: Purse, record: int, left: list[int], group: int) -> bool:
    """Take a record that its group and the budget can pay."""
    cost = int(purse.costs[record])
    if cost > left[group] or not purse.take(record):
        return False
    left[group] -= cost
    return True


def told(
    names: list[str | None], groups: Numbers, before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> Any:
    """Tell how many records of each group there were and were kept, the largest groups first: JSON values."""
    had = np.bincount(groups[before], minlength=len(names))
    kept = np.bincount(groups[after], minlength=len(names))
    largest = [group for group in np.argsort(-had, kind="stable")[:MOST_TOLD] if had[group]]
    return [{"group": names[group], "in": int(had[group]), "out": int(kept[group])} for group in largest]
