"""What a look at a pool shows: what was detected, how long the texts are, and what to change. Reads nothing."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scar.records import Reason, Record, SetAside

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)
_OFTEN_ASKED = ("context", "history", "system", "system_prompt")
_OF_LAYOUT = (
    Reason.MISSING_INSTRUCTION,
    Reason.MISSING_RESPONSE,
    Reason.INSTRUCTION_NOT_TEXT,
    Reason.RESPONSE_NOT_TEXT,
    Reason.WRONG_LAYOUT,
)
"""Reasons that a layout taken wrongly would give."""


@dataclass(frozen=True)
class FileLook:
    """What a file was taken for."""

    name: str
    kind: str
    layout: str
    read: tuple[str, ...]
    """Columns that records are made of."""
    left: tuple[str, ...]
    """Columns that are not read; they stay in the kept rows."""


@dataclass(frozen=True)
class Sample:
    """A record as the model will see it: after the template, and, where a ranker is given, after its cut."""

    record: Record
    texts: dict[str, str]
    """Instruction and response; `pair` where the ranker sees both in one sequence; one of them where it sees one."""
    lengths: dict[str, int]
    """Of each of these texts."""
    truncated: bool


@dataclass(frozen=True)
class Example:
    """A row that would be set aside, and the beginning of it."""

    item: SetAside
    row: str


@dataclass
class Inspection:
    """What was seen. `unit` is what lengths count: tokens where a ranker is given, else characters."""

    files: tuple[FileLook, ...]
    unit: str
    limit: int | None = None
    """Tokens of a sequence at most."""
    sequence: str = "text"
    """What a sequence is: a text, or a pair of them."""
    rows: int = 0
    whole: bool = True
    """Whether the pool ended before the wanted number of rows."""
    records: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    several_turns: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    truncated: int = 0
    duplicates: int = 0
    """Records whose instruction and response another one before has, but for case and white space."""
    instructions: int = 0
    """Different instructions, but for case and white space."""
    lengths: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def quantiles(self) -> dict[str, list[int]]:
        """Give the lengths at QUANTILES of what the model sees; the true values, not between."""
        return {
            name: np.quantile(values, QUANTILES, method="inverted_cdf").astype(int).tolist()
            for name, values in self.lengths.items()
            if len(values)
        }

    def advice(self) -> list[str]:
        """Say what a user may want to change."""
        told = []
        unread = sorted({name for file in self.files for name in file.left if name in _OFTEN_ASKED})
        if unread:
            told.append(
                f"{', '.join(unread)}: not read, though often a part of what was asked; "
                f"instructions without an input take one by --columns input={unread[0]}"
            )
        lost = sum(self.set_aside.values())
        if lost * 10 > self.records + lost:
            reason, number = self.set_aside.most_common(1)[0]
            remedy = ""
            if reason in _OF_LAYOUT:
                layouts = ", ".join(sorted({file.layout for file in self.files}))
                remedy = (
                    f": if {layouts} is not what these rows are, force --format, or map them with --columns"
                )
            share = lost / (self.records + lost)
            told.append(f"{share:.0%} would be set aside, most as {reason} ({number:,}){remedy}")
        if self.limit and self.truncated * 10 > self.records:
            told.append(
                f"{self.truncated / self.records:.0%} are cut at {self.limit} tokens a {self.sequence}"
            )
        return told
