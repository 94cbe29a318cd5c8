"""Graphs from strangers: what is more than a graph is refused before an engine sees it, and nothing crashes."""

import os
import random
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
import torch

from scar.bundle import MODEL
from scar.cli import main
from scar.errors import InputError
from scar.serving.candidates import installed
from scar.serving.engines import Runtime
from scar.serving.engines.graph_file import MOST_FIELDS, GraphError, check_graph
from tests.make import pool_rows, write_jsonl
from tests.security import hostile_graphs as hostile
from tests.serving.made import remade, sines

ENGINES = [name for name in ("onnxruntime", "openvino") if installed(name)]


@pytest.fixture
def folder(tmp_path):
    """A bundle's folder beside a file that is none of its business, with links to that file inside."""
    secret = tmp_path / "x"
    secret.write_bytes(np.float32([7]).tobytes())
    inside = tmp_path / "bundle"
    inside.mkdir()
    (inside / "plain.bin").write_bytes(secret.read_bytes())
    (inside / "link").symlink_to(secret)
    os.link(secret, inside / "hard")
    return inside


def written(folder, model):
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def refused(path, reason="refused", engines=ENGINES):
    for engine in engines:
        with pytest.raises(GraphError, match=reason) as error:
            Runtime(engine, threads=1).open(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize("location", hostile.PATHS)
def test_data_in_another_file_is_refused_wherever_that_file_is(folder, location):
    refused(written(folder, hostile.in_initializer(hostile.external(location))), "data outside of the file")


@pytest.mark.parametrize("hide", hostile.HIDDEN, ids=lambda hide: hide.__name__)
def test_data_in_another_file_is_found_wherever_it_is_named(folder, hide):
    refused(written(folder, hide(hostile.external("plain.bin"))))


@pytest.mark.parametrize(
    "more", [{"length": 1 << 62}, {"length": -1}, {"offset": 1 << 40}, {"checksum": "a"}]
)
def test_whatever_length_or_offset_it_names(folder, more):
    refused(written(folder, hostile.in_initializer(hostile.external("plain.bin", **more))), "outside")


def test_a_mark_without_a_place_or_a_place_without_a_mark_is_refused_too(folder):
    mark, place = hostile.external(), hostile.external()
    del mark.external_data[:]
    place.ClearField("data_location")
    for tensor in (mark, place):
        refused(written(folder, hostile.in_initializer(tensor)), "data outside of the file")


@pytest.mark.parametrize(
    "made",
    [
        hostile.operator("evil", "Run"),
        hostile.operator("evil", "Run", imported=False),
        hostile.operator("ai.onnx.contrib", "PyOp"),
        hostile.operator("com.microsoft.extensions", "OpenAIChat"),
        hostile.operator("com.microsoft", "EPContext", ep_cache_context="../engine.bin", embed_mode=0),
        hostile.operator("com.microsoft", "PythonOp", func_name="os.system"),
        hostile.endless(),
        hostile.laughs(),
    ],
    ids=[
        "domain",
        "not imported",
        "python",
        "network",
        "engine file",
        "python of training",
        "loop",
        "functions",
    ],
)
def test_operators_that_no_ranker_needs_are_refused(folder, made):
    refused(written(folder, made), "refused: it (wants|has)")


def test_an_imported_domain_alone_is_refused(folder):
    made = hostile.model()
    made.opset_import.append(onnx.helper.make_opsetid("evil", 1))
    refused(written(folder, made), "operators of 'evil'")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"no graph at all", "refused"),
        (b"\x08\x09", "no graph"),
        (b"\0\0\0\0ORTM" + b"\0" * 64, "own format"),
        (sines()[:-1], "longer than what holds it"),
        (sines() + b"\x3a\xff\xff\xff\xff\x0f", "longer than what holds it"),
        (sines() + b"\x3a" + b"\xff" * 12, "does not end"),
        (sines() + b"\x3b\x3c", "no known type"),
        (sines() + b"\x38\x01", "another type"),
        (sines() + b"\x02\x00", "no possible number"),
        (hostile.nested(2_000), "inside of each other"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_what_is_no_whole_file_is_refused(folder, data, reason):
    refused(written(folder, data), reason)


def test_a_file_of_very_many_parts_takes_seconds_not_minutes(folder):
    path = written(folder, sines() + b"\xa0\x06\x00" * (MOST_FIELDS + 1))
    started = time.perf_counter()
    refused(path, "more than 2,000,000 fields", ENGINES[:1])
    assert time.perf_counter() - started < 20


def test_what_an_engine_refuses_is_an_error_of_one_line(folder):
    made = hostile.model()
    made.graph.node[0].op_type = "NoSuchOperator"
    refused(written(folder, made), "cannot open the graph")


def test_our_own_graphs_pass(bundle, quality_bundle):
    graphs = [*bundle.glob("*.onnx"), *quality_bundle.glob("*.onnx")]
    assert len(graphs) == 5
    for path in graphs:
        check_graph(path)
        held = onnx.load(path, load_external_data=False)
        assert not any(tensor.external_data for tensor in held.graph.initializer)


def test_a_command_tells_it_in_one_line(quality_bundle, folder, tmp_path, capsys):
    made = hostile.in_initializer(hostile.external("/etc/hostname")).SerializeToString()
    bad = remade(quality_bundle, tmp_path / "bad", graph=made)
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(3))
    assert main(["score", str(pool), "--ranker", str(bad), "--out", str(tmp_path / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{bad / MODEL}: refused: it has data outside of the file" in line


def mutated(data, number):
    """Flip bits of a file, cut it, or put bytes of it elsewhere; the same for the same number."""
    rng, data = random.Random(number), bytearray(data)
    kind = rng.choice(["flip", "flip", "flip", "cut", "move", "insert"])
    at = rng.randrange(len(data))
    if kind == "flip":
        for _ in range(rng.choice([1, 1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "move":
        data[at : at + 16] = data[rng.randrange(len(data)) :][:16]
    else:
        data[at:at] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


MUTATED = 100
"""Of each of two graphs: one that is mostly weights, and one that is none."""
CHILD = """
import resource, sys
from pathlib import Path
from scar.bundle import MANIFEST, MODEL, seal
from scar.errors import InputError, RunError
from scar.serving.scorer import Scorer
from scar.settings import Scoring
from tests.make import pool_rows
from tests.security.test_graphs import MUTATED, mutated
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
folder, rows = Path(sys.argv[1]), pool_rows(3)
whole = (folder / MODEL).read_bytes()
for number in range(MUTATED):
    (folder / MODEL).write_bytes(mutated(whole, number))
    seal(folder)
    print(number, end=" ", flush=True)
    try:
        print("scored", Scorer.load(folder, Scoring(engine=sys.argv[2], threads=1)).score(rows), flush=True)
    except (InputError, RunError) as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("graph", [sines(), None], ids=["bare", "trained"])
def test_two_hundred_damaged_graphs_are_refused_or_score_and_nothing_crashes(
    quality_bundle, tmp_path, graph, engine
):
    folder = remade(quality_bundle, tmp_path / "b", graph=graph)
    (folder / "model.fused.onnx").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), engine], capture_output=True, text=True, timeout=300
    )
    # ONNX Runtime and OpenVINO write lines of their own.
    told = [line for line in done.stdout.splitlines() if line.split(" ")[0].isdigit()]
    assert done.returncode == 0, (done.returncode, told[-1:], done.stderr[-2000:])
    assert len(told) == MUTATED
    assert sum("Error" in line for line in told) > MUTATED // 20


def test_a_ranker_that_one_file_cannot_hold_is_refused_before_it_is_exported(tmp_path):
    from scar.training.graphs import write_graphs

    large = torch.nn.Linear(1 << 15, 1 << 14, device="meta")
    with pytest.raises(
        InputError, match=r"weights are 2\.1 GB in fp32, and an ONNX file holds 2 GB: export a smaller"
    ):
        write_graphs(large, tmp_path, token_types=False)
    assert not any(tmp_path.iterdir())
