"""How much arithmetic an encoder needs for texts. Knows no engine: the weights' shapes alone."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scar.bundle import WEIGHTS, Bundle
from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.pools import read_pool
from scar.records import Record
from scar.serving.answers import encode_records
from scar.serving.bench.ways import repeated
from scar.settings import Reading

_HEADER = 8
"""Bytes that hold the length of a safetensors file's header."""


@dataclass(frozen=True)
class EncoderSize:
    """What a token costs."""

    parameters: int
    """Weights that every token goes through: neither embedding tables nor the pooler, which sees one token a text."""
    width: int
    layers: int

    @classmethod
    def of(cls, bundle: Bundle) -> "EncoderSize":
        """Read the shapes of a bundle's weights; no weight is read. InputError where they cannot be read."""
        shapes = {
            name.removeprefix("encoder."): shape
            for name, shape in _shapes(bundle.path / WEIGHTS).items()
            if name.startswith("encoder.")
        }
        used = {
            name: shape for name, shape in shapes.items() if "embeddings" not in name and "pooler" not in name
        }
        numbers = [int(found[1]) for name in used if (found := re.search(r"\blayers?\.(\d+)\.", name))]
        width = int(bundle.ranker["encoder"]["hidden_size"])
        return cls(sum(map(math.prod, used.values())), width, max(numbers, default=-1) + 1)

    def flops(self, lengths: NDArray[np.int64]) -> float:
        """Give the operations that texts of so many tokens need, (T,): products with weights, and attention."""
        exact = lengths.astype(np.float64)
        return float((exact * (2 * self.parameters + 4 * exact * self.width * self.layers)).sum())


def _shapes(path: Path) -> Mapping[str, list[int]]:
    with open(path, "rb") as stream:
        size = int.from_bytes(stream.read(_HEADER), "little")
        try:
            header: dict[str, Any] = json.loads(stream.read(size))
        except ValueError as error:
            raise InputError(f"{path}: not a safetensors file ({error})") from None
    return {name: told["shape"] for name, told in header.items() if name != "__metadata__"}


def encoded_lengths(
    bundle: Bundle, pool: Path, chunks: tuple[int, ...], *, reading: Reading, anew: bool = False
) -> NDArray[np.int64]:
    """Give the tokens of every text that goes through the encoder, distinct within a chunk unless `anew`."""
    encoder, ends = PairEncoder.of_bundle(bundle), np.cumsum(chunks)
    waiting: list[list[Record]] = [[] for _ in chunks]
    for item in read_pool(pool, reading):
        if isinstance(item, Record):
            waiting[int(np.searchsorted(ends, item.address.row, side="right"))].append(item)
    encoded = [encode_records([encoder], records)[0].pairs for records in waiting]
    lengths = [(repeated(pairs) if anew else pairs).tokens.lengths for pairs in encoded]
    return np.concatenate(lengths)
