"""Rows that a training must not have twice: in the part it is measured on, or in its own. Knows no files."""

from collections.abc import Sequence

from scar.records import Judged, instruction_key, normalised

LONG = 20
"""Characters over which a response in two parts is a copy, not a short answer that many questions have."""


def without_duplicates(
    train: Sequence[Judged], held_out: Sequence[Judged]
) -> tuple[list[Judged], dict[str, int]]:
    """Take from the training rows those whose long response is in the held-out rows, and those that came before.

    Responses are compared but for case and white space. The same response under another judgement is no repetition:
    both are kept, for which of them is right nobody knows.
    """
    known = {text for row in held_out for text in map(normalised, row.responses) if len(text) > LONG}
    kept: list[Judged] = []
    removed = {"duplicates": 0, "repeats": 0}
    seen = set()
    for row in train:
        texts = tuple(map(normalised, row.responses))
        whole = (instruction_key(row), texts, row.label, row.score, row.margin)
        if known.intersection(texts):
            removed["duplicates"] += 1
        elif whole in seen:
            removed["repeats"] += 1
        else:
            seen.add(whole)
            kept.append(row)
    return kept, removed
