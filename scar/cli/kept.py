"""What a selection says on the screen: what each stage dropped, and the audit."""

from math import isnan
from shlex import quote
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from scar.cli.tables import show
from scar.selection.agreement import Correlations

if TYPE_CHECKING:
    from scar.selection.audit import Audit
    from scar.selection.keep import KeepReport

MOST_VALUES = 6
"""Values of a column that the audit shows; the others are one line."""


def print_kept(report: "KeepReport") -> None:
    """Print what a selection kept."""
    if report.audit and report.kept:
        print_audit(report.audit)
    for stage, dropped in report.stages:
        print(f"{stage}: dropped {dropped:,}")
    for note in report.notes:
        print(f"note: {note}")
    scored = report.kept + report.dropped
    print(
        f"kept {report.kept:,} of {scored:,} scored records ({report.set_aside:,} had no score): {report.out}"
    )
    out = quote(str(report.out))
    print(f"next: scar why {out} ROW; scar report {out} --out report.html")


def print_audit(audit: "Audit") -> None:
    """Print what a selection prefers besides the score, beside as many records at random."""
    table = Table("audit", box=SIMPLE)
    table.add_column("random", justify="right")
    table.add_column("kept", justify="right")
    for name, random, kept in _figures(audit):
        table.add_row(Text(name), random, kept)
    for column, shares in audit.shares().items():
        others = [0.0, 0.0]
        for number, (value, before, after) in enumerate(shares):
            if number < MOST_VALUES or len(shares) == MOST_VALUES + 1:
                table.add_row(Text(f"{column}: {value or '(none)'}"), f"{before:.1%}", f"{after:.1%}")
            else:
                others = [others[0] + before, others[1] + after]
        if any(others):
            table.add_row(Text(f"{column}: others"), f"{others[0]:.1%}", f"{others[1]:.1%}")
    show(table)
    for warning in audit.warnings:
        print(f"warning: {warning}")


def _figures(audit: "Audit") -> list[tuple[str, str, str]]:
    """List the figures that there are, as text."""
    correlation, random, kept = audit.length_correlation, audit.random, audit.kept
    return [
        ("mean score", f"{audit.mean_score_random:.3f}", f"{audit.mean_score:.3f}"),
        *_both("mean tokens", audit.mean_tokens_random, audit.mean_tokens, ",.0f"),
        (
            "score against length, correlation over the pool",
            "" if correlation is None else f"{correlation:.2f}",
            "",
        ),
        (
            "length tells kept from dropped, AUC",
            "",
            "" if audit.length_auc is None else f"{audit.length_auc:.2f}",
        ),
        ("duplicates", f"{random.duplicates:.1%}", f"{kept.duplicates:.1%}"),
        ("repeated instructions", f"{random.repeated_instructions:.1%}", f"{kept.repeated_instructions:.1%}"),
        ("compression ratio", f"{random.compression:.2f}", f"{kept.compression:.2f}"),
        *_both("k-center radius", audit.radius_random, audit.radius, ".3f"),
    ]


def _both(name: str, random: float | None, kept: float | None, how: str) -> list[tuple[str, str, str]]:
    if random is None or kept is None:
        return []
    return [(name, format(random, how), format(kept, how))]


def print_correlations(found: Correlations) -> None:
    """Print how far the scores agree that a rule combines."""
    table = Table("rank correlation", box=SIMPLE)
    for name in found.columns:
        table.add_column(Text(name))
    for name, line in zip(found.columns, found.matrix, strict=True):
        table.add_row(Text(name), *("-" if isnan(value) else f"{value:.2f}" for value in line))
    show(table)
