"""The keys file while the service runs: seen when it changes, and changed without ever being half there."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import structlog

from accounts_service.storage.sealed import BadKeysFileError, Keyring, Vault, load_keyring

log = structlog.get_logger(__name__)

T = TypeVar("T")

_Signature: TypeAlias = tuple[int, ...]


# Raises BadKeysFileError for keys that must not take the place of those that are held, which come second.
Judge: TypeAlias = Callable[[Keyring, Keyring], None]


def _trusted(_: Keyring, __: Keyring) -> None:
    """Take any keys that go with those that are held."""


class KeysFile:
    """The file as one process sees it. What is refused leaves the keys as they are, and is logged once.

    `problem` says why the file cannot be used; it is empty while it can. With `is_keeping`, keys that go from the file
    stay in memory.
    """

    def __init__(self, path: Path, *, is_keeping: bool = False) -> None:
        self.path = path
        self.problem = ""
        self.judge: Judge = _trusted
        self._is_keeping = is_keeping
        self._seen: _Signature | None = None

    def read(self) -> Keyring:
        """Read the file. Raises BadKeysFileError."""
        # Looked at before it is read: who changes it in between is seen at the next look.
        seen = _signature(self.path)
        keyring = load_keyring(self.path)
        self._seen = seen
        return keyring

    def newer(self, held: Keyring) -> Keyring | None:
        """Give the keys of a file that has changed since, or None: not changed, or of no use."""
        if self._seen is not None and _signature(self.path) == self._seen:
            return None
        try:
            keyring = self.read()
            if keyring != held:
                self._require_kin(keyring, held)
                self.judge(keyring, held)
        except BadKeysFileError as error:
            # Looked at again, since the same file may be put back, or be right for the database of then.
            self._seen = None
            if str(error) != self.problem:
                log.error("keys.refused", reason=str(error), active=held.active, keys=sorted(held.wrapping))
            self.problem = str(error)
            return None
        if self.problem:
            log.info("keys.file_usable", active=keyring.active)
        self.problem = ""
        if self._is_keeping:
            keyring = replace(keyring, wrapping={**held.wrapping, **keyring.wrapping})
        if keyring != held:
            log.info("keys.changed", active=keyring.active, keys=sorted(keyring.wrapping))
        return keyring

    def _require_kin(self, keyring: Keyring, held: Keyring) -> None:
        if (keyring.mac, keyring.fingerprint) != (held.mac, held.fingerprint):
            raise BadKeysFileError(f"{self.path} is of another installation: its mac or fingerprint key differs")
        changed = [name for name, key in keyring.wrapping.items() if held.wrapping.get(name, key) != key]
        if changed:
            raise BadKeysFileError(f"{self.path} has another key under the id {', '.join(sorted(changed))}")


class FileVault(Vault):
    """A vault that goes along with its keys file, and outlives it."""

    def __init__(self, keyring: Keyring, file: KeysFile) -> None:
        super().__init__(keyring, file.newer)
        self.source = str(file.path)
        self._file = file

    @property
    def problem(self) -> str:
        """Why the keys exist in memory only; empty while their file can be used."""
        return self._file.problem

    @property
    def keyring(self) -> Keyring:
        """The keys that are held, for the processes that this one starts."""
        return self._keyring

    def judged_by(self, judge: Judge) -> None:
        """Have `judge` look at keys before they take the place of those that are held."""
        self._file.judge = judge

    def keeping(self) -> FileVault:
        """Return a vault of the same keys and file that keeps every key: what others are started from."""
        return FileVault(self._keyring, KeysFile(self._file.path, is_keeping=True))


def open_vault(path: Path, held: Keyring | None = None) -> FileVault:
    """Make a vault that goes along with the keys file at `path`.

    Keys that are `held` already are used until the first look, which judges the file. Without them the file is read at
    once, and BadKeysFileError is raised.
    """
    file = KeysFile(path)
    return FileVault(file.read() if held is None else held, file)


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
