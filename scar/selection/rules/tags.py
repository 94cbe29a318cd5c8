"""TagCover: the records of many tags that cover all tags, again and again. Knows no files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scar.selection.diversity.tag_cover import TagSets, cover, tags_of, vocabulary
from scar.selection.fuse import By
from scar.selection.rules.budget import Budget, Purse
from scar.selection.rules.rule import (
    Chained,
    Outcome,
    Selection,
    best_first,
    is_whole,
    require,
    selection,
)
from scar.selection.scored import Scored


@dataclass(frozen=True)
class TagCover(Chained):
    """Cover the tags of a carried column with records of many tags first (InsTag's complexity-first sampling).

    Passes go from most tags to fewest, the better score first among equals, and take what adds a tag to the pass.
    Values are JSON lists or text with commas; case and outer white space do not count. Tags that fewer than `least`
    records of the whole run have do not count (InsTag: 20), and stages before this one do not change that; `vocabulary`
    names the tags that count instead. Records without tags are taken last, by score. 10^6 records take half a minute.
    """

    k: int | None = None
    tokens: int | None = None
    column: str = "tags"
    least: int = 1
    vocabulary: Sequence[str] | None = None
    by: By | None = None

    def __post_init__(self) -> None:
        """Check the budget and the tags that count."""
        Budget.of("TagCover", self.k, self.tokens)
        require(
            is_whole(self.least) and self.least >= 1,
            f"TagCover needs a whole least of at least 1, got {self.least!r}",
        )
        if self.vocabulary is None:
            return
        require(
            isinstance(self.vocabulary, Sequence)
            and not isinstance(self.vocabulary, str)
            and all(isinstance(name, str) for name in self.vocabulary),
            f"TagCover needs a list of tags as its vocabulary, got {self.vocabulary!r}",
        )
        require(self.least == 1, "TagCover takes a vocabulary or least, not both")
        object.__setattr__(self, "vocabulary", tuple(self.vocabulary))

    def select(self, rows: Scored) -> Selection:
        """Cover tags within the budget, then fill it with what has none."""
        scores, sets = rows.finite(self.by), self._sets(rows)
        purse = Budget.of("TagCover", self.k, self.tokens).purse(rows)
        best = best_first(scores, rows.eligible)
        must = rows.must[best]
        for record in best[must]:
            purse.take(int(record))
        free = best[~must]
        tagged = free[np.argsort(-sets.sizes[free], kind="stable")].tolist()
        for record in () if purse.full else cover(sets, tagged, purse.fits, tuple(purse.taken)):
            purse.take(record)
            if purse.full:
                break
        untagged = 0
        for record in free[sets.sizes[free] == 0]:
            untagged += not purse.full and purse.take(int(record))
        return selection(
            self, rows, Outcome(purse.keep(), facts=_facts(sets, rows, purse, untagged)), self.by
        )

    def _sets(self, rows: Scored) -> TagSets:
        whole = rows.whole or rows
        if self.vocabulary is not None:
            names = tuple(dict.fromkeys(tag for name in self.vocabulary for tag in tags_of(name)))
        else:
            every = zip(whole.eligible, self._tags(rows), strict=True)
            names = vocabulary((tags for scored, tags in every if scored), self.least)
        return TagSets.of(self._tags(rows), names)

    def _tags(self, rows: Scored) -> Iterator[tuple[str, ...]]:
        for chunk in rows.load(self.column).chunks:
            for value in chunk:
                yield tags_of(None if value.as_py() is None else str(value.as_py()))


def _facts(sets: TagSets, rows: Scored, purse: Purse, untagged: int) -> dict[str, int]:
    def distinct(records: np.ndarray) -> int:
        return len({tag for record in records.tolist() for tag in sets[record]})

    return {
        "tags": distinct(np.flatnonzero(rows.eligible)),
        "tags_kept": distinct(np.flatnonzero(purse.keep())),
        "without_tags": untagged,
    }
