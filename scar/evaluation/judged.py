"""How well scores agree with labels, grades or preferences, beside longest, shortest and random."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.errors import InputError
from scar.evaluation.concordance import Tally
from scar.evaluation.figures import Floats, accuracy, contenders, correlation, length_correlation, matched
from scar.records import Judged, instruction_key

MEASURES = {"labels": "auc", "graded": "concordance", "pairs": "accuracy"}
_NEEDS = {"labels": "a label", "graded": "a score", "pairs": "two different responses"}


def judgement_of(rows: Sequence[Judged], first: str = "labels") -> str | None:
    """Tell what rows can be evaluated by: `first` where any row has that, else what there is; None: nothing."""
    kinds = dict.fromkeys((first, "pairs", "labels", "graded"))
    return next((kind for kind in kinds if any(_fits(row, kind) for row in rows)), None)


def preferred(rows: Sequence[Judged], ranker: Mapping[str, Any]) -> list[Judged]:
    """Give rows whose label 1 means what the ranker with this ranker.json prefers.

    A label of an unseen ranker says whether a row was seen; one that prefers novel rows (ranker.json: `prefer`) scores
    the others higher. Of any other ranker a label says so already.
    """
    if ranker["kind"] != "unseen" or ranker.get("prefer", "novel") != "novel":
        return list(rows)
    return [row if row.label is None else replace(row, label=1 - row.label) for row in rows]


def evaluate_judged(
    rows: Sequence[Judged], scores: NDArray[np.floating[Any]], objective: str
) -> dict[str, Any]:
    """Evaluate the scores of all responses, in the order rows and responses stand, by labels, graded or pairs.

    Gives `overall` and `sources`, each with `all` and `length_matched`, and in them the `measure` of the ranker,
    longest, shortest and random: the AUC of labels, the concordance of grades (the share of pairs of different grade
    that the scores order alike), the accuracy of pairs; ties count half. Length-matched pairs of single responses are
    of one source. Intervals redraw instructions. Rows without the judgement are counted in `left_out`; InputError
    where all are such.
    """
    fits = np.asarray([_fits(row, objective) for row in rows], dtype=bool)
    if not fits.any():
        raise InputError(f"no row has {_NEEDS[objective]}: nothing to evaluate by {objective}")
    kept = [row for row, fit in zip(rows, fits, strict=True) if fit]
    mine = np.asarray(scores, dtype=np.float64)[np.repeat(fits, [len(row.responses) for row in rows])]
    lengths = np.asarray([len(text) for row in kept for text in row.responses], dtype=np.float64)
    measured = _pairs if objective == "pairs" else _singles
    entrants = contenders(mine, lengths)
    return {
        "objective": objective,
        "measure": MEASURES[objective],
        "rows": len(kept),
        "responses": len(lengths),
        "left_out": len(rows) - len(kept),
        **measured(kept, entrants, lengths, objective),
        "length_correlation": length_correlation(mine, lengths),
    }


def _fits(row: Judged, objective: str) -> bool:
    if objective == "pairs":
        return row.paired and row.responses[0] != row.responses[1]
    return not row.paired and (row.label if objective == "labels" else row.score) is not None


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Give equal names equal numbers."""
    known: dict[str, int] = {}
    return np.asarray([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


def _by_source(
    rows: Sequence[Judged], table: Callable[[NDArray[np.bool_]], dict[str, Any]]
) -> dict[str, Any]:
    sources = np.asarray([row.source or "" for row in rows], dtype=object)
    return {name: table(sources == name) for name in sorted(set(sources)) if name}


def _pairs(
    rows: Sequence[Judged], entrants: Mapping[str, Floats], lengths: Floats, objective: str
) -> dict[str, Any]:
    instructions = _numbered([instruction_key(row) for row in rows])
    right = {name: (np.sign(values[::2] - values[1::2]) + 1) / 2 for name, values in entrants.items()}
    alike = matched(lengths[::2], lengths[1::2])

    def table(some: NDArray[np.bool_]) -> dict[str, Any]:
        return {
            title: {name: accuracy(values[mask], instructions[mask]) for name, values in right.items()}
            for title, mask in (("all", some), ("length_matched", some & alike))
        }

    return {"overall": table(np.ones(len(rows), dtype=bool)), "sources": _by_source(rows, table)}


def _singles(
    rows: Sequence[Judged], entrants: Mapping[str, Floats], lengths: Floats, objective: str
) -> dict[str, Any]:
    values = [row.label if objective == "labels" else row.score for row in rows]
    judged = np.asarray(values, dtype=np.float64)
    instructions = _numbered([instruction_key(row) for row in rows])
    sources = _numbered([row.source or "" for row in rows])
    everything, measure = np.ones(len(rows), dtype=bool), MEASURES[objective]
    within = Tally.of(judged, entrants, sources)
    alike = Tally.of(judged, entrants, sources, lengths)

    def table(some: NDArray[np.bool_], every: Tally = within) -> dict[str, Any]:
        return {
            "all": every.figures(some, instructions, measure),
            "length_matched": alike.figures(some, instructions, measure),
        }

    overall = table(everything, Tally.of(judged, entrants, np.zeros(len(rows), dtype=np.int64)))
    told: dict[str, Any] = {"overall": overall, "sources": _by_source(rows, table)}
    if objective == "labels":
        return {"good": int(judged.sum()), "bad": int((1 - judged).sum()), **told}
    own = Tally.of(judged, entrants, instructions)
    return told | {
        "spearman": {
            name: {"spearman": correlation(mine, judged), "n": len(judged)} for name, mine in entrants.items()
        },
        "same_instruction": own.within(instructions),
    }
