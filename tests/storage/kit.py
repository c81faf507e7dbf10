"""What tests of storage share: a database of either kind, and accounts to write into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from accounts_service.access.privileges import Everything, Grant
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.store.accounts import Accounts, Document, Key, Written
from accounts_service.storage.audit import Author
from accounts_service.storage.database import (
    SINGLE,
    Capacity,
    Database,
    PostgresDatabase,
    SqliteDatabase,
    Store,
    open_database,
)
from accounts_service.storage.sealed import Keyring, Vault
from tests.support.trail import named

KEYRING = Keyring.generate()
VAULT = Vault(KEYRING)
# Of the same installation, with none of its wrapping keys.
WITHOUT_KEYS = Vault(replace(KEYRING, active="another", wrapping={"another": bytes(32)}))
AUTHOR = Author("realm", "somebody", "request-0001")
GRANT = Grant(SignalsPrivilege.ACCOUNT_PUT, Everything())
REVEALING = Grant(SignalsPrivilege.ACCOUNT_PUT, Everything(), frozenset((SignalsPrivilege.ACCOUNT_REVEAL,)))
KEY = Key("email", "default")
CANARY = "canary-7d20-do-not-show"


class Always:
    """A condition that always holds."""

    def check(self, version: int | None, kind: str = "") -> None:
        """Hold."""


class Bare(Store):
    """A store for one's own statements."""

    @property
    def session(self) -> Any:
        """Its session."""
        return self._session


def document(*, secrets: Mapping[str, str] | None = None, **attributes: object) -> Document:
    """Make a checked body: `host` is a destination, `password` a secret."""
    return Document({"host": "h", **attributes}, secrets or {}, frozenset(("host",)))


@contextmanager
def opened(url: str, capacity: Capacity = SINGLE, *, vault: Vault = VAULT) -> Iterator[Database]:
    """Open the database that `url` names."""
    database = open_database(url, vault, capacity)
    try:
        yield database
    finally:
        database.dispose()


def sqlite(database: Database) -> SqliteDatabase:
    """Be sure that it is SQLite."""
    assert isinstance(database, SqliteDatabase)
    return database


def postgres(database: Database) -> PostgresDatabase:
    """Be sure that it is PostgreSQL."""
    assert isinstance(database, PostgresDatabase)
    return database


def put(database: Database, key: Key = KEY, body: Document | None = None, grant: Grant = GRANT) -> Written:
    """Put an account, whatever its version."""
    with database.transaction(Accounts, AUTHOR) as accounts:
        return accounts.put(grant, key, body or document(), Always())


def delete(database: Database, key: Key = KEY) -> int:
    """Delete an account, whatever its version."""
    with database.transaction(Accounts, AUTHOR) as accounts:
        return accounts.delete(GRANT, key, Always())


def rows(database: Database, table: Any) -> list[Any]:
    """Read a whole table, in the order of its primary key."""
    with database.looking() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)))


def audited(database: Database) -> list[Any]:
    """Read the audit trail, with names in the place of references."""
    with database.looking() as connection:
        return named(connection)
