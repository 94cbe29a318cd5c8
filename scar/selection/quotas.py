"""So many of each group: shares by largest remainder, within what each group has. Numpy only; knows no rules."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError

Whole = NDArray[np.int64]


def quotas(
    weights: NDArray[Any], capacity: NDArray[Any], total: int, least: NDArray[Any] | None = None
) -> Whole:
    """Share `total` among groups in proportion to `weights`, each at most its `capacity`; gives shape (g,).

    A group that has less than its share gets all it has, and what it leaves goes to the others by the same weights.
    Fractions are settled by largest remainder; ties go to the smaller group number. The sum is `total`, or all of the
    capacity where that is less. A group of weight 0 gets something only once all others are full. `least` gives groups
    a floor (rows that must stay); the others share what is left. Raises InputError for weights that are negative or
    not finite, for capacities below 0, and for floors above the capacity or, together, above the total.
    """
    weights, capacity = np.asarray(weights, dtype=np.float64), np.asarray(capacity, dtype=np.int64)
    if weights.shape != capacity.shape or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputError("quotas need a finite weight of at least 0 for each group")
    if (capacity < 0).any() or total < 0:
        raise InputError("quotas need a capacity of at least 0 for each group, and a total of at least 0")
    total = min(int(total), int(capacity.sum()))
    floor = np.zeros_like(capacity) if least is None else np.asarray(least, dtype=np.int64)
    if (floor > capacity).any() or floor.sum() > total:
        raise InputError(f"what must stay is more than the budget: {floor.sum()} of {total}")
    held = np.zeros(len(capacity), dtype=bool)
    while True:
        # Holding one group at its floor leaves less for the others, which may bring more of them to theirs.
        share = np.where(
            held, floor, _capped(weights, np.where(held, 0, capacity), total - floor[held].sum())
        )
        if not (short := share < floor).any():
            return share
        held |= short


def _capped(weights: NDArray[np.float64], capacity: Whole, total: int) -> Whole:
    """Fill groups that have weight first, and the others, equally, with what they leave."""
    share = _filled(weights, np.where(weights > 0, capacity, 0), total)
    return share + _filled(np.ones_like(weights), capacity - share, total - int(share.sum()))


def _filled(weights: NDArray[np.float64], capacity: Whole, total: int) -> Whole:
    """Give each group level x weight or all it has, whichever is less, at the level that spends the total."""
    share, there = np.zeros_like(capacity), np.flatnonzero(capacity > 0)
    total = min(total, int(capacity.sum()))
    if total == 0:
        return share
    # A tiny weight beside a large one must not vanish: nothing may be divided by 0.
    weights, capacity = np.maximum(weights[there] / weights[there].max(), 1e-100), capacity[there]
    ratio = capacity / weights
    order = np.argsort(ratio, kind="stable")
    spent = np.cumsum(capacity[order]) - capacity[order]
    level = (total - spent) / np.cumsum(weights[order][::-1])[::-1]
    overfull = ratio[order] > level
    at = int(np.argmax(overfull)) if overfull.any() else len(order) - 1
    share[there] = _rounded(np.minimum(level[at] * weights, capacity), capacity, total)
    return share


def _rounded(ideal: NDArray[np.float64], capacity: Whole, total: int) -> Whole:
    """Round down, then give what is missing to the largest remainders that have room."""
    # To nine digits: 6.999999999999999 is 7, and a third of one group is a third of another.
    whole = np.floor(np.round(ideal, 9)).astype(np.int64)
    lost = np.round(ideal - whole, 9)
    missing = total - int(whole.sum())
    order = np.lexsort((np.arange(len(whole)), -lost, whole >= capacity))
    whole[order[:missing]] += 1
    return whole
