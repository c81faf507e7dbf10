"""Recording attempts that came to nothing: many in one record, so that who guesses does not write the audit trail."""

from __future__ import annotations

from operator import methodcaller

from accounts_service.jobs.loop import Stopping
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database
from accounts_service.storage.limits import FailedAttempts, Limits

_AUTHOR = Author("accounts", "jobs", "")


class Attempts:
    """Reads counts of attempts, and writes what has failed into the audit trail."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    def record(self, stopping: Stopping) -> None:
        """Record what has failed since the last time.

        Recorded first and counted as such then: who dies in between leaves it to
        be recorded again, which is the lesser evil.
        """
        for failures in self._limits.untold():
            if stopping():
                return
            self._database.written(FailedAttempts, _AUTHOR, methodcaller("record", failures))
            self._limits.tell(failures)

    def forget(self, _: Stopping) -> None:
        """Delete counts that hold nobody back any more."""
        self._limits.forget()
