"""Which contenders a bundle has, and which are left out."""

import json
import shutil

import pytest

from scar.bundle import GATES, MANIFEST, Bundle, seal
from scar.errors import InputError
from scar.serving.bench import bench, tune
from scar.serving.bench.contenders import Contender, chosen, failed, possible
from scar.settings import BenchSettings
from tests.make import pool_rows, write_jsonl

ONNX, OPENVINO = "onnxruntime/reference/fp32", "openvino/reference/bf16"


def changed(bundle, folder, edit):
    shutil.copytree(bundle, folder)
    edit(folder)
    (folder / MANIFEST).unlink()
    seal(folder)
    return folder


def test_engines_graphs_and_precisions_are_contenders(bundle):
    names = [one.name for one in possible(Bundle.open(bundle), "cpu")]
    assert names == [
        "onnxruntime/fused/fp32",
        ONNX,
        "openvino/fused/fp32",
        "openvino/fused/bf16",
        "openvino/reference/fp32",
        OPENVINO,
    ]


def test_an_int8_graph_runs_on_both_engines_in_int8_alone(bundle, tmp_path):
    made = changed(
        bundle, tmp_path / "b", lambda folder: shutil.copy(folder / "tower.onnx", folder / "tower.int8.onnx")
    )
    names = [one.name for one in possible(Bundle.open(made), "cpu") if one.graph == "int8"]
    assert names == ["onnxruntime/int8/int8", "openvino/int8/int8"]


def test_on_a_card_there_is_no_openvino(bundle):
    engines = {one.engine for one in possible(Bundle.open(bundle), "cuda:0")}
    assert engines == {"onnxruntime", "torch"}


def test_those_asked_for_are_taken_in_that_order(bundle):
    found = possible(Bundle.open(bundle), "cpu")
    assert [one.name for one in chosen(found, [OPENVINO, ONNX])] == [OPENVINO, ONNX]
    assert chosen(found, []) == found
    with pytest.raises(InputError, match="--contenders tpu: no such contender; there are: onnxruntime/fused"):
        chosen(found, ["tpu"])


def test_a_failed_gate_leaves_a_contender_out_until_a_later_one_passes(bundle, tmp_path):
    records = json.loads((bundle / GATES).read_bytes())["records"]
    own = next(record for record in records if record["graph"] == "tower.onnx")

    def edit(folder, passed=False):
        later = {**own, "passed": passed, "reason": "too far"}
        (folder / GATES).write_text(json.dumps({"records": [*records, later]}))

    one = Contender("onnxruntime", "reference", "fp32")
    assert failed(Bundle.open(bundle), one) == ""
    refused = changed(bundle, tmp_path / "b", edit)
    assert failed(Bundle.open(refused), one) == "its gate failed: too far"
    assert failed(Bundle.open(refused), Contender("openvino", "reference", "fp32")) == ""
    passed = changed(bundle, tmp_path / "c", lambda folder: edit(folder, True))
    assert failed(Bundle.open(passed), one) == ""


def test_a_bundle_without_graphs_is_an_error_that_names_the_remedy(bundle, tmp_path):
    def edit(folder):
        for path in folder.glob("*.onnx"):
            path.unlink()

    made = changed(bundle, tmp_path / "b", edit)
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(3))
    for measure in (bench, tune):
        with pytest.raises(InputError, match="has no graphs yet: run `scar export"):
            measure(made, pool, BenchSettings(rows=5))


def test_an_empty_pool_is_an_error(bundle, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", [])
    with pytest.raises(InputError, match="the pool is empty"):
        bench(bundle, pool)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rows": 0}, "--rows"),
        ({"rounds": 0}, "--rounds"),
        ({"every": 0}, "--every"),
        ({"threads": -1}, "--threads"),
    ],
)
def test_settings_are_checked(wrong, told):
    with pytest.raises(InputError, match=told):
        BenchSettings(**wrong)


def test_tuning_is_of_one_contender(bundle, tmp_path):
    with pytest.raises(InputError, match="one contender at a time"):
        tune(bundle, tmp_path, BenchSettings(contenders=(ONNX, OPENVINO)))
