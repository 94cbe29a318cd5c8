"""Telling n-grams: what was planted is found, and what a terminal would act on is escaped."""

import numpy as np
import pytest

from scar.training.unseen import telling
from scar.training.unseen.folds import fold_of
from scar.training.unseen.telling import TOP, escaped, telling_ngrams
from tests.training.unseen.made import sentence


def told(texts, seen, **more):
    seen = np.asarray(seen)
    return telling_ngrams(texts, seen, fold_of(np.arange(len(seen)), seen, folds=3), **more)


def planted(n=120):
    random = np.random.default_rng(0)
    seen = np.arange(n) % 2 == 0
    return [sentence(random, 12) + (" whisky zephyr" if one else "") for one in seen], seen


def test_planted_words_are_found_with_their_shares():
    found = told(*planted())
    words = {ngram.text: ngram for ngram in found.seen if ngram.kind == "words"}
    assert {"whisky", "zephyr", "whisky zephyr"} <= set(words)
    assert (words["whisky"].seen_share, words["whisky"].pool_share) == (1.0, 0.0)
    assert any(ngram.kind == "characters" for ngram in found.seen)
    assert found.tfidf_auc == 1.0


def test_weights_fall_and_have_the_sign_of_their_side():
    found = told(*planted())
    for side, sign in ((found.seen, 1), (found.pool, -1)):
        weights = [sign * ngram.weight for ngram in side]
        assert weights == sorted(weights, reverse=True) and min(weights) > 0 and len(weights) <= TOP


def test_texts_without_a_common_ngram_tell_nothing():
    assert told([chr(0x4E00 + n) for n in range(20)], np.arange(20) % 2 == 0) is None


def test_random_labels_are_told_apart_by_chance_only():
    texts, _ = planted(300)
    assert abs(told(texts, np.random.default_rng(1).random(300) < 0.5).tfidf_auc - 0.5) < 0.12


@pytest.mark.parametrize("rare", [0.02, 0.6, 0.98])
def test_of_very_many_rows_both_sides_are_drawn_for_each_fold(monkeypatch, rare):
    monkeypatch.setattr(telling, "MOST_ROWS", 100)
    texts, _ = planted(1000)
    seen = np.arange(1000) < 1000 * rare
    found = told([text + " whisky" * one for text, one in zip(texts, seen.tolist(), strict=True)], seen)
    assert 100 <= found.rows <= 106 and np.isfinite(found.tfidf_auc)
    assert found == told(
        [text + " whisky" * one for text, one in zip(texts, seen.tolist(), strict=True)], seen
    )
    rows = telling._sample(seen, fold_of(np.arange(1000), seen, folds=3), 0)
    # The rarer side is whole, or half.
    assert seen[rows].sum() == pytest.approx(
        min(20, 50) if rare == 0.02 else (80 if rare == 0.98 else 50), abs=3
    )


def test_control_characters_are_written_out():
    assert escaped("a\x1b[31m\u202e\n é我") == "a\\x1b[31m\\u202e\\n é我"
    assert escaped("\ud800") == "\\ud800"
