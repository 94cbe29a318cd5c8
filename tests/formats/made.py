"""Rows by hand, and what becomes of them."""

from scar.formats import Layout, detect, expand
from scar.records import NOWHERE, SetAside

PLAIN = {"instruction": "Ask.", "response": "Answer."}


TIERS = {"instruction": "Ask.", "responses": {"human": "H", "direct": "D"}}


USER, ASSISTANT = {"role": "user", "content": "Ask."}, {"role": "assistant", "content": "Answer."}


MESSAGES = {"messages": [USER, ASSISTANT]}


def records(row, name="auto", **columns):
    return list(expand(row, detect([row], name, columns, "pool.jsonl"), NOWHERE))


def reason(row, name):
    (item,) = expand(row, Layout(name, {}), NOWHERE)
    assert isinstance(item, SetAside), item
    return item.reason


def said(*messages):
    return {"messages": [{"role": role, "content": content} for role, content in messages]}
