"""How a quality classifier is trained."""

import math
from dataclasses import dataclass
from typing import Literal

from scar.errors import InputError
from scar.settings.training import TrainSettings

Pooling = Literal["auto", "pooler", "first_token", "mean"]
CalibrationMethod = Literal["auto", "temperature", "isotonic", "none"]


@dataclass(frozen=True)
class QualitySettings(TrainSettings):
    """How a quality classifier is trained: a cross-encoder over (instruction, response)."""

    encoder: str = "microsoft/deberta-v3-base"
    """Folder or hub name of any Hugging Face text encoder."""
    name: str = "quality"
    """Name of the ranker: its column in the scores."""
    max_tokens: int = 512
    """Tokens of instruction and response together; the longer one is cut first."""
    objective: Literal["auto", "labels", "graded", "pairs"] = "auto"
    """What the rows say: a label of 0 or 1, a score on a scale, or which of two is better; auto looks at the rows."""
    scale: tuple[float, float] | None = None
    """[lowest, highest] of graded scores."""
    margins: Literal["auto", "use", "ignore"] = "auto"
    """Margins of pairs; auto uses them where every pair has one."""
    balance: bool = True
    """Weigh the rarer label up to the other's weight."""
    pooling: Pooling = "auto"
    """What stands for a pair: the pooler where the checkpoint has trained weights for it, else the first token."""
    control_length: bool = False
    """Take the score's trend with the response's length out: fitted on the training rows, stored in the bundle."""
    calibration: CalibrationMethod = "auto"
    """How scores become probabilities, fitted on the validation rows."""
    epochs: int = 2
    """Passes over the training rows, at most."""
    batch_size: int = 16
    """Rows a step; a pair is one."""

    def __post_init__(self) -> None:
        """Check what can be checked without the data."""
        super().__post_init__()
        if self.scale is not None and not (
            all(map(math.isfinite, self.scale)) and self.scale[0] < self.scale[1]
        ):
            raise InputError(f"scale must be [lowest, highest], got {list(self.scale)}")
