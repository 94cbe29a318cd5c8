"""What a pool is made of: turns, records, and rows that cannot be ranked. Knows nothing of files or models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why a record has no score: the fixed list that `reason` columns are drawn from."""

    INVALID_UTF8 = "invalid_utf8"
    INVALID_JSON = "invalid_json"
    INVALID_ROW = "invalid_row"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_INSTRUCTION = "missing_instruction"
    MISSING_RESPONSE = "missing_response"
    EMPTY_INSTRUCTION = "empty_instruction"
    EMPTY_RESPONSE = "empty_response"
    INSTRUCTION_NOT_TEXT = "instruction_not_text"
    RESPONSE_NOT_TEXT = "response_not_text"
    WRONG_LAYOUT = "wrong_layout"
    NON_FINITE = "non_finite"


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
