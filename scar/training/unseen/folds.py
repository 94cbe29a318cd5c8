"""Group rows that give each other away, and deal the groups to folds. Knows nothing of models.

Seen rows are 1, candidates 0. A row's group and fold follow from the texts, not from the order of the rows.
"""

import hashlib
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.records import Record, instruction_key, normalised
from scar.settings.unseen import On
from scar.training.unseen.near import Components, join_near
from scar.training.unseen.signal import signal_of

LEAST_SHARED = 40
"""Characters from which on two rows with one response are copies. "Positive." answers unrelated questions."""

Groups = NDArray[np.int64]
Seen = NDArray[np.bool_]


def groups_of(
    records: Sequence[Record], *, on: On = "both", seed: int = 0, encoded: Sequence[Hashable] = ()
) -> Groups:
    """Give a group number to each row: rows of one group must share a fold.

    Together belong rows with the same instruction, with the same response (where it is looked at, and long enough
    to be a copy or all that is looked at), with near-duplicate text, and with the same `encoded`, one a row: what the
    encoder sees of them (texts that differ behind the cut, or by an accent). Numbers follow from the texts alone.
    """
    asked = [instruction_key(record) for record in records]
    texts = [normalised(signal_of(record, on)) for record in records]
    together = Components(len(records))
    _join_equal(asked, together)
    _join_equal(texts, together)
    _join_equal(encoded, together)
    if on == "both":
        answers = [normalised(record.response) for record in records]
        _join_equal([text if len(text) >= LEAST_SHARED else None for text in answers], together)
    _join_near(texts, together, seed)
    return _numbered(together, [_digest(*pair) for pair in zip(asked, texts, strict=True)])


def _join_equal(keys: Sequence[Hashable], together: Components) -> None:
    """Join rows whose keys are equal; None is no key."""
    first: dict[Hashable, int] = {}
    for row, key in enumerate(keys):
        if key is not None:
            together.join(first.setdefault(key, row), row)


def _join_near(texts: Sequence[str], together: Components, seed: int) -> None:
    rows = {text: row for row, text in enumerate(texts)}
    distinct = sorted(rows)  # by text, so that the order of the rows decides nothing
    near = Components(len(distinct))
    join_near(distinct, near, seed)
    for number, text in enumerate(distinct):
        together.join(rows[text], rows[distinct[near.find(number)]])


def _numbered(together: Components, digests: Sequence[bytes]) -> Groups:
    """Number the groups by the smallest digest in each."""
    least: dict[int, bytes] = {}
    roots = [together.find(row) for row in range(len(digests))]
    for root, digest in zip(roots, digests, strict=True):
        least[root] = min(digest, least.get(root, digest))
    number = {root: n for n, root in enumerate(sorted(least, key=lambda root: least[root]))}
    return np.asarray([number[root] for root in roots], dtype=np.int64)


def _digest(*texts: str) -> bytes:
    hashed = hashlib.blake2b(digest_size=16)
    for text in texts:
        hashed.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return hashed.digest()


def fold_of(groups: Groups, seen: Seen, *, folds: int = 5, seed: int = 0) -> NDArray[np.int16]:
    """Give each row its fold, from 0: no group in two folds, seen rows and sizes spread as evenly as groups allow.

    Raises InputError where a fold would lack seen rows or candidates.
    """
    seen = np.asarray(seen, dtype=bool)
    _check(groups, seen, folds)
    names, group = np.unique(groups, return_inverse=True)
    sizes = np.column_stack([np.bincount(group[rows], minlength=len(names)) for rows in (seen, ~seen)])
    fold = _dealt(sizes, folds, seed)[group]
    for name, rows in (("seen rows", seen), ("candidates", ~seen)):
        empty = np.flatnonzero(np.bincount(fold[rows], minlength=folds) == 0)
        if len(empty):
            raise InputError(
                f"fold {empty[0]} of {folds} has no {name}: too many of them belong together; ask for fewer folds"
            )
    return fold


def _dealt(sizes: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int16]:
    """Deal groups of so many seen rows and candidates (groups, 2), large ones first, each to the emptiest fold.

    Emptiest by the classes of the group at hand; the smaller fold wins a tie. scikit-learn's StratifiedGroupKFold
    balances the spread of each class alone: beside one huge group it made folds of 68 and 8 rows for 60 and 10.
    """
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order].sum(axis=1), kind="stable")]
    total = sizes.sum()
    price = (total / sizes.sum(axis=0)) ** 2
    held = np.zeros((folds, 2))
    fold = np.empty(len(sizes), dtype=np.int16)
    for group in order:
        cost = held @ (sizes[group] * price) + held.sum(axis=1) / (total + 1)
        fold[group] = cost.argmin()
        held[fold[group]] += sizes[group]
    return fold


def _check(groups: Groups, seen: Seen, folds: int) -> None:
    if folds < 2:
        raise InputError(
            f"folds: {folds} is too few; a row is scored by models of the other folds, so give at least 2"
        )
    for name, rows in (("seen rows", seen), ("candidates", ~seen)):
        if not rows.any():
            raise InputError(
                f"there are no {name}: both seen rows and candidates are needed to tell them apart"
            )
        n = len(np.unique(groups[rows]))
        if n < folds:
            raise InputError(
                f"the {int(rows.sum())} {name} are {n} groups (same instruction or near-duplicates), too few for "
                f"{folds} folds: give more rows" + (f", or {n} folds" if n > 1 else "")
            )


def group_notes(groups: Groups, folds: int) -> list[str]:
    """Say where a group is larger than a fold's fair share: the folds are then uneven."""
    sizes = np.sort(np.bincount(groups))[::-1]
    large = sizes[sizes > len(groups) / folds]
    return [
        f"{size:,} of {len(groups):,} rows share an instruction or are near-duplicates: more than a fair fold of "
        f"{len(groups) // folds:,}, so the folds differ in size"
        for size in large.tolist()
    ]
