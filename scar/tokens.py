"""Token ids of many texts, and batches of them. Knows lengths, no text.

The ids stand in one flat array with offsets, so that a window of a pool is a few arrays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TokenLists:
    """Token ids of several texts. `offsets` has one entry more than there are texts."""

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    second: NDArray[np.int64] | None = None
    """Where in each text the tokens of the second type begin; None where no encoder is told of types."""

    def __len__(self) -> int:
        """Give the number of texts."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, special tokens counted."""
        return np.diff(self.offsets)

    def of_text(self, text: int) -> NDArray[np.int32]:
        """Give the ids of one text."""
        ids: NDArray[np.int32] = self.ids[self.offsets[text] : self.offsets[text + 1]]
        return ids

    def padded(
        self, texts: NDArray[np.int64], pad_id: int, width: int = 0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give `input_ids` and `attention_mask`, each (len(texts), longest or `width`)."""
        lengths = self.lengths[texts]
        width = max(width, int(lengths.max(initial=1)))
        mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
        ids = np.full(mask.shape, pad_id, dtype=np.int64)
        ids[mask.astype(bool)] = np.concatenate(
            [self.ids[self.offsets[text] : self.offsets[text + 1]] for text in texts] or [self.ids[:0]]
        )
        return ids, mask

    def feeds(self, texts: NDArray[np.int64], pad_id: int, width: int = 0) -> dict[str, NDArray[np.int64]]:
        """Give what an encoder is fed: ids, mask, and `token_type_ids` where it is told of types."""
        ids, mask = self.padded(texts, pad_id, width)
        feeds = {"input_ids": ids, "attention_mask": mask}
        if self.second is not None:
            later = np.arange(ids.shape[1]) >= self.second[texts][:, None]
            feeds["token_type_ids"] = (later & mask.astype(bool)).astype(np.int64)
        return feeds

    def load(self, texts: NDArray[np.int64], width: int = 0) -> tuple[int, int]:
        """Give the tokens of a batch, and these with padding to the longest or to `width`."""
        lengths = self.lengths[texts]
        return int(lengths.sum()), len(texts) * max(width, int(lengths.max(initial=1)))

    def take(self, texts: NDArray[np.int64]) -> "TokenLists":
        """Give some of the texts, in the order asked for."""
        lists = [self.ids[self.offsets[text] : self.offsets[text + 1]] for text in texts]
        return TokenLists.of(
            lists, self.truncated[texts], None if self.second is None else self.second[texts]
        )

    @classmethod
    def of(
        cls,
        lists: Sequence[NDArray[np.int32]],
        truncated: Sequence[bool] | NDArray[np.bool_] | None = None,
        second: NDArray[np.int64] | None = None,
    ) -> "TokenLists":
        """Join the ids of single texts."""
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in lists], dtype=np.int64)]).astype(
            np.int64
        )
        ids = np.concatenate(lists) if len(lists) else np.zeros(0)
        flags = np.zeros(len(lists), dtype=bool) if truncated is None else np.asarray(truncated, dtype=bool)
        return cls(ids.astype(np.int32), offsets, flags, second)


def length_batches(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.int64]]:
    """Yield text numbers, longest first, so that no padded batch exceeds `batch_tokens` (but for one long text)."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        # The first text is the longest left, so it alone sets the padded width.
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size


def tight_batches(lengths: NDArray[np.int64], batch_tokens: int, overhead: int) -> list[NDArray[np.int64]]:
    """Cut texts, sorted by length, into the batches of least cost: padded tokens plus `overhead` tokens a batch.

    No batch exceeds `batch_tokens`, but for one long text. Exact, by dynamic programming over the sorted texts; for the
    few texts of a training step, where `length_batches` would leave a fifth of the tokens to padding.
    """
    order = np.argsort(-lengths, kind="stable")
    width = [int(length) for length in lengths[order]]
    best = [0] + [0] * len(width)
    cut = [0] * (len(width) + 1)
    for end in range(1, len(width) + 1):
        starts = [n for n in range(end) if n == end - 1 or width[n] * (end - n) <= batch_tokens]
        costs = [best[n] + width[n] * (end - n) + overhead for n in starts]
        best[end] = min(costs)
        cut[end] = starts[costs.index(best[end])]
    ends = [len(width)] if width else []
    while ends and cut[ends[-1]]:
        ends.append(cut[ends[-1]])
    return [order[cut[end] : end] for end in reversed(ends)]
