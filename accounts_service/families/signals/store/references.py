"""Who uses an account."""

from __future__ import annotations

import uuid

from sqlalchemy import delete, select

from accounts_service.access.privileges import Grant
from accounts_service.families.signals.store.accounts import FAMILY_NAME, Key, covers, require_plain, tenant_key
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_REFERENCE
from accounts_service.faults import NoSuchObject, RefusedError
from accounts_service.storage.audit import Change
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, TransactionRefusedError
from accounts_service.storage.statements import Statement, given, insertion
from accounts_service.web.services import Reference, References

_ACCOUNT = Statement(
    select(ACCOUNT.c.uid).where(*(ACCOUNT.c[name] == given(name) for name in ("tenant", "type", "name")))
)
_OF = Statement(
    select(ACCOUNT_REFERENCE)
    .where(ACCOUNT_REFERENCE.c.account_uid == given("account_uid"))
    .order_by(ACCOUNT_REFERENCE.c.referrer)
)
_FIND_AND_LOCK = Statement(
    select(ACCOUNT_REFERENCE.c.uid)
    .where(ACCOUNT_REFERENCE.c.account_uid == given("account_uid"), ACCOUNT_REFERENCE.c.referrer == given("referrer"))
    .with_for_update()
)
_ADD = RecordedStatement(insertion(ACCOUNT_REFERENCE))
_REMOVE = RecordedStatement(delete(ACCOUNT_REFERENCE).where(ACCOUNT_REFERENCE.c.uid == given("uid")))


class AccountReferences(References):
    """References to accounts, by `type/id` or `tenant/type/id`."""

    def of(self, grant: Grant, path: str) -> list[Reference]:
        """List who uses the account, by name."""
        return self._of(self._account(grant, _key(path)))

    def add(self, grant: Grant, path: str, referrer: str) -> tuple[Reference, bool]:
        """Note that `referrer` uses the account; tells whether that is new. Raises RefusedError(BadPath)."""
        key = _key(path)
        account = self._account(grant, key)
        for reference in self._of(account):
            if reference.referrer == referrer:
                return reference, False
        require_plain(referrer)
        uid, at_us = uuid.uuid4().hex, self._session.now_us
        try:
            self._session.write(
                _change(grant, key, referrer, uid, 1),
                _ADD,
                uid=uid,
                account_uid=account,
                referrer=referrer,
                at_us=at_us,
            )
        except ForeignKeyError:
            # The account was deleted since we looked; the next look will tell.
            raise TransactionRefusedError from None
        return Reference(referrer, at_us), True

    def remove(self, grant: Grant, path: str, referrer: str) -> None:
        """Note that `referrer` uses the account no more."""
        key = _key(path)
        account = self._account(grant, key)
        # Under its lock: of two who remove it at once, one does, and is recorded.
        uid: str | None = self._session.read(_FIND_AND_LOCK, account_uid=account, referrer=referrer).scalar()
        if uid is None:
            raise RefusedError(NoSuchObject("DELETE", f"{path}/{referrer}"))
        self._session.write(_change(grant, key, referrer, uid, 2), _REMOVE, uid=uid)

    def _account(self, grant: Grant, key: Key) -> str:
        values = {"tenant": key.tenant, "type": key.type, "name": key.name}
        uid: str | None = self._session.read(_ACCOUNT, **values).scalar() if covers(grant, key) else None
        if uid is None:
            raise RefusedError(NoSuchObject("GET", key.scoped_id))
        return uid

    def _of(self, account: str) -> list[Reference]:
        return [Reference(row.referrer, row.at_us) for row in self._session.read(_OF, account_uid=account)]


def _key(path: str) -> Key:
    match path.split("/"):
        case [account_type, name]:
            return Key(account_type.lower(), name)
        case [tenant, account_type, name]:
            return Key(account_type.lower(), name, tenant_key(tenant))
        case _:
            raise RefusedError(NoSuchObject("GET", path))


def _change(grant: Grant, key: Key, referrer: str, uid: str, version: int) -> Change:
    # A reference is an object of its own, with two states: there, and gone.
    act = "" if grant.privilege is None else grant.privilege.action
    return Change(FAMILY_NAME, key.tenant, act, f"{key.scoped_id} by {referrer}", uid, version, {})
