"""How much of a row is held in memory, whatever a file says."""

from typing import IO

from scar.pools.start import BLOCK
from scar.records import Address, Reason, SetAside

LONGEST = 64 << 20
"""Bytes of a row: a line without an end, or a quotation mark that is never closed, must not swallow a pool."""
HELD = 512 << 20
"""Bytes that the rows of a batch may come to once they are unpacked, whatever the size of the file."""
RATIO = 8
"""Bytes of text for each of the file that they may come to in a large file: what usual texts are packed to."""


def too_long(address: Address) -> SetAside:
    """Say that a row has more than LONGEST bytes."""
    return SetAside(address, Reason.TOO_LONG, f"the row is longer than {LONGEST >> 20} MiB")


def holdable(size: int) -> int:
    """Give the bytes that a batch of a file of some size may come to."""
    return max(HELD, RATIO * size)


def pass_line(stream: IO[bytes]) -> tuple[int, bool]:
    """Read on to the end of a line without keeping it; give its bytes, and whether they are more than white space."""
    size, solid = 0, False
    while block := stream.readline(BLOCK):
        size, solid = size + len(block), solid or not block.isspace()
        if block.endswith(b"\n"):
            break
    return size, solid
