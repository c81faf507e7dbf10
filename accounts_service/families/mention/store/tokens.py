"""Every query on access tokens: who comes with one, and what becomes of it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, select, update

from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.store.accounts import FAMILY_NAME
from accounts_service.families.mention.tables import ACCOUNT, TOKEN
from accounts_service.storage.audit import Change
from accounts_service.storage.clocks import have_passed, is_long_ago, span
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, Store, TransactionRefusedError
from accounts_service.storage.statements import Statement, given, insertion

# So often it is noted that a token was used.
_NOTED_US = 60 * 1_000_000

_TOKEN = re.compile(r"[A-Za-z0-9]{86}\Z")


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token it is. `expired`: it was his."""

    token_id: str
    account_id: str
    expired: bool
    noted_us: int | None

    def is_to_be_noted(self, now_us: int) -> bool:
        """Tell whether the last note is old enough for another one."""
        return have_passed(_NOTED_US, self.noted_us, now_us)


def new_token() -> str:
    """Make a token as Mention's are: a hexadecimal SHA-256 in base64, 86 letters and figures.

    A client refuses any other (https://github.com/captaindash/node-mention-api).
    """
    digest = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
    return base64.b64encode(digest.encode("ascii")).decode("ascii").rstrip("=")


def digest_of(secret: str) -> str:
    """Give what tokens, codes and secrets of apps are looked up by: they are as random as keys."""
    return hashlib.sha256(secret.encode()).hexdigest()


_BEARER = Statement(select(TOKEN).where(TOKEN.c.digest == given("digest")))
_CREATE = RecordedStatement(insertion(TOKEN))
_DELETE = RecordedStatement(delete(TOKEN).where(TOKEN.c.id == given("id")))
_NOTE = Statement(
    update(TOKEN)
    .where(TOKEN.c.id == given("id"), is_long_ago(TOKEN.c.last_used_us))
    .values(last_used_us=given("now_us"))
)
ALL = Statement(
    select(TOKEN, ACCOUNT.c.email)
    .join(ACCOUNT, ACCOUNT.c.id == TOKEN.c.account_id)
    .order_by(ACCOUNT.c.email_folded, TOKEN.c.created_us, TOKEN.c.id)
)
_BY_ID = Statement(select(TOKEN).where(TOKEN.c.id == given("id")).with_for_update())


class Tokens(Store):
    """Access tokens."""

    def bearer(self, token: str) -> Bearer | None:
        """Find out whose token it is; None when it is nobody's."""
        if not _TOKEN.match(token):
            return None
        row = self._session.read(_BEARER, digest=digest_of(token)).one_or_none()
        if row is None:
            return None
        expired = row.expires_us is not None and row.expires_us <= self._session.now_us
        return Bearer(row.id, row.account_id, expired, row.last_used_us)

    def note_use(self, token_id: str) -> None:
        """Note that a token was used, unless somebody has just done so."""
        now_us = self._session.now_us
        self._session.note(_NOTE, id=token_id, now_us=now_us, **span(_NOTED_US, now_us))

    def make(self, account_id: str, name: str, client_id: str | None, seconds: int | None) -> tuple[str, str]:
        """Make a token for an account and an app, or none; it holds for `seconds`, or for good. Gives its id, and it.

        Raises TransactionRefusedError when one of them is gone.
        """
        token, token_id, now_us = new_token(), uuid.uuid4().hex, self._session.now_us
        values = {
            "id": token_id,
            "account_id": account_id,
            "client_id": client_id,
            "name": name,
            "digest": digest_of(token),
            "created_us": now_us,
            "expires_us": None if seconds is None else now_us + seconds * 1_000_000,
            "last_used_us": None,
        }
        try:
            self._session.write(_change(token_id, account_id, 1, made=True), _CREATE, **values)
        except ForeignKeyError:
            raise TransactionRefusedError from None
        return token_id, token

    def revoke(self, token_id: str) -> bool:
        """Make a token worthless; tells whether there was one."""
        row: Row[Any] | None = self._session.read(_BY_ID, id=token_id).one_or_none()
        if row is None:
            return False
        self._session.write(_change(row.id, row.account_id, 2, made=False), _DELETE, id=row.id)
        return True


def _change(token_id: str, account_id: str, version: int, *, made: bool) -> Change:
    act = MentionPrivilege.OWN_PUT.action
    return Change(
        FAMILY_NAME,
        "",
        act,
        f"token {token_id} of {account_id}",
        token_id,
        version,
        {"token": "made" if made else "revoked"},
    )
