"""Where a JSON value ends: brackets and strings are counted a block at a time, never one by one."""

import re

import numpy as np

_STEP = np.zeros(256, np.int8)
_STEP[list(b"{[")], _STEP[list(b"}]")] = 1, -1
SHALLOW = 8
"""Levels of nesting that `whole` reaches."""


def _whole(levels: int) -> bytes:
    inner = rb'[^"\\{}\[\]]++|\\["\\]?+|"(?:[^"\\]++|\\.)*+"'
    pattern = rb"[{\[](?:" + inner + rb")*+[}\]]"
    for _ in range(levels - 1):
        pattern = rb"[{\[](?:" + inner + rb"|" + pattern + rb")*+[}\]]"
    return pattern


whole = re.compile(_whole(SHALLOW), re.DOTALL)
"""An object or array of few levels that is there whole: what most rows are, found in one step."""


class Nesting:
    """How deep in a value a place is that began with a bracket or a quotation mark.

    Time and memory are those of a pass over the bytes, whatever they are.
    """

    def __init__(self) -> None:
        """Begin before the value's first byte."""
        self._depth = 0
        self._text = False
        self._escape = False

    def end(self, block: bytes) -> int | None:
        """Pass the value's next bytes; gives how many of them belong to it, None where it goes on behind them."""
        data = np.frombuffer(self._plain(block), np.uint8)
        text = np.cumsum(data == ord('"'), dtype=np.uint8) + self._text & 1
        depth = np.cumsum(np.where(text, 0, _STEP[data]), dtype=np.int32) + self._depth
        ends = (depth <= 0) & (text == 0)
        if ends.any():
            return int(ends.argmax()) + 1
        self._depth, self._text = int(depth[-1]), bool(text[-1])
        return None

    def _plain(self, block: bytes) -> bytes:
        """Blank out what a backslash hides, also one that ended the block before."""
        if self._escape and block[:1] in (b'"', b"\\"):
            block = b" " + block[1:]
        plain = block.replace(b"\\\\", b"  ").replace(b'\\"', b"  ")
        self._escape = plain.endswith(b"\\")
        return plain
