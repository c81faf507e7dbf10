"""The queue for SQLite's one writer: fair between the processes of a machine and between the threads of one.

SQLite's own busy handler sleeps and tries again, so whoever came last may win
and others wait until they give up. Here writers stand in line. Between
processes two file locks make a turnstile: who waits for the inner lock holds
the outer one, so nobody has two turns in a row while another waits. Inside a
process a first-in-first-out line, with a time-out, lets one thread at a time go
to the turnstile. A lock of a killed process is released by the kernel.

flock(2) has no time-out. When a process stops while it has its turn, one thread
of each other process waits for it; all others are told to come again.
"""

from __future__ import annotations

import collections
import fcntl
import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accounts_service.folders import give_to_owner_of


class QueueTimeoutError(Exception):
    """The writer was not free in time."""


class QueueBrokenError(Exception):
    """The lock files cannot be opened or locked; the message says why."""


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
        try:
            return turn.wait(timeout) or not self._withdrawn(turn)
        except BaseException:
            # Whoever is interrupted may have been given the turn already.
            if not self._withdrawn(turn):
                self.leave()
            raise

    def leave(self) -> None:
        """Give the turn to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._held = False

    def _withdrawn(self, turn: threading.Event) -> bool:
        with self._lock:
            if turn.is_set():  # It was given after the time-out and before this line.
                return False
            self._waiting.remove(turn)
            return True


class Turnstile:
    """One writer at a time among all processes that use the same `path`."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._of = path
        self._paths = (path.with_name(path.name + "-turn"), path.with_name(path.name + "-writer"))
        self._timeout = timeout
        self._line = Line()
        # Only the thread that the line lets through touches these.
        self._files: tuple[int, ...] = ()
        _ALL.add(self)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn for the length of the block. Raises QueueTimeoutError or QueueBrokenError."""
        line = self._line
        if not line.enter(self._timeout):
            raise QueueTimeoutError
        try:
            inner = self._pass()
            try:
                yield
            finally:
                if self._line is line:  # Not in a child forked in the meantime, whose turn it is not.
                    fcntl.flock(inner, fcntl.LOCK_UN)
        finally:
            if self._line is line:
                line.leave()

    def close(self) -> None:
        """Close the lock files, unless somebody uses them."""
        if self._line.enter(0):
            self._close_files()
            self._line.leave()

    def _pass(self) -> int:
        try:
            outer, inner = self._files = self._files or self._open()
            fcntl.flock(outer, fcntl.LOCK_EX)
            try:
                fcntl.flock(inner, fcntl.LOCK_EX)
            finally:
                fcntl.flock(outer, fcntl.LOCK_UN)
        except OSError as error:
            self._close_files()  # Whatever was locked is not locked any more.
            raise QueueBrokenError(str(error)) from error
        return inner

    def _open(self) -> tuple[int, ...]:
        opened: list[int] = []
        try:
            for path in self._paths:
                opened.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                give_to_owner_of(self._of, opened[-1])
        except OSError:
            for file in opened:
                os.close(file)
            raise
        return tuple(opened)

    def _close_files(self) -> None:
        files, self._files = self._files, ()
        for file in files:
            os.close(file)

    def _start_anew(self) -> None:
        # In a forked child. A lock belongs to the open file, not to the process
        # (flock(2)): the child must not use its parent's, and as long as it kept
        # it open, the lock would outlive the parent. Those who stand in the line
        # are not in this process.
        self._line = Line()
        self._close_files()


_ALL: weakref.WeakSet[Turnstile] = weakref.WeakSet()


def _after_fork() -> None:
    for turnstile in list(_ALL):
        turnstile._start_anew()  # noqa: SLF001  # nobody else may


os.register_at_fork(after_in_child=_after_fork)
