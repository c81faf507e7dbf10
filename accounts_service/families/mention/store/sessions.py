"""Every query on sessions: the accounts that are signed in on a page."""

from __future__ import annotations

from sqlalchemy import delete, select

from accounts_service.families.mention.store.accounts import Account, account_of, locked
from accounts_service.families.mention.store.tokens import digest_of
from accounts_service.families.mention.tables import ACCOUNT, SESSION
from accounts_service.storage.database import Store, TransactionRefusedError
from accounts_service.storage.statements import Statement, given, insertion

_FIND = Statement(
    select(ACCOUNT)
    .join(SESSION, SESSION.c.account_id == ACCOUNT.c.id)
    .where(SESSION.c.digest == given("digest"), SESSION.c.expires_us > given("now_us"))
)
_CREATE = Statement(insertion(SESSION))
_DELETE = Statement(delete(SESSION).where(SESSION.c.digest == given("digest")))


class Sessions(Store):
    """Sessions. Each is found by a secret that its browser keeps, of which only the digest is stored."""

    def account(self, secret: str) -> Account | None:
        """Read the account that has signed in; None when the session has ended."""
        row = self._session.read(_FIND, digest=digest_of(secret), now_us=self._session.now_us).one_or_none()
        return None if row is None else account_of(row)

    def begin(self, account: Account, secret: str, seconds: int) -> None:
        """Begin a session of an account whose password was checked.

        Raises TransactionRefusedError when the account has another password or
        address by now, or is gone.
        """
        there = locked(self._session, account.id)
        if there is None or (there.password, there.email) != (account.password, account.email):
            raise TransactionRefusedError
        self._session.note(
            _CREATE,
            digest=digest_of(secret),
            account_id=account.id,
            expires_us=self._session.now_us + seconds * 1_000_000,
        )

    def hold(self, secret: str, account_id: str) -> bool:
        """Return whether the session goes on, and keep a change of the account from ending it in this transaction."""
        locked(self._session, account_id)
        account = self.account(secret)
        return account is not None and account.id == account_id

    def end(self, secret: str) -> None:
        """End a session, if it goes on."""
        self._session.note(_DELETE, digest=digest_of(secret))
