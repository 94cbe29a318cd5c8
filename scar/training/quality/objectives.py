"""Choose what a quality ranker is taught by, labels, grades or pairs, and make the targets. Knows no model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.records import Judged

OBJECTIVES = ("labels", "graded", "pairs")
_NOTHING = (
    "no row has a label, a score, or a chosen and a rejected response; map the columns with --columns label=NAME, "
    "score=NAME or chosen=NAME,rejected=NAME"
)


@dataclass(frozen=True)
class Targets:
    """The rows that teach, and what their scores are to become."""

    rows: list[Judged]
    y: NDArray[np.float32] | None = None
    """(rows,) in [0, 1]: labels, or grades on their scale; None for pairs."""
    margins: NDArray[np.float32] | None = None
    """(rows,) at least 0, where pairs have margins that are used."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows that teach nothing, by reason: no_judgement, identical_pair."""


@dataclass(frozen=True)
class Objective:
    """What a quality ranker is taught by."""

    kind: str
    """labels, graded or pairs."""
    scale: tuple[float, float] | None = None
    """Lowest and highest grade, where grades teach."""
    margins: bool = False
    """Whether the margins of pairs enter the loss."""
    pos_weight: float = 1.0
    """Weight of a good row, where labels teach and are balanced: bad rows / good rows; both then count alike."""
    notes: tuple[str, ...] = ()
    """What was chosen and why, in words."""

    def targets(self, rows: Sequence[Judged]) -> Targets:
        """Make the targets of a part; rows that lack the judgement are left out and counted.

        Raises InputError for a score outside the scale, and for a margin that is missing, negative or not finite.
        """
        teaching = [row for row in rows if judged_by(row, self.kind)]
        if self.kind != "pairs":
            left_out = {"no_judgement": len(rows) - len(teaching)}
            y = [row.label if self.kind == "labels" else _graded(row, self.scale) for row in teaching]
            return Targets(teaching, np.asarray(y, dtype=np.float32), left_out=left_out)
        different = [row for row in teaching if row.responses[0] != row.responses[1]]
        left_out = {
            "no_judgement": len(rows) - len(teaching),
            "identical_pair": len(teaching) - len(different),
        }
        margins = np.asarray([_margin(row) for row in different], np.float32) if self.margins else None
        return Targets(different, margins=margins, left_out=left_out)


def choose_objective(
    rows: Sequence[Judged],
    wanted: str = "auto",
    *,
    scale: tuple[float, float] | None = None,
    margins: str = "auto",
    balance: bool = True,
) -> Objective:
    """Choose the objective by the rows of the training part, or check the one that is wanted.

    `auto` takes pairs where rows are such, labels where there are any, else scores. `margins` is use, ignore, or auto:
    used where every pair has one. `balance` weighs labels by their numbers. Raises InputError where the rows cannot be
    learned from, with the remedy.
    """
    if wanted not in (*OBJECTIVES, "auto"):
        raise InputError(f"objective must be auto, {', '.join(OBJECTIVES)}, got {wanted!r}")
    if margins not in ("auto", "use", "ignore"):
        raise InputError(f"margins must be auto, use or ignore, got {margins!r}")
    _refuse_mixed(rows)
    kind = _found(rows) if wanted == "auto" else wanted
    teaching = [row for row in rows if judged_by(row, kind)]
    if not teaching:
        raise InputError(f"objective {kind}: {_lacking(rows, kind)}")
    if kind == "pairs":
        return _pairs(teaching, margins)
    if margins == "use":
        raise InputError(f"margins: use is for pairs, and these rows teach by {kind}; leave margins at auto")
    return _grades(teaching, scale) if kind == "graded" else _labels(teaching, balance)


def judged_by(row: Judged, kind: str) -> bool:
    """Tell whether a row has the judgement that an objective needs."""
    if kind == "pairs":
        return row.paired
    return not row.paired and (row.label if kind == "labels" else row.score) is not None


def _found(rows: Sequence[Judged]) -> str:
    kind = next(
        (kind for kind in ("pairs", "labels", "graded") if any(judged_by(r, kind) for r in rows)), None
    )
    if kind is None:
        raise InputError(f"objective auto: {_NOTHING}")
    return kind


def _refuse_mixed(rows: Sequence[Judged]) -> None:
    pair = next((row for row in rows if row.paired), None)
    single = next((row for row in rows if not row.paired), None)
    if pair and single:
        raise InputError(
            f"{_place(pair)} is a pair, {_place(single)} a single response: one ranker learns from one kind; "
            "train on the files of one kind alone"
        )


def _lacking(rows: Sequence[Judged], kind: str) -> str:
    other = next((other for other in OBJECTIVES if any(judged_by(row, other) for row in rows)), None)
    if other is None:
        return _NOTHING
    lack = {"labels": "label", "graded": "score", "pairs": "pair of responses"}[kind]
    return f"no row has a {lack}, but the rows would do for objective {other}"


def _labels(rows: Sequence[Judged], balance: bool) -> Objective:
    good = sum(row.label == 1 for row in rows)
    bad = len(rows) - good
    if not good or not bad:
        raise InputError(
            f"objective labels: all {len(rows)} training rows have label {int(bool(good))}: rows of both labels are "
            "needed; is the right column mapped (--columns label=NAME)?"
        )
    weight = bad / good if balance else 1.0
    told = f"a good row weighs {weight:.4g}" if balance else "every row weighs the same"
    notes = [f"labels: {good:,} good, {bad:,} bad; {told}"]
    if scored := sum(row.score is not None for row in rows):
        notes.append(f"{scored:,} rows have a score too, which is not used (objective: graded uses it)")
    return Objective("labels", pos_weight=weight, notes=tuple(notes))


def _grades(rows: Sequence[Judged], scale: tuple[float, float] | None) -> Objective:
    scores = [row.score for row in rows if row.score is not None]
    seen = f"{min(scores):g} to {max(scores):g}"
    if scale is None:
        raise InputError(
            f"objective graded: scores go from {seen}, but their scale is not stated; set scale: [LOWEST, HIGHEST] "
            "as the grader had it"
        )
    low, high = scale
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(f"scale must be a lower and a higher number, got [{low:g}, {high:g}]")
    if min(scores) == max(scores):
        raise InputError(
            f"objective graded: all {len(rows)} training rows have the score {scores[0]:g}; scores must differ"
        )
    return Objective(
        "graded", scale, notes=(f"graded: scores from {seen} on a scale of {low:g} to {high:g}",)
    )


def _pairs(rows: Sequence[Judged], wanted: str) -> Objective:
    different = [row for row in rows if row.responses[0] != row.responses[1]]
    if not different:
        raise InputError(f"objective pairs: in all {len(rows)} pairs the chosen response is the rejected one")
    lacking = [row for row in different if row.margin is None]
    if wanted == "use" and lacking:
        raise InputError(
            f"{_place(lacking[0])}: the pair has no margin, as {len(lacking)} of {len(different)} pairs; give each "
            "one, or set margins: ignore"
        )
    used = wanted != "ignore" and not lacking
    if used:
        margins = [_margin(row) for row in different]
        told = f"margins from {min(margins):g} to {max(margins):g} are used (margins: ignore leaves them out)"
    elif wanted == "ignore":
        told = "margins are ignored"
    elif len(lacking) == len(different):
        told = "no margins"
    else:
        told = f"margins are not used: {len(lacking):,} pairs have none"
    return Objective("pairs", margins=used, notes=(f"pairs: {len(different):,}; {told}",))


def _graded(row: Judged, scale: tuple[float, float] | None) -> float:
    assert scale is not None and row.score is not None
    low, high = scale
    if not low <= row.score <= high:
        raise InputError(
            f"{_place(row)}: score {row.score:g} is outside the scale [{low:g}, {high:g}]; correct it, or state "
            "another scale"
        )
    return (row.score - low) / (high - low)


def _margin(row: Judged) -> float:
    if row.margin is None or not (math.isfinite(row.margin) and row.margin >= 0):
        what = (
            "the pair has no margin"
            if row.margin is None
            else f"margin {row.margin:g} is no number from 0 up"
        )
        raise InputError(f"{_place(row)}: {what}; correct it, or set margins: ignore")
    return row.margin


def _place(row: Judged) -> str:
    return f"{row.address.file}, line {row.address.line}"
