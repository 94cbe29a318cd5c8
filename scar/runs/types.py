"""The types and ranges that the columns of scores must have, checked before anything acts on them."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

MOST = 2**62
"""Larger than any row, line or rank."""
_TEXTS = ("part", "file", "id", "reason")


def wrong_column(schema: pa.Schema, rankers: Sequence[str]) -> str | None:
    """Name a column that is there twice, or of a type that no sidecar gives it; None where all are as they must be."""
    names: Sequence[str] = schema.names
    times = Counter(names)
    scores, tokens = set(rankers), {f"{name}_tokens" for name in rankers}
    for name, kind in zip(names, schema.types, strict=True):
        text = pa.types.is_string(kind.value_type if pa.types.is_dictionary(kind) else kind)
        whole, floating = pa.types.is_signed_integer(kind), pa.types.is_floating(kind)
        if name in ("row", "line"):
            good = kind == pa.int64()
        elif name in _TEXTS:
            good = text
        elif name in scores:
            good = floating
        else:
            good = whole if name in tokens else text or whole or floating or kind == pa.bool_()
        if not good or times[name] > 1:
            return name
    return None


def out_of_range(table: pa.Table, limits: Mapping[str, int]) -> str | None:
    """Say which whole numbers of a table are not from 0 to below their limit; rows and lines are never null."""
    for name, most in limits.items():
        column = table.column(name)
        least, last = pc.min_max(column).as_py().values()
        if (least is not None and not 0 <= least <= last < most) or (
            name in ("row", "line") and column.null_count
        ):
            return f"{name} from {least} to {last}"
    return None
