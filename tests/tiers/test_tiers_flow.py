"""The whole loop against a server on this machine: human answers in, a trained ranker out."""

import pytest

from scar.cli import main
from tests.make import pool_rows, read_jsonl, write_jsonl
from tests.tiers.server import serving


def scar(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """Ask, send and join 20 human answers; gives the folder and the server."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(20))
    one, two, replies = tmp_path / "one.jsonl", tmp_path / "two.jsonl", tmp_path / "replies.jsonl"
    with serving("500") as server:
        monkeypatch.setattr("scar.tiers.retry.FIRST_WAIT", 0.01)
        scar("tiers", "ask", pool, "--model", "m", "--out", one)
        scar("tiers", "run", one, "--out", replies, "--base-url", server.url)
        scar("tiers", "ask", pool, "--model", "m", "--replies", replies, "--out", two)
        scar("tiers", "run", two, "--out", replies, "--base-url", server.url)
    scar("tiers", "join", pool, replies, "--out", tmp_path / "tiers.jsonl")
    return tmp_path


@pytest.mark.slow
def test_human_answers_become_a_tiers_file(loop):
    rows = read_jsonl(loop / "tiers.jsonl")
    assert len(rows) == 20 and len(read_jsonl(loop / "replies.jsonl")) == 20 * 8
    assert all(
        set(row["responses"]) == set(row["quality"]) == {"direct", "referenced", "human"} for row in rows
    )
    assert [row["source"] for row in rows] == [row["source"] for row in pool_rows(20)]
    assert read_jsonl(loop / "tiers.jsonl.missing.jsonl") == []
    assert not any(b"sk-secret" in path.read_bytes() for path in loop.iterdir())


@pytest.mark.slow
def test_a_ranker_trains_on_it(loop, encoder):
    scar(
        *("train", "style", "--data", loop / "tiers.jsonl", "--out", loop / "ranker", "--encoder", encoder),
        *("--max-tokens", "32", "--head-width", "16", "--trainer.max_steps", "2"),
    )
    assert (loop / "ranker" / "model.safetensors").is_file()
