"""Disks that fail for real: small ones, read-only ones."""

import subprocess
from contextlib import contextmanager

import pytest


class Small:
    """A file system in memory."""

    def __init__(self, path):
        self.path = path

    def remount(self, options):
        """Change its size, or make it read-only."""
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True, capture_output=True)


@contextmanager
def small_disk(path, size):
    """Mount a file system of so many bytes; skips the test where this user may not."""
    path.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk cannot be mounted here, only root may: {error}")
    try:
        yield Small(path)
    finally:
        subprocess.run(["umount", "-l", path], check=True)
