"""`scar gate` as it is typed, on a small trained bundle."""

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from scar.bundle import Bundle, seal, verify
from scar.cli import main
from scar.encoding import PairEncoder
from scar.errors import GateError, InputError
from scar.serving.choice import choose
from scar.serving.engines import has_bf16
from scar.serving.gates.rows import pool_pairs
from scar.serving.gates.sweep import gate_bundle
from scar.settings import Reading, Scoring
from tests.make import pool_rows, write_jsonl
from tests.serving.made import remade

pytest.importorskip("openvino")
needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor multiplies no bf16 numbers")


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", pool_rows(2000))


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def records(folder):
    return json.loads((folder / "gates.json").read_text())["records"]


def test_fp32_passes_on_the_rows_kept_at_training_and_the_record_says_all(copy, capsys):
    before = len(records(copy))
    assert main(["gate", str(copy), "--engine", "openvino", "--precision", "fp32"]) == 0
    shown = capsys.readouterr().out
    assert "Spearman" in shown and shown.count("passed") == 2 and "next: scar score" in shown
    verify(copy)
    found = records(copy)[before:]
    assert [(r["engine"], r["precision"], r["graph"], r["passed"]) for r in found] == [
        ("openvino", "fp32", "tower.onnx", True),
        ("openvino", "fp32", "tower.fused.onnx", True),
    ]
    digests = Bundle.open(copy).digest("tower.onnx", "tower.fused.onnx")
    for record in found:
        assert record["sha256"] == digests[record["graph"]]
        assert record["bytes"] == (copy / record["graph"]).stat().st_size
        assert {"processor", "versions", "device", "batch_dependence"} <= record.keys()
        speed = record["speed"]
        assert speed["tokens_per_second"] > speed["rows_per_second"] > 0
        reference = speed["reference"]["rows_per_second"]
        assert speed["times"] == pytest.approx(speed["rows_per_second"] / reference, rel=0.01)
    assert choose(Bundle.open(copy), Scoring(engine="openvino")).why.startswith(
        "asked for by --engine; its gate"
    )


@pytest.mark.slow
@needs_bf16
def test_a_sweep_judges_all_that_this_machine_has_and_auto_takes_what_passed(copy, pool):
    report = gate_bundle(copy, pool, limit=2000)
    assert [(r["engine"], r["precision"], r["graph"]) for r in report.records] == [
        ("onnxruntime", "fp32", "tower.fused.onnx"),
        ("openvino", "fp32", "tower.onnx"),
        ("openvino", "bf16", "tower.onnx"),
        ("openvino", "fp32", "tower.fused.onnx"),
        ("openvino", "bf16", "tower.fused.onnx"),
    ]
    assert all(r["passed"] and r["real"]["rows"] == 2000 for r in report.records)
    reduced = report.records[2]["real"]
    assert reduced["max_difference"] > report.records[1]["real"]["max_difference"]
    times = {(r["engine"], r["precision"], r["graph"]): r["speed"]["times"] for r in report.records}
    choice = choose(Bundle.open(copy), Scoring())
    best = max(times, key=times.__getitem__)
    assert (choice.engine, choice.precision, choice.graph) == best or times[best] <= 1


@needs_bf16
def test_bf16_on_too_few_rows_is_refused_and_not_used(copy, capsys):
    assert main(["gate", str(copy), "--precision", "bf16"]) == 2
    told = capsys.readouterr().err
    assert "no gate could be run" in told and "at least 2,000 rows" in told and "--rows POOL" in told
    assert records(copy)[-1]["unverified"] and not records(copy)[-1]["passed"]
    assert choose(Bundle.open(copy), Scoring()).precision == "fp32"


@needs_bf16
def test_bf16_of_an_untrained_ranker_is_refused_and_fp32_of_it_is_not(bundle, pool, tmp_path, capsys):
    raw = remade(bundle, tmp_path / "raw", trained_steps=0)
    asked = ["gate", str(raw), "--rows", str(pool), "--engine", "openvino", "--graph", "reference"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert "not judged" in shown and "this one is untrained" in shown
    assert [(r["precision"], r["passed"]) for r in records(raw)[-2:]] == [("fp32", True), ("bf16", False)]


def spoil(folder, graph):
    """Change one weight matrix of a graph, and seal the bundle as if nothing had been."""
    model = onnx.load(folder / graph)
    weight = max((w for w in model.graph.initializer if len(w.dims) == 2), key=lambda w: np.prod(w.dims))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.1), weight.name))
    onnx.save(model, folder / graph)
    seal(folder)


def test_what_fails_by_name_exits_1_with_the_figures_kept_and_is_not_used(copy, capsys):
    spoil(copy, "tower.fused.onnx")
    asked = ["--engine", "onnxruntime", "--graph", "fused"]
    assert main(["gate", str(copy), *asked]) == 1
    assert "no gate passed: onnxruntime fp32 tower.fused.onnx: scores differ" in capsys.readouterr().err
    assert records(copy)[-1]["passed"] is False
    with pytest.raises(InputError, match="did not pass its gate"):
        choose(Bundle.open(copy), Scoring(graph="fused"))
    assert choose(Bundle.open(copy), Scoring()).graph == "tower.onnx"


def test_a_graph_that_an_engine_cannot_read_is_recorded_and_the_sweep_goes_on(copy):
    (copy / "tower.fused.onnx").write_bytes(b"no graph")
    seal(copy)
    found = gate_bundle(copy, asked=Scoring(precision="fp32")).records
    assert [record["passed"] for record in found] == [False, True, False]
    assert all("cannot be run" in found[n]["reason"] for n in (0, 2))
    with pytest.raises(GateError, match="cannot be run"):
        gate_bundle(copy, asked=Scoring(precision="fp32", graph="fused"))


@pytest.mark.slow
def test_the_records_of_a_bundle_that_is_left_alone_go_to_a_file(copy, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    file = tmp_path / "here.json"
    asked = ["gate", str(copy), "--engine", "openvino", "--graph", "reference", "--precision", "fp32"]
    assert main([*asked, "--gates", str(file)]) == 0
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
    assert f"--gates {file}" in capsys.readouterr().out
    assert main([*asked, "--gates", str(file)]) == 0
    assert len(json.loads(file.read_text())["records"]) == 2
    pool = write_jsonl(tmp_path / "p.jsonl", pool_rows(5))
    score = [
        "score",
        str(pool),
        "--ranker",
        str(copy),
        "--out",
        str(tmp_path / "run"),
        "--engine",
        "openvino",
    ]
    capsys.readouterr()
    assert main([*score, "--gates", str(file)]) == 0
    assert "asked for by --engine; its gate passed here" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--limit", "1"], "--limit must be at least 2"),
        (["--rows", "none.jsonl"], "none.jsonl"),
        (["--gates", "none/here.json"], "no such folder"),
        (["--precision", "fp16"], "nothing here to compare"),
        (["--graph", "int8"], "nothing here to compare"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(copy, capsys, flags, told):
    before = records(copy)
    assert main(["gate", str(copy), *flags]) == 2
    shown = capsys.readouterr().err
    assert told in shown.splitlines()[-1]
    assert records(copy) == before


@pytest.mark.parametrize("name", ["gates.json", "machine.json"])
def test_records_in_a_file_inside_the_bundle_would_break_its_manifest(copy, capsys, name):
    assert main(["gate", str(copy), "--gates", str(copy / name)]) == 2
    assert "inside the bundle" in capsys.readouterr().err
    verify(copy)


def test_a_bundle_without_graphs_is_sent_to_the_export(copy, capsys):
    (copy / "tower.onnx").unlink()
    seal(copy)
    assert main(["gate", str(copy)]) == 2
    assert "run `scar export" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_told_and_marks_nothing_as_failed(copy, capsys):
    assert main(["gate", str(copy), "--device", "cuda", "--engine", "onnxruntime"]) == 2
    assert "CUDAExecutionProvider" in capsys.readouterr().err
    assert all(record["passed"] or record.get("unverified") for record in records(copy))


def test_rows_of_a_pool_are_spread_over_its_first_rows(bundle, tmp_path):
    encoder = PairEncoder.of_bundle(Bundle.open(bundle))
    rows = [{"instruction": "what", "response": "a " * (1 + n // 10)} for n in range(100)]
    pool = write_jsonl(tmp_path / "p.jsonl", rows)
    pairs = pool_pairs(encoder, pool, Reading(), 10)
    wanted = [1 + round(n) // 10 for n in np.linspace(0, 79, 10)]
    assert pairs.response_tokens.tolist() == wanted
    with pytest.raises(InputError, match="at least 2 readable rows, there are 1"):
        pool_pairs(encoder, write_jsonl(tmp_path / "one.jsonl", rows[:1]), Reading(), 10)
