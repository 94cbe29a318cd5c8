"""How far the scores that rules combine agree: their rank correlations. Numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scar.bundle import CALIBRATED, P_SEEN
from scar.ranks import spearman_matrix
from scar.selection.config import orders_of, scores_of
from scar.selection.fuse import Fuse
from scar.selection.rules import Rule
from scar.selection.scored import Scored

OPPOSED = -0.3
"""Fused columns whose rank correlation is below this mostly cancel each other."""
ENDINGS = (*CALIBRATED, "tokens")


@dataclass(frozen=True)
class Correlations:
    """Spearman's rank correlation of every two columns of scores, over the records that have scores."""

    columns: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    """NaN where a column is constant."""
    opposed: tuple[tuple[str, str], ...]
    """Pairs that are fused although they pull in opposite directions."""

    def of(self, a: str, b: str) -> float:
        """Give the correlation of two columns."""
        return self.matrix[self.columns.index(a)][self.columns.index(b)]


def correlations(scored: Scored, rule: Rule, rankers: Sequence[str]) -> Correlations | None:
    """Correlate the scores that a rule combines; None where it combines none: no fusion, and one ranker's columns."""
    names = scores_of(rule, scored.by)
    fusions = [by for by in orders_of(rule, scored.by) if isinstance(by, Fuse)]
    if not fusions and len({ranker_of(name, rankers) for name in names} - {None}) < 2:
        return None
    matrix = spearman_matrix([scored.finite(name)[scored.eligible] for name in names])
    place = {name: number for number, name in enumerate(names)}
    pairs = dict.fromkeys(pair for by in fusions for pair in combinations(by.of, 2))
    opposed = tuple((a, b) for a, b in pairs if matrix[place[a], place[b]] < OPPOSED)
    return Correlations(tuple(names), tuple(map(tuple, matrix.tolist())), opposed)


def ranker_of(column: str, rankers: Sequence[str]) -> str | None:
    """Tell whose column it is; p_seen, which bears no ranker's name, is the only ranker's or stands for its own."""
    if column == P_SEEN:
        return rankers[0] if len(rankers) == 1 else P_SEEN
    return next((name for name in rankers if column in (name, *(f"{name}_{e}" for e in ENDINGS))), None)
