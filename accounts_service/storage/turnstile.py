"""The queue for SQLite's one writer: fair between the processes of a machine and between the threads of one.

SQLite's own busy handler sleeps and tries again, so whoever came last may win;
with eight writing processes some wait five seconds and give up. Here writers
stand in line.

Between processes the line is a row of gates, each a byte of a file to be locked
(fcntl(2), "open file description locks"). Who waits for a gate holds the one
before it, so nobody can overtake who has passed the first. One lock alone, or
two, are not fair: the kernel wakes who has waited, and who has just had a turn
takes the lock again while the other is still waking up. A lock of a killed
process is released by the kernel.

Inside a process a first-in-first-out line lets one thread at a time go to the
gates. The whole wait has a time-out.
"""

from __future__ import annotations

import collections
import fcntl
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class QueueTimeoutError(Exception):
    """The writer was not free in time."""


class QueueBrokenError(Exception):
    """The lock file cannot be opened or locked; the message says why."""


# The last gate, 0, is the turn itself. With more processes than gates those
# outside of the first have no order among them, as at a single lock.
_GATES = 16


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


class _Passage(threading.Thread):
    """The way through the gates when they are not free, in a thread of its own since a lock has no time-out.

    Who waits for it may give up; the process keeps its place among the others
    for whoever comes next. If nobody has come when the way is free, it is given
    back.
    """

    def __init__(self, file: int) -> None:
        super().__init__(name="turnstile", daemon=True)
        self.file = file
        self._changed = threading.Condition()
        self._wanted = True
        self._through = False
        self._given_back = False
        self._failure: OSError | None = None

    def run(self) -> None:
        failure = None
        try:
            _lock(self.file, _GATES - 1)
            for gate in reversed(range(_GATES - 1)):
                _lock(self.file, gate)
                _unlock(self.file, gate + 1)
        except OSError as error:
            failure = error
        with self._changed:
            self._failure = failure
            self._through = failure is None and self._wanted
            self._given_back = not self._through
            if failure is None and not self._wanted:
                _unlock(self.file, 0)
            self._changed.notify()

    def taken_over(self) -> bool:
        """Want it again after another thread has given up; False when it was given back by then."""
        with self._changed:
            self._wanted = True
            return not self._given_back

    def wait(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds; tell whether the turn is held now. Raises OSError."""
        with self._changed:
            try:
                self._changed.wait_for(lambda: self._through or self._given_back, timeout)
            finally:
                self._wanted = self._through
            if self._failure is not None:
                raise self._failure
            return self._through


class Turnstile:
    """One writer at a time among all processes that use the same `path`."""

    def __init__(self, path: Path, timeout: float) -> None:
        self._path = path.with_name(path.name + "-queue")
        self._timeout = timeout
        self._line = Line()
        # Only the thread that the line lets through touches these.
        self._file: int | None = None
        self._passage: _Passage | None = None
        _ALL.add(self)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the turn for the length of the block. Raises QueueTimeoutError or QueueBrokenError."""
        deadline = time.monotonic() + self._timeout
        line = self._line
        if not line.enter(self._timeout):
            raise QueueTimeoutError
        try:
            file = self._pass(deadline)
            try:
                yield
            finally:
                if self._line is line:  # Not in a child forked in the meantime, whose turn it is not.
                    _unlock(file, 0)
        finally:
            if self._line is line:
                line.leave()

    def close(self) -> None:
        """Close the lock file, unless somebody uses it."""
        if self._line.enter(0):
            if self._passage is None:
                self._close_file()
            self._line.leave()

    def _pass(self, deadline: float) -> int:
        try:
            passage = self._passage
            if passage is None or not passage.taken_over():
                self._passage = None
                if self._file is None:
                    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if _locked_at_once(self._file):
                    return self._file
                passage = _Passage(self._file)
                passage.start()
                self._passage = passage
            if not passage.wait(deadline - time.monotonic()):
                raise QueueTimeoutError
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads.
            self._passage = None
            self._close_file()  # Whatever was locked is not locked any more.
            raise QueueBrokenError(str(error)) from error
        self._passage = None
        return passage.file

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _start_anew(self) -> None:
        # In a forked child. A lock belongs to the open file, not to the process
        # (fcntl(2)): the child must not use its parent's, and as long as it kept
        # it open, the lock would outlive the parent. Those who stand in the line
        # are not in this process.
        self._line = Line()
        self._passage = None
        self._close_file()


def _range(kind: int, first: int, count: int) -> bytes:
    # struct flock: type, whence (from the file's start), start, length, pid.
    return struct.pack("hhqqi0q", kind, os.SEEK_SET, first, count, 0)


def _lock(file: int, gate: int) -> None:
    fcntl.fcntl(file, fcntl.F_OFD_SETLKW, _range(fcntl.F_WRLCK, gate, 1))


def _unlock(file: int, first: int, count: int = 1) -> None:
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_UNLCK, first, count))


def _locked_at_once(file: int) -> bool:
    try:
        # All at once, so that nobody who is at any gate is overtaken.
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _range(fcntl.F_WRLCK, 0, _GATES))
    except BlockingIOError:
        return False
    _unlock(file, 1, _GATES - 1)
    return True


_ALL: weakref.WeakSet[Turnstile] = weakref.WeakSet()


def _after_fork() -> None:
    for turnstile in list(_ALL):
        turnstile._start_anew()  # noqa: SLF001  # nobody else may


os.register_at_fork(after_in_child=_after_fork)
