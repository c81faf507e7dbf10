"""The store of Signals accounts: versions, the bin, secrets and scopes, on both databases."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Scope, Tenants
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.store.accounts import (
    FAMILY_NAME,
    Accounts,
    Conditions,
    Document,
    Key,
    references_of,
    reveals,
)
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.faults import (
    DestinationChanged,
    InvalidBody,
    NoSuchObject,
    NotPermitted,
    PreconditionFailed,
    Problem,
    RefusedError,
    StaleReference,
)
from accounts_service.storage.database import Database
from accounts_service.storage.sealed import Place, UnreadableSecretError
from accounts_service.storage.tables import METADATA
from tests.storage.kit import (
    AUTHOR,
    CANARY,
    GRANT,
    KEY,
    REVEALING,
    VAULT,
    Always,
    audited,
    delete,
    document,
    opened,
    put,
    rows,
)
from tests.support.service import Service

OTHER = Key("email", "other")
SECRET = {"password": CANARY}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with opened(database_url) as database:
        yield database


def shown(database: Database, key: Key = KEY, grant: Grant = GRANT) -> dict[str, str]:
    with database.reading(Accounts) as accounts:
        account = accounts.get(grant, key)
    if not reveals(grant, key):
        return references_of(VAULT, account)
    places = {name: Place(FAMILY_NAME, account.uid, name) for name in account.secrets}
    return {name: VAULT.open(place, account.secrets[name]) for name, place in places.items()}


def stored(database: Database, key: Key = KEY) -> Any:
    return next(row for row in rows(database, ACCOUNT) if row.name == key.name)


def envelope(database: Database, key: Key = KEY) -> str:
    return str(json.loads(stored(database, key).secrets)["password"])


def keep(reference: str, **attributes: object) -> Document:
    return document(secrets={"password": reference}, **attributes)


def assert_refused(
    database: Database, body: Document, *problems: Problem, key: Key = KEY, grant: Grant = GRANT
) -> None:
    """Be sure that a put is refused for these problems and changes nothing."""
    before = [rows(database, table) for table in METADATA.sorted_tables]
    with pytest.raises(RefusedError) as caught:
        put(database, key, body, grant)
    assert caught.value.fault == InvalidBody(problems)
    assert [rows(database, table) for table in METADATA.sorted_tables] == before


STALE = Problem(("password",), StaleReference())
MOVED = Problem(("password",), DestinationChanged(("host",)))

# -- Versions -----------------------------------------------------------------


def test_versions_go_on_after_a_deletion_and_never_come_twice(database: Database) -> None:
    given = [put(database).version, put(database).version, delete(database), put(database).version, delete(database)]
    given += [put(database).version, put(database).version]
    assert given == list(range(1, 8))
    assert [row.version for row in rows(database, ACCOUNT_VERSION)] == given
    assert [row.version for row in audited(database)] == given


def test_each_name_has_versions_of_its_own(database: Database) -> None:
    for key in (KEY, OTHER, Key("slack", KEY.name), Key("email", KEY.name, "tenant"), Key("email", "DEFAULT")):
        written = put(database, key)
        assert (written.version, written.created) == (1, True)
    assert put(database).version == 2


def test_every_state_has_a_version_row_and_a_deletion_one_without_texts(database: Database) -> None:
    put(database, body=document(number=1, secrets=SECRET))
    first = stored(database)
    put(database, body=document(number=2))
    second = stored(database)
    delete(database)
    put(database, body=document(number=3))
    third = stored(database)
    assert [(row.uid, row.version, row.attributes, row.secrets) for row in rows(database, ACCOUNT_VERSION)] == [
        (first.uid, 1, first.attributes, first.secrets),
        (first.uid, 2, second.attributes, second.secrets),
        (first.uid, 3, None, None),
        (third.uid, 4, third.attributes, third.secrets),
    ]
    assert [json.loads(text.attributes)["number"] for text in (first, second, third)] == [1, 2, 3]


def test_an_account_made_again_has_another_uid(database: Database) -> None:
    uids = []
    for _ in range(3):
        put(database)
        uids.append(stored(database).uid)
        put(database)
        assert stored(database).uid == uids[-1], "it stays as long as the account does"
        delete(database)
    assert len(set(uids)) == 3


def test_the_bin_holds_what_was_deleted_and_when(database: Database) -> None:
    put(database, body=document(number=1, secrets=SECRET))
    first = stored(database)
    delete(database)
    put(database, body=document(number=2))
    put(database, body=document(number=3))
    second = stored(database)
    delete(database)
    binned = sorted(rows(database, ACCOUNT_BIN), key=lambda row: row.version)
    kept = ("uid", "tenant", "type", "name", "version", "attributes", "secrets")
    assert [[getattr(row, name) for name in kept] for row in binned] == [
        [getattr(row, name) for name in kept] for row in (first, second)
    ]
    deletions = [row.at_us for row in rows(database, ACCOUNT_VERSION) if row.attributes is None]
    assert [row.deleted_us for row in binned] == deletions
    assert VAULT.open(Place(FAMILY_NAME, first.uid, "password"), json.loads(binned[0].secrets)["password"]) == CANARY
    assert rows(database, ACCOUNT) == []


def test_what_is_not_there_can_be_neither_read_nor_deleted(database: Database) -> None:
    put(database, OTHER)
    with pytest.raises(RefusedError) as caught:
        shown(database)
    assert caught.value.fault == NoSuchObject("GET", "email/default")
    with pytest.raises(RefusedError) as caught:
        delete(database)
    assert caught.value.fault == NoSuchObject("DELETE", "email/default")
    assert len(audited(database)) == 1


def test_attributes_come_back_as_they_were_put(database: Database) -> None:
    attributes: dict[str, Any] = {
        "port": 25,
        "ratio": 0.1,
        "flag": True,
        "list": ["é\U0001f600", '"\\'],
        "big": 2**63 - 1,
    }
    put(database, body=document(**attributes))
    with database.reading(Accounts) as accounts:
        assert accounts.get(GRANT, KEY).attributes == {"host": "h", **attributes}


# -- Conditions ---------------------------------------------------------------


class Wanted:
    """A condition that wants one version."""

    def __init__(self, version: int | None) -> None:
        self.version = version

    def check(self, version: int | None, kind: str = "") -> None:  # noqa: ARG002  # as the others
        """Hold for that version."""
        if version != self.version:
            raise RefusedError(PreconditionFailed())


@pytest.mark.parametrize("wanted", (None, 1, 3, 4))
def test_a_condition_that_does_not_hold_changes_nothing(database: Database, wanted: int | None) -> None:
    put(database)
    put(database)
    conditions: Conditions = Wanted(wanted)
    with pytest.raises(RefusedError) as caught, database.transaction(Accounts, AUTHOR) as accounts:
        accounts.put(GRANT, KEY, document(), conditions)
    assert caught.value.fault == PreconditionFailed()
    with pytest.raises(RefusedError) as caught, database.transaction(Accounts, AUTHOR) as accounts:
        accounts.delete(GRANT, KEY, conditions)
    assert caught.value.fault == PreconditionFailed()
    assert stored(database).version == 2
    assert len(audited(database)) == len(rows(database, ACCOUNT_VERSION)) == 2


def test_a_condition_is_held_against_what_is_there_and_a_deleted_account_is_not(database: Database) -> None:
    put(database)
    delete(database)
    with database.transaction(Accounts, AUTHOR) as accounts:
        assert accounts.put(GRANT, KEY, document(), Wanted(None)).version == 3
    with database.transaction(Accounts, AUTHOR) as accounts:
        assert accounts.put(GRANT, KEY, document(), Wanted(3)).version == 4
    with database.transaction(Accounts, AUTHOR) as accounts:
        assert accounts.delete(GRANT, KEY, Wanted(4)) == 5


BODY: dict[str, Any] = {"host": "mail.example", "port": 25}
PATH = "/_signals/account/email/default"


def test_a_tag_of_an_account_that_was_deleted_and_made_again_holds_no_more(service: Service) -> None:
    tag = service.put(PATH, BODY).headers["ETag"]
    service.delete(PATH)
    service.put(PATH, BODY)
    assert service.put(PATH, BODY, headers={"If-Match": tag}).status_code == 412
    assert service.delete(PATH, headers={"If-Match": tag}).status_code == 412
    assert service.get(PATH).json["_version"] == 3


def test_if_match_and_if_none_match_decide_about_a_write(service: Service) -> None:
    assert service.put(PATH, BODY, headers={"If-Match": "*"}).status_code == 412
    assert service.put(PATH, BODY, headers={"If-None-Match": "*"}).status_code == 201
    assert service.put(PATH, BODY, headers={"If-None-Match": "*"}).status_code == 412
    assert service.put(PATH, BODY, headers={"If-Match": '"1"'}).headers["ETag"] == '"2"'
    assert service.put(PATH, BODY, headers={"If-Match": '"1"'}).status_code == 412
    assert service.delete(PATH, headers={"If-Match": '"1"'}).status_code == 412
    assert service.delete(PATH, headers={"If-Match": '"2"'}).status_code == 200


# -- Secrets ------------------------------------------------------------------


def everything_in(database: Database, url: str) -> bytes:
    """All that somebody who has the database or a backup of it can read."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        return b"".join(file.read_bytes() for file in sorted(path.parent.glob(path.name + "*")))
    texts = [str([tuple(row) for row in rows(database, table)]) for table in METADATA.sorted_tables]
    return "".join(texts).encode()


def test_no_secret_is_in_the_database_in_clear(database: Database, database_url: str) -> None:
    put(database, body=document(secrets=SECRET, seen="this-is-seen"))
    put(database, body=document(host="h2", secrets={"password": CANARY + "2"}))
    put(database, body=keep(shown(database)["password"], host="h2"))
    put(database, OTHER, document(secrets=SECRET))
    delete(database)
    found = everything_in(database, database_url)
    assert b"this-is-seen" in found, "it is looked for where it would be"
    assert CANARY.encode() not in found
    # Nor in base64, whatever it would be preceded by; without the ends, which depend on that.
    for before in range(3):
        assert base64.urlsafe_b64encode(b"x" * before + CANARY.encode())[4:-6] not in found
    texts = [row.secrets for table in (ACCOUNT, ACCOUNT_VERSION, ACCOUNT_BIN) for row in rows(database, table)]
    envelopes = [value for text in texts if text for value in json.loads(text).values()]
    assert len(envelopes) == 6
    assert all(value.startswith("v1.") for value in envelopes)


def test_a_secret_is_shown_to_who_may_see_it_and_its_reference_to_others(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    reference = VAULT.reference(Place(FAMILY_NAME, stored(database).uid, "password"), envelope(database))
    assert shown(database) == {"password": reference}
    assert shown(database, grant=REVEALING) == SECRET


def test_a_secret_kept_by_its_reference_is_the_same_envelope(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    before = envelope(database)
    put(database, body=keep(shown(database)["password"], other=1))
    assert envelope(database) == before
    assert [json.loads(row.secrets)["password"] for row in rows(database, ACCOUNT_VERSION)] == [before, before]
    assert [json.loads(row.detail)["secrets_changed"] for row in audited(database)] == [["password"], []]
    put(database, body=document(secrets=SECRET))
    assert envelope(database) != before, "sealed anew"
    assert shown(database, grant=REVEALING) == SECRET


def test_a_reference_to_anything_but_the_stored_secret_is_refused(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    put(database, OTHER, document(secrets=SECRET))
    foreign = shown(database, OTHER)["password"]
    old = shown(database)["password"]
    put(database, body=document(secrets={"password": "new"}))
    for reference in (foreign, old, "secret:" + "A" * 22):
        assert_refused(database, keep(reference), STALE)
        assert_refused(database, keep(reference), STALE, grant=REVEALING)


def test_a_reference_holds_only_in_its_own_attribute_and_account(database: Database) -> None:
    put(database, body=document(secrets={"password": CANARY, "proxy_password": CANARY}))
    reference = shown(database)["password"]
    swapped = document(secrets={"password": reference, "proxy_password": reference})
    assert_refused(database, swapped, Problem(("proxy_password",), StaleReference()))
    assert_refused(database, keep(reference), STALE, key=OTHER)
    assert_refused(
        database, document(secrets={"password": reference, "new": reference}), Problem(("new",), StaleReference())
    )


def test_a_reference_does_not_outlive_the_account(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    reference = shown(database)["password"]
    delete(database)
    assert_refused(database, keep(reference), STALE)
    put(database, body=document(secrets=SECRET))
    assert_refused(database, keep(reference), STALE)


def test_a_kept_secret_goes_nowhere_else_without_the_privilege_to_see_it(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    reference = shown(database)["password"]
    assert_refused(database, keep(reference, host="evil.example"), MOVED)
    assert_refused(database, Document({}, {"password": reference}, frozenset(("host",))), MOVED)
    before = envelope(database)
    put(database, body=keep(reference, host="new.example"), grant=REVEALING)
    assert envelope(database) == before
    put(database, body=document(host="third.example", secrets={"password": "sent anew"}))
    assert shown(database, grant=REVEALING) == {"password": "sent anew"}


def test_a_destination_cannot_be_moved_in_two_steps_either(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    reference = shown(database)["password"]
    put(database, body=document(host="evil.example"))
    assert_refused(database, keep(reference, host="evil.example"), STALE)
    delete(database)
    put(database, body=document(host="evil.example", secrets={"password": "x"}))
    assert_refused(database, keep(reference, host="evil.example"), STALE)


def test_an_envelope_put_in_another_row_by_who_can_write_the_database_does_not_open(database: Database) -> None:
    put(database, body=document(secrets=SECRET))
    put(database, OTHER, document(host="evil.example", secrets={"password": "x"}))
    with database.begin() as connection:
        connection.execute(
            ACCOUNT.update().where(ACCOUNT.c.name == OTHER.name).values(secrets=stored(database).secrets)
        )
    with pytest.raises(UnreadableSecretError) as caught:
        shown(database, OTHER, REVEALING)
    assert CANARY not in repr(caught.value)
    # Sending the secret anew mends it.
    put(database, OTHER, document(secrets={"password": "y"}))
    assert shown(database, OTHER, REVEALING) == {"password": "y"}


# -- Scopes -------------------------------------------------------------------

NARROW: tuple[Scope, ...] = (Tenants(frozenset(("other",))), Tenants(frozenset()), Own("default"), Nothing())
TENANT = Key("email", "default", "tenant")


@pytest.mark.parametrize("scope", NARROW)
@pytest.mark.parametrize("key", (KEY, TENANT))
def test_nothing_outside_the_scope_is_seen_or_changed_or_made(database: Database, key: Key, scope: Scope) -> None:
    grant = Grant(SignalsPrivilege.ACCOUNT_PUT, scope, REVEALING.also)
    database.check_keys()  # What the first write of a process leaves behind is there already.
    for there in (False, True):
        if there:
            put(database, key, document(secrets=SECRET))
        before = [rows(database, table) for table in METADATA.sorted_tables]
        with pytest.raises(RefusedError) as caught:
            shown(database, key, grant)
        assert caught.value.fault == NoSuchObject("GET", key.scoped_id)
        with pytest.raises(RefusedError) as caught:
            put(database, key, grant=grant)
        assert caught.value.fault == NotPermitted()
        with pytest.raises(RefusedError) as caught, database.transaction(Accounts, AUTHOR) as accounts:
            accounts.delete(grant, key, Always())
        assert caught.value.fault == NoSuchObject("DELETE", key.scoped_id)
        assert [rows(database, table) for table in METADATA.sorted_tables] == before


@pytest.mark.parametrize("scope", (Everything(), Tenants(frozenset(("tenant", "third")))))
def test_what_is_within_the_scope_can_be_worked_with(database: Database, scope: Scope) -> None:
    grant = Grant(SignalsPrivilege.ACCOUNT_PUT, scope)
    put(database)
    assert put(database, TENANT, grant=grant).created
    assert put(database, TENANT, grant=grant).version == 2
    assert shown(database, TENANT, grant) == {}
    with database.transaction(Accounts, AUTHOR) as accounts:
        assert accounts.delete(grant, TENANT, Always()) == 3
    assert [row.tenant for row in rows(database, ACCOUNT)] == [""]
    assert [row.object for row in audited(database)][1:] == ["tenant/email/default"] * 3
