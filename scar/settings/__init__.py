"""The settings of every command, validated once, at the border. No torch."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from scar.settings.bench import BenchSettings
from scar.settings.cluster import Cluster
from scar.settings.quality import QualitySettings
from scar.settings.reading import LayoutName, Reading
from scar.settings.scoring import Scoring
from scar.settings.style import STYLE_TIERS, STYLE_TRIPLETS, ConstraintMode, StyleSettings
from scar.settings.training import TAKEN_NAMES, TrainSettings
from scar.settings.unseen import UnseenSettings

__all__ = [
    "STYLE_TIERS",
    "STYLE_TRIPLETS",
    "TAKEN_NAMES",
    "BenchSettings",
    "Cluster",
    "ConstraintMode",
    "LayoutName",
    "QualitySettings",
    "Reading",
    "Scoring",
    "StyleSettings",
    "TrainSettings",
    "UnseenSettings",
    "from_flat",
]

T = TypeVar("T")


def from_flat(cls: type[T], values: Mapping[str, Any]) -> T:
    """Build a settings class from parsed flags, leaving other commands' flags alone."""
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in values.items() if name in names})
