"""Folders that hold what only the service may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def make_private(directory: Path) -> None:
    """Make a directory and its missing parents for their owner alone; those that exist stay as they are.

    Whatever the umask: a server that makes a socket for its group has one that
    would take the owner's right to enter.
    """
    for missing in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(0o700)


def give_to_owner_of(path: Path, descriptor: int) -> None:
    """Give a file that goes with `path` to the owner of that, as SQLite does with its own files.

    Otherwise a command that root runs would make files that the service may not open.
    """
    if os.geteuid() == 0:
        with suppress(FileNotFoundError):
            status = path.stat()
            os.fchown(descriptor, status.st_uid, status.st_gid)
