"""BareEncoder: an encoder with no head, what a bundle of kind `encoder` holds.

N texts, L tokens, H the encoder's width.
"""

from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from scar.bundle import ENCODER
from scar.training.backbone import masked_mean


class Embedded(NamedTuple):
    """What an encoder says of N texts."""

    embedding: Tensor
    """(N, H): the masked mean of the last hidden states."""


class BareEncoder(nn.Module):
    """An encoder over one text, and nothing on top."""

    kind = ENCODER
    head: ClassVar[dict[str, Any]] = {}
    """What ranker.json says of the head: there is none."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # type: ignore[assignment]  # nothing reads it
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Embedded:
        """Embed texts: ids and mask (N, L); the mean in fp32."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return Embedded(masked_mean(states.float(), attention_mask))
