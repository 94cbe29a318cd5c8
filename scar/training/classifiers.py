"""The sequence classifiers of transformers: what head each class puts on its encoder, and how it names the weights.

Read off `modeling_*.py` of transformers 5. A head's layers are `hidden.0`, `hidden.2` and `output` in a CrossEncoder.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from scar.errors import InputError
from scar.training.cross import CrossEncoder, HeadShape
from scar.training.keys import Differences, load_encoder, load_heads

ENCODER = "encoder."


@dataclass(frozen=True)
class Layout:
    """How an architecture's own class for sequence classification is built."""

    encoder: str
    """What the names of the encoder's weights begin with."""
    layers: Mapping[str, str]
    """A layer of a CrossEncoder's head -> its name in the class."""
    shape: Callable[[Any], HeadShape]
    """Config -> the head of the class."""

    def ours(self, key: str) -> str | None:
        """Give the name that a weight of the class has in a CrossEncoder; None for one that is not of the class."""
        if key.startswith(self.encoder):
            return ENCODER + key.removeprefix(self.encoder)
        layer, _, weight = key.rpartition(".")
        known = {theirs: mine for mine, theirs in self.layers.items()}
        return f"{known[layer]}.{weight}" if layer in known else None

    def theirs(self, key: str) -> str:
        """Give the name that a weight of a CrossEncoder has in the class; what follows a name stays."""
        for mine, name in {ENCODER: self.encoder, **self.layers}.items():
            if key.startswith(mine):
                return name + key.removeprefix(mine)
        return key


def _modernbert(config: Any) -> HeadShape:
    return HeadShape(
        {"cls": "first_token", "mean": "mean"}[config.classifier_pooling],  # type: ignore[arg-type]
        config.classifier_activation,
        bias=config.classifier_bias,
        norm=config.norm_eps,
        norm_bias=config.norm_bias,
    )


_POOLER = {"output": "classifier"}
_DENSE = {"hidden.0": "classifier.dense", "output": "classifier.out_proj"}
_CONTEXT = {"hidden.0": "pooler.dense", "output": "classifier"}
_NORMED = {"hidden.0": "head.dense", "hidden.2": "head.norm", "output": "classifier"}
LAYOUTS: Mapping[str, Layout] = {
    "bert": Layout("bert.", _POOLER, lambda config: HeadShape("pooler")),
    "roberta": Layout("roberta.", _DENSE, lambda config: HeadShape("first_token", "tanh")),
    "xlm-roberta": Layout("roberta.", _DENSE, lambda config: HeadShape("first_token", "tanh")),
    "electra": Layout("electra.", _DENSE, lambda config: HeadShape("first_token", "gelu")),
    "deberta": Layout(
        "deberta.", _CONTEXT, lambda config: HeadShape("first_token", config.pooler_hidden_act)
    ),
    "deberta-v2": Layout(
        "deberta.", _CONTEXT, lambda config: HeadShape("first_token", config.pooler_hidden_act)
    ),
    "modernbert": Layout("model.", _NORMED, _modernbert),
}
"""model_type of a config -> its class. DeBERTa-v3 has the type and the class of v2."""


def layout_of(config: PreTrainedConfig) -> Layout:
    """Give the layout of a config's class; InputError for an architecture that is not known."""
    layout = LAYOUTS.get(config.model_type)
    if layout is None:
        raise InputError(
            f"no classifier of model_type {config.model_type!r} is known; known are {', '.join(LAYOUTS)}"
        )
    return layout


def load_classifier(
    config: PreTrainedConfig, weights: Mapping[str, Tensor], kind: str
) -> tuple[CrossEncoder, Differences]:
    """Make a ranker out of a classifier's config and weights; the differences have the names of the file."""
    layout = layout_of(config)
    shape = layout.shape(config)
    parts: dict[bool, dict[str, Tensor]] = {True: {}, False: {}}
    strange = []
    for key, tensor in weights.items():
        name = layout.ours(key)
        if name is None:
            strange.append(key)
        else:
            parts[name.startswith(ENCODER)][name] = tensor
    inner = {key.removeprefix(ENCODER): tensor for key, tensor in parts[True].items()}
    model, found = load_encoder(config, inner, pooler=shape.pooling == "pooler")
    ranker = CrossEncoder(model, int(config.hidden_size), shape, kind).eval()
    heads = nn.ModuleDict({"hidden": ranker.hidden, "output": ranker.output})
    found = found.under(ENCODER) + load_heads(heads, parts[False])
    return ranker, found.renamed(layout.theirs) + Differences(unexpected=strange)


def as_class(ranker: CrossEncoder) -> PreTrainedModel | None:
    """Give a ranker as the class of transformers that has its very head; None where no class has."""
    config: Any = copy.deepcopy(ranker.encoder.config)
    layout = LAYOUTS.get(config.model_type)
    if layout is None or layout.shape(config) != ranker.shape:
        return None
    config.num_labels = 1
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model.load_state_dict({layout.theirs(key): tensor for key, tensor in ranker.state_dict().items()})
    return model
