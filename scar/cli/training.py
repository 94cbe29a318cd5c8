"""What the commands that train share: their files, and what they tell of the scores' meaning."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scar.cli.parser import Parser, from_flat
from scar.cli.quiet import quiet
from scar.errors import InputError
from scar.settings import Reading

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


def run(parser: Parser, arguments: Sequence[str], settings: type[Any], module: str, function: str) -> Any:
    """Read the command line, with a flag for each setting, and train; gives the training's report."""
    parser.add_settings(settings)
    values = parser.read(arguments)
    wanted = from_flat(settings, values)
    try:
        train = getattr(import_module(module), function)
    except ImportError as error:
        raise InputError(
            f"training needs the train extra: pip install 'scar-rank[train]' ({error})"
        ) from None
    quiet()
    return train(
        wanted,
        values["data"],
        values["out"],
        validation=values["validation"],
        test=values["test"],
        reading=from_flat(Reading, values),
        overwrite=values["overwrite"],
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
