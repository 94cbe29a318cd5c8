"""Rules from the content of a rules.yaml, and the columns that rules name. Knows nothing of files."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from scar.errors import InputError
from scar.selection.fuse import EXAMPLE, By, Fuse, names_of
from scar.selection.rules import RULES, Chain, Funnel, Rule, needs_of, stages_of


def from_config(config: Any) -> tuple[Chain, By | None]:
    """Read the content of a rules.yaml; gives the chain and the score to order by, where it says one."""
    if not isinstance(config, dict) or not isinstance(config.get("keep"), list) or not config["keep"]:
        raise InputError("rules need a `keep:` list of rules, top to bottom, such as `- TopK: {k: 1000}`")
    unknown = sorted(set(config) - {"keep", "by"}, key=str)
    if unknown:
        raise InputError(f"rules: unknown key {unknown[0]!r}; known: by, keep")
    by = _by(config.get("by"), "rules")
    return Chain(tuple(_rule(entry, number) for number, entry in enumerate(config["keep"], start=1))), by


def _by(value: Any, where: str) -> By | None:
    """Read a `by`: nothing, a column's name, or columns to fuse."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, dict):
        raise InputError(f"{where}: `by` must name a column, or fuse several as in {EXAMPLE}; got {value!r}")
    try:
        return Fuse.from_config(value)
    except InputError as error:
        raise InputError(f"{where}: `by`: {error}") from None


def _rule(entry: Any, number: int) -> Rule:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise InputError(
            f"rules: stage {number} must be one rule, such as `TopK: {{k: 1000}}`; got {entry!r}"
        )
    ((name, settings),) = entry.items()
    if name not in RULES:
        raise InputError(f"rules: stage {number}: no rule {name!r}; there are: {', '.join(RULES)}")
    known = [field.name for field in fields(RULES[name])]
    settings = {} if settings is None else settings
    if not isinstance(settings, dict) or not set(settings) <= set(known):
        extra = sorted(set(settings) - set(known), key=str) if isinstance(settings, dict) else [settings]
        raise InputError(
            f"rules: stage {number}: {name} has no setting {extra[0]!r}; it has: {', '.join(known)}"
        )
    if not isinstance(column := settings.get("column"), str | None):
        raise InputError(f"rules: stage {number}: {name}: column must name a column, got {column!r}")
    by = _by(settings.get("by"), f"rules: stage {number}: {name}")
    try:
        rule: Rule = RULES[name](**settings | ({"by": by} if "by" in settings else {}))
    except TypeError:
        raise InputError(f"rules: stage {number}: {name} needs {', '.join(known)}; got {settings}") from None
    except InputError as error:
        raise InputError(f"rules: stage {number}: {error}") from None
    return rule


def to_config(rule: Rule) -> list[dict[str, Any]]:
    """Write the stages of a rule as a rules.yaml holds them under `keep`; settings at their default are left out.

    A rule of a user's own, which no rules.yaml can name, is written as it prints.
    """
    return [_entry(stage) for stage in stages_of(rule)]


def _entry(stage: Any) -> dict[str, Any]:
    name = type(stage).__name__
    if RULES.get(name) is not type(stage):
        return {name: {"prints": str(stage)}}
    given = {each.name: getattr(stage, each.name) for each in fields(stage)}
    defaults = {each.name: each.default for each in fields(stage)}
    return {name: {key: _value(value) for key, value in given.items() if value != defaults[key]}}


def _value(value: Any) -> Any:
    match value:
        case Fuse():
            return value.to_config()
        case dict():
            return {str(key): _value(each) for key, each in value.items()}
        case list() | tuple():
            return [_value(each) for each in value]
    return value.item() if hasattr(value, "item") else value


def columns_of(rule: Rule) -> list[str]:
    """List the pool columns that a rule reads: `scar filter` carries them."""
    return list(needs_of(rule).columns)


def orders_of(rule: Rule, by: By | None) -> list[By]:
    """List what is ordered by: `by`, then what the stages say; each once."""
    said = [by]
    for stage in stages_of(rule):
        said += stage.orders() if isinstance(stage, Funnel) else [getattr(stage, "by", None)]
    return list(dict.fromkeys(each for each in said if isinstance(each, str | Fuse)))


def scores_of(rule: Rule, by: By | None) -> list[str]:
    """List the columns of scores that a rule and `by` name, also those that they fuse."""
    return list(dict.fromkeys(name for each in orders_of(rule, by) for name in names_of(each)))


def check_scores(rule: Rule, by: By | None, columns: Sequence[str]) -> None:
    """Raise InputError for a score that is not among the columns there will be, before anything long is done."""
    for name in scores_of(rule, by):
        if name not in columns:
            raise InputError(f"no score {name!r}; there are: {', '.join(columns)}")
