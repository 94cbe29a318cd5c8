"""Reading replies: a text, or the reason why there is none; a line that is no reply is no accident."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.tiers.batch import Reply, Request, read_reply, read_requests
from scar.tiers.missing import Missing, Why
from tests.tiers.server import completion


def line(response, error=None):
    return json.dumps({"id": "batch_req_1", "custom_id": "r0-direct-x", "response": response, "error": error})


def good(body):
    return line({"status_code": 200, "request_id": "q", "body": body})


def said(content, finish="stop", **more):
    message = {"role": "assistant", "content": content, **more}
    return good({"choices": [{"message": message, "finish_reason": finish}]})


def answer(text):
    return read_reply(text.encode()).answer


def test_the_text_is_what_the_assistant_said():
    assert read_reply(good(completion(" a\n")).encode()) == Reply("r0-direct-x", "a")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (line(None, {"code": "batch_expired", "message": "too late"}), Why.REQUEST_FAILED),
        (line(None, "boom"), Why.REQUEST_FAILED),
        (line(None), Why.REQUEST_FAILED),
        (line({"status_code": 429, "body": {"error": {}}}), Why.REQUEST_FAILED),
        (line({"status_code": 400, "body": completion("x")}), Why.REQUEST_FAILED),
        (line({"status_code": "?", "body": {}}), Why.REQUEST_FAILED),
        (good(None), Why.REQUEST_FAILED),
        (good({"choices": []}), Why.REQUEST_FAILED),
        (good({"choices": [{}]}), Why.REQUEST_FAILED),
        (said("half of", "length"), Why.CUT_OFF),
        (said("half of", "model_length"), Why.CUT_OFF),
        (said("half of", "abort"), Why.CUT_OFF),
        (said("about it</think>"), Why.EMPTY_REPLY),
        (said(None, refusal="I won't"), Why.REFUSED),
        (said("", "content_filter"), Why.REFUSED),
        (said(None), Why.EMPTY_REPLY),
        (said(" \n"), Why.EMPTY_REPLY),
        (said([{"type": "text"}]), Why.NOT_TEXT),
        (said("a \ud800 b"), Why.NOT_TEXT),
        (said("<think>about it</think>"), Why.EMPTY_REPLY),
        (said("<think>about it"), Why.EMPTY_REPLY),
    ],
)
def test_a_reply_of_no_use_has_a_reason(text, why):
    found = answer(text)
    assert isinstance(found, Missing) and found.why is why
    assert read_reply(text.encode()).arrived == (why is not Why.REQUEST_FAILED)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("<think>a</think>\n\nb", "b"),
        ("a <think>b</think>", "a <think>b</think>"),
        ("a</think>\n\nb", "b"),
        ("write </think> at its end", "write </think> at its end"),
        ("\n<think>a <think> b</think>c", "c"),
    ],
)
def test_only_thoughts_before_the_answer_are_dropped(content, text):
    assert answer(said(content)) == text


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_a_line_of_anything_else_is_no_reply(raw):
    assert read_reply(raw) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["status_code", "body", "choices", "message", "content", "finish_reason", "code"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON, JSON)
def test_any_reply_reads_as_text_or_reason(response, error):
    assert isinstance(answer(line(response, error)), str | Missing)


def test_deep_nesting_is_no_reply():
    assert read_reply(b'{"custom_id": "a", "x": ' + b"[" * 100_000) is None


def test_a_request_is_no_reply():
    assert read_reply(Request("r0-direct-x", {"model": "m", "messages": []}).line()) is None


def test_a_request_reads_back(tmp_path):
    request = Request("a", {"model": "m", "messages": [{"role": "user", "content": "h\u00e9\u2028"}]})
    (tmp_path / "r.jsonl").write_bytes(request.line() + b"\n" + request.line())
    assert list(read_requests(tmp_path / "r.jsonl")) == [request, request]
