"""The keys file while the service runs: seen when it changes, and changed without ever being half there."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

import structlog

from accounts_service.storage.sealed import BadKeysFileError, Keyring, Vault, load_keyring

log = structlog.get_logger(__name__)

T = TypeVar("T")

_Signature: TypeAlias = tuple[int, ...]


class KeysFile:
    """The file as one process sees it. What is refused leaves the keys as they are, and is logged once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Signature | None = None
        self._told = ""

    def read(self) -> Keyring:
        """Read the file. Raises BadKeysFileError."""
        # Looked at before it is read: who changes it in between is seen at the next look.
        seen = _signature(self._path)
        keyring = load_keyring(self._path)
        self._seen = seen
        return keyring

    def newer(self, held: Keyring) -> Keyring | None:
        """Give the keys of a file that has changed since, or None: not changed, or of no use."""
        if self._seen is not None and _signature(self._path) == self._seen:
            return None
        try:
            keyring = self.read()
            if (keyring.mac, keyring.fingerprint) != (held.mac, held.fingerprint):
                self._seen = None
                raise BadKeysFileError(f"{self._path} is of another installation: its mac or fingerprint key differs")
        except BadKeysFileError as error:
            if str(error) != self._told:
                log.error("keys.refused", reason=str(error), active=held.active, keys=sorted(held.wrapping))
            self._told = str(error)
            return None
        self._told = ""
        if keyring != held:
            log.info("keys.changed", active=keyring.active, keys=sorted(keyring.wrapping))
        return keyring


def open_vault(path: Path) -> Vault:
    """Make a vault that goes along with the keys file at `path`. Raises BadKeysFileError."""
    file = KeysFile(path)
    return Vault(file.read(), file.newer)


def change(path: Path, act: Callable[[Keyring], tuple[Keyring, T]]) -> T:
    """Put the keys that `act` makes of those that are there in their place, whole or not at all.

    One change waits for another, so that none is lost. Returns what else `act`
    gives. Raises BadKeysFileError, and what `act` raises; then nothing is changed.
    """
    path = path.resolve()  # A link stays one.
    try:
        with _held(path.parent) as folder:
            keyring, told = act(load_keyring(path))
            _replace(path, keyring.to_json())
            os.fsync(folder)
    except OSError as error:
        raise BadKeysFileError(f"{path}: {error.strerror}") from None
    return told


def _signature(path: Path) -> _Signature | None:
    # The time of the last change of the inode, too: who mends a file's mode changes nothing else.
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)


@contextmanager
def _held(folder: Path) -> Iterator[int]:
    # By the folder: a lock on the file would be one on what is replaced.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    before = path.stat()
    # One name, so that who dies here leaves one file behind, which the next takes away.
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
