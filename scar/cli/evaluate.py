"""`scar eval`: how well a bundle orders the tiers of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from scar.cli.parser import Parser, from_flat
from scar.cli.tables import console
from scar.settings import Reading, Scoring

CONTENDERS = ("ranker", "longest", "shortest", "random")


def evaluate(arguments: Sequence[str]) -> None:
    """Evaluate a bundle."""
    parser = Parser(
        "eval", "Ordering accuracy of a bundle on a tiers file, beside longest, shortest and random."
    )
    parser.add_argument("bundle", type=Path, help="bundle with exported graphs")
    parser.add_argument("file", type=Path, help="tiers file")
    parser.add_argument(
        "--json", type=Path, help="write the figures here, and leave the bundle's evaluation.json alone"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --json file")
    parser.add_settings(Reading, only=("columns", "strict"))
    parser.add_settings(Scoring, only=("graph", "threads"))
    values = parser.read(arguments)
    from scar.serving.evaluate import evaluate_bundle

    reading = from_flat(Reading, values | {"format": "tiers"})
    result, written = evaluate_bundle(
        values["bundle"],
        values["file"],
        reading=reading,
        scoring=from_flat(Scoring, values),
        out=values["json"],
    )
    print_evaluation(result)
    print(f"figures: {written}")


def print_evaluation(result: dict[str, Any]) -> None:
    """Print an evaluation as a table: a line a tier pair and a source, in per cent."""
    table = Table("ordered right, %", "n", *CONTENDERS, "n", "ranker", box=SIMPLE)
    table.columns[6].header = "matched n"
    table.columns[7].header = "matched"
    for name, part in [("all", result["overall"]), *result["pairs"].items(), *result["sources"].items()]:
        every, matched = part["all"], part["length_matched"]["ranker"]
        shares = [_share(every[who], whole=who == "ranker") for who in CONTENDERS]
        table.add_row(
            name, str(every["ranker"]["n"]), *shares, str(matched["n"]), _share(matched, whole=True)
        )
    console().print(table)
    print("[ ] bootstrap 95 % interval; matched: pairs whose lengths differ by less than a quarter")
    ranks = Table("", *CONTENDERS, box=SIMPLE)
    taus = result["kendall"]
    if taus["ranker"]["n"]:
        told = [f"{taus[who]['tau']:.3f}" for who in CONTENDERS[1:] if taus[who]["n"]]
        best = taus["ranker"]
        ranks.add_row("Kendall's tau", f"{best['tau']:.3f} \\[{best['low']:.3f} {best['high']:.3f}]", *told)
    for name, values in result["auc"].items():
        if values["ranker"] is not None:
            ranks.add_row(f"AUC {name}", *(f"{values[who]:.3f}" for who in CONTENDERS))
    console().print(ranks)


def _share(figure: dict[str, Any], *, whole: bool) -> str:
    if not figure["n"]:
        return "-"
    share = f"{figure['accuracy'] * 100:.1f}"
    return f"{share} \\[{figure['low'] * 100:.0f} {figure['high'] * 100:.0f}]" if whole else share
