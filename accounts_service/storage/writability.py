"""Whether the database takes writes, tried for real.

A row is inserted and deleted in one transaction, which nobody else ever sees:
the write-ahead log grows and is synced as for any change, so that a full disk,
a read-only disk, server or role, and a lock that is never released all show.
On PostgreSQL a disk that is too full for a table to grow shows only once a page
is needed; one that is too full for the log ends the server.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from sqlalchemy import delete

from accounts_service.faults import Overloaded, RefusedError
from accounts_service.lines import Line
from accounts_service.storage.causes import UNRESPONSIVE, Cause, cause_of
from accounts_service.storage.database import Database
from accounts_service.storage.rotation import PROCESS
from accounts_service.storage.statements import Statement, Value, given, insertion

# A write of this process that was so recent, or a try, needs no other one. A failure is looked at again sooner.
_GOOD_FOR_S = 5.0
_BAD_FOR_S = 1.0
# A try that has gone on for so long fails.
_PATIENCE_S = 3.0
# Where there is no turn to write, others write. Not when this process has had none for so long, though it reports
# every ten seconds that it lives.
_STARVED_AFTER_S = 30.0

_INSERT = Statement(insertion(PROCESS))
_DELETE = Statement(delete(PROCESS).where(PROCESS.c.uid == given("uid")))


def try_to_write(database: Database, line: Line | None = None) -> None:
    """Write into the database and leave nothing behind. Raises RefusedError with Overloaded or Unavailable."""
    uid = uuid.uuid4().hex
    row: dict[str, Value] = {"uid": uid, "kind": "try", "host": "", "pid": 0, "keys": "[]", "active": ""}
    with database.begin(line) as connection:
        _INSERT.run(connection, row | {"active_since_us": 0, "seen_us": 0})
        _DELETE.run(connection, {"uid": uid})


class Writability:
    """What this process knows of it. Any number of threads may ask, at any rate: one of them tries, once in a while."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._trying = threading.Lock()
        # Since when a thread has been trying; None while none is.
        self._since: float | None = None
        self._until = float("-inf")
        self._cause: Cause | None = None
        # A line of its own: the line of the writers may be long.
        self._line = Line(1, 1, database.capacity.wait_s)

    def why_not(self) -> Cause | None:
        """Return why no write can succeed; None when one can."""
        if self._is_known():
            return self._cause
        if not self._trying.acquire(blocking=False):
            # What was known before holds until the other thread knows better.
            since = self._since
            return UNRESPONSIVE if since is not None and self._clock() - since > _PATIENCE_S else self._cause
        try:
            if not self._is_known():  # By the thread before.
                self._since = self._clock()
                self._cause = self._try()
                self._until = self._clock() + (_GOOD_FOR_S if self._cause is None else _BAD_FOR_S)
            return self._cause
        finally:
            self._since = None
            self._trying.release()

    def _is_known(self) -> bool:
        now = self._clock()
        if self._database.outage.writes_fail:
            # What went well before is no answer any longer.
            return self._cause is not None and now < self._until
        if now - self._database.outage.wrote_at < _GOOD_FOR_S:
            self._cause = None
            return True
        return now < self._until

    def _try(self) -> Cause | None:
        try:
            try_to_write(self._database, self._line)
        except RefusedError as error:
            is_busy = isinstance(error.fault, Overloaded)
            if is_busy and self._clock() - self._database.outage.wrote_at < _STARVED_AFTER_S:
                return None
            return UNRESPONSIVE if is_busy else cause_of(error)
        return None
