"""`scar eval`: how well a bundle orders a file of tiers, labels, grades or preferences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.cli.parser import Parser, from_flat
from scar.cli.tables import show
from scar.settings import Reading, Scoring

CONTENDERS = ("ranker", "longest", "shortest", "random")
TITLES = {"accuracy": "ordered right, %", "auc": "AUC, %", "concordance": "concordance, %"}


def evaluate(arguments: Sequence[str]) -> None:
    """Evaluate a bundle."""
    parser = Parser(
        "eval",
        "How well a bundle orders the responses of a file, beside longest, shortest and random.",
    )
    parser.add_argument("bundle", type=Path, help="bundle with exported graphs")
    parser.add_argument(
        "file",
        type=Path,
        help="style: tiers file; else rows with a label, a score, or a chosen and a rejected response",
    )
    parser.add_argument(
        "--json", type=Path, help="write the figures here, and leave the bundle's evaluation.json alone"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --json file")
    parser.add_settings(Reading, only=("format", "columns", "strict"))
    parser.add_settings(Scoring, only=("graph", "threads"))
    values = parser.read(arguments)
    from scar.serving.evaluate import evaluate_bundle

    result, written = evaluate_bundle(
        values["bundle"],
        values["file"],
        reading=from_flat(Reading, values),
        scoring=from_flat(Scoring, values),
        out=values["json"],
        overwrite=values["overwrite"],
    )
    print_evaluation(result)
    print(f"figures: {written}")


def print_evaluation(result: dict[str, Any]) -> None:
    """Print an evaluation: a line for everything, a tier pair and a source, in per cent; then what else it holds."""
    measure = result["measure"]
    table = Table(TITLES[measure], *CONTENDERS, "n", "matched", "n", box=SIMPLE, padding=0)
    # A long name goes on in the next line: names of sources often differ at their ends only.
    table.columns[0].overflow = "fold"
    parts = {"all": result["overall"], **result.get("pairs", {}), **result["sources"]}
    for name, part in parts.items():
        every, matched = part["all"], part["length_matched"]["ranker"]
        shares = [_share(every[who], measure, whole=who == "ranker") for who in CONTENDERS]
        close = _share(matched, measure, whole=True)
        table.add_row(Text(name), *shares, f"{every['ranker']['n']:,}", close, f"{matched['n']:,}")
    show(table)
    of_one = "" if measure == "accuracy" else " of one source"
    print(f"[ ] bootstrap 95 % interval; matched: pairs{of_one} whose lengths differ by less than a quarter")
    _print_ranks(result)
    length = result["length_correlation"]
    told = "not defined" if length["spearman"] is None else f"{length['spearman']:.3f}"
    print(f"score and length of the response: Spearman {told} (n = {length['n']:,})")
    if error := result.get("calibration_error"):
        print(
            f"expected calibration error: {error['ece_after']:.4f}, of the score as log odds {error['ece_before']:.4f} "
            f"(n = {error['rows']:,})"
            + ("; too small: it was fitted on these rows" if error["fitted_here"] else "")
        )
    if set_aside := result.get("set_aside"):
        print(f"set aside: {set_aside:,} rows that cannot be read, or say nothing of their responses")
    if left_out := result.get("left_out"):
        print(f"left out: {left_out:,} rows that cannot be evaluated by {result['objective']}")


def _print_ranks(result: dict[str, Any]) -> None:
    """Print what is not a share of pairs by source: rank correlations, AUC by tier pair."""
    ranks = Table("", *CONTENDERS, box=SIMPLE)
    lines = [
        ("Kendall's tau", "tau", result.get("kendall")),
        ("Spearman with the grades", "spearman", result.get("spearman")),
        ("accuracy within an instruction", "accuracy", result.get("same_instruction")),
    ]
    for name, figure, values in lines:
        if values and values["ranker"]["n"]:
            ranks.add_row(name, *(_number(values[who], figure, whole=who == "ranker") for who in CONTENDERS))
    for name, values in result.get("auc", {}).items():
        if values["ranker"] is not None:
            ranks.add_row(Text(f"AUC {name}"), *(f"{values[who]:.3f}" for who in CONTENDERS))
    if ranks.row_count:
        show(ranks)


def _number(figure: dict[str, Any], name: str, *, whole: bool) -> str:
    """Write a figure with its interval, where it has one and the whole is wanted."""
    if not figure["n"] or figure[name] is None:
        return "-"
    number = f"{figure[name]:.3f}"
    return f"{number} \\[{figure['low']:.3f} {figure['high']:.3f}]" if whole and "low" in figure else number


def _share(figure: dict[str, Any], measure: str, *, whole: bool) -> str:
    if not figure["n"]:
        return "-"
    share = f"{figure[measure] * 100:.1f}"
    return f"{share} \\[{figure['low'] * 100:.0f} {figure['high'] * 100:.0f}]" if whole else share
