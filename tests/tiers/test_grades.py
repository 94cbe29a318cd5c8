"""A grade is what the last line states, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.tiers.grades import parse_grade
from scar.tiers.missing import Missing, Why

GRADES = [
    ("Score: 7", 7),
    ("score: 0", 0),
    ("SCORE: 9", 9),
    ("Score:7", 7),
    ("Score : 7", 7),
    ("Score 7", 7),
    ("Score = 7", 7),
    ("Score: 7.5", 7.5),
    ("Score: 9.0", 9),
    ("Score: 7.", 7),
    ("Score: -0", 0),
    ("Score: +4", 4),
    ("8", 8),
    ("8/9", 8),
    ("Score: 8 / 9", 8),
    ("score: 8 out of 9", 8),
    ("Score: 8 out of 9.", 8),
    ("**Score: 7**", 7),
    ("**Score:** 7", 7),
    ("__Score__: 7", 7),
    ("`Score: 7`", 7),
    ("## Score: 7", 7),
    ("> Score: 7", 7),
    ("- Score: 7", 7),
    ('"Score: 7"', 7),
    ("Score: [7]", 7),
    ("Final score (0-9): 7", 7),
    ("Final Helpfulness Score (0-9): 7", 7),
    ("Correctness: 6", 6),
    ("The score is 6.", 6),
    ("Overall rating: 6", 6),
    ("Fine, though long.\nScore: 7", 7),
    ("Rated on (0-9).\n\nScore: 7\n\n", 7),
    ("Scores of 3 and 4 were close.\r\nScore: 5\r\n", 5),
    ("```\nScore: 7\n```", 7),
    ("Score: 7\n---", 7),
    ("I cannot run the code, but it reads well.\nScore: 7", 7),
    ("Score: 2\nOn reflection:\nScore: 4", 4),
    ("Score\uff1a\uff18", 8),
    ("\u5206\u6570\uff1a\uff18", 8),
    ("\u5f97\u5206: 8\u3002", 8),
]
NONE = [
    ("", Why.EMPTY_REPLY),
    (" \n\t\n", Why.EMPTY_REPLY),
    ("---", Why.EMPTY_REPLY),
    ("n/a", Why.NO_SCORE),
    ("Score: N/A", Why.NO_SCORE),
    ("Score: N", Why.NO_SCORE),
    ("Score:", Why.NO_SCORE),
    ("(0-9)", Why.NO_SCORE),
    ("Score (0-9):", Why.NO_SCORE),
    ("Score: [0-9]", Why.NO_SCORE),
    ("8-9", Why.NO_SCORE),
    ("Score: 8-9", Why.NO_SCORE),
    ("Score: 8\u20139", Why.NO_SCORE),
    ("Score: 8 to 9", Why.NO_SCORE),
    ("Score: 09", Why.NO_SCORE),
    ("Score: 7/10", Why.NO_SCORE),
    ("Score: 80/100", Why.NO_SCORE),
    ("Score: 4 out of 5", Why.NO_SCORE),
    ("Score: 7 8", Why.NO_SCORE),
    ("Score: 7, 8", Why.NO_SCORE),
    ("Score: 7,5", Why.NO_SCORE),
    ("Score: 7%", Why.NO_SCORE),
    ("Score: 7 (good)", Why.NO_SCORE),
    ("Score: 0[1]", Why.NO_SCORE),
    ("Score: 7.[1]", Why.NO_SCORE),
    ("Score: 1**0**", Why.NO_SCORE),
    ("Score: 1_0", Why.NO_SCORE),
    ("Helpfulness: 7\nCorrectness: 8", Why.NO_SCORE),
    ("**Correctness score (0-9):** 8", Why.NO_SCORE),
    ("Score: 7 because it is short", Why.NO_SCORE),
    ("Helpfulness: 7, correctness: 8", Why.NO_SCORE),
    ("Score: seven", Why.NO_SCORE),
    ("Score: \u0668", Why.NO_SCORE),
    ("Score: 7\u00b2", Why.NO_SCORE),
    ("- 7", Why.NO_SCORE),
    ("Score: 7\nA good answer all in all.", Why.NO_SCORE),
    ("Score: 7\n```python", Why.NO_SCORE),
    ("1. It answers.\n2. It is right.", Why.NO_SCORE),
    ("Score: " + " " * 10_000 + "x", Why.NO_SCORE),
    ("I cannot grade this answer.", Why.REFUSED),
    ("I'm sorry, but no.", Why.REFUSED),
    ("I can\u2019t help with that.", Why.REFUSED),
    ("10", Why.OUT_OF_RANGE),
    ("Score: 10", Why.OUT_OF_RANGE),
    ("Score: 9.1", Why.OUT_OF_RANGE),
    ("-3", Why.OUT_OF_RANGE),
    ("Score: \u22123", Why.OUT_OF_RANGE),
    ("Score: " + "9" * 150, Why.OUT_OF_RANGE),
]


@pytest.mark.parametrize(("reply", "grade"), GRADES)
def test_the_last_line_states_the_grade(reply, grade):
    assert parse_grade(reply, "correctness" if "Correctness" in reply else "helpfulness") == grade


@pytest.mark.parametrize(("reply", "why"), NONE)
def test_no_grade_has_a_reason(reply, why):
    found = parse_grade(reply, "helpfulness")
    assert isinstance(found, Missing) and found.why is why


@given(st.text(), st.integers(0, 9))
def test_what_stands_before_the_last_line_does_not_matter(before, grade):
    assert parse_grade(f"{before}\nScore: {grade}", "helpfulness") == grade


@given(st.text() | st.text("Score0123456789:/-.() \n*outf"))
def test_any_text_is_a_grade_in_range_or_missing(text):
    found = parse_grade(text, "helpfulness")
    assert isinstance(found, Missing) or 0 <= found <= 9
    if isinstance(found, Missing):
        assert len(found.detail) <= 200 and found.detail.encode() is not None


@given(st.integers(0, 9), st.integers(0, 9))
def test_a_range_is_never_a_grade(low, high):
    assert isinstance(parse_grade(f"Score: {low}-{high}", "helpfulness"), Missing)
