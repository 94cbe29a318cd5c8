"""Thrift's compact protocol, as far as Parquet's footer and page headers need it: integers, and what holds them."""

from typing import Any

import pyarrow as pa

DEEPEST = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
Fields = dict[int, Any]
"""Values by the number of the field: integers, lists and structs; others are passed over and are None."""


def read_struct(data: bytes, at: int = 0, depth: int = 0) -> tuple[Fields, int]:
    """Read a struct; gives its fields, and where it ends.

    Raises IndexError where the data ends before it does, ArrowInvalid where it is none.
    """
    if depth > DEEPEST:
        raise pa.ArrowInvalid("nested too deep")
    fields: Fields = {}
    name = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            name += head >> 4
        else:
            name, at = _integer(data, at)
        kind = head & 0xF
        # A field that is true or false says so in its head.
        fields[name], at = (None, at) if kind in (_TRUE, _FALSE) else _value(data, at, kind, depth)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if _BYTE < kind < _DOUBLE:
        return _integer(data, at)
    if kind == _BINARY:
        size, at = _varint(data, at)
        return None, at + size
    if kind == _STRUCT:
        return read_struct(data, at, depth + 1)
    if kind in (_LIST, _SET):
        return _items(data, at, depth)
    if kind not in (_TRUE, _FALSE, _BYTE, _DOUBLE):
        raise pa.ArrowInvalid(f"a field of type {kind}")
    return None, at + (8 if kind == _DOUBLE else 1)


def _items(data: bytes, at: int, depth: int) -> tuple[list[Any], int]:
    head, at = data[at], at + 1
    size = head >> 4
    if size == 15:
        size, at = _varint(data, at)
    items = []
    for _ in range(size):
        if at >= len(data):
            raise IndexError
        item, at = _value(data, at, head & 0xF, depth + 1)
        items.append(item)
    return items, at


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise pa.ArrowInvalid("a number does not end")
