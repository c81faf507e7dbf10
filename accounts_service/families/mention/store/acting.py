"""Every query on the apps that act for an account: which there are, and what ends that."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select

from accounts_service.access.privileges import Grant, Privilege
from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.store.accounts import FAMILY_NAME, Account, Accounts, locked
from accounts_service.families.mention.store.apps import is_client_id
from accounts_service.families.mention.store.sessions import Sessions
from accounts_service.families.mention.tables import APP, CODE, TOKEN
from accounts_service.faults import NoSuchObject, RefusedError
from accounts_service.storage.audit import Change
from accounts_service.storage.database import RecordedStatement, TransactionRefusedError
from accounts_service.storage.statements import Statement, given

_OF_ACCOUNT = TOKEN.c.account_id == given("account_id")
_LIST = Statement(
    select(
        APP.c.client_id,
        APP.c.name,
        func.min(TOKEN.c.created_us).label("since_us"),
        func.max(TOKEN.c.last_used_us).label("used_us"),
        func.max(TOKEN.c.expires_us).label("expires_us"),
    )
    .join(TOKEN, TOKEN.c.client_id == APP.c.client_id)
    .where(_OF_ACCOUNT, or_(TOKEN.c.expires_us.is_(None), TOKEN.c.expires_us > given("now_us")))
    .group_by(APP.c.client_id, APP.c.name, APP.c.number)
    .order_by(APP.c.number)
)
_IS_THERE = Statement(
    select(
        or_(
            *(
                select(table.c.digest)
                .where(table.c.account_id == given("account_id"), table.c.client_id == given("client_id"))
                .exists()
                for table in (TOKEN, CODE)
            )
        )
    )
)
_END = RecordedStatement(
    *(
        delete(table).where(table.c.account_id == given("account_id"), table.c.client_id == given("client_id"))
        for table in (TOKEN, CODE)
    )
)


@dataclass(frozen=True, slots=True)
class ActingApp:
    """An app that holds tokens of an account: its first token, the last use of one, and when the last one expires."""

    client_id: str
    name: str
    since_us: int
    used_us: int | None
    expires_us: int | None


class ActingApps(Accounts):
    """The apps that act for an account. A method acts within the scope of the grant it is given."""

    def acting(self, grant: Grant, account_id: str) -> list[ActingApp]:
        """List the apps that hold a token which is still good. Raises RefusedError: NotPermitted, NoSuchObject."""
        return self.acting_for(self.get(grant, account_id))

    def acting_for(self, account: Account) -> list[ActingApp]:
        """List the apps that hold a token of an account which is still good."""
        rows = self._session.read(_LIST, account_id=account.id, now_us=self._session.now_us)
        return [ActingApp(row.client_id, row.name, row.since_us, row.used_us, row.expires_us) for row in rows]

    def revoke(self, grant: Grant, account_id: str, client_id: str) -> None:
        """End all tokens and codes of an app for an account. Raises RefusedError: NotPermitted, NoSuchObject."""
        self.get(grant, account_id)
        if not self._end(account_id, client_id, grant.privilege or MentionPrivilege.OWN_APPS_DELETE):
            raise RefusedError(NoSuchObject("DELETE", f"app {client_id}"))

    def revoke_on_page(self, secret: str, account_id: str, client_id: str) -> bool:
        """End an app for the person of a session, and return whether the session goes on. The app need not be there."""
        if not Sessions(self._session).hold(secret, account_id):
            return False
        self._end(account_id, client_id, MentionPrivilege.OWN_APPS_DELETE)
        return True

    def _end(self, account_id: str, client_id: str, privilege: Privilege) -> bool:
        # A code that is being exchanged holds the account, so no token comes of it afterwards.
        if locked(self._session, account_id) is None:
            raise TransactionRefusedError
        if not is_client_id(client_id):
            return False
        if not self._session.read(_IS_THERE, account_id=account_id, client_id=client_id).scalar_one():
            return False
        # An object of its own in the trail: the account gets no other version by it.
        named = f"app {client_id} of {account_id}"
        change = Change(FAMILY_NAME, "", privilege.action, named, uuid.uuid4().hex, 1, {"app": "revoked"})
        self._session.write(change, _END, account_id=account_id, client_id=client_id)
        return True
