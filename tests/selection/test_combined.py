"""A run of several rankers: gates on calibrated columns, fused order, and how far the rankers agree."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from scar.cli import main
from scar.errors import InputError
from scar.runs import Disk, Plan, data_name
from scar.selection.agreement import ranker_of
from scar.selection.fuse import Fuse
from scar.selection.keep import select
from scar.selection.output import Output
from scar.selection.rules import Above, Quantile, TopK
from tests.make import read_jsonl, write_jsonl
from tests.selection.made import make_run

STYLE = np.float32([0.5, 3.0, 2.0, -1.0, 2.0, 0.1, 4.0, -2.0])
QUALITY = np.float32([1.0, 0.5, 0.25, 3.0, 2.0, -1.0, 0.0, 0.75])
NOVEL = np.float32([-1, 1, 2, 0, 3, 4, -3, -2])
P = np.float32([0.8, 0.7, 0.5, 0.95, 0.9, 0.2, 0.4, 0.75])
PERCENTILE = np.float32([40, 95, 80, 10, 80, 30, 99, 5])
BOTH = Fuse("rrf", {"style": 1, "quality": 2})


@pytest.fixture
def pool(tmp_path):
    rows = [{"instruction": "i", "response": f"r{n}", "n": n} for n in range(8)]
    return write_jsonl(tmp_path / "pool.jsonl", [*rows[:2], b"not json", *rows[2:]])


@pytest.fixture
def run(pool, tmp_path):
    more = {
        "style_percentile": PERCENTILE,
        "quality_p": P,
        "p_seen": 1 / (1 + np.exp(NOVEL)),
        "style_tokens": range(8),
        "style_truncated": [False] * 8,
    }
    scores = {"style": STYLE, "quality": QUALITY, "unseen": NOVEL}
    return make_run(tmp_path / "run", pool, scores, more=more)


def fused(by):
    """Give the fused score of the eight records, added up here anew."""
    total = np.zeros(8)
    for column, weight in by.of.items():
        values = {"style": STYLE, "quality": QUALITY, "unseen": NOVEL}[column]
        places = [1 + (values > value).sum() + ((values == value).sum() - 1) / 2 for value in values]
        total += weight / (60 + np.asarray(places))
    return total


def kept(path):
    return [row["n"] for row in read_jsonl(path)]


def test_the_fused_order_and_its_column(run, tmp_path):
    select(run, TopK(4), tmp_path / "kept.jsonl", by=BOTH, output=Output(sort=True))
    rows = read_jsonl(tmp_path / "kept.jsonl")
    best = np.argsort(-fused(BOTH), kind="stable")[:4]
    assert [row["n"] for row in rows] == best.tolist()
    assert [np.float32(row["scar_fused"]) for row in rows] == fused(BOTH).astype(np.float32)[best].tolist()


def test_every_score_and_what_it_was_calibrated_to_stands_in_the_kept_row(run, tmp_path):
    select(run, TopK(9), tmp_path / "kept.jsonl", by=BOTH)
    row = read_jsonl(tmp_path / "kept.jsonl")[4]
    added = [name for name in row if name.startswith("scar_")]
    assert added == [
        "scar_rank",
        "scar_row",
        "scar_style",
        "scar_quality",
        "scar_unseen",
        "scar_style_percentile",
        "scar_quality_p",
        "scar_p_seen",
        "scar_fused",
    ]
    assert (row["scar_style"], row["scar_style_percentile"], row["scar_quality"]) == (2.0, 80.0, 2.0)
    assert np.float32(row["scar_quality_p"]) == np.float32(0.9)


def test_without_a_fusion_there_is_no_fused_column(run, tmp_path):
    select(run, TopK(2), tmp_path / "kept.jsonl", by="style")
    assert all("scar_fused" not in row for row in read_jsonl(tmp_path / "kept.jsonl"))


def test_the_columns_are_typed_in_parquet_and_take_the_prefix(run, tmp_path):
    select(run, TopK(2), tmp_path / "kept.parquet", by=BOTH, output=Output(prefix="my_"))
    schema = pq.read_schema(tmp_path / "kept.parquet")
    for name in ("my_fused", "my_quality_p", "my_style_percentile", "my_p_seen"):
        assert schema.field(name).type == pa.float32()


@pytest.mark.parametrize(
    "gate, passes",
    [
        (Above(0.7, by="quality_p"), P >= np.float32(0.7)),
        (Above(90, by="style_percentile"), PERCENTILE >= 90),
        (Quantile(0.5, by="unseen"), NOVEL >= np.quantile(NOVEL, 0.5)),
        (Above(0.5, by="p_seen"), NOVEL <= 0),
        (Above(3, by="style_tokens"), np.arange(8) >= 3),
    ],
)
def test_a_gate_on_any_column_of_numbers(run, tmp_path, gate, passes):
    select(run, gate + TopK(9), tmp_path / "kept.jsonl", by="style")
    assert kept(tmp_path / "kept.jsonl") == np.flatnonzero(passes).tolist()


def test_two_gates_keep_what_passes_both_whatever_orders(run, tmp_path):
    rule = Above(0.7, by="quality_p") + Above(50, by="style_percentile")
    for number, by in enumerate(("style", "quality", BOTH)):
        select(run, rule, tmp_path / f"{number}.jsonl", by=by)
        assert kept(tmp_path / f"{number}.jsonl") == [1, 4]


def test_the_correlations_are_scipys_of_the_columns_that_are_combined(run, tmp_path):
    rule = Above(0.7, by="quality_p") + TopK(3)
    found = select(run, rule, tmp_path / "kept.jsonl", by=BOTH).correlations
    assert found.columns == ("style", "quality", "quality_p")
    expected = spearmanr(np.stack([STYLE, QUALITY, P]), axis=1).statistic
    np.testing.assert_allclose(found.matrix, expected, atol=1e-12)


def test_gates_on_two_rankers_are_correlated_too(run, tmp_path):
    found = select(run, Quantile(0.5, by="unseen") + TopK(3), tmp_path / "a.jsonl", by="style").correlations
    assert found.columns == ("style", "unseen")
    assert select(run, Above(0, by="p_seen"), tmp_path / "b.jsonl", by="style").correlations is not None


def test_one_rankers_columns_are_not_correlated(run, pool, tmp_path):
    rule = Above(50, by="style_percentile") + Above(1, by="style_tokens")
    assert select(run, rule, tmp_path / "a.jsonl", by="style").correlations is None
    alone = make_run(tmp_path / "alone", pool, {"novel": NOVEL}, more={"p_seen": P})
    assert select(alone, Above(0.5, by="p_seen"), tmp_path / "b.jsonl").correlations is None


def test_fused_columns_that_pull_apart_are_noted(run, tmp_path):
    assert spearmanr(STYLE, NOVEL).statistic > -0.3
    against = Fuse("ranks", {"unseen": 1, "p_seen": 1, "style": 1})
    (note,) = select(run, TopK(2), tmp_path / "a.jsonl", by=against).notes
    assert "pull in opposite directions: unseen and p_seen (-1.00)" in note
    assert select(run, TopK(2), tmp_path / "b.jsonl", by=Fuse("ranks", {"unseen": 1, "style": 1})).notes == ()


def test_gates_that_pull_apart_are_not_noted(run, tmp_path):
    report = select(run, Above(0.1, by="p_seen"), tmp_path / "a.jsonl", by="unseen")
    assert report.correlations.of("unseen", "p_seen") == pytest.approx(-1) and report.notes == ()


def test_several_rankers_without_a_choice_name_both_remedies(run, tmp_path):
    with pytest.raises(InputError) as error:
        select(run, TopK(1), tmp_path / "kept.jsonl")
    assert "style, quality, unseen: say --by NAME" in str(error.value)
    assert "`by: {fuse: rrf, of: {style: 1, quality: 1, unseen: 1}}`" in str(error.value)


@pytest.mark.parametrize("by", ["other", Fuse("rrf", {"style": 1, "other": 1})])
def test_an_unknown_column_is_named_with_those_there_are(run, tmp_path, by):
    with pytest.raises(InputError, match="no score 'other'; there are: .*quality_p"):
        select(run, TopK(1), tmp_path / "kept.jsonl", by=by)


@pytest.mark.parametrize("name", ["file", "style_truncated"])
def test_a_column_that_is_not_numbers_is_not_fused(run, tmp_path, name):
    with pytest.raises(InputError, match=f"column '{name}' holds"):
        select(run, TopK(1), tmp_path / "kept.jsonl", by=Fuse("rrf", {"style": 1, name: 1}))


@pytest.mark.parametrize(
    "rule, by",
    [(Above(0.5, by="quality_p"), "quality"), (TopK(8), Fuse("rrf", {"quality": 1, "quality_p": 1}))],
)
def test_a_hole_in_a_column_is_an_error_that_names_it(pool, tmp_path, rule, by):
    holes = [*P[:3], None, *P[4:]]
    run = make_run(tmp_path / "run", pool, {"quality": QUALITY}, more={"quality_p": holes})
    with pytest.raises(InputError, match="1 records have no finite 'quality_p', the first is record 4"):
        select(run, rule, tmp_path / "kept.jsonl", by=by)


def test_a_hole_is_never_written_as_a_number(pool, tmp_path):
    holes = [*P[:3], None, *P[4:]]
    run = make_run(tmp_path / "run", pool, {"quality": QUALITY}, more={"quality_p": holes})
    with pytest.raises(InputError, match="1 kept records have no finite 'quality_p'"):
        select(run, TopK(1), tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()


def test_a_carried_column_that_looks_like_ours_is_not_a_score(run, tmp_path):
    plan = Plan.read(Disk(run))
    for chunk in plan.chunks:
        path = run / data_name(chunk.index)
        table = pq.read_table(path)
        pq.write_table(table.append_column("unseen_p", pa.array(["text"] * len(table))), path)
    select(run, TopK(1), tmp_path / "kept.jsonl", by="style")
    assert "scar_unseen_p" not in read_jsonl(tmp_path / "kept.jsonl")[0]


def test_a_ranker_named_as_the_fused_column_is_refused(pool, tmp_path):
    run = make_run(tmp_path / "run", pool, {"fused": STYLE, "quality": QUALITY})
    with pytest.raises(InputError, match="a ranker is named 'fused'"):
        select(run, TopK(1), tmp_path / "kept.jsonl", by=Fuse("rrf", {"fused": 1, "quality": 1}))
    select(run, TopK(1), tmp_path / "kept.jsonl", by="fused")


@pytest.mark.parametrize(
    "column, whose",
    [("a", "a"), ("a_p", "a"), ("a_b_tokens", "a_b"), ("p_seen", "p_seen"), ("row", None), ("a_x", None)],
)
def test_a_column_belongs_to_the_ranker_whose_name_it_bears(column, whose):
    assert ranker_of(column, ["a", "a_b"]) == whose


RULES = """
by: {fuse: rrf, of: {style: 1, quality: 2}}
keep:
  - Above: {by: quality_p, x: 0.3}
  - Quantile: {by: unseen, q: 0.25}
  - TopK: {k: 3}
"""


def test_the_command_prints_the_matrix_before_it_says_what_it_kept(run, tmp_path, capsys):
    (tmp_path / "rules.yaml").write_text(RULES)
    assert (
        main(
            ["select", str(run), "--rules", str(tmp_path / "rules.yaml"), "--out", str(tmp_path / "k.jsonl")]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert told.index("rank correlation") < told.index("Above(") < told.index("kept 3 of 8")
    line = next(line.split() for line in told.splitlines() if line.split()[:1] == ["style"])
    expected = [spearmanr(STYLE, other).statistic for other in (STYLE, QUALITY, P, NOVEL)]
    assert line[1:] == [f"{value:.2f}" for value in expected]
    there = (np.float32(0.3) <= P) & (np.quantile(NOVEL[np.float32(0.3) <= P], 0.25) <= NOVEL)
    best = [n for n in np.argsort(-fused(BOTH), kind="stable") if there[n]][:3]
    assert kept(tmp_path / "k.jsonl") == sorted(best)


def test_the_matrix_is_printed_before_the_selection_is_made(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "rules.yaml").write_text(RULES)
    monkeypatch.setattr("scar.selection.keep.MOST_SORTED", 2)
    flags = ["--rules", str(tmp_path / "rules.yaml"), "--sort", "--out", str(tmp_path / "k.jsonl")]
    assert main(["select", str(run), *flags]) == 2
    told = capsys.readouterr()
    assert "rank correlation" in told.out and "--sort takes at most 2" in told.err


def test_what_is_told_is_what_the_report_holds(run, tmp_path):
    told = []
    report = select(run, TopK(2), tmp_path / "a.jsonl", by=BOTH, tell=told.append)
    assert told == [report.correlations]
    select(run, TopK(2), tmp_path / "b.jsonl", by="style", tell=told.append)
    assert len(told) == 1


def test_an_empty_name_is_no_choice(run, pool, tmp_path, capsys):
    assert main(["select", str(run), "--top", "1", "--by", "", "--out", str(tmp_path / "k.jsonl")]) == 2
    assert "--by is empty" in capsys.readouterr().err
    with pytest.raises(InputError, match="no score ''"):
        select(run, Above(0, by=""), tmp_path / "k.jsonl", by="style")


def test_the_flag_wins_over_the_file(run, tmp_path, capsys):
    (tmp_path / "rules.yaml").write_text(RULES.replace("0.25", "0.0").replace("k: 3", "k: 1"))
    flags = ["--by", "unseen", "--rules", str(tmp_path / "rules.yaml"), "--out", str(tmp_path / "k.jsonl")]
    assert main(["select", str(run), *flags]) == 0
    assert kept(tmp_path / "k.jsonl") == [4]
    assert "scar_fused" not in read_jsonl(tmp_path / "k.jsonl")[0]


@pytest.mark.parametrize(
    "by, named",
    [
        ("{fuse: rrf, of: {style: 1}}", "at least two columns"),
        ("{fuse: rrf, of: style}", "`of`"),
        ("{fuse: rrf, of: {style: 1, quality: 0}}", "weight of 'quality'"),
        ("{fuse: rrf, of: {style: 1, quality: .nan}}", "weight of 'quality'"),
        ("{fuse: rrf, of: {style: 1, quality: much}}", "weight of 'quality'"),
        ("{fuse: sum, of: {style: 1, quality: 1}}", "no method 'sum'"),
        ("{fuse: rrf, columns: {style: 1, quality: 1}}", "unknown key 'columns'"),
        ("[style, quality]", "must name a column, or fuse several"),
    ],
)
def test_a_wrong_by_is_one_line_that_names_the_file_and_the_field(run, tmp_path, capsys, by, named):
    (tmp_path / "rules.yaml").write_text(f"by: {by}\nkeep:\n  - TopK: {{k: 1}}\n")
    out = tmp_path / "k.jsonl"
    assert main(["select", str(run), "--rules", str(tmp_path / "rules.yaml"), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "rules.yaml: rules: `by`" in line and named in line
    assert not out.exists()


def test_the_same_selection_gives_the_same_bytes(run, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        select(run, Above(0.3, by="quality_p") + TopK(4), tmp_path / name, by=BOTH)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_the_report_is_plain_data(run, tmp_path):
    found = select(run, TopK(4), tmp_path / "a.jsonl", by=BOTH).correlations
    assert json.loads(json.dumps(found.matrix)) == [list(line) for line in found.matrix]
