"""What of a record is compared, and whether two records are the same but for case and white space."""

import hashlib
from typing import Literal, get_args

from scar.records import Record, instruction_key, normalised

Of = Literal["both", "instruction", "response"]
OF: tuple[str, ...] = get_args(Of)


def texts_of(record: Record, of: Of) -> tuple[str, ...]:
    """Give the texts of a record that are compared; an instruction is all turns before the response."""
    instruction = " ".join(turn.text for turn in record.turns)
    return {
        "both": (instruction, record.response),
        "instruction": (instruction,),
        "response": (record.response,),
    }[of]


def digest(record: Record, of: Of) -> bytes:
    """Give 128 bits of a hash of a record's texts, but for case and white space.

    Two of 10^9 records clash with a chance of 10^-21. An instruction and a response never run into each other.
    """
    hashed = hashlib.blake2b(digest_size=16)
    if of != "response":
        hashed.update(instruction_key(record).encode("utf-8", "surrogatepass") + b"\0")
    if of != "instruction":
        hashed.update(normalised(record.response).encode("utf-8", "surrogatepass") + b"\0")
    return hashed.digest()
