"""Accounts as the preview of 2019 had them: an id names one, whatever its type."""

from __future__ import annotations

from sqlalchemy import func, select

from accounts_service.access.privileges import Grant
from accounts_service.families.signals.store.accounts import (
    Account,
    Conditions,
    Document,
    Key,
    Written,
    account_of,
    covers,
    require_plain,
)
from accounts_service.families.signals.store.used import UsedAccounts
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_NAME, ACCOUNT_VERSION
from accounts_service.faults import Ambiguous, NoSuchObject, NotPermitted, RefusedError
from accounts_service.storage.statements import Statement, claim, given

_HERE = tuple(ACCOUNT.c[name] == given(name) for name in ("tenant", "name"))
_BEFORE = tuple(ACCOUNT_VERSION.c[name] == given(name) for name in ("tenant", "name"))

_CLAIM = Statement(claim(ACCOUNT_NAME))
_FIND = Statement(select(ACCOUNT).where(*_HERE).order_by(ACCOUNT.c.type))
_FIND_AND_LOCK = Statement(select(ACCOUNT).where(*_HERE).order_by(ACCOUNT.c.type).with_for_update())
_LAST_VERSION = Statement(select(func.coalesce(func.max(ACCOUNT_VERSION.c.version), 0)).where(*_BEFORE))


class PreviewAccounts(UsedAccounts):
    """The same accounts, asked for by tenant and id. The current form may give an id to several types."""

    def get_by_id(self, grant: Grant, tenant: str, name: str) -> Account:
        """Read the account. Raises RefusedError: NoSuchObject, or Ambiguous when the id has several types."""
        account = self._only(grant, tenant, name)
        if account is None:
            raise RefusedError(NoSuchObject("GET", name))
        return account

    def put_by_id(self, grant: Grant, key: Key, document: Document, conditions: Conditions) -> Written:
        """Create the account or replace it as a whole, its type included.

        Raises RefusedError as `Accounts.put` does; Ambiguous when the id has
        several types; InUse when the type would change and something refers to it.
        """
        if not covers(grant, key):
            raise RefusedError(NotPermitted())
        # Rows that are not there cannot be locked, and two that create one id
        # with different types would not meet at the unique key. They meet here.
        self._session.lock(_CLAIM, tenant=key.tenant, name=key.name)
        there = self._only(grant, key.tenant, key.name, lock=True)
        self._check(conditions, there)
        if there is not None and there.key.type == key.type:
            return self._put(grant, key, document, there)
        last = self.last_of_id(key.tenant, key.name)
        if there is None:
            require_plain(key.name)
            return self._put(grant, key, document, None, last)
        self._delete(there)
        return Written(self._put(grant, key, document, None, last).version, created=False)

    def delete_by_id(
        self, grant: Grant, tenant: str, name: str, conditions: Conditions, *, names_users: bool = False
    ) -> int:
        """Move the account to the bin; returns the version of the deletion.

        Raises RefusedError: NoSuchObject, Ambiguous, PreconditionFailed, or InUse as `UsedAccounts.replace` does.
        """
        # Who waited for a row to be unlocked does not see the one that took its place.
        self._session.lock(_CLAIM, tenant=tenant, name=name)
        there = self._only(grant, tenant, name, lock=True)
        if there is None:
            raise RefusedError(NoSuchObject("DELETE", name))
        self._check(conditions, there)
        self._delete(there, names_users=names_users)
        return there.version + 1

    def last_of_id(self, tenant: str, name: str) -> int:
        """Give the last version that an account of this id had, of whatever type."""
        version: int = self._session.read(_LAST_VERSION, tenant=tenant, name=name).scalar_one()
        return version

    def _only(self, grant: Grant, tenant: str, name: str, *, lock: bool = False) -> Account | None:
        statement = _FIND_AND_LOCK if lock else _FIND
        found = [
            account_of(Key(row.type, name, tenant), row)
            for row in self._session.read(statement, tenant=tenant, name=name)
            if covers(grant, Key(row.type, name, tenant))
        ]
        if len(found) > 1:
            raise RefusedError(Ambiguous(name, tuple(account.key.scoped_id for account in found)))
        return found[0] if found else None

    @staticmethod
    def _check(conditions: Conditions, there: Account | None) -> None:
        # The version of one type may also have been that of another.
        conditions.check(None if there is None else there.version, "" if there is None else there.key.type)
