"""Compress: copies last, short texts last, budgets, what of a record is compressed."""

import random

import numpy as np
import pytest

from scar.errors import InputError
from scar.records import Record, Turn
from scar.selection.rules import MustKeep, TopK, needs_of
from scar.selection.rules.compress import Compress, text_of
from scar.selection.scored import Scored

NAN = float("nan")


def words(seed, count=40):
    draw = random.Random(seed)
    return " ".join(f"{draw.getrandbits(32):x}" for _ in range(count))


def pool(*texts, style=None, **columns):
    records = [None if text is None else Record.plain("Say it.", text) for text in texts]
    scores = [NAN if text is None else 0.0 for text in texts] if style is None else style
    return Scored.of_columns(style=np.float32(scores), records=records, **columns)


def kept(rule, rows):
    return set(rule.select(rows).rows.tolist())


def test_copies_wait_for_what_is_new():
    rows = pool(words(1), words(1), words(2), words(1), words(3))
    assert kept(Compress(k=3), rows) == {0, 2, 4}
    assert len(kept(Compress(k=4), rows)) == 4


def test_copies_wait_however_many_there_are_and_however_far_away():
    # 60 KB lie between two copies, which zlib does not look back over; and a round may see nothing but copies.
    texts = [words(seed, 1000) for seed in (*range(8), 0, 0, 0, 1, 2)]
    rows = pool(*texts[::-1])
    made = Compress(k=8, k1=4, k2=3, k3=2).select(rows)
    assert {texts[::-1][record] for record in made.rows} == set(texts)
    assert made.facts[0]["copies"] == 5


def test_a_copy_of_what_must_stay_is_a_copy():
    rows = pool(words(1), words(1), words(2), row=[0, 1, 2])
    assert kept(MustKeep(["1"], column="row") + Compress(k=2), rows) == {1, 2}


def test_a_budget_above_what_is_there_keeps_all():
    assert kept(Compress(k=99), pool(words(1), words(1), "", "short")) == {0, 1, 2, 3}


def test_short_texts_come_last():
    rows = pool("q7#Zx!", words(1), words(2), "0k@")
    assert kept(Compress(k=2), rows) == {1, 2}
    assert kept(Compress(k=2, min_chars=0), rows) == {0, 3}
    made = Compress(k=3).select(rows)
    assert len(made.rows) == 3 and made.facts[0]["short"] == 2


def test_what_of_a_record_is_compressed():
    record = Record((Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")), "d")
    assert [text_of(record, of) for of in ("both", "instruction", "response")] == [
        "a\nb\nc\nd",
        "a\nb\nc",
        "d",
    ]
    same = [Record.plain(words(1), words(seed)) for seed in (2, 3)]
    other = Record.plain(words(4), words(2))
    rows = Scored.of_columns(style=[0, 0, 0], records=[*same, other])
    assert kept(Compress(k=2, of="instruction"), rows) == {0, 2}
    assert kept(Compress(k=2, of="response"), rows) == {0, 1}


def test_the_ratio_that_is_told_is_that_of_the_kept_texts():
    novel = Compress(k=2).select(pool(words(1), words(2))).facts[0]["ratio"]
    copies = Compress(k=2).select(pool(words(1), words(1))).facts[0]["ratio"]
    assert 1 < novel < 2 < copies


def test_rows_that_must_stay_and_rows_set_aside():
    rows = pool(words(1), None, words(2), words(2), words(3), row=np.arange(5))
    assert kept(MustKeep(["3"], column="row") + Compress(k=2), rows) in ({3, 0}, {3, 4})
    assert kept(MustKeep(["3"], column="row") + Compress(k=3), rows) == {3, 0, 4}
    assert kept(TopK(1) + Compress(k=1), rows) == {0}


def test_tokens():
    rows = pool(words(1), words(2), words(3), tokens=[9, 5, 5])
    assert kept(Compress(tokens=10), rows) in ({0}, {1, 2})
    assert kept(Compress(tokens=8), rows) in ({1}, {2})
    assert kept(Compress(tokens=4), rows) == set()


def test_text_that_is_no_text_in_utf8():
    assert kept(Compress(k=2), pool("\ud800" + words(1), "\0" + words(2))) == {0, 1}


def test_no_record_is_left():
    assert kept(Compress(k=2), pool(None, None)) == set()


def test_it_does_not_hang_on_what_was_dropped_before():
    rows = pool(*(words(seed) for seed in range(6)), style=[1, 0, 1, 0, 1, 0])
    first = pool(*(words(seed) for seed in (0, 2, 4)))
    assert [2 * n for n in sorted(kept(Compress(k=2), first))] == sorted(kept(TopK(3) + Compress(k=2), rows))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"k": 1, "of": "answer"},
        {"k": 1, "k1": 10, "k2": 20},
        {"k": 1, "k3": 0},
        {"k": 1, "level": 0},
        {"k": 1, "min_chars": -1},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(InputError, match="Compress (needs|takes)"):
        Compress(**settings)


def test_it_reads_texts():
    assert needs_of(Compress(k=1)).texts
    with pytest.raises(InputError, match="texts of these records are not at hand"):
        Compress(k=1).select(Scored.of_columns(style=[1.0]))
