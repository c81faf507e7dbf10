"""The outage that a process is in: how long it has lasted, what to tell callers, and what to write into the log.

An outage fails every request, and would fill a disk that may be full already:
the stack of each cause is logged once, after that a count a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import Enum

import structlog

from accounts_service.faults import RefusedError, Unavailable
from accounts_service.logs import describe
from accounts_service.storage.causes import Cause, cause_of

log = structlog.get_logger(__name__)

# A caller waits at most for a part of the time that the outage has already lasted, so that its end is seen soon.
_SHARE = 4
_LONGEST_RETRY_AFTER_S = 15
_LINES_APART_S = 1.0
# What comes back so soon goes on: its stack is in the log.
_FORGOTTEN_AFTER_S = 60.0


class Access(Enum):
    """What fails by itself: a full disk can be read, and the file of the counts is another one."""

    READ = "read"
    WRITE = "write"
    COUNT = "count"


class Outage:
    """Whether a database can be used by this process. Any number of threads may tell."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._is_logged = True
        # Since when each access fails.
        self._failing: dict[Access, float] = {}
        self._cause: Cause | None = None
        # Causes whose stack is in the log.
        self._told: set[str] = set()
        self._uncounted = 0
        self._failures = 0
        self._next_line = 0.0
        self._is_told = False
        self._ended = 0.0
        # When this process last wrote, by the clock.
        self.wrote_at = float("-inf")

    def keep_quiet(self) -> None:
        """Write nothing into the log, as in a command, which tells its caller."""
        self._is_logged = False

    @property
    def cause(self) -> Cause | None:
        """Why the database cannot be used; None where it can, as far as this process knows."""
        return self._cause if self._failing else None

    @property
    def writes_fail(self) -> bool:
        """Return whether the newest write of this process failed."""
        return Access.WRITE in self._failing

    def failed(self, access: Access, error: BaseException) -> RefusedError:
        """Note a failure; returns what to raise for it, with the seconds after which to try again."""
        cause = cause_of(error)
        with self._lock:
            now = self._clock()
            if not self._failing:
                self._begin(now)
            since = self._failing.setdefault(access, now)
            self._failures += 1
            self._uncounted += 1
            self._cause = cause
            self._tell(access, cause, error, now)
        retry_after = int(now - since) // _SHARE
        return RefusedError(Unavailable(min(max(1, retry_after), _LONGEST_RETRY_AFTER_S)))

    def passed(self, access: Access) -> None:
        """Note that the database was used without failure. What writes can read as well."""
        if access is Access.WRITE:
            self.wrote_at = self._clock()
        if not self._failing:  # Without the lock: it is so for nearly every request.
            return
        with self._lock:
            self._failing.pop(access, None)
            if access is Access.WRITE:
                self._failing.pop(Access.READ, None)
            if not self._failing:
                self._end(self._clock())

    def _begin(self, now: float) -> None:
        if now - self._ended > _FORGOTTEN_AFTER_S:
            self._told.clear()
        self._began = now
        self._failures = self._uncounted = 0
        self._is_told = False

    def _tell(self, access: Access, cause: Cause, error: BaseException, now: float) -> None:
        if cause.name not in self._told:
            self._told.add(cause.name)
            self._write("storage.unavailable", access=access.value, cause=cause, trace=describe(error))
        elif now >= self._next_line:
            self._write("storage.still_unavailable", access=access.value, cause=cause, failures=self._uncounted)
        else:
            return
        self._next_line = now + _LINES_APART_S
        self._uncounted = 0
        self._is_told = True

    def _end(self, now: float) -> None:
        self._ended = now
        # One that was too short for a line of its own has none of its end, either: where every other request fails,
        # there would be a line for each.
        if self._is_told and self._is_logged:
            log.warning("storage.available", after_s=round(now - self._began, 1), failures=self._failures)
        self._cause = None

    def _write(self, event: str, *, cause: Cause, **values: object) -> None:
        if self._is_logged:
            log.error(event, cause=cause.name, reason=cause.text, todo=cause.todo, **values)
