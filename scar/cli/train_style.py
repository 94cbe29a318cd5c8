"""`scar train style`: recipes and flags in, a bundle out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scar.cli.parser import Parser
from scar.cli.training import add_files, print_calibration, run
from scar.settings import Reading, StyleSettings

if TYPE_CHECKING:
    from scar.training.style.train import StyleReport


def style(arguments: Sequence[str]) -> None:
    """Train a style ranker."""
    parser = Parser(
        "train style", "Train a style ranker (SCAR) on rows that hold responses of several tiers."
    )
    add_files(parser, "tiers file or folder", "tiers file")
    parser.add_settings(Reading, only=("columns", "strict"))
    report: StyleReport = run(parser, arguments, StyleSettings, "scar.training.style.train", "train_style")
    if report.first_process:
        _print_report(report)


def _print_report(report: "StyleReport") -> None:
    rows = report.rows
    print(
        f"trained on {rows['train'] - rows['not_teaching']} rows, {report.steps} steps, {report.epochs} epochs",
        end=" ",
    )
    print(f"(constraint {report.constraint})")
    left = {name: rows[name] for name in ("set_aside", "eval_only", "leaked", "not_teaching") if rows[name]}
    if left:
        print("left out: " + ", ".join(f"{count} {name}" for name, count in left.items()))
    print("teaching pairs: " + ", ".join(f"{count} {pair}" for pair, count in report.pairs.items()))
    if report.validation is not None:
        print(f"best epoch {report.best_epoch}: {report.validation:.1%} of the validation pairs in order")
    if report.evaluation:
        from scar.cli.evaluate import print_evaluation

        print_evaluation(report.evaluation)
    print_calibration(report.calibration)
    print(f"bundle: {report.out}   next: scar export {report.out}")
