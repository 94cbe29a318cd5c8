"""A row as it stands in its file: what it says, and how it is written out again. Knows no layout."""

import json
import math
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from scar.formats.values import kind, plain
from scar.records import Address, Reason, SetAside


class Row(Protocol):
    """One row of a pool file."""

    @property
    def address(self) -> Address:
        """Where it stands."""

    def decode(self) -> dict[str, Any] | SetAside:
        """Give its fields, or say why they cannot be read."""

    def json(self) -> bytes:
        """Give the row as one JSON object on one line: its own bytes where it is JSON."""


@dataclass(frozen=True, slots=True)
class JsonRow:
    """A row of a JSON file."""

    address: Address
    raw: bytes
    """Its own bytes on one line, without line end and byte order mark."""

    def decode(self) -> dict[str, Any] | SetAside:
        """Parse the bytes as one JSON object."""
        try:
            row = json.loads(self.raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            return SetAside(self.address, Reason.INVALID_UTF8, f"byte {error.start} of the row is not UTF-8")
        except RecursionError:
            return SetAside(self.address, Reason.INVALID_JSON, "nested too deep")
        except ValueError as error:
            return SetAside(self.address, Reason.INVALID_JSON, str(error))
        if not isinstance(row, dict):
            return SetAside(self.address, Reason.NOT_AN_OBJECT, f"the row is {kind(row)}, not an object")
        return row

    def json(self) -> bytes:
        """Give the row's own bytes."""
        return self.raw


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of a text file that cannot be read, or is not held because it is too long."""

    why: SetAside

    @property
    def address(self) -> Address:
        """Where it stands."""
        return self.why.address

    def decode(self) -> SetAside:
        """Say why."""
        return self.why

    def json(self) -> bytes:
        """Give an object without fields."""
        return b"{}"


@dataclass(frozen=True, slots=True)
class TextRow:
    """A row of a csv file: every value is text."""

    address: Address
    fields: dict[str, str]

    def decode(self) -> dict[str, Any]:
        """Give the cells by their header."""
        return self.fields

    def json(self) -> bytes:
        """Write the cells as strings."""
        return _dumped(self.fields)


@dataclass(frozen=True, slots=True)
class ArrowRow:
    """A row of a columnar file."""

    address: Address
    fields: dict[str, Any] | SetAside
    batch: pa.RecordBatch
    place: int

    def decode(self) -> dict[str, Any] | SetAside:
        """Give the values by their column."""
        return self.fields

    def json(self) -> bytes:
        """Write the values as JSON; a float that is not finite becomes null, for JSON has no word for it."""
        return _dumped({} if isinstance(self.fields, SetAside) else _finite(self.fields))

    def arrow(self) -> pa.RecordBatch:
        """Give the row as a batch of one: the file's own values and types."""
        return self.batch.slice(self.place, 1)


def _dumped(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=plain).encode()


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {name: _finite(each) for name, each in value.items()}
        case list() | tuple():  # a map is a list of pairs
            return [_finite(each) for each in value]
        case float() if not math.isfinite(value):
            return None
    return value
