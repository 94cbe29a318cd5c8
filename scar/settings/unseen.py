"""How the seen-vs-unseen filter is trained."""

from dataclasses import MISSING, dataclass, fields
from typing import Literal

from scar.errors import InputError
from scar.settings.quality import Pooling
from scar.settings.training import TrainSettings

On = Literal["instruction", "response", "both"]
Prefer = Literal["novel", "similar"]


@dataclass(frozen=True)
class UnseenSettings(TrainSettings):
    """How the seen-vs-unseen filter is trained: rows you have against candidates, in grouped folds."""

    name: str = "unseen"
    """Name of the ranker: its column in the scores."""
    head: Literal["linear", "finetune"] = "linear"
    """Logistic regression on frozen embeddings, for a CPU; or the encoder learns too."""
    on: On = "both"
    """What is looked at."""
    prefer: Prefer = "novel"
    """Which candidates score high: those unlike the seen rows, or those like them."""
    layers: int | None = None
    """Lower layers of the encoder that are kept; null is two thirds of them for a linear head, else all."""
    folds: int = 5
    """Folds; each candidate is scored by a model of the others."""
    max_tokens: int = 512
    """Tokens of instruction and response together; the longer one is cut first."""
    pooling: Pooling = "mean"
    """What stands for a row where the encoder learns."""
    epochs: int = 1
    """Passes over the rows where the encoder learns."""
    batch_size: int = 16
    """Rows a step."""
    lr: float = 5e-5
    """Peak learning rate of AdamW."""
    devices: str = ""
    """Devices on which folds run side by side where the encoder learns: cuda:0,cuda:1 or cpu,cpu."""
    validation_share: float = 0.0
    """Not used: folds hold rows out."""
    test_share: float = 0.0
    """Not used: folds hold rows out."""

    def __post_init__(self) -> None:
        """Check what can be checked without the data."""
        super().__post_init__()
        if self.folds < 2:
            raise InputError(
                f"folds must be at least 2, got {self.folds}: a row is scored by models of the others"
            )
        if self.layers is not None and self.layers < 1:
            raise InputError(f"layers must be at least 1, got {self.layers}")
        if wrong := [device for device in self.device_list if device != "cpu" and not _is_gpu(device)]:
            raise InputError(f"devices: {wrong[0]!r} is neither cpu nor cuda:N")
        if self.name == "fold":
            raise InputError("name 'fold': the scores have a column of that name; choose another")
        if self.head != "finetune" and (idle := [name for name in LEARNING if self._is_given(name)]):
            raise InputError(
                f"{idle[0]} goes with head: finetune; a linear head is fitted on a frozen encoder"
            )

    def _is_given(self, name: str) -> bool:
        (field,) = (field for field in fields(self) if field.name == name)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        return bool(getattr(self, name) != default)

    @property
    def device_list(self) -> tuple[str, ...]:
        """The devices, one by one."""
        return tuple(device.strip() for device in self.devices.split(",") if device.strip())

    @property
    def inputs(self) -> Literal["pair", "instruction", "response"]:
        """What the encoder sees."""
        return "pair" if self.on == "both" else self.on


LEARNING = (
    "devices",
    "pooling",
    "dropout",
    "freeze_layers",
    "epochs",
    "batch_size",
    "batch_tokens",
    "accumulate",
    "lr",
    "weight_decay",
    "warmup",
    "clip",
    "trainer",
    "logger",
)
"""Settings that only an encoder that learns has a use for."""


def _is_gpu(device: str) -> bool:
    name, colon, number = device.partition(":")
    return name == "cuda" and bool(colon) and number.isdigit()
