"""The parser that all commands share: flags from settings classes, recipes, and errors of one line."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NoReturn

import jsonargparse

from scar.errors import InputError
from scar.settings import from_flat

__all__ = ["Parser", "from_flat"]


class Parser(jsonargparse.ArgumentParser):
    """An argument parser whose errors are InputErrors, not exits."""

    def __init__(self, command: str, description: str) -> None:
        """Name the command as it is typed, without `scar`."""
        jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
        super().__init__(prog=f"scar {command}", description=description)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what argparse would print and exit with."""
        raise InputError(f"{message} (`{self.prog} --help` lists the options)")

    def add_settings(self, settings: type, *, only: Sequence[str] = ()) -> None:
        """Add a flag for every field of a settings class."""
        skip = {field.name for field in fields(settings) if only and field.name not in only}
        self.add_class_arguments(settings, as_group=True, skip=skip)

    def read(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Parse the command line into plain values."""
        return dict(self.parse_args(list(arguments)).as_dict())


def comma_list(text: str) -> tuple[str, ...]:
    """Split `a,b`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
