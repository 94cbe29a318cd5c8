"""The real rows of a gate: those kept at training, as token ids, or those of a pool."""

import zipfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.encoding import PairEncoder, Pairs
from scar.errors import InputError
from scar.pools import read_pool
from scar.records import Record
from scar.settings import Reading
from scar.tokens import TokenLists

SPREAD = 8
"""Rows are taken evenly from so many times as many: the first rows of a pool are often of one source."""
MOST_BYTES = 64 << 20
"""Rows kept at training are some hundred, of at most some thousand tokens."""


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
    """Read the pairs kept at training; InputError where the file is missing, or not one of ours."""
    if not path.is_file():
        raise InputError(f"{path}: missing; give rows with --rows POOL")
    try:
        return _pairs_of(_arrays(path))
    except (ValueError, KeyError, EOFError, OSError, MemoryError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: damaged ({error}); give rows with --rows POOL") from None


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of a file; ValueError where they would unpack to more than such rows can be."""
    with zipfile.ZipFile(path) as parts:
        if sum(part.file_size for part in parts.infolist()) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES:,} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _pairs_of(arrays: Mapping[str, NDArray[Any]]) -> Pairs:
    """Make pairs of arrays; ValueError where one points beyond another."""
    ids, offsets, second = arrays["ids"], arrays["offsets"], arrays.get("second")
    # Bundles of version 0.1 named the two texts apart.
    texts = arrays["texts"] if "texts" in arrays else np.stack([arrays["x"], arrays["y"]], axis=1)
    given = (ids, offsets, texts) if second is None else (ids, offsets, texts, second)
    if any(array.dtype.kind not in "iu" or array.size and array.min() < 0 for array in given):
        raise ValueError("an array holds other than whole numbers from 0")
    if [array.ndim for array in given] != [1, 1, 2, 1][: len(given)] or not len(offsets) or not len(texts):
        raise ValueError("an array has another shape")
    if offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets.astype(np.int64)) < 1).any():
        raise ValueError("the offsets are not those of the ids")
    if (
        texts.shape[1] > 2
        or texts.max() >= len(offsets) - 1
        or (second is not None and len(second) != len(offsets) - 1)
    ):
        raise ValueError("a pair is of texts that are not there")
    lists = TokenLists(ids, offsets, np.zeros(len(offsets) - 1, dtype=bool), second)
    return Pairs(lists, texts, np.zeros(len(texts), dtype=np.int64))
