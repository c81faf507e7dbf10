"""Every query on personal access tokens: who comes with one, and what becomes of it."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, select, update

from accounts_service.access.privileges import Everything, Grant
from accounts_service.families.netbird.privileges import NetBirdPrivilege
from accounts_service.families.netbird.store.accounts import FAMILY_NAME, new_id
from accounts_service.families.netbird.store.changes import Happening, written
from accounts_service.families.netbird.store.users import Caller, User, Users, covers, no_such_user, user_of
from accounts_service.families.netbird.tables import TOKEN, USER
from accounts_service.faults import AgainstTheRules, NoSuchObject, NotPermitted, RefusedError, Rule
from accounts_service.storage.audit import Change
from accounts_service.storage.clocks import have_passed, is_long_ago, span
from accounts_service.storage.database import RecordedStatement, TransactionRefusedError
from accounts_service.storage.statements import Statement, given, insertion

_DAY_US = 24 * 60 * 60 * 1_000_000
# So often it is noted that a token was used.
_NOTED_US = 60 * 1_000_000
# They are listed all at once, those that have expired included.
MOST_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class Token:
    """A personal access token, without the token."""

    id: str
    name: str
    created_by: str
    created_us: int
    expires_us: int
    last_used_us: int | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token it is. `noted_us`: when its use was last noted."""

    token_id: str
    user: User
    noted_us: int | None

    def is_to_be_noted(self, now_us: int) -> bool:
        """Tell whether the last note is old enough for another one."""
        return have_passed(_NOTED_US, self.noted_us, now_us)


# -- Tokens as texts ----------------------------------------------------------

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PREFIX = "nbp_"
_SECRET_LENGTH, _CHECKSUM_LENGTH = 30, 6
LENGTH = len(_PREFIX) + _SECRET_LENGTH + _CHECKSUM_LENGTH


def checksum(secret: str) -> str:
    """Give the checksum of a token's secret part: its CRC-32 in base62, six digits."""
    number, digits = zlib.crc32(secret.encode("ascii")), ""
    while number:
        number, rest = divmod(number, len(_DIGITS))
        digits = _DIGITS[rest] + digits
    return digits.rjust(_CHECKSUM_LENGTH, "0")


def new_token() -> str:
    """Make a token."""
    secret = "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_LENGTH))
    return _PREFIX + secret + checksum(secret)


def is_token(text: str) -> bool:
    """Return whether a text can be a token: its form and its checksum."""
    return _flaw_of(text, _PREFIX) is None


def flaw_of_invite(text: str) -> str | None:
    """Return the name of what is wrong with the form of an invite token, in NetBird's order; None for a good one."""
    return _flaw_of(text, "nbi_")


def _flaw_of(text: str, prefix: str) -> str | None:
    if len(text.encode()) != LENGTH:
        return "invite_length"
    if not text.startswith(prefix):
        return "invite_prefix"
    secret, check = text[len(prefix) : -_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    fits = set(secret + check) <= set(_DIGITS) and check == checksum(secret)
    return None if fits else "invite_checksum"


def digest_of(token: str) -> str:
    """Give what a token is looked up by. It is as random as a key, so an unkeyed hash tells nothing."""
    return hashlib.sha256(token.encode("ascii")).hexdigest()


# -- Statements ---------------------------------------------------------------

_BEARER = Statement(
    select(USER, TOKEN.c.id.label("token_id"), TOKEN.c.last_used_us)
    .join(TOKEN, TOKEN.c.user_id == USER.c.id)
    .where(TOKEN.c.digest == given("digest"), TOKEN.c.expires_us > given("now_us"))
)
_TOKENS = Statement(select(TOKEN).where(TOKEN.c.user_id == given("user")).order_by(TOKEN.c.created_us, TOKEN.c.id))
_TOKEN = Statement(select(TOKEN).where(TOKEN.c.user_id == given("user"), TOKEN.c.id == given("id")))
_TOKEN_LOCKED = Statement(
    select(TOKEN).where(TOKEN.c.user_id == given("user"), TOKEN.c.id == given("id")).with_for_update()
)
_COUNT = Statement(select(func.count()).select_from(TOKEN).where(TOKEN.c.user_id == given("user")))
_USER_LOCKED = Statement(select(USER.c.id).where(USER.c.id == given("user")).with_for_update())
_CREATE_TOKEN = RecordedStatement(insertion(TOKEN))
_DELETE_TOKEN = RecordedStatement(delete(TOKEN).where(TOKEN.c.id == given("id")))
_NOTE = Statement(
    update(TOKEN)
    .where(TOKEN.c.id == given("id"), is_long_ago(TOKEN.c.last_used_us))
    .values(last_used_us=given("now_us"))
)
ALL_TOKENS = Statement(select(TOKEN).order_by(TOKEN.c.user_id, TOKEN.c.created_us, TOKEN.c.id))
_BY_ID = Statement(select(TOKEN).where(TOKEN.c.id == given("id")).with_for_update())


class Tokens(Users):
    """Tokens. A method acts within the scope of the grant it is given."""

    def bearer(self, token: str) -> Bearer | None:
        """Find out whose token it is; None when it is nobody's or has expired."""
        row = self._session.read(_BEARER, digest=digest_of(token), now_us=self._session.now_us).one_or_none()
        return None if row is None else Bearer(row.token_id, user_of(row), row.last_used_us)

    def note_use(self, token_id: str) -> None:
        """Note that a token was used, unless somebody has just done so."""
        now_us = self._session.now_us
        self._session.note(_NOTE, id=token_id, now_us=now_us, **span(_NOTED_US, now_us))

    def owner(self, grant: Grant, user_id: str, caller: Caller) -> User:
        """Read the user whose tokens the caller may see, if his role lets him see any.

        Raises RefusedError: NoSuchObject for a user who does not exist, NotPermitted
        for one of another account, or AgainstTheRules for one who is neither the
        caller nor a service user.
        """
        user = self._whose(grant, user_id)
        others = user.service_user and (caller.administrator or isinstance(grant.scope, Everything))
        if user.id != caller.id and not others:
            raise RefusedError(AgainstTheRules(Rule.ADMINISTRATORS_ONLY, user_id))
        return user

    def tokens(self, grant: Grant, user_id: str, caller: Caller) -> list[Token]:
        """List the tokens of a user, the oldest first. Raises RefusedError as `owner` does."""
        user = self.owner(grant, user_id, caller)
        return [_token(row) for row in self._session.read(_TOKENS, user=user.id)]

    def token(self, grant: Grant, user_id: str, token_id: str, caller: Caller) -> Token:
        """Read one token of a user. Raises RefusedError as `owner` does."""
        user = self.owner(grant, user_id, caller)
        return _token(self._token_there(_TOKEN, user, token_id))

    def make_token(self, grant: Grant, user_id: str, name: str, days: int, caller: Caller) -> tuple[str, Token]:
        """Make a token for a user, and give it with what is kept of it.

        Raises RefusedError as `owner` does, and AgainstTheRules for one too many.
        """
        user = self.owner(grant, user_id, caller)
        self._session.lock(_USER_LOCKED, user=user.id)
        if self._session.read(_COUNT, user=user.id).scalar_one() >= MOST_TOKENS:
            raise RefusedError(AgainstTheRules(Rule.TOO_MANY_TOKENS, str(MOST_TOKENS)))
        return self.make_token_for(user, name, days, created_by=caller.id)

    def make_token_for(self, user: User, name: str, days: int, created_by: str) -> tuple[str, Token]:
        """Make a token for a user, and give it with what is kept of it."""
        text, now_us = new_token(), self._session.now_us
        token = Token(new_id(), name, created_by, now_us, now_us + days * _DAY_US, None)
        change = Change(
            FAMILY_NAME,
            "",
            NetBirdPrivilege.PATS_CREATE.action,
            f"token {token.id} of {user.id}",
            token.id,
            1,
            {"name": name, "days": days},
        )
        self._with_what_it_refers_to(
            change,
            _CREATE_TOKEN,
            id=token.id,
            user_id=user.id,
            name=name,
            digest=digest_of(text),
            created_by=created_by,
            created_us=token.created_us,
            expires_us=token.expires_us,
            last_used_us=None,
        )
        self.tell(user.account_id, [_about_token("personal.access.token.create", user, name)])
        return text, token

    def delete_token(self, grant: Grant, user_id: str, token_id: str, caller: Caller) -> None:
        """Delete a token of a user. Raises RefusedError as `owner` does."""
        user = self.owner(grant, user_id, caller)
        self._delete_token(user, self._token_there(_TOKEN_LOCKED, user, token_id))

    def revoke(self, token_id: str) -> bool:
        """Delete a token, whosesoever it is; tells whether there was one."""
        row = self._session.read(_BY_ID, id=token_id).one_or_none()
        if row is None:
            return False
        user = self.find(row.user_id)
        if user is None:
            raise TransactionRefusedError  # He was deleted since, and his tokens with him.
        self._delete_token(user, row)
        return True

    # -- Below ----------------------------------------------------------------

    def _whose(self, grant: Grant, user_id: str) -> User:
        user = self.find(user_id)
        if user is None:
            raise no_such_user(user_id)
        if not covers(grant, user.account_id):
            # NetBird tells a user of another account from none here, and here only; see docs/netbird.md.
            raise RefusedError(NotPermitted())
        return user

    def _token_there(self, statement: Statement, user: User, token_id: str) -> Row[Any]:
        row = self._session.read(statement, user=user.id, id=token_id).one_or_none()
        if row is None:
            raise RefusedError(NoSuchObject("GET", f"pat: {token_id}"))
        return row

    def _delete_token(self, user: User, row: Row[Any]) -> None:
        act = NetBirdPrivilege.PATS_DELETE.action
        change = Change(FAMILY_NAME, "", act, f"token {row.id} of {user.id}", row.id, 2, {"name": row.name})
        self._session.write(change, _DELETE_TOKEN, id=row.id)
        self.tell(user.account_id, [_about_token("personal.access.token.delete", user, row.name)])


def _about_token(code: str, user: User, name: str) -> Happening:
    meta = {"name": name, "is_service_user": written(user.service_user), "user_name": user.name}
    return Happening(code, user.id, meta)


def _token(row: Row[Any]) -> Token:
    return Token(row.id, row.name, row.created_by, row.created_us, row.expires_us, row.last_used_us)
