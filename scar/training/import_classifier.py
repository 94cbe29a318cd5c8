"""A published sequence classifier of one logit -> a bundle of kind quality, compared with transformers' own class."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedTokenizerFast

from scar.bundle import RANKER, Bundle, new_bundle
from scar.card import write_card
from scar.encoding import PairEncoder
from scar.errors import GateError, InputError
from scar.files import read_json, write_json
from scar.records import Turn
from scar.serving.gates import hard_texts
from scar.settings import QualitySettings
from scar.training import backbone as backbones
from scar.training.backbone import UNLOADABLE, Backbone, first_line
from scar.training.checkpoints import ImportReport, find_weights, provenance, read_weights, refuse_head_cut
from scar.training.classifiers import layout_of, load_classifier
from scar.training.cross import CrossEncoder
from scar.training.engine import torch_model
from scar.training.fit import pair_encoder
from scar.training.gte import native_config
from scar.training.keys import refuse_no_weights
from scar.training.save import SAMPLES, describe_model, load_ranker, versions, write_model
from scar.training.sources import CONFIG, Found

MAX_TOKENS = 512
LIMIT = 1e-5
"""Largest difference of a logit from that of transformers, relative to its size where that is above 1."""
_CLASS = "ForSequenceClassification"


def is_classifier(config: Any) -> bool:
    """Tell whether the content of a config.json is of a model of transformers, not of the original SCAR."""
    own = ("hidden_dim", "linear_dim", "encoder_name")
    return (
        isinstance(config, dict)
        and not any(key in config for key in own)
        and any(key in config for key in ("model_type", "architectures"))
    )


def import_classifier(found: Found, out: Path, name: str, *, overwrite: bool) -> ImportReport:
    """Turn a checkpoint of a sequence classifier into the bundle `out`.

    Raises InputError for one that is not of one logit or whose architecture is not known, GateError where the bundle
    gives other logits than transformers.
    """
    config = read_config(found.path)
    file = find_weights(found.path)
    weights = read_weights(file)
    refuse_no_weights(weights, file)
    try:
        ranker, differences = load_classifier(config, weights, "quality")
        tokenizer = backbones.load_tokenizer(found.path, config)
    except UNLOADABLE as error:
        raise InputError(f"{found.path}: {first_line(error)}") from None
    differences.refuse(file)
    refuse_head_cut(tokenizer, found.path)
    model: Any = ranker.encoder
    backbone = Backbone(model, tokenizer, found, trained_pooler=ranker.shape.pooling == "pooler")
    longest = min(MAX_TOKENS, backbones.positions(model) or MAX_TOKENS)
    settings = QualitySettings(encoder=found.name, name=name, max_tokens=longest)
    encoder = _pair_encoder(backbone, settings)
    described = describe_model(settings, ranker, backbone, encoder) | {
        # Not known, which is not the same as none.
        "trained_steps": None,
        "seed": None,
        "imported": provenance(found, file, "a sequence classifier of transformers"),
        "versions": versions(),
    }
    with new_bundle(out, overwrite=overwrite) as folder:
        write_model(folder, ranker, backbone, encoder)
        write_json(folder / RANKER, described)
        write_card(folder, described, None)
        difference = _compare(Bundle(folder, described), found.path, config, tokenizer)
    return ImportReport(out, described["imported"], settings.encoder, ranker, difference)


def read_config(folder: Path) -> PreTrainedConfig:
    """Read the config of a classifier; InputError where it is none, not of one logit, or of a class not known."""
    path = folder / CONFIG
    raw = read_json(path, "a classifier has one")
    try:
        config = native_config(folder)
    except UNLOADABLE as error:
        raise InputError(f"{path}: {first_line(error)}") from None
    classes = raw.get("architectures") or []
    if classes and not any(str(name).endswith(_CLASS) for name in classes):
        raise InputError(
            f"{path}: architectures {classes}: an import takes checkpoints of the original SCAR and classes named "
            f"...{_CLASS}; an encoder alone is trained with `scar train`"
        )
    try:
        layout_of(config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    _refuse_several_logits(config, raw, path)
    return config


def _refuse_several_logits(config: Any, raw: Mapping[str, Any], path: Path) -> None:
    if not {"id2label", "num_labels"} & raw.keys():
        # transformers would take two; the weights decide, as any other number would not fit them.
        config.num_labels = 1
    if config.num_labels != 1:
        raise InputError(
            f"{path}: {config.num_labels} labels: a ranker gives one number, so only classifiers of one logit "
            "(num_labels 1), such as reward models, can be imported"
        )


def _pair_encoder(backbone: Backbone, settings: QualitySettings) -> PairEncoder:
    """Make the text path; token types only where the checkpoint's tokenizer gives them too."""
    encoder = pair_encoder(backbone, settings, "pair")
    told = 1 in backbone.tokenizer("a", "a").get("token_type_ids", [])
    return PairEncoder(
        encoder.text, replace(encoder.settings, token_types=encoder.settings.token_types and told)
    )


def _compare(
    bundle: Bundle, checkpoint: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast
) -> float:
    """Score hard pairs with the bundle and with transformers' class; gives the largest difference of the logits.

    Each pair goes alone through both: what padding does is the export's to check.
    """
    encoder = PairEncoder.of_bundle(bundle)
    texts = [text for text in (*hard_texts(encoder), *SAMPLES) if len(text) < encoder.settings.max_tokens]
    longest = "word " * encoder.settings.max_tokens
    chosen = [*zip(texts, [*texts[1:], texts[0]], strict=True), (longest, longest)]
    pairs = encoder.encode(((Turn("user", x),), y) for x, y in chosen)
    ranker = load_ranker(bundle)
    assert isinstance(ranker, CrossEncoder)
    ours = torch_model(ranker, encoder.settings.pad_id, 1).score(pairs)
    theirs = np.empty(len(chosen))
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, config=config, attn_implementation="eager", dtype=torch.float32, trust_remote_code=False
    ).eval()
    for number, (x, y) in enumerate(chosen):
        cut = {"truncation": "longest_first", "max_length": encoder.settings.max_tokens}
        feeds = dict(tokenizer([x], [y], return_tensors="pt", **cut))  # alone, an empty y would be none
        mine = pairs.tokens.feeds(pairs.x[number : number + 1], encoder.settings.pad_id)
        _refuse_other_ids(mine, feeds, (x, y))
        with torch.inference_mode():
            theirs[number] = model(**{key: feeds[key] for key in mine}).logits.item()
    worst = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
    if not worst.max() <= LIMIT:
        raise GateError(
            f"{checkpoint}: not imported: logits differ from those of transformers by up to {worst.max():.3g}, "
            f"allowed is {LIMIT:g}"
        )
    return float(worst.max())


def _refuse_other_ids(
    mine: Mapping[str, NDArray[Any]], theirs: Mapping[str, Any], texts: tuple[str, str]
) -> None:
    for key, values in mine.items():
        if not np.array_equal(values, theirs[key].numpy()):
            raise GateError(
                f"not imported: transformers gives other {key} for {texts[0][:40]!r} and {texts[1][:40]!r}"
            )
