"""The columns beside a score: what they are called and what they mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from scar.bundle import Bundle, score_columns
from scar.calibration import Calibration, Isotonic, Percentiles, Temperature
from scar.errors import InputError
from scar.serving.columns import beside, calibration_of, p_seen

SCORES = np.float32([-3, -0.5, 0, 2, 9])
PARTS = {
    "probability": Temperature(2.0),
    "percentile": Percentiles((-1.0, 0.0, 1.0)),
}


@pytest.mark.parametrize("kind", ["style", "quality", "unseen"])
@pytest.mark.parametrize("parts", [(), ("probability",), ("percentile",), ("probability", "percentile")])
def test_the_columns_are_those_that_the_bundle_lists(kind, parts):
    calibration = Calibration(**{part: PARTS[part] for part in parts})
    ranker = {"name": "a", "kind": kind, "prefer": "novel", "calibration": calibration.to_config() or None}
    found = beside(ranker, calibration, SCORES)
    assert ["a", "a_tokens", *found] == score_columns(ranker)
    assert all(values.dtype == np.float32 and values.shape == (5,) for values in found.values())


def test_a_quality_rankers_columns_are_its_calibrations():
    found = beside({"name": "q", "kind": "quality"}, Calibration(**PARTS), SCORES)
    np.testing.assert_allclose(found["q_p"], expit(SCORES / 2), rtol=1e-6)
    np.testing.assert_allclose(found["q_percentile"], [0, 100 / 3, 50, 100, 100], rtol=1e-6)


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=9))
def test_p_seen_comes_back_out_of_the_score_whichever_rows_are_preferred(seen):
    seen = np.asarray(seen)
    np.testing.assert_allclose(p_seen(np.float32(logit(1 - seen)), None, prefer="novel"), seen, atol=1e-5)
    np.testing.assert_allclose(p_seen(np.float32(logit(seen)), None, prefer="similar"), seen, atol=1e-5)


@pytest.mark.parametrize("prefer", ["novel", "similar"])
def test_a_calibrated_p_seen_is_of_seen_whichever_rows_are_preferred(prefer):
    curve = Isotonic((-1.0, 1.0), (0.1, 0.7))
    ranker = {"name": "u", "kind": "unseen", "prefer": prefer}
    found = beside(ranker, Calibration(probability=curve), SCORES)
    preferred = curve.apply(SCORES)
    assert list(found) == ["p_seen"]
    np.testing.assert_allclose(found["p_seen"], 1 - preferred if prefer == "novel" else preferred, rtol=1e-6)


def test_what_is_preferred_rises_with_the_score():
    novel, similar = (p_seen(SCORES, None, prefer=prefer) for prefer in ("novel", "similar"))
    assert (np.diff(novel) < 0).all() and (np.diff(similar) > 0).all()


def test_a_record_without_a_score_has_no_column():
    none = np.float32([np.nan])
    for kind in ("quality", "unseen"):
        found = beside({"name": "a", "kind": kind, "prefer": "novel"}, Calibration(**PARTS), none)
        assert found and all(np.isnan(values).all() for values in found.values())


@pytest.mark.parametrize("prefer", [{}, {"prefer": None}, {"prefer": "new"}])
def test_an_unseen_ranker_must_say_what_it_prefers(prefer, tmp_path):
    with pytest.raises(InputError, match="prefer is .*, not novel or similar"):
        calibration_of(Bundle(tmp_path, {"kind": "unseen", **prefer}))
    assert calibration_of(Bundle(tmp_path, {"kind": "style", **prefer})) == Calibration()
