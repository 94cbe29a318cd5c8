"""What the values of Arrow arrays weigh when each is written out: one that is stored once may stand in many rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Weights = NDArray[np.float64]
"""Bytes by value, shape (n,); floats, for lists in lists can promise more than 64 bits count. Those that are all the
same take no memory."""
PLACE = 8
"""Bytes that a value takes in the list that holds it, be it null."""
_TYPES = pa.types
MOST_OF_RUNS = 1 << 26
"""Values that are stored once for all of a run; more are a bomb."""


def weigh(batch: pa.RecordBatch) -> float:
    """Give about how many bytes the rows of a batch take."""
    return sum(float(weights(column).sum()) for column in batch.columns)


def weights(array: pa.Array) -> Weights:
    """Give about how many bytes each value takes."""
    kind = array.type
    if not len(array):
        return _same(0, 0)
    if isinstance(array, pa.ExtensionArray):
        return weights(array.storage)
    for test, weigher in _PICKERS:
        if test(kind):
            return weigher(array)
    for test, weigher in _HOLDERS:
        if test(kind):
            return _with_place(weigher(array))
    return _same(PLACE + (0 if _TYPES.is_null(kind) else -(-kind.bit_width // 8)), len(array))


def _same(weight: float, size: int) -> Weights:
    return np.broadcast_to(np.float64(weight), (size,))


def _is_same(found: Weights) -> bool:
    return found.strides == (0,)


def _with_place(found: Weights) -> Weights:
    return _same(PLACE + found[0], len(found)) if _is_same(found) else PLACE + found


def _between(values: pa.Array, starts: NDArray[Any], stops: NDArray[Any]) -> Weights:
    """Add up the weights of values from some places to others. There may be more of them than fit."""
    first = int(starts.min())
    inner = weights(values.slice(first, int(stops.max()) - first))
    if not len(inner) or _is_same(inner):
        return np.asarray((stops.astype(np.float64) - starts) * (inner[0] if len(inner) else 0))
    before = np.concatenate(([0], np.cumsum(inner)))
    return np.asarray(before[stops - first] - before[starts - first])


def _text(array: pa.Array) -> Weights:
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    offsets = _numbers(array.buffers()[1], np.int64 if wide else np.int32, array.offset + len(array) + 1)
    return np.diff(offsets[array.offset :]).astype(np.float64)


def _numbers(buffer: pa.Buffer, kind: type[np.signedinteger[Any]], count: int) -> NDArray[Any]:
    """Give the first numbers of a buffer: a forged one may end in a part of a number."""
    return np.frombuffer(buffer, kind, count)


def _view(array: pa.Array) -> Weights:
    """A view is four words, the first of which is the length."""
    words = _numbers(array.buffers()[1], np.int32, 4 * (array.offset + len(array)))
    return words[4 * array.offset :: 4].astype(np.float64)


def _list(array: pa.Array) -> Weights:
    offsets = np.asarray(array.offsets)
    return _between(array.values, offsets[:-1], offsets[1:])


def _list_view(array: pa.Array) -> Weights:
    starts = np.asarray(array.offsets)
    return _between(array.values, starts, starts + np.asarray(array.sizes))


def _fixed_list(array: pa.Array) -> Weights:
    size, rows = array.type.list_size, len(array)
    inner = weights(array.values.slice(array.offset * size, rows * size))
    if not size or _is_same(inner):
        return _same(size * inner[0] if size else 0, rows)
    return np.asarray(inner.reshape(rows, size).sum(axis=1))


def _struct(array: pa.Array) -> Weights:
    inner = [weights(array.field(number)) for number in range(array.type.num_fields)]
    same = sum(float(each[0]) for each in inner if _is_same(each))
    return sum((each for each in inner if not _is_same(each)), _same(same, len(array)))


def _dictionary(array: pa.Array) -> Weights:
    inner = weights(array.dictionary)
    places = np.asarray(array.indices.fill_null(0), dtype=np.int64)
    places = np.where(np.asarray(array.indices.is_null()), len(inner), places)
    return np.asarray(np.append(inner, PLACE)[places])


def _runs(array: pa.Array) -> Weights:
    if len(array) > MOST_OF_RUNS:
        raise pa.ArrowInvalid(f"runs of {len(array)} values")
    places = np.arange(array.offset, array.offset + len(array))
    inner = weights(array.values)
    return np.asarray(inner[np.searchsorted(np.asarray(array.run_ends), places, side="right")])


def _union(array: pa.Array) -> Weights:
    (_, codes, *others), end = array.buffers(), array.offset + len(array)
    code, dense = _numbers(codes, np.int8, end)[array.offset :], array.type.mode == "dense"
    places = _numbers(others[0], np.int32, end)[array.offset :] if dense else np.arange(len(array))
    found = np.zeros(len(array))
    for number, name in enumerate(array.type.type_codes):
        here = code == name
        found[here] = weights(array.field(number))[places[here]]
    return found


def _either(*tests: Callable[[pa.DataType], bool]) -> Callable[[pa.DataType], bool]:
    return lambda kind: any(test(kind) for test in tests)


_Table = list[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Weights]]]
_PICKERS: _Table = [
    (_TYPES.is_dictionary, _dictionary),
    (_TYPES.is_run_end_encoded, _runs),
    (_TYPES.is_union, _union),
]
"""A value is one of those that are stored."""
_HOLDERS: _Table = [
    (_either(_TYPES.is_string, _TYPES.is_large_string, _TYPES.is_binary, _TYPES.is_large_binary), _text),
    (_either(_TYPES.is_string_view, _TYPES.is_binary_view), _view),
    (_either(_TYPES.is_list, _TYPES.is_large_list, _TYPES.is_map), _list),
    (_either(_TYPES.is_list_view, _TYPES.is_large_list_view), _list_view),
    (_TYPES.is_fixed_size_list, _fixed_list),
    (_TYPES.is_struct, _struct),
]
