"""Sealing and expiring the audit trail."""

from __future__ import annotations

from operator import methodcaller

import structlog

from accounts_service.jobs.loop import Stopping
from accounts_service.storage import retention
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database
from accounts_service.storage.retention import Expired
from accounts_service.storage.seals import BATCH, Seals

log = structlog.get_logger(__name__)

_AUTHOR = Author("accounts", "jobs", "")
_DAY_US = 86_400_000_000


class Trail:
    """The audit trail, as those who look after it see it. `kept_days`: None keeps records for good."""

    def __init__(self, database: Database, kept_days: int | None) -> None:
        self._database = database
        self._kept_days = kept_days

    def seal(self, stopping: Stopping) -> None:
        """Seal all records there are. The new heads go into the log, which who writes the database cannot change."""
        with self._database.reading(Seals) as seals:
            is_needed = seals.is_needed()
        while is_needed and not stopping():
            number, heads = self._database.written(Seals, _AUTHOR, methodcaller("seal"))
            for head in heads:
                log.info("audit.sealed", head=str(head))
            if number < BATCH:
                return

    def expire(self, stopping: Stopping) -> None:
        """Remove records that are older than they are kept; what was tampered with stays where it is."""
        if self._kept_days is None:
            return
        before_us = self._database.now_us() - self._kept_days * _DAY_US
        with self._database.reading(Expired) as expired:
            tenants = expired.tenants()
        for tenant in tenants:
            removed = retention.BATCH
            while removed == retention.BATCH and not stopping():
                removed = self._database.written(Expired, _AUTHOR, methodcaller("remove", tenant, before_us))
