"""The whole path on a tiny encoder: train, export, score, select, filter, eval, through the command line."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import scar
from scar.cli import main
from tests.make import pool_rows, read_jsonl, tier_rows, write_jsonl


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", pool_rows(70))


@pytest.fixture(scope="module")
def run(tmp_path_factory, bundle, pool):
    out = tmp_path_factory.mktemp("run") / "run"
    assert (
        main(
            [
                "score",
                str(pool),
                "--ranker",
                str(bundle),
                "--out",
                str(out),
                "--carry",
                "source",
                "--chunk_rows",
                "32",
            ]
        )
        == 0
    )
    return out


def test_the_ranker_learned_to_order_tiers(bundle, tmp_path):
    data = write_jsonl(tmp_path / "fresh.jsonl", tier_rows(20, seed=9))
    assert main(["eval", str(bundle), str(data), "--json", str(tmp_path / "e.json")]) == 0
    result = json.loads((tmp_path / "e.json").read_text())
    assert result["overall"]["all"]["ranker"]["accuracy"] > 0.8


def test_score_gives_what_the_python_api_gives(run, pool, bundle):
    table = pq.read_table(run / "chunks")
    direct = scar.Scorer.load(bundle).score(read_jsonl(pool))
    np.testing.assert_allclose(table["style"].to_numpy(), direct, atol=1e-5)
    assert table["row"].to_pylist() == list(range(70))
    assert table["line"].to_pylist() == list(range(1, 71))
    assert table["source"].to_pylist() == [row["source"] for row in read_jsonl(pool)]


def test_select_keeps_the_best_rows_as_they_were(run, pool, tmp_path):
    out = tmp_path / "kept.jsonl"
    assert main(["select", str(run), "--top", "10", "--out", str(out)]) == 0
    kept, rows = read_jsonl(out), read_jsonl(pool)
    scores = pq.read_table(run / "chunks")["style"].to_numpy()
    best = sorted(np.argsort(-scores, kind="stable")[:10])
    assert [row["scar_row"] for row in kept] == best
    assert sorted(row["scar_rank"] for row in kept) == list(range(1, 11))
    for row in kept:
        assert np.float32(row["scar_style"]) == scores[row["scar_row"]]
        assert {k: v for k, v in row.items() if not k.startswith("scar_")} == rows[row["scar_row"]]


def test_filter_is_score_and_select(run, pool, bundle, tmp_path):
    out, twin = tmp_path / "filtered.jsonl", tmp_path / "selected.jsonl"
    assert (
        main(["filter", str(pool), "--ranker", str(bundle), "--per-group", "source=4", "--out", str(out)])
        == 0
    )
    assert main(["select", str(run), "--per-group", "source=4", "--out", str(twin)]) == 0
    assert out.read_bytes() == twin.read_bytes()
    assert not (tmp_path / "filtered.jsonl.run").exists()


def test_the_six_lines_of_the_readme(pool, bundle, tmp_path):
    ranker = scar.Scorer.load(bundle)
    assert ranker.score([{"instruction": "Explain recursion.", "response": "It calls itself."}]).shape == (1,)
    report = scar.filter_pool(pool, bundle, tmp_path / "kept.jsonl", keep=scar.TopK(5))
    assert report.kept.kept == 5


def test_two_runs_give_the_same_bytes(run, pool, bundle, tmp_path):
    again = tmp_path / "again"
    assert (
        main(
            [
                "score",
                str(pool),
                "--ranker",
                str(bundle),
                "--out",
                str(again),
                "--carry",
                "source",
                "--chunk_rows",
                "32",
            ]
        )
        == 0
    )
    for name in ("chunks", "set_aside", "ledger"):
        for file in sorted((run / name).iterdir()):
            assert file.read_bytes() == (again / name / file.name).read_bytes()


def test_a_finished_run_says_so(run, pool, bundle, capsys):
    arguments = [
        "score",
        str(pool),
        "--ranker",
        str(bundle),
        "--out",
        str(run),
        "--carry",
        "source",
        "--chunk_rows",
        "32",
    ]
    assert main(arguments) == 0
    assert "finished already" in capsys.readouterr().out


def test_another_run_in_the_folder_is_refused_by_its_field(run, pool, bundle, capsys):
    arguments = [
        "score",
        str(pool),
        "--ranker",
        str(bundle),
        "--out",
        str(run),
        "--carry",
        "source",
        "--chunk_rows",
        "16",
    ]
    assert main(arguments) == 2
    assert "scoring.chunk_rows differs" in capsys.readouterr().err
