"""Compress: the texts that repeat each other least, by what zlib makes of them. Knows no files."""

from array import array
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from scar.records import Record
from scar.selection.diversity.compress import Widths, Zip, ratio
from scar.selection.diversity.texts import Texts
from scar.selection.rules.budget import Budget
from scar.selection.rules.rule import Chained, Needs, Outcome, Selection, is_whole, require, selection
from scar.selection.scored import Scored

Mask = NDArray[np.bool_]
_NEW, _SHORT, _COPY = 0, 1, 2
PARTS = ("both", "instruction", "response")


@dataclass(frozen=True)
class Compress(Chained):
    """Choose texts so that the whole compresses badly: little repeats (ZIP, arXiv 2407.06645).

    `k1` candidates are compressed behind what was chosen, `k2` of them among themselves, and `k3` are taken each time;
    zlib looks back over 32 KiB. Texts of fewer than `min_chars` compress badly whatever they say: they are taken last,
    and after them exact copies. Short ones win above that too: a LengthBand before it keeps the lengths alike. Scores
    do not count; the earlier record wins a tie. Texts wait in a temp file. A record that is chosen costs k1 / k3 + k2
    compressions, 300 as it stands, of some 0.2 ms for 1 KB: a minute for 1,000 records. 10^6 texts add two.
    """

    k: int | None = None
    tokens: int | None = None
    of: str = "both"
    k1: int = 10_000
    k2: int = 200
    k3: int = 100
    level: int = 9
    min_chars: int = 100

    def __post_init__(self) -> None:
        """Check the budget, what is compressed, and the widths."""
        Budget.of("Compress", self.k, self.tokens)
        require(self.of in PARTS, f"Compress takes of: {', '.join(PARTS)}; got {self.of!r}")
        widths = (self.k1, self.k2, self.k3)
        require(
            all(is_whole(width) for width in widths) and self.k1 >= self.k2 >= self.k3 >= 1,
            f"Compress needs whole numbers k1 >= k2 >= k3 of at least 1, got {widths}",
        )
        require(
            is_whole(self.level) and 1 <= self.level <= 9,
            f"Compress needs a level from 1 to 9, got {self.level!r}",
        )
        require(
            is_whole(self.min_chars) and self.min_chars >= 0,
            f"Compress needs a whole min_chars of at least 0, got {self.min_chars!r}",
        )

    def needs(self) -> Needs:
        """Read texts."""
        return Needs(texts=True)

    def select(self, rows: Scored) -> Selection:
        """Read the texts once, then choose among them within the budget."""
        purse = Budget.of("Compress", self.k, self.tokens).purse(rows)
        with Texts() as texts:
            records = np.flatnonzero(rows.eligible)
            must = rows.must[records]
            own, tier = self._read(rows, texts, must)
            zipped = Zip(texts, own, self.level, Widths(self.k1, self.k2, self.k3))
            for number in np.flatnonzero(must).tolist():
                zipped.add(number)
                purse.take(int(records[number]))
            for some in (_NEW, _SHORT, _COPY):
                found = zipped.choose(
                    np.flatnonzero(~must & (tier == some)), lambda number: purse.fits(int(records[number]))
                )
                while not purse.full and (number := next(found, -1)) >= 0:
                    purse.take(int(records[number]))
            facts = {"ratio": zipped.chosen.ratio(), "short": int((tier == _SHORT).sum())}
            facts["copies"] = int((tier == _COPY).sum())
        return selection(self, rows, Outcome(purse.keep(), facts=facts))

    def _read(self, rows: Scored, texts: Texts, must: Mask) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Put the eligible texts away; gives the ratio of each alone, and whether it is new, short or a copy."""
        own, short, marks = array("d"), array("b"), array("Q")
        for _, record in rows.records():
            text = text_of(record, self.of)
            # Half a pair of UTF-16, which JSON can hold, is text too. The line break keeps neighbours apart.
            packed = (text + "\n").encode("utf-8", "surrogatepass")
            texts.add(packed)
            own.append(ratio(packed, self.level))
            short.append(len(text) < self.min_chars)
            marks.append(int.from_bytes(blake2b(packed, digest_size=8).digest()))
        tier = np.where(
            _copies(np.array(marks, dtype=np.uint64), must), _COPY, np.array(short, dtype=np.int8)
        )
        return np.array(own, dtype=np.float64), tier.astype(np.int8)


def _copies(marks: NDArray[np.uint64], must: Mask) -> Mask:
    """Mark all but the first of each mark; what must stay comes before all others."""
    order = np.argsort(~must, kind="stable")
    first = order[np.unique(marks[order], return_index=True)[1]]
    copies = np.ones(len(marks), dtype=bool)
    copies[first] = False
    return copies


def text_of(record: Record, of: str) -> str:
    """Give the texts of a record's turns, of its response, or of both, a line break between two."""
    turns = [turn.text for turn in record.turns] if of != "response" else []
    return "\n".join([*turns, record.response] if of != "instruction" else turns)
