"""What a selection did to a pool: always looked at, because a score can prefer what nobody meant it to."""

from scar.selection.audit.audit import Audit, audit_of, sample_of
from scar.selection.audit.sample import Sample
from scar.selection.audit.side import Side

__all__ = ["Audit", "Sample", "Side", "audit_of", "sample_of"]
