"""Encoder configs as native classes of transformers read them; code from a repository is never run.

Only one published family needs help: the gte-v1.5 encoders (`Alibaba-NLP/gte-base-en-v1.5` and its kin) name a model
type `new` that lives in a repository's code. transformers has the same network as `gte`, and maps its weights itself.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.models.gte import GteConfig

from scar.errors import InputError
from scar.files import read_json
from scar.training.sources import CONFIG

REMOTE_TYPE = "new"
_SHARED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
)
"""Settings that mean the same in both."""
_FIXED: Mapping[str, Any] = {
    "position_embedding_type": "rope",
    "layer_norm_type": "layer_norm",
    "pack_qkv": True,
    "logn_attention_scale": False,
    "logn_attention_clip1": False,
}
"""Settings of the repository's code that the native class has built in."""


def native_config(folder: Path) -> PreTrainedConfig:
    """Read an encoder's config.json. Raises InputError for a gte variant that the native class does not have."""
    raw = read_json(folder / CONFIG, "an encoder has one")
    if isinstance(raw, dict) and raw.get("model_type") == REMOTE_TYPE:
        return gte_config(raw, str(folder / CONFIG))
    config: PreTrainedConfig = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    # A file may name an attention that transformers fetches from the hub as code, or outputs that are read otherwise.
    config._attn_implementation = None
    config.output_attentions = config.output_hidden_states = False
    config.return_dict = True
    return config


def gte_config(raw: Mapping[str, Any], where: str) -> GteConfig:
    """Translate the config of a gte-v1.5 encoder."""
    for name, value in _FIXED.items():
        if raw.get(name, value) != value:
            raise InputError(
                f"{where}: {name} is {raw[name]!r}; only gte encoders with {value!r} can be loaded without their code"
            )
    return GteConfig(
        **{name: raw[name] for name in _SHARED if name in raw}, rope_parameters=_rope(raw, where)
    )


def _rope(raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Give the rotary settings; the code's fixed NTK scaling is a linear one on a larger base."""
    theta = float(raw.get("rope_theta", 10_000.0))
    scaling = raw.get("rope_scaling")
    if not scaling:
        return {"rope_type": "default", "rope_theta": theta}
    factor = scaling.get("factor") if isinstance(scaling, dict) else None
    if not isinstance(factor, int | float) or factor < 1 or scaling != {"type": "ntk", "factor": factor}:
        # Below 1 the code leaves the frequencies as they are.
        raise InputError(
            f"{where}: rope_scaling {scaling!r} is not known; only type ntk with a factor of 1 or more is"
        )
    # frequency i of width d: (factor * theta) ** (-2i / d) / factor ** (2 / d)
    width = raw["hidden_size"] // raw["num_attention_heads"]
    return {"rope_type": "linear", "rope_theta": theta * factor, "factor": factor ** (2 / width)}
