"""The whole benchmark on a tiny bundle, as it is typed."""

import json

import numpy as np
import pytest

from scar.bundle import Bundle
from scar.cli import main
from scar.errors import RunError
from scar.serving.bench.job import Job, timed
from scar.serving.bench.peers import installed
from scar.serving.bench.work import encoded_lengths
from scar.serving.scorer import Scorer
from scar.settings import Reading
from tests.make import pool_rows, write_jsonl

REFERENCE, FUSED = "onnxruntime/reference/fp32", "onnxruntime/fused/fp32"


@pytest.fixture
def pool(tmp_path):
    return write_jsonl(tmp_path / "pool.jsonl", pool_rows(40))


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("scar.serving.bench.peak.SECONDS", 0.01)
    monkeypatch.setattr("scar.serving.bench.peak.SIZES", (64,))


@pytest.mark.slow
def test_a_job_is_a_run_in_a_process_of_its_own(bundle, pool, tmp_path):
    timing = timed(Job(str(bundle), str(pool), scoring={"chunk_rows": 16}), tmp_path / "job")
    assert timing.rows == 40 and timing.chunks == (16, 16, 8) and timing.settings["chunk_rows"] == 16
    lengths = encoded_lengths(Bundle.open(bundle), pool, timing.chunks, reading=Reading())
    assert timing.tokens == lengths.sum() and timing.padded >= timing.tokens
    assert timing.peak > 50 << 20
    expected = Scorer.load(bundle).score(pool_rows(40))
    assert np.allclose(np.load(tmp_path / "job" / "scores.npy"), expected, atol=1e-6)


@pytest.mark.slow
def test_a_job_that_fails_says_why(tmp_path, pool):
    with pytest.raises(RunError, match="no such bundle"):
        timed(Job(str(tmp_path / "none"), str(pool)), tmp_path / "job")


@pytest.mark.slow
def test_the_command_times_contenders_and_ways(bundle, tmp_path, quick, capsys):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(150))
    out = tmp_path / "figures.json"
    flags = ["--contenders", f"{FUSED},{REFERENCE}", "--rounds", "2", "--rows", "120", "--json", str(out)]
    assert main(["bench", str(bundle), str(pool), *flags]) == 0
    told, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert [one["name"] for one in told["contenders"]] == [
        FUSED,
        REFERENCE,
        f"{FUSED}, in order of arrival",
        f"{FUSED}, each text anew",
    ]
    assert all(one["rows"] == 120 and len(one["seconds"]) == 2 for one in told["contenders"])
    fused, _, arrival, anew = told["contenders"]
    assert fused["padding"] < arrival["padding"] and 0 < fused["share_of_peak"]["median"]
    assert fused["settings"]["batch_tokens"] > 0
    assert [gain["over"] for gain in told["gains"]] == [arrival["name"], anew["name"]]
    assert all(gain["scores_differ"] < 1e-4 for gain in told["gains"])
    assert FUSED in shown and "in order of arrival" in shown and "GFLOP/s" in shown
    assert main(["bench", str(bundle), str(pool), *flags]) == 2  # the figures exist


@pytest.mark.slow
def test_the_command_tunes(bundle, pool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("scar.serving.bench.tuning.AROUND", (1 / 128, 1))
    flags = ["--tune", "--contenders", REFERENCE, "--rounds", "1", "--json", str(tmp_path / "t.json")]
    assert main(["bench", str(bundle), str(pool), *flags]) == 0
    told = json.loads((tmp_path / "t.json").read_text())
    own = told["default"]
    grid = {(cell["batch_tokens"], cell["chunk_rows"]) for cell in told["cells"]}
    assert {(own["batch_tokens"] // 128, own["chunk_rows"]), tuple(own.values())} <= grid
    assert {chunk for _, chunk in grid} == {16, own["chunk_rows"]}, "more rows than there are make one chunk"
    assert "batch_tokens" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "peer"), [("bundle", "scar-tool"), ("quality_bundle", "cross-encoder")])
def test_a_peer_scores_every_so_manieth_record(kind, peer, pool, tmp_path, request):
    if not installed(peer):
        pytest.skip(f"{peer} is not installed")
    job = Job(str(request.getfixturevalue(kind)), str(pool), way=peer, every=3, batch_size=8)
    timing = timed(job, tmp_path / "job")
    assert timing.rows == 14 and timing.seconds > 0 and timing.tokens == 0


def test_a_peer_that_is_not_installed_is_said(bundle, tmp_path, monkeypatch):
    from scar.serving.bench.course import Course
    from scar.settings import BenchSettings

    monkeypatch.setattr("scar.serving.bench.peers.find_spec", lambda name: None)
    course = Course(Bundle.open(bundle), tmp_path, BenchSettings(), Reading())
    assert course.peer() == ({}, "scar-tool: not installed (style_ranker), so not timed")
