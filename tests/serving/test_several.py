"""Several rankers in one pass: each scores as it does alone, and nothing is read or tokenised twice."""

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar import Scorer, TopK, score_pool
from scar.bundle import P_SEEN
from scar.cli import main
from scar.encoding import TextEncoder
from scar.errors import InputError, RunError
from scar.runs import RUN, Disk, Plan
from scar.selection.keep import select
from scar.selection.kept_rows import FUSED
from scar.serving.canaries import TEXTS
from scar.serving.rankers import check_carried, open_bundles
from scar.serving.sidecar import OWN
from scar.settings import TAKEN_NAMES, Reading, Scoring
from tests.make import pool_rows, read_jsonl, write_jsonl
from tests.serving.made import remade, sines

pytestmark = pytest.mark.slow


SMALL = Scoring(chunk_rows=16)
LONG = {"instruction": "what is " + "a list " * 40, "response": "clearly " * 90}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    rows = [*pool_rows(40), LONG, {"instruction": "what", "response": None}, b"{", pool_rows(1)[0]]
    return write_jsonl(tmp_path_factory.mktemp("pool") / "pool.jsonl", rows)


@pytest.fixture(scope="module")
def rankers(tmp_path_factory, bundle, quality_bundle):
    """Five rankers that differ in kind, length, what they see, tokenizer, and what they prefer."""
    folder = tmp_path_factory.mktemp("rankers")
    return {
        "style": bundle,
        "quality": quality_bundle,
        "short": remade(quality_bundle, folder / "short", name="short", text={"max_tokens": 20}),
        "cased": remade(
            quality_bundle,
            folder / "cased",
            name="cased",
            text={"inputs": "response", "token_types": False},
            graph=sines(),
            tokenizer={"lowercase": False},
        ),
        "new": remade(quality_bundle, folder / "new", name="new", kind="unseen", prefer="novel"),
    }


def sheet(run):
    return pq.read_table(run / "chunks")


CALIBRATED = {"quality": ["quality_p", "quality_percentile"], "new": ["new_percentile", "p_seen"]}


def columns(name):
    """Name a ranker's columns, written down."""
    known = {
        "style": ["style_percentile"],
        "short": ["short_p", "short_percentile"],
        "cased": ["cased_p", "cased_percentile"],
    }
    return [name, f"{name}_tokens", f"{name}_truncated", *(CALIBRATED | known)[name]]


@pytest.fixture(scope="module")
def run(tmp_path_factory, pool, rankers):
    out = tmp_path_factory.mktemp("run") / "run"
    score_pool(pool, list(rankers.values()), out, scoring=SMALL)
    return out


@pytest.mark.parametrize("name", ["style", "quality", "short", "cased", "new"])
def test_each_ranker_scores_bit_for_bit_as_it_does_alone(run, pool, rankers, name, tmp_path):
    score_pool(pool, rankers[name], tmp_path / "alone", scoring=SMALL)
    alone, together = sheet(tmp_path / "alone"), sheet(run)
    for column in ("row", "line", "id", "reason", *columns(name)):
        assert alone[column].equals(together[column]), column
    assert np.nanstd(together[name].to_numpy()) > 0


def test_the_rankers_differ_where_they_should(run):
    known = {name: sheet(run)[name].to_numpy() for name in ("quality", "short", "cased", "new")}
    assert not np.array_equal(known["quality"], known["cased"], equal_nan=True)
    assert known["quality"][40] != known["short"][40], "the long row is cut elsewhere"
    np.testing.assert_array_equal(known["quality"], known["new"])


def test_columns_stand_in_the_order_of_the_rankers(run, rankers):
    own = ["row", "part", "file", "line", "id", "reason"]
    assert sheet(run).column_names == [*own, *(column for name in rankers for column in columns(name))]
    assert Plan.read(Disk(run)).rankers == tuple(rankers)


def test_a_ranker_of_novelty_writes_p_seen_and_no_p(run):
    names = sheet(run).column_names
    assert P_SEEN in names and "new_p" not in names and "new_percentile" in names and "quality_p" in names
    p, new = sheet(run)["quality_p"].to_numpy(), sheet(run)[P_SEEN].to_numpy()
    np.testing.assert_allclose(new, 1 - p, atol=1e-6)


def test_run_json_counts_for_each_ranker(run, rankers):
    summary, table = json.loads((run / RUN).read_bytes()), sheet(run)
    for name in rankers:
        assert summary["tokens_of"][name] == np.nansum(table[f"{name}_tokens"].to_numpy())
        assert summary["truncated_of"][name] == sum(filter(None, table[f"{name}_truncated"].to_pylist()))
        assert summary["choice"][name]["engine"] == "onnxruntime"
    assert list(summary["choice"]) == list(rankers)
    assert summary["tokens"] == sum(summary["tokens_of"].values())
    assert (
        summary["truncated"] == max(summary["truncated_of"].values()) > min(summary["truncated_of"].values())
    )
    assert summary["set_aside"] == {"missing_response": 1, "invalid_json": 1}


@pytest.fixture
def tokenised(monkeypatch):
    """All texts that are tokenised from here on, but for the canaries."""
    seen, bare, known = [], TextEncoder.bare, {text for pair in TEXTS for text in pair}

    def noted(self, texts):
        seen.extend(text for text in texts if text not in known)
        return bare(self, texts)

    monkeypatch.setattr(TextEncoder, "bare", noted)
    return seen


def test_each_distinct_text_is_tokenised_once_for_rankers_that_share_a_tokenizer(
    tokenised, pool, rankers, quality_bundle, tmp_path
):
    twin = remade(quality_bundle, tmp_path / "twin", name="twin")
    score_pool(pool, [rankers["quality"], twin], tmp_path / "run")
    rows = [*pool_rows(40), LONG]
    texts = {text for row in rows for text in (row["instruction"], row["response"])}
    assert Counter(tokenised) == Counter(texts)


def test_each_distinct_text_is_tokenised_once_for_each_distinct_tokenizer(tokenised, pool, rankers, tmp_path):
    score_pool(pool, [rankers[name] for name in ("quality", "cased", "new")], tmp_path / "run")
    instructions = {row["instruction"] for row in [*pool_rows(40), LONG]}
    times = Counter(tokenised)
    assert {text: times[text] for text in instructions} == dict.fromkeys(instructions, 1)
    assert {times[row["response"]] for row in [*pool_rows(40), LONG]} == {2}


def test_a_watcher_sees_the_tokens_of_all_rankers_and_the_rows_once(pool, rankers, tmp_path):
    class Watcher:
        def __init__(self):
            self.rows = self.tokens = 0

        def start(self, rows, before=0):
            self.total = rows

        def batch(self, rows, tokens, padded):
            self.rows, self.tokens = self.rows + rows, self.tokens + tokens

        def chunk(self, counts):
            self.counts = counts

    watchers = {}
    for names in (("style",), ("quality",), ("style", "quality")):
        watch = watchers[names] = Watcher()
        score_pool(pool, [rankers[name] for name in names], tmp_path / "-".join(names), watch=watch)
        assert watch.rows == pytest.approx(watch.total) and watch.counts.rows == watch.total
    style, quality, both = watchers.values()
    assert both.tokens == style.tokens + quality.tokens


@pytest.fixture
def sick(monkeypatch):
    """Make rankers fail on the pairs of some texts' lengths, also alone."""

    def make(name, which):
        score = Scorer.score_pairs

        def fails(self, pairs, on_batch=None):
            found = score(self, pairs, on_batch)
            if self.name == name:
                found.scores[which(found)] = np.nan
            return found

        monkeypatch.setattr(Scorer, "score_pairs", fails)

    return make


def test_a_record_that_one_ranker_cannot_score_is_set_aside_for_all(sick, pool, rankers, tmp_path):
    sick("quality", lambda found: [7])
    score_pool(pool, [rankers["style"], rankers["quality"]], tmp_path / "both")
    row = sheet(tmp_path / "both").slice(7, 1).to_pylist()[0]
    assert row["reason"] == "quality:non_finite"
    assert [row[name] for name in ("style", "style_tokens", "quality", "quality_p")] == [None] * 4
    told = next(row for row in read_jsonl(tmp_path / "both" / "set_aside.jsonl") if row["row"] == 7)
    assert (told["reason"], told["detail"]) == (
        "quality:non_finite",
        "quality gave no finite score, also alone",
    )
    kept = select(tmp_path / "both", TopK(99), tmp_path / "kept.jsonl", by="style")
    assert (kept.kept, kept.set_aside) == (41, 3)
    score_pool(pool, rankers["quality"], tmp_path / "alone")
    assert sheet(tmp_path / "alone")["reason"].to_pylist()[7] == "non_finite"


def test_a_run_stops_naming_the_ranker_that_gives_no_scores(sick, pool, rankers, tmp_path):
    sick("quality", lambda found: slice(0, 2))
    with pytest.raises(RunError, match=r"chunk 0 .*: 2 of 42 scores of 'quality' are not finite"):
        score_pool(pool, [rankers["style"], rankers["quality"]], tmp_path / "run")
    assert not list((tmp_path / "run" / "chunks").iterdir()) and not (tmp_path / "run" / RUN).exists()


def test_the_same_rankers_in_the_same_order_are_the_same_run(pool, rankers, tmp_path):
    style, quality = rankers["style"], rankers["quality"]
    score_pool(pool, [style, quality], tmp_path / "run")
    again = score_pool(pool, (str(style), quality), tmp_path / "run")
    assert (
        again.already and list(again.choice) == ["style", "quality"] and again.counts.tokens_of["quality"] > 0
    )
    for others in ([quality, style], style, [style, quality, rankers["new"]]):
        with pytest.raises(InputError, match="another run: rankers differs"):
            score_pool(pool, others, tmp_path / "run")


def test_a_ranker_that_changed_is_another_run(pool, rankers, quality_bundle, tmp_path):
    score_pool(pool, [rankers["style"], quality_bundle], tmp_path / "run")
    changed = remade(quality_bundle, tmp_path / "changed", calibration=None)
    with pytest.raises(InputError, match=r"another run: ranker.quality.files.ranker.json differs"):
        score_pool(pool, [rankers["style"], changed], tmp_path / "run")
    assert not score_pool(pool, [rankers["style"], changed], tmp_path / "run", overwrite=True).already
    assert "quality_p" not in sheet(tmp_path / "run").column_names


def test_a_bundle_without_a_calibration_has_the_columns_that_it_always_had(pool, rankers, tmp_path):
    plain = remade(rankers["style"], tmp_path / "plain", calibration=None)
    score_pool(pool, plain, tmp_path / "run", scoring=Scoring(carry=("source",)))
    own = ["row", "part", "file", "line", "id", "reason"]
    assert sheet(tmp_path / "run").column_names == [
        *own,
        "style",
        "style_tokens",
        "style_truncated",
        "source",
    ]


def lineup(rankers, tmp_path, *changes):
    """Give copies of the quality bundle, changed."""
    return [
        remade(rankers["quality"], tmp_path / f"b{number}", **{"name": f"b{number}", **change})
        for number, change in enumerate(changes)
    ]


@pytest.mark.parametrize(
    "changes, told",
    [
        ([{"name": "a"}, {"name": "a"}], r"b0 and .*b1 .* both named 'a'.*--name"),
        ([{"name": "a"}, {"name": "c"}, {"name": "a"}], r"b0 and .*b2 .* both named 'a'"),
        ([{"name": "a"}, {"name": "a_p"}], r"b0 and .*b1 .*column 'a_p'.*--name"),
        ([{"name": "a_truncated"}, {"name": "a"}], "column 'a_truncated'"),
        ([{"kind": "unseen", "prefer": "novel"}] * 2, "b0 and .*b1 .*both write p_seen"),
        ([{"name": "fused"}], "cannot be named 'fused'.*--name"),
        ([{"name": "a"}, {"name": "row"}], "b1: .*cannot be named 'row'"),
        ([{"name": "rank"}], "cannot be named 'rank'"),
        ([{"name": "p_seen"}], "cannot be named 'p_seen'"),
        ([], "no ranker is given"),
    ],
)
def test_rankers_whose_columns_clash_do_not_score_together(changes, told, rankers, tmp_path):
    with pytest.raises(InputError, match=told):
        open_bundles(lineup(rankers, tmp_path, *changes))


def test_no_ranker_is_named_as_a_column_that_is_there_anyway():
    assert {*OWN, "rank", FUSED, P_SEEN} <= set(TAKEN_NAMES)


def test_a_bundle_given_twice_is_told_as_that(rankers, tmp_path):
    (tmp_path / "link").symlink_to(rankers["style"])
    with pytest.raises(InputError, match="given twice as a ranker"):
        open_bundles([rankers["style"], tmp_path / "link"])


@pytest.mark.parametrize("ending", ["", "_tokens", "_truncated", "_p", "_percentile"])
@pytest.mark.parametrize("name", ["style", "new"])
def test_a_column_of_any_ranker_is_not_carried(rankers, name, ending):
    bundles = open_bundles([rankers["style"], rankers["new"]])
    with pytest.raises(InputError, match=f"--carry {name}{ending}: the scores have a column"):
        check_carried(bundles, ["source", name + ending])


@pytest.mark.parametrize("column", ["reason", "row", "p_seen"])
def test_a_column_that_the_scores_have_is_not_carried(rankers, column, tmp_path):
    rows = [{**row, "reason": "r", "row": 1, "p_seen": 0.5} for row in pool_rows(3)]
    pool, carry = write_jsonl(tmp_path / "pool.jsonl", rows), Scoring(carry=(column,))
    with pytest.raises(InputError, match=f"--carry {column}: the scores have a column"):
        score_pool(pool, [rankers["style"], rankers["new"]], tmp_path / "run", scoring=carry)


def test_a_column_that_no_ranker_writes_is_carried(rankers):
    check_carried(open_bundles(rankers["style"]), ["source", "p_seen", "quality_p"])


def test_an_unseen_bundle_that_does_not_say_what_it_prefers_is_refused_by_name(rankers, tmp_path):
    (bad,) = lineup(rankers, tmp_path, {"kind": "unseen"})
    with pytest.raises(InputError, match="b0: ranker.json: prefer is None"):
        Scorer.load(bad)


def test_a_damaged_calibration_is_refused_by_the_bundles_name(rankers, tmp_path):
    (bad,) = lineup(rankers, tmp_path, {"calibration": {"length": {"slope": 1}}})
    with pytest.raises(InputError, match="b0: ranker.json: calibration.length: .*intercept"):
        Scorer.load(bad)


@pytest.mark.parametrize(
    "calibration", ["much", [1], {"probability": {"method": "guess"}}, {"percentile": {}}]
)
def test_a_damaged_calibration_is_one_line_for_every_command(rankers, pool, calibration, tmp_path, capsys):
    (bad,) = lineup(rankers, tmp_path, {"calibration": calibration})
    for command in (["score", "--out", "run"], ["filter", "--top", "1", "--out", "kept.jsonl"]):
        command[-1] = str(tmp_path / command[-1])
        arguments = [command[0], str(pool), "--ranker", str(bad), "--ranker", str(rankers["style"])]
        assert main([*arguments, *command[1:], *(["--by", "style"] if command[0] == "filter" else [])]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "b0: ranker.json: calibration" in told


@pytest.mark.parametrize(
    "text, told",
    [
        ({"max_tokens": "many"}, "max_tokens must be a whole number"),
        ({"max_tokens": 0}, "max_tokens must be a whole number of at least 1, got 0"),
        ({"inputs": "all"}, "inputs must be one of each, pair"),
        ({"response": "ends"}, "response must be one of head, tail, middle"),
        ({"template": 5}, "text cannot be read"),
        ({"colour": 5}, "colour"),
    ],
)
def test_text_settings_that_cannot_be_are_refused_by_the_bundles_name(rankers, text, told, tmp_path):
    (bad,) = lineup(rankers, tmp_path, {"text": text})
    with pytest.raises(InputError, match=f"b0/ranker.json: .*{told}"):
        Scorer.load(bad)


@pytest.mark.parametrize("aggregate", ["mean", "min", "last"])
def test_every_answer_of_a_dialogue_is_scored_as_it_is_alone(rankers, tmp_path, aggregate):
    rows = [
        {
            "messages": [
                {"role": role, "content": f"{text} {number} {turn} " * (turn + 1)}
                for turn in range(1 + number % 3)
                for role, text in (("user", "what is a list"), ("assistant", "clearly items"))
            ]
        }
        for number in range(9)
    ]
    pool, reading = write_jsonl(tmp_path / "talks.jsonl", rows), Reading(turns="each")
    scoring = Scoring(aggregate=aggregate, chunk_rows=4)
    score_pool(pool, list(rankers.values()), tmp_path / "all", reading=reading, scoring=scoring)
    together = sheet(tmp_path / "all")
    for name, ranker in rankers.items():
        score_pool(pool, ranker, tmp_path / name, reading=reading, scoring=scoring)
        alone = sheet(tmp_path / name)
        for column in columns(name):
            assert alone[column].equals(together[column]), column
    last = Scorer.load(rankers["quality"]).explain(rows)
    more = together["quality_tokens"].to_numpy() - [each.tokens for each in last]
    np.testing.assert_array_equal(more > 0, [number % 3 > 0 for number in range(9)], "earlier answers count")
    if aggregate == "last":
        np.testing.assert_allclose(together["quality"].to_numpy(), [each.score for each in last], atol=1e-5)


def test_the_command_line_takes_several_rankers_and_tells_of_each(pool, rankers, tmp_path, capsys):
    command = [
        "score",
        pool,
        "--ranker",
        rankers["style"],
        "--ranker",
        rankers["short"],
        "--out",
        tmp_path / "r",
    ]
    assert main([str(part) for part in command]) == 0
    told = capsys.readouterr().out
    assert "engine: style: onnxruntime fp32" in told and "engine: short: onnxruntime fp32" in told
    summary = json.loads((tmp_path / "r" / RUN).read_bytes())
    style, short = (summary["truncated_of"][name] for name in ("style", "short"))
    shares = f"style {style} ({style / 42:.1%} of the scored), short {short} ({short / 42:.1%} of the scored)"
    assert f"truncated: {shares}" in told and 0 < style < short
    assert "--by style" in told
    assert main([str(part) for part in command]) == 0
    assert "finished already" in capsys.readouterr().out


def test_one_ranker_is_told_of_as_before(pool, rankers, tmp_path, capsys):
    assert main(["score", str(pool), "--ranker", str(rankers["style"]), "--out", str(tmp_path / "r")]) == 0
    told = capsys.readouterr().out
    assert (
        "engine: onnxruntime fp32" in told
        and "truncated: 1 (2.4% of the scored)" in told
        and "--by" not in told
    )
