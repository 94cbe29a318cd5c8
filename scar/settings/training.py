"""What every training has: encoder, lengths, optimiser, schedule, splits. No kind's own settings."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from scar.errors import InputError

TAKEN_NAMES = ("row", "part", "file", "line", "id", "reason", "rank", "fused", "fold", "p_seen")
"""Columns that scores and kept rows can have anyway: a ranker of such a name could not score."""
Fits = Callable[[Any], bool]


@dataclass(frozen=True)
class TrainSettings:
    """How any ranker is trained. A recipe is a YAML file of the settings of its kind."""

    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    """Folder or hub name of any Hugging Face text encoder."""
    revision: str | None = None
    """Hub revision of the encoder; what was found is recorded."""
    name: str = "ranker"
    """Name of the ranker: its column in the scores."""
    max_tokens: int = 512
    """Tokens of a sequence that the encoder sees."""
    truncate: Literal["auto", "head", "tail", "middle"] = "auto"
    """Where over-long texts are cut; auto is the head of a dialogue, the tail of any other text."""
    dropout: float | None = None
    """Dropout inside the encoder, all of it; null leaves what its checkpoint says."""
    freeze_layers: int = 0
    """Keep the embeddings and this many lower layers as they are."""
    epochs: int = 10
    """Passes over the training rows, at most."""
    batch_size: int = 4
    """Examples a step."""
    batch_tokens: int = 0
    """Most tokens that go through the encoder at once, padding counted; 0 is 1024 on a CPU, 16384 on a GPU."""
    accumulate: int = 1
    """Steps whose gradients are added before the weights move."""
    lr: float = 2e-5
    """Peak learning rate of AdamW."""
    weight_decay: float = 0.01
    """Weight decay of AdamW."""
    warmup: float = 0.1
    """Share of the steps in which the learning rate rises."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    patience: int | None = None
    """Stop after this many epochs without a better validation figure."""
    validation_share: float = 0.1
    """Share of instructions held out to choose the epoch, where no validation file is given."""
    test_share: float = 0.1
    """Share of instructions held out to evaluate, where no test file is given."""
    seed: int = 42
    """Seed of the split, the order, the heads and dropout."""
    trainer: dict[str, Any] = field(default_factory=dict)
    """Any argument of Lightning's Trainer, such as devices, strategy, max_steps."""
    logger: dict[str, dict[str, Any]] = field(default_factory=lambda: {"CSVLogger": {}})
    """Loggers of lightning.pytorch.loggers by name, each with its arguments."""

    def __post_init__(self) -> None:
        """Check what can be checked without the data."""
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise InputError(f"name must be letters, digits and _, got {self.name!r}")
        if self.name in TAKEN_NAMES:
            raise InputError(f"name {self.name!r}: the scores have a column of that name; choose another")
        check_ranges(self, AT_LEAST_ONE, NOT_NEGATIVE)
        if self.max_tokens < 8:
            raise InputError(f"max_tokens must leave room for text, got {self.max_tokens}")
        if self.validation_share + self.test_share >= 1:
            raise InputError(
                f"validation_share {self.validation_share} and test_share {self.test_share} "
                "leave nothing to train on"
            )


AT_LEAST_ONE = ("max_tokens", "epochs", "batch_size", "accumulate")
NOT_NEGATIVE = ("weight_decay", "freeze_layers", "batch_tokens", "seed")
_SHARES = ("warmup", "validation_share", "test_share")


def check_ranges(settings: Any, at_least_one: tuple[str, ...], not_negative: tuple[str, ...]) -> None:
    """Raise InputError for the first number out of its range; those of every training are checked anyway."""
    rules: list[tuple[str, Fits, str]] = [(name, lambda v: v >= 1, "at least 1") for name in at_least_one]
    rules += [(name, lambda v: v >= 0, "0 or more") for name in not_negative]
    rules += [(name, lambda v: 0 <= v < 1, "from 0 to below 1") for name in _SHARES]
    rules += [("lr", lambda v: 0 < v < inf, "above 0, and finite"), ("clip", lambda v: v > 0, "above 0")]
    rules += [("dropout", lambda v: v is None or 0 <= v < 1, "from 0 to below 1")]
    rules += [("patience", lambda v: v is None or v >= 1, "at least 1")]
    for name, fits, wanted in rules:
        if not fits(getattr(settings, name)):
            raise InputError(f"{name} must be {wanted}, got {getattr(settings, name)}")
