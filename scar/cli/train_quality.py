"""`scar train quality`: recipes and flags in, a bundle out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scar.cli.parser import Parser
from scar.cli.training import add_files, print_calibration, run
from scar.settings import QualitySettings, Reading

if TYPE_CHECKING:
    from scar.training.quality.train import QualityReport

FIGURES = {"auc": "an AUC of {:.3f}", "spearman": "a rank correlation of {:.3f}", "accuracy": "{:.1%} right"}
_LEFT_OUT = (
    "set_aside",
    "eval_only",
    "leaked",
    "duplicates",
    "repeats",
    "no_judgement",
    "identical_pair",
)


def quality(arguments: Sequence[str]) -> None:
    """Train a quality classifier."""
    parser = Parser(
        "train quality",
        "Train a quality classifier on rows with a label, a score, or a chosen and a rejected response.",
    )
    add_files(parser, "file or folder of judged rows", "file of judged rows")
    parser.add_settings(Reading, only=("format", "columns", "strict"))
    report: QualityReport = run(
        parser, arguments, QualitySettings, "scar.training.quality.train", "train_quality"
    )
    if report.first_process:
        _print_report(report)


def _print_report(report: "QualityReport") -> None:
    rows = report.rows
    for note in report.objective.notes:
        print(note)
    print(f"trained on {rows['train']:,} rows, {report.steps} steps, {report.epochs} epochs")
    left = {name: rows[name] for name in _LEFT_OUT if rows.get(name)}
    if left:
        print("left out: " + ", ".join(f"{count:,} {name}" for name, count in left.items()))
    if report.validation is not None:
        told = FIGURES[report.metric].format(report.validation)
        print(f"best epoch {report.best_epoch}: {told} on the validation rows")
    if report.evaluation:
        from scar.cli.evaluate import print_evaluation

        print_evaluation(report.evaluation)
    print_calibration(report.calibration)
    print(f"bundle: {report.out}   next: scar export {report.out}")
