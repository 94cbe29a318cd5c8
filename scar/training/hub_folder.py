"""A bundle as a plain folder that transformers loads: the encoder as AutoModel has it, the heads beside it.

It holds no manifest, and no rows of anybody's data: `gate_rows.npz` stays at home.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

from scar.bundle import (
    CARD,
    EVALUATION,
    FORMAT,
    FUSED_TOWER,
    GATES,
    HEAD,
    RANKER,
    TOKENIZER_CHECK,
    TOWER,
    WEIGHTS,
    Bundle,
)
from scar.card import hub_card
from scar.encoding import PairEncoder, TextEncoder, TextSettings
from scar.errors import GateError, InputError, RunError
from scar.files import atomic, new_folder, read_json, write_json
from scar.training.backbone import UNLOADABLE, Backbone, first_line, load_tokenizer
from scar.training.gte import native_config
from scar.training.keys import load_encoder, load_heads, refuse_no_weights
from scar.training.save import load_ranker, write_weights
from scar.training.sources import Found
from scar.training.style.model import StyleRanker

HEADS = "style_head.safetensors"
NETWORKS = ("relation", "output")
"""The networks on top of the encoder, in a StyleRanker and in HEADS."""
GRAPHS = (TOWER, HEAD, FUSED_TOWER, GATES)
COPIED = (*GRAPHS, EVALUATION, TOKENIZER_CHECK)
"""Files that go along as they are, where the bundle has them."""


def export_hub_folder(path: Path, out: Path, *, overwrite: bool) -> Path:
    """Write a bundle as the folder `out`, whole or not at all."""
    bundle = Bundle.open(path)
    out = out.resolve()
    if out == bundle.path.resolve():
        raise InputError(f"{out}: this is the bundle itself; give another folder")
    _refuse_foreign(out)
    with new_folder(out, overwrite=overwrite) as folder:
        write_hub_folder(bundle, folder)
    return out


def _refuse_foreign(out: Path) -> None:
    """Raise InputError for a folder that we did not write: a clone's history must not go in an overwrite."""
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / HEADS).is_file() or any(entry.is_dir() for entry in out.iterdir()):
        raise InputError(f"{out} is not empty and holds more than a folder of ours: choose another")


def write_hub_folder(bundle: Bundle, folder: Path) -> None:
    """Fill a folder with a bundle's encoder, heads, tokenizer, settings, card, and graphs where there are any."""
    ranker = load_ranker(bundle)
    if not isinstance(ranker, StyleRanker):
        raise InputError(f"{bundle.path}: --to-hub-folder knows style rankers only, this is {bundle.kind}")
    encoder = _with_pooler(ranker)
    try:
        encoder.save_pretrained(folder)
    except SafetensorError as error:
        raise RunError(f"the encoder cannot be written: {first_line(error)}") from None  # a full disk
    AutoTokenizer.from_pretrained(bundle.path, trust_remote_code=False).save_pretrained(folder)
    heads = nn.ModuleDict({name: getattr(ranker, name) for name in NETWORKS})
    write_weights(folder / HEADS, heads.state_dict())
    described = published(bundle.ranker)
    write_json(folder / RANKER, described)
    for name in COPIED:
        if bundle.has(name):
            shutil.copyfile(bundle.path / name, folder / name)
    evaluation = read_json(bundle.path / EVALUATION, "evaluate again") if bundle.has(EVALUATION) else None
    with atomic(folder / CARD) as stream:
        stream.write(hub_card(described, evaluation, graphs=bundle.has(TOWER)).encode())
    check_loads(folder, encoder)


def _with_pooler(ranker: StyleRanker) -> PreTrainedModel:
    """Give the encoder with every weight that its class expects.

    A ranker on the first token has no pooler; AutoModel would make up a random one. Zeros are the same every time, and
    the card says that they are not used.
    """
    trained = ranker.encoder
    whole: PreTrainedModel = AutoModel.from_config(trained.config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for key in whole.load_state_dict(trained.state_dict(), strict=False).missing_keys:
            if "pooler" not in key:
                raise GateError(f"the bundle lacks the encoder's weight {key}")
            whole.get_parameter(key).zero_()
    return whole


def check_loads(folder: Path, encoder: PreTrainedModel) -> None:
    """Load the folder as its users will; GateError where it is not the very encoder that was written."""
    model, info = AutoModel.from_pretrained(
        folder, output_loading_info=True, trust_remote_code=False, dtype=torch.float32
    )
    wrong = [*info["missing_keys"], *info["unexpected_keys"]]
    mine, theirs = encoder.state_dict(), model.state_dict()
    wrong += [key for key in mine if key not in theirs or not torch.equal(mine[key], theirs[key])]
    if wrong:
        raise GateError(
            f"transformers reads other weights than were written: {', '.join(sorted(wrong)[:12])}"
        )


def published(ranker: Mapping[str, Any]) -> dict[str, Any]:
    """Give ranker.json as it leaves the house: without paths, and without what loggers were given."""
    described = dict(ranker)
    encoder = dict(described["encoder"])
    if encoder["origin"] == "folder":
        encoder["name"] = Path(encoder["name"]).name
    described["encoder"] = encoder
    if described.get("settings"):
        kept = {k: v for k, v in described["settings"].items() if k not in ("logger", "trainer")}
        described["settings"] = kept | {"encoder": encoder["name"]}
    return described


@dataclass(frozen=True)
class ReadBack:
    """A folder of ours, loaded."""

    described: dict[str, Any]
    evaluation: dict[str, Any] | None
    ranker: StyleRanker
    backbone: Backbone
    encoder: PairEncoder


def read_hub_folder(found: Found) -> ReadBack:
    """Load what `write_hub_folder` wrote. Raises InputError for a folder that was changed since."""
    folder = found.path
    described = read_json(folder / RANKER, "a folder made by --to-hub-folder has one")
    path = folder / EVALUATION
    evaluation = read_json(path, "evaluate again") if path.is_file() else None
    try:
        hidden, head = int(described["encoder"]["hidden_size"]), described["head"]
        width, pooling, text = int(head["width"]), head["pooling"], TextSettings.of(described)
        # The card reads all the rest: what it can be written of is whole.
        hub_card(described, evaluation, graphs=False)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder}: {RANKER} and {EVALUATION} are not of a style ranker ({first_line(error)})"
        ) from None
    if (described.get("format"), described.get("kind")) != (FORMAT, "style"):
        raise InputError(
            f"{folder / RANKER}: kind {described.get('kind')!r} of format {described.get('format')!r}; "
            f"this version reads style rankers of format {FORMAT}"
        )
    try:
        config = native_config(folder)
        tokenizer = load_tokenizer(folder, config)
        weights, heads = (load_file(folder / name) for name in (WEIGHTS, HEADS))
        refuse_no_weights(weights, folder / WEIGHTS)
        refuse_no_weights(heads, folder / HEADS)
        model, differences = load_encoder(config, weights)
    except UNLOADABLE as error:
        raise InputError(f"{folder}: {first_line(error)}") from None
    differences.refuse(folder / WEIGHTS)
    ranker = StyleRanker(model, hidden, width, pooling).eval()
    load_heads(nn.ModuleDict({name: getattr(ranker, name) for name in NETWORKS}), heads).refuse(
        folder / HEADS
    )
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    return ReadBack(
        described,
        evaluation,
        ranker,
        Backbone(model, tokenizer, found, trained_pooler=pooling == "pooler"),
        PairEncoder(TextEncoder(backend, text.pad_id), text),
    )
