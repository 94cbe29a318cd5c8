"""Read training files and split them by instruction: no instruction stands on two sides."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from scar.errors import InputError
from scar.pools import read_judged, read_tiers
from scar.records import Address, Judged, SetAside, Tiers, Turn, instruction_key
from scar.settings import Reading
from scar.training.duplicates import without_duplicates

__all__ = ["Splits", "instruction_key", "read_judged_splits", "read_rows", "read_splits"]

log = logging.getLogger("scar")


class Row(Protocol):
    """What a row must tell to be put on a side."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What it answers."""

    @property
    def address(self) -> Address:
        """Where it stands."""

    @property
    def eval_only(self) -> bool:
        """Whether it must not be trained on."""


R = TypeVar("R", bound=Row)


@dataclass(frozen=True)
class Splits(Generic[R]):
    """The rows of a training, and what was left out of it."""

    train: list[R]
    validation: list[R]
    test: list[R]
    set_aside: int = 0
    eval_only: int = 0
    leaked: int = 0
    """Training rows whose instruction stands in another part."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """Training rows that left for another reason, by its name."""

    def counts(self) -> dict[str, int]:
        """Give the sizes, for the record."""
        return {
            "train": len(self.train),
            "validation": len(self.validation),
            "test": len(self.test),
            "set_aside": self.set_aside,
            "eval_only": self.eval_only,
            "leaked": self.leaked,
            **self.removed,
        }


@dataclass(frozen=True)
class Kind(Generic[R]):
    """One kind of training rows: how files of it are read, and what a good row has."""

    read: Callable[[Path, Reading], Iterator[R | SetAside]]
    needs: str
    stratum: Callable[[R], str] = lambda row: ""
    """What every part should have its share of."""


TIERS: Kind[Tiers] = Kind(read_tiers, "responses by tier")


def read_rows(path: Path, reading: Reading, kind: Kind[R]) -> tuple[list[R], int]:
    """Read a training file; gives its rows and how many were set aside. InputError where nothing is left."""
    rows: list[R] = []
    bad: list[SetAside] = []
    for item in kind.read(path, reading):
        if isinstance(item, SetAside):
            bad.append(item)
        else:
            rows.append(item)
    for item in bad[:3]:
        log.warning("%s, line %d: %s: %s", item.address.file, item.address.line, item.reason, item.detail)
    if len(bad) > 3:
        log.warning("%s: %d rows were set aside in all", path, len(bad))
    if not rows:
        first = f", the first: {bad[0].detail}" if bad else ""
        raise InputError(f"{path}: no row with {kind.needs} ({len(bad)} rows were set aside{first})")
    return rows, len(bad)


def read_splits(
    data: Path,
    validation: Path | None,
    test: Path | None,
    *,
    shares: tuple[float, float],
    seed: int,
    reading: Reading,
) -> Splits[Tiers]:
    """Read the training data of a style ranker; parts that are not given as files are cut from `data` by share."""
    return _split((data, validation, test), TIERS, shares, seed, reading)


def read_judged_splits(
    data: Path,
    validation: Path | None,
    test: Path | None,
    *,
    shares: tuple[float, float],
    seed: int,
    reading: Reading,
    wanted: str = "auto",
) -> Splits[Judged]:
    """Read the training data of a quality ranker as `read_splits` does; `wanted` is the objective, or auto.

    Instructions are drawn so that each label has its share of every part, wherever there are enough of them. Training
    rows leave where a long response of theirs stands in another part (`duplicates`), or where the same row came before
    (`repeats`).
    """
    needs = "a label, a score, or a chosen and a rejected response"
    kind = Kind(partial(read_judged, wanted=wanted), needs, _label)
    splits = _split((data, validation, test), kind, shares, seed, reading)
    train, removed = without_duplicates(splits.train, [*splits.validation, *splits.test])
    if not train:
        raise InputError(
            f"{data}: nothing is left to train on: every response stands in the validation or test part too"
        )
    return replace(splits, train=train, removed=removed)


def _label(row: Judged) -> str:
    return "" if row.label is None else f"{row.label:g}"


def _split(
    files: tuple[Path, Path | None, Path | None],
    kind: Kind[R],
    shares: tuple[float, float],
    seed: int,
    reading: Reading,
) -> Splits[R]:
    data, validation, test = files
    rows, bad = read_rows(data, reading, kind)
    usable = [row for row in rows if not row.eval_only]
    read = {name: read_rows(path, reading, kind) for name, path in (("v", validation), ("t", test)) if path}
    given = {name: part for name, (part, _) in read.items()}
    bad += sum(aside for _, aside in read.values())
    if validation:
        given["v"] = _to_choose_by(validation, given["v"])
    spared = sum(len(part) - len(given[name]) for name, (part, _) in read.items())
    _warn_of_shared(given)
    elsewhere = {instruction_key(row) for part in given.values() for row in part}
    free = [row for row in usable if instruction_key(row) not in elsewhere]
    if not free:
        raise InputError(
            f"{data}: nothing is left to train on: of {len(rows)} rows {len(rows) - len(usable)} are eval_only, and "
            f"{len(usable)} have an instruction that stands in the validation or test file"
        )
    cut = (0.0 if validation else shares[0], 0.0 if test else shares[1])
    side = _sides(_strata(free, kind.stratum), cut, seed)
    parts: dict[str, list[R]] = {"train": [], "v": given.get("v", []), "t": given.get("t", [])}
    for row in free:
        parts[side[instruction_key(row)]].append(row)
    return Splits(
        parts["train"],
        parts["v"],
        parts["t"],
        set_aside=bad,
        eval_only=len(rows) - len(usable) + spared,
        leaked=len(usable) - len(free),
    )


def _to_choose_by(file: Path, rows: Sequence[R]) -> list[R]:
    """Give the rows that an epoch may be chosen and a calibration be fitted by: that is training too."""
    free = [row for row in rows if not row.eval_only]
    if not free:
        raise InputError(f"{file}: all {len(rows)} rows are eval_only: no epoch may be chosen by them")
    return free


def _warn_of_shared(given: Mapping[str, Sequence[R]]) -> None:
    if shared := shared_instructions(given.get("v", ()), given.get("t", ())):
        log.warning(
            "%d instructions stand in the validation and in the test file: figures on rows that chose the epoch "
            "are too good",
            shared,
        )


def shared_instructions(some: Sequence[Row], others: Sequence[Row]) -> int:
    """Count the instructions that stand in two parts."""
    return len({instruction_key(row) for row in some} & {instruction_key(row) for row in others})


def _strata(rows: Sequence[R], stratum: Callable[[R], str]) -> list[list[str]]:
    """Give the instructions, sorted, of each stratum: of those whose rows are of the same strata."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        found[instruction_key(row)].add(stratum(row))
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in sorted(found):
        strata[tuple(sorted(found[key]))].append(key)
    return [strata[name] for name in sorted(strata)]


def _sides(strata: Iterable[list[str]], shares: tuple[float, float], seed: int) -> dict[str, str]:
    """Give the part of every instruction: each stratum is cut by itself.

    Strata that are too small for that are cut as one; where that is too small as well, it is trained on.
    """
    whole, rest = [], []
    for keys in strata:
        if sum(_held_out(len(keys), shares)) < len(keys):
            whole.append(keys)
        else:
            rest += keys
    fits = sum(_held_out(len(rest), shares)) < len(rest)
    if not whole and not fits:
        validation, test = _held_out(len(rest), shares)
        raise InputError(
            f"{len(rest)} different instructions are too few to hold {validation} out for validation and {test} "
            "for test; give more rows, or set validation_share and test_share to 0"
        )
    random = np.random.default_rng(seed)
    side = {key: "train" for key in rest}
    for keys in [*whole, sorted(rest)] if fits else whole:
        validation, test = _held_out(len(keys), shares)
        order = random.permutation(len(keys))
        side |= {keys[place]: "train" for place in order}
        side |= {keys[place]: "v" for place in order[:validation]}
        side |= {keys[place]: "t" for place in order[validation : validation + test]}
    return side


def _held_out(n: int, shares: tuple[float, float]) -> tuple[int, int]:
    validation, test = (max(1, round(share * n)) if share else 0 for share in shares)
    return validation, test
