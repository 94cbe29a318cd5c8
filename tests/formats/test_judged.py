"""A row with its judgement, whole, is what a quality ranker is trained on."""

import pytest

from scar.errors import InputError
from scar.formats import Layout, judged
from scar.pools import read_judged
from scar.records import Address, Judged, Reason, SetAside, Turn
from scar.settings import Reading
from tests.files import KINDS, write_as
from tests.formats.made import ASSISTANT, USER
from tests.make import tier_rows, write_jsonl

AT = Address(6, "f.jsonl", 7)
ASKED = (Turn("user", "Ask."),)
PLAIN = {"instruction": "Ask.", "response": "Answer."}
PAIR = {"prompt": "Ask.", "chosen": "Good.", "rejected": "Bad."}
NAN = float("nan")


def plain(wanted="auto", **more):
    return judged({**PLAIN, **more}, Layout("plain"), AT, wanted=wanted)


def pair(**more):
    return judged({**PAIR, **more}, Layout("preference"), AT)


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("plain", PLAIN),
        ("alpaca", {"instruction": "Ask.", "input": "", "output": "Answer."}),
        ("prompt-completion", {"prompt": "Ask.", "completion": "Answer."}),
        ("messages", {"messages": [USER, ASSISTANT]}),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "Ask."}, {"from": "gpt", "value": "Answer."}]},
        ),
    ],
)
def test_one_response_of_any_layout_has_a_label_and_a_score(layout, row):
    more = {"label": 1, "score": 7, "id": 3, "source": "made", "eval_only": True}
    assert judged({**row, **more}, Layout(layout), AT) == Judged(
        ASKED, ("Answer.",), 1.0, 7.0, None, AT, "3", "made", True
    )


def test_a_pair_is_the_chosen_then_the_rejected_whatever_their_order():
    expected = Judged(ASKED, ("Good.", "Bad."), margin=0.5, address=AT)
    assert pair(margin=0.5) == expected
    row = {"rejected": "Bad.", "margin": 0.5, "prompt": "Ask.", "chosen": "Good."}
    assert judged(row, Layout("preference"), AT) == expected
    assert pair().margin is None and pair(margin="").margin is None


@pytest.mark.parametrize("label", [1, 1.0, True, "1", "1.0", "true", " True "])
def test_labels_of_good_rows(label):
    assert plain(label=label).label == 1.0


@pytest.mark.parametrize("label", [0, 0.0, False, "0", "0.0", "FALSE"])
def test_labels_of_bad_rows(label):
    assert plain(label=label).label == 0.0


@pytest.mark.parametrize("label", ["good", "yes", 2, -1, 0.5, "0.5", float("inf"), 10**400, [1], {"a": 1}])
def test_a_label_that_is_neither_0_nor_1_names_its_place_value_and_remedy(label):
    with pytest.raises(
        InputError, match=r"f\.jsonl, line 7: 'label' is .*write 0 or 1.*--columns score=NAME"
    ):
        plain(label=label)


def test_a_long_label_is_not_echoed_whole():
    with pytest.raises(InputError) as caught:
        plain(label="x" * 100_000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("missing", [None, NAN, "", " ", "NaN", "null"])
def test_a_missing_judgement_sets_the_row_aside_unless_there_is_another(missing):
    for row in (plain(label=missing), plain(score=missing), plain(label=missing, score=missing)):
        assert isinstance(row, SetAside) and row.reason == Reason.INVALID_LABEL
    assert "'label' and 'score'" in plain(label=missing).detail
    found = plain(label=missing, score=3)
    assert (found.label, found.score) == (None, 3.0)
    assert plain("labels", label=missing, score=3).reason == Reason.INVALID_LABEL
    assert plain("graded", label=1, score=missing).reason == Reason.INVALID_LABEL


def test_what_is_not_wanted_is_not_read():
    assert (plain("labels", label=1, score="B+").label, plain("labels", label=1, score=2).score) == (
        1.0,
        None,
    )
    assert (plain("graded", label="good", score=2).score, plain("graded", label=1, score=2).label) == (
        2.0,
        None,
    )
    assert plain(label=1, score="B+") == plain(label=1)  # under auto the label says enough


@pytest.mark.parametrize("score", ["B+", True, float("inf"), [1], "1e999"])
def test_a_score_that_is_no_number_names_its_place_and_value(score):
    with pytest.raises(InputError, match=r"f\.jsonl, line 7: 'score' is .*not a number"):
        plain(score=score)


def test_a_score_may_be_a_number_as_text():
    assert plain(score=" 7.5 ").score == 7.5


def test_a_margin_that_is_no_number_is_refused_and_nan_is_left_to_the_training():
    for margin in ("strong", True, [1]):
        with pytest.raises(InputError, match=r"f\.jsonl, line 7: 'margin' is .*not a number"):
            pair(margin=margin)
    assert pair(margin=NAN).margin != pair(margin=NAN).margin
    assert pair(margin="0.25").margin == 0.25 and pair(margin=2).margin == 2.0


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Ask.", "chosen": "Good."}, Reason.MISSING_RESPONSE),
        ({"prompt": "Ask.", "rejected": "Bad."}, Reason.MISSING_RESPONSE),
        ({"prompt": "Ask."}, Reason.MISSING_RESPONSE),
        ({**PAIR, "rejected": None}, Reason.MISSING_RESPONSE),
        ({**PAIR, "chosen": " "}, Reason.EMPTY_RESPONSE),
        ({**PAIR, "chosen": 3}, Reason.RESPONSE_NOT_TEXT),
        ({"chosen": "Good.", "rejected": "Bad."}, Reason.MISSING_INSTRUCTION),
        (
            {
                "chosen": "\n\nHuman: A\n\nAssistant: Good.",
                "rejected": "\n\nHuman: B\n\nAssistant: Bad.",
            },
            Reason.WRONG_LAYOUT,
        ),
    ],
)
def test_half_a_pair_is_set_aside(row, reason):
    item = judged({**row, "id": 4}, Layout("preference"), AT)
    assert isinstance(item, SetAside)
    assert (item.reason, item.address, item.id) == (reason, AT, "4")


def test_a_bad_text_is_set_aside_before_its_label_is_read():
    assert plain(response="", label="good").reason == Reason.EMPTY_RESPONSE


def test_the_last_answer_of_a_dialogue_is_judged():
    talk = [USER, ASSISTANT, {"role": "user", "content": "More."}, {"role": "assistant", "content": "End."}]
    found = judged({"messages": talk, "label": 0}, Layout("messages"), AT)
    assert (len(found.turns), found.responses) == (3, ("End.",))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "hub"])
def test_every_type_of_file_gives_the_same_judgements(tmp_path, kind):
    rows = [{**PLAIN, "label": 1, "score": 7.5}, {**PLAIN, "label": 0, "score": 2.0}]
    write_as(kind, tmp_path, rows)
    where = next(path for path in tmp_path.iterdir())
    assert [(row.label, row.score) for row in read_judged(where)] == [(1.0, 7.5), (0.0, 2.0)]


def test_columns_map_what_a_file_calls_its_judgements(tmp_path):
    rows = [{"q": "Ask.", "a": "Answer.", "is_good": True, "rating": 4}]
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    (found,) = read_judged(path, Reading(columns="instruction=q,response=a,label=is_good,score=rating"))
    assert (found.label, found.score) == (1.0, 4.0)
    path = write_jsonl(tmp_path / "p.jsonl", [{**PAIR, "strength": 0.3}])
    (found,) = read_judged(path, Reading(columns="margin=strength"))
    assert found.margin == 0.3
    with pytest.raises(InputError, match="'is_good' is 'yes'"):
        judged({**PLAIN, "is_good": "yes"}, Layout("plain", {"label": "is_good"}), AT)


@pytest.mark.parametrize(
    ("row", "columns", "told"),
    [
        (PLAIN, "label=is_good", "no column 'is_good'"),
        (PLAIN, "lable=response", "--columns lable=...: no such field.*label.*score"),
        (PAIR, "label=chosen", "a.jsonl: cannot tell the layout"),
        (PLAIN, "label=response,margin=response", "no layout has all of these fields"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path, row, columns, told):
    with pytest.raises(InputError, match=told):
        list(read_judged(write_jsonl(tmp_path / "a.jsonl", [row]), Reading(columns=columns)))


def test_tiers_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"a\.jsonl: the rows are tiers; a quality ranker needs a label"):
        list(read_judged(write_jsonl(tmp_path / "a.jsonl", tier_rows(2))))


def test_strict_stops_at_the_first_row_without_a_judgement(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{**PLAIN, "label": 1}, {**PLAIN, "label": NAN}])
    items = list(read_judged(path))
    assert [type(item) for item in items] == [Judged, SetAside]
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: invalid_label"):
        list(read_judged(path, Reading(strict=True)))


def test_a_row_that_cannot_be_read_is_set_aside(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", [{**PLAIN, "label": 1}, b"bad"])
    assert [item.address.line for item in read_judged(path)] == [1, 2]


@pytest.mark.slow
def test_the_real_labels_and_preferences_are_read_whole(scar_data):
    labels = list(read_judged(scar_data / "quality.jsonl.gz"))
    assert len(labels) == 4332 and {row.label for row in labels} == {0.0, 1.0}
    assert sum(row.eval_only for row in labels) == 41
    pairs = list(read_judged(scar_data / "preferences.jsonl.gz", Reading(columns="prompt=instruction")))
    assert len(pairs) == 13581 and all(row.paired and 0.05 <= row.margin <= 1 for row in pairs)
    assert sum(row.eval_only for row in pairs) == 5188
