"""The shape that JSON values must have, checked before anything acts on them."""

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]
"""Raises ValueError with the path of the first value that has another shape."""
MOST = 2**63
DEEPEST = 16


def _of(kind: type | tuple[type, ...], words: str) -> Check:
    def check(value: Any, path: str) -> None:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"{path} is not {words}")

    return check


text = _of(str, "a text")
_int, _number = _of(int, "a whole number"), _of((int, float), "a number")
table = _of(Mapping, "an object")


def whole(value: Any, path: str) -> None:
    """Want an integer that counts something."""
    _int(value, path)
    if not 0 <= value < MOST:
        raise ValueError(f"{path} is {str(value)[:40]}")


def number(value: Any, path: str) -> None:
    """Want a number that a float can hold."""
    _number(value, path)
    if isinstance(value, int) and abs(value) >= MOST:
        raise ValueError(f"{path} is an integer of more than 64 bits")


def number_or_null(value: Any, path: str) -> None:
    """Want a number, or null: what is not finite is null in JSON."""
    if value is not None:
        number(value, path)


def shallow(value: Any, path: str, depth: int = 0) -> None:
    """Want any value that is not nested so deep that walking through it could end the process."""
    if depth > DEEPEST:
        raise ValueError(f"{path[:60]} is nested more than {DEEPEST} deep")
    if isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            shallow(each, path, depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number(value, path)


def list_of(each: Check, least: int = 0) -> Check:
    """Want a list of such values, at least so many."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise ValueError(f"{path} is not a list")
        if len(value) < least:
            raise ValueError(f"{path} has {len(value)} values")
        for place, item in enumerate(value):
            each(item, f"{path}[{place}]")

    return check


def mapping_of(each: Check) -> Check:
    """Want an object whose every value is such a one."""

    def check(value: Any, path: str) -> None:
        table(value, path)
        for name, item in value.items():
            each(item, f"{path}.{name}")

    return check


def object_of(all_: Mapping[str, Check], some: Mapping[str, Check] | None = None) -> Check:
    """Want an object with these fields; those of `some` may be missing, and others are left alone."""

    def check(value: Any, path: str) -> None:
        table(value, path)
        for name, each in all_.items():
            if name not in value:
                raise ValueError(f"{path}.{name} is missing")
            each(value[name], f"{path}.{name}")
        for name, each in (some or {}).items():
            if name in value:
                each(value[name], f"{path}.{name}")

    return check
