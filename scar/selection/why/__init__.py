"""What is left beside a kept file: a manifest of how it was made, and what became of every record of the pool."""

from scar.selection.why.explain import Explained, Neighbour, why
from scar.selection.why.folder import KeptFolder, why_folder
from scar.selection.why.manifest import Manifest

__all__ = ["Explained", "KeptFolder", "Manifest", "Neighbour", "why", "why_folder"]
