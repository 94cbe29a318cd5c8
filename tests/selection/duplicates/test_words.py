"""Words of many scripts, against a plain loop."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.selection.duplicates.words import word_hashes

LETTERS = st.text(st.sampled_from("aB é ß\t\n　我们ไทยかカＡ，\0𠀀😀\ud800"), max_size=12)


def hashes(*texts):
    values, counts = word_hashes(texts)
    return [part.tolist() for part in np.split(values, np.cumsum(counts)[:-1])]


def words(text):
    """Cut a text into its words by a loop over its characters."""
    found, inside = [], False
    for letter in unicodedata.normalize("NFKC", text).casefold():
        alone = letter in "我们ไทยかカ𠀀"
        if alone or (not letter.isspace() and not inside):
            found.append(letter)
        elif not letter.isspace():
            found[-1] += letter
        inside = not alone and not letter.isspace()
    return found


@given(st.lists(LETTERS, min_size=1, max_size=6))
def test_words_are_cut_as_a_loop_would(texts):
    cut = [words(text) for text in texts]
    names = {}
    for made, expected in zip(hashes(*texts), cut, strict=True):
        assert len(made) == len(expected)
        for number, word in zip(made, expected, strict=True):
            assert names.setdefault(word, number) == number
    assert len(set(names.values())) == len(names)


def test_a_word_has_one_hash_wherever_it_stands():
    long = "x " * 300_000
    assert hashes("one two", long + "two one")[1][-2:] == hashes("two one")[0]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("two words", 2),
        ("我爱 Python 编程", 5),
        ("我爱Python编程。", 6),
        ("これはペンです", 7),
        ("안녕 세상", 2),
        ("", 0),
        (" \n\t", 0),
    ],
)
def test_a_character_is_a_word_where_no_spaces_are_written(text, count):
    assert len(hashes(text)[0]) == count


def test_what_is_white_space_is_what_python_splits_at():
    spaces = [chr(code) for code in range(0x110000) if chr(code).isspace()]
    assert all(len(hashes(f"a{space}b")[0]) == 2 for space in spaces)


def test_full_width_forms_and_case_are_one():
    assert hashes("ＡＢＣ Straße") == hashes("abc STRASSE")


def test_words_that_differ_in_order_or_by_a_letter_differ():
    several = ["ab", "ba", "abc", "acb", "a" * 64 + "b", "b" + "a" * 64, "a", "aa", "\0", "\0\0"]
    assert len({made[0] for made in hashes(*several)}) == len(several)
