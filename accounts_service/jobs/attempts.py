"""Recording attempts that came to nothing: many in one record, so that who guesses does not write the audit trail."""

from __future__ import annotations

from operator import methodcaller

import structlog

from accounts_service.jobs.loop import Stopping
from accounts_service.storage import log_in_limits
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database
from accounts_service.storage.limits import FailedAttempts, Limits
from accounts_service.storage.tallies import Tallies
from accounts_service.storage.witness import Records, UnreadableTallyError, record_of

log = structlog.get_logger(__name__)

_AUTHOR = Author("accounts", "jobs", "")


class Attempts:
    """Reads counts of attempts, and writes what has failed into the audit trail."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._tallies = Tallies(limits)

    def record(self, stopping: Stopping) -> None:
        """Record what has failed since the last time, and what was counted in the minutes that are over.

        Recorded first and counted as such then: who dies in between leaves it to
        be recorded again, which is the lesser evil.
        """
        for failures in self._limits.untold():
            if stopping():
                return
            self._database.written(FailedAttempts, _AUTHOR, methodcaller("record", failures))
            self._limits.tell(failures)
        for tally in self._tallies.ended():
            if stopping():
                return
            try:
                author, change = record_of(tally)
            except UnreadableTallyError:
                # Taken away as if it were told: it would come again each time, and others wait behind it.
                log.error("attempts.unreadable", since_s=tally.since_s)
            else:
                self._database.written(Records, author, methodcaller("told", change))
            self._tallies.tell(tally)

    def forget(self, _: Stopping) -> None:
        """Delete counts that limit nothing any longer."""
        self._limits.forget()
        log_in_limits.forget(self._limits)
