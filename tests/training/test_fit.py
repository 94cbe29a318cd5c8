"""Training through the real command: recipes, kills, loggers, several processes."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from scar.bundle import Bundle, verify
from scar.cli import main
from scar.training.learner import Learner
from scar.training.state import BEST, LAST, KeepBest, folder_for
from tests.make import tier_rows, write_jsonl


def command(encoder, data, out, *more):
    return [
        "train",
        "style",
        "--encoder",
        str(encoder),
        "--data",
        str(data),
        "--out",
        str(out),
        "--max_tokens",
        "32",
        "--head_width",
        "16",
        "--lr",
        "3e-3",
        *more,
    ]


def test_a_bundle_says_what_made_it(bundle, settings):
    ranker = Bundle.open(bundle).ranker
    assert ranker["encoder"]["revision"].startswith("sha256:")
    assert ranker["settings"]["lr"] == settings.lr
    assert ranker["data"]["rows"]["train"] == 32
    assert ranker["head"]["pooling"] == "pooler"
    evaluation = json.loads((bundle / "evaluation.json").read_text())
    assert set(evaluation["overall"]["all"]) == {"ranker", "longest", "shortest", "random"}
    assert "Ordering accuracy" in (bundle / "README.md").read_text()


@pytest.mark.slow
def test_thirty_groups_can_be_learned_by_heart(encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    more = ("--epochs", "40", "--validation", str(data), "--test", str(data))
    shutil.copy(data, tmp_path / "train.jsonl")
    # The same rows as training and validation would be taken for a leak: another instruction, the same responses.
    rows = [row | {"instruction": "please: " + row["instruction"]} for row in tier_rows(30)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    assert main(command(encoder, tmp_path / "train.jsonl", tmp_path / "b", *more)) == 0
    evaluation = json.loads((tmp_path / "b" / "evaluation.json").read_text())
    assert evaluation["overall"]["all"]["ranker"]["accuracy"] == 1.0


def accuracies(out):
    """Read the validation accuracy of every epoch from the log of a training."""
    (log,) = folder_for(out).glob("logs/version_0/metrics.csv")
    with open(log, newline="") as stream:
        return [float(row["ordering_accuracy"]) for row in csv.DictReader(stream) if row["ordering_accuracy"]]


@pytest.mark.slow
def test_the_weights_of_the_best_epoch_are_saved_not_the_last(encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    held = write_jsonl(tmp_path / "held.jsonl", tier_rows(20, seed=5))
    for number, rate in enumerate(("3e-2", "1e-2", "1e-1", "3e-3")):
        out = tmp_path / f"b{number}"
        more = (
            "--epochs",
            "6",
            "--lr",
            rate,
            "--warmup",
            "0",
            "--validation",
            str(held),
            "--test",
            str(held),
        )
        assert main(command(encoder, data, out, *more)) == 0
        reached = accuracies(out)
        if reached[-1] < max(reached):
            break
    assert len(reached) == 6 and reached[-1] < max(reached), "no rate made the last epoch worse than the best"
    saved = json.loads((out / "evaluation.json").read_text())["overall"]["all"]["ranker"]["accuracy"]
    assert saved == pytest.approx(max(reached), abs=1e-6)


def test_early_stopping_stops(encoder, tmp_path, capsys):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    assert (
        main(command(encoder, data, tmp_path / "b", "--epochs", "30", "--patience", "1", "--lr", "1e-9")) == 0
    )
    assert ", 2 epochs" in capsys.readouterr().out


def test_accumulation_makes_fewer_steps_and_the_schedule_knows(encoder, tmp_path, capsys):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(40))
    assert main(command(encoder, data, tmp_path / "b", "--epochs", "2", "--accumulate", "4")) == 0
    assert "4 steps, 2 epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_another_training_in_the_folder_is_refused_by_its_field(encoder, tmp_path, capsys):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(30))
    work = folder_for(tmp_path / "b")
    assert main(command(encoder, data, tmp_path / "b", "--epochs", "1")) == 0
    shutil.rmtree(tmp_path / "b")
    work.mkdir(exist_ok=True)
    (work / "state.json").write_text(json.dumps({"settings": {"lr": 1.0}}))
    capsys.readouterr()
    assert main(command(encoder, data, tmp_path / "b", "--epochs", "1")) == 2
    assert "differs" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_training_ends_bit_equal_to_an_uninterrupted_one(encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(150))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    more = ("--epochs", "3", "--batch_size", "1")
    run = [sys.executable, "-m", "scar"]
    subprocess.run([*run, *command(encoder, data, whole, *more)], check=True, capture_output=True)
    process = subprocess.Popen([*run, *command(encoder, data, killed, *more)], stderr=subprocess.PIPE)
    last = folder_for(killed) / LAST
    deadline = time.monotonic() + 120
    while not last.is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # into the second epoch
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not killed.exists()
    assert torch.load(last, weights_only=True)["epoch"] == 0, "killed in the second epoch"
    again = subprocess.run(
        [*run, *command(encoder, data, killed, *more)], check=True, capture_output=True, text=True
    )
    assert "going on from the last finished epoch" in again.stderr
    one, two = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    assert all(torch.equal(one[name], two[name]) for name in one) and set(one) == set(two)
    verify(killed)


@pytest.mark.slow
def test_two_processes_train_one_ranker(encoder, tmp_path):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(41))
    flags = (
        "--trainer.devices",
        "2",
        "--trainer.accelerator",
        "cpu",
        "--trainer.strategy",
        "ddp",
        "--epochs",
        "2",
    )
    done = subprocess.run(
        [sys.executable, "-m", "scar", *command(encoder, data, tmp_path / "b", *flags)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ranker = Bundle.open(tmp_path / "b").ranker
    # 33 rows in batches of 4 are 9 steps alone, 5 with two.
    assert ranker["trained_steps"] == 10


def test_a_folder_of_tiers_files_is_training_data_too(encoder, tmp_path):
    (tmp_path / "data").mkdir()
    write_jsonl(tmp_path / "data" / "a.jsonl", tier_rows(20))
    write_jsonl(tmp_path / "data" / "b.jsonl", tier_rows(20, seed=1))
    assert main(command(encoder, tmp_path / "data", tmp_path / "b", "--epochs", "1")) == 0
    assert len(Bundle.open(tmp_path / "b").ranker["data"]["files"]["data"]["sha256"]) == 64


def test_patience_without_rows_to_wait_on_is_refused(encoder, tmp_path, capsys):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(20))
    assert main(command(encoder, data, tmp_path / "b", "--patience", "2", "--validation_share", "0")) == 2
    assert "patience 2: no rows are held out" in capsys.readouterr().err


def test_a_training_that_diverges_is_refused_with_the_remedy(encoder, tmp_path, capsys):
    data = write_jsonl(tmp_path / "tiers.jsonl", tier_rows(20))
    flags = ("--lr", "1e38", "--warmup", "0", "--epochs", "2", "--validation_share", "0")
    assert main(command(encoder, data, tmp_path / "b", *flags)) == 2
    told = capsys.readouterr().err
    assert "the training diverged" in told and "lower lr than 1e+38" in told
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("figures", "kept"), [([0.5, float("nan"), 0.4], 0), ([float("nan"), 0.5, 0.6], 2), ([0.5, 0.5], 0)]
)
def test_an_epoch_whose_figure_is_no_number_is_never_the_best(tmp_path, settings, figures, kept):
    best = KeepBest(tmp_path, "auc")
    learner = Learner(SimpleNamespace(ranker=torch.nn.Linear(1, 1)), settings)
    for epoch, figure in enumerate(figures):
        with torch.no_grad():
            learner.ranker.weight.fill_(epoch)
        trainer = SimpleNamespace(callback_metrics={"auc": figure}, current_epoch=epoch, is_global_zero=True)
        best.on_validation_end(trainer, learner)
    assert (best.epoch, best.best) == (kept, figures[kept])
    assert load_file(tmp_path / BEST)["weight"].item() == kept


def test_the_same_files_read_otherwise_are_another_training(encoder, tmp_path, capsys, monkeypatch):
    rows = [row | {"other": row["responses"]} for row in tier_rows(20)]
    data = write_jsonl(tmp_path / "tiers.jsonl", rows)

    def accident(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("scar.training.style.train.save_bundle", accident)
        main(command(encoder, data, tmp_path / "b", "--epochs", "1"))
    capsys.readouterr()
    assert main(command(encoder, data, tmp_path / "b", "--epochs", "1", "--columns", "responses=other")) == 2
    assert "another unfinished training: reading.columns differs" in capsys.readouterr().err
