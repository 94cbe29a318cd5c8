"""A raw row of any known layout -> records. The only room that knows field names; it knows nothing of files."""

from scar.formats.detect import detect
from scar.formats.expand import check, expand
from scar.formats.judged import judged
from scar.formats.layouts import Layout, Row, layout_of
from scar.formats.tiers import tiers
from scar.formats.values import RowError, carried, flag, listed, row_id, shown

__all__ = [
    "Layout",
    "Row",
    "RowError",
    "carried",
    "check",
    "detect",
    "expand",
    "flag",
    "judged",
    "layout_of",
    "listed",
    "row_id",
    "shown",
    "tiers",
]
