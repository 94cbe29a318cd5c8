"""`filter_pool`: what becomes of the run folder beside the output, on a real ranker."""

import pytest

from scar import Above, PerGroup, TopK, filter_pool
from scar.errors import InputError
from scar.selection.fuse import Fuse
from scar.selection.keep import Output
from scar.settings import Reading
from tests.make import pool_rows, read_jsonl, write_jsonl


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "pool").mkdir()
    for name in "ab":
        write_jsonl(tmp_path / "pool" / f"{name}.jsonl", pool_rows(6, seed=name))
    return tmp_path / "pool"


def test_the_run_folder_is_gone_when_all_is_done(bundle, pool, tmp_path):
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(2))
    assert {path.name for path in tmp_path.iterdir()} == {"pool", "kept.jsonl"}


def test_what_a_killed_run_left_does_not_stand_in_the_way(bundle, pool, tmp_path):
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(2), keep_scores=True)
    run = tmp_path / "kept.jsonl.run"
    (run / "run.json").unlink()
    (run / "chunks" / ".00000000.parquet.tmp").touch()
    again = Output(overwrite=True)
    assert filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(3), output=again).kept.kept == 3
    assert not run.exists()


def test_scores_that_were_kept_before_are_used_and_stay(bundle, pool, tmp_path):
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(2), keep_scores=True)
    (tmp_path / "kept.jsonl").unlink()
    report = filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(3))
    assert report.run.already and (tmp_path / "kept.jsonl.run" / "plan.json").is_file()


def test_a_column_that_the_scores_have_anyway_is_grouped_by_without_being_carried(bundle, pool, tmp_path):
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", PerGroup("file", 1))
    assert [row["scar_row"] // 6 for row in read_jsonl(tmp_path / "kept.jsonl")] == [0, 1]


def test_columns_to_group_by_are_carried(bundle, pool, tmp_path):
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", PerGroup("source", 1) + TopK(2))
    assert len({row["source"] for row in read_jsonl(tmp_path / "kept.jsonl")}) == 2


def test_nothing_is_scored_where_the_output_is_a_file_of_the_pool(bundle, pool, tmp_path):
    with pytest.raises(InputError, match="is a file of the pool"):
        filter_pool(pool, bundle, pool / "a.jsonl", TopK(2), output=Output(overwrite=True))
    assert sorted(path.name for path in pool.iterdir()) == ["a.jsonl", "b.jsonl"]


def test_a_run_in_the_pools_own_folder_is_not_read_as_pool(bundle, pool):
    reading = Reading(format="plain")
    first = filter_pool(pool, bundle, pool / "kept.jsonl.gz", TopK(2), reading=reading, keep_scores=True)
    (pool / "kept.jsonl.gz").unlink()
    again = filter_pool(pool, bundle, pool / "kept.jsonl.gz", TopK(2), reading=reading)
    assert first.run.counts.rows == again.run.counts.rows == 12 and again.run.already


def test_a_score_that_the_ranker_does_not_give_is_refused_before_anything_is_scored(bundle, pool, tmp_path):
    fused = Fuse("rrf", {"style": 1, "style_p": 1})
    for rule, by in ((Above(0.7, by="style_p"), None), (TopK(2), "style_p"), (TopK(2), fused)):
        with pytest.raises(InputError, match="no score 'style_p'; there are: style, style_tokens"):
            filter_pool(pool, bundle, tmp_path / "kept.jsonl", rule, by=by)
    assert {path.name for path in tmp_path.iterdir()} == {"pool"}


def test_fused_scores_order_what_is_kept(bundle, pool, tmp_path):
    by = Fuse("ranks", {"style": 1, "style_tokens": 2})
    kept = filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(3), by=by, output=Output(sort=True)).kept
    scores = [row["scar_fused"] for row in read_jsonl(tmp_path / "kept.jsonl")]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    assert kept.correlations.columns == ("style", "style_tokens")
