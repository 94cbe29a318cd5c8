"""The numbers in a text, as one number: rows of one template that differ in them are not copies. Knows no rules."""

import hashlib
import re

from scar.records import Record

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")


def number_key(record: Record) -> int:
    """Give the same 63 bits to records whose instruction and response hold the same numbers, in whatever order."""
    asked = {number for turn in record.turns for number in _NUMBER.findall(turn.text)}
    found = sorted(asked), sorted(set(_NUMBER.findall(record.response)))
    return int.from_bytes(hashlib.blake2b(repr(found).encode(), digest_size=8).digest(), "big") >> 1
