"""Removing old records: from the beginning of a chain on, each time with a segment that says how far.

A segment carries a keyed MAC, so that nobody else can say that records are gone
because of their age. What was tampered with is not removed: it is evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Row, and_, delete, exists, func, not_, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.faults import Json
from accounts_service.storage import lasts
from accounts_service.storage.audit import AUDIT_HEAD, AUDIT_NAME, AUDIT_RECORD, AUDIT_SEGMENT, Change, is_genuine
from accounts_service.storage.chain import Head, is_genuine_segment, segment_mac, start
from accounts_service.storage.database import RecordedStatement, Store, TransactionRefusedError
from accounts_service.storage.lists import listed, texts
from accounts_service.storage.names import ERASE, FAMILY, hold_still
from accounts_service.storage.statements import Statement, Value, given
from accounts_service.storage.stored import Stored

log = structlog.get_logger(__name__)

EXPIRE = "cluster:admin:accounts:audit/expire"

# So many records at most go in one transaction.
BATCH = 500

_TENANTS = Statement(select(AUDIT_HEAD.c.tenant).order_by(AUDIT_HEAD.c.tenant.desc()))
_SEGMENTS = Statement(select(AUDIT_SEGMENT).where(AUDIT_SEGMENT.c.tenant == given("tenant")))
_OF_TENANT = AUDIT_RECORD.c.tenant == given("tenant")
_NEXT = Statement(
    select(AUDIT_RECORD)
    .where(_OF_TENANT, AUDIT_RECORD.c.number > given("last"))
    .order_by(AUDIT_RECORD.c.number)
    .limit(given("most"))
)
_OLDEST_OTHER = Statement(
    select(func.min(AUDIT_RECORD.c.id)).where(
        or_(AUDIT_RECORD.c.number.is_(None), not_(and_(_OF_TENANT, AUDIT_RECORD.c.number <= given("last"))))
    )
)
_REMOVE = Statement(delete(AUDIT_RECORD).where(_OF_TENANT, AUDIT_RECORD.c.number <= given("last")))
_DROP = Statement(
    delete(AUDIT_SEGMENT).where(AUDIT_SEGMENT.c.tenant == given("tenant"), AUDIT_SEGMENT.c.last == given("old_last"))
)
_ADD = Statement(
    upsert(AUDIT_SEGMENT)
    .values({column.name: given(column.name) for column in AUDIT_SEGMENT.columns})
    .on_conflict_do_nothing()
)
_FORGET = Statement(
    delete(AUDIT_NAME).where(
        AUDIT_NAME.c.ref.in_(texts(given("refs"))),
        *(~exists().where(AUDIT_RECORD.c[name] == AUDIT_NAME.c.ref) for name in ("actor", "object")),
    )
)
_RECORD = RecordedStatement()


class Expired(Store):
    """Records that are older than they are kept."""

    def tenants(self) -> list[str]:
        """Name the tenants that have a chain. The global one comes last, since it tells what became of the others."""
        return [row.tenant for row in self._session.read(_TENANTS)]

    def remove(self, tenant: str, before_us: int, stored: Sequence[Stored]) -> int:
        """Remove the oldest records of a tenant that are from before `before_us`; tells how many went.

        Of what is `stored` still the newest version is kept. Raises
        TransactionRefusedError when somebody did so at the same moment.
        """
        end = self._end(tenant)
        if end is None:
            return 0
        rows, last = self._removable(end, before_us)
        # A removal is recorded; those records alone are not worth another one, or they would follow each other forever.
        # A whole batch of them goes: it makes one.
        if len(rows) < BATCH and all(row.act == EXPIRE for row in rows):
            return 0
        hold_still(self._session.connection)
        self._replace(end, last)
        lasts.keep(self._session, rows)
        lasts.forget(self._session, stored)
        if self._session.note(_REMOVE, tenant=tenant, last=last.number).rowcount != len(rows):
            raise TransactionRefusedError
        refs = sorted({ref for row in rows for ref in (row.actor, row.object)})
        detail: dict[str, Json] = {"tenant": tenant, "first": end.number + 1, "last": last.number}
        self._session.write(Change(FAMILY, "", EXPIRE, "records", "", 0, detail), _RECORD)
        self._session.note(_FORGET, refs=listed([ref] for ref in refs))
        return len(rows)

    def _end(self, tenant: str) -> Head | None:
        """Tell up to where records are gone; None where somebody else has said so."""
        segments = self._session.read(_SEGMENTS, tenant=tenant).all()
        if len(segments) > 1 or not all(is_genuine_segment(self._session.vault, row) for row in segments):
            log.error("audit.not_expired", tenant=tenant, reason="segment")
            return None
        return Head(tenant, segments[0].last, segments[0].link) if segments else start(tenant)

    def _removable(self, end: Head, before_us: int) -> tuple[list[Row[Any]], Head]:
        rows: list[Row[Any]] = []
        for row in self._session.read(_NEXT, tenant=end.tenant, last=end.number, most=BATCH):
            new = end.followed_by(self._session.vault, row)
            if (new.number, new.link) != (row.number, row.link) or not is_genuine(self._session.vault, row):
                log.error("audit.not_expired", tenant=end.tenant, reason="record", id=row.id)
                break
            if row.at_us >= before_us or (row.act == ERASE and self._is_needed(row)):
                break
            rows.append(row)
            end = new
        return rows, end

    def _is_needed(self, erasure: Row[Any]) -> bool:
        """Tell whether there are records from before an erasure, whose names it accounts for."""
        oldest: int = self._session.read(_OLDEST_OTHER, tenant=erasure.tenant, last=erasure.number - 1).scalar_one()
        return oldest < int(erasure.id)

    def _replace(self, old: Head, new: Head) -> None:
        now_us = self._session.now_us
        if old.number and self._session.note(_DROP, tenant=old.tenant, old_last=old.number).rowcount != 1:
            raise TransactionRefusedError
        mac = segment_mac(self._session.vault, new, 1, now_us)
        values: dict[str, Value] = {"tenant": new.tenant, "last": new.number, "first": 1, "link": new.link}
        if self._session.note(_ADD, **values, removed_us=now_us, mac=mac).rowcount != 1:
            raise TransactionRefusedError
