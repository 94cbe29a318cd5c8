"""Gates: does a graph on an engine give the scores of the model? Torch-free; the record that scoring trusts."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError
from scar.ranks import spearman
from scar.records import Turn
from scar.serving.engines import processor, versions
from scar.serving.models import Model
from scar.tokens import TokenLists, length_batches

FP32_LIMIT = 1e-4
"""Largest difference of an fp32 graph, in standard deviations of the reference scores."""
FLAT = 1e-5
"""Scores within this of each other, relatively, are one score."""
ROUNDING = 1e-6
"""Differences of fp32 scores up to this are arithmetic: where that is too much, the ranker has learned little."""
FEW = 16
"""Pairs that are also run in batches of 1 and 2, and padded to the longest length."""

_HARD = (
    "",
    " ",
    "a",
    "\U000f1234\U000f1235",
    "👩‍👩‍👧‍👦🇩🇪 emoji",
    "שלום, עולם! مرحبا بالعالم",
    "你好，世界。",
    "e\u0301 \u200b zero width",
    "line\r\none\x00two\ttab",
    "[CLS] <s> [SEP] </s> [MASK]",
)


@dataclass(frozen=True)
class Figures:
    """How far candidate scores are from the reference."""

    rows: int
    sigma: float
    max_difference: float
    rms: float
    spearman: float

    @property
    def passes_fp32(self) -> bool:
        """Tell whether an fp32 graph may be used; constant scores pass no gate."""
        return self.sigma > 0 and self.max_difference <= FP32_LIMIT * self.sigma


def compare(
    reference: NDArray[np.float32], candidates: Sequence[NDArray[np.float32]], sigma: float
) -> Figures:
    """Compare the reference scores with every run of the candidate; a missing score counts as infinitely far."""
    wide = np.asarray(reference, dtype=np.float64)
    differences = [
        np.abs(np.asarray(scores, dtype=np.float64) - wide[: len(scores)]) for scores in candidates
    ]
    every = np.concatenate(differences)
    every[np.isnan(every)] = np.inf
    return Figures(
        len(wide), sigma, float(every.max()), float(np.sqrt((every**2).mean())), spearman(wide, candidates[0])
    )


def hard_texts(encoder: PairEncoder) -> list[str]:
    """Give the texts on which exports break: empty, unknown, emoji, right-to-left, longest, one longer."""
    longest = encoder.settings.max_tokens
    return [*_HARD, "word " * (longest - 1), "word " * (longest + 1), "x" * (8 * longest)]


def hard_pairs(encoder: PairEncoder) -> Pairs:
    """Pair each hard text with an ordinary one, on both sides."""
    ordinary, texts = "What is a list?", hard_texts(encoder)
    return encoder.encode(
        [((Turn("user", text),), ordinary) for text in texts]
        + [((Turn("user", ordinary),), text) for text in texts]
    )


def candidate_runs(model: Model, pairs: Pairs, longest: int) -> Iterator[NDArray[np.float32]]:
    """Score the pairs packed as in a run and 64 texts a batch; a few also one, two, and padded to the longest."""
    yield model.score(pairs)
    yield model.score_in(pairs, _in_order(pairs, 64))
    few = pairs.take(np.arange(min(FEW, len(pairs))))
    for size in (1, 2):
        yield model.score_in(few, _in_order(few, size))
    yield model.score_in(few, length_batches(few.tokens.lengths, model.batch_tokens), width=longest)


def _in_order(pairs: Pairs, size: int) -> Iterable[NDArray[np.int64]]:
    texts = np.arange(len(pairs.tokens))
    return (texts[start : start + size] for start in range(0, len(texts), size))


@dataclass(frozen=True)
class Reference:
    """The reference's scores of the gate's rows: real pairs, and hard ones."""

    engine: str
    longest: int
    real: Pairs
    hard: Pairs
    real_scores: NDArray[np.float32]
    hard_scores: NDArray[np.float32]

    @classmethod
    def of(cls, model: Model, pairs: Pairs, encoder: PairEncoder) -> "Reference":
        """Score the rows with the reference, once for all candidates."""
        hard = hard_pairs(encoder)
        longest = encoder.settings.max_tokens
        return cls(model.engine, longest, pairs, hard, model.score(pairs), model.score(hard))


def gate(graph: str, sha256: str, reference: Reference, candidate: Model) -> dict[str, Any]:
    """Compare a candidate with the reference on real pairs and hard ones; gives the record for gates.json."""
    scores = reference.real_scores.astype(np.float64)
    # Equal rows differ by a rounding error, and so does the standard deviation of equal numbers: neither is a spread.
    sigma = 0.0 if np.ptp(scores) <= FLAT * np.abs(scores).max() else float(np.std(scores))
    real, hard = (
        compare(scores, list(candidate_runs(candidate, pairs, reference.longest)), sigma)
        for pairs, scores in (
            (reference.real, reference.real_scores),
            (reference.hard, reference.hard_scores),
        )
    )
    passed = real.passes_fp32 and hard.passes_fp32
    return {
        "graph": graph,
        "sha256": sha256,
        "engine": candidate.engine,
        "precision": candidate.precision,
        "processor": processor(),
        "versions": versions(),
        "against": reference.engine,
        "limit": f"max difference <= {FP32_LIMIT:g} sigma",
        "real": _plain(real),
        "hard": _plain(hard),
        "passed": passed,
        "reason": "" if passed else _reason(real, hard),
    }


def _plain(figures: Figures) -> dict[str, float | None]:
    """Give figures that JSON can hold: null where a number is not finite."""
    return {name: value if math.isfinite(value) else None for name, value in asdict(figures).items()}


def _reason(real: Figures, hard: Figures) -> str:
    if not np.isfinite(real.sigma):
        return "the reference gives scores that are not finite"
    if real.sigma == 0:
        return "the reference gives the same score for every row"
    worst = max(real.max_difference, hard.max_difference)
    told = (
        f"scores differ by up to {worst:.3g}, allowed is {FP32_LIMIT * real.sigma:.3g} ({FP32_LIMIT:g} sigma)"
    )
    if worst <= ROUNDING:
        told += f": that is rounding, but the scores hardly vary (sigma {real.sigma:.2g}); train longer"
    return told


def save_gate_rows(path: Path, pairs: Pairs, most: int) -> None:
    """Keep up to `most` pairs, spread evenly, as token ids."""
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(np.int64))
    kept = pairs.take(chosen)
    arrays = {"ids": kept.tokens.ids, "offsets": kept.tokens.offsets, "texts": kept.texts}
    if kept.tokens.second is not None:
        arrays["second"] = kept.tokens.second
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def load_gate_rows(path: Path) -> Pairs:
    """Read the pairs kept at training."""
    if not path.is_file():
        raise InputError(f"{path}: missing; give rows with --rows POOL")
    with np.load(path, allow_pickle=False) as arrays:
        offsets = arrays["offsets"]
        second = arrays["second"] if "second" in arrays else None
        lists = TokenLists(arrays["ids"], offsets, np.zeros(len(offsets) - 1, dtype=bool), second)
        # Bundles of version 0.1 named the two texts apart.
        texts = arrays["texts"] if "texts" in arrays else np.stack([arrays["x"], arrays["y"]], axis=1)
        return Pairs(lists, texts, np.zeros(len(texts), dtype=np.int64))
