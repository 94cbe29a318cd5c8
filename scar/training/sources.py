"""Find the files of a published model: a folder, the demo package, the hub's cache, the hub. Loads nothing."""

import logging
from dataclasses import dataclass
from pathlib import Path

from scar.bundle import TOKENIZER
from scar.errors import InputError
from scar.files import sha256
from scar.training import demo_encoder

log = logging.getLogger("scar")
CONFIG = "config.json"


@dataclass(frozen=True)
class Found:
    """Where a model was found, and which version of it."""

    name: str
    path: Path
    origin: str
    revision: str


def find(name: str, revision: str | None = None, *, weights: bool = True, what: str = "encoder") -> Found:
    """Look a model up: a folder, then the demo package, then the hub cache, then the hub.

    A `revision` is one of the hub's: the demo package is passed over. Without `weights` only config and tokenizer are
    fetched and needed. Raises InputError where the model is nowhere, saying where was looked; `what` names it there.
    """
    if Path(name).is_dir():
        if revision:
            raise InputError(f"{what} {name!r} is a folder: it has no revision {revision!r}")
        return Found(name, Path(name), "folder", _folder_revision(Path(name), weights=weights))
    if name == demo_encoder.NAME and not revision and (folder := demo_encoder.find()):
        log.info("encoder %s: taken from the installed package %s", name, demo_encoder.PACKAGE)
        return Found(name, folder, demo_encoder.ORIGIN, f"sha256:{demo_encoder.SHA256}")
    return _from_hub(name, revision, weights=weights, what=what)


def _folder_revision(folder: Path, *, weights: bool) -> str:
    patterns = WEIGHT_FILES if weights else [CONFIG, TOKENIZER]
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return "sha256:" + ",".join(sha256(path) for path in files) if files else "unknown"


_TEXTS = ["*.json", "*.txt", "*.model"]
WEIGHT_FILES = ["*.safetensors", "pytorch_model*.bin"]
_ELSEWHERE = ["*/*"]
"""Sub-folders hold the weights once more, for other runtimes."""


def _from_hub(name: str, revision: str | None, *, weights: bool, what: str) -> Found:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    reason: Exception | None = None
    for local in (True, False):
        try:
            found = snapshot_download(
                name,
                revision=revision,
                allow_patterns=[*_TEXTS, *WEIGHT_FILES] if weights else _TEXTS,
                ignore_patterns=_ELSEWHERE,
                local_files_only=local,
            )
        except HFValidationError:
            raise InputError(
                f"{what} {name!r}: no such folder, and not a name that the hub could have"
            ) from None
        # The bases of the hub's own error are those of the HTTP library that this version of it is built on.
        except (LocalEntryNotFoundError, *HfHubHTTPError.__bases__) as error:  # type: ignore[misc]
            reason = error
            continue
        if _whole(Path(found), weights=weights):
            # A snapshot's folder is named by its commit.
            return Found(name, Path(found), "hub cache" if local else "hub", Path(found).name)
    lacking = "no weights" if weights else "no config and tokenizer"
    why = type(reason).__name__ if reason else f"its files hold {lacking}"
    raise InputError(
        f"{what} {name!r}: not a folder, not in the hub cache as a whole, and not to be had from the hub ({why}); "
        f"give a folder{' with --encoder' if what == 'encoder' else ''}"
    )


def _whole(folder: Path, *, weights: bool) -> bool:
    """Tell whether a snapshot has what is wanted of it: an interrupted download leaves a folder without."""
    if not weights:
        return (folder / CONFIG).is_file() and has_tokenizer(folder)
    return any(path for pattern in WEIGHT_FILES for path in folder.glob(pattern))


TOKENIZERS = (TOKENIZER, "vocab.txt", "vocab.json", "*.model")


def has_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds a tokenizer's files."""
    return any(path for pattern in TOKENIZERS for path in folder.glob(pattern))
