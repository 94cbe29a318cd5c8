"""Three short texts whose scores, or embeddings, are known: does the engine give now what it gave before?

An engine can go wrong without an error and without a NaN, and stay wrong until it is started again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.bundle import CANARIES, TOKENIZER, Bundle
from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError, RunError
from scar.files import read_json
from scar.records import Turn
from scar.serving.models import Model

Texts = list[tuple[str, str]]
TEXTS: Texts = [
    ("What is a list?", "A list holds items in an order, and gives each of them by its number."),
    ("Name a colour.", "Red!"),
    (
        "How do I sort the lines of a file?",
        "1. Read the file.\n2. Sort its lines: `sorted(open(name))`.\n3. Write them back.",
    ),
]
"""Instruction and response of each. Short: they are run after every chunk."""
ALLOWED = {
    # What the gate allows any row of an fp32 graph.
    "fp32": 1e-4,
    # The gate bounds the rms by .05 and 99.9 % of real rows by .1; these texts may be less like the rest.
    "bf16": 0.25,
    "fp16": 0.25,
    # The gate asks for the ranking alone: Spearman .995 leaves an rms of a tenth, and short texts are far from those
    # that set the scales. What is wrong altogether is off by more.
    "int8": 1.0,
}
"""How far a canary's score may be off in each precision, in standard deviations of the gate's rows."""
MOST = 100
"""Canaries at most: they are run after every chunk."""
FLOOR = 1e-5
"""Rounding of fp32, for each unit of the score where that is above one: allowed whatever the spread."""


@dataclass(frozen=True)
class Canaries:
    """The canaries as token ids, what the engine gave for them when it was loaded, and how far it may be off."""

    pairs: Pairs
    scores: NDArray[np.float32]
    """(n,); of an encoder the embeddings, (n, H)."""
    allowed: float
    """In units of the score."""

    @classmethod
    def of(cls, bundle: Bundle, encoder: PairEncoder, model: Model) -> "Canaries":
        """Run the canaries on an engine just loaded. Raises RunError where it does not give the bundle's scores."""
        known = _known(bundle)
        pairs = _encoded(encoder, known["texts"] if known else TEXTS)
        sigma = known["sigma"] if known else _sigma(bundle)
        canaries = cls(pairs, model.score(pairs), ALLOWED[model.precision] * sigma)
        wanted = np.asarray(known["scores"], dtype=np.float32) if known else canaries.scores
        canaries._compare(
            canaries.scores, wanted, f"the bundle has in {CANARIES}" if known else "is a number"
        )
        return canaries

    def check(self, model: Model) -> None:
        """Run them again, alone. Raises RunError where the engine does not give the scores that it gave at first."""
        self._compare(model.score(self.pairs), self.scores, "it gave before")

    def _compare(self, found: NDArray[np.float32], wanted: NDArray[np.float32], what: str) -> None:
        allowed = np.maximum(self.allowed, FLOOR * np.maximum(1, np.abs(wanted)))
        if found.shape != wanted.shape or not (np.abs(found - wanted) <= allowed).all():
            given = "scores" if wanted.ndim == 1 else "embeddings"
            raise RunError(
                f"the engine does not give the {given} {what}: for {len(wanted)} known texts {_told(found)}, "
                f"not {_told(wanted)} (allowed: {float(allowed.max()):.2g})"
            )


def write_canaries(path: Path, encoder: PairEncoder, model: Model, sigma: float, made_for: Any) -> None:
    """Write the texts, the scores of the reference graph in fp32, and sigma on the gate's rows."""
    scores = model.score(_encoded(encoder, TEXTS)).tolist()
    known = {"texts": TEXTS, "scores": scores, "sigma": sigma, "made_for": made_for}
    path.write_text(json.dumps(known, indent=2) + "\n")


def made_for(ranker: Mapping[str, Any], digests: Mapping[str, str]) -> dict[str, Any]:
    """Give what the canaries' scores depend on: how text is read, and the hashes of tokenizer and graphs."""
    return {"text": ranker["text"], "files": dict(sorted(digests.items()))}


def _known(bundle: Bundle) -> dict[str, Any] | None:
    """Read the canaries' scores; None where a bundle has none, of an older version, or those of other graphs."""
    graphs = (bundle.graphs.reference, *bundle.graphs.beside, TOKENIZER)
    if not bundle.has(CANARIES) or not all(map(bundle.has, graphs)):
        return None
    known = read_json(bundle.path / CANARIES, "run `scar export` again")
    if not _is_known(known):
        raise InputError(f"{bundle.path / CANARIES}: not texts and their scores; run `scar export` again")
    return known if known["made_for"] == made_for(bundle.ranker, bundle.digest(*graphs)) else None


def _is_known(told: Any) -> bool:
    """Tell whether a value is what `write_canaries` writes: a few short texts, and a number or a vector for each."""
    if not isinstance(told, dict) or not {"texts", "scores", "sigma", "made_for"} <= told.keys():
        return False
    texts, numbers = told["texts"], told["scores"]
    if not isinstance(texts, list) or not isinstance(numbers, list) or not 0 < len(texts) <= MOST:
        return False
    pairs = all(isinstance(pair, list) and list(map(type, pair)) == [str, str] for pair in texts)
    return (
        pairs
        and len(numbers) == len(texts)
        and (_are_numbers(numbers) or _are_vectors(numbers))
        and _are_numbers([told["sigma"]])
    )


def _are_numbers(told: list[Any]) -> bool:
    return all(type(number) in (int, float) for number in told)


def _are_vectors(told: list[Any]) -> bool:
    vectors = [each for each in told if isinstance(each, list) and _are_numbers(each)]
    return len(vectors) == len(told) and len({len(each) for each in vectors}) == 1


def _sigma(bundle: Bundle) -> float:
    """Give the scores' standard deviation of the newest gate; 1 where none was run."""
    told = (record.get("real", {}).get("sigma") for record in reversed(bundle.gates()))
    return float(next((sigma for sigma in told if sigma), 1.0))


def _encoded(encoder: PairEncoder, texts: Texts) -> Pairs:
    return encoder.encode([((Turn("user", instruction),), response) for instruction, response in texts])


def _told(scores: NDArray[np.float32]) -> str:
    """Tell scores, or the first number of each embedding."""
    return "[" + ", ".join(f"{score:.6g}" for score in scores.reshape(len(scores), -1)[:, 0]) + "]"
