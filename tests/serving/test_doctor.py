"""`scar doctor`: what it says of this machine is what is there."""

import json
import os
import subprocess
import sys

import pytest

from scar.bundle import Bundle
from scar.cli import main
from scar.serving.choice import choose
from scar.serving.doctor import missing_extras
from scar.settings import Scoring
from tests.serving.gates.made import record, with_records


def test_it_tells_engines_processors_and_memory(capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for told in (
        "engine onnxruntime",
        "CPUExecutionProvider",
        "engine openvino",
        "processor",
        "threads",
        "GiB",
    ):
        assert told in shown


def test_json_tells_the_same_by_name(capsys):
    import onnxruntime

    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["engines"]["onnxruntime"]["providers"] == onnxruntime.get_available_providers()
    assert told["engines"]["onnxruntime"]["versions"] == {"onnxruntime": onnxruntime.__version__}
    assert told["processors"]["affinity"] == len(os.sched_getaffinity(0))
    assert 1 <= told["processors"]["threads"] <= told["processors"]["affinity"]
    assert told["memory_available"] > 2**20
    assert told["bundle"] is None


def test_of_a_bundle_it_tells_what_auto_would_choose_and_every_gate(bundle, tmp_path, capsys):
    pytest.importorskip("openvino")
    failed = record(bundle, "openvino", "tower.onnx", "fp32", passed=False, reason="scores differ by up to 1")
    copy = with_records(bundle, tmp_path / "b", failed)
    assert main(["doctor", str(copy)]) == 0
    shown = capsys.readouterr().out
    choice = choose(Bundle.open(copy), Scoring())
    assert f"auto: onnxruntime fp32 tower.fused.onnx ({choice.why})" in shown
    assert "failed here: scores differ by up to 1" in shown and "passed here" in shown
    assert main(["doctor", str(copy), "--json"]) == 0
    ways = json.loads(capsys.readouterr().out)["bundle"]["ways"]
    gates = {(way["engine"], way["precision"], way["graph"]): way["gate"] for way in ways}
    assert gates["openvino", "fp32", "tower.fused.onnx"] == "no record"


def test_a_bundle_that_auto_cannot_run_is_told_why(bundle, capsys):
    assert main(["doctor", str(bundle), "--device", "tensorrt"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "needs a gate that passed here, and there is only one with another device" in told


def test_what_is_no_bundle_exits_2(tmp_path, capsys):
    assert main(["doctor", str(tmp_path / "none")]) == 2
    assert "no such bundle" in capsys.readouterr().err


def test_missing_packages_are_told_by_extra(monkeypatch):
    wanted = [
        "numpy>=1",
        "onnxruntime>=1.22; extra == 'cpu'",
        'torch>=2.10; extra == "train"',
        "x; extra == 'dev'",
    ]
    monkeypatch.setattr("scar.serving.doctor.requires", lambda name: wanted)
    monkeypatch.setattr("scar.serving.doctor.version_of", lambda name: "1" if name == "onnxruntime" else None)
    assert missing_extras() == {"train": ["torch"]}


def test_two_wheels_of_onnx_runtime_are_a_problem_that_is_told(monkeypatch, capsys):
    monkeypatch.setattr("scar.serving.engines.onnx.version_of", lambda wheel: "1.31")
    assert main(["doctor"]) == 0
    assert "are both installed" in capsys.readouterr().out


def test_an_engine_that_is_missing_names_its_extra(monkeypatch, capsys):
    monkeypatch.setattr("scar.serving.doctor.installed", lambda name: name != "openvino")
    assert main(["doctor"]) == 0
    assert "not installed: pip install 'scar-rank[openvino]'" in capsys.readouterr().out


def test_it_loads_neither_torch_nor_openvino():
    code = "import sys; from scar.cli import main; main(['doctor'])\n"
    code += "print([name for name in ('torch', 'openvino') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_device_that_is_none_exits_2(capsys):
    assert main(["doctor", "--device", "abacus"]) == 2
    assert "--device abacus: give cpu" in capsys.readouterr().err
