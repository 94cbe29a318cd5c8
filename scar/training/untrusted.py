"""What a stranger's checkpoint must not be, looked at before anything of it is loaded."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from scar.errors import InputError
from scar.files import read_json
from scar.training.sources import WEIGHT_FILES

ADAPTER = "adapter_config.json"
ZIP = b"PK\x03\x04"
WIDEST, MOST_LAYERS = 65_536, 1_000
"""No encoder comes near them; beyond is a typing error, or worse, that would ask for all memory."""
MOST_EXTRA = 20_000_000
"""Parameters that a model may have beyond those in its files: a pooler or a head that the checkpoint lacks."""


def check_folder(folder: Path) -> None:
    """Raise InputError for a folder of a model that names files elsewhere, or models, or that unpacks to more."""
    if (folder / ADAPTER).is_file():
        # transformers would fetch the model that the adapter names.
        raise InputError(f"{folder / ADAPTER}: an adapter, not a model: merge it into its model first")
    for index in folder.glob("*.index.json"):
        told = read_json(index, "it says which weights are in which file")
        names = told.get("weight_map") if isinstance(told, dict) else None
        for name in names.values() if isinstance(names, dict) else ():
            if not isinstance(name, str) or Path(name).name != name or "\\" in name:
                raise InputError(f"{index}: {name!r} is not a file of this folder")
    for file in folder.glob("*.bin"):
        check_packed(file)


def check_packed(file: Path) -> None:
    """Raise InputError for a PyTorch file with packed parts: torch.save packs none, and few bytes may become many."""
    with open(file, "rb") as stream:
        if stream.read(len(ZIP)) != ZIP:
            return
    try:
        with zipfile.ZipFile(file) as parts:
            packed = [part.filename for part in parts.infolist() if part.compress_type != zipfile.ZIP_STORED]
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise InputError(f"{file}: damaged, or not a file of weights ({error})") from None
    if packed:
        raise InputError(f"{file}: refused: {packed[0]!r} in it is packed, which torch.save never does")


def check_size(config: PreTrainedConfig, folder: Path) -> None:
    """Raise InputError where a config describes a model of many more parameters than its files can hold."""
    held = sum(file.stat().st_size for pattern in WEIGHT_FILES for file in folder.glob(pattern))
    # A parameter takes a byte at least.
    check_parameters(config, held, str(folder))


def check_parameters(config: PreTrainedConfig, held: int, where: str) -> type[Any]:
    """Give the class of a config's model; InputError where it has many more parameters than the `held` ones."""
    layers = getattr(config, "num_hidden_layers", 0)
    if not isinstance(layers, int) or not 0 <= layers <= MOST_LAYERS:
        raise InputError(f"{where}: num_hidden_layers is {layers!r}, not a number up to {MOST_LAYERS:,}")
    with torch.device("meta"):  # nothing is allocated
        model: PreTrainedModel = AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]
    wanted = sum(weight.numel() for weight in model.parameters())
    if wanted > held + MOST_EXTRA:
        raise InputError(
            f"{where}: the config describes a model of {wanted:,} parameters, the weights are at most {held:,}: "
            "they are not of one model"
        )
    return type(model)
