"""`scar calibrate`: planted miscalibration is found, each part is fitted on its own rows, and the rest stays."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import expit
from scipy.stats import percentileofscore

from scar.bundle import RANKER, Bundle, changing, seal
from scar.calibration import Calibration, Isotonic, LengthTrend, Temperature, expected_calibration_error
from scar.cli import main
from scar.errors import InputError
from scar.files import write_json
from scar.pools import digest
from scar.serving.run import score_pool
from scar.serving.scorer import Scorer
from scar.settings import Scoring
from scar.training import calibrate_bundle as module
from scar.training.calibrate import fit_isotonic
from scar.training.calibrate_bundle import calibrate_bundle
from tests.make import labelled_rows, pool_rows, write_jsonl

ROWS = pool_rows(900)


@pytest.fixture
def copy(quality_bundle, tmp_path):
    """A quality bundle that a test may change."""
    return shutil.copytree(quality_bundle, tmp_path / "quality")


@pytest.fixture(scope="module")
def scores(quality_bundle):
    """The bundle's own scores of ROWS."""
    return Scorer.load(quality_bundle).score(ROWS).astype(np.float64)


@pytest.fixture(scope="module")
def planted(scores):
    """A temperature, and labels of ROWS that are drawn as if it were the bundle's."""
    temperature = float(scores.std() / 1.5)
    drawn = np.random.default_rng(0).random(len(ROWS)) < expit((scores - scores.mean()) / temperature)
    return temperature, drawn.astype(int)


def labelled(labels, rows=ROWS, **more):
    return [{**row, "label": int(label), **more} for row, label in zip(rows, labels, strict=True)]


def altered(bundle, **changes):
    """Change ranker.json of a bundle, its manifest with it."""
    opened = Bundle.open(bundle)
    with changing(opened) as change:
        write_json(change.folder / RANKER, {**opened.ranker, **changes})
    return bundle


def calibration_of(bundle):
    return Calibration.from_config(Bundle.open(bundle).ranker["calibration"])


def test_a_planted_temperature_is_found_and_its_error_is_measured_on_other_instructions(
    copy, scores, tmp_path
):
    temperature = float(np.sqrt(np.mean(scores**2)) / 2)
    labels = np.random.default_rng(1).random(len(ROWS)) < expit(scores / temperature)
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(labels))
    found = calibrate_bundle(copy, labels=data, method="temperature").calibration.probability
    assert isinstance(found, Temperature)
    assert found.temperature == pytest.approx(temperature, rel=0.25)
    assert found.facts["ece_after"] < 0.06 < found.facts["ece_before"]
    assert found.facts["folds"] == 5 and found.facts["rows"] == len(ROWS)
    # Row by row: what the bundle now says is the chance that the label was drawn by.
    said = Calibration.from_config(Bundle.open(copy).ranker["calibration"]).probability.apply(scores)
    assert np.abs(said - expit(scores / temperature)).max() < 0.08


def test_an_offset_that_no_temperature_can_repair_is_repaired_by_an_isotonic_curve(
    copy, scores, planted, tmp_path
):
    temperature, labels = planted
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(labels))
    found = calibrate_bundle(copy, labels=data, method="isotonic").calibration.probability
    assert isinstance(found, Isotonic) and found.facts["why"] == "asked for"
    true = expit((scores - scores.mean()) / temperature)
    assert np.abs(found.apply(scores) - true).mean() < 0.08
    assert found.facts["ece_after"] < 0.08


def test_percentiles_are_those_of_the_reference_pool_whatever_the_chunks(copy, scores, tmp_path):
    bad = {"instruction": "only"}
    pool = write_jsonl(tmp_path / "reference.jsonl", [*ROWS[:500], bad, *ROWS[500:], bad])
    report = calibrate_bundle(copy, reference=pool, scoring=Scoring(chunk_rows=64))
    found = report.calibration.percentile
    assert report.fitted == ("percentile",)
    assert (found.facts["reference"], found.facts["rows"], found.facts["set_aside"]) == (
        "reference.jsonl",
        900,
        2,
    )
    told = found.apply(scores.astype(np.float32))[:50]
    want = [percentileofscore(scores, score, kind="mean") for score in scores[:50]]
    assert told == pytest.approx(want, abs=0.2)


def test_a_part_that_is_not_asked_for_stays_as_it_was(copy, planted, tmp_path):
    trend = {"slope": 0.25, "intercept": -1.0, "facts": {"rows": 3}}
    before = altered(copy, calibration={**Bundle.open(copy).ranker["calibration"], "length": trend})
    old = calibration_of(before)
    assert old.percentile and old.probability and old.length
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(planted[1]))
    calibrate_bundle(copy, labels=data)
    new = calibration_of(copy)
    assert (new.percentile, new.length) == (old.percentile, old.length) and new.probability != old.probability
    calibrate_bundle(copy, reference=data)
    newest = calibration_of(copy)
    assert (newest.probability, newest.length) == (new.probability, old.length)
    assert newest.percentile != old.percentile


def test_a_part_that_was_fitted_meanwhile_stays_too(copy, planted, tmp_path, monkeypatch):
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(planted[1]))
    reference = write_jsonl(tmp_path / "reference.jsonl", ROWS[:50])
    write = module._write

    def waited(*rest):
        monkeypatch.setattr(module, "_write", write)
        calibrate_bundle(copy, reference=reference)
        return write(*rest)

    monkeypatch.setattr(module, "_write", waited)
    report = calibrate_bundle(copy, labels=data)
    found = calibration_of(copy)
    assert found == report.calibration and report.fitted == ("probability",)
    assert found.probability.facts["fitted_on"] == "labels.jsonl" and found.percentile.facts["rows"] == 50


def test_both_parts_are_fitted_on_scores_without_the_length_trend(copy, scores, planted, tmp_path):
    scorer = Scorer.load(copy)
    lengths = scorer.encoder.encode(((), row["response"]) for row in ROWS).response_tokens
    # A trend that turns the order round: a fit on raw scores could not be taken for one on these.
    trend = LengthTrend(float(20 * scores.std()), 0.5, {"rows": 3})
    altered(copy, calibration=Calibration(length=trend).to_config())
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(planted[1]))
    found = calibrate_bundle(copy, labels=data, reference=data, method="isotonic").calibration
    final = trend.apply(scores.astype(np.float32), lengths)
    assert found.length == trend
    assert found.percentile.scores == pytest.approx(np.sort(final), abs=1e-5)
    want = fit_isotonic(final, planted[1])
    assert found.probability.apply(final) == pytest.approx(want.apply(final), abs=1e-3)
    # And these are the scores that it is applied to.
    assert Scorer.load(copy).score(ROWS[:50]) == pytest.approx(final[:50], abs=1e-5)


def test_the_error_of_the_calibration_that_is_replaced_is_told_too(copy, bundle, scores, planted, tmp_path):
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(planted[1]))
    old = calibration_of(copy).probability
    facts = calibrate_bundle(copy, labels=data).calibration.probability.facts
    assert facts["ece_replaced"] == pytest.approx(
        expected_calibration_error(old.apply(scores), planted[1]), abs=1e-6
    )
    assert facts["ece_before"] == pytest.approx(
        expected_calibration_error(expit(scores), planted[1]), abs=1e-6
    )
    # On the very rows that it was fitted on, the old one would look better than it is.
    assert "ece_replaced" not in calibrate_bundle(copy, labels=data).calibration.probability.facts
    style = shutil.copytree(bundle, tmp_path / "style")
    facts = calibrate_bundle(style, labels=data).calibration.probability.facts
    assert "ece_replaced" not in facts and facts["rows"] == len(ROWS)


def test_only_ranker_json_and_the_card_change_and_the_bundle_is_whole(copy, tmp_path):
    before = json.loads((copy / "manifest.json").read_text())["files"]
    calibrate_bundle(copy, reference=write_jsonl(tmp_path / "pool.jsonl", pool_rows(30)))
    after = json.loads((copy / "manifest.json").read_text())["files"]
    assert {name for name in after if before[name] != after[name]} == {"ranker.json", "README.md"}
    assert set(before) == set(after)
    assert "of 30 reference rows" in (copy / "README.md").read_text()
    old = {k: v for k, v in Bundle.open(copy).ranker.items() if k != "calibration"}
    assert old["trained_steps"] > 0


def test_a_run_that_was_made_before_is_refused(copy, tmp_path, capsys):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(20))
    score_pool(pool, copy, tmp_path / "run")
    assert main(["calibrate", str(copy), "--reference", str(pool)]) == 0
    assert "a run that it began before is refused" in capsys.readouterr().out
    with pytest.raises(InputError, match="ranker.json differs"):
        score_pool(pool, copy, tmp_path / "run")
    score_pool(pool, copy, tmp_path / "run", overwrite=True)
    # Best of the very pool that it is compared with: above all others, and level with itself.
    told = pq.read_table(tmp_path / "run" / "chunks")["quality_percentile"].to_numpy()
    assert told.max() == pytest.approx(100 * 19.5 / 20)


def test_rows_that_must_not_be_trained_on_are_not_fitted_on(copy, planted, tmp_path):
    labels = planted[1][:200]
    kept = labelled(labels, ROWS[:200])
    # Were these used, good would be bad.
    forbidden = labelled(1 - planted[1][200:], ROWS[200:], eval_only=True)
    clean = calibrate_bundle(copy, labels=write_jsonl(tmp_path / "a.jsonl", kept)).calibration.probability
    both = calibrate_bundle(
        copy, labels=write_jsonl(tmp_path / "b.jsonl", [*kept, *forbidden])
    ).calibration.probability
    assert (both.facts["left_out"]["eval_only"], both.facts["rows"]) == (700, 200)
    assert both.temperature == clean.temperature


def test_rows_of_one_instruction_do_not_measure_each_other(copy, monkeypatch, tmp_path):
    seen = {}

    def measured(scores, labels, groups, **more):
        seen["groups"] = groups
        return {"rows": len(scores), "ece_before": 0.0, "ece_after": 0.0, "folds": 2, "method": "temperature"}

    monkeypatch.setattr(module, "honest_errors", measured)
    rows = labelled_rows(20)
    rows[1] |= {"instruction": "  " + rows[0]["instruction"].upper()}
    calibrate_bundle(copy, labels=write_jsonl(tmp_path / "labels.jsonl", rows))
    assert len(set(seen["groups"])) == len({row["instruction"].strip().casefold() for row in rows}) == 10


def test_auto_says_which_method_and_why(copy, tmp_path, capsys):
    data = write_jsonl(tmp_path / "labels.jsonl", [*labelled_rows(60), {"instruction": "a", "response": "b"}])
    assert (
        main(["calibrate", str(copy), "--labels", str(data), "--reference", str(data), "--threads", "1"]) == 0
    )
    out = capsys.readouterr().out
    assert (
        "probability: temperature (60 rows, 30 of the rarer label; isotonic from 1,000 and 100), fitted on"
        in out
    )
    assert "n = 60, 50.0% good (cross-fitted by instruction, 5 folds)" in out
    assert "that of the calibration it replaces" in out
    assert "left out: 1 set_aside" in out
    assert "percentiles: of labels.jsonl, n = 61" in out


def test_grades_are_read_on_the_scale_that_the_ranker_was_trained_on(copy, tmp_path):
    altered(copy, objective={"kind": "graded", "scale": [0, 10], "margins": False, "pos_weight": 1.0})
    rows = [{**row, "score": 7.5 if row.pop("label") else 2.5} for row in labelled_rows(40)]
    found = calibrate_bundle(copy, labels=write_jsonl(tmp_path / "g.jsonl", rows)).calibration.probability
    assert found.facts["good"] == pytest.approx(0.5)
    rows[3]["score"] = 11
    with pytest.raises(InputError, match=r"g.jsonl, line 4: score 11 is outside the scale \[0, 10\]"):
        calibrate_bundle(copy, labels=write_jsonl(tmp_path / "g.jsonl", rows))


@pytest.mark.parametrize("prefer", ["novel", "similar"])
def test_of_an_unseen_ranker_a_label_says_seen(copy, planted, tmp_path, prefer):
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(planted[1]))
    as_quality = calibrate_bundle(copy, labels=data, method="isotonic").calibration.probability
    opposite = write_jsonl(tmp_path / "seen.jsonl", labelled(1 - planted[1]))
    altered(copy, kind="unseen", prefer=prefer, share_seen=0.5, head_kind="finetune", on="both")
    found = calibrate_bundle(
        copy, labels=opposite if prefer == "novel" else data, method="isotonic"
    ).calibration.probability
    assert (found.x, found.y) == (as_quality.x, as_quality.y)


TEXT = {"instruction": "what is it", "response": "the list."}
WRONG = {
    "all 12 labels are 1.*add the others": [{**TEXT, "label": 1}] * 12,
    r"4 rows with a judgement to calibrate on \(none left out\); at least 10": labelled_rows(4),
    r"0 rows with a judgement .*\(12 set_aside\).*--columns label=NAME": [{**TEXT, "label": None}] * 12,
    r"0 rows .*\(12 eval_only\)": labelled_rows(12, eval_only=True),
    "l.jsonl, line 1: a pair says which response is better": [
        {"prompt": "q", "chosen": "a", "rejected": "b"}
    ],
    "knows no scale of scores": [{**TEXT, "score": n} for n in range(12)],
    "at least 2 folds": [{**TEXT, "response": f"the {n}", "label": n % 2} for n in range(12)],
    "line 1: 'label' is 'good', not a label": [{**TEXT, "label": "good"}],
}


@pytest.mark.parametrize(("told", "rows"), WRONG.items())
def test_labels_that_cannot_be_fitted_are_one_line_and_change_nothing(copy, tmp_path, told, rows):
    before = (copy / "manifest.json").read_bytes()
    with pytest.raises(InputError, match=told):
        calibrate_bundle(copy, labels=write_jsonl(tmp_path / "l.jsonl", rows))
    assert (copy / "manifest.json").read_bytes() == before
    assert Bundle.open(copy)


def test_labels_that_the_ranker_was_trained_on_are_told(copy, tmp_path, caplog):
    data = write_jsonl(tmp_path / "labels.jsonl", labelled_rows(40))
    calibrate_bundle(copy, labels=data)
    assert not caplog.text
    told = Bundle.open(copy).ranker["data"]
    files = {"data": {"name": "labels.jsonl", "sha256": digest(data)}}
    calibrate_bundle(altered(copy, data={**told, "files": {"test": files["data"]}}), labels=data)
    assert not caplog.text  # the test part is for this
    calibrate_bundle(altered(copy, data={**told, "files": files}), labels=data)
    assert "trained on this file, and is too sure of its rows" in caplog.text


def test_labels_of_nan_are_missing_labels(copy, tmp_path):
    rows = b"".join(
        json.dumps({**row, "label": float("nan")} if n < 3 else row).encode() + b"\n"
        for n, row in enumerate(labelled_rows(40))
    )
    (tmp_path / "l.jsonl").write_bytes(rows)
    found = calibrate_bundle(copy, labels=tmp_path / "l.jsonl").calibration.probability
    assert (found.facts["rows"], found.facts["left_out"]["set_aside"]) == (37, 3)


def test_what_is_missing_is_told_with_the_remedy(copy, tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="--labels FILE.*--reference POOL"):
        calibrate_bundle(copy)
    empty = write_jsonl(tmp_path / "p.jsonl", [{"instruction": "", "response": ""}])
    with pytest.raises(InputError, match=r"no record to compare with \(1 were set aside\)"):
        calibrate_bundle(copy, reference=empty)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"train extra: pip install 'scar-rank\[train\]'"):
        calibrate_bundle(copy, labels=empty)
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(5))
    calibrate_bundle(copy, reference=pool)  # percentiles need no extra
    for name in ("model.onnx", "model.fused.onnx"):
        (copy / name).unlink()
    seal(copy)
    assert main(["calibrate", str(copy), "--reference", str(pool)]) == 2
    assert "has no graphs yet: run `scar export" in capsys.readouterr().err


def test_a_reference_on_this_machine_is_told_by_its_name_alone(copy, tmp_path):
    folder = tmp_path / "pools" / "mine"
    folder.mkdir(parents=True)
    write_jsonl(folder / "a.jsonl", pool_rows(5))
    write_jsonl(folder / "b.jsonl", pool_rows(5, seed=1))
    found = calibrate_bundle(copy, reference=str(folder)).calibration.percentile
    assert (found.facts["reference"], found.facts["rows"]) == ("mine", 10)
    assert str(tmp_path) not in (copy / "ranker.json").read_text()


def test_calibrating_loads_no_model_library(copy, tmp_path):
    pool = write_jsonl(tmp_path / "pool.jsonl", pool_rows(5))
    program = (
        "import sys; from scar.cli import main\n"
        f"assert main(['calibrate', {str(copy)!r}, '--reference', {str(pool)!r}]) == 0\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'sklearn', 'scipy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0


def test_the_scores_that_are_fitted_on_miss_what_has_no_finite_score(copy, planted, tmp_path, monkeypatch):
    data = write_jsonl(tmp_path / "labels.jsonl", labelled(planted[1][:100], ROWS[:100]))
    whole = Scorer.score_records

    def holed(self, records, on_batch=None):
        scores = whole(self, records, on_batch)
        scores.scores[:7] = np.nan
        return replace(scores)

    monkeypatch.setattr(Scorer, "score_records", holed)
    report = calibrate_bundle(copy, labels=data, reference=data)
    for part in report.calibration.probability, report.calibration.percentile:
        assert (part.facts["rows"], part.facts["without_score"]) == (93, 7)
