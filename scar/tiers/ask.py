"""Write requests for what is not known yet about a pool's records. Sends nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scar.errors import InputError
from scar.files import atomic, refuse_existing, refuse_input
from scar.records import SetAside
from scar.settings import Reading
from scar.tiers.batch import Request
from scar.tiers.known import FINAL, WANTED, Known, know
from scar.tiers.pool import items
from scar.tiers.questions import TEXTS, Question
from scar.tiers.replies import Replies
from scar.tiers.settings import Asking


@dataclass(frozen=True)
class Scope:
    """Which part of the work: what is wanted, of how many records."""

    what: tuple[str, ...] = WANTED
    limit: int | None = None
    """Take only the first records."""

    def __post_init__(self) -> None:
        """Check the limit."""
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit must be at least 1, got {self.limit}")


@dataclass
class AskReport:
    """What was written."""

    out: Path
    round: int = 1
    """1 more than there are files of replies."""
    records: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by what they ask for."""
    again: Counter[str] = field(default_factory=Counter)
    """Of these, those with a reply that cannot be used, by reason."""
    given_up: Counter[str] = field(default_factory=Counter)
    """What is missing and is not asked for again, by reason."""
    waiting: int = 0
    """Grades that can be asked for once the texts are there."""
    bad_lines: int = 0
    """Lines of the replies that are no replies."""


def ask(
    pool: str | Path,
    out: Path,
    asking: Asking,
    *,
    replies: tuple[Path, ...] = (),
    reading: Reading | None = None,
    scope: Scope | None = None,
    overwrite: bool = False,
) -> AskReport:
    """Write one request a line for everything that is wanted and that the replies do not answer."""
    refuse_input(out, pool, *replies)
    refuse_existing(out, overwrite=overwrite)
    scope = scope or Scope()
    report = AskReport(out, len(replies) + 1)
    with Replies(replies) as had, atomic(out) as stream:
        report.bad_lines = had.bad_lines
        for item, _ in items(pool, reading or Reading(), scope.limit):
            if isinstance(item, SetAside):
                report.set_aside[item.reason] += 1
                continue
            report.records += 1
            for question in _open_questions(know(item, had, scope.what), scope, report):
                stream.write(Request(question.id, _body(question, asking)).line())
        if not report.records:
            # Inside the block: an empty file of requests would look like finished work.
            raise InputError(
                f"{pool}: no record to ask about ({report.set_aside.total()} rows were set aside)"
            )
    return report


def _open_questions(known: Known, scope: Scope, report: AskReport) -> Iterator[Question]:
    """Yield what is to be asked about a record, and count it."""
    for gap in known.gaps:
        why = gap.missing.why
        if why in FINAL:
            report.given_up[why] += 1
            continue
        report.asked[gap.question.what] += 1
        if why != "missing_reply":
            report.again[why] += 1
        yield gap.question
    if "grades" in scope.what:
        given_up = {gap.question.what for gap in known.gaps if gap.missing.why in FINAL}
        report.waiting += 2 * sum(tier not in known.texts and tier not in given_up for tier in TEXTS)


def _body(question: Question, asking: Asking) -> dict[str, Any]:
    limit = asking.max_tokens if question.what in TEXTS else asking.grade_tokens
    body: dict[str, Any] = {"model": asking.model, "messages": question.messages()}
    if asking.temperature is not None:
        # As an integer where it is one: 0 and 0.0 are one temperature and should be one line.
        whole = asking.temperature == int(asking.temperature)
        body["temperature"] = int(asking.temperature) if whole else asking.temperature
    body["max_completion_tokens" if asking.max_completion_tokens else "max_tokens"] = limit
    return body
