"""The training, validation and test rows of a quality ranker as targets, checked and counted. Knows no model."""

from collections import Counter
from dataclasses import dataclass

from scar.encoding import PairEncoder
from scar.errors import InputError
from scar.records import Judged
from scar.settings import QualitySettings
from scar.training.batches import ExampleData
from scar.training.quality.data import CrossExamples
from scar.training.quality.objectives import Objective, Targets
from scar.training.splits import Splits

FEWEST_LABELS = 2
"""Validation rows of each label, at least: an AUC of fewer chooses an epoch by chance."""


@dataclass(frozen=True)
class Parts:
    """The rows of each part that have the judgement, as targets."""

    train: Targets
    validation: Targets
    test: Targets

    @classmethod
    def of(cls, splits: Splits[Judged], objective: Objective) -> "Parts":
        """Make the targets; InputError for a held-out part that says nothing of its rows."""
        held_out = {"validation": splits.validation, "test": splits.test}
        targets = {name: objective.targets(rows) for name, rows in held_out.items()}
        for name, rows in held_out.items():
            if rows and not targets[name].rows:
                raise InputError(
                    f"none of the {len(rows)} {name} rows can be judged by objective {objective.kind}: give others "
                    f"with --{name}, or set {name}_share to 0 and give none"
                )
        _check_validation(objective, targets["validation"])
        return cls(objective.targets(splits.train), targets["validation"], targets["test"])

    def batched(self, encoder: PairEncoder, settings: QualitySettings) -> ExampleData:
        """Tokenise what is learned from, and what the epoch is chosen by."""
        held_out = CrossExamples.of(self.validation, encoder, settings) if self.validation.rows else None
        return ExampleData(CrossExamples.of(self.train, encoder, settings), held_out, settings)

    def counts(self) -> dict[str, int]:
        """Give the sizes, and the rows of all parts that say nothing, by reason."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        left_out = sum((Counter(part.left_out) for part in named.values()), Counter[str]())
        return {name: len(part.rows) for name, part in named.items()} | dict(left_out)


def _check_validation(objective: Objective, part: Targets) -> None:
    """Refuse a validation part of one label, or of one grade: no epoch can be chosen by it."""
    if not part.rows or part.y is None:
        return
    good = int((part.y == 1).sum())
    if objective.kind == "labels" and min(good, len(part.y) - good) < FEWEST_LABELS:
        told = f"has {good} good and {len(part.y) - good} bad rows"
    elif objective.kind == "graded" and part.y.min() == part.y.max():
        told = f"has one grade alone in {len(part.y)} rows"
    else:
        return
    raise InputError(
        f"the validation part {told}: give more rows, or --validation, or set validation_share to 0 to take the last "
        "epoch as it is"
    )
