"""Print what a seen-vs-unseen training found."""

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.cli.tables import console

if TYPE_CHECKING:
    from scar.training.unseen.report import Report
    from scar.training.unseen.telling import Ngram


def print_report(report: "Report") -> None:
    """Print the verdict, the figures beside it, and the n-grams that tell most."""
    verdict, telling = report.verdict, report.telling
    print(verdict.words)
    for warning in verdict.warnings:
        print(f"warning: {warning}")
    table = Table("AUC out of fold", "mean", "95 % interval", "by fold", box=SIMPLE)
    interval, folds = (
        f"{verdict.low:.3f} {verdict.high:.3f}",
        " ".join(f"{auc:.3f}" for auc in verdict.fold_aucs),
    )
    table.add_row(f"head {report.head}", f"{verdict.auc:.3f}", interval, folds)
    if telling is not None:
        table.add_row("n-grams (TF-IDF)", f"{telling.tfidf_auc:.3f}", "", "")
    table.add_row("length alone", f"{verdict.length_auc:.3f}", "", "")
    console().print(table)
    print(
        f"{report.seen:,} seen rows, {report.pool:,} candidates, {report.groups:,} groups, {report.folds} folds; "
        f"looked at: {report.on}; score: higher is more {report.prefer}"
    )
    if telling is not None:
        _print_ngrams("speaks for seen", telling.seen)
        _print_ngrams("speaks for candidates", telling.pool)
    for note in report.notes:
        print(f"note: {note}")


def _print_ngrams(title: str, ngrams: "tuple[Ngram, ...]") -> None:
    table = Table(title, "", "weight", "% of seen", "% of candidates", box=SIMPLE)
    for ngram in ngrams:
        shares = (f"{share * 100:.1f}" for share in (ngram.seen_share, ngram.pool_share))
        # Quotes show the space at the start or end of a word.
        table.add_row(Text(f"'{ngram.text}'"), ngram.kind, f"{ngram.weight:+.2f}", *shares)
    console().print(table)
