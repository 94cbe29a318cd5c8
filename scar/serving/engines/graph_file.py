"""Look into an ONNX file before any library does: what it names outside of itself, and whether it is whole.

A walk over the protobuf fields that matter; weights are stepped over, so a file of any size takes milliseconds. What
our own exports never hold is refused, not followed: data in other files, operators of others, functions, sparse
tensors, training steps, loops.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from scar.errors import InputError

Part = tuple[str, int, int]
"""A message in the file: its kind, where it begins, where it ends."""
VARINT, LENGTH = 0, 2
FIXED = {1: 8, 5: 4}
"""Wire types of protobuf, of some the bytes that they take; 3 and 4 are groups, which ONNX has none of."""
PARTS = {
    "model": {7: "graph", 8: "opset"},
    "graph": {1: "node", 5: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "opset": {},
    "tensor": {},
}
"""Kind of message -> field -> kind of the message in it that is looked into."""
REFUSED = {
    "model": {20: "training steps", 25: "functions of its own"},
    "graph": {15: "sparse tensors"},
    "attribute": {22: "sparse tensors", 23: "sparse tensors"},
    "tensor": {(EXTERNAL_DATA := 13): "data outside of the file"},
}
"""Kind of message -> field that must not be there -> what it would bring."""
TEXTS = {"node": (OP_TYPE := 4, DOMAIN := 7), "opset": (IMPORTED := 1,)}
"""Kind of message -> fields whose text is read."""
DATA_LOCATION = 14
STANDARD = ("", "ai.onnx")
MICROSOFT = "com.microsoft"
ENDLESS = frozenset({"Loop", "Scan"})
"""Operators of the standard that can run without end."""
FUSED = frozenset(
    "Attention MultiHeadAttention GroupQueryAttention PackedAttention PackedMultiHeadAttention QAttention "
    "RelativePositionBias GatedRelativePositionBias RotaryEmbedding GemmaRotaryEmbedding RemovePadding RestorePadding "
    "EmbedLayerNormalization SkipLayerNormalization SkipSimplifiedLayerNormalization GroupNorm SkipGroupNorm "
    "BiasAdd BiasGelu BiasSplitGelu FastGelu Gelu QuickGelu FusedMatMul GemmFastGelu "
    "MatMulNBits DynamicQuantizeMatMul MatMulIntegerToFloat QuantizeLinear DequantizeLinear".split()
)
"""ONNX Runtime's own operators that optimisers put in; others of that domain open files, or run what they are given."""
DEEPEST, MOST_FIELDS = 64, 2_000_000
"""Messages inside of each other, and fields looked at: an encoder of 24 layers has some 5 and 100,000."""


class GraphError(InputError):
    """A graph that is not run: refused for what it holds, or by the engine."""


class _Malformed(ValueError):
    """The file is not ONNX, or holds what must not be there; says which."""


def check_graph(path: Path) -> None:
    """Raise GraphError for a file that is no whole ONNX graph, or that is more than a graph of known operators."""
    try:
        with open(path, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check(data)
    except ValueError as error:  # an empty file cannot be mapped either
        raise GraphError(f"{path}: refused: {error}; export the ranker again") from None


def _check(data: mmap.mmap) -> None:
    if data[4:8] == b"ORTM":
        raise _Malformed("a graph in ONNX Runtime's own format, not in ONNX")
    waiting, left, kinds = [(("model", 0, len(data)), 0)], MOST_FIELDS, set()
    while waiting:
        message, depth = waiting.pop()
        kinds.add(message[0])
        parts, texts, left = _look(data, message, left)
        waiting.extend((part, depth + 1) for part in parts)
        if depth > DEEPEST:
            raise _Malformed(f"messages inside of each other, more than {DEEPEST} deep")
        _judge(message[0], texts)
    if "graph" not in kinds:
        raise _Malformed("it holds no graph")


def _look(data: mmap.mmap, message: Part, left: int) -> tuple[list[Part], dict[int, str], int]:
    """Give the messages and texts of one message that matter, and how many fields may still follow."""
    kind, parts, texts = message[0], [], {}
    for number, wire, start, end in _fields(data, message):
        left -= 1
        if left < 0:
            raise _Malformed(f"more than {MOST_FIELDS:,} fields")
        if what := _refused(kind, number, start):
            raise _Malformed(f"it has {what}")
        part, is_text = PARTS[kind].get(number), number in TEXTS.get(kind, ())
        if (part or is_text) and wire != LENGTH:
            raise _Malformed(f"field {number} of a {kind} is of another type")
        if part:
            parts.append((part, start, end))
        elif is_text:
            texts[number] = data[start:end].decode(errors="replace")
    return parts, texts, left


def _refused(kind: str, number: int, value: int) -> str | None:
    if kind == "tensor" and number == DATA_LOCATION and value:
        number = EXTERNAL_DATA
    return REFUSED.get(kind, {}).get(number)


def _judge(kind: str, texts: dict[int, str]) -> None:
    """Refuse an operator, or a set of them that is imported, which none of our graphs has."""
    domain = texts.get(IMPORTED if kind == "opset" else DOMAIN, "")
    if domain not in (*STANDARD, MICROSOFT):
        raise _Malformed(f"it wants operators of {domain[:60]!r}; only those of ONNX and {MICROSOFT} are run")
    name = texts.get(OP_TYPE, "")
    if kind == "node" and (name in ENDLESS or (domain == MICROSOFT and name not in FUSED)):
        raise _Malformed(f"it has the operator {name[:60]!r}, which no ranker needs")


def _fields(data: mmap.mmap, message: Part) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, wire type, start and end of each field; of a number its value in the place of the start."""
    _, at, end = message
    while at < end:
        key, at = _number(data, at, end)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise _Malformed("a field has no possible number")
        if wire == VARINT:
            value, at = _number(data, at, end)
            yield number, wire, value, at
            continue
        size = FIXED.get(wire)
        if wire == LENGTH:
            size, at = _number(data, at, end)
        if size is None or size > end - at:
            raise _Malformed("damaged: a field is longer than what holds it, or of no known type")
        yield number, wire, at, at + size
        at += size


def _number(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Read a variable-length number; gives it, and what comes after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Malformed("damaged: a number does not end")
