"""Sealing and expiring the audit trail."""

from __future__ import annotations

from collections.abc import Sequence
from operator import methodcaller

import structlog

from accounts_service.jobs.loop import Stopping
from accounts_service.storage import retention, seals
from accounts_service.storage.audit import Author
from accounts_service.storage.chain import Head, start
from accounts_service.storage.database import Database
from accounts_service.storage.retention import Expired
from accounts_service.storage.seals import LATE_SECONDS, Chains, Seals
from accounts_service.storage.stored import Stored

log = structlog.get_logger(__name__)

_AUTHOR = Author("accounts", "jobs", "")
_DAY_US = 86_400_000_000


class Trail:
    """The audit trail, as those who look after it see it.

    `kept_days`: None keeps records for good. `stored`: what records are of.
    """

    def __init__(self, database: Database, kept_days: int | None, stored: Sequence[Stored] = ()) -> None:
        self._database = database
        self._kept_days = kept_days
        self._stored = stored
        # What was last seen of each chain: no state that is put back while we run goes unseen.
        self._heads: dict[str, Head] = {}
        self._damaged: frozenset[str] = frozenset()
        self._is_late = False

    def seal(self, stopping: Stopping) -> None:
        """Seal all records there are. The new heads go into the log, which who writes the database cannot change."""
        with self._database.reading(Seals) as opened:
            chains, is_needed, waited_s = opened.chains(), opened.is_needed(), opened.oldest_unsealed_seconds()
        self._look_at(chains)
        self._complain(waited_s or 0.0)
        if is_needed:
            for head in seals.seal(self._database, _AUTHOR):
                self._heads[head.tenant] = head
                if stopping():
                    return

    def _complain(self, waited_s: float) -> None:
        is_late = waited_s > LATE_SECONDS
        # Once for each time that it becomes late, not with each turn.
        if is_late and not self._is_late:
            log.error("audit.sealed_late", seconds=round(waited_s))
        self._is_late = is_late

    def _look_at(self, chains: Chains) -> None:
        for tenant in chains.damaged - self._damaged:
            log.error("audit.head_damaged", tenant=tenant)
        self._damaged = chains.damaged
        for tenant, old in self._heads.items():
            new = chains.heads.get(tenant, start(tenant))
            if tenant not in chains.damaged and (new.number < old.number or (new.number == old.number and new != old)):
                log.error("audit.head_went_back", tenant=tenant, was=str(old), head=str(new))
        # What others have sealed meanwhile, and what there is when we begin, is to be in our log, too.
        for tenant, head in sorted(chains.heads.items()):
            if head != self._heads.get(tenant):
                log.info("audit.sealed", head=str(head))
        self._heads = {
            **{tenant: self._heads[tenant] for tenant in chains.damaged & self._heads.keys()},
            **chains.heads,
        }

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
                removed = self._database.written(
                    Expired, _AUTHOR, methodcaller("remove", tenant, before_us, self._stored)
                )
