"""The parser that all commands share: flags from settings classes, recipes, and errors of one line."""

import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import jsonargparse
from docstring_parser import parse_from_object
from jsonargparse.typing import register_type

from scar.errors import InputError
from scar.settings import from_flat

__all__ = ["Parser", "comma_list", "from_flat"]


CONFIG = "--config"
MAY_BE_EMPTY = ("prefix",)
"""Arguments that "" says something by, though it is not their default; others it leaves without a value."""
_NO_PATH = "is empty"


def _path(text: str) -> Path:
    """Take a path; an empty one would name the working directory."""
    if not text:
        raise ValueError(_NO_PATH)
    return Path(text)


class Parser(jsonargparse.ArgumentParser):
    """An argument parser whose errors are InputErrors, not exits."""

    def __init__(self, command: str, description: str) -> None:
        """Name the command as it is typed, without `scar`."""
        # Where a setting takes any value, a class that is named in it would be imported.
        jsonargparse.set_parsing_settings(
            docstring_parse_attribute_docstrings=True, import_path_denylist=["*"]
        )
        register_type(Path, str, _path, type_check=isinstance)
        super().__init__(prog=f"scar {command}", description=description)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise what argparse would print and exit with."""
        if message.endswith(_NO_PATH) and (key := re.match(r'Parser key "(\w+)"', message)):
            raise self._empty(key[1])
        raise InputError(f"{message} (`{self.prog} --help` lists the options)")

    def format_help(self) -> str:  # type: ignore[override]
        """Write the help without Python's spelling of a path's type."""
        return re.sub(r"<class\s+'Path'>", "path", super().format_help())

    def add_settings(self, settings: type, *, only: Sequence[str] = ()) -> None:
        """Add a flag for every field of a settings class; a bool that is false by default is a bare flag."""
        wanted = [field for field in fields(settings) if not only or field.name in only]
        switches = {field.name for field in wanted if field.default is False}
        skip = {field.name for field in fields(settings) if field not in wanted} | switches
        self.add_class_arguments(settings, as_group=True, skip=skip)
        for told in parse_from_object(settings).params:
            if told.arg_name in switches:
                self.add_argument(f"--{told.arg_name}", action="store_true", help=told.description)

    def read(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Parse the command line into plain values; `--max-tokens` is `--max_tokens`."""
        known = self._option_string_actions
        spelled = [_underscored(word, known) for word in arguments]
        if CONFIG in known:
            _check_recipes(spelled)
        try:
            values = dict(self.parse_args(spelled).as_dict())
        except (RecursionError, OverflowError) as error:
            raise InputError(f"a value is out of all proportion: {error}") from None
        may_be = {*MAY_BE_EMPTY, *(each.dest for each in self._actions if each.default == "")}
        for name, value in values.items():
            if name not in may_be and (value == "" or (isinstance(value, list) and "" in value)):
                raise self._empty(name)
        return values

    def _empty(self, name: str) -> InputError:
        word = f"--{name}" if f"--{name}" in self._option_string_actions else name.upper()
        return InputError(f"{word} is empty: give a value, or set the shell variable that stands there")


def _check_recipes(words: Sequence[str]) -> None:
    """Look into the files that `--config` names."""
    from scar.cli.recipes import check_recipe

    following = zip(words, [*words[1:], ""], strict=True)
    named = [
        word.partition("=")[2] if "=" in word else after for word, after in following if _is_config(word)
    ]
    for name in named:
        if Path(name).is_file():
            check_recipe(Path(name))


def _is_config(word: str) -> bool:
    # argparse takes a name that is cut short.
    name = word.partition("=")[0]
    return len(name) > len("--") and CONFIG.startswith(name)


def _underscored(word: str, known: dict[str, Any]) -> str:
    name, equals, value = word.partition("=")
    other = "--" + name[2:].replace("-", "_")
    return other + equals + value if name.startswith("--") and name not in known and other in known else word


def comma_list(text: str) -> tuple[str, ...]:
    """Split `a,b`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
