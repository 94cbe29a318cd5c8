"""Quantize: bins by GraphCut, each sampled evenly (Dataset Quantization). Numpy only."""

from dataclasses import dataclass

import numpy as np

from scar.errors import InputError
from scar.selection.diversity.exact import points_of
from scar.selection.diversity.graph_cut import bins_of
from scar.selection.rules.budget import Budget
from scar.selection.rules.rule import (
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
from scar.selection.rules.shares import within_shares
from scar.selection.scored import Scored

MOST = 100_000
"""Records that it takes: time grows faster than their number."""


@dataclass(frozen=True)
class Quantize(Chained):
    """Cut the records into `bins` by GraphCut and draw from each bin at random, as many from one as from another.

    The first bins hold what stands for the whole pool with little overlap, the last what is left (arXiv 2308.10524).
    Scores do not count: thin the pool by score first. Bins share the budget by largest remainder. Takes at most
    100,000 records, whose embeddings are in memory: of 384 dimensions they take 150 MB and a minute on one core. It is
    the slower, up to half an hour, the more copies there are and the less the embeddings lean one way.
    """

    k: int | None = None
    tokens: int | None = None
    bins: int = 10
    lam: float = 1.0
    """Weight of standing for the pool against overlap within a bin."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the budget, the bins and the seed."""
        Budget.of("Quantize", self.k, self.tokens)
        require(
            is_whole(self.bins) and self.bins >= 1,
            f"Quantize needs a whole number of bins, got {self.bins!r}",
        )
        require(
            is_number(self.lam) and self.lam >= 0, f"Quantize needs a lam of at least 0, got {self.lam!r}"
        )
        require(is_seed(self.seed), f"Quantize needs a seed from 0 to 2**32 - 1, got {self.seed!r}")

    def needs(self) -> Needs:
        """Read embeddings."""
        return Needs(embeddings=True)

    def select(self, rows: Scored) -> Selection:
        """Make the bins, and draw from them. Raises InputError for more records than it takes."""
        records = np.flatnonzero(rows.eligible)
        check_size("Quantize", len(records), rows, MOST)
        groups = np.zeros(len(rows), dtype=np.int64)
        bins = bins_of(points_of(rows.embeddings(), records), self.bins, self.lam)
        groups[records] = bins
        # All records are shuffled, so that one that was set aside does not change the others' places.
        order = np.random.default_rng(self.seed).permutation(len(rows))
        budget = Budget.of("Quantize", self.k, self.tokens)
        keep = within_shares(rows, budget, groups, np.ones(self.bins), order[rows.eligible[order]])
        sizes = np.bincount(bins, minlength=self.bins)
        drawn = np.bincount(groups[keep], minlength=self.bins)
        facts = {"bins": sizes.tolist(), "drawn": drawn.tolist(), "seed": self.seed}
        return selection(self, rows, Outcome(keep, facts=facts))


def check_size(rule: str, records: int, rows: Scored, most: int) -> None:
    """Refuse more records than a rule takes, with what they would need."""
    if records > most:
        dimensions = rows.embeddings().shape[1]
        raise InputError(
            f"{rule} takes at most {most:,} records, here are {records:,}: up to {records**2 * dimensions:.0e} "
            f"multiplications and {records * dimensions * 4 / 1e9:.1f} GB; put a TopK or a Ratio before it"
        )
