"""What was deleted: to be had back, or to be gone for good."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import delete, select, tuple_, update

from accounts_service.access.privileges import Grant
from accounts_service.families.signals.store.accounts import (
    NEW,
    Account,
    Conditions,
    Key,
    account_of,
    covers,
    named,
)
from accounts_service.families.signals.store.kept import KEPT, release
from accounts_service.families.signals.store.preview import PreviewAccounts
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_NAME, ACCOUNT_VERSION
from accounts_service.faults import AlreadyExists, Json, NoSuchObject, RefusedError
from accounts_service.storage.database import RecordedStatement
from accounts_service.storage.statements import Statement, Value, given

_THIS = ACCOUNT_BIN.c.uid == given("uid")
_PLACE = tuple_(ACCOUNT_BIN.c.deleted_us, ACCOUNT_BIN.c.uid)
_PAGE = Statement(
    select(*(ACCOUNT_BIN.c[name] for name in ("uid", "tenant", "type", "name", "version", "deleted_us")))
    .where(ACCOUNT_BIN.c.tenant == given("tenant"), tuple_(given("deleted_us"), given("uid")) > _PLACE)
    .order_by(ACCOUNT_BIN.c.deleted_us.desc(), ACCOUNT_BIN.c.uid.desc())
    .limit(given("most"))
)
_FIND_AND_LOCK = Statement(select(ACCOUNT_BIN).where(_THIS).with_for_update())
_OLD = Statement(
    select(ACCOUNT_BIN)
    .where(ACCOUNT_BIN.c.deleted_us < given("before_us"))
    .order_by(ACCOUNT_BIN.c.deleted_us)
    .limit(given("most"))
    .with_for_update()
)
_LOCK_NAME = Statement(
    select(ACCOUNT_NAME.c.name)
    .where(ACCOUNT_NAME.c.tenant == given("tenant"), ACCOUNT_NAME.c.name == given("name"))
    .with_for_update()
)
_TYPES = Statement(select(ACCOUNT.c.type).where(ACCOUNT.c.tenant == given("tenant"), ACCOUNT.c.name == given("name")))
_UNDELETE = RecordedStatement(*NEW, delete(ACCOUNT_BIN).where(_THIS))
# By its name as well, since that is what there is an index on.
_ITS_VERSIONS = (
    *(ACCOUNT_VERSION.c[name] == given(name) for name in ("tenant", "type", "name")),
    ACCOUNT_VERSION.c.uid == given("uid"),
)
_SIZES = Statement(select(*KEPT).where(*_ITS_VERSIONS))
_PURGE = RecordedStatement(
    delete(ACCOUNT_BIN).where(_THIS),
    update(ACCOUNT_VERSION).where(*_ITS_VERSIONS).values(attributes=None, secrets=None),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one is in the bin: behind what was deleted then, and has this uid."""

    deleted_us: int
    uid: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """An account that was deleted. `version` is its last one."""

    key: Key
    uid: str
    version: int
    deleted_us: int


_BEFORE_ALL = Place(2**63 - 1, "")


class Bin(PreviewAccounts):
    """Accounts that were deleted, of one tenant at a time; of none are the global ones."""

    def page(self, grant: Grant, tenant: str, after: Place | None, most: int) -> tuple[list[Deleted], bool]:
        """List `most` accounts behind `after`, what was deleted last first; tells whether there are more."""
        if not covers(grant, Key("", "", tenant)):
            return [], False
        place = after or _BEFORE_ALL
        values: dict[str, Value] = {
            "tenant": tenant,
            "deleted_us": place.deleted_us,
            "uid": place.uid,
            "most": most + 1,
        }
        rows = list(self._session.read(_PAGE, **values))
        listed = [Deleted(Key(row.type, row.name, row.tenant), row.uid, row.version, row.deleted_us) for row in rows]
        return listed[:most], len(rows) > most

    def undelete(self, grant: Grant, tenant: str, uid: str, conditions: Conditions) -> Account:
        """Make the account one again, with the uid and the sealed secrets it had; its name's version goes on.

        Raises RefusedError: NoSuchObject, AlreadyExists when its name is another's
        now, or PreconditionFailed, as for what is not there; TransactionRefusedError
        when its name became another's at the same moment.
        """
        binned = self._binned(grant, tenant, uid, "POST")
        key = binned.key
        # Where the form of 2019 was used, an id names one account (ADR 0018), and it is made under this lock.
        of_2019 = self._session.read(_LOCK_NAME, tenant=tenant, name=key.name).one_or_none() is not None
        types = set(self._session.read(_TYPES, tenant=tenant, name=key.name).scalars())
        if key.type in types or (of_2019 and types):
            there = key.type if key.type in types else min(types)
            raise RefusedError(AlreadyExists(Key(there, key.name, tenant).scoped_id))
        conditions.check(None)
        last = self.last_of_id(tenant, key.name) if of_2019 else self._last_version(key)
        account = Account(key, uid, last + 1, binned.attributes, binned.secrets)
        self._write(account, _UNDELETE, {"undeleted": True})
        return account

    def purge(self, grant: Grant, tenant: str, uid: str, conditions: Conditions) -> Key:
        """Forget the account: what it held in all its versions.

        Raises RefusedError: NoSuchObject or PreconditionFailed, by its last version.
        """
        binned = self._binned(grant, tenant, uid, "DELETE")
        conditions.check(binned.version)
        self._purge(binned.key, uid, {})
        return binned.key

    def purge_old(self, before_us: int, most: int) -> bool:
        """Forget at most so many of what was deleted before then, the oldest first; tells whether there may be more."""
        rows = list(self._session.read(_OLD, before_us=before_us, most=most))
        for row in rows:
            self._purge(Key(row.type, row.name, row.tenant), row.uid, {"by_age": True})
        return len(rows) == most

    def _purge(self, key: Key, uid: str, detail: dict[str, Json]) -> None:
        # An object of its own in the trail: the account's own states, of which a number is on record once each, go
        # on where somebody has its name next.
        change = self.change("delete", key, uuid.uuid4().hex, 1, {"purged": uid, **detail})
        freed = self._session.read(_SIZES, **named(key), uid=uid).all()
        self._session.write(change, _PURGE, **named(key), uid=uid)
        release(self._session, freed)

    def _binned(self, grant: Grant, tenant: str, uid: str, method: str) -> Account:
        row = self._session.read(_FIND_AND_LOCK, uid=uid).one_or_none()
        if row is None or row.tenant != tenant or not covers(grant, Key(row.type, row.name, tenant)):
            raise RefusedError(NoSuchObject(method, uid))
        return account_of(Key(row.type, row.name, tenant), row)
