"""One schema for JSON rows: it holds every value that was seen, or says which one it cannot hold."""

import json

import pyarrow as pa
import pytest

from scar.selection.schema import DEEPEST, Clash, Guess, decode_once


def schema(*rows):
    guess = Guess()
    for row in rows:
        guess.see(row)
    return guess.schema()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None], pa.null()),
        ([None, 1, 2**63 - 1, -(2**63)], pa.int64()),
        ([1, 0.5], pa.float64()),
        ([0.5, None, 2**53, -(2**53)], pa.float64()),
        ([True, None], pa.bool_()),
        (["a", None], pa.string()),
        ([[], None, [None], [1]], pa.list_(pa.int64())),
        ([[]], pa.list_(pa.null())),
        ([{}, {"a": 1}, {"b": [0.5]}], pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float64()))])),
        ([[{"a": None}], [{"a": "x"}, None]], pa.list_(pa.struct([("a", pa.string())]))),
    ],
)
def test_the_type_holds_every_value(values, kind):
    found = schema(*({"x": value} for value in values))
    assert found.field("x").type == kind
    assert pa.Table.from_pylist([{"x": value} for value in values], schema=found)[
        "x"
    ].null_count == values.count(None)


def test_columns_stand_in_the_order_in_which_they_were_first_seen():
    assert schema({"b": 1, "a": 2}, {"c": 3, "a": 4}).names == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([1, "a"], r"^x is text \(string\) here and int in a row before$"),
        ([True, 1], "x is a number"),
        ([[1], {"a": 1}], "x is an object"),
        ([{"a": [1]}, {"a": [[1]]}], r"^x\.a\[\] is a list"),
        ([2**53 + 1, 0.5], "x is a number"),
        ([0.5, 2**53 + 1], "x is a number"),
        ([2**63], "more than 64 bits"),
        (["a\ud800"], "lone surrogate"),
    ],
)
def test_a_value_that_has_no_place_is_named_by_its_path(values, told):
    with pytest.raises(Clash, match=told):
        schema(*({"x": value} for value in values))


def test_a_column_may_be_called_the_row():
    with pytest.raises(Clash, match=r"^the row\.a is text"):
        schema({"the row": {"a": 1}}, {"the row": {"a": "x"}})


def test_nesting_beyond_what_readers_take_is_refused():
    deep = 1
    for _ in range(DEEPEST - 1):
        deep = [deep]
    assert schema({"x": deep})
    with pytest.raises(Clash, match=f"more than {DEEPEST} deep"):
        schema({"x": [[deep]]})


@pytest.mark.parametrize("raw", [b'{"a": 1, "a": 1}', b'{"b": [{"a": 1, "c": 2, "a": 3}]}'])
def test_a_name_that_stands_twice_is_named(raw):
    with pytest.raises(Clash, match="a stands twice in the row"):
        decode_once(raw)
    assert decode_once(b'{"a": {"a": 1}}') == json.loads('{"a": {"a": 1}}')
