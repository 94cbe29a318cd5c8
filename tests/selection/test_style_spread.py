"""Numbers of style against values counted by hand, and their spread against numpy."""

from math import isnan

import numpy as np
import pytest

from scar.selection.style_spread import (
    FEATURES,
    Spread,
    markup_share,
    punctuation_share,
    sentence_length,
    spread,
    style,
    type_token_ratio,
    words,
)


def test_words_have_no_case_and_chinese_has_one_a_character():
    assert words("Don't stop, DON'T!") == ["don't", "stop", "don't"]
    assert words("x1 = foo_bar(2)") == ["x1", "foo", "bar", "2"]
    assert words("abc中文 ok") == ["abc", "中", "文", "ok"]
    assert words(" \n\t!?") == []


@pytest.mark.parametrize(
    ("measure", "text", "value"),
    [
        (type_token_ratio, "a b a c", 3 / 4),
        (type_token_ratio, "The the THE", 1 / 3),
        (sentence_length, "One two three. Four!", 2),
        (
            sentence_length,
            "pi is 3.14 or so. yes",
            (6 + 1) / 2,
        ),  # the point of a number ends nothing: 3 and 14
        (sentence_length, "a b\n\n- c\n", (2 + 1) / 2),
        (sentence_length, "你好。再见朋友！", (2 + 4) / 2),
        (punctuation_share, "a, b.", 2 / 4),
        (punctuation_share, "«a»", 2 / 3),
        (punctuation_share, "1 + 1", 0),  # a plus is a symbol
        (markup_share, "# Title\n\ntext\n- item\n1. item\nmore", 3 / 5),
        (markup_share, "```python\nx = 1\n\ny = 2\n```\ndone", 4 / 5),
        (markup_share, "| a | b |\n<p>\n> quote\na - b", 3 / 4),
        (markup_share, "3.5 is a number\n-5 is below 0\n#tag", 0),
    ],
)
def test_a_number_is_what_one_counts(measure, text, value):
    assert measure(text) == pytest.approx(value)


@pytest.mark.parametrize("measure", FEATURES.values())
@pytest.mark.parametrize("text", ["", " \n ", "\ud800", "\x00"])
def test_a_text_of_nothing_has_no_number_or_nought(measure, text):
    assert isnan(measure(text)) or measure(text) == 0


def test_the_spread_is_over_the_texts_that_have_the_number():
    texts = ["a a b c", "one. two two two.", "", "x"]
    found = spread(style(text) for text in texts)
    ratios = np.array([3 / 4, 2 / 4, 1])
    assert found["type-token ratio"] == Spread(pytest.approx(ratios.mean()), pytest.approx(ratios.std()), 3)
    assert list(found) == list(FEATURES)


def test_the_spread_of_no_texts_is_none():
    assert all(isnan(each.mean) and each.texts == 0 for each in spread([]).values())


def test_alike_texts_have_less_spread_than_unlike_ones():
    alike = spread(style(f"This is answer {n}. It has two sentences.") for n in range(9))
    unlike = spread(style("word " * n + "# x\n" * (n % 3)) for n in range(1, 10))
    assert all(
        alike[name].deviation <= unlike[name].deviation for name in ("type-token ratio", "words a sentence")
    )
