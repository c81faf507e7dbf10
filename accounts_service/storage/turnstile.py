"""The queue for SQLite's one writer: fair between the processes of a machine and between the threads of one.

SQLite's own busy handler sleeps and tries again, so whoever came last may win;
with eight writing processes some wait five seconds and give up. Here writers
stand in line. Between processes two file locks make a turnstile: who waits for
the inner lock holds the outer one, so at most one process can overtake. Inside
a process a first-in-first-out line lets one thread at a time go to the
turnstile, with a time-out. A lock of a killed process is released by the kernel.
"""

from __future__ import annotations

import collections
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class QueueTimeoutError(Exception):
    """The writer was not free in time."""


class Line:
    """First in, first out, with a time-out; for the threads of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: collections.deque[threading.Event] = collections.deque()
        self._held = False

    def enter(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds; tell whether the turn was given."""
        with self._lock:
            if not self._held:
                self._held = True
                return True
            turn = threading.Event()
            self._waiting.append(turn)
        if turn.wait(timeout):
            return True
        with self._lock:
            if turn.is_set():  # It was given between the time-out and this line.
                return True
            self._waiting.remove(turn)
            return False

    def leave(self) -> None:
        """Give the turn to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False


class Turnstile:
    """One writer at a time among all processes that use the same `path`."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._paths = (path.with_name(path.name + "-turn"), path.with_name(path.name + "-writer"))
        self._timeout = timeout
        self._line = Line()
        self._files: tuple[int, int] | None = None
        self._pid = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn for the length of the block. Raises QueueTimeoutError."""
        if not self._line.enter(self._timeout):
            raise QueueTimeoutError
        try:
            outer, inner = self._open()
            fcntl.flock(outer, fcntl.LOCK_EX)
            try:
                fcntl.flock(inner, fcntl.LOCK_EX)
            finally:
                fcntl.flock(outer, fcntl.LOCK_UN)
            try:
                yield
            finally:
                fcntl.flock(inner, fcntl.LOCK_UN)
        finally:
            self._line.leave()

    def _open(self) -> tuple[int, int]:
        # Only the thread whose turn it is comes here. A forked child must not
        # share its parent's open files: a lock belongs to the open file, not
        # to the process (flock(2)).
        if self._files is None or self._pid != os.getpid():
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            outer, inner = (os.open(path, flags, 0o600) for path in self._paths)
            self._files, self._pid = (outer, inner), os.getpid()
        return self._files
