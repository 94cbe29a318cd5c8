"""JSON files that tell when a byte of them is not what was written: the last field is the checksum of all before it."""

import hashlib
import json
from typing import Any

_MARK = b',\n  "checksum": "'
_END = b'"\n}\n'


def checked(text: str) -> bytes:
    """Give an object's JSON text with its checksum as the last field."""
    body = text.rstrip().removesuffix("}").rstrip().encode()
    return body + _MARK + _digest(body) + _END


def read_checked(raw: bytes) -> dict[str, Any]:
    """Read such a file back, without the checksum. Raises ValueError where it is not as it was written."""
    body, mark, rest = raw.rpartition(_MARK)
    if not mark or rest != _digest(body) + _END:
        raise ValueError("its checksum differs")
    try:
        return dict(json.loads(body + b"}"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
