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
    if not pending(folder):
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
    if not pending(folder):
        return  # somebody else did, while we waited
    new = folder / PENDING
    if (new / last).is_file():
        for name in _listed(folder / last) - _listed(new / last):
            (folder / name).unlink(missing_ok=True)
        for file in sorted(new.iterdir()):
            if file.name != last:
                os.replace(file, folder / file.name)
        sync_folder(folder)
        os.replace(new / last, folder / last)
        sync_folder(folder)
    new.rmdir()
    sync_folder(folder)


def pending(folder: Path) -> bool:
    """Tell whether a change was marked as whole and not ended. Raises InputError where a link stands in its place."""
    mark = folder / PENDING
    if mark.is_symlink():
        raise InputError(f"{mark}: a link, which no change of ours leaves; remove it")
    return mark.is_dir()


def _listed(path: Path) -> Set[str]:
    value = read_json(path, "not a whole folder")
    if not isinstance(value, dict) or not isinstance(value.get("files"), dict):
        raise InputError(f"{path}: does not list files; restore it")
    return {name for name in value["files"] if Path(name).name == name and name not in ("", "..")}
