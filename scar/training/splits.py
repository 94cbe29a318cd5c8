"""Read tier files and split them by instruction: no instruction stands on two sides."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scar.errors import InputError
from scar.pools import read_tiers
from scar.records import SetAside, Tiers
from scar.settings import Reading

log = logging.getLogger("scar")


@dataclass(frozen=True)
class Splits:
    """The rows of a training, and what was left out of it."""

    train: list[Tiers]
    validation: list[Tiers]
    test: list[Tiers]
    set_aside: int = 0
    eval_only: int = 0
    leaked: int = 0
    """Training rows whose instruction stands in another part."""

    def counts(self) -> dict[str, int]:
        """Give the sizes, for the record."""
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "set_aside": self.set_aside,
            "eval_only": self.eval_only,
            "leaked": self.leaked,
        }


def instruction_key(row: Tiers) -> str:
    """Normalise an instruction: case and white space do not make another one."""
    return " ".join(" ".join(turn.text for turn in row.turns).casefold().split())


def read_rows(path: Path, reading: Reading) -> tuple[list[Tiers], int]:
    """Read a tiers file; gives its rows and how many were set aside. InputError where nothing is left."""
    items = list(read_tiers(path, reading))
    rows = [item for item in items if isinstance(item, Tiers)]
    bad = [item for item in items if isinstance(item, SetAside)]
    for item in bad[:3]:
        log.warning("%s, line %d: %s: %s", item.address.file, item.address.line, item.reason, item.detail)
    if len(bad) > 3:
        log.warning("%s: %d rows were set aside in all", path, len(bad))
    if not rows:
        raise InputError(f"{path}: no row with responses by tier ({len(bad)} rows were set aside)")
    return rows, len(bad)


def read_splits(
    data: Path,
    validation: Path | None,
    test: Path | None,
    *,
    shares: tuple[float, float],
    seed: int,
    reading: Reading,
) -> Splits:
    """Read the training data; parts that are not given as files are cut from `data` by share."""
    rows, bad = read_rows(data, reading)
    usable = [row for row in rows if not row.eval_only]
    read = {name: read_rows(path, reading) for name, path in (("v", validation), ("t", test)) if path}
    given = {name: part for name, (part, _) in read.items()}
    bad += sum(aside for _, aside in read.values())
    elsewhere = {instruction_key(row) for part in given.values() for row in part}
    free = [row for row in usable if instruction_key(row) not in elsewhere]
    if not free:
        raise InputError(
            f"{data}: nothing is left to train on: of {len(rows)} rows {len(rows) - len(usable)} are eval_only, and "
            f"{len(usable)} have an instruction that stands in the validation or test file"
        )
    side = _sides(free, 0.0 if validation else shares[0], 0.0 if test else shares[1], seed)
    parts: dict[str, list[Tiers]] = {"train": [], "v": given.get("v", []), "t": given.get("t", [])}
    for row in free:
        parts[side(row)].append(row)
    return Splits(
        parts["train"], parts["v"], parts["t"], bad, len(rows) - len(usable), len(usable) - len(free)
    )


def _sides(rows: Sequence[Tiers], validation: float, test: float, seed: int) -> Callable[[Tiers], str]:
    """Give the part of a row, by its instruction."""
    keys = sorted({instruction_key(row) for row in rows})
    order = np.random.default_rng(seed).permutation(len(keys))
    n_validation, n_test = (max(1, round(share * len(keys))) if share else 0 for share in (validation, test))
    if n_validation + n_test >= len(keys):
        raise InputError(
            f"{len(keys)} different instructions are too few to hold {n_validation} out for validation and {n_test} "
            "for test; give more rows, or set validation_share and test_share to 0"
        )
    side = {keys[place]: "train" for place in order}
    side |= {keys[place]: "v" for place in order[:n_validation]}
    side |= {keys[place]: "t" for place in order[n_validation : n_validation + n_test]}
    return lambda row: side[instruction_key(row)]
