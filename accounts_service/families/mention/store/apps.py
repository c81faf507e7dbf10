"""Every query on apps, and on the codes that they exchange for tokens."""

from __future__ import annotations

import hmac
import json
import re
import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from accounts_service.families.mention.privileges import MentionPrivilege
from accounts_service.families.mention.store.accounts import FAMILY_NAME, locked
from accounts_service.families.mention.store.sessions import Sessions
from accounts_service.families.mention.store.tokens import Tokens, digest_of
from accounts_service.families.mention.tables import APP, CODE, SESSION, TOKEN
from accounts_service.storage.audit import Change
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, TransactionRefusedError
from accounts_service.storage.statements import Statement, given, insertion

CODE_SECONDS = 30
# So long it is known that a code has expired, and was not made up.
_KEPT_US = 3600 * 1_000_000
# And so long of a token.
_TOKENS_KEPT_US = 30 * 24 * 3600 * 1_000_000

_CLIENT_ID = re.compile(r"[0-9]{1,18}_[A-Za-z0-9]{1,64}\Z")
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class App:
    """An app that asks for tokens. `callbacks`: what redirections may begin with."""

    client_id: str
    name: str
    callbacks: tuple[str, ...]
    digest: str = field(repr=False)

    def has_secret(self, secret: str) -> bool:
        """Tell whether this is the secret of the app."""
        return hmac.compare_digest(self.digest, digest_of(secret))


@dataclass(frozen=True, slots=True)
class Code:
    """What a code was given for. `challenge` is PKCE's; `token_id` names what it was exchanged for."""

    digest: str = field(repr=False)
    client_id: str
    account_id: str
    redirect_uri: str
    challenge: str | None = field(repr=False)
    challenge_method: str | None
    expired: bool
    token_id: str | None


def is_client_id(text: str) -> bool:
    """Return whether a text can be the client id of an app; no other may reach the database, which takes no NUL."""
    return _CLIENT_ID.match(text) is not None


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


_FIND = Statement(select(APP).where(APP.c.client_id == given("client_id")))
_ALL = Statement(select(APP).order_by(APP.c.number))
_NEXT = Statement(select(func.coalesce(func.max(APP.c.number), 0) + 1))
_CREATE = RecordedStatement(insertion(APP))
_DELETE = RecordedStatement(delete(APP).where(APP.c.client_id == given("client_id")))
_CREATE_CODE = Statement(insertion(CODE))
_CODE = Statement(select(CODE).where(CODE.c.digest == given("digest")).with_for_update())
_ACCOUNT_OF_CODE = Statement(select(CODE.c.account_id).where(CODE.c.digest == given("digest")))
_USE_CODE = Statement(update(CODE).where(CODE.c.digest == given("digest")).values(token_id=given("token_id")))
_FORGET = Statement(delete(CODE).where(CODE.c.expires_us < given("before_us")))
_FORGET_SESSIONS = Statement(delete(SESSION).where(SESSION.c.expires_us < given("before_us")))
_FORGET_TOKENS = Statement(delete(TOKEN).where(TOKEN.c.expires_us < given("before_us")))


class Apps(Tokens):
    """Apps and codes."""

    def app(self, client_id: str) -> App | None:
        """Read an app; None when there is none."""
        if not is_client_id(client_id):
            return None
        row = self._session.read(_FIND, client_id=client_id).one_or_none()
        return None if row is None else _app(row)

    def apps(self) -> list[App]:
        """List all apps, in the order in which they were registered."""
        return [_app(row) for row in self._session.read(_ALL)]

    def register(self, name: str, callbacks: Sequence[str]) -> tuple[str, str]:
        """Make an app; gives its client id and its secret, which is shown here and never again."""
        number: int = self._session.read(_NEXT).scalar_one()
        client_id, secret = f"{number}_{_random(32)}", _random(50)
        self._session.write(
            _change(client_id, 1, {"name": name, "callbacks": [*callbacks]}),
            _CREATE,
            client_id=client_id,
            number=number,
            name=name,
            digest=digest_of(secret),
            callbacks=json.dumps([*callbacks]),
            created_us=self._session.now_us,
        )
        return client_id, secret

    def remove(self, client_id: str) -> bool:
        """Delete an app with its tokens; tells whether there was one."""
        if self.app(client_id) is None:
            return False
        self._session.write(_change(client_id, 2, {"deleted": True}), _DELETE, client_id=client_id)
        return True

    # -- Codes ----------------------------------------------------------------

    def is_signed_in(self, secret: str, account_id: str) -> bool:
        """Return whether a session of the account goes on, and let nothing end it in this transaction."""
        return Sessions(self._session).hold(secret, account_id)

    def give_code(self, app: App, account_id: str, redirect_uri: str, challenge: tuple[str | None, str | None]) -> str:
        """Make a code for an app to have a token of an account; it holds for seconds.

        Raises TransactionRefusedError when one of them is gone.
        """
        code = _random(64)
        try:
            self._session.note(
                _CREATE_CODE,
                digest=digest_of(code),
                client_id=app.client_id,
                account_id=account_id,
                redirect_uri=redirect_uri,
                challenge=challenge[0],
                challenge_method=challenge[1],
                expires_us=self._session.now_us + CODE_SECONDS * 1_000_000,
                token_id=None,
            )
        except ForeignKeyError:
            raise TransactionRefusedError from None
        return code

    def code(self, code: str) -> Code | None:
        """Read a code, and lock its account and then the code until the transaction ends; None when there is none."""
        account_id = self._session.read(_ACCOUNT_OF_CODE, digest=digest_of(code)).scalar_one_or_none()
        if account_id is None or locked(self._session, account_id) is None:
            return None
        # Read again: a change of the password, which holds the account, ends codes.
        row = self._session.read(_CODE, digest=digest_of(code)).one_or_none()
        return None if row is None else _code(row, self._session.now_us)

    def use(self, code: Code, token_id: str) -> None:
        """Note for which token a code was used: it is good for one."""
        self._session.note(_USE_CODE, digest=code.digest, token_id=token_id)

    def forget(self) -> None:
        """Delete sessions that have expired, and codes and tokens that have expired long ago."""
        self._session.note(_FORGET_SESSIONS, before_us=self._session.now_us)
        self._session.note(_FORGET, before_us=self._session.now_us - _KEPT_US)
        self._session.note(_FORGET_TOKENS, before_us=self._session.now_us - _TOKENS_KEPT_US)


def _change(client_id: str, version: int, detail: dict[str, Any]) -> Change:
    return Change(FAMILY_NAME, "", MentionPrivilege.ALL_PUT.action, f"app {client_id}", client_id, version, detail)


def _app(row: Row[Any]) -> App:
    return App(row.client_id, row.name, tuple(json.loads(row.callbacks)), row.digest)


def _code(row: Row[Any], now_us: int) -> Code:
    return Code(
        digest=row.digest,
        client_id=row.client_id,
        account_id=row.account_id,
        redirect_uri=row.redirect_uri,
        challenge=row.challenge,
        challenge_method=row.challenge_method,
        expired=row.expires_us <= now_us,
        token_id=row.token_id,
    )
