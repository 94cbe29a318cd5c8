"""A row of tiers, whole, is what a style ranker is trained on."""

import pytest

from scar.formats import Layout, tiers
from scar.records import NOWHERE, Reason, Tiers, Turn
from tests.formats.made import TIERS


def whole(**more):
    return tiers({**TIERS, **more}, Layout("tiers", {}), NOWHERE)


def test_a_null_or_blank_tier_is_a_missing_tier():
    item = whole(
        responses={"human": None, "referenced": " \n", "direct": "D"}, quality={"human": 3, "direct": 5}
    )
    assert item == Tiers((Turn("user", "Ask."),), {"direct": "D"}, {"direct": 5.0})


def test_a_row_whose_tiers_are_all_missing_is_set_aside():
    assert whole(responses={"human": None, "direct": ""}).reason == Reason.EMPTY_RESPONSE


def test_quality_is_a_number_or_the_mean_of_helpfulness_and_correctness():
    item = whole(quality={"human": 7, "direct": {"helpfulness": 4, "correctness": 7, "style": 1}})
    assert item.quality == {"human": 7.0, "direct": 5.5}
    assert whole(quality={"human": None}).quality == {}
    assert whole().quality == {}


@pytest.mark.parametrize(
    "grade",
    [
        "good",
        True,
        float("nan"),
        float("inf"),
        10**400,
        {"helpfulness": 3},
        {"helpfulness": 3, "correctness": "4"},
    ],
)
def test_a_grade_that_is_no_number_is_refused_with_its_tier(grade):
    item = whole(quality={"human": grade})
    assert item.reason == Reason.WRONG_LAYOUT
    assert "'human'" in item.detail


def test_a_long_grade_is_not_echoed_whole():
    assert len(whole(quality={"human": "x" * 100_000}).detail) < 200


def test_quality_that_is_a_list_is_refused():
    assert whole(quality=[1, 2]).reason == Reason.WRONG_LAYOUT


def test_eval_only_is_true_or_nothing():
    assert whole(eval_only=True).eval_only is True
    assert whole(eval_only="yes").eval_only is False
    assert whole().eval_only is False


def test_a_row_read_whole_keeps_its_id_and_its_source():
    item = whole(id=3, source="made")
    assert (item.id, item.source, whole(source=5).source) == ("3", "made", None)
