"""`filter_pool`: what becomes of the run folder beside the output, on a real ranker."""

import pytest

from scar import Above, PerGroup, TopK, filter_pool, score_pool, select
from scar.cli import main
from scar.errors import InputError
from scar.rules import Diverse, Rebalance
from scar.runs import Disk, Embeddings, Plan
from scar.selection.fuse import Fuse
from scar.selection.output import Output
from scar.selection.why import KeptFolder
from scar.serving import filter as filtering
from scar.settings import Reading, Scoring
from tests.make import pool_rows, read_jsonl, write_jsonl
from tests.serving.made import remade


@pytest.fixture
def pool(tmp_path):
    (tmp_path / "pool").mkdir()
    for name in "ab":
        write_jsonl(tmp_path / "pool" / f"{name}.jsonl", pool_rows(6, seed=name))
    return tmp_path / "pool"


def test_the_run_folder_is_gone_when_all_is_done(bundle, pool, tmp_path):
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(2))
    assert {path.name for path in tmp_path.iterdir()} == {"pool", "kept.jsonl", "kept.jsonl.why"}


def stopped(bundle, pool, out, **more):
    """Filter, and stop before anything is selected."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(filtering, "select", lambda *rest, **more: (_ for _ in ()).throw(KeyboardInterrupt))
        filter_pool(pool, bundle, out, TopK(2), **more)


def test_scores_of_a_filter_that_was_stopped_while_it_selected_are_used_and_go(bundle, pool, tmp_path):
    stopped(bundle, pool, tmp_path / "kept.jsonl")
    assert filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(2)).run.already
    assert {path.name for path in tmp_path.iterdir()} == {"pool", "kept.jsonl", "kept.jsonl.why"}


def test_they_make_room_for_those_of_another_ranker_and_stay_where_that_is_said(bundle, pool, tmp_path):
    out, run, other = (
        tmp_path / "kept.jsonl",
        tmp_path / "kept.jsonl.run",
        remade(bundle, tmp_path / "r", seed=9),
    )
    stopped(bundle, pool, out)
    with pytest.raises(InputError, match="or --overwrite"):
        filter_pool(pool, other, out, TopK(2))
    filter_pool(pool, other, out, TopK(2), output=Output(overwrite=True))
    assert out.exists() and not run.exists()
    stopped(bundle, pool, out, output=Output(overwrite=True))
    filter_pool(pool, bundle, out, TopK(2), output=Output(overwrite=True), keep_scores=True)
    filter_pool(pool, bundle, out, TopK(2), output=Output(overwrite=True))
    assert (run / "plan.json").is_file()


@pytest.mark.parametrize("how", ["filter", "score"])
def test_scores_that_were_made_to_be_kept_make_room_for_no_others(bundle, pool, tmp_path, how):
    out, run = tmp_path / "kept.jsonl", tmp_path / "kept.jsonl.run"
    if how == "score":
        score_pool(pool, bundle, run)
    else:
        filter_pool(pool, bundle, out, TopK(2), keep_scores=True)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    again = Output(overwrite=True)
    with pytest.raises(InputError, match="made to be kept: choose another --out, or remove that folder"):
        filter_pool(pool, remade(bundle, tmp_path / "r", seed=9), out, TopK(2), output=again)
    filter_pool(pool, bundle, out, TopK(2), output=again)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_that_took_the_place_of_ours_while_we_selected_stays(bundle, pool, tmp_path, monkeypatch):
    run, real = tmp_path / "kept.jsonl.run", filtering.select

    def selected(*rest, **more):
        kept = real(*rest, **more)
        score_pool(pool, bundle, run, scoring=Scoring(chunk_rows=3), overwrite=True)
        return kept

    monkeypatch.setattr(filtering, "select", selected)
    filter_pool(pool, bundle, tmp_path / "kept.jsonl", TopK(2))
    assert len(list(run.glob("chunks/*.parquet"))) == 4 and (run / "run.json").exists()


def test_what_a_killed_run_left_does_not_stand_in_the_way(bundle, pool, tmp_path):
    run = tmp_path / "kept.jsonl.run"
    stopped(bundle, pool, tmp_path / "kept.jsonl")
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


@pytest.fixture
def both(bundle, quality_bundle):
    return [bundle, quality_bundle]


def test_several_rankers_need_a_score_to_select_by_before_anything_is_scored(both, pool, tmp_path):
    told = (
        r"style, quality score together: say --by NAME, or `by: \{fuse: rrf, of: \{style: 1, quality: 1\}\}`"
    )
    for rule in (TopK(2), Above(0.5, by="quality_p") + TopK(2)):
        with pytest.raises(InputError, match=told):
            filter_pool(pool, both, tmp_path / "kept.jsonl", rule)
    with pytest.raises(
        InputError,
        match="no score 'unseen'; there are: style, style_tokens, style_percentile, quality, quality_",
    ):
        filter_pool(pool, both, tmp_path / "kept.jsonl", TopK(2), by="unseen")
    assert {path.name for path in tmp_path.iterdir()} == {"pool"}


def test_several_rankers_keep_what_score_and_select_keep(both, pool, tmp_path):
    rule = Above(0.0, by="quality_p") + PerGroup("source", 2) + TopK(5)
    by = Fuse("rrf", {"style": 1, "quality": 2})
    score_pool(pool, both, tmp_path / "run", scoring=Scoring(carry=("source",)))
    select(tmp_path / "run", rule, tmp_path / "selected.jsonl", by=by)
    report = filter_pool(pool, both, tmp_path / "kept.jsonl", rule, by=by)
    assert (tmp_path / "kept.jsonl").read_bytes() == (tmp_path / "selected.jsonl").read_bytes()
    assert report.kept.correlations is not None
    added = {name for name in read_jsonl(tmp_path / "kept.jsonl")[0] if name.startswith("scar_")}
    of_quality = {"scar_quality", "scar_quality_p", "scar_quality_percentile"}
    assert added >= {"scar_style", "scar_fused", *of_quality} and not (tmp_path / "kept.jsonl.run").exists()


def test_a_column_that_a_ranker_writes_is_grouped_by_without_being_carried(both, pool, tmp_path):
    filter_pool(pool, both, tmp_path / "kept.jsonl", PerGroup("quality_truncated", 1), by="style")
    assert len(read_jsonl(tmp_path / "kept.jsonl")) == 1


def test_a_rules_file_says_what_several_rankers_are_selected_by(both, pool, tmp_path, capsys):
    (tmp_path / "rules.yaml").write_text(
        "by: {fuse: ranks, of: {style: 1, quality: 2}}\nkeep:\n  - Above: {by: quality_p, x: 0.0}\n  - TopK: {k: 4}\n"
    )
    rankers = [part for path in both for part in ("--ranker", str(path))]
    out = ["--out", str(tmp_path / "kept.jsonl")]
    assert main(["filter", str(pool), *rankers, *out, "--top", "4"]) == 2
    assert "say --by NAME" in capsys.readouterr().err
    assert main(["filter", str(pool), *rankers, *out, "--rules", str(tmp_path / "rules.yaml")]) == 0
    told = capsys.readouterr().out
    assert "engine: style: " in told and "engine: quality: " in told and "rank correlation" in told
    assert len(read_jsonl(tmp_path / "kept.jsonl")) == 4


def test_two_rankers_of_one_name_are_one_line_of_error(bundle, pool, tmp_path, capsys):
    twin = remade(bundle, tmp_path / "twin")
    arguments = [
        "--ranker",
        str(bundle),
        "--ranker",
        str(twin),
        "--top",
        "2",
        "--out",
        str(tmp_path / "k.jsonl"),
    ]
    assert main(["filter", str(pool), *arguments, "--by", "style"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and str(twin) in told and str(bundle) in told and "another --name" in told


def test_scores_that_a_selection_that_failed_left_are_used_and_then_go(bundle, pool, tmp_path, monkeypatch):
    kept, run = tmp_path / "kept.jsonl", tmp_path / "kept.jsonl.run"
    monkeypatch.setattr("scar.selection.keep.MOST_SORTED", 1)
    with pytest.raises(InputError, match="--sort takes at most"):
        filter_pool(pool, bundle, kept, TopK(2), output=Output(sort=True))
    assert (run / "run.json").is_file() and not kept.exists()
    assert filter_pool(pool, bundle, kept, TopK(2)).run.already
    assert {path.name for path in tmp_path.iterdir()} == {"pool", "kept.jsonl", "kept.jsonl.why"}


def test_what_a_rule_reads_is_made_without_being_asked_for(bundle, pool, tmp_path):
    report = filter_pool(
        pool,
        bundle,
        tmp_path / "kept.jsonl",
        Rebalance("source", k=6) + Diverse(k=4, tau=0.999),
        keep_scores=True,
    )
    run = Disk(tmp_path / "kept.jsonl.run")
    assert Embeddings.of_run(run, Plan.read(run)).shape[0] == report.run.counts.records
    assert report.kept.kept <= 4 and "source" in KeptFolder.open(tmp_path / "kept.jsonl").columns


@pytest.mark.parametrize(
    ("words", "prints"),
    [
        (["--top", "3", "--dedup", "exact,near"], "ExactDuplicates()"),
        (["--tokens", "60"], "TokenBudget(tokens=60)"),
        (["--top", "3", "--dedup", "semantic"], "SemanticDuplicates()"),
    ],
)
def test_copies_go_first_by_a_flag(bundle, pool, tmp_path, capsys, words, prints):
    assert (
        main(["filter", str(pool), "--ranker", str(bundle), "--out", str(tmp_path / "kept.jsonl"), *words])
        == 0
    )
    assert prints in capsys.readouterr().out


def test_an_unknown_kind_of_copies_is_an_error(bundle, pool, tmp_path, capsys):
    words = ["filter", str(pool), "--ranker", str(bundle), "--out", str(tmp_path / "k.jsonl"), "--top", "1"]
    assert main([*words, "--dedup", "fuzzy"]) == 2
    assert "--dedup fuzzy: there are: exact, near, semantic" in capsys.readouterr().err
