"""Import: a checkpoint of the original scores as it does there, and what is not one is refused in one line."""

import json
import logging
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from scar import Record, Scorer
from scar.bundle import Bundle
from scar.cli import main
from scar.errors import InputError
from scar.pools import read_pool
from tests.make import pool_rows, tiny_encoder, write_jsonl

BATCH = 8
log = logging.getLogger("tests")
"""Shown by `pytest -o log_cli=true --log-cli-level=INFO`."""


def original(folder, kind="bert", *, width=24, seed=3, **more):
    """Save a random checkpoint with the original's own classes; gives its folder and the encoder's."""
    from style_ranker.ranker.config import StyleRankerConfig
    from style_ranker.ranker.model import StyleRanker
    from transformers import AutoTokenizer

    encoder = tiny_encoder(folder / "encoder", kind, length=512, **more)
    torch.manual_seed(seed)
    model = StyleRanker(StyleRankerConfig(str(encoder), hidden_dim=32, linear_dim=width))
    # As a training does: the weights of a fresh pooler are trained like all others.
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    model.save_pretrained(str(folder / "checkpoint"))
    AutoTokenizer.from_pretrained(encoder).save_pretrained(folder / "checkpoint")
    return folder / "checkpoint", encoder


def original_scores(checkpoint, rows):
    """Score rows with the original's own function; the last one, alone in its batch, through its model."""
    from style_ranker.rank import load_ranker as load_original
    from style_ranker.rank import score_pairs

    model, tokenizer = load_original(str(checkpoint), device="cpu")
    instructions, answers = [row.turns[0].text for row in rows], [row.response for row in rows]
    assert len(rows) % BATCH == 1
    with pytest.raises(TypeError):
        score_pairs(model, tokenizer, instructions, answers, batch_size=BATCH, device="cpu")
    scores = score_pairs(model, tokenizer, instructions[:-1], answers[:-1], batch_size=BATCH, device="cpu")
    cut = {"return_tensors": "pt", "truncation": True, "max_length": 512}
    x, y = tokenizer([instructions[-1]], **cut), tokenizer([answers[-1]], **cut)
    with torch.no_grad():
        last = model(x.input_ids, x.attention_mask, y.input_ids, y.attention_mask)
    return np.array([*scores, last.item()])


def largest_difference(tmp_path, kind, pool, rows):
    """Import, export and score; gives the largest difference from the original's scores."""
    checkpoint, _ = original(tmp_path, kind)
    (checkpoint / "model.safetensors").unlink()
    wanted = original_scores(checkpoint, rows)
    bundle = tmp_path / "bundle"
    assert main(["import", str(checkpoint), "--out", str(bundle)]) == 0
    assert main(["export", str(bundle), "--rows", str(pool)]) == 0
    difference = np.abs(Scorer.load(bundle).score(rows) - wanted).max()
    log.info("%s: %d rows, largest difference %.2g, sigma %.2g", kind, len(rows), difference, wanted.std())
    return difference


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_made_rows_score_as_with_the_original(kind, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", [*pool_rows(48), long_row()])
    assert largest_difference(tmp_path, kind, pool, list(read_pool(pool))) <= 1e-5


def long_row():
    """Make a row whose texts are both cut."""
    return {"instruction": "what is the list " * 300, "response": "clearly the key of a dict " * 300}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_real_rows_score_as_with_the_original(kind, tmp_path, scar_data):
    pool = scar_data / "pool.jsonl.gz"
    rows = []
    for row in read_pool(pool):
        rows += [row] if isinstance(row, Record) else []
        if len(rows) == 97:
            break
    assert largest_difference(tmp_path, kind, pool, rows) <= 1e-5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint with the original's weights in PyTorch's own format alone. Tests that change it copy it."""
    folder, _ = original(tmp_path_factory.mktemp("original"))
    (folder / "model.safetensors").unlink(missing_ok=True)
    return folder


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


def refused(capsys, folder, tmp_path, *more):
    """Import what cannot be imported; gives the one line that says why."""
    capsys.readouterr()
    assert main(["import", str(folder), "--out", str(tmp_path / "b"), *more]) == 2
    assert not (tmp_path / "b").exists()
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1, shown
    return shown


def test_the_bundle_says_where_it_came_from(checkpoint, tmp_path, capsys):
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "b"), "--name", "scar"]) == 0
    assert "--rows POOL" in capsys.readouterr().out
    ranker = Bundle.open(tmp_path / "b").ranker
    assert ranker["name"] == "scar" and ranker["tiers"] == ["direct", "referenced", "human"]
    assert ranker["trained_steps"] is None and ranker["head"] == {"width": 24, "pooling": "pooler"}
    assert ranker["imported"]["name"] == "checkpoint" and ranker["imported"]["file"] == "pytorch_model.bin"
    assert len(ranker["imported"]["sha256"]) == 64 and ranker["text"]["max_tokens"] == 512
    card = (tmp_path / "b" / "README.md").read_text()
    assert ranker["imported"]["sha256"] in card and "imported by scar-rank" in card


def test_without_rows_an_export_says_that_it_needs_some(checkpoint, tmp_path, capsys):
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "b")]) == 0
    assert main(["export", str(tmp_path / "b")]) == 2
    assert "--rows POOL" in capsys.readouterr().err


def test_an_imported_encoder_can_be_trained_on(checkpoint, tmp_path):
    from scar.training.backbone import load

    assert main(["import", str(checkpoint), "--out", str(tmp_path / "b")]) == 0
    assert load(str(tmp_path / "b")).trained_pooler


def test_safetensors_are_read_before_a_pickle(checkpoint, copy, tmp_path):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    save_file({key: tensor.contiguous() for key, tensor in weights.items()}, copy / "model.safetensors")
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "a")]) == 0
    (copy / "pytorch_model.bin").write_bytes(b"never opened")
    assert main(["import", str(copy), "--out", str(tmp_path / "b")]) == 0
    assert Bundle.open(tmp_path / "b").ranker["imported"]["file"] == "model.safetensors"
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert set(one) == set(two) and all(torch.equal(one[key], two[key]) for key in one)


class Sentinel:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["pickle", "torch", "beside tensors"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(how, copy, tmp_path, capsys):
    sentinel = Sentinel(tmp_path / "ran")
    if how == "pickle":
        (copy / "pytorch_model.bin").write_bytes(pickle.dumps(sentinel))
    else:
        weights = {} if how == "torch" else torch.load(copy / "pytorch_model.bin", weights_only=True)
        torch.save(weights | {"x": sentinel}, copy / "pytorch_model.bin")
    assert "refused" in refused(capsys, copy, tmp_path)
    assert not (tmp_path / "ran").exists()
    with open(copy / "pytorch_model.bin", "rb") as stream:
        if how == "pickle":
            pickle.load(stream)
            assert (tmp_path / "ran").exists(), "the payload works"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, "'state_dict' is of type dict"),
        ({"a": torch.ones(1), "epoch": 3}, "'epoch' is of type int"),
        ({1: torch.ones(1)}, "1 is of type Tensor"),
        ([torch.ones(1)], "holds a list"),
        (torch.ones(1), "holds a Tensor"),
    ],
)
def test_anything_but_tensors_by_name_is_refused(content, told, copy, tmp_path, capsys):
    torch.save(content, copy / "pytorch_model.bin")
    assert told in refused(capsys, copy, tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -30])
def test_a_damaged_file_is_refused(cut, copy, tmp_path, capsys):
    file = copy / "pytorch_model.bin"
    file.write_bytes(file.read_bytes()[:cut])
    assert "pytorch_model.bin" in refused(capsys, copy, tmp_path)


def test_damaged_safetensors_are_refused(copy, tmp_path, capsys):
    (copy / "model.safetensors").write_bytes(b"no such thing")
    assert "damaged" in refused(capsys, copy, tmp_path)


def test_a_training_state_is_refused(copy, tmp_path, capsys):
    (copy / "pytorch_model.bin").rename(copy / "last.ckpt")
    assert ".ckpt" in refused(capsys, copy, tmp_path)
    assert ".ckpt" in refused(capsys, copy / "last.ckpt", tmp_path)


def test_a_file_in_place_of_a_folder_is_refused(copy, tmp_path, capsys):
    assert "give the folder" in refused(capsys, copy / "pytorch_model.bin", tmp_path)


def test_missing_and_unexpected_weights_are_listed_in_one_line(copy, tmp_path, capsys):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    del weights["encoder.encoder.layer.0.attention.self.query.bias"], weights["output_layer.2.weight"]
    weights |= {"encoder.junk": torch.ones(1), "third_network.weight": torch.ones(1)}
    weights |= {"encoder.embeddings.position_ids": torch.arange(9)}
    weights["relation_network.0.bias"] = torch.ones(5)
    torch.save(weights, copy / "pytorch_model.bin")
    shown = refused(capsys, copy, tmp_path)
    assert "2 missing: encoder.encoder.layer.0.attention.self.query.bias, output_layer.2.weight" in shown
    assert "2 unexpected: encoder.junk, third_network.weight" in shown
    assert "1 of another shape: relation_network.0.bias (5,) for (24,)" in shown


def test_of_many_missing_weights_the_first_and_their_count_are_told(copy, tmp_path, capsys):
    torch.save({"relation_network.0.bias": torch.ones(24)}, copy / "pytorch_model.bin")
    shown = refused(capsys, copy, tmp_path)
    assert "46 missing" in shown and "and 34 more" in shown


def test_buffers_that_older_versions_saved_are_ignored(copy, tmp_path):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    torch.save(weights | {"encoder.embeddings.position_ids": torch.arange(9)}, copy / "pytorch_model.bin")
    assert main(["import", str(copy), "--out", str(tmp_path / "b")]) == 0


QUERY = "encoder.encoder.layer.0.attention.self.query.weight"


@pytest.mark.parametrize("key", [QUERY, "output_layer.0.weight"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda weight: weight.int(), "int32"),
        (lambda weight: weight > 0, "bool"),
        (lambda weight: weight.to(torch.complex64), "complex64"),
        (lambda weight: weight.to_sparse(), "sparse_coo"),
        (lambda weight: weight.to("meta"), "on meta"),
        (lambda weight: weight / 0, "not finite"),
    ],
)
def test_what_cannot_be_a_trained_weight_is_refused(key, change, told, copy, tmp_path, capsys):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    torch.save(weights | {key: change(weights[key])}, copy / "pytorch_model.bin")
    shown = refused(capsys, copy, tmp_path)
    assert key in shown and told in shown


def test_one_weight_under_two_names_is_refused(copy, tmp_path, capsys):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    twice = {f"encoder.bert.{key.removeprefix('encoder.')}": 0 * weights[key] for key in [QUERY]}
    torch.save(weights | twice, copy / "pytorch_model.bin")
    assert "some are there twice" in refused(capsys, copy, tmp_path)


def test_weights_of_half_precision_are_widened(copy, tmp_path):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    torch.save({key: tensor.half() for key, tensor in weights.items()}, copy / "pytorch_model.bin")
    assert main(["import", str(copy), "--out", str(tmp_path / "b")]) == 0
    read = load_file(tmp_path / "b" / "model.safetensors")
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}
    assert torch.equal(read[QUERY], weights[QUERY].half().float())


def test_weights_that_share_their_memory_are_written_apart(copy, tmp_path):
    weights = torch.load(copy / "pytorch_model.bin", weights_only=True)
    other = QUERY.replace("query", "key")
    torch.save(weights | {other: weights[QUERY]}, copy / "pytorch_model.bin")
    assert main(["import", str(copy), "--out", str(tmp_path / "b")]) == 0
    read = load_file(tmp_path / "b" / "model.safetensors")
    assert torch.equal(read[other], weights[QUERY]) and torch.equal(read[QUERY], weights[QUERY])


@pytest.mark.parametrize(
    "settings",
    [
        {"return_dict": False},
        {"output_attentions": True, "output_hidden_states": True},
        {"_attn_implementation": "somebody/kernel"},
    ],
)
def test_settings_of_an_encoders_config_that_change_its_outputs_or_fetch_code_are_not_taken(
    settings, checkpoint, tmp_path
):
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder_name"]
    odd = shutil.copytree(encoder, tmp_path / "odd")
    change_config(odd, **settings)
    assert main(["import", str(checkpoint), "--encoder", str(odd), "--out", str(tmp_path / "b")]) == 0
    assert Bundle.open(tmp_path / "b").ranker["head"]["pooling"] == "pooler"
    told = json.loads((tmp_path / "b" / "config.json").read_text())
    assert not any(told.get(key) == value for key, value in settings.items())


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"num_attention_heads": 0}, "modulo by zero"),
        ({"model_type": ["bert"]}, "unhashable"),
        ({"hidden_size": "wide"}, "expected int, got str"),
    ],
)
def test_an_encoders_config_that_makes_no_model_is_refused(settings, told, checkpoint, tmp_path, capsys):
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder_name"]
    odd = shutil.copytree(encoder, tmp_path / "odd")
    change_config(odd, **settings)
    assert told in refused(capsys, checkpoint, tmp_path, "--encoder", str(odd))


@pytest.mark.parametrize(("absolute", "longest"), [(True, 128), (False, 512)])
def test_texts_are_cut_to_the_positions_that_an_encoder_has(absolute, longest, tmp_path):
    from scar.training.backbone import load, positions

    encoder = tiny_encoder(tmp_path / "e", "deberta-v2", length=128, position_biased_input=absolute)
    assert (positions(load(str(encoder)).model) or 512) == longest


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_dim": 64}, "hidden_size of the encoder"),
        ({"hidden_dim": None}, "hidden_dim is None"),
        ({"linear_dim": "wide"}, "linear_dim is 'wide'"),
        ({"linear_dim": 25}, "of another shape"),
        ({"linear_dim": 10**12}, "linear_dim is 1000000000000"),
        ({"encoder_name": None}, "--encoder"),
        ({"encoder_name": "no/such-encoder"}, "not a folder"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(changes, told, copy, cache, tmp_path, capsys):
    change_config(copy, **changes)
    assert told in refused(capsys, copy, tmp_path)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and no hub behind it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def cached(cache, name, folder, *left_out):
    """Put a folder into the cache of the hub as a repository's only version."""
    place = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, place / "snapshots" / ("1" * 40), ignore=shutil.ignore_patterns(*left_out))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("1" * 40)


def test_a_snapshot_of_the_encoder_without_weights_is_whole_for_an_import(copy, cache, tmp_path, capsys):
    from scar.training.sources import find

    encoder = json.loads((copy / "config.json").read_text())["encoder_name"]
    cached(cache, "org/encoder", encoder, "*.safetensors")
    cached(cache, "org/scar", copy)
    arguments = ["import", "org/scar", "--encoder", "org/encoder", "--out", str(tmp_path / "b")]
    assert main(arguments) == 0
    ranker = Bundle.open(tmp_path / "b").ranker
    found = {key: ranker["encoder"][key] for key in ("name", "origin", "revision")}
    assert found == {"name": "org/encoder", "origin": "hub cache", "revision": "1" * 40}
    assert ranker["imported"]["name"] == "org/scar" and ranker["imported"]["revision"] == "1" * 40
    with pytest.raises(InputError, match="as a whole"):
        find("org/encoder")
    assert main([*arguments[:-1], str(tmp_path / "c"), "--revision", "2" * 40]) == 2
    assert "org/encoder" in capsys.readouterr().err


def test_no_weights_of_the_encoder_are_asked_of_the_hub(copy, tmp_path, monkeypatch, capsys):
    asked = []

    def download(name, *, allow_patterns, **_):
        asked.extend(allow_patterns)
        raise OSError

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert "org/encoder" in refused(capsys, copy, tmp_path, "--encoder", "org/encoder")
    assert "*.json" in asked and not any("safetensors" in pattern or "bin" in pattern for pattern in asked)


@pytest.mark.slow
def test_the_demo_package_stands_for_minilm(tmp_path, cache):
    from scar.training import demo_encoder
    from scar.training.backbone import load

    if not demo_encoder.find():
        pytest.skip("the demo package is not installed")
    weights = {"encoder." + key: tensor for key, tensor in load(demo_encoder.NAME).model.state_dict().items()}
    for network, sizes in (("relation_network", (768, 8, 384)), ("output_layer", (768, 8, 1))):
        for layer, wide, narrow in ((0, *sizes[:2]), (2, *sizes[1:])):
            weights[f"{network}.{layer}.weight"] = torch.randn(narrow, wide)
            weights[f"{network}.{layer}.bias"] = torch.zeros(narrow)
    torch.save(weights, tmp_path / "pytorch_model.bin")
    config = {"encoder_name": demo_encoder.NAME, "hidden_dim": 384, "linear_dim": 8}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["import", str(tmp_path), "--out", str(tmp_path / "b")]) == 0
    encoder = Bundle.open(tmp_path / "b").ranker["encoder"]
    assert encoder["origin"] == demo_encoder.ORIGIN and (tmp_path / "b" / "tokenizer.json").is_file()


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin"])
def test_a_folder_without_config_or_weights_is_refused(name, copy, tmp_path, capsys):
    (copy / name).unlink()
    assert name in refused(capsys, copy, tmp_path)


def test_an_encoder_folder_needs_no_weights(checkpoint, tmp_path):
    encoder = json.loads((checkpoint / "config.json").read_text())["encoder_name"]
    bare = shutil.copytree(encoder, tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    arguments = ["import", str(checkpoint), "--encoder", str(bare), "--out"]
    assert main([*arguments, str(tmp_path / "b")]) == 0
    assert main(["import", str(checkpoint), "--out", str(tmp_path / "c")]) == 0
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in "bc")
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_the_checkpoints_own_tokenizer_is_taken_unless_an_encoder_is_named(copy, tmp_path):
    file = json.loads((copy / "tokenizer.json").read_text())
    file["normalizer"]["lowercase"] = False
    (copy / "tokenizer.json").write_text(json.dumps(file))
    encoder = json.loads((copy / "config.json").read_text())["encoder_name"]
    for name, more in (("own", []), ("encoders", ["--encoder", encoder])):
        assert main(["import", str(copy), "--out", str(tmp_path / name), *more]) == 0
    lower = [
        json.loads((tmp_path / name / "tokenizer.json").read_text())["normalizer"]["lowercase"]
        for name in ("own", "encoders")
    ]
    assert lower == [False, True]


def test_a_tokenizer_that_cuts_at_the_head_is_refused(copy, tmp_path, capsys):
    config = json.loads((copy / "tokenizer_config.json").read_text()) | {"truncation_side": "left"}
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    assert "at their head" in refused(capsys, copy, tmp_path)


def test_an_existing_bundle_is_replaced_only_when_asked(checkpoint, tmp_path, capsys):
    arguments = ["import", str(checkpoint), "--out", str(tmp_path / "b")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*arguments, "--overwrite"]) == 0


def test_a_bad_name_is_refused(checkpoint, tmp_path, capsys):
    assert "name" in refused(capsys, checkpoint, tmp_path, "--name", "a b")
