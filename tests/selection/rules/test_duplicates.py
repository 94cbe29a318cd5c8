"""The rules of duplicates: which copy stays, and for whom the others go."""

import json
import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.records import Record, Turn, instruction_key, normalised
from scar.selection.keep import select
from scar.selection.rules import NOBODY, MustKeep, Needs, TopK
from scar.selection.rules.duplicates import ExactDuplicates, NearDuplicates
from scar.selection.scored import Scored
from tests.make import write_jsonl
from tests.selection.made import make_run

NAN = float("nan")
EITHER = pytest.mark.parametrize("rule", [ExactDuplicates(), NearDuplicates(), NearDuplicates(chain=False)])


def rows(scores, records, **columns):
    made = [Record.plain(*each) if isinstance(each, tuple) else each for each in records]
    return Scored.of_columns(style=np.asarray(scores, dtype=np.float32), records=made, **columns)


def paragraph(seed, words=60):
    return random.Random(seed).choices([f"word{number}" for number in range(5000)], k=words)


def changed(text, places, by="else"):
    return [f"{by}{place}" if place in places else word for place, word in enumerate(text)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.5, 1.0, NAN]),
            st.sampled_from(["a b", "A  b", "a\nb ", "a", ""]),
            st.sampled_from(["y", "b y", " Y"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(["both", "instruction", "response"]),
)
def test_exact_keeps_the_best_of_equal_texts(drawn, of):
    scored = rows([score for score, _, _ in drawn], [(x, y) for _, x, y in drawn])
    made = ExactDuplicates(of).select(scored)
    groups = {}
    for number, (_, x, y) in enumerate(drawn):
        key = {
            "both": (normalised(x), normalised(y)),
            "instruction": normalised(x),
            "response": normalised(y),
        }[of]
        if scored.eligible[number]:
            groups.setdefault(key, []).append(number)
    expected = np.full(len(drawn), NOBODY)
    for members in groups.values():
        best = min(members, key=lambda n: (-drawn[n][0], n))
        expected[[n for n in members if n != best]] = best
    dropped = np.flatnonzero(expected != NOBODY)
    assert sorted(made.rows.tolist()) == [n for n in np.flatnonzero(scored.eligible) if n not in dropped]
    assert made.crowded_by.tolist() == expected.tolist()
    assert made.facts[0] == {"groups": len(set(expected[dropped].tolist())), "dropped": len(dropped)}


def test_a_dialogue_is_its_turns():
    turns = (Turn("user", "Hi  there"), Turn("assistant", "ok"))
    assert instruction_key(Record(turns, "")) == "hi there ok"
    scored = rows([1, 2, 3], [Record(turns, "r"), ("hi there OK", "r"), ("hi there", "ok r")])
    assert ExactDuplicates().select(scored).rows.tolist() == [2, 1]


def test_near_keeps_the_best_copy_and_names_it():
    text = paragraph(1)
    copies = [text, changed(text, {30}), paragraph(2), changed(text, {10})]
    made = NearDuplicates().select(rows([1, 3, 2, 3], [("Tell me.", " ".join(each)) for each in copies]))
    assert made.rows.tolist() == [1, 2]
    assert made.crowded_by.tolist() == [1, NOBODY, NOBODY, 1]
    facts = made.facts[0]
    assert (facts["groups"], facts["dropped"], facts["bands"], facts["values_a_band"]) == (1, 2, 17, 4)
    assert facts["recall_at_threshold"] == 0.9906


def test_the_threshold_parts_near_from_not():
    """60 words have 56 runs of 5; a word in the middle changes 5 of them: 51 of 61 are common."""
    text = paragraph(1)
    scored = rows([2, 1], [("", " ".join(each)) for each in (text, changed(text, {30}))])
    assert len(NearDuplicates(threshold=51 / 61, permutations=512, recall=0.999).select(scored).rows) == 1
    assert len(NearDuplicates(threshold=0.837, permutations=512, recall=0.999).select(scored).rows) == 2


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (
            "机器学习是人工智能的一个分支，它使用数据和算法来模仿人类学习的方式，并逐步提高其准确性。",
            "机器学习是人工智能的一个分支，它使用数据和算法来模仿人类学习的方式，并逐渐提高其准确性。",
        ),
        (
            "これは機械学習についての短い説明です。データからパターンを学び、予測を行うために使われます。",
            "これは機械学習についての短い説明です。データからパターンを学び、予測を行うために使います。",
        ),
        (
            "請用 Python 寫一個 function，輸入一個 list，輸出排序後的結果，並且解釋時間複雜度是多少",
            "請用 Python 寫一個 function，輸入一個 list，輸出排序後的結果，並且解釋時間複雜度為多少",
        ),
    ],
)
def test_chinese_japanese_and_mixed_pairs_are_found_by_characters(a, b):
    other = "今天天气很好，我们一起去公园散步，然后在湖边的小餐馆里吃午饭，最后坐地铁回家休息。"
    made = NearDuplicates().select(rows([1, 2, 3], [("", a), ("", b), ("", other)]))
    assert made.rows.tolist() == [2, 1]


def test_full_width_forms_are_near_but_not_exact():
    scored = rows([2, 1], [("", "ＡＩ　is here, １２３"), ("", "AI is here, 123")])
    assert len(ExactDuplicates().select(scored).rows) == 2
    assert len(NearDuplicates().select(scored).rows) == 1


@pytest.mark.parametrize(("of", "kept"), [("both", [0, 1, 2]), ("instruction", [0, 2]), ("response", [0, 1])])
def test_only_what_is_asked_for_is_compared(of, kept):
    x, z, y, w = (" ".join(paragraph(seed)) for seed in range(4))
    scored = rows([3, 2, 1], [(x, y), (x, w), (z, y)])
    for rule in (ExactDuplicates, NearDuplicates):
        assert rule(of=of).select(scored).rows.tolist() == kept


@EITHER
def test_a_second_time_drops_nothing(rule):
    draw = random.Random(0)
    texts = [changed(paragraph(n % 40), set(draw.sample(range(60), n % 4)), str(n)) for n in range(150)]
    scored = rows([draw.random() for _ in texts], [("ask", " ".join(text)) for text in texts])
    once = rule.select(scored)
    kept = np.isin(np.arange(150), once.rows)
    assert 1 < len(once.rows) < 150
    assert rule.select(scored.only(kept)).rows.tolist() == once.rows.tolist()


@EITHER
def test_of_all_the_same_the_first_of_the_best_stays(rule):
    made = rule.select(rows([1, 2, 2, 0], [("a", "b c")] * 4))
    assert made.rows.tolist() == [1] and made.crowded_by.tolist() == [1, NOBODY, 1, 1]


@EITHER
def test_texts_without_words_are_copies_of_each_other(rule):
    assert rule.select(rows([1, 2, 3], [("", ""), (" ", "\n"), ("a", "")])).rows.tolist() == [2, 1]


@EITHER
@pytest.mark.parametrize("scores", [[], [1.0], [NAN, NAN]])
def test_few_records_stay(rule, scores):
    made = rule.select(rows(scores, [("a", "b")] * len(scores)))
    assert len(made.rows) == np.isfinite(scores).sum() and made.facts[0]["dropped"] == 0


@EITHER
def test_a_record_that_was_set_aside_crowds_nobody_out(rule):
    made = rule.select(rows([NAN, 1, 2], [("a", "b c"), ("a", "b c"), ("x", "y z")]))
    assert made.rows.tolist() == [2, 1]
    assert rule.select(rows([NAN, 1], [None, ("a", "b")])).rows.tolist() == [1]


@EITHER
def test_what_must_stay_stays_and_takes_the_place_of_better_copies(rule):
    scored = rows([3, 1, 2, 1], [("a", "b c")] * 4, id=["p", "q", "r", "s"])
    made = (MustKeep(["q", "s"]) + rule).select(scored)
    assert sorted(made.rows.tolist()) == [1, 3]
    assert made.crowded_by.tolist() == [1, NOBODY, 1, NOBODY]


def test_a_near_copy_of_what_must_stay_goes():
    text = paragraph(4)
    records = [("", " ".join(each)) for each in (text, changed(text, {9}), changed(text, {50}))]
    scored = rows([3, 1, 2], records, id=["p", "q", "r"])
    for chain in (False, True):
        made = (MustKeep(["q", "r"]) + NearDuplicates(chain=chain)).select(scored)
        assert sorted(made.rows.tolist()) == [1, 2] and made.crowded_by[0] == 2


@EITHER
def test_by_another_score_another_copy_stays(rule):
    scored = rows([1, 2], [("a", "b")] * 2, quality=np.float32([9, 1]))
    assert type(rule)(by="quality").select(scored).rows.tolist() == [0]
    assert rule.select(scored).rows.tolist() == [1]


def test_a_chain_of_rules_tells_who_took_the_place():
    scored = rows([1, 2, 3], [("a", "b"), ("a", "b"), ("x", "y")])
    made = (ExactDuplicates() + TopK(1)).select(scored)
    assert made.rows.tolist() == [2] and made.crowded_by.tolist() == [1, NOBODY, NOBODY]
    assert made.why(0) == "dropped by ExactDuplicates()"


@EITHER
def test_texts_are_needed_and_named(rule):
    assert rule.needs() == Needs(texts=True)
    with pytest.raises(InputError, match="texts of these records are not at hand"):
        rule.select(Scored.of_columns(style=[1.0]))


def test_one_huge_row_is_a_row():
    draw = random.Random(6)
    huge = " ".join(f"w{draw.randrange(10**6)}" for _ in range(26_000))
    assert len(huge) > 180_000
    start = time.perf_counter()
    made = NearDuplicates().select(rows([1, 2, 3], [("a", huge), ("a", huge + " more"), ("a", "short")]))
    assert made.rows.tolist() == [2, 1] and time.perf_counter() - start < 5


def test_the_seed_and_nothing_else_decides_what_is_found():
    scored = rows(range(80), [("", " ".join(changed(paragraph(n // 2), {n % 7, 30}))) for n in range(80)])
    rule = NearDuplicates(threshold=0.6, recall=0.5)
    assert rule.select(scored).rows.tolist() == rule.select(scored).rows.tolist()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"of": "answer"}, "compares of 'both', 'instruction', 'response'"),
        ({"threshold": 0}, "threshold above 0"),
        ({"threshold": 1.1}, "threshold above 0 and at most 1"),
        ({"threshold": NAN}, "threshold"),
        ({"threshold": "0.7"}, "threshold"),
        ({"recall": 1}, "recall above 0"),
        ({"permutations": 0}, "whole permutations"),
        ({"permutations": 64.0}, "whole permutations"),
        ({"words": True}, "whole words"),
        ({"chain": "no"}, "chain true or false"),
        ({"seed": -1}, "seed"),
        ({"threshold": 0.05, "permutations": 16}, "16 permutations cannot find pairs of similarity 0.05"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        NearDuplicates(**settings)


def test_exact_refuses_an_unknown_part():
    with pytest.raises(InputError, match="ExactDuplicates compares of"):
        ExactDuplicates("all")


def test_a_pool_on_disk_is_kept_without_its_copies(tmp_path):
    """Rows that were set aside, several chunks, and texts that are read from the pool again."""
    text = paragraph(7)
    answers = [" ".join(each) for each in (text, paragraph(8), changed(text, {40}), text)]
    lines = [{"instruction": "say", "response": each, "id": str(n)} for n, each in enumerate(answers)]
    pool = write_jsonl(tmp_path / "pool.jsonl", [lines[0], b"not json", *lines[1:]])
    run = make_run(tmp_path / "run", pool, {"style": [1, 2, 4, 3]}, chunk_rows=2)
    for rule, kept in ((ExactDuplicates(), "123"), (NearDuplicates(), "12")):
        report = select(run, rule, tmp_path / f"{type(rule).__name__}.jsonl")
        written = (tmp_path / f"{type(rule).__name__}.jsonl").read_text().splitlines()
        assert "".join(json.loads(line)["id"] for line in written) == kept
        assert report.stages == ((str(rule), 4 - len(kept)),)
