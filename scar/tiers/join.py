"""Build a tiers file out of a pool and the replies. What is missing is named row by row, never filled in."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from scar.errors import InputError
from scar.files import atomic, refuse_existing, refuse_input
from scar.records import Record, SetAside
from scar.settings import Reading
from scar.tiers.ask import Scope
from scar.tiers.known import know
from scar.tiers.missing import Missing, shortened
from scar.tiers.pool import items
from scar.tiers.replies import Replies
from scar.tiers.row import drop_unusable, tier_row


@dataclass
class JoinReport:
    """What a join wrote and what it lacked: records = written + left out."""

    out: Path
    missing_file: Path
    records: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    written: int = 0
    tiers: Counter[str] = field(default_factory=Counter)
    """Texts written, by tier."""
    graded: Counter[str] = field(default_factory=Counter)
    """Of these, those with a quality."""
    missing: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(what, reason) -> how often."""
    replies: int = 0
    """Questions with a reply; of several to one question the last good one counts."""
    repeated: int = 0
    unknown: int = 0
    """Questions that are about no record of this pool."""
    bad_lines: int = 0

    @property
    def ungraded(self) -> int:
        """Texts without a quality, where others have one: what a constraint of training stumbles over."""
        return self.tiers.total() - self.graded.total() if self.graded else 0


class _NothingToWrite(Exception):
    """No record has two tiers: the tiers file is not written, the list of what is missing is."""


def missing_path(out: Path) -> Path:
    """Give the file that lists what a tiers file lacks."""
    return out.with_name(out.name + ".missing.jsonl")


def join(
    pool: str | Path,
    replies: tuple[Path, ...],
    out: Path,
    *,
    reading: Reading | None = None,
    scope: Scope | None = None,
    graded_only: bool = False,
    overwrite: bool = False,
) -> JoinReport:
    """Write a row for every record with at least two tiers, and the reason for everything that is missing."""
    scope = scope or Scope()
    if not out.name.endswith(".jsonl"):
        raise InputError(f"{out}: the tiers file is a .jsonl file")
    if graded_only and "grades" not in scope.what:
        raise InputError("--graded-only needs the grades: add grades to --what")
    report = JoinReport(out, missing_path(out))
    for path in (out, report.missing_file):
        refuse_input(path, pool, *replies)
        refuse_existing(path, overwrite=overwrite)
    with Replies(replies) as had:
        # The tiers file comes last: beside it there is always the list of what it lacks.
        with suppress(_NothingToWrite), atomic(out) as stream:
            with atomic(report.missing_file) as side:
                joining = _Joining(report, had, side, scope.what, graded_only)
                for item, kept in items(pool, reading or Reading(), scope.limit):
                    joining.add(item, kept, stream)
            if not report.written:
                raise _NothingToWrite
        report.replies, report.repeated = len(had), had.repeated
        report.unknown, report.bad_lines = had.unknown, had.bad_lines
    if not report.written:
        raise InputError(_nothing(report))
    return report


@dataclass
class _Joining:
    """A join under way."""

    report: JoinReport
    replies: Replies
    side: IO[bytes]
    what: tuple[str, ...]
    graded_only: bool

    def add(self, item: Record | SetAside, kept: dict[str, Any], out: IO[bytes]) -> None:
        """Write one record's row, and what it lacks."""
        report = self.report
        if isinstance(item, SetAside):
            report.set_aside[item.reason] += 1
            self._list(item, "record", item.reason, shortened(item.detail))
            return
        report.records += 1
        self.replies.claim(item)
        known = know(item, self.replies, self.what)
        gaps = [(gap.question.what, gap.missing) for gap in known.gaps]
        for what, missing in gaps + drop_unusable(known, graded_only=self.graded_only):
            self._count(item, what, missing)
        if known.texts:
            out.write(json.dumps(tier_row(known, kept), ensure_ascii=False).encode() + b"\n")
            report.written += 1
            report.tiers.update(list(known.texts))
            report.graded.update([tier for tier in known.texts if tier in known.grades])

    def _count(self, item: Record, what: str, missing: Missing) -> None:
        self.report.missing[what, missing.why] += 1
        self._list(item, what, missing.why, missing.detail)

    def _list(self, item: Record | SetAside, what: str, reason: str, detail: str) -> None:
        place = item.address
        line = {"row": place.row, "part": item.part, "file": place.file, "line": place.line}
        line |= {"what": what, "reason": str(reason), "detail": detail}
        self.side.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _nothing(report: JoinReport) -> str:
    most = [f"{number} {what} {reason}" for (what, reason), number in report.missing.most_common(3)]
    told = f" ({', '.join(most)})" if most else ""
    return (
        f"no row to write: none of {report.records} records has two tiers{told}; "
        f"{report.unknown} of {report.replies} replies are about no record of this pool; see {report.missing_file}"
    )
