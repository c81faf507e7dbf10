"""Sealing: records get the next numbers of their tenant and links to the ones before.

Off the way of requests, since a chain within their transactions would make all
writers of a tenant wait for each other. Numbers are given in the order of
sealing; on PostgreSQL ids may be committed in another one.
"""

from __future__ import annotations

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.storage.audit import AUDIT_HEAD, AUDIT_RECORD
from accounts_service.storage.chain import Head, start
from accounts_service.storage.database import Store, TransactionRefusedError
from accounts_service.storage.statements import Statement, Value, given

# So many records at most are sealed in one transaction, which on SQLite keeps others from writing.
BATCH = 500

_UNSEALED = Statement(
    select(AUDIT_RECORD.c.id, AUDIT_RECORD.c.tenant, AUDIT_RECORD.c.mac, AUDIT_RECORD.c.format)
    .where(AUDIT_RECORD.c.number.is_(None))
    .order_by(AUDIT_RECORD.c.id)
    .limit(BATCH)
)
_HEADS = Statement(select(AUDIT_HEAD))
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


class Seals(Store):
    """The heads of all chains."""

    def seal(self) -> tuple[int, list[Head]]:
        """Seal the oldest records that are not; tells how many, and the heads there are now.

        Raises TransactionRefusedError when somebody sealed at the same moment.
        """
        # Heads first: what somebody seals after that moves one of them, and is seen by it. The other way round a head
        # could be newer than the list of what is not sealed.
        there = {row.tenant: Head(row.tenant, row.number, row.link) for row in self._session.read(_HEADS)}
        rows = self._session.read(_UNSEALED).all()
        # In the order of names: who seals at the same time must not wait for one while he holds another.
        before = {tenant: there.get(tenant) or start(tenant) for tenant in sorted({row.tenant for row in rows})}
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

    def is_needed(self) -> bool:
        """Tell whether there is anything to seal; asked before, so that nobody is kept from writing for nothing."""
        return self._session.read(_UNSEALED).first() is not None

    def _move(self, old: Head, new: Head) -> None:
        values: dict[str, Value] = {"tenant": new.tenant, "number": new.number, "link": new.link}
        if old.link:
            moved = self._session.note(_MOVE, **values, old_number=old.number, old_link=old.link)
        else:
            moved = self._session.note(_BEGIN, **values)
        if moved.rowcount != 1:
            raise TransactionRefusedError
