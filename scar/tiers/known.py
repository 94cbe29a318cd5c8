"""What the replies say about one record, and what is still missing. Knows no files.

Both sides stand on it: `ask` asks for what is missing, `join` writes what is known.
"""

import re
from dataclasses import dataclass, field

from scar.errors import InputError
from scar.records import Record
from scar.tiers.missing import Missing, Why
from scar.tiers.prompts import ASPECTS, ROLES, instruction
from scar.tiers.questions import HUMAN, TEXTS, Question
from scar.tiers.replies import Replies

WANTED = (*TEXTS, "grades")
"""What can be asked for."""
FINAL = (Why.UNSUPPORTED_ROLE, Why.IDENTICAL_TO_HUMAN)
"""Asking again at temperature 0 would change nothing."""
_MENTION = re.compile(
    r"\breference (?:answer|text)\b|\bthe (?:given|provided|supplied) material\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that is not known about a record, and why."""

    question: Question
    missing: Missing


@dataclass
class Known:
    """One record: its tiers' texts, best first, their grades by aspect, and the gaps."""

    record: Record
    texts: dict[str, str] = field(default_factory=dict)
    grades: dict[str, dict[str, float]] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)


def wanted(text: str) -> tuple[str, ...]:
    """Read `direct,referenced,grades`."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in WANTED]
    if unknown or not names:
        raise InputError(f"--what {text!r}: choose out of {','.join(WANTED)}")
    return names


def know(record: Record, replies: Replies, what: tuple[str, ...]) -> Known:
    """Gather what the replies hold for a record; only what is wanted counts as a gap."""
    known = Known(record)
    for tier in TEXTS:
        question = Question(record, tier, record.response if tier == "referenced" else "")
        text = _text(question, replies)
        if not isinstance(text, Missing):
            known.texts[tier] = text
        elif tier in what:
            known.gaps.append(Gap(question, text))
    known.texts[HUMAN] = record.response
    if "grades" in what:
        for tier, text in known.texts.items():
            _grade(known, tier, text, replies)
    return known


def _text(question: Question, replies: Replies) -> str | Missing:
    """Give a tier's text where it can stand beside the human answer."""
    record = question.record
    odd = [turn.role for turn in record.turns if turn.role not in ROLES]
    if odd and question.what == "direct":
        return Missing.because(Why.UNSUPPORTED_ROLE, f"a turn of {odd[0]!r} cannot be sent")
    text = replies.text(question)
    if isinstance(text, Missing):
        return text
    if text == record.response.strip():
        return Missing.because(Why.IDENTICAL_TO_HUMAN)
    if question.what == "referenced":
        mention = _MENTION.search(text)
        # A row about reference material may speak of it.
        if mention and not _MENTION.search(f"{instruction(record.turns)}\n{record.response}"):
            return Missing.because(Why.MENTIONS_REFERENCE, text[max(0, mention.start() - 60) :])
    return text


def _grade(known: Known, tier: str, text: str, replies: Replies) -> None:
    """Add a tier's grades; what is missing becomes a gap."""
    for aspect in ASPECTS:
        question = Question(known.record, f"{aspect}-{tier}", text)
        grade = replies.grade(question)
        if isinstance(grade, Missing):
            known.gaps.append(Gap(question, grade))
        else:
            known.grades.setdefault(tier, {})[aspect] = grade
