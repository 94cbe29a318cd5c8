"""Encoders whose published config needs a repository's code load by the native class, and give its scores."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import AutoModel, GteConfig

from scar import Record, Scorer
from scar.bundle import Bundle
from scar.cli import main
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.training.backbone import load
from scar.training.engine import torch_model
from scar.training.gte import gte_config
from scar.training.keys import Differences, gives_pooler_output, load_encoder
from scar.training.style.model import StyleRanker
from tests.make import pool_rows, tiny_tokenizer, write_jsonl

HIDDEN, WIDTH = 32, 24
# As Alibaba-NLP/gte-large-en-v1.5 has it, but for the sizes.
REMOTE = {
    "architectures": ["NewModel"],
    "auto_map": {
        "AutoConfig": "Alibaba-NLP/new-impl--configuration.NewConfig",
        "AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel",
    },
    "model_type": "new",
    "vocab_size": 400,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout": None,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "layer_norm_type": "layer_norm",
    "logn_attention_clip1": False,
    "logn_attention_scale": False,
    "max_position_embeddings": 512,
    "pack_qkv": True,
    "pad_token_id": 0,
    "position_embedding_type": "rope",
    "rope_scaling": {"factor": 2.0, "type": "ntk"},
    "rope_theta": 160000,
    "type_vocab_size": 2,
    "unpad_inputs": False,
    "use_memory_efficient_attention": False,
}


def native():
    """Make a random GteModel with the rotary settings spelled out."""
    config = GteConfig(
        vocab_size=400,
        hidden_size=HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=0,
        type_vocab_size=2,
        # NTK: width 8 a head, factor 2.
        rope_parameters={"rope_type": "linear", "rope_theta": 320000.0, "factor": 2 ** (2 / 8)},
    )
    torch.manual_seed(0)
    model = AutoModel.from_config(config, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def remote_weights(model):
    """Give the weights under the names of the repository's code: two projections packed, others renamed."""
    mine = model.state_dict()
    weights = {key: mine[key] for key in mine if key.startswith("embeddings.")}
    for layer in range(2):
        ours, theirs = f"layers.{layer}.", f"encoder.layer.{layer}."
        for part in ("weight", "bias"):
            packed = [mine[f"{ours}self_attn.{name}_proj.{part}"] for name in "qkv"]
            weights[f"{theirs}attention.qkv_proj.{part}"] = torch.cat(packed)
            weights[f"{theirs}attention.o_proj.{part}"] = mine[f"{ours}self_attn.o_proj.{part}"]
            weights[f"{theirs}mlp.down_proj.{part}"] = mine[f"{ours}mlp.down_proj.{part}"]
            weights[f"{theirs}attn_ln.{part}"] = mine[f"{ours}post_attention_layernorm.{part}"]
            weights[f"{theirs}mlp_ln.{part}"] = mine[f"{ours}post_mlp_layernorm.{part}"]
        # The code splits its output into the part as it is and the part that gates, in this order.
        gated = [mine[f"{ours}mlp.{name}_proj.weight"] for name in ("up", "gate")]
        weights[f"{theirs}mlp.up_gate_proj.weight"] = torch.cat(gated)
    return {key: tensor.clone() for key, tensor in weights.items()}


def encoder_folder(folder, weights=None):
    folder.mkdir()
    tiny_tokenizer(folder, 512)
    (folder / "config.json").write_text(json.dumps(REMOTE))
    if weights:
        save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.slow
def test_a_gte_checkpoint_scores_as_the_native_model(tmp_path):
    ranker = StyleRanker(native(), HIDDEN, WIDTH, "first_token").eval()
    encoder = encoder_folder(tmp_path / "encoder")
    weights = {"encoder." + key: tensor for key, tensor in remote_weights(ranker.encoder).items()}
    for ours, theirs in (("relation", "relation_network"), ("output", "output_layer")):
        weights |= {f"{theirs}.{key}": tensor for key, tensor in getattr(ranker, ours).state_dict().items()}
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    torch.save(weights, checkpoint / "pytorch_model.bin")
    config = {"encoder_name": str(encoder), "hidden_dim": HIDDEN, "linear_dim": WIDTH}
    (checkpoint / "config.json").write_text(json.dumps(config))
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(40))
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "b")]) == 0
    assert main(["export", str(tmp_path / "b"), "--rows", str(pool)]) == 0
    described = Bundle.open(tmp_path / "b").ranker
    assert described["encoder"]["model_type"] == "gte" and described["head"]["pooling"] == "first_token"
    rows = [Record.plain(row["instruction"], row["response"]) for row in pool_rows(40)]
    pairs = PairEncoder.of_bundle(Bundle.open(tmp_path / "b")).encode((r.turns, r.response) for r in rows)
    wanted = torch_model(ranker, 0, 2048).score(pairs)
    assert wanted.std() > 1e-3
    np.testing.assert_allclose(Scorer.load(tmp_path / "b").score(rows), wanted, atol=1e-6)


def test_the_published_encoder_itself_loads_without_its_code(tmp_path):
    model = native()
    loaded = load(str(encoder_folder(tmp_path / "encoder", remote_weights(model)))).model
    assert type(loaded).__name__ == "GteModel"
    mine, theirs = model.state_dict(), loaded.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine) and set(mine) == set(theirs)


def published_frequencies(width, theta, factor):
    """Give the rotary frequencies as the repository's fixed NTK scaling makes them."""
    plain = 1.0 / ((theta * factor) ** (np.arange(0, width, 2) / width))
    return plain / factor ** (2 / width)


def published_forward(config, weights, ids, mask):
    """Compute the last hidden states as the repository's code does, written anew from its formulae."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = hidden // heads

    def normed(states, name):
        return F.layer_norm(states, (hidden,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)

    def linear(states, name):
        return F.linear(states, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def rotated(states):
        half = torch.cat((-states[..., width // 2 :], states[..., : width // 2]), dim=-1)
        return states * angles.cos() + half * angles.sin()

    scale = config["rope_scaling"]["factor"]
    frequencies = torch.tensor(published_frequencies(width, config["rope_theta"], scale)).float()
    angles = torch.outer(torch.arange(ids.shape[1]).float(), frequencies).repeat(1, 2)[None, :, None]
    states = weights["embeddings.word_embeddings.weight"][ids]
    if config["type_vocab_size"]:
        states = states + weights["embeddings.token_type_embeddings.weight"][0]
    states = normed(states, "embeddings.LayerNorm")
    for layer in (f"encoder.layer.{n}" for n in range(config["num_hidden_layers"])):
        q, k, v = linear(states, f"{layer}.attention.qkv_proj").view(*ids.shape, 3, heads, width).unbind(2)
        likeness = torch.einsum("nihd,njhd->nhij", rotated(q), rotated(k)) / width**0.5
        share = likeness.masked_fill(mask[:, None, None] == 0, -1e9).softmax(-1)
        mixed = torch.einsum("nhij,njhd->nihd", share, v).flatten(2)
        states = normed(states + linear(mixed, f"{layer}.attention.o_proj"), f"{layer}.attn_ln")
        up, gate = linear(states, f"{layer}.mlp.up_gate_proj").chunk(2, dim=-1)
        states = normed(states + linear(F.gelu(gate) * up, f"{layer}.mlp.down_proj"), f"{layer}.mlp_ln")
    return states


# Of the two published in English, the base has no token types and the large one has two.
@pytest.mark.parametrize("types", [0, 2])
def test_the_native_model_computes_what_the_published_formulae_do(types):
    config = REMOTE | {"type_vocab_size": types, "max_position_embeddings": 8192}
    weights = remote_weights(native())
    if not types:
        del weights["embeddings.token_type_embeddings.weight"]
    model, differences = load_encoder(gte_config(config, "config.json"), weights)
    assert differences == Differences() and not gives_pooler_output(model)
    ids, mask = torch.randint(5, 400, (2, 300)), torch.ones(2, 300, dtype=torch.long)
    mask[1, 37:] = 0
    with torch.inference_mode():
        mine = model(input_ids=ids, attention_mask=mask).last_hidden_state
    wanted = published_forward(config, weights, ids, mask)
    torch.testing.assert_close(mine[mask == 1], wanted[mask == 1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("factor", [1.0, 2.0, 8.0])
def test_ntk_scaling_gives_the_published_frequencies(factor):
    config = gte_config(REMOTE | {"rope_scaling": {"type": "ntk", "factor": factor}}, "config.json")
    torch.manual_seed(0)
    rotary = AutoModel.from_config(config).rotary_emb
    np.testing.assert_allclose(rotary.inv_freq, published_frequencies(8, 160000, factor), rtol=1e-6)
    assert rotary.attention_scaling == 1.0


def test_without_scaling_the_base_is_the_published_one():
    config = gte_config(REMOTE | {"rope_scaling": None, "rope_theta": 500000}, "config.json")
    assert config.rope_parameters == {"rope_type": "default", "rope_theta": 500000.0}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position_embedding_type", "absolute"),
        ("layer_norm_type", "rms_norm"),
        ("pack_qkv", False),
        ("logn_attention_scale", True),
        ("rope_scaling", {"type": "ntk", "factor": 2.0, "mixed_b": 0.5}),
        ("rope_scaling", {"type": "dynamic", "factor": 2.0}),
        ("rope_scaling", {"type": "ntk", "factor": 0.5}),
        ("rope_scaling", {"type": "ntk", "factor": "2"}),
        ("rope_scaling", {"type": "ntk"}),
        ("rope_scaling", ["ntk"]),
    ],
)
def test_a_variant_that_the_native_class_has_not_is_refused(key, value):
    with pytest.raises(InputError, match=key):
        gte_config(REMOTE | {key: value}, "config.json")
