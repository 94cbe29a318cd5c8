"""What a pool is made of: turns, records, and rows that cannot be ranked. Knows nothing of files or models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol


class Reason(StrEnum):
    """Why a record has no score: the fixed list that `reason` columns are drawn from."""

    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    INVALID_ROW = "invalid_row"
    TOO_LONG = "too_long"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_INSTRUCTION = "missing_instruction"
    MISSING_RESPONSE = "missing_response"
    EMPTY_INSTRUCTION = "empty_instruction"
    EMPTY_RESPONSE = "empty_response"
    INSTRUCTION_NOT_TEXT = "instruction_not_text"
    RESPONSE_NOT_TEXT = "response_not_text"
    WRONG_LAYOUT = "wrong_layout"
    INVALID_LABEL = "invalid_label"
    NON_FINITE = "non_finite"
    CRASHED = "crashed"
    """A worker process died of the record, twice, alone."""


class Turn(NamedTuple):
    """One message of a dialogue."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Address:
    """Where a row stands: its identity, whatever its id says."""

    row: int
    """Number of the row in the whole pool, from 0."""
    file: str = ""
    """Path relative to the pool argument."""
    line: int = 0
    """Line in the file, from 1."""


NOWHERE = Address(0)


@dataclass(frozen=True, slots=True)
class Record:
    """One response to be ranked, what it answers, and where it stands."""

    turns: tuple[Turn, ...]
    """Everything before the response; a single turn is the instruction of a plain row."""
    response: str
    address: Address = NOWHERE
    id: str | None = None
    part: str | None = None
    """Which of its row's responses this is; None where the row has one only."""
    answers: tuple[int, ...] = ()
    """Places among `turns` of the earlier assistant turns that are scored too."""

    @classmethod
    def plain(cls, instruction: str, response: str) -> "Record":
        """Make a record of one instruction and its response."""
        return cls((Turn("user", instruction),), response)


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row, or one response of it, that cannot be ranked, and why."""

    address: Address
    reason: Reason
    detail: str
    id: str | None = None
    part: str | None = None
    ranker: str | None = None
    """Which of several rankers failed; None where the record itself is at fault, or one ranker scores alone."""

    @property
    def code(self) -> str:
        """The reason as the scores have it, prefixed by the ranker that failed."""
        return f"{self.ranker}:{self.reason}" if self.ranker else str(self.reason)


@dataclass(frozen=True, slots=True)
class Tiers:
    """Responses of several tiers to one instruction: what a style ranker is trained on."""

    turns: tuple[Turn, ...]
    responses: Mapping[str, str]
    quality: Mapping[str, float] = field(default_factory=dict)
    """Judged quality of a tier, where there is one (SCAR: the mean of helpfulness and correctness, 0-9)."""
    address: Address = NOWHERE
    id: str | None = None
    source: str | None = None
    eval_only: bool = False
    """True where the row's authors ask that it is not trained on."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One response with a label or a score, or a preferred pair of them: what a quality ranker is trained on."""

    turns: tuple[Turn, ...]
    responses: tuple[str, ...]
    """One, or the chosen and the rejected."""
    label: float | None = None
    """1 good, 0 bad."""
    score: float | None = None
    """A grade, on a scale that the file does not state."""
    margin: float | None = None
    """By how much the chosen response was preferred."""
    address: Address = NOWHERE
    id: str | None = None
    source: str | None = None
    eval_only: bool = False
    """True where the row's authors ask that it is not trained on."""

    @property
    def paired(self) -> bool:
        """Tell whether the row is a pair."""
        return len(self.responses) == 2


class Asked(Protocol):
    """A row that answers something."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What it answers."""


def normalised(text: str) -> str:
    """Give a text without what makes no other one of it: case, and how white space is written."""
    return " ".join(text.casefold().split())


def instruction_key(row: Asked) -> str:
    """Give what tells an instruction from another: case and white space do not."""
    return normalised(" ".join(turn.text for turn in row.turns))
