"""Sealing: records get the next numbers of their tenant and links to the ones before.

Off the way of requests, since a chain within their transactions would make all
writers of a tenant wait for each other. Numbers are given in the order of
sealing; on PostgreSQL ids may be committed in another one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

import structlog
from sqlalchemy import Row, and_, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.storage.audit import AUDIT_HEAD, AUDIT_RECORD, AUDIT_SEGMENT, Author
from accounts_service.storage.chain import Head, start
from accounts_service.storage.database import Database, Store, TransactionRefusedError
from accounts_service.storage.lists import listed, texts
from accounts_service.storage.statements import Statement, Value, given

log = structlog.get_logger(__name__)

# Until it is sealed a record can be removed unnoticed. The job seals every second.
LATE_SECONDS = 10

# At most this many records are sealed in one transaction, which on SQLite keeps others from writing.
BATCH = 500

_UNSEALED = Statement(
    select(AUDIT_RECORD.c.id, AUDIT_RECORD.c.tenant, AUDIT_RECORD.c.mac, AUDIT_RECORD.c.format)
    .where(AUDIT_RECORD.c.number.is_(None), AUDIT_RECORD.c.tenant.not_in(texts(given("but"))))
    .order_by(AUDIT_RECORD.c.id)
    .limit(BATCH)
)
_OLDEST_UNSEALED = Statement(
    select(AUDIT_RECORD.c.at_us).where(AUDIT_RECORD.c.number.is_(None)).order_by(AUDIT_RECORD.c.id).limit(1)
)
_LAST = AUDIT_RECORD.alias()
_NUMBER_OF_LAST = select(func.max(AUDIT_RECORD.c.number)).where(AUDIT_RECORD.c.tenant == AUDIT_HEAD.c.tenant)
# What is known of each chain at one moment: its head, its last record, and where it goes on from if there is none.
_CHAINS = Statement(
    select(
        AUDIT_HEAD,
        _LAST.c.number.label("last_number"),
        _LAST.c.link.label("last_link"),
        AUDIT_SEGMENT.c.last.label("gone_number"),
        AUDIT_SEGMENT.c.link.label("gone_link"),
    ).select_from(
        AUDIT_HEAD.outerjoin(
            _LAST,
            and_(_LAST.c.tenant == AUDIT_HEAD.c.tenant, _LAST.c.number == _NUMBER_OF_LAST.scalar_subquery()),
        ).outerjoin(AUDIT_SEGMENT, AUDIT_SEGMENT.c.tenant == AUDIT_HEAD.c.tenant)
    )
)
_NUMBERED = Statement(
    select(AUDIT_RECORD.c.id)
    .where(AUDIT_RECORD.c.tenant == given("tenant"), AUDIT_RECORD.c.number.is_not(None))
    .limit(1)
)
_BEGIN = Statement(
    upsert(AUDIT_HEAD)
    .values({name: given(name) for name in ("tenant", "number", "link")})
    .on_conflict_do_nothing(index_elements=[AUDIT_HEAD.c.tenant])
)
_MOVE = Statement(
    update(AUDIT_HEAD)
    .where(*(AUDIT_HEAD.c[name] == given(f"old_{name}") for name in ("number", "link")))
    .where(AUDIT_HEAD.c.tenant == given("tenant"))
    .values(number=given("number"), link=given("link"))
)
_NUMBER = (
    update(AUDIT_RECORD)
    .where(AUDIT_RECORD.c.id == bindparam("record"), AUDIT_RECORD.c.number.is_(None))
    .values(number=bindparam("its_number"), link=bindparam("its_link"))
)


def seal(database: Database, author: Author) -> Iterator[Head]:
    """Seal all records there are, in batches; gives each new head, which goes into the log at once.

    Whoever writes the database cannot change the log. Raises RefusedError with
    Overloaded or Unavailable.
    """
    number = BATCH
    while number == BATCH:
        number, heads = database.written(Seals, author, methodcaller("seal"))
        for head in heads:
            log.info("audit.sealed", head=str(head))
            yield head


def oldest_unsealed_seconds(database: Database) -> float | None:
    """Return the age of the oldest record that is not sealed, None when all are.

    It reads one entry of an index, however many records there are. Raises ReadInterruptedError, or RefusedError.
    """
    with database.reading(Seals) as opened:
        return opened.oldest_unsealed_seconds()


@dataclass(frozen=True, slots=True)
class Chains:
    """The heads that agree with their chains, and the tenants of those that do not: somebody has written there."""

    heads: dict[str, Head]
    damaged: frozenset[str]


class Seals(Store):
    """The heads of all chains."""

    def seal(self) -> tuple[int, list[Head]]:
        """Seal the oldest records that are not; tells how many, and the heads there are now.

        A chain whose head is not that of its last record is left as it is. Raises
        TransactionRefusedError when somebody sealed at the same moment.
        """
        # Heads first: what somebody seals after that moves one of them, and is seen by it. The other way round a head
        # could be newer than the list of what is not sealed.
        chains = self.chains()
        rows = [row for row in self._unsealed(chains.damaged) if self._begins_or_goes_on(chains, row.tenant)]
        # In the order of names: who seals at the same time must not wait for one while he holds another.
        before = {tenant: chains.heads.get(tenant) or start(tenant) for tenant in sorted({row.tenant for row in rows})}
        heads = dict(before)
        numbered = []
        for row in rows:
            heads[row.tenant] = head = heads[row.tenant].followed_by(self._session.vault, row)
            numbered.append({"record": row.id, "its_number": head.number, "its_link": head.link})
        for tenant, old in before.items():
            self._move(old, heads[tenant])
        if numbered and self._session.connection.execute(_NUMBER, numbered).rowcount != len(numbered):
            raise TransactionRefusedError
        return len(rows), [*heads.values()]

    def chains(self) -> Chains:
        """Read the heads, and hold each against the last record of its chain."""
        heads, damaged = {}, set()
        for row in self._session.read(_CHAINS):
            last = (row.last_number, row.last_link)
            if last[0] is None:
                last = (row.gone_number, row.gone_link)
            if isinstance(row.link, bytes) and type(row.number) is int and (row.number, row.link) == last:
                heads[row.tenant] = Head(row.tenant, row.number, row.link)
            else:
                damaged.add(str(row.tenant))
        return Chains(heads, frozenset(damaged - heads.keys()))

    def oldest_unsealed_seconds(self) -> float | None:
        """Return the age of the oldest record that is not sealed, None when all are; 0 for one from the future."""
        at_us = self._session.read(_OLDEST_UNSEALED).scalar_one_or_none()
        if type(at_us) is not int:
            return None
        return max(0, self._session.now_us - at_us) / 1_000_000

    def is_needed(self) -> bool:
        """Tell whether there is anything to seal; asked before, so that nobody is kept from writing for nothing."""
        return bool(self._unsealed(self.chains().damaged))

    def _unsealed(self, but: Collection[str]) -> list[Row[Any]]:
        # What is of other types than ours is left as it is, too, and found by who verifies.
        return [
            row
            for row in self._session.read(_UNSEALED, but=listed([tenant] for tenant in sorted(but)))
            if isinstance(row.tenant, str) and isinstance(row.mac, bytes) and type(row.format) is int
        ]

    def _begins_or_goes_on(self, chains: Chains, tenant: str) -> bool:
        """Tell whether a chain has a head or no record; one that lost its head does not begin a second time."""
        return tenant in chains.heads or self._session.read(_NUMBERED, tenant=tenant).first() is None

    def _move(self, old: Head, new: Head) -> None:
        values: dict[str, Value] = {"tenant": new.tenant, "number": new.number, "link": new.link}
        if old.link:
            moved = self._session.note(_MOVE, **values, old_number=old.number, old_link=old.link)
        else:
            moved = self._session.note(_BEGIN, **values)
        if moved.rowcount != 1:
            raise TransactionRefusedError
