"""One Arrow schema for JSON rows: what a Parquet file needs and JSON does not have. Knows no files."""

import json
from typing import Any

import pyarrow as pa

from scar.formats.values import kind

EXACT = 1 << 53
"""Integers up to here are exact as floats too."""
DEEPEST = 40
"""Levels of nesting; readers of Parquet refuse more than 100 levels of theirs, two of which are one list."""


class Clash(Exception):
    """A value that the schema of the rows before it has no place for."""


class Guess:
    """The type of one place in the rows, as far as the values seen tell."""

    def __init__(self) -> None:
        self.name = "null"
        self.large = False
        """Whether an integer was seen that no float holds exactly."""
        self.fields: dict[str, Guess] = {}
        self.items: Guess | None = None

    def see(self, value: Any, path: str = "the row", depth: int = 0) -> None:
        """Widen the type so that it holds a value; Clash where no type does."""
        if depth > DEEPEST:
            raise Clash(f"{path[:60]}... is nested more than {DEEPEST} deep")
        name = _named(value, path)
        if name == "null":
            return
        self.large = self.large or (name == "int" and abs(value) > EXACT)
        merged = _merged(self.name, name)
        if merged is None or (merged == "float" and self.large):
            raise Clash(f"{path} is {kind(value)} ({name}) here and {self.name} in a row before")
        self.name = merged
        if name == "struct":
            for key, each in value.items():
                below = f"{path}.{key}" if depth else key
                self.fields.setdefault(key, Guess()).see(each, below, depth + 1)
        elif name == "list":
            self.items = self.items or Guess()
            for each in value:
                self.items.see(each, f"{path}[]", depth + 1)

    def type(self, path: str = "the row") -> pa.DataType:
        """Give the Arrow type. Clash for an object that is always empty: Parquet cannot hold one."""
        match self.name:
            case "struct":
                if not self.fields:
                    raise Clash(f"{path} is an object without fields, which Parquet cannot hold")
                return pa.struct([(name, guess.type(name)) for name, guess in self.fields.items()])
            case "list":
                return pa.list_((self.items or Guess()).type(f"{path}[]"))
        return {
            "null": pa.null(),
            "bool": pa.bool_(),
            "int": pa.int64(),
            "float": pa.float64(),
            "string": pa.string(),
        }[self.name]

    def schema(self) -> pa.Schema:
        """Give the schema of the rows."""
        return pa.schema([(name, guess.type(name)) for name, guess in self.fields.items()])


def _named(value: Any, path: str) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            if not -(1 << 63) <= value < 1 << 63:
                raise Clash(f"{path} holds an integer of more than 64 bits")
            return "int"
        case float():
            return "float"
        case str():
            _encodable(value, path)
            return "string"
    return "list" if isinstance(value, list) else "struct"


def _encodable(value: str, path: str) -> None:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise Clash(f"{path} holds a lone surrogate, which only JSON can spell") from None


def _merged(old: str, new: str) -> str | None:
    if old in ("null", new):
        return new
    return "float" if {old, new} == {"int", "float"} else None


def decode_once(raw: bytes) -> dict[str, Any]:
    """Parse a row; Clash where it names a column twice: a table has each once."""
    try:
        row: dict[str, Any] = json.loads(raw, object_pairs_hook=_no_twice)
    except RecursionError:
        raise Clash(f"the row is nested more than {DEEPEST} deep") from None
    return row


def _no_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise Clash(f"{next(name for name in names if names.count(name) > 1)} stands twice in the row")
    return row
