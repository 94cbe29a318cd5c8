"""One of n parts of a run: neighbouring chunks, so that each part reads its own piece of the pool."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from scar.errors import InputError
from scar.pools import Chunk


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `of` parts."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `2/8`. Raises InputError where that is no part of a whole."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        shard = cls(*map(int, match.groups())) if match else None
        if shard is None or not 1 <= shard.number <= shard.of:
            raise InputError(
                f"--shard {text}: write I/N, such as 1/8 for the first of eight and 8/8 for the last"
            )
        return shard

    def of_chunks(self, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
        """Give this part's chunks; the parts differ by one chunk at most."""
        return chunks[len(chunks) * (self.number - 1) // self.of : len(chunks) * self.number // self.of]

    def __str__(self) -> str:
        """Give it as it is typed."""
        return f"{self.number}/{self.of}"
