"""`scar calibrate`: what a bundle's scores mean, fitted on labelled rows or a reference pool."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scar.cli.parser import Parser, from_flat
from scar.settings import Reading, Scoring

if TYPE_CHECKING:
    from scar.training.calibrate_bundle import CalibrationReport


def calibrate(arguments: Sequence[str]) -> None:
    """Calibrate a bundle."""
    parser = Parser(
        "calibrate",
        "Say what a bundle's scores mean: probabilities by labelled rows, percentiles by a reference pool.",
    )
    parser.add_argument("bundle", type=Path, help="bundle with exported graphs")
    parser.add_argument(
        "--labels",
        type=Path,
        help="rows with a label of 0 or 1 (of an unseen ranker: 1 is seen), or a score on the ranker's scale; "
        "gives the column NAME_p (p_seen)",
    )
    parser.add_argument(
        "--reference", type=str, help="pool that scores are compared with; gives the column NAME_percentile"
    )
    parser.add_argument(
        "--method",
        type=Literal["auto", "temperature", "isotonic"],
        default="auto",
        help="how scores become probabilities; auto is isotonic from 1,000 rows, 100 of each label",
    )
    parser.add_settings(Reading)
    parser.add_settings(Scoring, only=("graph", "aggregate", "threads"))
    values = parser.read(arguments)
    from scar.training.calibrate_bundle import calibrate_bundle

    report = calibrate_bundle(
        values["bundle"],
        labels=values["labels"],
        reference=values["reference"],
        method=values["method"],
        reading=from_flat(Reading, values),
        scoring=from_flat(Scoring, values),
    )
    _print_report(report)


def _print_report(report: "CalibrationReport") -> None:
    facts = report.calibration.facts()
    if "probability" in report.fitted:
        print_probability(facts["probability"])
    if "percentile" in report.fitted:
        _print_percentiles(facts["percentile"])
    if kept := [part for part in facts if part not in report.fitted]:
        print(f"left as it was: {', '.join(kept)}")
    print(
        f"bundle: {report.bundle}   it counts as another ranker now: a run that it began before is refused; "
        "score such a pool again (--overwrite)"
    )


def print_probability(facts: dict[str, Any]) -> None:
    """Print what a probability was fitted on, and how far it is off."""
    print(f"probability: {facts['method']} ({facts['why']}), fitted on {facts['fitted_on']}")
    replaced = (
        f"; that of the calibration it replaces {facts['ece_replaced']:.4f}"
        if "ece_replaced" in facts
        else ""
    )
    print(
        f"expected calibration error: {facts['ece_before']:.4f} before, {facts['ece_after']:.4f} after, "
        f"n = {facts['rows']:,}, {facts['good']:.1%} good (cross-fitted by instruction, {facts['folds']} folds)"
        f"{replaced}"
    )
    if facts.get("at_bound"):
        print("note: the temperature is at its bound: these scores separate the labels wholly, or not at all")
    if missing := {name: count for name, count in _missing(facts).items() if count}:
        print("left out: " + ", ".join(f"{count:,} {name}" for name, count in missing.items()))


def _missing(facts: dict[str, Any]) -> dict[str, int]:
    return {**facts["left_out"], "without_score": facts["without_score"]}


def _print_percentiles(facts: dict[str, Any]) -> None:
    print(f"percentiles: of {facts['reference']}, n = {facts['rows']:,}")
    lost = {name: facts[name] for name in ("set_aside", "without_score") if facts[name]}
    if lost:
        print("left out: " + ", ".join(f"{count:,} {name}" for name, count in lost.items()))
