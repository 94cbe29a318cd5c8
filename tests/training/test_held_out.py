"""What a training fits on the rows that it held out."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from scar.bundle import Bundle
from scar.calibration import Calibration
from scar.pools import read_tiers
from scar.records import Record
from scar.serving.scorer import Scorer
from scar.training.export import export
from scar.training.held_out import HeldOut, calibrate
from scar.training.style.train import train_style
from tests.make import tier_rows, write_jsonl


def held_out(n, labels=None):
    random = np.random.default_rng(0)
    return HeldOut(
        random.normal(size=n).astype(np.float32),
        random.integers(1, 99, n),
        None if labels is None else np.asarray(labels, dtype=np.float32),
        np.arange(n),
    )


@pytest.fixture
def short(settings):
    return replace(settings, epochs=1)


def test_a_style_bundle_has_the_percentiles_of_every_held_out_response(bundle):
    found = Calibration.from_config(Bundle.open(bundle).ranker["calibration"])
    assert found.probability is None and found.length is None
    assert found.percentile.facts == {"rows": 12, "without_score": 0, "reference": "validation part"}


@pytest.mark.slow
@pytest.mark.parametrize("given", ["validation", "test"])
def test_percentiles_are_scores_of_the_validation_file_else_of_the_test_file(short, tmp_path, given):
    data = write_jsonl(tmp_path / "data.jsonl", tier_rows(12))
    held = write_jsonl(tmp_path / "held.jsonl", tier_rows(7, seed=4))
    short = replace(short, validation_share=0.0, test_share=0.0)
    report = train_style(short, data, tmp_path / "b", **{given: held})
    export(tmp_path / "b", graphs="reference", rows=held)
    assert report.calibration.percentile.facts["reference"] == f"{given} part"
    records = [Record(row.turns, text) for row in read_tiers(held) for text in row.responses.values()]
    scores = np.sort(Scorer.load(tmp_path / "b").score_records(records).scores)
    np.testing.assert_allclose(report.calibration.percentile.scores, scores, atol=1e-4)


def test_without_held_out_rows_there_is_no_calibration_but_a_note(short, tmp_path, caplog):
    data = write_jsonl(tmp_path / "data.jsonl", tier_rows(12))
    with caplog.at_level(logging.WARNING, logger="scar"):
        report = train_style(replace(short, validation_share=0.0, test_share=0.0), data, tmp_path / "b")
    assert "no rows were held out; `scar calibrate`" in caplog.text
    assert report.calibration == Calibration()
    assert Bundle.open(tmp_path / "b").ranker["calibration"] is None


def test_a_calibration_that_is_not_wanted_is_no_news(caplog):
    with caplog.at_level(logging.WARNING, logger="scar"):
        assert calibrate(held_out(9), method="none") == calibrate(held_out(0), method="none") == Calibration()
    assert not caplog.text


def test_labels_of_one_kind_leave_the_percentiles_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="scar"):
        found = calibrate(held_out(9, np.ones(9)), probability=True)
    assert found.percentile and found.probability is None
    assert "not calibrated: all 9 labels are 1" in caplog.text
