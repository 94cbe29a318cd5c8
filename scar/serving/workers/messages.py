"""What a worker process tells the one that started it, through a pipe. Knows no engine."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError, RunError
from scar.serving.answers import Scores

KINDS: Mapping[str, type[Exception]] = {"InputError": InputError, "RunError": RunError}
"""Errors that a user is meant to read: they are raised as they were in the worker."""


@dataclass(frozen=True)
class Ready:
    """The worker has opened its graphs."""


@dataclass(frozen=True)
class Done:
    """A batch is done."""

    share: float
    """Of the tokens of the records that were sent."""
    tokens: int
    padded: int


@dataclass(frozen=True)
class Logged:
    """A line for the log."""

    level: int
    text: str


@dataclass(frozen=True)
class Answer:
    """What the models say of the records that were sent: scores, by ranker, and embeddings where these are wanted."""

    scores: dict[str, Scores]
    batch_tokens: dict[str, int]
    """Ranker -> most tokens of a batch at the end."""
    embeddings: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Trouble:
    """What a worker raised, as text: not every error can be sent."""

    kind: str
    message: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> "Trouble":
        """Describe an error."""
        kind = next((name for name, known in KINDS.items() if isinstance(error, known)), type(error).__name__)
        return cls(kind, str(error), "".join(traceback.format_exception(error)))

    def error(self) -> Exception:
        """Give it back, to be raised: an error that nobody foresaw with the lines where it was raised."""
        if self.kind in KINDS:
            return KINDS[self.kind](self.message)
        error = RuntimeError(f"{self.kind}: {self.message}")
        error.add_note(f"in a worker process:\n{self.trace}")
        return error


Message = Ready | Done | Logged | Answer | Trouble
