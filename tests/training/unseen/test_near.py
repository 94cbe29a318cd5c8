"""Near-duplicates: hashed shingles against sets of strings, the banding curve, and buckets that are too full."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.training.unseen.near import (
    BANDS,
    SIMILAR,
    VALUES,
    Components,
    character_shingles,
    jaccard,
    join_near,
    word_shingles,
)
from tests.training.unseen.made import sentence


def joined(texts, seed=0):
    together = Components(len(texts))
    join_near(texts, together, seed)
    return [together.find(n) for n in range(len(texts))]


def runs(parts, length):
    length = min(length, len(parts))
    return {tuple(parts[n : n + length]) for n in range(len(parts) - length + 1)}


@given(st.text(alphabet="abc d", max_size=30), st.text(alphabet="abc d", max_size=30))
def test_hashed_shingles_have_the_jaccard_similarity_of_the_strings(a, b):
    for shingler, split, length in ((word_shingles, str.split, 3), (character_shingles, list, 5)):
        one, two = (runs(split(text), length) if split(text) else {text} for text in (a, b))
        exact = len(one & two) / len(one | two)
        if a.strip() and b.strip():
            assert jaccard(shingler(a), shingler(b)) == pytest.approx(exact)


@given(st.text(max_size=40))
def test_any_text_has_shingles_or_is_empty(text):
    assert len(word_shingles(text)) >= 1
    assert len(character_shingles(text)) >= 1


def test_a_lone_surrogate_is_a_text_too():
    assert len(word_shingles("a \ud800 b")) and len(character_shingles("a \ud800 b"))


def test_a_character_of_a_script_without_spaces_counts_as_a_word():
    assert len(word_shingles("我喜欢吃苹果")) == 4
    assert len(word_shingles("the cat sat down")) == 2


def test_chinese_with_one_other_character_is_a_near_duplicate_and_other_chinese_is_not():
    text = "请写一篇关于人工智能在医疗领域应用的短文并举出三个具体例子"
    other = "昨天晚上我们一起去看了电影然后在河边散步聊到很晚才回家休息"
    assert joined([text, text.replace("三", "四"), other]) == [0, 0, 2]


def test_bands_find_95_of_100_pairs_at_the_threshold():
    assert 1 - (1 - SIMILAR**VALUES) ** BANDS >= 0.95


def test_pairs_just_above_the_threshold_are_found_as_often_as_the_curve_says():
    """Sets of numbers of known similarity, told as words: 17 of 23 shingles are shared, .739."""
    random, found = np.random.default_rng(0), 0
    for trial in range(60):
        words = [f"w{n}" for n in random.choice(10_000, 22, replace=False)]
        other = [*words[:-3], *(f"x{n}" for n in range(3))]
        assert jaccard(*(word_shingles(" ".join(each)) for each in (words, other))) == pytest.approx(17 / 23)
        found += len(set(joined([" ".join(words), " ".join(other)], seed=trial))) == 1
    assert found >= 57


def test_unlike_texts_stay_apart():
    random = np.random.default_rng(0)
    texts = [sentence(random) for _ in range(200)]
    assert len(set(joined(texts))) == 200


def test_near_is_passed_on():
    words = [f"word{n}" for n in range(40)]
    chain = [" ".join(words[n : n + 30]) for n in range(0, 8, 2)]
    assert set(joined(chain)) == {0}
    assert jaccard(word_shingles(chain[0]), word_shingles(chain[-1])) < SIMILAR


def test_a_bucket_of_very_many_texts_is_joined_whole():
    base = " ".join(f"word{n}" for n in range(60))
    assert set(joined([f"{base} {n}" for n in range(400)])) == {0}


def test_no_text_and_one_text_are_fine():
    assert joined([]) == []
    assert joined(["one"]) == [0]
