"""Frozen embeddings: the masked mean of an encoder's last states, through its ONNX graph."""

import math
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scar.bundle import MODEL
from scar.encoding import Pairs
from scar.serving.cross import Cross
from scar.serving.engines import Runtime
from scar.training.backbone import Backbone, keep_layers
from scar.training.cross import CrossEncoder, HeadShape
from scar.training.graphs import write_graphs

BATCH_TOKENS = 2048
UNIT_MEAN = HeadShape("mean", unit=True)
"""The head of a linear ranker: a logit of the mean state, brought to length 1."""


def frozen(backbone: Backbone, layers: int | None) -> CrossEncoder:
    """Put a linear head with weights of no meaning yet on the lower layers of an encoder, by default two thirds.

    What the top layers of a sentence encoder add is meaning; style and origin show better further down.
    """
    depth = int(backbone.model.config.num_hidden_layers)
    keep_layers(backbone.model, layers or math.ceil(2 * depth / 3))
    return CrossEncoder(backbone.model, backbone.hidden, UNIT_MEAN, "unseen").eval()


def embed(ranker: CrossEncoder, pairs: Pairs, *, pad_id: int) -> NDArray[np.float32]:
    """Give the embedding of every pair's sequence, (n, H); each distinct sequence goes through the encoder once."""
    with tempfile.TemporaryDirectory() as temp:
        write_graphs(ranker, Path(temp), token_types=pairs.tokens.second is not None)
        graph = Cross.load(Path(temp), MODEL, pad_id=pad_id, batch_tokens=BATCH_TOKENS, runtime=Runtime())
        return graph.embed(pairs.tokens)[pairs.x]
