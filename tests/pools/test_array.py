"""A .json file: the elements of one array, told apart by brackets and strings alone."""

import io
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scar.errors import InputError
from scar.pools import array, cut, find, limits, read_pool, rows_of, source
from scar.pools.array import elements
from scar.pools.pieces import Most
from scar.pools.source import BOM
from scar.records import Reason, Record
from tests.make import pool_rows, write_jsonl
from tests.pools.made import ROW, names, raws, write

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just('"}],[{\\'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SPACE = st.sampled_from(["", " ", "\n", "\r\n\t "])


@pytest.mark.slow
@given(
    st.lists(st.tuples(JSON, SPACE, SPACE), max_size=6),
    SPACE,
    st.booleans(),
    st.sampled_from([1, 2, 7, 1 << 20]),
)
def test_the_elements_are_those_of_the_array_however_it_is_read(values, space, pretty, block):
    texts = [
        (before + json.dumps(value, ensure_ascii=False, indent=1 if pretty else None)).encode(
            "utf-8", "replace"
        )
        + after.encode()
        for value, before, after in values
    ]
    data = (space + "[").encode() + b",".join(texts) + f"{space}]{space}".encode()
    old, array.BLOCK = array.BLOCK, block
    try:
        found = list(elements(io.BytesIO(data), "f"))
    finally:
        array.BLOCK = old
    assert [json.loads(raw) for _, _, raw in found] == json.loads(data)
    assert [raw for _, _, raw in found] == [text.strip() for text in texts]
    assert all(data[at : at + size] == raw for at, size, raw in found)


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 20])
def test_an_element_that_is_no_json_spoils_no_other(tmp_path, monkeypatch, block):
    monkeypatch.setattr("scar.pools.array.BLOCK", block)
    bad = [
        b"{'a': 1}",
        b'{"a": 1,}',
        b"nul",
        b"12",
        b'"text"',
        b"[1, [2]]",
        b'{"a" 1}',
        b'{"a": \xff}',
        b'{\\"a\\": "{"}',
    ]
    data = b"[" + b",\n".join(part for each in bad for part in (ROW, each)) + b"," + ROW + b"]"
    found = [raw for _, _, raw in elements(io.BytesIO(data), "f")]
    assert found == [part for each in bad for part in (ROW, each)] + [ROW]


def test_what_is_wrong_with_an_element_is_told_by_its_number(tmp_path):
    path = write(tmp_path / "a.json", b"[" + ROW + b", nul, 12, {'a': 1}, " + ROW + b",]")
    items = list(read_pool(path))
    assert [item.address.line for item in items] == [1, 2, 3, 4, 5]
    assert [getattr(item, "reason", None) for item in items] == [
        None,
        Reason.INVALID_JSON,
        Reason.NOT_AN_OBJECT,
        Reason.INVALID_JSON,
        None,
    ]


@pytest.mark.parametrize(
    "data", [b"[", b"[" + ROW, b"[" + ROW + b",", b"[" + ROW[:-3], b'[{"a": "x}, ' + ROW + b"]"]
)
def test_an_array_that_does_not_end_is_a_damaged_file(tmp_path, data):
    path = write(tmp_path / "a.json", data)
    with pytest.raises(InputError, match="a.json: the array does not end"):
        cut(find(path), 10)


@pytest.mark.parametrize("rest", [b"x", b"[" + ROW + b"]", b",", b"]"])
def test_text_after_the_array_is_refused_with_its_place(tmp_path, rest):
    path = write(tmp_path / "a.json", b"[" + ROW + b"] \n" + rest)
    with pytest.raises(
        InputError, match=f"a.json: there is text after the end of the array, at byte {len(ROW) + 4}"
    ):
        cut(find(path), 10)


@pytest.mark.parametrize("data", [b"", b" \n", b"[]", b" [ ] ", BOM + b"[]"])
def test_an_array_without_a_row_is_an_empty_pool(tmp_path, data):
    with pytest.raises(InputError, match="empty.*a.json"):
        cut(find(write(tmp_path / "a.json", data)), 10)


LONG = [
    b'"' + b"x" * 90 + b'"',
    b'{"a": "' + b'\\"' * 60 + b'\\\\"}',
    b"1" * 99,
    b'[{"a": ["' + b"]" * 60 + b'", {}], "b": "' + b"y" * 70 + b'"}]',
]
SHORT = [ROW, b"1", b'{"a": "\\""}', b'"t"', b"[[]]", b'{"b": {"c": "' + b"z" * 40 + b'"}}']


@given(
    st.lists(st.sampled_from(LONG + SHORT), max_size=9),
    st.sampled_from([1, 2, 7, 64, 1 << 20]),
    st.sampled_from([1, 16, 1 << 20]),
)
def test_an_element_that_is_too_long_is_passed_without_being_held(texts, block, step):
    data = b" [" + b", ".join(texts) + b"]\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array, "BLOCK", block)
        patch.setattr(array, "STEP", step)
        patch.setattr(limits, "LONGEST", 80)
        found = list(elements(io.BytesIO(data), "f"))
    assert [each.raw for each in found] == [None if text in LONG else text for text in texts]
    assert [data[at : at + size] for at, size, _ in found] == texts


def test_json_lines_may_be_called_json(tmp_path):
    (path,) = [write(tmp_path / "a.json", BOM + ROW + b"\r\n\n" + ROW)]
    assert raws(path) == [(1, ROW), (3, ROW)]
    assert [piece.start.line for piece in source(find(path)[0]).pieces(Most(1, 1))] == [1, 3]


def test_one_object_over_several_lines_is_refused_with_the_remedy(tmp_path):
    path = write(tmp_path / "a.json", json.dumps({"data": pool_rows(2)}, indent=1).encode())
    with pytest.raises(InputError, match="a.json: neither an array of rows.*must be taken out first"):
        list(read_pool(path))


def test_settings_beside_the_data_are_left_alone(tmp_path):
    write(tmp_path / "a.json", b"[" + ROW + b"]")
    write(tmp_path / "b.json", ROW + b"\n" + ROW)
    write(tmp_path / "config.json", b'{\n "a": {\n}}')
    write(tmp_path / "small.json", b'{"a": 1}\n')
    write(tmp_path / "text.json", b'"x"')
    assert names(tmp_path) == ["a.json", "b.json"]


def test_rows_of_more_than_64_kb_in_a_json_of_lines_are_rows(tmp_path):
    long = json.dumps({"instruction": "i", "response": "x" * 200_000}).encode()
    write(tmp_path / "long.json", long + b"\n" + long)
    assert names(tmp_path) == ["long.json"]


def test_a_long_text_and_a_deep_element_are_read_in_good_time(tmp_path):
    rows = [
        {"instruction": "i", "response": '\\"[{' * 50_000},
        {"instruction": "i", "response": "x\n" + " " * 200_000},
    ]
    deep = b'{"instruction": "i", "response": "r", "deep": ' + b"[" * 2000 + b"]" * 2000 + b"}"
    data = json.dumps(rows, indent=1).encode()[:-1] + b"," + deep + b"," + ROW + b"]"
    started = time.perf_counter()
    items = list(read_pool(write(tmp_path / "a.json", data)))
    assert [len(item.response) for item in items if isinstance(item, Record)][:2] == [200_000, 200_002]
    assert isinstance(items[-1], Record)
    written = [row.json() for row in rows_of(find(tmp_path / "a.json"))]
    assert [json.loads(raw) for raw in written[:2]] == rows and not any(b"\n" in raw for raw in written)
    assert time.perf_counter() - started < 2


def test_chunks_start_where_their_first_element_does(tmp_path):
    data = BOM + b" [\n" + b" ,\n ".join(json.dumps(row).encode() for row in pool_rows(5)) + b"]"
    facts, chunks = cut(find(write(tmp_path / "a.json", data)), 2)
    assert [(chunk.line, chunk.row, chunk.rows) for chunk in chunks] == [(1, 0, 2), (3, 2, 2), (5, 4, 1)]
    for chunk in chunks:
        assert json.JSONDecoder().raw_decode(data[chunk.offset :].decode())[0] == pool_rows(5)[chunk.row]


def test_lines_and_array_give_the_same_records(tmp_path):
    lines = write_jsonl(tmp_path / "a.jsonl", pool_rows(7))
    array_ = write(tmp_path / "b.json", json.dumps(pool_rows(7)).encode())
    assert [(i.turns, i.response, i.id) for i in read_pool(lines)] == [
        (i.turns, i.response, i.id) for i in read_pool(array_)
    ]
