"""The verdict: AUCs against scikit-learn, the interval against brute force and against nulls, and the words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from scar.training.unseen.folds import fold_of
from scar.training.unseen.length import length_scores
from scar.training.unseen.linear import out_of_fold
from scar.training.unseen.verdict import (
    OutOfFold,
    auc_interval,
    fold_aucs,
    stretch,
    verdict_of,
    weighted_aucs,
)


def made(n=400, shift=0.0, seed=0, folds=5):
    random = np.random.default_rng(seed)
    seen = np.arange(n) % 2 == 0
    groups = np.arange(n)
    fold = fold_of(groups, seen, folds=folds, seed=seed)
    return OutOfFold(random.normal(size=n) + shift * seen, seen, fold, groups)


FEW = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=2, max_size=25)


@given(FEW)
def test_a_weighted_auc_is_that_of_scikit_learn(rows):
    scores, seen, weights = (np.asarray(column) for column in zip(*rows, strict=True))
    found = weighted_aucs(scores.astype(float), seen, weights[None].astype(float))[0]
    if weights[seen].sum() and weights[~seen].sum():
        assert found == pytest.approx(roc_auc_score(seen, scores, sample_weight=weights))
    else:
        assert np.isnan(found)


def test_the_auc_is_the_mean_of_the_folds_whatever_their_scales():
    scored = made(shift=1.0)
    moved = scored.scores + 100 * scored.fold
    assert fold_aucs(moved, scored.seen, scored.fold) == fold_aucs(scored.scores, scored.seen, scored.fold)
    expected = [
        roc_auc_score(scored.seen[f], scored.scores[f])
        for f in (scored.fold == number for number in range(5))
    ]
    assert verdict_of(scored, scored.scores).auc == pytest.approx(np.mean(expected))


@pytest.mark.slow
def test_the_interval_is_that_of_redrawn_groups_stretched():
    scored = made(shift=0.5)
    random, means = np.random.default_rng(1), []
    for _ in range(400):
        aucs = []
        for number in range(5):
            rows = np.flatnonzero(scored.fold == number)
            drawn = random.choice(rows, len(rows))
            aucs.append(roc_auc_score(scored.seen[drawn], scored.scores[drawn]))
        means.append(np.mean(aucs))
    auc = np.mean(fold_aucs(scored.scores, scored.seen, scored.fold))
    low, high = auc_interval(scored)
    assert low == pytest.approx(auc - 1.5 * (auc - np.quantile(means, 0.05)), abs=0.015)
    assert high == pytest.approx(auc + 1.5 * (np.quantile(means, 0.95) - auc), abs=0.015)


def test_copies_in_one_group_do_not_make_the_interval_narrower():
    one = made(200, shift=0.3)
    four = OutOfFold(*(np.repeat(part, 4) for part in (one.scores, one.seen, one.fold, one.groups)))
    widths = [np.ptp(auc_interval(scored)) for scored in (one, four)]
    assert widths[1] == pytest.approx(widths[0], rel=0.05)


def test_the_stretch_is_half_as_much_again_for_five_folds():
    assert stretch(5) == 1.5
    assert stretch(2) == pytest.approx(3**0.5)


def test_the_seed_decides_the_interval():
    scored = made()
    assert auc_interval(scored, seed=1) == auc_interval(scored, seed=1) != auc_interval(scored, seed=2)


def test_what_differs_is_told_apart_and_what_does_not_is_noise():
    assert verdict_of(made(shift=1.0), made().scores).told_apart
    same = verdict_of(made(), made(seed=1).scores)
    assert not same.told_apart
    assert "cannot be told apart" in same.words and "noise" in same.words


def test_identical_sets_cannot_be_told_apart():
    scores = np.repeat(np.random.default_rng(0).normal(size=60), 2)
    groups = np.repeat(np.arange(60), 2)
    seen = np.arange(120) % 2 == 0
    verdict = verdict_of(OutOfFold(scores, seen, fold_of(groups, seen), groups), scores)
    assert (verdict.auc, verdict.low, verdict.high) == (0.5, 0.5, 0.5)
    assert not verdict.told_apart


def test_scores_below_a_half_are_no_discovery():
    verdict = verdict_of(made(shift=-1.0), made().scores)
    assert verdict.high < 0.5 and not verdict.told_apart


def test_length_that_tells_nearly_as_well_is_warned_of():
    scored = made(shift=1.0)
    assert "length alone" in verdict_of(scored, scored.scores).warnings[0]
    assert verdict_of(scored, made(seed=3).scores).warnings == ()


@pytest.mark.filterwarnings("error")
def test_an_interval_of_very_few_groups_is_warned_of():
    few = made(4, shift=9.0, folds=2)
    verdict = verdict_of(few, np.zeros(4))
    assert (verdict.low, verdict.high) == (1.0, 1.0)
    assert "2 groups in 2 folds: the interval is of little worth" in verdict.warnings[-1]
    assert verdict_of(made(100), made(100, seed=1).scores).warnings == ()


def test_scores_that_are_not_finite_are_refused():
    scored = made(20)
    with pytest.raises(ValueError, match="1 out-of-fold scores are not finite"):
        OutOfFold(np.r_[np.nan, scored.scores[1:]], scored.seen, scored.fold, scored.groups)


def length_auc(lengths, seen):
    groups = np.arange(len(seen))
    fold = fold_of(groups, seen)
    return np.mean(fold_aucs(length_scores(["x" * n for n in lengths], seen, fold), seen, fold))


def test_length_alone_tells_long_from_short_and_middling_from_extreme():
    random = np.random.default_rng(0)
    seen = np.arange(400) % 2 == 0
    assert length_auc(np.where(seen, random.integers(50, 90, 400), random.integers(10, 40, 400)), seen) == 1.0
    extreme = np.where(np.arange(400) % 4 == 1, 2, 2000)
    assert length_auc(np.where(seen, random.integers(40, 90, 400), extreme), seen) > 0.95
    assert length_auc(np.full(400, 7), seen) == 0.5


def test_length_is_no_discovery_where_it_tells_nothing():
    random = np.random.default_rng(0)
    seen = np.arange(1000) % 2 == 0
    assert length_auc(random.integers(1, 1000, 1000), seen) == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
def test_nulls_are_told_apart_in_few_cases_in_a_hundred():
    """Random labels on clustered embeddings: unstretched, the interval is above .5 for 9 of these 100."""
    told = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        x = random.normal(size=(12, 24))[random.integers(0, 12, 400)] + random.normal(size=(400, 24))
        seen = random.permutation(400) < 200
        groups = np.arange(400)
        fold = fold_of(groups, seen, seed=seed)
        scores = out_of_fold(x, seen, fold)
        told += verdict_of(OutOfFold(scores, seen, fold, groups), scores, seed=seed).told_apart
    assert told <= 5
