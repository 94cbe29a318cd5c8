"""Push a bundle to the hub. The token comes from the environment or the hub's own login, and is never printed."""

import tempfile
from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils._validators import validate_repo_id

from scar.bundle import Bundle
from scar.errors import InputError, RunError
from scar.training.hub_folder import CHANGING, write_hub_folder

# The bases of the hub's own error are those of the HTTP library that this version of it is built on.
UNREACHABLE = HfHubHTTPError.__bases__


def push(path: Path, name: str, *, private: bool) -> str:
    """Push a bundle to the repository `name`, which is made where it is not there; gives its address.

    Raises InputError without a token or a possible name, RunError where the hub cannot be reached or says no.
    """
    bundle = Bundle.open_ranker(path)
    try:
        validate_repo_id(name)
    except HFValidationError:
        raise InputError(
            f"--push-to-hub {name!r}: not a name that the hub could have; write ORG/NAME"
        ) from None
    if get_token() is None:
        raise InputError("--push-to-hub needs a token of the hub: `hf auth login`, or set HF_TOKEN")
    api = HfApi()
    with tempfile.TemporaryDirectory(prefix="scar-hub") as temp:
        folder = Path(temp)
        write_hub_folder(bundle, folder)
        try:
            address = api.create_repo(name, private=private, exist_ok=True)
            api.upload_folder(
                repo_id=address.repo_id,
                folder_path=folder,
                commit_message=f"{bundle.name}: scar export --push-to-hub",
                # Graphs or a head of an older ranker beside new weights would be scored with.
                delete_patterns=list(CHANGING),
            )
        except UNREACHABLE as error:  # type: ignore[misc]
            raise RunError(f"{api.endpoint}: {name} was not pushed: {_told(error)}") from None
    return str(address)


def _told(error: Exception) -> str:
    """Say what the hub answered, or why there was no answer."""
    if isinstance(error, HfHubHTTPError):
        return f"{error.response.status_code} {error.server_message or error.response.reason_phrase}"
    return f"it cannot be reached ({type(error).__name__})"
