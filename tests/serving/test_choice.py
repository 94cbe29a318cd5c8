"""Which graph scores, on which engine, in which precision; and what is said of it."""

import json
import shutil

import pytest

from scar.bundle import Bundle, seal
from scar.cli import main
from scar.errors import InputError
from scar.serving.choice import choose
from scar.serving.gates.records import add_records
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl
from tests.serving.gates.made import record, with_records

pytest.importorskip("openvino")
REFERENCE, FUSED = "tower.onnx", "tower.fused.onnx"


@pytest.fixture(autouse=True)
def bf16_everywhere(monkeypatch):
    """What is chosen does not hang on the processor of the test."""
    monkeypatch.setattr("scar.serving.candidates.has_bf16", lambda: True)


def chosen(bundle, **asked):
    choice = choose(Bundle.open(bundle), Scoring(**asked))
    return choice.engine, choice.precision, choice.graph, choice.why


def test_without_a_gate_of_this_machine_the_fused_graph_of_the_export_is_taken(bundle):
    assert chosen(bundle) == ("onnxruntime", "fp32", FUSED, "its gate passed at export")


def test_the_fastest_that_passed_here_is_taken(bundle, tmp_path):
    copy = with_records(
        bundle,
        tmp_path / "b",
        record(bundle, "openvino", REFERENCE, "fp32", 1.3),
        record(bundle, "openvino", REFERENCE, "bf16", 2.1),
        record(bundle, "onnxruntime", FUSED, "fp32", 1.5),
    )
    why = "its gate passed here, 2.10 times the reference's speed"
    assert chosen(copy) == ("openvino", "bf16", REFERENCE, why)
    assert chosen(copy, precision="fp32")[:3] == ("onnxruntime", "fp32", FUSED)
    assert chosen(copy, engine="openvino", precision="fp32")[:3] == ("openvino", "fp32", REFERENCE)


def test_what_passed_and_is_slower_than_the_reference_is_not_taken(bundle, tmp_path):
    copy = with_records(bundle, tmp_path / "b", record(bundle, "openvino", REFERENCE, "bf16", 0.4))
    assert chosen(copy)[:3] == ("onnxruntime", "fp32", FUSED)


def test_what_was_never_timed_stays_behind_the_reference(bundle, tmp_path):
    copy = with_records(bundle, tmp_path / "b", record(bundle, "openvino", REFERENCE, "bf16"))
    assert chosen(copy)[:3] == ("onnxruntime", "fp32", FUSED)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"processor": {"machine": "x86_64", "features": ["avx2"]}}, "processor"),
        ({"versions": {"scar-rank": "0.1.0", "openvino": "2025.2"}}, "openvino"),
        ({"device": "cuda"}, "device"),
    ],
)
def test_reduced_precision_of_another_machine_does_not_count_and_that_is_said(
    bundle, tmp_path, changed, named
):
    other = record(bundle, "openvino", REFERENCE, "bf16", 2.1, **changed)
    copy = with_records(bundle, tmp_path / "b", other)
    *what, why = chosen(copy)
    assert what == ["onnxruntime", "fp32", FUSED]
    assert f"gates passed with another {named} do not count: run `scar gate`" in why
    with pytest.raises(
        InputError, match=f"only one with another {named}: run `scar gate .* --precision bf16`"
    ):
        chosen(copy, precision="bf16")


def test_another_graph_of_the_same_name_has_no_record(bundle, tmp_path):
    other = record(bundle, "openvino", REFERENCE, "bf16", 2.1, sha256="0" * 64)
    assert chosen(with_records(bundle, tmp_path / "b", other))[:2] == ("onnxruntime", "fp32")


def test_a_newer_failure_beats_an_older_pass_and_the_other_way_round(bundle, tmp_path):
    passed = record(bundle, "openvino", REFERENCE, "bf16", 2.1)
    failed = passed | {"passed": False, "reason": "Spearman is 0.9"}
    fell = with_records(bundle, tmp_path / "fell", passed, failed)
    *what, why = chosen(fell)
    assert what == ["onnxruntime", "fp32", FUSED]
    assert "openvino bf16 tower.onnx is not used: Spearman is 0.9" in why
    with pytest.raises(
        InputError, match=r"bf16 tower.onnx did not pass its gate: Spearman is 0.9; see gates.json"
    ):
        chosen(fell, precision="bf16")
    assert chosen(with_records(bundle, tmp_path / "rose", failed, passed))[1] == "bf16"


def test_what_could_not_be_judged_changes_nothing(bundle, tmp_path):
    passed = record(bundle, "openvino", REFERENCE, "bf16", 2.1)
    unverified = passed | {"passed": False, "unverified": True, "reason": "too few rows"}
    assert chosen(with_records(bundle, tmp_path / "a", passed, unverified))[1] == "bf16"
    # Not even one that calls itself passed.
    loud = with_records(bundle, tmp_path / "b", unverified | {"passed": True})
    assert chosen(loud)[1] == "fp32"
    with pytest.raises(InputError, match="there is none: run `scar gate"):
        chosen(loud, precision="bf16")


def test_reduced_precision_that_was_asked_for_needs_a_record(bundle):
    with pytest.raises(
        InputError, match="openvino bf16 tower.onnx needs a gate that passed here, and there is none"
    ):
        chosen(bundle, engine="openvino", precision="bf16")


def test_fp32_on_another_engine_runs_without_a_record_and_says_so(bundle):
    *what, why = chosen(bundle, engine="openvino")
    assert what == ["openvino", "fp32", REFERENCE]
    assert why.startswith("asked for; no gate record on this machine: run `scar gate")


def test_fp32_on_another_engine_that_failed_is_refused(bundle, tmp_path):
    failed = record(bundle, "openvino", REFERENCE, "fp32", passed=False, reason="scores differ by up to 1")
    copy = with_records(bundle, tmp_path / "b", failed)
    with pytest.raises(
        InputError, match="openvino fp32 tower.onnx did not pass its gate: scores differ by up to 1"
    ):
        chosen(copy, engine="openvino")


def test_the_export_of_another_machine_counts_for_fp32_on_onnx_runtime_but_not_its_speed(bundle, tmp_path):
    elsewhere = {"processor": {"machine": "arm64", "features": []}}
    copy = with_records(
        bundle,
        tmp_path / "b",
        record(bundle, "onnxruntime", FUSED, "fp32", 9.0) | elsewhere,
        record(bundle, "openvino", REFERENCE, "fp32", 1.2),
    )
    assert chosen(copy)[:2] == ("openvino", "fp32")
    assert chosen(copy, graph="fused")[:3] == ("onnxruntime", "fp32", FUSED)


def dynamic(bundle, folder):
    """Give a bundle with a graph whose scores depend on batch mates, and passed."""
    shutil.copytree(bundle, folder)
    shutil.copy(folder / REFERENCE, folder / "tower.dynamic.onnx")
    seal(folder)
    written = record(folder, "onnxruntime", "tower.dynamic.onnx", "int8", 3.0)
    assert written["batch_dependent"]
    add_records(Bundle.open(folder), [written])
    return folder


def test_a_graph_that_depends_on_batch_mates_is_taken_by_name_alone(bundle, tmp_path):
    copy = dynamic(bundle, tmp_path / "b")
    assert chosen(copy)[:3] == ("onnxruntime", "fp32", FUSED)
    assert chosen(copy, graph="dynamic")[:3] == ("onnxruntime", "int8", "tower.dynamic.onnx")


def test_a_processor_without_bf16_is_offered_none(bundle, tmp_path, monkeypatch):
    copy = with_records(bundle, tmp_path / "b", record(bundle, "openvino", REFERENCE, "bf16", 2.1))
    monkeypatch.setattr("scar.serving.candidates.has_bf16", lambda: False)
    assert chosen(copy)[1] == "fp32"
    with pytest.raises(
        InputError, match="nothing here runs .* with --precision bf16 --device cpu: `scar doctor"
    ):
        chosen(copy, precision="bf16")


def test_an_engine_that_is_not_installed_names_its_extra(bundle, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    monkeypatch.setattr(
        "scar.serving.candidates.find_spec", lambda name: None if name == "openvino" else name
    )
    with pytest.raises(InputError, match=r"pip install 'scar-rank\[openvino\]'"):
        chosen(bundle, engine="openvino")


def test_both_wheels_of_onnx_runtime_are_refused(monkeypatch):
    from scar.serving.engines.onnx import onnxruntime

    monkeypatch.setattr("scar.serving.engines.onnx.version_of", lambda wheel: "1.31")
    with pytest.raises(InputError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        onnxruntime()


def test_a_file_of_records_counts_beside_those_of_the_bundle(bundle, tmp_path):
    file = tmp_path / "gates.json"
    add_records(Bundle.open(bundle), [record(bundle, "openvino", REFERENCE, "bf16", 2.1)], file)
    assert chosen(bundle, gates=str(file))[:2] == ("openvino", "bf16")
    assert chosen(bundle)[:2] == ("onnxruntime", "fp32")


def test_a_file_of_records_of_another_bundle_is_refused(bundle, tmp_path):
    file = tmp_path / "gates.json"
    add_records(Bundle.open(bundle), [record(bundle, "openvino", REFERENCE, "bf16", 2.1)], file)
    told = json.loads(file.read_text())
    told["records"][0]["ranker"] = "0" * 64
    file.write_text(json.dumps(told))
    with pytest.raises(InputError, match="holds no record of .*: scar gate"):
        chosen(bundle, gates=str(file))
    for damaged in ("[]", "{}", '{"records": [1]}', "{"):
        file.write_text(damaged)
        with pytest.raises(InputError, match="gates.json"):
            chosen(bundle, gates=str(file))
    with pytest.raises(InputError, match="missing"):
        chosen(bundle, gates=str(tmp_path / "none.json"))


def test_the_choice_is_printed_and_stored_with_its_reason(bundle, tmp_path, capsys):
    pool, run = write_jsonl(tmp_path / "p.jsonl", pool_rows(5)), tmp_path / "run"
    arguments = ["score", str(pool), "--ranker", str(bundle), "--out", str(run), "--engine", "openvino"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert (
        "engine: openvino fp32, tower.onnx (asked for; no gate record on this machine: run `scar gate"
        in shown
    )
    stored = json.loads((run / "run.json").read_text())["choice"]["style"]
    assert (stored["engine"], stored["graph"]) == ("openvino", REFERENCE) and "scar gate" in stored["why"]
