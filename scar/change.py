"""Change several files of a folder at once: whoever dies in between, the next one who looks ends the change.

The new files are gathered in a hidden folder; one rename marks it as whole. From then on they only need to be moved,
and whoever comes next does that; before, the folder is as it was.
"""

import errno
import os
from collections.abc import Set
from pathlib import Path

from scar.errors import InputError
from scar.files import read_json, sync_folder
from scar.folders import held, sync_tree

PENDING = ".changed"


def commit(folder: Path, staged: Path, last: str) -> None:
    """Move the files of `staged` into the folder, `last` after all others; what the new `last` does not list goes.

    `last` is a JSON file whose `files` names the files of the folder. The caller holds the folder.
    """
    sync_tree(staged)
    os.replace(staged, folder / PENDING)
    sync_folder(folder)
    finish_held(folder, last)


def finish(folder: Path, last: str) -> None:
    """End a change that was marked as whole and whose maker died. Raises InputError where that cannot be."""
    if not (folder / PENDING).is_dir():
        return
    try:
        with held(folder, shared=False):
            finish_held(folder, last)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise InputError(
            f"{folder}: a change of it was cut short, and {error.filename} cannot be written: "
            "open it once where it can be"
        ) from None


def finish_held(folder: Path, last: str) -> None:
    """Do so for a caller who holds the folder."""
    pending = folder / PENDING
    if not pending.is_dir():
        return  # somebody else did, while we waited
    if (pending / last).is_file():
        for name in _listed(folder / last) - _listed(pending / last):
            (folder / name).unlink(missing_ok=True)
        for file in sorted(pending.iterdir()):
            if file.name != last:
                os.replace(file, folder / file.name)
        sync_folder(folder)
        os.replace(pending / last, folder / last)
        sync_folder(folder)
    pending.rmdir()
    sync_folder(folder)


def _listed(path: Path) -> Set[str]:
    return {Path(name).name for name in read_json(path, "not a whole folder")["files"]}
