"""What a ranker's bundle says of itself: how well it orders held-out rows, and what its scores mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scar.bundle import EVALUATION, RANKER
from scar.calibration import Calibration
from scar.errors import InputError
from scar.files import read_json, sha256

CONTENDERS = ("ranker", "longest", "shortest", "random")
_MEASURES = {
    "accuracy": "share of held-out pairs in the right order",
    "auc": "AUC on held-out rows",
    "concordance": "share of held-out rows of different grade in the right order",
}


@dataclass(frozen=True)
class Figure:
    """A measured share with its interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Measured:
    """A contender's figures on all held-out pairs, and on those of about equal length."""

    name: str
    every: Figure | None
    matched: Figure | None


@dataclass(frozen=True)
class Ranker:
    """One ranker."""

    name: str
    kind: str
    encoder: str
    changed: bool = False
    """Whether the bundle is no longer the one that scored."""
    measure: str = ""
    """What was measured, in words; empty where nothing was."""
    rows: int = 0
    overall: tuple[Measured, ...] = ()
    parts: tuple[Measured, ...] = ()
    """The ranker alone, by pair of tiers and by source."""
    length_correlation: float | None = None
    calibration: Calibration = Calibration()
    calibrated: tuple[str, ...] = ()
    """What is known of the calibration, a sentence each."""


def ranker_of(bundle: Path, scored_with: Mapping[str, str]) -> Ranker:
    """Read a bundle. InputError where it is gone or damaged; `scored_with` maps a name to its ranker.json's hash."""
    told = read_json(bundle / RANKER, "the bundle that scored is not there any more")
    try:
        evaluation = read_json(bundle / EVALUATION, "") if (bundle / EVALUATION).is_file() else None
        calibration = Calibration.from_config(told.get("calibration"))
        known = scored_with.get(told["name"])
        return Ranker(
            name=told["name"],
            kind=told["kind"],
            # Of a folder its own name alone: a report is shown to others.
            encoder=Path(told["encoder"]["name"]).name,
            changed=known is not None and known != sha256(bundle / RANKER),
            calibration=calibration,
            calibrated=tuple(_calibrated(calibration, told.get("temperature"))),
            **(_evaluated(evaluation) if evaluation else {}),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{bundle}: not a bundle of this version ({error!r})") from None


def _evaluated(told: Mapping[str, Any]) -> dict[str, Any]:
    measure, overall = told["measure"], told["overall"]
    lines = [(name, table["all"], table["length_matched"]) for name, table in _parts(told)]
    return {
        "measure": _MEASURES.get(measure, measure),
        "rows": told["rows"],
        "overall": tuple(
            Measured(n, _figure(overall["all"][n], measure), _figure(overall["length_matched"][n], measure))
            for n in CONTENDERS
        ),
        "parts": tuple(
            Measured(name, _figure(every["ranker"], measure), _figure(matched["ranker"], measure))
            for name, every, matched in lines
        ),
        "length_correlation": told["length_correlation"]["spearman"],
    }


def _parts(told: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return [*told.get("pairs", {}).items(), *told["sources"].items()]


def _figure(told: Mapping[str, Any], measure: str) -> Figure | None:
    return Figure(told[measure], told["low"], told["high"], told["n"]) if told["n"] else None


def _calibrated(calibration: Calibration, temperature: Mapping[str, Any] | None) -> list[str]:
    facts, told = calibration.facts(), []
    for name, known in (("the probability", facts.get("probability")), ("p_seen", temperature)):
        if known and "ece_after" in known:
            where = known.get("measured_on") or known.get("fitted_on")
            told.append(
                f"Expected calibration error of {name}: {known['ece_before']:.3f} before, "
                f"{known['ece_after']:.3f} after" + (f" ({where})." if where else ".")
            )
        elif known:
            told.append(f"The error of {name} was not measured.")
    if "percentile" in facts:
        rows = facts["percentile"].get(
            "rows", len(calibration.percentile.scores) if calibration.percentile else 0
        )
        told.append(f"Percentiles are of {rows:,} reference rows.")
    if "length" in facts:
        told.append("The trend with the response's length is taken off the score.")
    return told
