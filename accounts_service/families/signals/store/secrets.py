"""The sealed secrets of Signals accounts, of now and before."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from accounts_service.families.signals.store.accounts import FAMILY_NAME
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.storage.envelopes import Envelope, Envelopes, envelopes_in
from accounts_service.storage.statements import Statement

# A deletion is a version without secrets.
_ALL = {
    table.name: Statement(
        select(table.c.uid, table.c.version, table.c.secrets)
        .where(table.c.secrets.is_not(None))
        .order_by(table.c.uid, table.c.version)
    )
    for table in (ACCOUNT, ACCOUNT_VERSION, ACCOUNT_BIN)
}


class Secrets(Envelopes):
    """Every envelope in accounts, versions and bin."""

    def all(self) -> Iterator[Envelope]:
        """Give every sealed secret."""
        for name, statement in _ALL.items():
            yield from envelopes_in(FAMILY_NAME, name, self._session.read(statement))
