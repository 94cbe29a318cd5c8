"""What rows weigh, against their values one by one."""

import pyarrow as pa
import pytest

from scar.pools.weight import PLACE, weigh, weights

TEXTS = ["a", None, "x" * 20, ""]
WORDS = pa.dictionary(pa.int32(), pa.string())
RUNS = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 4], pa.int32()), pa.array(["xyz", None, "yy"]))


def lists(kind):
    return pa.array([["a", "bb"], None, [], ["c" * 9, None]], kind)


ARRAYS = {
    "text": pa.array(TEXTS),
    "large text": pa.array(TEXTS, pa.large_string()),
    "view": pa.array(TEXTS, pa.string_view()),
    "bytes": pa.array([b"ab", None, b"c"], pa.binary()),
    "dictionary": pa.array(TEXTS, WORDS),
    "dictionary of few": pa.array(TEXTS, pa.dictionary(pa.uint8(), pa.string())),
    "dictionary of none": pa.array([None, None, None], WORDS),
    "list": lists(pa.list_(pa.string())),
    "large list": lists(pa.large_list(pa.string())),
    "list view": lists(pa.list_view(pa.string())),
    "list of a dictionary": lists(pa.list_(WORDS)),
    "list of views": lists(pa.list_view(pa.string_view())),
    "fixed list": pa.array([["a", "bb"], ["", "x"], ["c", None]], pa.list_(pa.string(), 2)),
    "struct of a dictionary": pa.StructArray.from_arrays([pa.array(TEXTS, WORDS), pa.nulls(4)], ["a", "b"]),
    "map": pa.array([[("k", "v")], None, [("a", "b"), ("c", "d" * 5)]], pa.map_(pa.string(), pa.string())),
    "runs": RUNS,
    "list of runs": pa.ListArray.from_arrays([0, 1, 4], RUNS),
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 0], pa.int32()), [pa.array(["xyz"]), pa.nulls(1)]
    ),
    "sparse union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array(["xyz"] * 3), pa.nulls(3)]
    ),
    "nulls": pa.nulls(3),
    "list of nulls": pa.array([[None] * 5, [], None], pa.list_(pa.null())),
    "extension": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None])),
}


def by_hand(value):
    """Weigh a Python value: a place for it, and what it holds."""
    match value:
        case str() | bytes():
            return PLACE + len(value)
        case list() | tuple():
            return PLACE + sum(map(by_hand, value))
        case dict():
            return PLACE + sum(map(by_hand, value.values()))
    return PLACE


@pytest.mark.parametrize("name", ARRAYS)
def test_a_value_weighs_what_it_holds(name):
    array = ARRAYS[name]
    for part in (array, array.slice(1), array.slice(1, 1), array.slice(0, 0)):
        assert weights(part).tolist() == [by_hand(value) for value in part.to_pylist()]


def test_numbers_weigh_their_width_too():
    batch = pa.RecordBatch.from_pydict({"a": pa.array([1, None], pa.int64()), "b": pa.array([True, False])})
    assert weigh(batch) == 2 * (PLACE + 8) + 2 * (PLACE + 1)


@pytest.mark.parametrize(
    "inner",
    [
        pa.nulls(1 << 31),
        pa.StructArray.from_arrays([pa.nulls(1 << 31)], ["a"]),
        pa.FixedSizeListArray.from_arrays(pa.nulls(1 << 31), 1),
    ],
    ids=lambda inner: str(inner.type),
)
def test_what_takes_no_memory_is_weighed_without_any(inner):
    one = pa.LargeListArray.from_arrays(pa.array([0, 1 << 31], pa.int64()), inner)
    assert one.nbytes < 100 and weights(one)[0] >= PLACE << 31


def test_lists_that_lead_to_the_same_values_again_and_again_are_weighed():
    array = pa.nulls(1)
    for _ in range(12):
        size, start = pa.array([len(array)] * 1000, pa.int32()), pa.array([0] * 1000, pa.int32())
        array = pa.ListViewArray.from_arrays(start, size, array)
    assert weights(array.slice(0, 1))[0] > 1e33


def test_runs_without_end_are_damage():
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([1 << 40], pa.int64()), pa.array(["x"]))
    with pytest.raises(pa.ArrowInvalid, match="runs of 1099511627776 values"):
        weights(runs)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_binary(), pa.string_view()], ids=str)
def test_a_forged_buffer_may_end_in_a_part_of_a_number(kind):
    array = pa.array(["a", "bb"], kind)
    valid, numbers, *more = array.buffers()
    longer = pa.py_buffer(numbers.to_pybytes()[: 16 if kind == pa.string() else 32] + b"x")
    forged = pa.Array.from_buffers(kind, 2, [valid, longer, *more])
    forged.validate(full=True)
    assert weights(forged).tolist() == weights(array).tolist() == [PLACE + 1, PLACE + 2]
