"""Run a candidate beside the reference and judge it: gives the record that stands in gates.json."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.encoding import PairEncoder, Pairs
from scar.serving.candidates import Candidate
from scar.serving.engines import hardware, versions
from scar.serving.gates.figures import Figures, compare, differences, spread
from scar.serving.gates.hard import hard_pairs
from scar.serving.gates.limits import told, unfit, verdict
from scar.serving.models import Model
from scar.tokens import length_batches

SOME = 128
"""Pairs that are also run 64 texts a batch."""
FEW = 16
"""Pairs that are also run in batches of 1 and 2, and padded to the longest length."""
DYNAMIC = ".dynamic."
"""Part of the name of a graph whose scores depend on batch mates."""


@dataclass(frozen=True)
class Reference:
    """The reference's scores of the gate's rows: real pairs, and hard ones."""

    engine: str
    longest: int
    real: Pairs
    hard: Pairs
    real_scores: NDArray[np.float32]
    hard_scores: NDArray[np.float32]
    trained: bool = False
    """Whether the ranker has learned: without, no reduced precision is judged."""

    @classmethod
    def of(cls, model: Model, pairs: Pairs, encoder: PairEncoder, *, trained: bool = False) -> "Reference":
        """Score the rows with the reference, once for all candidates."""
        hard = hard_pairs(encoder)
        longest = encoder.settings.max_tokens
        scores = model.score(pairs), model.score(hard)
        return cls(model.engine, longest, pairs, hard, *scores, trained)


def candidate_runs(model: Model, pairs: Pairs, longest: int) -> Iterator[NDArray[np.float32]]:
    """Score the pairs packed as in a run, and some 64 texts a batch; a few also one, two, and padded to the longest."""
    yield model.score(pairs)
    some = pairs.take(np.arange(min(SOME, len(pairs))))
    yield model.score_in(some, _in_order(some, 64))
    few = pairs.take(np.arange(min(FEW, len(pairs))))
    for size in (1, 2):
        yield model.score_in(few, _in_order(few, size))
    yield model.score_in(few, length_batches(few.tokens.lengths, model.batch_tokens), width=longest)


def _in_order(pairs: Pairs, size: int) -> Iterable[NDArray[np.int64]]:
    texts = np.arange(len(pairs.tokens))
    return (texts[start : start + size] for start in range(0, len(texts), size))


def gate(
    graph: str, sha256: str, reference: Reference, candidate: Model, *, device: str = "cpu"
) -> dict[str, Any]:
    """Compare a candidate with the reference on real pairs and hard ones; gives the record for gates.json."""
    way = Candidate(candidate.engine, graph, candidate.precision, device)
    return record_of(way, sha256, reference.engine) | judge(reference, candidate)


def record_of(way: Candidate, sha256: str, against: str) -> dict[str, Any]:
    """Give the part of a record that says what it is about: the key, and the limits."""
    return {
        "graph": way.graph,
        "sha256": sha256,
        "engine": way.engine,
        "precision": way.precision,
        "device": way.device,
        "processor": hardware(way.device),
        "versions": versions(),
        "against": against,
        "limit": told(way.precision),
        **({"batch_dependent": True} if DYNAMIC in way.graph else {}),
    }


def judge(reference: Reference, candidate: Model) -> dict[str, Any]:
    """Give the part of a record that says how near the candidate's scores are, and whether that is near enough.

    The limits are those of its precision. In fp32 they are held to in every packing, in reduced precision packed as in
    a run; how far scores move with the packing is told. What cannot be judged, for too few rows or an untrained ranker,
    is not run.
    """
    precision = candidate.precision
    if precision != "fp32" and reference.real_scores.ndim > 1:
        return unverified(
            f"{precision} is judged by the ranking of scores, and an encoder gives none: it runs in fp32"
        )
    if reason := unfit(precision, len(reference.real), trained=reference.trained):
        return unverified(reason)
    sigma = spread(reference.real_scores)
    real, moved = _figures(reference.real, reference.real_scores, candidate, reference.longest, sigma)
    hard, hard_moved = _figures(reference.hard, reference.hard_scores, candidate, reference.longest, sigma)
    reason = verdict(precision, real, hard)
    if not reason and not np.isfinite([moved, hard_moved]).all():
        reason = "scores are not finite when the same rows are packed in another way"
    return {
        "real": real.plain(),
        "hard": hard.plain(),
        "batch_dependence": moved / sigma if sigma > 0 and np.isfinite(moved) else None,
        "passed": not reason,
        "reason": reason,
    }


def unverified(reason: str) -> dict[str, Any]:
    """Give that part for what could not be judged here: it neither passed nor failed, and nothing trusts it."""
    return {"passed": False, "unverified": True, "reason": reason}


def _figures(
    pairs: Pairs, scores: NDArray[np.float32], candidate: Model, longest: int, sigma: float
) -> tuple[Figures, float]:
    """Give the figures, and how far the same rows' scores move when they are packed in another way."""
    runs = list(candidate_runs(candidate, pairs, longest))
    moved = max(float(differences(runs[0], run).max()) for run in runs[1:])
    return compare(scores, runs if candidate.precision == "fp32" else runs[:1], sigma), moved
