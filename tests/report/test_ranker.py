"""What a bundle says of itself: figures of the real evaluations, in folders that hold nothing else."""

import json

import numpy as np
import pytest

from scar.calibration import Calibration, LengthTrend, Percentiles, Temperature
from scar.errors import InputError
from scar.evaluation import evaluate, evaluate_judged
from scar.files import sha256
from scar.records import Judged, Tiers, Turn
from scar.report.gather import gather
from scar.report.ranker import Figure, ranker_of
from scar.report.views.ranker import ranker as section_of
from tests.report.made import made_facts

ASKED = (Turn("user", "what?"),)
TIERS = ("direct", "referenced", "human")


def bundle_of(folder, kind, evaluation=None, calibration=None, **more):
    folder.mkdir(exist_ok=True)
    config = (calibration or Calibration()).to_config()
    ranker = {"name": kind, "kind": kind, "encoder": {"name": "/home/x/my-encoder"}, "calibration": config}
    (folder / "ranker.json").write_text(json.dumps(ranker | more))
    if evaluation:
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def of_tiers():
    lengths = np.random.default_rng(0).integers(1, 40, (30, 3)).tolist()
    rows = [
        Tiers(ASKED, {t: "x" * n for t, n in zip(TIERS, each, strict=True)}, source="made")
        for each in lengths
    ]
    return evaluate(rows, TIERS, np.tile([3.0, 2.0, 1.0], 30))


def of_labels():
    rows = [Judged((Turn("user", f"q{n}"),), ("a" * (n + 1),), label=n % 2, source="made") for n in range(20)]
    return evaluate_judged(rows, np.arange(20.0) % 2, "labels")


def test_a_style_bundle_tells_its_ordering(tmp_path):
    folder = bundle_of(tmp_path, "style", of_tiers())
    found = ranker_of(folder, {"style": sha256(folder / "ranker.json")})
    assert found.overall[0].every == Figure(1.0, 1.0, 1.0, 90) and not found.changed
    assert [each.name for each in found.overall] == ["ranker", "longest", "shortest", "random"]
    assert [each.name for each in found.parts] == [
        "direct>referenced", "direct>human", "referenced>human", "made",
    ]  # fmt: skip
    assert found.encoder == "my-encoder" and found.measure == "share of held-out pairs in the right order"
    section = section_of(gather(made_facts(score=[0.0, 1.0])), found, 1)
    assert "above every baseline's interval" in section.reading and len(section.grids) == 2


def test_a_quality_bundle_tells_its_calibration(tmp_path):
    errors = {"ece_before": 0.25, "ece_after": 0.0625, "measured_on": "test rows"}
    calibration = Calibration(
        Temperature(2.0, errors), Percentiles((0.0, 1.0), {"rows": 900}), LengthTrend(0.1, 0.0)
    )
    found = ranker_of(bundle_of(tmp_path, "quality", of_labels(), calibration), {})
    assert found.calibrated == (
        "Expected calibration error of the probability: 0.250 before, 0.062 after (test rows).",
        "Percentiles are of 900 reference rows.",
        "The trend with the response's length is taken off the score.",
    )
    assert found.measure == "AUC on held-out rows" and found.overall[0].every.value == 1.0


def test_the_calibration_is_drawn_over_the_scores_of_the_pool(tmp_path):
    found = ranker_of(bundle_of(tmp_path, "style", None, Calibration(Temperature(1.0))), {})
    section = section_of(gather(made_facts(score=[-1.0, 1.0])), found, 1)
    (figure,) = section.figures
    assert "probability" in figure.chart and "not evaluated" in section.reading
    # Of other scores, the pool's tell nothing.
    other = bundle_of(tmp_path / "b", "quality", None, Calibration(Temperature(1.0)))
    assert section_of(gather(made_facts(score=[-1.0, 1.0])), ranker_of(other, {}), 2).figures == ()


def test_an_unseen_bundle_tells_the_error_of_its_temperature(tmp_path):
    temperature = {"ece_before": 0.5, "ece_after": 0.1, "fitted_on": "held-out folds"}
    found = ranker_of(bundle_of(tmp_path, "unseen", temperature=temperature), {})
    assert found.calibrated == (
        "Expected calibration error of p_seen: 0.500 before, 0.100 after (held-out folds).",
    )


def test_a_bundle_that_was_changed_says_so(tmp_path):
    found = ranker_of(bundle_of(tmp_path, "style"), {"style": "0" * 64})
    assert found.changed
    assert "changed since" in section_of(gather(made_facts(score=[1.0])), found, 1).reading


@pytest.mark.parametrize("damage", ["{}", "[]", "not json", '{"name": "x", "kind": "style"}'])
def test_a_damaged_or_missing_bundle_is_an_input_error(tmp_path, damage):
    with pytest.raises(InputError, match="not there any more"):
        ranker_of(tmp_path, {})
    (tmp_path / "ranker.json").write_text(damage)
    with pytest.raises(InputError):
        ranker_of(tmp_path, {})
