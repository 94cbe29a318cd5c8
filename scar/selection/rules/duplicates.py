"""Rules that drop what says the same as a better record. Numpy only; `scar.selection.duplicates` finds the copies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.selection.duplicates.curve import bands_for
from scar.selection.duplicates.exact import first_of_equals
from scar.selection.duplicates.near import Settings, find_near
from scar.selection.duplicates.texts import OF, Of, digest, texts_of
from scar.selection.fuse import By
from scar.selection.rules.rule import (
    NOBODY,
    Chained,
    Needs,
    Outcome,
    Selection,
    is_number,
    is_seed,
    is_whole,
    require,
    selection,
)
from scar.selection.scored import Scored

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class ExactDuplicates(Chained):
    """Keep of records with the same text the best-scored one.

    The same but for case and white space, which is what `scar inspect` counts as duplicates. With `of` "instruction" or
    "response" only that part is compared.
    """

    of: Of = "both"
    by: By | None = None

    def __post_init__(self) -> None:
        """Check what is compared."""
        _check_of(self)

    def needs(self) -> Needs:
        """Read texts."""
        return Needs(texts=True)

    def select(self, rows: Scored) -> Selection:
        """Compare 128-bit hashes: memory holds 16 bytes a record, some 60 more while they are sorted, and no text."""
        records, order, must = _ranked(rows, self.by)
        digests = np.zeros((len(records), 2), dtype=np.uint64)
        for place, (_, record) in enumerate(rows.records()):
            digests[place] = np.frombuffer(digest(record, self.of), dtype=np.uint64)
        kept_for = first_of_equals(digests, order)
        kept_for[order[:must]] = order[:must]
        return selection(self, rows, _outcome(rows, records, kept_for, {}), self.by)


@dataclass(frozen=True)
class NearDuplicates(Chained):
    """Keep of records with nearly the same words the best-scored one.

    Two records are near where the Jaccard similarity of their sets of runs of `words` words is at least `threshold`.
    Case and full-width forms are one; in scripts without spaces a character is a word; a text of fewer words is one
    run. Runs of 5 words and a threshold of .7 forgive 3 to 4 % of changed words, runs of 3 words 6 %.

    Pairs are found by MinHash in bands that find a pair at the threshold with a probability of at least `recall` (more
    similar ones more surely, copies to the word always), out of at most so many `permutations`; each pair that is found
    is then verified. All records that hang together over near pairs are one group, of which the best stays. Likeness
    fades along a chain of pairs: with `chain` false a record is dropped only where it is near one that is *kept*, so
    that what crowded it out is like it, and no two records that were found to be near are both kept.
    """

    threshold: float = 0.7
    of: Of = "both"
    by: By | None = None
    permutations: int = 128
    words: int = 5
    recall: float = 0.99
    chain: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        _check_of(self)
        for name in ("threshold", "recall"):
            value = getattr(self, name)
            fits = is_number(value) and 0 < value <= (1 if name == "threshold" else 0.999999)
            require(fits, f"NearDuplicates needs a {name} above 0 and {_MOST[name]}, got {value!r}")
        for name in ("permutations", "words"):
            value = getattr(self, name)
            fits = is_whole(value) and 1 <= value <= 4096
            require(fits, f"NearDuplicates needs whole {name} from 1 to 4096, got {value!r}")
        require(isinstance(self.chain, bool), f"NearDuplicates needs chain true or false, got {self.chain!r}")
        require(is_seed(self.seed), f"NearDuplicates needs a seed from 0 to 2**32 - 1, got {self.seed!r}")
        bands_for(self.threshold, self.recall, self.permutations)

    def needs(self) -> Needs:
        """Read texts."""
        return Needs(texts=True)

    def select(self, rows: Scored) -> Selection:
        """Find near copies; see `scar.selection.duplicates.near` for the memory that it takes."""
        records, order, must = _ranked(rows, self.by)
        bands = bands_for(self.threshold, self.recall, self.permutations)
        texts = ("\n".join(texts_of(record, self.of)) for _, record in rows.records())
        settings = Settings(self.threshold, self.words, bands, self.seed, self.chain)
        found = find_near(texts, order, must, settings)
        facts = {
            "bands": bands.bands,
            "values_a_band": bands.values,
            "recall_at_threshold": round(float(bands.finds(self.threshold)), 4),
            "pairs_compared": found.compared,
            "pairs_near": found.near,
            "crowded_buckets": found.crowded_buckets,
            "seed": self.seed,
        }
        return selection(self, rows, _outcome(rows, records, found.kept_for, facts), self.by)


_MOST = {"threshold": "at most 1", "recall": "at most 0.999999"}


def _check_of(rule: Any) -> None:
    require(
        rule.of in OF,
        f"{type(rule).__name__} compares of {', '.join(map(repr, OF))}: one of these, not {rule.of!r}",
    )


def _ranked(rows: Scored, by: By | None) -> tuple[Numbers, Numbers, int]:
    """Give the eligible records; their places in it best first, those that must stay before all; and how many must."""
    scores = rows.finite(by)
    records = np.flatnonzero(rows.eligible)
    must = rows.must[records]
    return records, np.lexsort((-scores[records], ~must)), int(must.sum())


def _outcome(rows: Scored, records: Numbers, kept_for: Numbers, facts: dict[str, Any]) -> Outcome:
    """Turn places among the eligible records into an outcome."""
    gone = np.flatnonzero(kept_for != np.arange(len(records)))
    keep = rows.eligible.copy()
    keep[records[gone]] = False
    crowded_by = np.full(len(rows), NOBODY, dtype=np.int64)
    crowded_by[records[gone]] = records[kept_for[gone]]
    counts = {"groups": len(np.unique(kept_for[gone])), "dropped": len(gone)}
    return Outcome(keep, crowded_by, {**counts, **facts})
