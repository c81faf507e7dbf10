"""Deleting accounts that are used: who uses them is told, or uses another one from then on."""

from __future__ import annotations

import uuid

from sqlalchemy import Row, delete, func, select

from accounts_service.access.privileges import Grant
from accounts_service.families.signals.store.accounts import FAMILY_NAME, Account, Accounts, Conditions, Key, covers
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_REFERENCE
from accounts_service.faults import BadParameter, InUse, Json, NoSuchObject, RefusedError
from accounts_service.storage.audit import Change
from accounts_service.storage.database import RecordedStatement
from accounts_service.storage.statements import Statement, given, insertion
from accounts_service.web.services import ReferencePrivileges

# So many users of an account are named; all are counted.
MOST_NAMED = 100
# So many are handed over: it is one transaction, for which others wait.
MOST_REPLACED = 1000

_USES = ACCOUNT_REFERENCE.c.account_uid == given("account_uid")
_LOCK_BOTH = Statement(
    select(ACCOUNT.c.uid, ACCOUNT.c.name)
    .where(
        *(ACCOUNT.c[name] == given(name) for name in ("tenant", "type")),
        ACCOUNT.c.name.in_((given("name"), given("other"))),
    )
    # Two that replace each other at once would wait for each other, were it not in one order.
    .order_by(ACCOUNT.c.name)
    .with_for_update()
)
_COUNT = Statement(select(func.count()).select_from(ACCOUNT_REFERENCE).where(_USES))
_NAMES = Statement(
    select(ACCOUNT_REFERENCE.c.referrer).where(_USES).order_by(ACCOUNT_REFERENCE.c.referrer).limit(MOST_NAMED)
)
# Who is removed meanwhile is not to come back with the other account, and has one record of it.
_LEAVING = Statement(
    select(ACCOUNT_REFERENCE.c.uid, ACCOUNT_REFERENCE.c.referrer)
    .where(_USES)
    .order_by(ACCOUNT_REFERENCE.c.referrer)
    .with_for_update()
)
_LEFT = ACCOUNT_REFERENCE.alias()
# Under their locks, too: who is removed from the other meanwhile has not used it already, and is not to be lost.
_ALREADY = Statement(
    select(ACCOUNT_REFERENCE.c.referrer)
    .where(
        ACCOUNT_REFERENCE.c.account_uid == given("successor_uid"),
        ACCOUNT_REFERENCE.c.referrer.in_(select(_LEFT.c.referrer).where(_LEFT.c.account_uid == given("account_uid"))),
    )
    .with_for_update()
)
_ADD = RecordedStatement(insertion(ACCOUNT_REFERENCE))
_REMOVE = RecordedStatement(delete(ACCOUNT_REFERENCE).where(ACCOUNT_REFERENCE.c.uid == given("uid")))


class UsedAccounts(Accounts):
    """The same accounts, whose deletion says who uses them."""

    def replace(  # noqa: PLR0913  # what is deleted, under what conditions, and who takes its place
        self,
        grant: Grant,
        key: Key,
        conditions: Conditions,
        acts: ReferencePrivileges,
        *,
        successor: str | None = None,
        names_users: bool = False,
    ) -> int:
        """Move the account to the bin, and have who used it use `successor`; returns the version of the deletion.

        `successor` is the name of an account of the same type and tenant. Raises
        RefusedError: NoSuchObject, PreconditionFailed, BadParameter for a successor
        that is not there, or when more use the account than are handed over at once;
        without one InUse when somebody uses the account, who is named only with
        `names_users`.
        """
        rows: dict[str, str] = {}
        if successor is not None and covers(grant, key):
            values = {"tenant": key.tenant, "type": key.type, "name": key.name, "other": successor}
            rows = {row.name: row.uid for row in self._session.read(_LOCK_BOTH, **values)}
        there = self._find(grant, key, lock=True)
        if there is None:
            raise RefusedError(NoSuchObject("DELETE", key.scoped_id))
        self._check(conditions, there)
        if successor is not None:
            if successor not in rows:
                raise RefusedError(BadParameter("replace_with", "there is no such account"))
            self._hand_over(there, Key(key.type, successor, key.tenant), rows[successor], acts)
        self._delete(there, names_users=names_users)
        return there.version + 1

    def _delete(self, there: Account, *, names_users: bool = False) -> None:
        # Under the row's lock, for which whoever refers to it waits: what is told holds. Were it not so, the
        # constraint would still refuse.
        count = self._count(there)
        if count:
            named = self._session.read(_NAMES, account_uid=there.uid).scalars() if names_users else ()
            raise RefusedError(InUse(count, tuple(named)))
        super()._delete(there)

    def _hand_over(self, there: Account, key: Key, uid: str, acts: ReferencePrivileges) -> None:
        """Have who uses `there` use the account of `key` and `uid`; who does so already does so once."""
        # Under the row's lock, for which whoever refers to it waits: there will be no more.
        if self._count(there) > MOST_REPLACED:
            reason = f"more than {MOST_REPLACED} use the account; change some of the references first"
            raise RefusedError(BadParameter("replace_with", reason))
        leaving = self._leaving(there)
        already = {*self._session.read(_ALREADY, account_uid=there.uid, successor_uid=uid).scalars()}
        for row in leaving:
            # A reference is an object with two states, there and gone: one goes, another comes.
            gone: dict[str, Json] = {"replaced_with": key.scoped_id}
            change = _change(acts.delete.action, there.key, row.referrer, row.uid, 2, gone)
            self._session.write(change, _REMOVE, uid=row.uid)
            if row.referrer in already:
                continue
            new = uuid.uuid4().hex
            self._session.write(
                _change(acts.put.action, key, row.referrer, new, 1, {"instead_of": there.key.scoped_id}),
                _ADD,
                uid=new,
                account_uid=uid,
                referrer=row.referrer,
                at_us=self._session.now_us,
            )

    def _count(self, account: Account) -> int:
        count: int = self._session.read(_COUNT, account_uid=account.uid).scalar_one()
        return count

    def _leaving(self, account: Account) -> list[Row[tuple[str, str]]]:
        return list(self._session.read(_LEAVING, account_uid=account.uid))


def _change(act: str, key: Key, referrer: str, uid: str, version: int, detail: dict[str, Json]) -> Change:  # noqa: PLR0913, PLR0917  # a record's parts
    return Change(FAMILY_NAME, key.tenant, act, f"{key.scoped_id} by {referrer}", uid, version, detail)
