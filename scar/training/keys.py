"""Give weights, by name, to an encoder and to the heads on it, and say what does not fit. Reads no files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from scar.errors import InputError
from scar.training.untrusted import check_parameters

HARMLESS = ("position_ids", "token_type_ids", "inv_freq")
"""Buffers that older versions of transformers saved and newer ones make themselves: ignored, by a name's last part."""
POOLER = "pooler."
SHOWN = 12


@dataclass(frozen=True)
class Differences:
    """Where weights and a model do not agree: names of weights."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    """Names with both shapes."""

    def __add__(self, other: "Differences") -> "Differences":
        """Join those of two parts of a model."""
        return Differences(
            self.missing + other.missing, self.unexpected + other.unexpected, self.shapes + other.shapes
        )

    def under(self, prefix: str) -> "Differences":
        """Give the names as they stand in the file, under a prefix."""
        return self.renamed(lambda key: prefix + key)

    def renamed(self, rename: Callable[[str], str]) -> "Differences":
        """Give the names as they stand in the file; `rename` leaves alone what follows a name."""
        return Differences(
            *([rename(key) for key in keys] for keys in (self.missing, self.unexpected, self.shapes))
        )

    def refuse(self, file: Path) -> None:
        """Raise one InputError that lists them all, where there are any."""
        told = [
            f"{len(keys)} {what}: {_listed(sorted(keys))}"
            for what, keys in (
                ("missing", self.missing),
                ("unexpected", self.unexpected),
                ("of another shape", self.shapes),
            )
            if keys
        ]
        if told:
            raise InputError(f"{file}: the weights do not fit: {'; '.join(told)}")


def _listed(keys: list[str]) -> str:
    return ", ".join(keys[:SHOWN]) + (f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else "")


def load_encoder(
    config: PreTrainedConfig, weights: Mapping[str, Tensor], *, pooler: bool = True
) -> tuple[PreTrainedModel, Differences]:
    """Make the encoder that a config names and give it weights; without its `pooler`, where that is not used.

    transformers maps the names that its classes had in older versions, or have in a repository's own code (gte).
    """
    kind = check_parameters(config, sum(tensor.numel() for tensor in weights.values()), "the checkpoint")
    level = transformers_logging.get_verbosity()
    # It would print a table of what the one line of our error says.
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        model, info = kind.from_pretrained(
            None,
            config=config,
            state_dict=dict(weights),
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    finally:
        transformers_logging.set_verbosity(level)
    shapes = [f"{key} {tuple(theirs)} for {tuple(ours)}" for key, theirs, ours in info["mismatched_keys"]]
    strange = [key for key in info["unexpected_keys"] if not _is_harmless(key)]
    missing = list(info["missing_keys"])
    if not pooler:
        if getattr(model, "pooler", None) is not None:
            model.pooler = None
        # Older versions wrote an unused one with its classifiers.
        weights = {key: tensor for key, tensor in weights.items() if not key.startswith(POOLER)}
        missing = [key for key in missing if not key.startswith(POOLER)]
    found = Differences(missing, strange, shapes)
    if found == Differences():
        _refuse_doubles(model, weights)
    return model.eval(), found


def _is_harmless(key: str) -> bool:
    """Tell whether a name is that of a buffer which the model makes itself."""
    return key.rpartition(".")[2] in HARMLESS


def _refuse_doubles(model: PreTrainedModel, weights: Mapping[str, Tensor]) -> None:
    """Raise InputError where names of two versions stand for one weight: which one is loaded would be chance."""
    given, taken = (
        sum(tensor.numel() for key, tensor in tensors.items() if not _is_harmless(key))
        for tensors in (weights, model.state_dict())
    )
    if given > taken:
        raise InputError(
            f"the file has {given:,} weights for the {taken:,} of the encoder: some are there twice"
        )


def refuse_no_weights(weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise InputError for a tensor that cannot be a trained weight: torch would cast it without a word."""
    for key, tensor in weights.items():
        if _is_harmless(key):
            continue
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or not tensor.is_floating_point():
            kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}".replace("torch.", "")
            raise InputError(f"{file}: {key} is {kind}; weights are plain tensors of floating point numbers")
        if not tensor.isfinite().all():
            raise InputError(f"{file}: {key} holds numbers that are not finite: the training went wrong")


def load_heads(heads: nn.ModuleDict, weights: Mapping[str, Tensor]) -> Differences:
    """Give the networks on top of the encoder their weights; those that fit are loaded."""
    mine = heads.state_dict()
    shapes = [
        f"{key} {tuple(weights[key].shape)} for {tuple(tensor.shape)}"
        for key, tensor in mine.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    found = Differences(sorted(mine.keys() - weights.keys()), sorted(weights.keys() - mine.keys()), shapes)
    if not shapes:
        heads.load_state_dict(dict(weights), strict=False)
    return found


def gives_pooler_output(model: PreTrainedModel) -> bool:
    """Tell whether the class gives a pooler output: the original takes it wherever there is one, trained or not."""
    ids = torch.ones((1, 2), dtype=torch.long)
    with torch.inference_mode():
        out = model(input_ids=ids, attention_mask=ids)
    return getattr(out, "pooler_output", None) is not None
