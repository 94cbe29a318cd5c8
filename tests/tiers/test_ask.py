"""Asking: what is missing is asked, in the batch layout, under ids that belong to the text."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.cli import main
from scar.errors import InputError
from scar.records import Address, Record, Turn
from scar.tiers.ask import Scope, ask
from scar.tiers.prompts import ASPECTS
from scar.tiers.questions import GRADES, TEXTS, Question, graded_aspect
from scar.tiers.settings import Asking
from tests.make import read_jsonl, write_jsonl
from tests.tiers.server import completion

ASKING = Asking(model="m")
FIRST = ["direct", "referenced", "helpfulness-human", "correctness-human"]


def pool(folder, n=2):
    rows = [{"instruction": f"what is {k}", "response": f"it is {k}, whatever"} for k in range(n)]
    return write_jsonl(folder / "pool.jsonl", rows)


def asked(folder, *replies, what=("direct", "referenced", "grades"), limit=None, where=None):
    out = folder / f"requests{len(list(folder.iterdir()))}.jsonl"
    report = ask(where or folder / "pool.jsonl", out, ASKING, replies=replies, scope=Scope(what, limit))
    return report, read_jsonl(out)


def replied(folder, requests, answer=lambda request: "a text\nScore: 7", name="replies.jsonl"):
    rows = [
        {
            "custom_id": request["custom_id"],
            "response": {"status_code": 200, "body": completion(answer(request))},
            "error": None,
        }
        for request in requests
    ]
    return write_jsonl(folder / name, rows)


def of(requests, what):
    return next(row for row in requests if f"-{what}-" in row["custom_id"])


def test_the_first_round_asks_for_two_texts_and_the_grades_of_the_human_answer(tmp_path):
    pool(tmp_path)
    report, requests = asked(tmp_path)
    assert [row["custom_id"].rsplit("-", 1)[0] for row in requests] == [
        f"r{k}-{what}" for k in (0, 1) for what in FIRST
    ]
    assert report.records == 2 and report.waiting == 8 and report.asked["direct"] == 2


def test_a_line_is_a_request_of_the_batch_layout(tmp_path):
    pool(tmp_path, 1)
    _, requests = asked(tmp_path)
    direct = requests[0]
    assert list(direct) == ["custom_id", "method", "url", "body"]
    assert (direct["method"], direct["url"]) == ("POST", "/v1/chat/completions")
    assert direct["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "what is 0"}],
        "temperature": 0,
        "max_tokens": 2048,
    }
    assert of(requests, "helpfulness-human")["body"]["max_tokens"] == 1024


def test_settings_reach_the_body(tmp_path):
    pool(tmp_path, 1)
    asking = Asking(model="m", temperature=None, max_tokens=9, max_completion_tokens=True)
    ask(tmp_path / "pool.jsonl", tmp_path / "r.jsonl", asking)
    body = read_jsonl(tmp_path / "r.jsonl")[0]["body"]
    assert body["max_completion_tokens"] == 9 and not {"temperature", "max_tokens"} & set(body)


def test_a_dialogue_is_sent_turn_by_turn(tmp_path):
    messages = [
        {"role": role, "content": role[0] + str(k)}
        for k, role in enumerate(["system", "user", "assistant", "user", "assistant"])
    ]
    where = write_jsonl(tmp_path / "pool.jsonl", [{"messages": messages}])
    _, requests = asked(tmp_path, where=where)
    assert of(requests, "direct")["body"]["messages"] == messages[:-1]
    (shown,) = of(requests, "referenced")["body"]["messages"]
    assert "System: s0\n\nUser: u1\n\nAssistant: a2\n\nUser: u3" in shown["content"]
    assert "<material>\na4\n</material>" in shown["content"]


def test_prompts_show_what_is_asked_about(tmp_path):
    pool(tmp_path, 1)
    _, requests = asked(tmp_path)
    for what in FIRST[1:]:
        text = of(requests, what)["body"]["messages"][0]["content"]
        assert "what is 0" in text and "it is 0, whatever" in text
    assert "Do not mention" in of(requests, "referenced")["body"]["messages"][0]["content"]
    for aspect in ASPECTS:
        text = of(requests, f"{aspect}-human")["body"]["messages"][0]["content"]
        assert text.splitlines()[-1] == "Score: N" and aspect in text


def test_braces_in_a_text_stay_as_they_are(tmp_path):
    where = write_jsonl(tmp_path / "p.jsonl", [{"instruction": "{a} {0} {{b}}", "response": "{answer}"}])
    _, requests = asked(tmp_path, where=where)
    shown = of(requests, "referenced")["body"]["messages"][0]["content"]
    assert "{a} {0} {{b}}" in shown and "<material>\n{answer}\n" in shown


def test_the_second_round_asks_for_the_grades_of_the_texts_that_came(tmp_path):
    pool(tmp_path)
    _, first = asked(tmp_path)
    replies = replied(tmp_path, [row for row in first if row is not of(first, "referenced")])
    report, second = asked(tmp_path, replies)
    assert report.asked == {
        "referenced": 1,
        "helpfulness-direct": 2,
        "correctness-direct": 2,
        "helpfulness-referenced": 1,
        "correctness-referenced": 1,
    }
    assert "a text" in of(second, "correctness-direct")["body"]["messages"][0]["content"]
    last, third = asked(tmp_path, replies, replied(tmp_path, second, name="more.jsonl"))
    assert last.asked == {"helpfulness-referenced": 1, "correctness-referenced": 1}
    assert (
        asked(tmp_path, replies, tmp_path / "more.jsonl", replied(tmp_path, third, name="3.jsonl"))[1] == []
    )


def test_a_reply_of_no_use_is_asked_for_again(tmp_path):
    pool(tmp_path, 1)
    _, first = asked(tmp_path)
    report, second = asked(tmp_path, replied(tmp_path, first, lambda request: "no grade"))
    assert report.again == {"no_score": 2}
    assert {"helpfulness-human", "correctness-human"} <= set(report.asked)
    assert of(second, "helpfulness-human") == of(first, "helpfulness-human")


def test_what_would_come_out_the_same_is_not_asked_again(tmp_path):
    pool(tmp_path, 1)
    _, first = asked(tmp_path)
    replies = replied(tmp_path, first, lambda request: "it is 0, whatever")
    report, _ = asked(tmp_path, replies, what=("direct", "referenced"))
    assert report.given_up == {"identical_to_human": 2} and not report.asked
    assert asked(tmp_path, replies)[0].waiting == 0


def test_a_tools_turn_cannot_be_sent(tmp_path):
    turns = [{"role": role, "content": role} for role in ("user", "tool", "assistant")]
    where = write_jsonl(tmp_path / "pool.jsonl", [{"messages": turns}])
    report, requests = asked(tmp_path, where=where)
    assert report.given_up == {"unsupported_role": 1} and "direct" not in report.asked
    assert "tool: tool" in of(requests, "referenced")["body"]["messages"][0]["content"]


def test_what_and_limit_choose(tmp_path):
    pool(tmp_path, 5)
    report, requests = asked(tmp_path, what=("referenced",), limit=3)
    assert [row["custom_id"].rsplit("-", 1)[0] for row in requests] == [f"r{k}-referenced" for k in range(3)]
    assert report.records == 3 and report.waiting == 0


def test_bad_rows_are_counted(tmp_path):
    rows = [{"instruction": "a", "response": "b"}, b"{", {"instruction": "", "response": "b"}]
    report, _ = asked(tmp_path, where=write_jsonl(tmp_path / "pool.jsonl", rows))
    assert report.records == 1 and report.set_aside == {"invalid_json": 1, "empty_instruction": 1}


def test_the_limit_counts_records_not_rows(tmp_path):
    rows = [b"{", {"instruction": "a", "response": "b"}, b"{", {"instruction": "c", "response": "d"}, b"{"]
    report, _ = asked(tmp_path, where=write_jsonl(tmp_path / "pool.jsonl", rows), limit=2)
    assert report.records == 2 and report.set_aside == {"invalid_json": 2}


def record(row=0, part=None, instruction="a", response="b"):
    return Record((Turn("user", instruction),), response, Address(row), "id", part)


@given(
    st.integers(0, 10**9),
    st.none()
    | st.text(min_size=1)
    | st.sampled_from(["chosen", "direct", "helpfulness", "helpfulness-human"]),
    st.sampled_from([*TEXTS, *GRADES]),
    st.text(),
)
def test_an_id_is_short_and_plain(row, part, what, text):
    question = Question(record(row, part), what, text)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", question.id)
    assert question.id == Question(record(row, part), what, text).id
    assert graded_aspect(question.slot) == (what.partition("-")[0] if what in GRADES else None)


@given(st.text(), st.text())
def test_another_text_gives_another_hash(one, other):
    assert (Question(record(), "direct", one).id == Question(record(), "direct", other).id) == (one == other)
    changed = Question(record(instruction=one), "direct"), Question(record(instruction=other), "direct")
    assert (changed[0].id == changed[1].id) == (one == other)


def test_who_said_it_is_part_of_the_hash():
    said = [Record((Turn(role, "a"), Turn("user", "b")), "c") for role in ("user", "assistant")]
    assert len({Question(record, "direct").id for record in said}) == 2


def test_ids_differ_by_row_part_and_what():
    ids = [
        Question(record(row, part), what).id
        for row in (0, 1, 11)
        for part in (None, "direct", "helpfulness", "a-b", "a_b", "p")
        for what in (*TEXTS, *GRADES)
    ]
    assert len(set(ids)) == len(ids)


@pytest.fixture
def error(capsys, tmp_path):
    """Run `tiers ask` that must fail with exit code 2; gives the one line on standard error."""
    pool(tmp_path)

    def run(*arguments, out="requests.jsonl", where="pool.jsonl"):
        files = ["tiers", "ask", str(tmp_path / where), "--out", str(tmp_path / out)]
        assert main([*files, *map(str, arguments)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


def test_the_model_is_needed(error):
    assert "--model is needed" in error()


@pytest.mark.parametrize("what", [",", "direct,human", "grade"])
def test_an_unknown_wish_is_named(error, what):
    assert "direct,referenced,grades" in error("--model", "m", f"--what={what}")


def test_an_empty_wish_is_an_empty_argument(error):
    assert "--what is empty" in error("--model", "m", "--what=")


@pytest.mark.parametrize(
    ("flag", "value"), [("--limit", 0), ("--max-tokens", 0), ("--grade-tokens", 0), ("--temperature", 3)]
)
def test_numbers_out_of_range_are_named(error, flag, value):
    assert flag in error("--model", "m", f"{flag}={value}")


def test_an_existing_file_is_kept(error, tmp_path):
    (tmp_path / "requests.jsonl").write_text("mine")
    assert "--overwrite" in error("--model", "m")
    assert (tmp_path / "requests.jsonl").read_text() == "mine"


def test_missing_files_are_named(error, tmp_path):
    assert "nowhere.jsonl" in error("--model", "m", where="nowhere.jsonl")
    assert "gone.jsonl" in error("--model", "m", "--replies", tmp_path / "gone.jsonl")


def test_a_pool_without_records_is_named(error, tmp_path):
    write_jsonl(tmp_path / "bad.jsonl", [{"instruction": "", "response": "b"}])
    assert "no record to ask about (1 rows" in error("--model", "m", where="bad.jsonl")
    assert not (tmp_path / "requests.jsonl").exists()


def test_strict_stops_at_the_first_bad_row(error, tmp_path):
    write_jsonl(tmp_path / "bad.jsonl", [{"instruction": "a", "response": "b"}, {"instruction": "a"}])
    assert "line 2" in error("--model", "m", "--strict", where="bad.jsonl")


def test_the_command_says_what_comes_next(tmp_path, capsys):
    pool(tmp_path)
    out = tmp_path / "requests.jsonl"
    assert main(["tiers", "ask", str(tmp_path / "pool.jsonl"), "--model", "m", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "2 records: 8 requests" in shown and "8 grades wait" in shown and "scar tiers run" in shown
    assert len(json.loads(out.read_bytes().splitlines()[0])["custom_id"]) <= 64


def test_files_without_a_reply_are_refused(tmp_path):
    where = pool(tmp_path)
    asked(tmp_path)
    for wrong in (where, tmp_path / "requests1.jsonl"):
        with pytest.raises(InputError, match=f"{wrong.name} holds no replies"):
            asked(tmp_path, wrong)


def test_an_input_is_never_overwritten(tmp_path):
    where = pool(tmp_path)
    before = where.read_bytes()
    with pytest.raises(InputError, match="is an input"):
        ask(where, where, ASKING, overwrite=True)
    assert where.read_bytes() == before
