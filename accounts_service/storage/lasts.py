"""What is kept of things whose records are all gone: their newest version and what it was called, under a MAC.

Without it nothing could be said any more of what has not changed for long, and
whoever writes the database could make up a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, delete, exists, select
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.storage.audit import AUDIT_LAST, is_counted
from accounts_service.storage.database import Session
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Statement, given
from accounts_service.storage.stored import Stored

_FIELDS = ("uid", "family", "tenant", "object", "version", "format")

_INSERT = upsert(AUDIT_LAST).values({column.name: given(column.name) for column in AUDIT_LAST.columns})
_KEEP = Statement(
    _INSERT.on_conflict_do_update(
        index_elements=[AUDIT_LAST.c.uid],
        set_={column.name: _INSERT.excluded[column.name] for column in AUDIT_LAST.columns if not column.primary_key},
    )
)


def keep(session: Session, rows: Iterable[Row[Any]]) -> None:
    """Keep what records say that are about to go. They come by number, so the last of a `uid` is its newest."""
    newest = {row.uid: row for row in rows if is_counted(row)}
    # In the order of names: who does so at the same time must not wait for one while he holds another.
    for uid in sorted(newest):
        values = {name: getattr(newest[uid], name) for name in _FIELDS}
        session.note(_KEEP, **values, mac=_mac(session.vault, newest[uid]))


def forget(session: Session, stored: Sequence[Stored]) -> None:
    """Forget what is no more. Who brings it back past the service brings back what nothing is known of."""
    gone = [~exists().where(one.uid == AUDIT_LAST.c.uid) for one in stored]
    # Who does not know what is stored forgets nothing.
    if gone:
        session.connection.execute(delete(AUDIT_LAST).where(*gone))


def kept(session: Session, uids: Sequence[str]) -> dict[str, Row[Any]]:
    """Give what is kept of some things, by `uid`; what was not written by us is not there."""
    rows = session.select(select(AUDIT_LAST).where(AUDIT_LAST.c.uid.in_(uids)), again=True)
    return {row.uid: row for row in rows if row.mac == _mac(session.vault, row)}


def _mac(vault: Vault, row: Row[Any]) -> bytes:
    return vault.mac("audit/last", *(getattr(row, name) for name in _FIELDS))
