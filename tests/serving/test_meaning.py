"""What a bundle's calibration does to its scores: the length trend comes off each answer, the rest follows."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from scar import Record, Scorer, score_pool
from scar.calibration import Calibration, LengthTrend, Percentiles, Temperature
from scar.records import Turn
from scar.settings import Scoring
from tests.make import pool_rows, write_jsonl
from tests.serving.made import remade

SLOPE, INTERCEPT = 0.7, -0.2
TALK = (
    Turn("user", "what is a list"),
    Turn("assistant", "clearly items in order"),
    Turn("user", "and a dict"),
)
DIALOGUE = Record(TALK, "whatever keys and values you like, in any order", answers=(1,))


@pytest.fixture(scope="module")
def calibration():
    return Calibration(
        probability=Temperature(0.5),
        percentile=Percentiles(tuple(np.linspace(-3, 3, 50))),
        length=LengthTrend(SLOPE, INTERCEPT),
    )


@pytest.fixture(scope="module", params=["style", "quality"])
def bundles(request, calibration, bundle, quality_bundle, tmp_path_factory):
    """A bundle without a calibration, and the same one with all of it."""
    folder = tmp_path_factory.mktemp("bundles")
    made = {"style": bundle, "quality": quality_bundle}[request.param]
    plain = remade(made, folder / "plain", name="r", calibration=None)
    return plain, remade(made, folder / "whole", name="r", calibration=calibration.to_config())


def tokens(scorer, texts):
    """Count the tokens of texts before any cut: with `tokenizers` itself."""
    return np.asarray(
        [len(scorer.encoder.text._tokenizer.encode(t, add_special_tokens=False).ids) for t in texts]
    )


def without_trend(scores, lengths):
    return scores - (INTERCEPT + SLOPE * np.log(1 + lengths))


def test_the_trend_is_taken_off_every_score_that_a_scorer_gives(bundles):
    rows = [*pool_rows(20), {"instruction": "what", "response": "a list " * 99}]
    records = [Record.plain(row["instruction"], row["response"]) for row in rows]
    plain, whole = map(Scorer.load, bundles)
    want = without_trend(plain.score(rows), tokens(plain, [row["response"] for row in rows]))
    np.testing.assert_allclose(whole.score(rows), want, atol=1e-5)
    np.testing.assert_allclose(whole.score_records(records).scores, want, atol=1e-5)
    np.testing.assert_allclose(whole.score_encoded(whole.encode(records)).scores, want, atol=1e-5)
    np.testing.assert_allclose([each.score for each in whole.explain(rows)], want, atol=1e-5)
    assert np.ptp(want - plain.score(rows)) > 1


@pytest.mark.parametrize("aggregate", ["mean", "min", "last"])
def test_the_trend_is_taken_off_each_answer_and_columns_are_of_the_scores_that_come_out(
    bundles, calibration, aggregate
):
    plain, whole = (Scorer.load(path, Scoring(aggregate=aggregate)) for path in bundles)
    answers = [Record(TALK[:1], TALK[1].text), Record(TALK, DIALOGUE.response)]
    each = without_trend(plain.score(answers), tokens(plain, [answer.response for answer in answers]))
    want = {"mean": each.mean(), "min": each.min(), "last": each[-1]}[aggregate]
    found = whole.score_records([DIALOGUE, answers[0]])
    np.testing.assert_allclose(found.scores, [want, each[0]], atol=1e-5)
    assert list(found.columns) == ["r_p", "r_percentile"]
    np.testing.assert_array_equal(found.columns["r_p"], calibration.probability.apply(found.scores))
    np.testing.assert_array_equal(found.columns["r_percentile"], calibration.percentile.apply(found.scores))


def test_explain_tells_what_a_score_means_and_a_row_without_one_has_no_meaning(bundles, calibration):
    good = {"instruction": "what is a list", "response": "items"}
    plain, whole = map(Scorer.load, bundles)
    told, bad = whole.explain([good, {"instruction": "what", "response": ""}])
    assert told.columns == {
        "r_p": pytest.approx(float(calibration.probability.apply(np.float32([told.score]))[0])),
        "r_percentile": pytest.approx(float(calibration.percentile.apply(np.float32([told.score]))[0])),
    }
    assert bad.score is None and bad.columns == {} == plain.explain([good])[0].columns


def test_a_run_holds_what_the_scorer_gives(bundles, tmp_path):
    rows = pool_rows(20)
    score_pool(write_jsonl(tmp_path / "p.jsonl", rows), bundles[1], tmp_path / "run")
    table, told = pq.read_table(tmp_path / "run" / "chunks"), Scorer.load(bundles[1]).explain(rows)
    np.testing.assert_array_equal(table["r"].to_numpy(), np.float32([each.score for each in told]))
    for name in ("r_p", "r_percentile"):
        assert table[name].type == "float"
        np.testing.assert_array_equal(
            table[name].to_numpy(), np.float32([each.columns[name] for each in told])
        )


@pytest.mark.parametrize("prefer", ["novel", "similar"])
def test_p_seen_falls_with_a_score_of_novelty_and_rises_with_one_of_likeness(
    quality_bundle, prefer, tmp_path
):
    scorer = Scorer.load(
        remade(quality_bundle, tmp_path / "u", name="u", kind="unseen", prefer=prefer, calibration=None)
    )
    told = scorer.explain(pool_rows(20))
    sign = -1 if prefer == "novel" else 1
    assert scorer.bundle.columns() == ["u", "u_tokens", *told[0].columns]
    scores, seen = ([each.score for each in told], [each.columns["p_seen"] for each in told])
    np.testing.assert_allclose(seen, 1 / (1 + np.exp(-sign * np.asarray(scores))), rtol=1e-6)
