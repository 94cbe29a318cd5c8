"""The real rows of a gate: those kept at training, as token ids, or those of a pool."""

from itertools import islice
from pathlib import Path

import numpy as np

from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError
from scar.pools import read_pool
from scar.records import Record
from scar.settings import Reading
from scar.tokens import TokenLists

SPREAD = 8
"""Rows are taken evenly from so many times as many: the first rows of a pool are often of one source."""


def pool_pairs(encoder: PairEncoder, pool: Path, reading: Reading, most: int) -> Pairs:
    """Tokenise up to `most` records of a pool, spread evenly over its first rows."""
    records = [item for item in islice(read_pool(pool, reading), SPREAD * most) if isinstance(item, Record)]
    if len(records) < 2:
        raise InputError(f"{pool}: a gate needs at least 2 readable rows, there are {len(records)}")
    chosen = np.unique(np.linspace(0, len(records) - 1, min(most, len(records))).round().astype(int))
    return encoder.encode([(records[n].turns, records[n].response) for n in chosen])


def save_gate_rows(path: Path, pairs: Pairs, most: int) -> None:
    """Keep up to `most` pairs, spread evenly, as token ids."""
    kept = spread_evenly(pairs, most)
    arrays = {"ids": kept.tokens.ids, "offsets": kept.tokens.offsets, "texts": kept.texts}
    if kept.tokens.second is not None:
        arrays["second"] = kept.tokens.second
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def spread_evenly(pairs: Pairs, most: int) -> Pairs:
    """Take up to `most` pairs, spread evenly."""
    return pairs.take(
        np.unique(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).round().astype(np.int64))
    )


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
