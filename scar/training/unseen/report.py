"""What report.json of a seen-vs-unseen training holds: figures, verdict, n-grams, and with what they were made."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from scar.settings.unseen import On, Prefer
from scar.training.unseen.telling import Telling
from scar.training.unseen.verdict import Verdict


@dataclass(frozen=True)
class Calibrated:
    """How `p_seen` came out of the folds' logits, and its expected calibration error."""

    temperature: float
    ece_before: float
    ece_after: float
    measured_on: str = "out-of-fold scores, cross-fitted by group"


@dataclass(frozen=True)
class Report:
    """The outcome of one seen-vs-unseen training."""

    verdict: Verdict
    telling: Telling | None
    """None where no n-gram stands in enough rows."""
    seen: int
    pool: int
    groups: int
    folds: int
    head: str
    on: On
    prefer: Prefer
    seed: int
    encoder: str
    calibration: Calibrated
    set_aside: Mapping[str, Mapping[str, int]]
    """Rows of `seen` and of `pool` that could not be read, by reason."""
    notes: tuple[str, ...] = ()

    @property
    def share_seen(self) -> float:
        """The share of seen rows among all rows: the prior that `p_seen` is corrected to."""
        return self.seen / (self.seen + self.pool)

    def to_json(self) -> str:
        """Give the text of report.json."""
        return json.dumps(asdict(self) | {"share_seen": self.share_seen}, ensure_ascii=False, indent=2) + "\n"
