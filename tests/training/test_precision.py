"""Mixed precision and warm starts, on a CPU: bf16 trains, the heads stay fp32, a bundle's encoder loads again."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from scar.bundle import Bundle
from scar.cli import main
from scar.errors import InputError
from scar.training import backbone, sources
from scar.training.batches import batch_tokens, on_gpu
from scar.training.state import LAST, folder_for
from tests.make import tier_rows, tiny_encoder, write_jsonl


def command(encoder, data, out, *more):
    flags = ["--max_tokens", "32", "--head_width", "16", "--lr", "3e-3", "--epochs", "2", *more]
    return ["train", "style", "--encoder", str(encoder), "--data", str(data), "--out", str(out), *flags]


@pytest.fixture
def data(tmp_path):
    return write_jsonl(tmp_path / "tiers.jsonl", tier_rows(40))


@pytest.mark.slow
def test_bf16_trains_and_saves_fp32_weights(encoder, data, tmp_path):
    assert (
        main(command(encoder, data, tmp_path / "b", "--trainer.precision", "bf16-mixed", "--epochs", "5"))
        == 0
    )
    assert {weight.dtype for weight in load_file(tmp_path / "b" / "model.safetensors").values()} == {
        torch.float32
    }
    evaluation = json.loads((tmp_path / "b" / "evaluation.json").read_text())
    assert evaluation["overall"]["all"]["ranker"]["accuracy"] > 0.6


def test_the_encoder_of_a_bundle_can_be_trained_on(bundle, data, tmp_path):
    loaded = backbone.load(str(bundle))
    trained = load_file(bundle / "model.safetensors")
    mine = loaded.model.state_dict()
    assert all(torch.equal(mine[name], trained["encoder." + name]) for name in mine)
    assert loaded.trained_pooler
    assert main(command(bundle, data, tmp_path / "b", "--epochs", "1")) == 0
    assert Bundle.open(tmp_path / "b").ranker["head"]["pooling"] == "pooler"


def test_an_encoder_without_tokenizer_files_is_refused(tmp_path):
    folder = tiny_encoder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="no tokenizer files"):
        backbone.load(str(folder))


def test_a_truncated_checkpoint_is_one_line(tmp_path):
    folder = tiny_encoder(tmp_path)
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match="encoder"):
        backbone.load(str(folder))


def test_a_cache_without_weights_is_not_taken_for_the_encoder(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--me--half" / "snapshots" / ("d" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (tmp_path / "models--me--half" / "refs").mkdir()
    (tmp_path / "models--me--half" / "refs" / "main").write_text("d" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="not in the hub cache as a whole"):
        sources.find("me/half")


def test_a_folder_has_no_revision(encoder):
    with pytest.raises(InputError, match="no revision"):
        sources.find(str(encoder), "main")


@pytest.mark.parametrize(
    ("flag", "value"),
    [("accelerator", "tpu"), ("precision", "fp8"), ("max_steps", "abc"), ("strategy", "fsdp")],
)
def test_a_trainer_argument_that_does_not_do_is_one_line(encoder, data, tmp_path, capsys, flag, value):
    assert main(command(encoder, data, tmp_path / "b", f"--trainer.{flag}", value)) == 2
    assert "trainer" in capsys.readouterr().err


def test_the_cpu_can_be_asked_for_on_a_machine_with_a_gpu(settings, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert on_gpu(settings) and batch_tokens(settings) == 16_384
    on_cpu = replace(settings, trainer={"accelerator": "cpu"})
    assert not on_gpu(on_cpu) and batch_tokens(on_cpu) == 1024


def test_a_training_that_had_stopped_early_stays_stopped_when_it_is_taken_up(
    encoder, data, tmp_path, capsys, monkeypatch
):
    flags = ("--epochs", "9", "--patience", "1", "--lr", "1e-9")

    def accident(*_, **__):
        raise OSError(28, "No space left on device", "model.safetensors")

    with monkeypatch.context() as broken:
        broken.setattr("scar.training.style.train.save_bundle", accident)
        assert main(command(encoder, data, tmp_path / "b", *flags)) == 1
    assert (folder_for(tmp_path / "b") / LAST).is_file() and not (tmp_path / "b").exists()
    assert main(command(encoder, data, tmp_path / "b", *flags)) == 0
    assert "16 steps, 2 epochs" in capsys.readouterr().out
