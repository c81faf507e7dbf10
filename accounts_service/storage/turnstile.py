"""The queue for SQLite's one writer: fair between the processes of a machine and between the threads of one.

SQLite's own busy handler sleeps and tries again, so whoever came last may win;
with eight writing processes some wait five seconds and give up. Here writers
stand in line. Between processes two file locks make a turnstile: who waits for
the inner lock holds the outer one, so who has just had a turn cannot have the
next one while another process waits at the inner lock. Inside a process a
first-in-first-out line lets one thread at a time go to the turnstile. The whole
wait has a time-out. A lock of a killed process is released by the kernel.
"""

from __future__ import annotations

import collections
import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


class _Passage(threading.Thread):
    """The way through the turnstile when it is not free, in a thread of its own since flock(2) has no time-out.

    Who waits for it may give up; the process keeps its place among the others
    for whoever comes next. If nobody has come when the way is free, it is given
    back.
    """

    def __init__(self, outer: int, inner: int) -> None:
        super().__init__(name="turnstile", daemon=True)
        self._outer, self._inner = outer, inner
        self._changed = threading.Condition()
        self._wanted = True
        self._through = False
        self._given_back = False
        self._failure: OSError | None = None

    def run(self) -> None:
        failure = None
        try:
            fcntl.flock(self._outer, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._inner, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._outer, fcntl.LOCK_UN)
        except OSError as error:
            failure = error
        with self._changed:
            self._failure = failure
            self._through = failure is None and self._wanted
            self._given_back = not self._through
            if failure is None and not self._wanted:
                fcntl.flock(self._inner, fcntl.LOCK_UN)
            self._changed.notify()

    def taken_over(self) -> bool:
        """Want it again after another thread has given up; False when it was given back by then."""
        with self._changed:
            self._wanted = True
            return not self._given_back

    def wait(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds; tell whether the inner lock is held now. Raises OSError."""
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
        self._paths = (path.with_name(path.name + "-turn"), path.with_name(path.name + "-writer"))
        self._timeout = timeout
        self._line = Line()
        # Only the thread that the line lets through touches these.
        self._files: tuple[int, ...] = ()
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
            inner = self._pass(deadline)
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
            if self._passage is None:
                self._close_files()
            self._line.leave()

    def _pass(self, deadline: float) -> int:
        try:
            passage = self._passage
            if passage is None or not passage.taken_over():
                self._passage = None
                outer, inner = self._files = self._files or self._open()
                if _locked_at_once(outer) and _locked_at_once(inner):
                    fcntl.flock(outer, fcntl.LOCK_UN)
                    return inner
                # If the outer lock is held by now, to lock it once more does nothing.
                passage = _Passage(outer, inner)
                passage.start()
                self._passage = passage
            if not passage.wait(deadline - time.monotonic()):
                raise QueueTimeoutError
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads.
            self._passage = None
            self._close_files()
            raise QueueBrokenError(str(error)) from error
        self._passage = None
        return self._files[1]

    def _open(self) -> tuple[int, ...]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        opened: list[int] = []
        try:
            for path in self._paths:
                opened.append(os.open(path, flags, 0o600))  # noqa: PERF401  # what is open is closed if the next fails
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
        self._passage = None
        self._close_files()


def _locked_at_once(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_ALL: weakref.WeakSet[Turnstile] = weakref.WeakSet()


def _after_fork() -> None:
    for turnstile in list(_ALL):
        turnstile._start_anew()  # noqa: SLF001  # nobody else may


os.register_at_fork(after_in_child=_after_fork)
