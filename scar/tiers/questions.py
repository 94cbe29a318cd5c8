"""One thing to ask about a record, and the id by which its reply is known again. Knows no files.

An id is `r<row>-<what>[-p-<part>]-<hash>`: the slot says what was asked, the hash which text it was asked about, so
that a reply to an edited row is noticed. The row's own id is not used: it need not be there, or be unique.
"""

import hashlib
import json
import re
from dataclasses import dataclass

from scar.records import Address, Record
from scar.tiers import prompts

TEXTS = ("direct", "referenced")
"""Tiers that a language model writes."""
HUMAN = "human"
TIERS = (*TEXTS, HUMAN)
GRADES = tuple(f"{aspect}-{tier}" for tier in TIERS for aspect in prompts.ASPECTS)
_PLAIN_PART = re.compile(r"[A-Za-z0-9_]{1,12}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked about a record: a text (`direct`, `referenced`) or a grade (`helpfulness-human`, ...)."""

    record: Record
    what: str
    text: str = ""
    """The answer that is shown with it: the human one, or the one to grade; empty for `direct`."""

    @property
    def slot(self) -> str:
        """What is asked, and of which row: an id without its hash."""
        return slot(self.record.address, self.record.part, self.what)

    @property
    def hash(self) -> str:
        """Twelve digits that change with any text that is shown."""
        shown = [*([turn.role, turn.text] for turn in self.record.turns), self.text]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:12]

    @property
    def id(self) -> str:
        """The custom_id: at most 64 letters, digits, - and _."""
        return f"{self.slot}-{self.hash}"

    def messages(self) -> prompts.Messages:
        """Give the messages to send."""
        if self.what == "direct":
            return prompts.direct(self.record.turns)
        if self.what == "referenced":
            return prompts.referenced(self.record.turns, self.text)
        return prompts.grade(self.what.partition("-")[0], self.record.turns, self.text)


def slot(address: Address, part: str | None, what: str) -> str:
    """Name what is asked of a row's part."""
    if part is None:
        return f"r{address.row}-{what}"
    # A part is called what the pool calls it; ids have room and letters for plain names only.
    name = part if _PLAIN_PART.fullmatch(part) else hashlib.sha256(part.encode()).hexdigest()[:12]
    return f"r{address.row}-{what}-p-{name}"


def graded_aspect(slot: str) -> str | None:
    """Give the aspect that a slot's grade is of; None where it is the slot of a text."""
    parts = slot.split("-")
    return parts[1] if len(parts) > 1 and parts[1] in prompts.ASPECTS else None
