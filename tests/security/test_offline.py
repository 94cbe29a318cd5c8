"""The network is used where a command names something behind it, and nowhere else."""

import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.make import labelled_rows, pool_rows, read_jsonl, tier_rows, write_jsonl
from tests.security.children import Child


@pytest.fixture
def child(tmp_path, encoder):
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copytree(encoder, folder / "encoder")
    write_jsonl(folder / "tiers.jsonl", tier_rows(24, source="made"))
    write_jsonl(folder / "labels.jsonl", labelled_rows(60))
    write_jsonl(folder / "pool.jsonl", pool_rows(30))
    return Child(folder, shut=True)


TRAIN = ["--encoder", "encoder", "--max_tokens", "32", "--epochs", "1", "--batch_size", "8"]
UNSEEN = ["--encoder", "encoder", "--max_tokens", "32", "--folds", "2"]


@pytest.mark.slow
def test_the_whole_way_asks_nothing_of_the_network(child):
    child.scar("train", "style", "--data", "tiers.jsonl", "--out", "style", "--head_width", "16", *TRAIN)
    child.scar("export", "style")
    child.scar("gate", "style", "--rows", "pool.jsonl", "--precision", "fp32")
    child.scar("doctor", "style")
    child.scar("inspect", "pool.jsonl", "--ranker", "style")
    child.scar("score", "pool.jsonl", "--ranker", "style", "--out", "run")
    child.scar(
        "score", "pool.jsonl", "--ranker", "style", "--out", "run2", "--workers", "2", "--chunk_rows", "8"
    )
    if find_spec("openvino"):
        child.scar("score", "pool.jsonl", "--ranker", "style", "--out", "run3", "--engine", "openvino")
    child.scar("score", "pool.jsonl", "--ranker", "style", "--out", "run4", "--engine", "torch")
    child.scar("status", "run")
    child.scar("verify", "run")
    child.scar("select", "run", "--top", "5", "--out", "kept.jsonl")
    child.scar("eval", "style", "tiers.jsonl")
    child.scar("calibrate", "style", "--reference", "pool.jsonl")
    child.scar("export", "style", "--to-hub-folder", "hub")
    child.scar("import", "hub", "--out", "back")
    child.scar("tiers", "ask", "pool.jsonl", "--model", "m", "--out", "requests.jsonl")
    child.scar("train", "quality", "--data", "labels.jsonl", "--out", "quality", *TRAIN)
    child.scar("train", "unseen", "--seen", "pool.jsonl", "--pool", "labels.jsonl", "--out", "u", *UNSEEN)
    assert len(read_jsonl(child.folder / "kept.jsonl")) == 5
    assert not child.asked.exists(), child.asked.read_text()


@pytest.mark.slow
def test_a_name_that_is_nowhere_asks_the_network_and_is_told_so(child):
    """Where a name can only be one of the hub, the hub is asked: the watch sees it, so it would see anything else."""
    told = child.scar(
        "train", "style", "--data", "tiers.jsonl", "--out", "s", "--encoder", "some/where", code=2
    )
    assert "not to be had from the hub" in told
    assert "huggingface.co" in child.asked.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no-such-folder", "encoder/no", "./some/where"])
def test_a_mistyped_path_asks_nothing(name, child):
    child.scar("score", name, "--ranker", "no-such-bundle", "--out", "run", code=2)
    child.scar("inspect", name, code=2)
    assert not child.asked.exists()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_no_library_asks_below_python(bundle, tmp_path):
    """What a library does in C is seen by the system calls alone; the watch would stop what comes before them."""
    (tmp_path / "work").mkdir()
    child = Child(tmp_path / "work")
    write_jsonl(child.folder / "pool.jsonl", pool_rows(30))
    ask = "import socket; socket.socket().connect_ex(('127.0.0.1', 1))"
    assert traced(child, "-c", ask), "the trace sees what it looks for"
    program = "import sys; from scar.cli import main; sys.exit(main(sys.argv[1:]))"
    for engine in ["onnxruntime", "torch", *(["openvino"] if find_spec("openvino") else [])]:
        words = ["score", "pool.jsonl", "--ranker", str(bundle), "--out", f"run-{engine}", "--engine", engine]
        assert traced(child, "-c", program, *words) == []
    # Nor does one keep an identity of this user: ONNX Runtime and OpenVINO do, of themselves.
    assert [path for path in (tmp_path / "work.home").rglob("*") if path.is_file()] == []


def traced(child, *words):
    """Run Python; gives the system calls of it, and of all that it starts, that go to another machine."""
    trace = child.folder / "trace"
    watch = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace), sys.executable]
    done = subprocess.run(
        [*watch, *words], cwd=child.folder, env=child.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line for line in trace.read_text().splitlines() if "sa_family=AF_INET" in line]
