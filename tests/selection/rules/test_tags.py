"""TagCover: InsTag's order, ties by score, rows without tags last."""

import numpy as np
import pytest

from scar.errors import InputError
from scar.selection.rules import Above, MustKeep, needs_of
from scar.selection.rules.tags import TagCover
from scar.selection.scored import Scored

NAN = float("nan")


def pool(*tags, style=None, **columns):
    scores = np.zeros(len(tags)) if style is None else style
    return Scored.of_columns(style=np.float32(scores), tags=list(tags), **columns)


def kept(rule, rows):
    return set(rule.select(rows).rows.tolist())


def test_the_reference_example():
    rows = pool("a,b,c", "a,b", "d", "a,b,c,d")
    assert kept(TagCover(k=2), rows) == {3, 0}
    assert kept(TagCover(k=1), rows) == {3}


def test_lists_in_json_and_another_column():
    rows = Scored.of_columns(style=[0, 0], topics=['["x"]', '["x", "y"]'])
    assert kept(TagCover(k=1, column="topics"), rows) == {1}
    assert needs_of(TagCover(k=1, column="topics")).columns == ("topics",)


def test_ties_go_to_the_higher_score_then_to_the_earlier_record():
    assert kept(TagCover(k=1), pool("a,b", "c,d", "e,f", style=[1, 2, 2])) == {1}
    rows = pool("a", "b", style=[1, 2], other=[2, 1])
    assert kept(TagCover(k=1, by="other"), rows) == {0}


def test_rows_without_tags_come_last_by_score():
    rows = pool(None, "", "a", "a", "[]", style=[1, 3, 0, 0, 2])
    assert kept(TagCover(k=2), rows) == {2, 3}
    assert kept(TagCover(k=4), rows) == {2, 3, 1, 4}
    made = TagCover(k=9).select(rows)
    assert len(made.rows) == 5
    assert made.facts[0] == {"tags": 1, "tags_kept": 1, "without_tags": 3}


def test_rare_tags_do_not_count():
    rows = pool("a,r,s,t", "a,b", "b")
    assert kept(TagCover(k=1), rows) == {0}
    assert kept(TagCover(k=1, least=2), rows) == {1}


def test_stages_before_do_not_change_what_counts():
    rows = pool("a,b", "b,c", "a", "d,e,f", style=[1, 1, 0, 1])
    # `a` is in two records of the run, of which one is left; d, e and f are rare.
    assert kept(Above(0.5) + TagCover(k=1, least=2), rows) == {0}


def test_a_vocabulary_names_what_counts():
    rows = pool("a,b,c", "d", "e")
    made = TagCover(k=1, vocabulary=["D ", "e"])
    assert kept(made, rows) == {1}
    assert made.vocabulary == ("D ", "e")


def test_rows_that_must_stay_cover_their_tags():
    rows = pool("a,b", "a", "b", "c", row=[0, 1, 2, 3])
    assert kept(MustKeep(["0"], column="row") + TagCover(k=2), rows) == {0, 3}


def test_tokens():
    rows = pool("a,b,c", "a,b", "c", None, tokens=[9, 4, 3, 3])
    assert kept(TagCover(tokens=8), rows) == {1, 2}
    assert kept(TagCover(tokens=10), rows) == {0}


def test_no_record_is_left():
    assert kept(TagCover(k=3), pool("a", "b", style=[NAN, NAN])) == set()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "k or tokens"),
        ({"k": 1, "least": 0}, "least"),
        ({"k": 1, "vocabulary": "a,b"}, "list of tags"),
        ({"k": 1, "vocabulary": [1]}, "list of tags"),
        ({"k": 1, "vocabulary": ["a"], "least": 2}, "not both"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=message):
        TagCover(**settings)


def test_an_unknown_column():
    with pytest.raises(InputError, match="no column 'nope'"):
        TagCover(k=1, column="nope").select(pool("a"))
