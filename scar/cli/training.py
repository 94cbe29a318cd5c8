"""What the commands that train share: their files, and what they tell of the scores' meaning."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scar.cli.parser import Parser

if TYPE_CHECKING:
    from scar.calibration import Calibration


def add_files(parser: Parser, data: str, file: str) -> None:
    """Add the recipe, the files and the bundle to a training's parser."""
    parser.add_argument(
        "--config", action="config", help="recipe: a YAML file of the settings below; flags win"
    )
    parser.add_argument("--data", type=Path, required=True, help=f"{data} to train on")
    parser.add_argument(
        "--validation", type=Path, help=f"{file} to choose the epoch by; default: a share of --data"
    )
    parser.add_argument(
        "--test", type=Path, help=f"{file} to evaluate on at the end; default: a share of --data"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing bundle or unfinished training"
    )


def print_calibration(calibration: "Calibration") -> None:
    """Print what the scores were given a meaning by."""
    facts: dict[str, dict[str, Any]] = calibration.facts()
    if length := calibration.length:
        print(f"length: {length.slope:.4g} x ln(1 + response tokens) is taken off every score")
    if probability := facts.get("probability"):
        print(
            f"probability ({probability['method']}): calibration error {probability['ece_before']:.4f} before, "
            f"{probability['ece_after']:.4f} after ({probability['measured_on']}, n = {probability['rows']:,})"
        )
    if percentile := facts.get("percentile"):
        print(f"percentile: of {percentile['rows']:,} scores of the {percentile['reference']}")
