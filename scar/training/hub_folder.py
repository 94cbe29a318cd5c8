"""A bundle as a plain folder that transformers loads, and back.

A cross-encoder whose head is that of its architecture's own class is written as that class; of any other ranker the
encoder is written as AutoModel has it, the head beside it. The folder holds no manifest, and no rows of anybody's data:
`gate_rows.npz` stays at home.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from scar.bundle import (
    CANARIES,
    CARD,
    EVALUATION,
    FORMAT,
    GATES,
    GRAPHS,
    MANIFEST,
    RANKER,
    RANKER_KINDS,
    TOKENIZER_CHECK,
    WEIGHTS,
    Bundle,
)
from scar.card import hub_card
from scar.encoding import PairEncoder, TextEncoder, TextSettings
from scar.errors import GateError, InputError, RunError
from scar.files import atomic, read_json, write_json
from scar.folders import new_folder
from scar.training.backbone import UNLOADABLE, Backbone, first_line, load_tokenizer
from scar.training.classifiers import CLASS, as_class, load_classifier
from scar.training.cross import CrossEncoder
from scar.training.engine import Ranker
from scar.training.gte import native_config
from scar.training.keys import load_encoder, load_heads, refuse_no_weights
from scar.training.save import load_ranker, make_ranker, write_weights
from scar.training.sources import CONFIG, Found
from scar.training.style.model import StyleRanker

NETWORKS = ("relation", "output")
"""The networks on top of the encoder in a StyleRanker, and in its file."""
CROSS_NETWORKS = ("hidden", "output")
HEAD_FILES = {"style_head.safetensors": NETWORKS, "cross_head.safetensors": CROSS_NETWORKS}
"""Where a head stands beside the encoder, and the networks that it is made of."""
COPIED = (
    *sorted({name for kind in GRAPHS.values() for name in kind.all}),
    GATES,
    CANARIES,
    EVALUATION,
    TOKENIZER_CHECK,
)
"""Files that go along as they are, where the bundle has them."""
CHANGING = (*COPIED, *HEAD_FILES)
"""Files that one folder has and another has not."""


def export_hub_folder(path: Path, out: Path, *, overwrite: bool) -> Path:
    """Write a bundle as the folder `out`, whole or not at all."""
    bundle = Bundle.open_ranker(path)
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
    ours = (out / RANKER).is_file() and not (out / MANIFEST).is_file()
    if not ours or any(entry.is_dir() for entry in out.iterdir()):
        raise InputError(f"{out} is not empty and holds more than a folder of ours: choose another")


def write_hub_folder(bundle: Bundle, folder: Path) -> None:
    """Fill a folder with a bundle's weights, tokenizer, settings, card, and graphs where there are any."""
    ranker = load_ranker(bundle)
    whole = as_class(ranker) if isinstance(ranker, CrossEncoder) else None
    model = whole or _with_pooler(ranker.encoder)
    try:
        model.save_pretrained(folder)
    except SafetensorError as error:
        raise RunError(f"the encoder cannot be written: {first_line(error)}") from None  # a full disk
    AutoTokenizer.from_pretrained(bundle.path, trust_remote_code=False).save_pretrained(folder)
    if whole is None:
        name = head_file(bundle.kind)
        write_weights(folder / name, _heads(ranker, name).state_dict())
    described = published(bundle.ranker)
    write_json(folder / RANKER, described)
    for name in COPIED:
        if bundle.has(name):
            shutil.copyfile(bundle.path / name, folder / name)
    evaluation = read_json(bundle.path / EVALUATION, "evaluate again") if bundle.has(EVALUATION) else None
    card = hub_card(
        described, evaluation, graphs=bundle.has(bundle.graphs.reference), classifier=whole is not None
    )
    with atomic(folder / CARD) as stream:
        stream.write(card.encode())
    check_loads(folder, model, AutoModel if whole is None else AutoModelForSequenceClassification)


def head_file(kind: str) -> str:
    """Give the file that the head of a kind of ranker stands in."""
    return next(name for name in HEAD_FILES if name.startswith("style") == (kind == StyleRanker.kind))


def _heads(ranker: Ranker, file: str) -> nn.ModuleDict:
    return nn.ModuleDict({name: getattr(ranker, name) for name in HEAD_FILES[file]})


def _with_pooler(trained: Any) -> PreTrainedModel:
    """Give an encoder with every weight that its class expects.

    A ranker on the first token has no pooler; AutoModel would make up a random one. Zeros are the same every time, and
    the card says that they are not used.
    """
    whole: PreTrainedModel = AutoModel.from_config(trained.config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for key in whole.load_state_dict(trained.state_dict(), strict=False).missing_keys:
            if "pooler" not in key:
                raise GateError(f"the bundle lacks the encoder's weight {key}")
            whole.get_parameter(key).zero_()
    return whole


def check_loads(folder: Path, written: PreTrainedModel, auto: Any) -> None:
    """Load the folder as its users will; GateError where it is not the very model that was written."""
    model, info = auto.from_pretrained(
        folder, output_loading_info=True, trust_remote_code=False, dtype=torch.float32
    )
    wrong = [*info["missing_keys"], *info["unexpected_keys"]]
    mine, theirs = written.state_dict(), model.state_dict()
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
    ranker: Ranker
    backbone: Backbone
    encoder: PairEncoder


def read_hub_folder(found: Found) -> ReadBack:
    """Load what `write_hub_folder` wrote. Raises InputError for a folder that was changed since."""
    folder = found.path
    described = _read_ranker(folder)
    path = folder / EVALUATION
    evaluation = read_json(path, "evaluate again") if path.is_file() else None
    try:
        text, pooling = TextSettings.of(described), described["head"]["pooling"]
        # A head is made of what is said of it, and the card reads all the rest: what they can be made of is whole.
        make_ranker(described, nn.Identity())
        hub_card(described, evaluation, graphs=False, classifier=False)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(
            f"{folder}: {RANKER} and {EVALUATION} are not of a {described['kind']} ranker ({first_line(error)})"
        ) from None
    try:
        config = native_config(folder)
        tokenizer = load_tokenizer(folder, config)
        ranker = _read_weights(folder, config, described)
    except UNLOADABLE as error:
        raise InputError(f"{folder}: {first_line(error)}") from None
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    return ReadBack(
        described,
        evaluation,
        ranker,
        Backbone(cast(Any, ranker.encoder), tokenizer, found, trained_pooler=pooling == "pooler"),
        PairEncoder(TextEncoder(backend, text.pad_id), text),
    )


def _read_ranker(folder: Path) -> dict[str, Any]:
    described = read_json(folder / RANKER, "a folder made by --to-hub-folder has one")
    values = described if isinstance(described, dict) else {}
    if values.get("format") != FORMAT or values.get("kind") not in RANKER_KINDS:
        raise InputError(
            f"{folder / RANKER}: kind {values.get('kind')!r} of format {values.get('format')!r}; "
            f"this version reads {', '.join(RANKER_KINDS)} rankers of format {FORMAT}"
        )
    if not isinstance(name := values.get("name"), str):
        raise InputError(f"{folder / RANKER}: name is {name!r}, not the name of a column")
    return values


def _read_weights(folder: Path, config: Any, described: dict[str, Any]) -> Ranker:
    """Make the ranker: of the class that the folder is of, or of an encoder and the head beside it."""
    weights = load_file(folder / WEIGHTS)
    refuse_no_weights(weights, folder / WEIGHTS)
    file, kind = head_file(described["kind"]), described["kind"]
    if kind != StyleRanker.kind and any(name.endswith(CLASS) for name in config.architectures or []):
        whole, differences = load_classifier(config, weights, kind)
        differences.refuse(folder / WEIGHTS)
        if whole.head != described["head"]:
            raise InputError(f"{folder / RANKER}: head is not that of the class that {CONFIG} names")
        return whole
    heads = load_file(folder / file)
    refuse_no_weights(heads, folder / file)
    model, differences = load_encoder(config, weights)
    differences.refuse(folder / WEIGHTS)
    ranker = make_ranker(described, model).eval()
    load_heads(_heads(ranker, file), heads).refuse(folder / file)
    return ranker
