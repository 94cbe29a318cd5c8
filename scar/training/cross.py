"""CrossEncoder: instruction and response in one sequence, one logit. What quality and unseen rankers are.

N sequences, L tokens, H the encoder's width.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN

from scar.errors import InputError
from scar.settings import TrainSettings
from scar.training.backbone import Backbone, freeze, masked_mean


class Judgement(NamedTuple):
    """What a cross-encoder says of N sequences."""

    score: Tensor
    """(N,); unbounded, higher is better."""
    embedding: Tensor
    """(N, H): the masked mean of the last hidden states."""


@dataclass(frozen=True)
class HeadShape:
    """What stands on an encoder: one vector of it, perhaps a hidden layer, a logit.

    The heads of transformers' sequence classifiers are all of this shape (BERT: the pooler and nothing between;
    RoBERTa: first token, tanh; DeBERTa, ELECTRA: first token, gelu; ModernBERT: gelu and a norm).
    """

    pooling: Literal["pooler", "first_token", "mean"]
    activation: str | None = None
    """Of the hidden layer, by its name in transformers; None where there is none."""
    bias: bool = True
    """Whether the hidden layer has a bias."""
    norm: float | None = None
    """Epsilon of a LayerNorm after the hidden layer; None where there is none."""
    norm_bias: bool = False
    unit: bool = False
    """Whether the vector is brought to length 1 first."""


class CrossEncoder(nn.Module):
    """An encoder over one sequence, and a head that gives it one logit."""

    def __init__(self, encoder: nn.Module, hidden: int, shape: HeadShape, kind: str) -> None:
        """`kind` is quality or unseen: what the logit means."""
        super().__init__()
        if shape.pooling != "pooler" and getattr(encoder, "pooler", None) is not None:
            # Its weights would be random, and never learn.
            encoder.pooler = None  # type: ignore[assignment]
        self.encoder = encoder
        self.shape = shape
        self.kind = kind
        layers: list[nn.Module] = []
        if shape.activation:
            layers = [nn.Linear(hidden, hidden, bias=shape.bias), ACT2FN[shape.activation]]
        if shape.norm is not None:
            layers.append(nn.LayerNorm(hidden, eps=shape.norm, bias=shape.norm_bias))
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(hidden, 1)

    @property
    def head(self) -> dict[str, Any]:
        """What ranker.json says of the head."""
        return asdict(self.shape)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        embedded: Tensor | None = None,
    ) -> Judgement:
        """Judge sequences: ids and mask (N, L), or in place of the ids their embeddings (N, L, H)."""
        feeds = {"input_ids": input_ids} if embedded is None else {"inputs_embeds": embedded}
        if token_type_ids is not None:
            feeds["token_type_ids"] = token_type_ids
        out = self.encoder(**feeds, attention_mask=attention_mask)
        states = out.last_hidden_state.float()  # pooling and head in fp32: under autocast the states are bf16
        mean = masked_mean(states, attention_mask)
        with torch.autocast(states.device.type, enabled=False):
            pooled = {"first_token": states[:, 0], "mean": mean}.get(self.shape.pooling)
            vector = out.pooler_output.float() if pooled is None else pooled
            return Judgement(self.logit(vector), mean)

    def logit(self, vector: Tensor) -> Tensor:
        """Score sequences by the vector that stands for each: (N, H) -> (N,)."""
        if self.shape.unit:
            vector = nn.functional.normalize(vector, dim=1)
        score: Tensor = self.output(self.hidden(vector)).squeeze(-1)
        return score


def build_cross(backbone: Backbone, settings: TrainSettings, kind: str, pooling: str) -> CrossEncoder:
    """Put a head with seeded weights on an encoder; `auto` is the pooler where it is trained, else the first token."""
    if pooling == "auto":
        pooling = "pooler" if backbone.trained_pooler else "first_token"
    if pooling == "pooler" and not backbone.trained_pooler:
        raise InputError(
            f"pooling: the encoder {settings.encoder} has no trained pooler; use first_token or mean"
        )
    torch.manual_seed(settings.seed)
    # A trained pooler is a hidden layer already.
    shape = HeadShape(pooling, None if pooling == "pooler" else "gelu")  # type: ignore[arg-type]
    ranker = CrossEncoder(backbone.model, backbone.hidden, shape, kind)
    freeze(ranker.encoder, settings.freeze_layers)
    # transformers loads in evaluation mode, and Lightning leaves modes alone: dropout would never run.
    return ranker.train()
