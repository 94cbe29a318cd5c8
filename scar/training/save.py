"""Write and read back the trained part of a bundle: weights, encoder config, tokenizer, ranker.json, gate rows."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import tokenizers
import torch
import transformers
from safetensors.torch import save
from torch import Tensor, nn
from transformers import AutoModel

import scar
from scar.bundle import EVALUATION, FORMAT, GATE_ROWS, RANKER, TOKENIZER_CHECK, WEIGHTS, Bundle, new_bundle
from scar.card import write_card
from scar.encoding import Pair, PairEncoder
from scar.errors import InputError
from scar.files import atomic, write_json
from scar.pools import digest
from scar.serving.gates import hard_texts, save_gate_rows
from scar.settings import TrainSettings
from scar.training.backbone import UNLOADABLE, Backbone, first_line
from scar.training.bare import BareEncoder
from scar.training.checkpoints import read_weights
from scar.training.cross import CrossEncoder, HeadShape
from scar.training.engine import Ranker
from scar.training.gte import native_config
from scar.training.keys import refuse_no_weights
from scar.training.style.model import StyleRanker
from scar.training.untrusted import WIDEST, check_size

GATE_PAIRS = 256
SAMPLES = (
    "Explain recursion to a colleague who has not met it yet.",
    "def add(a, b):\n    return a + b  # the sum, of course\n",
    "1. First, don't panic.\n2. Then: read the docs (twice)!",
    "Größe, naïve café, Žižek; € 1,234.56 — “quoted” …",
    "El perro no puede subir la escalera.",
    "机器学习是人工智能的一个分支。",
    "Обучение с учителем",
)
"""Texts on which the tokenizers are compared, beside the gates' hard ones."""


@dataclass(frozen=True)
class Trained:
    """A ranker fresh from training, and all that the bundle says of it."""

    ranker: Ranker
    backbone: Backbone
    encoder: PairEncoder
    settings: TrainSettings
    rows: Mapping[str, int]
    """How many rows each part had, and what was left out."""
    steps: int
    files: Mapping[str, Path | None]
    gate_pairs: Sequence[Pair]
    """Held-out pairs that exports are compared on."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What ranker.json says of this kind alone."""
    calibration: Mapping[str, Any] | None = None


def save_bundle(out: Path, trained: Trained, evaluation: dict[str, Any] | None, *, overwrite: bool) -> None:
    """Write the bundle whole, or not at all."""
    with new_bundle(out, overwrite=overwrite) as folder:
        write_model(folder, trained.ranker, trained.backbone, trained.encoder)
        ranker = describe(trained)
        write_json(folder / RANKER, ranker)
        if evaluation is not None:
            write_json(folder / EVALUATION, {"data": "test part of the training data", **evaluation})
        save_gate_rows(folder / GATE_ROWS, trained.encoder.encode(trained.gate_pairs), GATE_PAIRS)
        write_card(folder, ranker, evaluation)


def write_model(folder: Path, ranker: Ranker, backbone: Backbone, encoder: PairEncoder) -> None:
    """Write what every bundle needs to be loaded: weights, encoder config, tokenizer and its check."""
    write_weights(folder / WEIGHTS, ranker.state_dict())
    backbone.model.config.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    write_json(folder / TOKENIZER_CHECK, tokenizer_check(backbone, encoder))


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write weights as safetensors."""
    with atomic(path) as stream:
        # Copies: safetensors refuses weights that share their memory, as those of a checkpoint may.
        plain = {
            name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
        }
        stream.write(save(plain, metadata={"format": "pt"}))


def tokenizer_check(backbone: Backbone, encoder: PairEncoder) -> list[dict[str, Any]]:
    """Give texts with the ids of the training tokenizer; RuntimeError where ours gives others already."""
    texts = [text for text in [*hard_texts(encoder), *SAMPLES] if text]
    limit = encoder.settings.max_tokens
    theirs = backbone.tokenizer(texts, truncation=True, max_length=limit, padding=False)["input_ids"]
    ours = encoder.text.encode(texts, limit)
    for number, ids in enumerate(theirs):
        if ours.ids[ours.offsets[number] : ours.offsets[number + 1]].tolist() != list(ids):
            raise RuntimeError(f"our reading of the tokenizer gives other ids for {texts[number][:60]!r}")
    return [{"text": text, "ids": list(ids)} for text, ids in zip(texts, theirs, strict=True)]


def describe(trained: Trained) -> dict[str, Any]:
    """Give the content of ranker.json."""
    settings = trained.settings
    return {
        **describe_model(settings, trained.ranker, trained.backbone, trained.encoder),
        **trained.more,
        "calibration": trained.calibration,
        "trained_steps": trained.steps,
        "seed": settings.seed,
        "settings": json.loads(json.dumps(asdict(settings))),
        "data": {
            "files": {
                name: {"name": path.name, "sha256": digest(path)}
                for name, path in trained.files.items()
                if path
            },
            "rows": dict(trained.rows),
        },
        "versions": versions(),
    }


def describe_model(
    settings: TrainSettings, ranker: Ranker, backbone: Backbone, encoder: PairEncoder
) -> dict[str, Any]:
    """Give the part of ranker.json that says what the ranker is, however it came about."""
    return {
        "format": FORMAT,
        "kind": ranker.kind,
        "name": settings.name,
        "encoder": {
            "name": settings.encoder,
            "origin": backbone.found.origin,
            "revision": backbone.found.revision,
            "model_type": backbone.model.config.model_type,
            "hidden_size": backbone.hidden,
        },
        "text": asdict(encoder.settings),
        "head": ranker.head,
        "calibration": None,
    }


def versions() -> dict[str, str]:
    """Give the versions that made a bundle."""
    return {
        "scar-rank": scar.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "numpy": np.__version__,
    }


def load_ranker(bundle: Bundle) -> Ranker:
    """Load the ranker of a bundle in torch, every weight from its safetensors file."""
    try:
        config = native_config(bundle.path)
        check_size(config, bundle.path)
        # Eager attention is what exports and fuses for every architecture; the weights are the same.
        model = AutoModel.from_config(  # type: ignore[no-untyped-call]
            config, trust_remote_code=False, attn_implementation="eager", dtype=torch.float32
        )
    except UNLOADABLE as error:
        raise InputError(f"{bundle.path}: the encoder cannot be made: {first_line(error)}") from None
    weights = read_weights(bundle.path / WEIGHTS)
    refuse_no_weights(weights, bundle.path / WEIGHTS)
    try:
        ranker = make_ranker(bundle.ranker, model)
        ranker.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{bundle.path}: head in {RANKER} is not that of the weights: {first_line(error)}"
        ) from None
    return ranker.eval()


def make_ranker(described: Mapping[str, Any], encoder: nn.Module) -> Ranker:
    """Put the head that ranker.json describes on an encoder, its weights random; ValueError for an impossible one."""
    if described["kind"] == BareEncoder.kind:
        return BareEncoder(encoder)
    head, hidden = described["head"], described["encoder"]["hidden_size"]
    if not isinstance(head, dict):
        raise ValueError(f"{head!r} is no table")
    for name, width in (("hidden_size", hidden), ("width", head.get("width", 1))):
        if not isinstance(width, int) or not 0 < width <= WIDEST:
            raise ValueError(f"{name} is {width!r}, not a number up to {WIDEST:,}")
    if described["kind"] == StyleRanker.kind:
        return StyleRanker(encoder, hidden, head["width"], head["pooling"])
    return CrossEncoder(encoder, hidden, HeadShape(**head), described["kind"])
