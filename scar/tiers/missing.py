"""Why a tier or a grade is missing. Knows nothing of prompts or files."""

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """The fixed list of reasons that `*.missing.jsonl` draws from."""

    MISSING_REPLY = "missing_reply"
    STALE = "stale"
    REQUEST_FAILED = "request_failed"
    CUT_OFF = "cut_off"
    REFUSED = "refused"
    EMPTY_REPLY = "empty_reply"
    NOT_TEXT = "not_text"
    NO_SCORE = "no_score"
    OUT_OF_RANGE = "out_of_range"
    IDENTICAL_TO_HUMAN = "identical_to_human"
    MENTIONS_REFERENCE = "mentions_reference"
    UNSUPPORTED_ROLE = "unsupported_role"
    HALF_GRADED = "half_graded"
    NO_QUALITY = "no_quality"
    TOO_FEW_TIERS = "too_few_tiers"


SHOWN = 200
"""Characters of what was found that a detail shows."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A reply that cannot be used, and why: never a default text, never a score of 0."""

    why: Why
    detail: str = ""

    @classmethod
    def because(cls, why: Why, detail: object = "") -> "Missing":
        """Make one whose detail is shortened."""
        return cls(why, shortened(detail))


def shortened(detail: object) -> str:
    """Write what was found on one short line that UTF-8 can hold."""
    text = " ".join(str(detail).split()).encode("utf-8", "replace").decode()
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
