"""The audit trail: one record a change, in the change's transaction, and nobody can edit one unnoticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import insert, update

from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.store.accounts import Accounts
from accounts_service.families.signals.tables import ACCOUNT
from accounts_service.storage import audit
from accounts_service.storage.audit import AUDIT_RECORD, Author, Change
from accounts_service.storage.database import Database, RecordedStatement
from accounts_service.storage.sealed import Keyring, Vault
from tests.storage.kit import (
    AUTHOR,
    CANARY,
    GRANT,
    KEY,
    VAULT,
    Always,
    Bare,
    audited,
    delete,
    document,
    opened,
    put,
    rows,
)

# What the MAC is made over, in this order and after `audit/2`, forever: records outlive releases.
FIELDS = ("at_us", "family", "tenant", "realm", "actor", "act", "object", "uid", "version", "detail", "request_id")

CHANGE = Change("signals", "tenant", "cluster:admin:x/put", "email/é \U0001f600", "u1", 7, {"b": ["é", 1.5], "a": None})
WRITER = Author("basic", "Zoë\n", "request-0002")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def is_genuine(row: Any, vault: Vault = VAULT) -> bool:
    by_hand = bool(row.mac == vault.mac("audit/2", *(getattr(row, name) for name in FIELDS)))
    assert audit.is_genuine(vault, row) == by_hand
    return by_hand


def recorded(database: Database) -> list[Any]:
    """Read records as they are stored: with references to names."""
    return rows(database, AUDIT_RECORD)


def test_each_change_has_one_record_with_its_version(database: Database) -> None:
    put(database)
    put(database)
    delete(database)
    put(database)
    records = audited(database)
    puts, deletes = SignalsPrivilege.ACCOUNT_PUT.action, SignalsPrivilege.ACCOUNT_DELETE.action
    assert [(row.version, row.act) for row in records] == [(1, puts), (2, puts), (3, deletes), (4, puts)]
    assert {(row.realm, row.actor, row.request_id) for row in records} == {
        (AUTHOR.realm, AUTHOR.name, AUTHOR.request_id)
    }
    assert {(row.family, row.tenant, row.object) for row in records} == {("signals", "", "email/default")}
    assert [row.id for row in records] == sorted(row.id for row in records)
    assert all(is_genuine(row) for row in recorded(database))


def test_a_change_that_is_undone_leaves_no_record(database: Database) -> None:
    def fail() -> None:
        with database.transaction(Accounts, AUTHOR) as accounts:
            accounts.put(GRANT, KEY, document(), Always())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert audited(database) == []
    assert rows(database, ACCOUNT) == []


def test_a_change_whose_record_cannot_be_written_is_not_made(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    put(database)
    with monkeypatch.context() as patched:
        patched.setattr(audit, "record", fail)
        with pytest.raises(ZeroDivisionError):
            put(database)
        with pytest.raises(ZeroDivisionError):
            delete(database)
    assert [row.version for row in rows(database, ACCOUNT)] == [1]


def test_the_mac_can_be_made_again_from_the_stored_row(database: Database) -> None:
    with database.transaction(Bare, WRITER) as store:
        store.session.write(CHANGE, RecordedStatement())
    (row,) = audited(database)
    assert (row.object, row.actor, row.version) == (CHANGE.object, WRITER.name, 7)
    assert row.detail == '{"a": null, "b": ["é", 1.5]}'
    (row,) = recorded(database)
    assert (row.format, len(row.actor), len(row.object)) == (2, 22, 22)
    assert is_genuine(row)
    assert is_genuine(row, Vault(Keyring.from_json(VAULT._keyring.to_json())))
    assert not is_genuine(row, Vault(Keyring.generate()))


def test_every_column_is_under_the_mac_but_the_number_the_database_gives() -> None:
    assert {*FIELDS} == {column.name for column in AUDIT_RECORD.columns} - {"id", "mac", "format", "number", "link"}


EDITED: dict[str, object] = dict.fromkeys(FIELDS, "edited") | {"at_us": 1, "version": 8, "detail": "{}"}


@pytest.mark.parametrize("name", (*FIELDS, "mac"))
def test_a_record_that_was_edited_is_not_genuine(database: Database, name: str) -> None:
    with database.transaction(Bare, WRITER) as store:
        store.session.write(CHANGE, RecordedStatement())
    (before,) = recorded(database)
    forged = bytes((before.mac[0] ^ 1, *before.mac[1:]))
    with database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).values({name: EDITED.get(name, forged)}))
    (row,) = recorded(database)
    assert getattr(row, name) != getattr(before, name)
    assert not is_genuine(row)


def test_moving_text_from_one_column_to_the_next_is_noticed(database: Database) -> None:
    with database.transaction(Bare, WRITER) as store:
        store.session.write(CHANGE, RecordedStatement())
    with database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).values(realm="basicZ", actor="oë\n"))
    assert not is_genuine(recorded(database)[0])


def test_a_record_of_the_release_before_is_genuine_and_cannot_pass_for_one_of_this(database: Database) -> None:
    fields = [value for value in EDITED.values() if isinstance(value, str | int)]
    values: dict[str, Any] = {**EDITED, "mac": VAULT.mac("audit", *fields)}
    with database.begin() as connection:
        connection.execute(insert(AUDIT_RECORD).values(values))  # The release before knows no `format`.
    (row,) = recorded(database)
    assert row.format == 1
    assert audit.is_genuine(VAULT, row)
    with database.begin() as connection:
        connection.execute(update(AUDIT_RECORD).values(format=2))
    assert not is_genuine(recorded(database)[0])


def test_no_secret_and_no_envelope_is_in_a_record(database: Database) -> None:
    put(database, body=document(secrets={"password": CANARY}))
    put(database, body=document(host="other", secrets={"password": CANARY + "2"}))
    delete(database)
    told = repr([tuple(row) for row in audited(database)])
    assert CANARY not in told
    assert "v1." not in told
    assert '"secrets_changed": ["password"]' in told
