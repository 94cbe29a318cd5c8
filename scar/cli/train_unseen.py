"""`scar train unseen`: rows you have and candidates in; scores, a bundle and a verdict out."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.cli.parser import Parser, from_flat
from scar.cli.quiet import quiet
from scar.cli.tables import show
from scar.errors import GateError, InputError
from scar.settings import Reading, UnseenSettings

if TYPE_CHECKING:
    from scar.training.unseen.report import Report
    from scar.training.unseen.telling import Ngram


UNUSED = ("validation_share", "test_share", "patience")
"""Settings of other trainings: folds hold rows out here."""


def unseen(arguments: Sequence[str]) -> None:
    """Train the seen-vs-unseen filter."""
    parser = Parser(
        "train unseen",
        "Tell candidates from the rows you have, out of fold; writes OUT/run, OUT/bundle and OUT/report.json.",
    )
    parser.add_argument(
        "--config", action="config", help="recipe: a YAML file of the settings below; flags win"
    )
    parser.add_argument(
        "--seen", type=str, required=True, help="rows that you have: file, folder, glob or Hub name"
    )
    parser.add_argument("--pool", type=str, required=True, help="candidates: file, folder, glob or Hub name")
    parser.add_argument("--out", type=Path, required=True, help="folder of run, bundle and report")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace an existing folder or unfinished training"
    )
    parser.add_settings(Reading, only=("format", "columns", "responses", "strict"))
    parser.add_settings(UnseenSettings, only=[f.name for f in fields(UnseenSettings) if f.name not in UNUSED])
    values = parser.read(arguments)
    try:
        from scar.training.unseen.train import train_unseen
    except ImportError as error:
        raise InputError(
            f"training needs the train extra: pip install 'scar-rank[train,cpu]' ({error})"
        ) from None
    quiet()
    done = train_unseen(
        from_flat(UnseenSettings, values),
        values["seen"],
        values["pool"],
        values["out"],
        reading=from_flat(Reading, values),
        overwrite=values["overwrite"],
    )
    print_report(done.report)
    print(f"scored {done.scored:,} candidates out of fold, {done.set_aside:,} set aside")
    print(f"scores: {done.out / 'run'}   next: scar select {done.out / 'run'} --top 1000 --out kept.jsonl")
    if done.unfit:
        raise GateError(done.unfit)
    print(f"bundle of all rows, for the next pool: {done.out / 'bundle'}")


def print_report(report: "Report") -> None:
    """Print the verdict, the figures beside it, and the n-grams that tell most."""
    verdict, telling = report.verdict, report.telling
    print(verdict.words)
    for warning in verdict.warnings:
        print(f"warning: {warning}")
    table = Table("AUC out of fold", "mean", "90 % interval", "by fold", box=SIMPLE)
    interval, folds = (
        f"{verdict.low:.3f} {verdict.high:.3f}",
        " ".join(f"{auc:.3f}" for auc in verdict.fold_aucs),
    )
    table.add_row(f"head {report.head}", f"{verdict.auc:.3f}", interval, folds)
    if telling is not None:
        table.add_row("n-grams (TF-IDF)", f"{telling.tfidf_auc:.3f}", "", "")
    table.add_row("length alone", f"{verdict.length_auc:.3f}", "", "")
    show(table)
    print(
        f"{report.seen:,} seen rows, {report.pool:,} candidates, {report.groups:,} groups, {report.folds} folds; "
        f"looked at: {report.on}; score: higher is more {report.prefer}"
    )
    if telling is not None:
        _print_ngrams("speaks for seen", telling.seen)
        _print_ngrams("speaks for candidates", telling.pool)
    known = report.calibration
    print(
        f"p_seen (temperature): calibration error {known.ece_before:.4f} before, {known.ece_after:.4f} after "
        f"({known.measured_on})"
    )
    for note in report.notes:
        print(f"note: {note}")


def _print_ngrams(title: str, ngrams: "tuple[Ngram, ...]") -> None:
    table = Table(title, "", "weight", "% of seen", "% of candidates", box=SIMPLE)
    for ngram in ngrams:
        shares = (f"{share * 100:.1f}" for share in (ngram.seen_share, ngram.pool_share))
        # Quotes show the space at the start or end of a word.
        table.add_row(Text(f"'{ngram.text}'"), ngram.kind, f"{ngram.weight:+.2f}", *shares)
    show(table)
