"""How a style ranker is trained (SCAR, arXiv 2406.10882)."""

from dataclasses import dataclass
from typing import Literal

from scar.errors import InputError
from scar.settings.training import TrainSettings, check_ranges

STYLE_TIERS = ("direct", "referenced", "human")
STYLE_TRIPLETS = {
    "surprisal": ("referenced", "human", "direct"),
    "form": ("direct", "referenced", "human"),
}
ConstraintMode = Literal["auto", "none", "abs", "abs_pos", "diff", "abs_diff"]


@dataclass(frozen=True)
class StyleSettings(TrainSettings):
    """How a style ranker is trained (SCAR, arXiv 2406.10882). A recipe is a YAML file of these."""

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
    batch_size: int = 4
    """Instructions a step; each comes with all its responses."""

    def __post_init__(self) -> None:
        """Check what can be checked without the data."""
        if len(self.tiers) < 2 or len(set(self.tiers)) != len(self.tiers):
            raise InputError(f"tiers needs at least two different names, best first; got {list(self.tiers)}")
        super().__post_init__()
        check_ranges(self, ("head_width",), ("margin", "triplet_margin", "triplet_weight"))
        _check_triplets(self)

    @property
    def triplet_roles(self) -> dict[str, tuple[str, str, str]]:
        """The triplets in force: as given, else SCAR's where its three tiers are present."""
        if self.triplets is not None:
            return self.triplets
        return STYLE_TRIPLETS if set(STYLE_TIERS) <= set(self.tiers) else {}


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
