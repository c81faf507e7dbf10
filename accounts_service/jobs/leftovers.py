"""Forgetting what was: versions that are neither young nor among the last ones, and what was deleted long ago."""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller

import structlog

from accounts_service.jobs.loop import Stopping
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database
from accounts_service.web.services import Leftovers

log = structlog.get_logger(__name__)

_AUTHOR = Author("accounts", "jobs", "")
_DAY_US = 24 * 3600 * 1_000_000


class Forgetting:
    """Goes through what families keep, piece by piece, so that nobody who writes waits long."""

    def __init__(self, database: Database, families: Sequence[type[Leftovers]], kept: int, days: int) -> None:
        self._database = database
        self._families = families
        self._kept = kept
        self._days = days

    def purge(self, stopping: Stopping) -> None:
        """Forget what was deleted too long ago."""
        for family in self._families:
            more = True
            while more and not stopping():
                more = self._database.written(family, _AUTHOR, methodcaller("purge", self._before_us()))

    def prune(self, stopping: Stopping) -> None:
        """Delete versions that are too old, from the oldest on."""
        for family in self._families:
            after_us: int | None = 0
            while after_us is not None and not stopping():
                piece = methodcaller("prune", after_us, self._before_us(), self._kept)
                after_us = self._database.written(family, _AUTHOR, piece)

    def recount(self, _: Stopping) -> None:
        """Correct what is counted of each tenant and principal, which a release that does not count leaves behind.

        What is stored and what is counted are read as of one moment, so the
        difference holds whatever is written meanwhile.
        """
        for family in self._families:
            with self._database.snapshot(family, is_long=True) as opened:
                drift = opened.drift()
            if drift.amounts:
                log.warning("quota.recounted", subjects=len(drift.amounts))
                self._database.written(family, _AUTHOR, methodcaller("correct", drift))

    def _before_us(self) -> int:
        return self._database.now_us() - self._days * _DAY_US
