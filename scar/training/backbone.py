"""Any Hugging Face text encoder: load it, freeze part of it. Knows no head and no loss."""

import inspect
import pickle
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from scar.bundle import MANIFEST, RANKER, TOKENIZER, WEIGHTS
from scar.encoding.tokenizer_file import check_tokenizer
from scar.errors import InputError
from scar.files import read_json
from scar.training.gte import native_config
from scar.training.sources import TOKENIZERS, Found, find, has_tokenizer
from scar.training.untrusted import check_folder, check_size


@dataclass(frozen=True)
class Backbone:
    """An encoder with its tokenizer, and whether its pooler can be used."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    found: Found
    trained_pooler: bool

    @property
    def hidden(self) -> int:
        """Width of the encoder's states."""
        return int(self.model.config.hidden_size)

    @property
    def token_types(self) -> bool:
        """Whether the encoder can be told which of two texts a token is of."""
        return int(getattr(self.model.config, "type_vocab_size", 0) or 0) > 1

    @property
    def pad_id(self) -> int:
        """Token id that fills a batch; masked, so its value does not matter."""
        for value in (self.tokenizer.pad_token_id, self.model.config.pad_token_id):
            if value is not None:
                return int(value)
        return 0


DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "dropout",
)
"""What the architectures call their dropout rates."""


def load(name: str, revision: str | None = None, dropout: float | None = None) -> Backbone:
    """Load an encoder by a native class of transformers; code from a repository is never run.

    `dropout` replaces every dropout rate of the checkpoint's config. Raises InputError where it is not to be had.
    """
    found = find(name, revision)
    check_folder(found.path)
    try:
        config: Any = native_config(found.path)
        check_size(config, found.path)
        for rate in DROPOUTS if dropout is not None else ():
            if hasattr(config, rate):
                setattr(config, rate, dropout)
        tokenizer = load_tokenizer(found.path, config)
        model, missing = _load_model(found.path, config)
    except UNLOADABLE as error:
        raise InputError(f"encoder {name!r} ({found.path}): {first_line(error)}") from None
    lost = sorted(key for key in missing if "pooler" not in key)
    if lost:
        raise InputError(
            f"encoder {name!r}: {len(lost)} weights are missing from the checkpoint, such as {lost[0]}"
        )
    return Backbone(model, tokenizer, found, _has_trained_pooler(model, missing))


UNLOADABLE = (
    pickle.UnpicklingError,
    OSError,
    ValueError,
    RuntimeError,
    ImportError,
    KeyError,
    TypeError,
    ZeroDivisionError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers raises for files that it cannot make a model or a tokenizer of."""


def first_line(error: Exception) -> str:
    """Give the first line of an error, and what a colon at its end announces: transformers goes on for a page."""
    lines = [*filter(None, map(str.strip, str(error).splitlines())), "?"]
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def load_tokenizer(folder: Path, config: PreTrainedConfig) -> PreTrainedTokenizerFast:
    """Load the fast tokenizer of a folder, as it belongs to an encoder of this config."""
    if not has_tokenizer(folder):
        # transformers would make up a tokenizer that knows no word, and say nothing.
        raise InputError(f"{folder}: no tokenizer files ({', '.join(TOKENIZERS)})")
    if (folder / TOKENIZER).is_file():
        check_tokenizer(folder / TOKENIZER)
    tokenizer = AutoTokenizer.from_pretrained(folder, config=config, trust_remote_code=False)
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{folder}: no fast tokenizer; scoring without transformers needs one")
    templates = tokenizer.chat_template
    # Each becomes a file of its name where the tokenizer is saved.
    for name in templates if isinstance(templates, dict) else ():
        if not re.fullmatch(r"[\w-]+", str(name)):
            raise InputError(f"{folder}: {name!r} is not the name of a chat template")
    return cast(PreTrainedTokenizerFast, tokenizer)


def _load_model(folder: Path, config: Any) -> tuple[PreTrainedModel, set[str]]:
    """Load a checkpoint, or the encoder of one of our bundles; gives the model and the weights that it lacks."""
    if not (folder / MANIFEST).is_file():
        model, info = AutoModel.from_pretrained(
            folder, config=config, output_loading_info=True, trust_remote_code=False, dtype=torch.float32
        )
        return model, set(info["missing_keys"]) | _filler(folder)
    model = AutoModel.from_config(config, trust_remote_code=False, dtype=torch.float32)  # type: ignore[no-untyped-call]
    prefix = "encoder."
    weights = {
        k.removeprefix(prefix): w for k, w in load_file(folder / WEIGHTS).items() if k.startswith(prefix)
    }
    return model, set(model.load_state_dict(weights, strict=False).missing_keys)


def _filler(folder: Path) -> set[str]:
    """Give the weights of a folder made by `--to-hub-folder` that only fill a place: an unused pooler's."""
    if not (folder / RANKER).is_file():
        return set()
    ranker = read_json(folder / RANKER, "make the folder again")
    return set() if ranker["head"]["pooling"] == "pooler" else {"pooler"}


def _has_trained_pooler(model: nn.Module, missing: Any) -> bool:
    # A checkpoint without pooler weights gets a random pooler: no text vector to build on.
    return getattr(model, "pooler", None) is not None and not any("pooler" in key for key in missing)


def positions(model: PreTrainedModel) -> int | None:
    """Give the longest text, in tokens, that the encoder takes; None where it has no limit."""
    limit = getattr(model.config, "max_position_embeddings", None)
    if limit is None or not getattr(model.config, "position_biased_input", True):
        return None  # DeBERTa's positions are relative, unless it has absolute ones too
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin number their positions from the padding id on.
    padding = getattr(table, "padding_idx", None)
    return int(limit) - (padding + 1 if padding is not None else 0)


def _stack(model: nn.Module, layers: int, setting: str) -> nn.ModuleList:
    """Give the encoder's layers. Raises InputError where there are fewer than `layers`."""
    depth = int(cast(Any, model).config.num_hidden_layers)
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    if layers > depth or not stacks:
        there = f"{depth} layers" if stacks else "no layers that can be told apart"
        raise InputError(f"{setting}: {layers} asked for, the encoder has {there}")
    return stacks[0]


def keep_layers(model: nn.Module, layers: int) -> None:
    """Take the layers above the lowest `layers` out of an encoder. Raises InputError where there are fewer."""
    stack, config = _stack(model, layers, "layers"), cast(Any, model).config
    del stack[layers:]
    if isinstance(getattr(config, "layer_types", None), list):
        config.layer_types = config.layer_types[:layers]  # ModernBERT lists the kind of each
    config.num_hidden_layers = layers


def freeze(model: nn.Module, layers: int) -> None:
    """Stop the embeddings and the lowest `layers` layers from learning. Raises InputError where there are fewer."""
    if layers == 0:
        return
    stack = _stack(model, layers, "freeze_layers")
    for module in (model.get_input_embeddings(), getattr(model, "embeddings", None), *stack[:layers]):  # type: ignore[operator]
        if module is not None:
            module.requires_grad_(False)


def embed(encoder: nn.Module, batches: Sequence[Tensor]) -> list[Tensor | None]:
    """Look up the token embeddings of several batches of ids in one step; None where the encoder takes ids only.

    The gradient of a look-up is as large as the whole vocabulary: one for all batches costs a fraction of one each.
    """
    if "inputs_embeds" not in inspect.signature(encoder.forward).parameters:
        return [None] * len(batches)
    table = encoder.get_input_embeddings()  # type: ignore[operator]
    flat = table(torch.cat([ids.reshape(-1) for ids in batches]))
    pieces = torch.split(flat, [ids.numel() for ids in batches])
    return [piece.view(*ids.shape, -1) for piece, ids in zip(pieces, batches, strict=True)]


def masked_max(states: Tensor, mask: Tensor) -> Tensor:
    """Take the maximum over the real tokens: (N, L, H), (N, L) -> (N, H).

    Padding is filled with -1e4, which every precision can hold; -1e9 broke a bf16 graph.
    """
    return states.masked_fill(mask.unsqueeze(-1) == 0, -1e4).max(dim=1).values


def masked_mean(states: Tensor, mask: Tensor) -> Tensor:
    """Take the mean over the real tokens: (N, L, H), (N, L) -> (N, H)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1)
