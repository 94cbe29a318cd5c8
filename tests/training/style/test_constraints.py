"""SCAR's quality constraints: strict inequalities, identical texts never, missing quality an error."""

from dataclasses import replace

import pytest

from scar.errors import InputError
from scar.records import Tiers, Turn
from scar.settings import StyleSettings
from scar.training.style.constraints import check_tiers, eligible, passes, resolve_mode

SETTINGS = StyleSettings()


def row(quality=None, **responses):
    return Tiers(
        (Turn("user", "q"),), responses or {"direct": "a", "referenced": "b", "human": "c"}, quality or {}
    )


@pytest.mark.parametrize(
    ("mode", "better", "worse", "teaches"),
    [
        ("abs", 5, 9, False),
        ("abs", 5.5, 9, True),
        ("abs", 6, 1, False),
        ("abs", 6, 10, False),
        ("abs_pos", 6, 1, True),
        ("abs_pos", 5, 9, False),
        ("abs_pos", 10, 9, False),
        ("diff", 9, 0, True),
        ("diff", 10, 0, False),
        ("abs_diff", 6, 7, True),
        ("abs_diff", 5, 7, False),
        ("none", 0, 0, True),
    ],
)
def test_the_constraint_table(mode, better, worse, teaches):
    assert passes(mode, better, worse, 5.0, 10.0) is teaches


def test_identical_texts_never_teach():
    assert eligible(row(direct="same", human="same"), "none", SETTINGS) == set()


def test_a_missing_tier_takes_its_pairs_along():
    assert eligible(row(direct="a", human="c"), "none", SETTINGS) == {("direct", "human")}


def test_each_pair_passes_by_itself():
    found = eligible(row({"direct": 8, "referenced": 8, "human": 2}), "abs", SETTINGS)
    assert found == {("direct", "referenced")}


def test_auto_is_none_without_quality_and_abs_with():
    assert resolve_mode([row()], SETTINGS) == "none"
    assert resolve_mode([row({"direct": 8, "referenced": 8, "human": 8})], SETTINGS) == "abs"


def test_a_mode_that_needs_quality_names_the_tier_that_lacks_it():
    with pytest.raises(InputError, match="'human'"):
        resolve_mode([row({"direct": 8, "referenced": 8})], SETTINGS)
    with pytest.raises(InputError, match="'direct'"):
        resolve_mode([row()], replace(SETTINGS, constraint="diff"))


def test_a_tier_outside_the_recipe_is_named():
    with pytest.raises(InputError, match="'gold'"):
        check_tiers([row(gold="x")], SETTINGS.tiers)
