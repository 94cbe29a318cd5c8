"""The training layout of the original SCAR: a JSON list a tier, aligned by position, and score files beside them.

`human.json`, `referenced.json` and `direct.json` hold `{instruction, output}`; `<tier>_help_score.json` and
`<tier>_correct_score.json` map an instruction with its answer to a grade of 0-9. A list is read whole: training data.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scar import formats
from scar.errors import InputError
from scar.formats.values import kind
from scar.records import Address, Reason, SetAside, Tiers

TIERS = ("direct", "referenced", "human")
"""Best first. The human answers are what the others are aligned with."""
ANCHOR = "human"
ASPECTS = {"helpfulness": "help", "correctness": "correct"}
"""Our names of what was graded, and the original's in its file names."""
SHOWN = 60


def is_original(folder: Path) -> bool:
    """Tell whether a folder is in this layout: the human answers, and those of another tier."""
    return len(_lists(folder)) > 1 and (folder / f"{ANCHOR}.json").is_file()


def files(folder: Path) -> list[Path]:
    """Give every file of the layout that is there: what the training data depend on. None for another folder."""
    if not is_original(folder):
        return []
    grades = [folder / _grade_file(tier, aspect) for tier in TIERS for aspect in ASPECTS]
    return [*_lists(folder).values(), *(path for path in grades if path.is_file())]


def _lists(folder: Path) -> dict[str, Path]:
    paths = {tier: folder / f"{tier}.json" for tier in TIERS}
    return {tier: path for tier, path in paths.items() if path.is_file()}


def _grade_file(tier: str, aspect: str) -> str:
    return f"{tier}_{ASPECTS[aspect]}_score.json"


def read_original(folder: Path) -> Iterator[Tiers | SetAside]:
    """Yield the rows of a folder in this layout; an empty answer is a missing tier, a missing grade a missing quality.

    Raises InputError where the lists are not aligned: every later row would be of mixed instructions.
    """
    if pools := sorted(folder.glob("*.jsonl*")):
        raise InputError(
            f"{folder}: holds the original's lists and {pools[0].name}: name the file, or move one away"
        )
    lists = {tier: _list(path) for tier, path in _lists(folder).items()}
    grades = {tier: _grades(folder, tier) for tier in lists}
    _check_aspects(folder, grades)
    _check_lengths(folder, lists)
    for position, items in enumerate(zip(*lists.values(), strict=True)):
        address = Address(position, f"{ANCHOR}.json", position + 1)
        yield _row(folder, address, dict(zip(lists, items, strict=True)), grades)


def _list(path: Path) -> list[Any]:
    value = _json(path)
    if not isinstance(value, list):
        raise InputError(f"{path}: not a list of {{instruction, output}}")
    return value


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None


def _grades(folder: Path, tier: str) -> dict[str, Mapping[str, Any]]:
    """Read what there is of a tier's grades, by aspect."""
    found = {}
    for aspect in ASPECTS:
        path = folder / _grade_file(tier, aspect)
        if path.is_file():
            found[aspect] = _json(path)
            if not isinstance(found[aspect], dict):
                raise InputError(f"{path}: not an object of grades by instruction and answer")
    return found


def _check_aspects(folder: Path, grades: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise InputError where one tier was graded for more than another: their grades would not compare."""
    graded = {tier: found for tier, found in grades.items() if found}
    for aspect in {aspect for found in graded.values() for aspect in found}:
        for tier in graded:
            if aspect not in graded[tier]:
                raise InputError(
                    f"{folder}: no {_grade_file(tier, aspect)}, but other tiers are graded for {aspect}; "
                    f"add it, or move away the files of the other tiers"
                )


def _check_lengths(folder: Path, lists: Mapping[str, Sequence[Any]]) -> None:
    shortest, longest = (pick(lists, key=lambda tier: len(lists[tier])) for pick in (min, max))
    if len(lists[shortest]) != len(lists[longest]):
        told = ", ".join(f"{tier}.json {len(items)}" for tier, items in lists.items())
        position = len(lists[shortest])
        raise InputError(
            f"{folder}: the lists are of unequal length ({told}); at position {position} {shortest}.json ends, and "
            f"{longest}.json has {_short(_instruction(lists[longest][position]))}"
        )


def _row(
    folder: Path,
    address: Address,
    items: Mapping[str, Any],
    grades: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> Tiers | SetAside:
    for tier, item in items.items():
        if not isinstance(item, dict):
            where = Address(address.row, f"{tier}.json", address.line)
            return SetAside(where, Reason.NOT_AN_OBJECT, f"the entry is {kind(item)}, not an object")
    instruction = _instruction(items[ANCHOR])
    for tier, item in items.items():
        if _instruction(item) != instruction:
            raise InputError(
                f"{folder}: at position {address.row} {ANCHOR}.json has the instruction {_short(instruction)}, "
                f"{tier}.json {_short(_instruction(item))}: the lists must stand in the same order"
            )
    quality = {tier: _quality(item, grades[tier]) for tier, item in items.items() if grades[tier]}
    row = {
        "instruction": instruction,
        "responses": {tier: item.get("output") for tier, item in items.items()},
        "quality": quality,
    }
    return formats.tiers(row, formats.Layout("tiers", {}), address)


def _instruction(item: Any) -> Any:
    return item.get("instruction") if isinstance(item, dict) else item


def _quality(item: Mapping[str, Any], grades: Mapping[str, Mapping[str, Any]]) -> Any:
    """Give the grades of an answer; None where one is missing, which is not the grade 0."""
    key = f"Instruction: {item.get('instruction')}Answer: {item.get('output')}"
    found = {aspect: scores.get(key) for aspect, scores in grades.items()}
    if any(grade is None for grade in found.values()):
        return None
    # A single aspect is a grade by itself, as the original's score_type has it.
    return found if len(found) == len(ASPECTS) else next(iter(found.values()))


def _short(text: Any) -> str:
    shown = repr(text)
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 3]}..."
