"""A published checkpoint on disk: its weights, its tokenizer, where it came from. The one place with torch.load."""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from scar.bundle import WEIGHTS
from scar.errors import InputError
from scar.files import sha256
from scar.training.backbone import UNLOADABLE, first_line
from scar.training.engine import Ranker
from scar.training.sources import Found
from scar.training.untrusted import check_packed

PICKLED = "pytorch_model.bin"
MOST_REPEATED = 8
"""How many times the size of its file a state_dict may take: weights that are shared are stored once."""


@dataclass(frozen=True)
class ImportReport:
    """What was imported."""

    out: Path
    source: Mapping[str, Any]
    """The `imported` part of ranker.json."""
    encoder: str
    ranker: Ranker
    largest_difference: float | None = None
    """From the logits of transformers, where it has a class for the whole ranker."""


def weights_file(folder: Path) -> Path | None:
    """Give the file of the weights, safetensors before PyTorch's own format."""
    return next((folder / name for name in (WEIGHTS, PICKLED) if (folder / name).is_file()), None)


def find_weights(folder: Path) -> Path:
    """Give the file of the weights; InputError where there is none."""
    file = weights_file(folder)
    if file is None and (shards := sorted(folder.glob("*.index.json"))):
        raise InputError(
            f"{shards[0]}: weights in several files are not read: load the checkpoint with transformers and save it "
            "as one, save_pretrained(FOLDER, max_shard_size='99GB')"
        )
    if file is None:
        raise InputError(f"{folder}: no weights ({WEIGHTS} or {PICKLED})")
    return file


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read tensors by name from a safetensors or a PyTorch file.

    Raises InputError for anything else: nothing is unpickled but tensors, so no code of the file can run.
    """
    if file.suffix != ".safetensors":
        check_packed(file)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on old file formats
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{file}: refused: a pickle of more than tensors, or none at all ({first_line(error)[:160]})"
        ) from None
    except (*UNLOADABLE, EOFError, AttributeError, IndexError) as error:
        # What is raised for a damaged file depends on where it is damaged.
        raise InputError(f"{file}: damaged, or not a file of weights ({first_line(error)[:160]})") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{file}: holds a {type(loaded).__name__}, not tensors by name")
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(
                f"{file}: {key!r} is of type {type(value).__name__}, not a tensor; save the model's state_dict alone"
            )
    _refuse_repeated(loaded, file)
    return dict(loaded)


def _refuse_repeated(weights: Mapping[str, Tensor], file: Path) -> None:
    """Raise InputError for tensors that repeat few numbers of the file many times: a copy would fill the memory."""
    size = sum(weight.numel() * weight.element_size() for weight in weights.values())
    if size > MOST_REPEATED * file.stat().st_size:
        raise InputError(
            f"{file}: refused: its tensors are {size:,} bytes, the file is not a fraction of that"
        )


def check_state(file: Path) -> None:
    """Raise InputError for a training's state that cannot be gone on from; only tensors and numbers are loaded."""
    remedy = "--overwrite starts the training anew"
    try:
        state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (*UNLOADABLE, EOFError, AttributeError, IndexError) as error:
        raise InputError(f"{file}: refused: {first_line(error)[:160]}; {remedy}") from None
    if not isinstance(state, dict) or not {"state_dict", "loops", "callbacks"} <= state.keys():
        raise InputError(f"{file}: not the state of a training; {remedy}")


def refuse_head_cut(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Raise InputError for a tokenizer that cuts a single text where ours does not."""
    if tokenizer.truncation_side != "right":
        raise InputError(f"{folder}: the tokenizer cuts texts at their head, which is not supported")


def provenance(found: Found, file: Path, what: str) -> dict[str, Any]:
    """Say what a bundle was imported from; of a folder only its own name."""
    return {
        "what": what,
        "name": found.path.resolve().name if found.origin == "folder" else found.name,
        "origin": found.origin,
        "revision": found.revision,
        "file": file.name,
        "sha256": sha256(file),
    }
