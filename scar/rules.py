"""Every rule: a value that says which scored rows to keep. `a + b` is a chain in which b sees what a kept."""

from scar.selection.config import from_config, to_config
from scar.selection.fuse import Fuse
from scar.selection.rules import *  # noqa: F403 - the one list of rules is there
from scar.selection.rules import __all__ as _rules
from scar.selection.scored import Scored

__all__ = ["Fuse", "Scored", "from_config", "to_config", *_rules]  # noqa: PLE0604
