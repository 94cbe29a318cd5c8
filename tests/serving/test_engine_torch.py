"""The torch engine: the ranker itself in place of its graph, several batches under way, and what it refuses."""

import subprocess
import sys

import numpy as np
import pytest

from scar.bundle import GATE_ROWS, Bundle
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.serving.engines import Runtime
from scar.serving.engines.pytorch import Torch, open_torch
from scar.serving.gates import load_gate_rows
from scar.serving.models import load_model

KINDS = ["bundle", "quality_bundle"]


def model_of(folder, runtime):
    bundle = Bundle.open(folder)
    pad_id = PairEncoder.of_bundle(bundle).settings.pad_id
    return load_model(
        folder, bundle.graphs, bundle.graphs.reference, pad_id=pad_id, batch_tokens=256, runtime=runtime
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_ranker_itself_scores_as_its_graph_does(kind, request):
    folder = request.getfixturevalue(kind)
    pairs = load_gate_rows(folder / GATE_ROWS)
    model = model_of(folder, Runtime("torch"))
    assert (model.engine, model.precision) == ("torch", "fp32")
    wanted = model_of(folder, Runtime("onnxruntime")).score(pairs)
    assert np.abs(model.score(pairs) - wanted).max() <= 1e-5 * max(1, np.abs(wanted).max())


def test_the_engine_says_how_it_attends(bundle):
    tower, head = open_torch(bundle, "fp32", "cpu")
    assert (tower.unpadded, tower.attention) == (True, "padded_attention")
    assert head.precision == "fp32"


def test_results_come_in_order_and_few_batches_are_under_way():
    started, waited = [], []

    def launch(outputs, feeds):
        started.append(feeds["number"])
        return lambda: waited.append(feeds["number"]) or [feeds["number"]]

    engine = Torch(launch, "fp32", "none", unpadded=True)
    for number, (result,) in enumerate(engine.stream(["x"], ({"number": n} for n in range(9)))):
        assert result == number == waited[-1]
        assert len(started) <= number + 2
        assert number == 8 or len(started) > number + 1, "the next batch waits for this one's result"
    assert list(engine.stream(["x"], [])) == []
    assert engine.run(["x"], {"number": 5}) == [5]


@pytest.mark.parametrize(
    ("precision", "device", "told"),
    [
        ("int8", "cpu", "--precision int8: the torch engine has fp32, bf16, fp16"),
        ("bf16", "cpu", "--precision bf16: on the cpu the torch engine has fp32; use --device cuda"),
        ("fp32", "tensorrt", "--device tensorrt: the torch engine runs on cuda"),
        ("fp32", "cuda:x", "--device cuda:x: the torch engine runs on cuda"),
    ],
)
def test_what_the_engine_does_not_have_is_told_in_a_line(bundle, precision, device, told):
    with pytest.raises(InputError, match=told) as error:
        open_torch(bundle, precision, device)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_not_replaced_by_the_cpu(bundle, device):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match=f"--device {device}: torch .* finds no CUDA device"):
        open_torch(bundle, "bf16", device)


def test_without_the_train_extra_the_extra_is_named(tmp_path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from scar.errors import InputError\n"
        "from scar.serving.engines.pytorch import open_torch\n"
        "try: open_torch(Path('b'), 'fp32', 'cpu')\n"
        "except InputError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "--engine torch: torch is not installed: pip install 'scar-rank[train]'\n"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_scores_as_the_cpu_does(kind, precision, request):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    folder = request.getfixturevalue(kind)
    pairs = load_gate_rows(folder / GATE_ROWS)
    wanted = model_of(folder, Runtime("torch")).score(pairs)
    got = model_of(folder, Runtime("torch", precision, "cuda")).score(pairs)
    assert np.abs(got - wanted).max() <= (1e-4 if precision == "fp32" else 0.1) * wanted.std()
