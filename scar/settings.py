"""The settings of every command, validated once, at the border. No torch."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeVar

from scar.errors import InputError

T = TypeVar("T")
STYLE_TIERS = ("direct", "referenced", "human")
STYLE_TRIPLETS = {
    "surprisal": ("referenced", "human", "direct"),
    "form": ("direct", "referenced", "human"),
}
TAKEN_NAMES = ("row", "part", "file", "line", "id", "reason", "rank")
"""Columns that scores and kept rows have anyway: a ranker of such a name could not score."""
LayoutName = Literal[
    "auto", "plain", "alpaca", "sharegpt", "messages", "prompt-completion", "preference", "tiers"
]
ConstraintMode = Literal["auto", "none", "abs", "abs_pos", "diff", "abs_diff"]


@dataclass(frozen=True)
class Reading:
    """How the rows of a pool are read."""

    format: LayoutName = "auto"
    """Layout of the rows; auto looks at the first readable rows of each file."""
    columns: str = ""
    """Columns under other names: instruction=prompt,response=answer."""
    turns: Literal["last", "each"] = "last"
    """Of dialogues: score the last answer, or each answer; --aggregate makes one score of them."""
    responses: str = "all"
    """Of rows with several responses: all, or the name of one, such as chosen."""
    strict: bool = False
    """Stop at the first row that cannot be read."""

    def __post_init__(self) -> None:
        """Check the column map once."""
        _ = self.column_map

    @property
    def column_map(self) -> dict[str, str]:
        """The `columns` text as field -> column."""
        pairs = [pair.split("=", 1) for pair in self.columns.split(",") if pair.strip()]
        if any(len(pair) != 2 or not pair[0].strip() or not pair[1].strip() for pair in pairs):
            raise InputError(
                f"--columns {self.columns!r}: write field=column pairs, such as instruction=prompt,response=answer"
            )
        names = [name.strip() for name, _ in pairs]
        if len(set(names)) < len(names):
            raise InputError(
                f"--columns {self.columns!r} maps a field twice: write each once, as in instruction=prompt"
            )
        return {name.strip(): column.strip() for name, column in pairs}


@dataclass(frozen=True)
class Scoring:
    """How a pool is scored. What stands here enters the run's fingerprint, but for the thread count."""

    engine: Literal["auto", "onnxruntime"] = "auto"
    """Runtime that runs the graphs."""
    precision: Literal["auto", "fp32"] = "auto"
    """Number format of the graphs."""
    graph: Literal["auto", "reference", "fused"] = "auto"
    """Which graph to run; auto takes the fused one where it passed its gate."""
    aggregate: Literal["mean", "min", "last"] = "mean"
    """How the scores of --turns each become one: never a sum, which rewards length."""
    batch_tokens: int = 2048
    """Most tokens of a batch, padding counted. Small batches stay in a CPU's cache."""
    chunk_rows: int = 2048
    """Rows of a chunk: sorted by length together, committed together."""
    carry: tuple[str, ...] = ()
    """Columns of the pool to write beside the scores."""
    threads: int = 0
    """Threads of the engine; 0 takes the processors this process may use. Not in the fingerprint."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, least in (("batch_tokens", 1), ("chunk_rows", 1), ("threads", 0)):
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        if len(set(self.carry)) != len(self.carry):
            raise InputError(f"--carry names a column twice: {','.join(self.carry)}")

    def fingerprint(self) -> dict[str, Any]:
        """Give the settings that may change an output byte."""
        return {name: value for name, value in asdict(self).items() if name != "threads"}


@dataclass(frozen=True)
class StyleSettings:
    """How a style ranker is trained (SCAR, arXiv 2406.10882). A recipe is a YAML file of these."""

    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    """Folder or hub name of any Hugging Face text encoder."""
    revision: str | None = None
    """Hub revision of the encoder; what was found is recorded."""
    name: str = "style"
    """Name of the ranker: its column in the scores."""
    tiers: tuple[str, ...] = STYLE_TIERS
    """Names of the tiers, best first."""
    max_tokens: int = 512
    """Tokens of the instruction and of the response, each."""
    head_width: int = 512
    """Width of the hidden layers of the two heads (L in the paper's code)."""
    pooling: Literal["auto", "pooler", "first_token"] = "auto"
    """Text vector: the pooler where the checkpoint has trained weights for it, else the first token."""
    margin: float = 0.5
    """Margin of the hinge between two tiers."""
    triplets: dict[str, tuple[str, str, str]] | None = None
    """[anchor, positive, negative] of `surprisal` and of `form`; null is SCAR's where its tiers are there, {} none."""
    triplet_margin: float = 1.0
    """Margin of the two triplet losses."""
    triplet_weight: float = 0.1
    """Weight of the mean of the two triplet losses."""
    constraint: ConstraintMode = "auto"
    """Which pairs count, by quality; auto is none where no row has quality, else abs."""
    constraint_min: float = 5.0
    """Lower bound of the constraint, strict."""
    constraint_max: float = 10.0
    """Upper bound of the constraint, strict."""
    dropout: float | None = None
    """Dropout inside the encoder, all of it; null leaves what its checkpoint says, as SCAR does."""
    freeze_layers: int = 0
    """Keep the embeddings and this many lower layers as they are."""
    epochs: int = 10
    """Passes over the training rows, at most."""
    batch_size: int = 4
    """Instructions a step; each comes with all its responses."""
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
    """Stop after this many epochs without a better validation accuracy."""
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
        if len(self.tiers) < 2 or len(set(self.tiers)) != len(self.tiers):
            raise InputError(f"tiers needs at least two different names, best first; got {list(self.tiers)}")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", self.name):
            raise InputError(f"name must be letters, digits and _, got {self.name!r}")
        if self.name in TAKEN_NAMES:
            raise InputError(f"name {self.name!r}: the scores have a column of that name; choose another")
        _check_ranges(self)
        _check_triplets(self)

    @property
    def triplet_roles(self) -> dict[str, tuple[str, str, str]]:
        """The triplets in force: as given, else SCAR's where its three tiers are present."""
        if self.triplets is not None:
            return self.triplets
        return STYLE_TRIPLETS if set(STYLE_TIERS) <= set(self.tiers) else {}


_AT_LEAST_ONE = ("max_tokens", "head_width", "epochs", "batch_size", "accumulate")
_NOT_NEGATIVE = (
    "margin",
    "triplet_margin",
    "triplet_weight",
    "weight_decay",
    "freeze_layers",
    "batch_tokens",
)
_SHARES = ("warmup", "validation_share", "test_share")


def _check_ranges(settings: StyleSettings) -> None:
    rules = (
        [(name, lambda v: v >= 1, "at least 1") for name in _AT_LEAST_ONE]
        + [(name, lambda v: v >= 0, "0 or more") for name in _NOT_NEGATIVE]
        + [(name, lambda v: 0 <= v < 1, "from 0 to below 1") for name in _SHARES]
        + [("lr", lambda v: v > 0, "above 0"), ("clip", lambda v: v > 0, "above 0")]
        + [("dropout", lambda v: v is None or 0 <= v < 1, "from 0 to below 1")]
        + [("patience", lambda v: v is None or v >= 1, "at least 1")]
    )
    for name, fits, wanted in rules:
        if not fits(getattr(settings, name)):
            raise InputError(f"{name} must be {wanted}, got {getattr(settings, name)}")
    if settings.max_tokens < 8:
        raise InputError(f"max_tokens must leave room for text, got {settings.max_tokens}")
    if settings.validation_share + settings.test_share >= 1:
        raise InputError(
            f"validation_share {settings.validation_share} and test_share {settings.test_share} "
            "leave nothing to train on"
        )


def _check_triplets(settings: StyleSettings) -> None:
    for role, tiers in settings.triplet_roles.items():
        if role not in STYLE_TRIPLETS:
            raise InputError(f"triplets: {role!r} is neither 'surprisal' nor 'form'")
        unknown = [tier for tier in tiers if tier not in settings.tiers]
        if len(tiers) != 3 or unknown:
            raise InputError(
                f"triplets: {role} needs [anchor, positive, negative] out of {list(settings.tiers)}, "
                f"got {list(tiers)}"
            )


def from_flat(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a settings class from parsed flags, leaving other commands' flags alone."""
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in values.items() if name in names})
