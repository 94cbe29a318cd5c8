"""Several rankers over one pool: which of them may stand beside each other. Knows no engine."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from scar.bundle import CALIBRATED, P_SEEN, Bundle
from scar.errors import InputError
from scar.serving.columns import calibration_of
from scar.serving.sidecar import OWN
from scar.settings import TAKEN_NAMES

Rankers = str | Path | Sequence[str | Path]
"""One bundle, or several whose columns stand beside each other in the order given."""
REMEDY = "train or import one with another --name"


def open_bundles(rankers: Rankers) -> list[Bundle]:
    """Open bundles that score together.

    Raises InputError where one is damaged or given twice, and where two of them would write the same column.
    """
    paths = [Path(path) for path in ([rankers] if isinstance(rankers, str | Path) else rankers)]
    if not paths:
        raise InputError("no ranker is given: name at least one bundle")
    if twice := [path for path, times in Counter(path.resolve() for path in paths).items() if times > 1]:
        raise InputError(f"{twice[0]} is given twice as a ranker: name each bundle once")
    bundles = [Bundle.open_ranker(path) for path in paths]
    for bundle in bundles:
        _check_name(bundle)
        calibration_of(bundle)  # its columns are told by its parts: damaged ones tell nothing
    for one, other in combinations(bundles, 2):
        _check_pair(one, other)
    return bundles


def columns_of(bundle: Bundle) -> list[str]:
    """List all columns that a ranker can write; those of a calibration also where it has none yet."""
    endings = ("tokens", "truncated", *CALIBRATED)
    seen = [P_SEEN] if bundle.kind == "unseen" else []
    return [bundle.name, *(f"{bundle.name}_{ending}" for ending in endings), *seen]


def check_carried(bundles: Sequence[Bundle], carry: Sequence[str]) -> None:
    """Refuse to carry a column whose name the sidecar needs."""
    taken = {*OWN, *(column for bundle in bundles for column in columns_of(bundle))}
    for column in carry:
        if column in taken:
            raise InputError(f"--carry {column}: the scores have a column of that name already")


def _check_name(bundle: Bundle) -> None:
    if bundle.name in TAKEN_NAMES:
        raise InputError(
            f"{bundle.path}: a ranker cannot be named {bundle.name!r}: scores or kept rows have a column of that "
            f"name; {REMEDY}"
        )


def _check_pair(one: Bundle, other: Bundle) -> None:
    both = f"{one.path} and {other.path}"
    if one.kind == other.kind == "unseen":
        raise InputError(f"{both} are both unseen rankers, and both write {P_SEEN}: score one of them a run")
    if one.name == other.name:
        raise InputError(f"{both} are both named {one.name!r}, as their columns would be; {REMEDY}")
    if clash := set(columns_of(one)) & set(columns_of(other)):
        raise InputError(f"{both} would both write a column {min(clash)!r}; {REMEDY}")
