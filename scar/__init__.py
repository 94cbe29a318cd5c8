"""scar: train, export and run rankers for instruction-tuning data. Importing it loads no torch and no runtime."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime 1.31 keeps an identity of this user in ~/.cache and sends events, from its import on.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from scar.pools import read_pool as read_pool
    from scar.records import Record as Record
    from scar.selection.keep import select as select
    from scar.selection.rules import Above as Above
    from scar.selection.rules import PerGroup as PerGroup
    from scar.selection.rules import Quantile as Quantile
    from scar.selection.rules import Ratio as Ratio
    from scar.selection.rules import TopK as TopK
    from scar.serving.filter import filter_pool as filter_pool
    from scar.serving.run import score_pool as score_pool
    from scar.serving.scorer import Scorer as Scorer

_HOMES = {
    "Scorer": "scar.serving.scorer",
    "score_pool": "scar.serving.run",
    "filter_pool": "scar.serving.filter",
    "select": "scar.selection.keep",
    "read_pool": "scar.pools",
    "Record": "scar.records",
    "TopK": "scar.selection.rules",
    "Above": "scar.selection.rules",
    "Ratio": "scar.selection.rules",
    "Quantile": "scar.selection.rules",
    "PerGroup": "scar.selection.rules",
    "rules": "scar.rules",
}
__all__ = [*_HOMES]  # noqa: PLE0604 - the names above, looked up on first use


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'scar' has no attribute {name!r}")
    home = import_module(_HOMES[name])
    return home if name == "rules" else getattr(home, name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_HOMES])
