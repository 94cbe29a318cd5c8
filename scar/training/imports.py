"""Published checkpoints -> bundle. The one place with torch.load, and it takes nothing but tensors by name.

A checkpoint of the original SCAR is a folder with a config.json (`encoder_name`, `hidden_dim`, `linear_dim`), the
weights of encoder and heads in one file, and mostly the tokenizer. Folders of `scar export --to-hub-folder` come back
here too.
"""

import pickle
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from scar.bundle import EVALUATION, RANKER, TOKENIZER_CHECK, WEIGHTS, new_bundle, refuse_foreign
from scar.card import write_card
from scar.errors import InputError
from scar.files import read_json, refuse_existing, sha256, write_json
from scar.settings import StyleSettings
from scar.training import backbone as backbones
from scar.training.backbone import UNLOADABLE, Backbone, first_line
from scar.training.fit import pair_encoder
from scar.training.gte import native_config
from scar.training.hub_folder import HEADS, NETWORKS, read_hub_folder
from scar.training.keys import gives_pooler_output, load_encoder, load_heads, refuse_no_weights
from scar.training.save import describe_model, versions, write_model
from scar.training.sources import CONFIG, Found, find, has_tokenizer
from scar.training.style.model import StyleRanker

PICKLED = "pytorch_model.bin"
WIDEST = 65_536
"""No encoder comes near it; a width beyond is a typing error that would ask for all memory."""
MAX_TOKENS = 512
"""What the original cuts instruction and response to, each at its tail."""
ENCODER = "encoder."
ORIGINAL_NETWORKS = ("relation_network", "output_layer")
"""What the original calls the NETWORKS on top of the encoder."""


@dataclass(frozen=True)
class ImportReport:
    """What was imported."""

    out: Path
    source: Mapping[str, Any]
    """The `imported` part of ranker.json."""
    encoder: str
    pooling: str


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of the original SCAR as it stands on disk."""

    found: Found
    hidden: int
    width: int
    encoder_name: str | None
    file: Path
    weights: Mapping[str, Tensor]


def import_checkpoint(
    checkpoint: str,
    out: Path,
    *,
    encoder: str | None = None,
    revision: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> ImportReport:
    """Turn a checkpoint, a folder or a name on the hub, into the bundle `out`.

    Config and tokenizer of the encoder come from the checkpoint's `encoder_name`, or from `encoder` at `revision`; its
    weights are never fetched. Without `encoder`, a tokenizer in the checkpoint's own folder is taken: the original
    scores with that one. Raises InputError for a checkpoint that is not one, saying what it lacks.
    """
    out = out.resolve()
    refuse_existing(out, overwrite=overwrite)
    refuse_foreign(out)
    _refuse_file(Path(checkpoint))
    found = find(checkpoint, what="checkpoint")
    if (found.path / HEADS).is_file():
        if encoder or revision:
            raise InputError(
                f"{checkpoint}: the folder has its own encoder; leave out --encoder and --revision"
            )
        return _import_hub_folder(found, out, name, overwrite=overwrite)
    source = read_checkpoint(found)
    settings = StyleSettings(
        encoder=encoder or source.encoder_name or "",
        revision=revision,
        name=name or "style",
        head_width=source.width,
    )
    return _import_original(source, settings, out, own_tokenizer=encoder is None, overwrite=overwrite)


def _refuse_file(path: Path) -> None:
    if path.suffix == ".ckpt" or (path.is_dir() and any(path.glob("*.ckpt")) and not weights_file(path)):
        raise InputError(
            f"{path}: a .ckpt is the pickled state of a training; give a folder with {CONFIG} and {PICKLED}"
        )
    if path.is_file():
        raise InputError(f"{path}: give the folder of the checkpoint, not a file of it")


def weights_file(folder: Path) -> Path | None:
    """Give the file of the weights, safetensors before PyTorch's own format."""
    return next((folder / name for name in (WEIGHTS, PICKLED) if (folder / name).is_file()), None)


def read_checkpoint(found: Found) -> Checkpoint:
    """Read config and weights of a checkpoint of the original SCAR."""
    path = found.path / CONFIG
    config = read_json(path, "a checkpoint of the original SCAR has one")
    values = config if isinstance(config, dict) else {}
    hidden, width = (values.get(key) for key in ("hidden_dim", "linear_dim"))
    for key, value in (("hidden_dim", hidden), ("linear_dim", width)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= WIDEST:
            raise InputError(
                f"{path}: {key} is {value!r}: not the config of a checkpoint of the original SCAR"
            )
    assert isinstance(hidden, int) and isinstance(width, int)
    name = values.get("encoder_name")
    file = weights_file(found.path)
    if file is None:
        raise InputError(f"{found.path}: no weights ({WEIGHTS} or {PICKLED})")
    weights = read_weights(file)
    refuse_no_weights(weights, file)
    return Checkpoint(found, hidden, width, name if isinstance(name, str) else None, file, weights)


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read tensors by name from a safetensors or a PyTorch file.

    Raises InputError for anything else: nothing is unpickled but tensors, so no code of the file can run.
    """
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
    return dict(loaded)


def _import_original(
    source: Checkpoint, settings: StyleSettings, out: Path, *, own_tokenizer: bool, overwrite: bool
) -> ImportReport:
    backbone, ranker = _build(source, settings, own_tokenizer=own_tokenizer)
    # The original fails on a text that is longer than its encoder takes; ours is cut to what it takes.
    longest = min(MAX_TOKENS, backbones.positions(backbone.model) or MAX_TOKENS)
    settings = replace(settings, max_tokens=longest)
    encoder = pair_encoder(backbone, settings, "each")
    described = describe_model(settings, ranker, backbone, encoder) | {
        "tiers": list(settings.tiers),
        # Not known, which is not the same as none.
        "trained_steps": None,
        "seed": None,
        "imported": provenance(source.found, source.file, "a checkpoint of the original SCAR"),
        "versions": versions(),
    }
    with new_bundle(out, overwrite=overwrite) as folder:
        write_model(folder, ranker, backbone, encoder)
        write_json(folder / RANKER, described)
        write_card(folder, described, None)
    return ImportReport(out, described["imported"], settings.encoder, ranker.pooling)


def _build(
    source: Checkpoint, settings: StyleSettings, *, own_tokenizer: bool
) -> tuple[Backbone, StyleRanker]:
    """Make the encoder of its config, put the heads on it, and give both the checkpoint's weights."""
    if not settings.encoder:
        raise InputError(f"{source.found.path / CONFIG}: no encoder_name; name the encoder with --encoder")
    found = find(settings.encoder, settings.revision, weights=False)
    own = own_tokenizer and has_tokenizer(source.found.path)
    part = {k.removeprefix(ENCODER): w for k, w in source.weights.items() if k.startswith(ENCODER)}
    try:
        config = native_config(found.path)
        if getattr(config, "hidden_size", None) != source.hidden:
            raise InputError(
                f"hidden_dim of the checkpoint is {source.hidden}, hidden_size of the encoder "
                f"{getattr(config, 'hidden_size', None)}: it was made with another; name it with --encoder"
            )
        tokenizer = backbones.load_tokenizer(source.found.path if own else found.path, config)
        model, differences = load_encoder(config, part)
    except UNLOADABLE as error:
        raise InputError(f"encoder {settings.encoder!r}: {first_line(error)}") from None
    if tokenizer.truncation_side != "right":
        raise InputError(
            f"{source.found.path}: the tokenizer cuts texts at their head, which is not supported"
        )
    pooling = "pooler" if gives_pooler_output(model) else "first_token"
    ranker = StyleRanker(model, source.hidden, source.width, pooling).eval()
    names = zip(ORIGINAL_NETWORKS, NETWORKS, strict=True)
    heads = nn.ModuleDict({theirs: getattr(ranker, ours) for theirs, ours in names})
    rest = {key: tensor for key, tensor in source.weights.items() if not key.startswith(ENCODER)}
    (differences.under(ENCODER) + load_heads(heads, rest)).refuse(source.file)
    return Backbone(model, tokenizer, found, trained_pooler=pooling == "pooler"), ranker


def _import_hub_folder(found: Found, out: Path, name: str | None, *, overwrite: bool) -> ImportReport:
    """Read back a folder of our own. Graphs are not taken: they are exported again, behind their gates."""
    back = read_hub_folder(found)
    described = back.described | {
        "name": StyleSettings(name=name or back.described["name"]).name,
        "imported": provenance(found, found.path / WEIGHTS, "a folder of `scar export --to-hub-folder`"),
    }
    with new_bundle(out, overwrite=overwrite) as folder:
        write_model(folder, back.ranker, back.backbone, back.encoder)
        for kept in (TOKENIZER_CHECK, EVALUATION):
            if (found.path / kept).is_file():
                shutil.copyfile(found.path / kept, folder / kept)
        write_json(folder / RANKER, described)
        write_card(folder, described, back.evaluation)
    return ImportReport(out, described["imported"], described["encoder"]["name"], back.ranker.pooling)


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
