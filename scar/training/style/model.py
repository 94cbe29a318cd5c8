"""StyleRanker: the two style vectors and the score of SCAR (arXiv 2406.10882, section 3).

N texts or pairs, L tokens, H the encoder's width. A text is encoded once, whatever pairs it stands in.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scar.training.backbone import masked_max, masked_mean


class Tower(NamedTuple):
    """What the encoder says of N texts, each (N, H)."""

    pooled: Tensor
    form: Tensor
    mean: Tensor


class StyleRanker(nn.Module):
    """A shared encoder, an MLP for the surprisal of a response given its instruction, an MLP for the score."""

    kind = "style"

    def __init__(self, encoder: nn.Module, hidden: int, width: int, pooling: str) -> None:
        """`pooling` is `pooler` or `first_token`: what stands for a text; `width` is L of the paper's code."""
        super().__init__()
        if pooling == "first_token" and getattr(encoder, "pooler", None) is not None:
            # Its weights would be random, and never learn.
            encoder.pooler = None  # type: ignore[assignment]
        self.encoder = encoder
        self.pooling = pooling
        self.relation = nn.Sequential(nn.Linear(2 * hidden, width), nn.ReLU(), nn.Linear(width, hidden))
        self.output = nn.Sequential(nn.Linear(2 * hidden, width), nn.ReLU(), nn.Linear(width, 1))

    @property
    def head(self) -> dict[str, Any]:
        """What ranker.json says of the head."""
        return {"width": self.output[0].out_features, "pooling": self.pooling}

    def tower(self, input_ids: Tensor, attention_mask: Tensor, embedded: Tensor | None = None) -> Tower:
        """Encode texts: ids and mask (N, L), or in place of the ids their embeddings (N, L, H)."""
        text = {"input_ids": input_ids} if embedded is None else {"inputs_embeds": embedded}
        out = self.encoder(**text, attention_mask=attention_mask)
        states = out.last_hidden_state
        pooled = out.pooler_output if self.pooling == "pooler" else states[:, 0]
        # Pooling in fp32: under autocast the states are bf16.
        states = states.float()
        return Tower(pooled.float(), masked_max(states, attention_mask), masked_mean(states, attention_mask))

    def surprisal(self, x_pooled: Tensor, y_pooled: Tensor) -> Tensor:
        """Give the surprisal vector of responses given their instructions, (N, H)."""
        surprisal: Tensor = self.relation(torch.cat([x_pooled, y_pooled], dim=1))
        return surprisal

    def score(self, surprisal: Tensor, form: Tensor) -> Tensor:
        """Give the score of each response, (N,); unbounded, higher is better."""
        score: Tensor = self.output(torch.cat([surprisal, form], dim=1)).squeeze(-1)
        return score

    def forward(self, x_pooled: Tensor, y_pooled: Tensor, y_form: Tensor) -> Tensor:
        """Run the head alone: three (N, H) -> (N,)."""
        return self.score(self.surprisal(x_pooled, y_pooled), y_form)
