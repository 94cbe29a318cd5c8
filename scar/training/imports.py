"""Published checkpoints -> bundle: those of the original SCAR, sequence classifiers, and folders of our own.

A checkpoint of the original SCAR is a folder with a config.json (`encoder_name`, `hidden_dim`, `linear_dim`), the
weights of encoder and heads in one file, and mostly the tokenizer. Folders of `scar export --to-hub-folder` come back
here too.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from scar.bundle import EVALUATION, MANIFEST, RANKER, TOKENIZER_CHECK, WEIGHTS, new_bundle, refuse_foreign
from scar.card import write_card
from scar.errors import InputError
from scar.files import read_json, refuse_existing, write_json
from scar.settings import StyleSettings, TrainSettings
from scar.training import backbone as backbones
from scar.training.backbone import UNLOADABLE, Backbone, first_line
from scar.training.checkpoints import (
    PICKLED,
    ImportReport,
    find_weights,
    provenance,
    read_weights,
    refuse_head_cut,
    weights_file,
)
from scar.training.fit import pair_encoder
from scar.training.gte import native_config
from scar.training.hub_folder import HEAD_FILES, NETWORKS, read_hub_folder
from scar.training.import_classifier import import_classifier, is_classifier
from scar.training.keys import gives_pooler_output, load_encoder, load_heads, refuse_no_weights
from scar.training.save import describe_model, versions, write_model
from scar.training.sources import CONFIG, Found, find, has_tokenizer
from scar.training.style.model import StyleRanker
from scar.training.untrusted import WIDEST, check_folder

MAX_TOKENS = 512
"""What the original cuts instruction and response to, each at its tail."""
ENCODER = "encoder."
ORIGINAL_NETWORKS = ("relation_network", "output_layer")
"""What the original calls the NETWORKS on top of the encoder."""


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
    check_folder(found.path)
    if (found.path / MANIFEST).is_file():
        raise InputError(f"{checkpoint}: this is a bundle already")
    ours = any((found.path / file).is_file() for file in (RANKER, *HEAD_FILES))
    whole = ours or is_classifier(read_json(found.path / CONFIG, "a checkpoint has one"))
    if whole and (encoder or revision):
        raise InputError(f"{checkpoint}: the folder has its own encoder; leave out --encoder and --revision")
    if ours:
        return _import_hub_folder(found, out, name, overwrite=overwrite)
    if whole:
        return import_classifier(found, out, name or "quality", overwrite=overwrite)
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
    file = find_weights(found.path)
    weights = read_weights(file)
    refuse_no_weights(weights, file)
    return Checkpoint(found, hidden, width, name if isinstance(name, str) else None, file, weights)


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
    return ImportReport(out, described["imported"], settings.encoder, ranker)


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
    refuse_head_cut(tokenizer, source.found.path)
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
        "name": TrainSettings(name=name or back.described["name"]).name,
        "imported": provenance(found, found.path / WEIGHTS, "a folder of `scar export --to-hub-folder`"),
    }
    with new_bundle(out, overwrite=overwrite) as folder:
        write_model(folder, back.ranker, back.backbone, back.encoder)
        for kept in (TOKENIZER_CHECK, EVALUATION):
            if (found.path / kept).is_file():
                shutil.copyfile(found.path / kept, folder / kept)
        write_json(folder / RANKER, described)
        write_card(folder, described, back.evaluation)
    return ImportReport(out, described["imported"], described["encoder"]["name"], back.ranker)
