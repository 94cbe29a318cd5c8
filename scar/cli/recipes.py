"""YAML from files: recipes and rules. Plain values alone, no bombs: looked at before anything is built of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from scar.errors import InputError

MOST_BYTES, DEEPEST = 1 << 18, 32
CLASSES = {"class_path", "init_args", "_target_"}
"""Keys by which other programs' recipes name classes."""


def read_yaml_text(path: Path) -> str:
    """Give the text of a YAML file; InputError where it is larger or deeper than a recipe is, or refers to itself.

    An alias is refused, wherever it points: nine of them can stand for a billion values.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: larger than {MOST_BYTES:,} bytes: not a recipe")
    depth = 0
    try:
        text = path.read_text(encoding="utf-8")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InputError(f"{path}: {_line(event)}an alias: write the value itself")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise InputError(f"{path}: {_line(event)}deeper than {DEEPEST} levels")
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    return text


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}: " if event.start_mark else ""


def check_recipe(path: Path) -> None:
    """Raise InputError for a file that is no recipe, or that names another one."""
    text = read_yaml_text(path)
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(told, dict):
        raise InputError(f"{path}: not a recipe: settings stand in it as `name: value`")
    if "config" in told:
        raise InputError(f"{path}: config: a recipe does not name another one")
    if named := CLASSES & set(_keys(told)):
        raise InputError(f"{path}: {min(named)}: a recipe holds plain values, and names no class")


def _keys(value: Any) -> Iterator[Any]:
    """Yield the keys of a value and of all values in it."""
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)
