"""Every query on API tokens: who comes with one, and what becomes of it."""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, delete, or_, select, union, update

from accounts_service.access.privileges import Everything, Grant, Own
from accounts_service.families.wavefront.privileges import NOT_FOR_SERVICE_ACCOUNTS, WavefrontPrivilege
from accounts_service.families.wavefront.store.directory import (
    FAMILY_NAME,
    MOST_LISTED,
    NO_CONDITIONS,
    OF_NAME,
    SERVICE,
    SYSTEM_OF,
    Conditions,
    Token,
    everything,
    list_of,
    listable,
    matching,
    means,
    searched,
)
from accounts_service.families.wavefront.store.logins import NOTED_US, Logins, is_due
from accounts_service.families.wavefront.tables import (
    ACCOUNT,
    ACCOUNT_GROUP,
    ACCOUNT_PERMISSION,
    ACCOUNT_ROLE,
    GROUP,
    GROUP_ROLE,
    ROLE_PERMISSION,
    TOKEN,
)
from accounts_service.faults import AgainstTheRules, Json, NoSuchObject, NotPermitted, RefusedError, Rule
from accounts_service.storage.audit import Change
from accounts_service.storage.clocks import is_long_ago, span
from accounts_service.storage.database import RecordedStatement
from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.lists import texts
from accounts_service.storage.reveals import Revealing
from accounts_service.storage.sealed import Place, UnreadableSecretError
from accounts_service.storage.statements import Statement, given, insertion

log = structlog.get_logger(__name__)

# What Wavefront allows an account.
MOST = 20

_ATTRIBUTE = "token"

SEALED = (Sealed("tokens", TOKEN.c.sealed, FAMILY_NAME, attribute=_ATTRIBUTE),)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose token it is, and what its account may do. `noted_us`, `login_us`: when the use of either was last noted."""

    token_uid: str
    account_uid: str
    identifier: str
    service_account: bool
    permissions: tuple[str, ...]
    noted_us: int | None
    login_us: int | None

    def is_to_be_noted(self, now_us: int) -> bool:
        """Return whether the last note about the token or its account is old enough for another one."""
        return is_due(self.noted_us, now_us) or is_due(self.login_us, now_us)


def digest_of(token: str) -> str:
    """Give what a token is looked up by. It is as random as a key, so an unkeyed hash tells nothing."""
    return hashlib.sha256(token.lower().encode("utf-8", "replace")).hexdigest()


JOINED = select(TOKEN, *(ACCOUNT.c[name] for name in ("identifier", "folded", "caseless", "kind", "active"))).join(
    ACCOUNT, ACCOUNT.c.uid == TOKEN.c.account_uid
)
_IN_ORDER = (ACCOUNT.c.folded, TOKEN.c.number)
_OF_DIGEST = TOKEN.c.digest == given("digest")

_BEARER = Statement(JOINED.add_columns(ACCOUNT.c.last_login_us).where(_OF_DIGEST, ACCOUNT.c.active == 1))
_ROLES_OF_GROUPS = select(GROUP_ROLE.c.role_uid).where(
    or_(
        GROUP_ROLE.c.group_uid.in_(
            select(ACCOUNT_GROUP.c.group_uid).where(ACCOUNT_GROUP.c.account_uid == given("account"))
        ),
        GROUP_ROLE.c.group_uid.in_(select(GROUP.c.uid).where(GROUP.c.system == given("system"))),
    )
)
_ROLES_OF_ACCOUNT = select(ACCOUNT_ROLE.c.role_uid).where(ACCOUNT_ROLE.c.account_uid == given("account"))
_UNITED = Statement(
    select(
        union(
            select(ACCOUNT_PERMISSION.c.permission).where(ACCOUNT_PERMISSION.c.account_uid == given("account")),
            select(ROLE_PERMISSION.c.permission).where(
                or_(
                    ROLE_PERMISSION.c.role_uid.in_(_ROLES_OF_ACCOUNT),
                    ROLE_PERMISSION.c.role_uid.in_(_ROLES_OF_GROUPS),
                )
            ),
        )
        .subquery()
        .c.permission
    )
)

_OF_ACCOUNT = Statement(JOINED.where(ACCOUNT.c.uid == given("account")).order_by(*_IN_ORDER))
_OF_ACCOUNTS = Statement(JOINED.where(ACCOUNT.c.uid.in_(texts(given("accounts")))).order_by(*_IN_ORDER))
ALL = Statement(JOINED.order_by(*_IN_ORDER).limit(MOST_LISTED + 1))
_ONE = Statement(JOINED.where(_OF_DIGEST))
_ONE_LOCKED = Statement(JOINED.where(_OF_DIGEST).with_for_update(of=TOKEN))
_BY_UID = Statement(JOINED.where(TOKEN.c.uid == given("uid")).with_for_update(of=TOKEN))
# Its row is what two who make tokens for it at once wait for.
_OWNER = Statement(select(ACCOUNT).where(ACCOUNT.c.uid == given("account")).with_for_update())
_OWNER_OF_NAME = Statement(select(ACCOUNT).where(OF_NAME))

_THIS = TOKEN.c.uid == given("uid")
_CREATE = RecordedStatement(insertion(TOKEN))
_RENAME = RecordedStatement(
    update(TOKEN).where(_THIS).values({name: given(name) for name in ("name", "name_caseless", "version")})
)
_DELETE = RecordedStatement(delete(TOKEN).where(_THIS))
_NOTE = Statement(update(TOKEN).where(_THIS, is_long_ago(TOKEN.c.last_used_us)).values(last_used_us=given("now_us")))


class Tokens(Revealing):
    """API tokens. A method acts within the scope of the grant it is given: everybody's, or the caller's own."""

    def bearer(self, token: str) -> Bearer | None:
        """Find out whose token it is; None when it is nobody's, or its service account is not active."""
        row = self._session.read(_BEARER, digest=digest_of(token)).one_or_none()
        if row is None:
            return None
        united = self._session.read(_UNITED, account=row.account_uid, system=SYSTEM_OF[row.kind])
        service = row.kind == SERVICE
        denied = NOT_FOR_SERVICE_ACCOUNTS if service else frozenset()
        permissions = tuple(sorted(one for (one,) in united if one not in denied))
        return Bearer(
            row.uid, row.account_uid, row.identifier, service, permissions, row.last_used_us, row.last_login_us
        )

    def note_use(self, bearer: Bearer) -> None:
        """Note that a token and its account were used, unless that was noted within the last minute."""
        now_us = self._session.now_us
        self._session.note(_NOTE, uid=bearer.token_uid, now_us=now_us, **span(NOTED_US, now_us))
        Logins(self._session).note(bearer.account_uid)

    def own(self, grant: Grant) -> list[Token]:
        """List the caller's own tokens, the newest last. Raises RefusedError(NotPermitted) when he has no account."""
        return self.listed(self._session.read(_OF_ACCOUNT, account=_own(grant)))

    def of(self, grant: Grant, identifier: str) -> list[Token]:
        """List the tokens of a service account, the newest last. Raises RefusedError(NoSuchObject)."""
        return self.listed(self._session.read(_OF_ACCOUNT, account=self._service(grant, identifier)))

    def of_accounts(self, uids: Sequence[str]) -> dict[str, list[Token]]:
        """List the tokens of some accounts, by account."""
        tokens: dict[str, list[Token]] = defaultdict(list)
        rows = self._session.read(_OF_ACCOUNTS, accounts=list_of(uids)).all()
        for row in rows:
            tokens[row.account_uid] += self.listed((row,))
        return tokens

    def all(self, grant: Grant) -> list[Token]:
        """List everybody's tokens, by account."""
        everything(grant)
        return self.listed(listable(self._session.read(ALL)))

    def get(self, grant: Grant, token: str) -> Token:
        """Read one token of anybody's. Raises RefusedError(NoSuchObject)."""
        everything(grant)
        return _token(self._there(_ONE, token), token.lower())

    # -- Changes --------------------------------------------------------------

    def make_own(self, grant: Grant) -> list[Token]:
        """Make a token for the caller; lists all of his, the new one last. Raises RefusedError(AgainstTheRules)."""
        return self._made(_own(grant), None, WavefrontPrivilege.TOKEN_OWN_CREATE)

    def make(self, grant: Grant, identifier: str, name: str | None) -> list[Token]:
        """Make a token for a service account; lists all of its, the new one last.

        Raises RefusedError: NoSuchObject, or AgainstTheRules for one too many.
        """
        return self._made(self._service(grant, identifier), name, WavefrontPrivilege.TOKEN_ALL_CREATE)

    def rename(
        self,
        grant: Grant,
        token: str,
        name: str | None,
        identifier: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Token:
        """Rename a token, of the caller's own or of the service account `identifier`; None leaves its name.

        Raises RefusedError: NoSuchObject, PreconditionFailed.
        """
        row = self._theirs(grant, token, identifier)
        conditions.check(row.version)
        if name is not None and name != row.name:
            detail: dict[str, Json] = {"name": {"from": row.name, "to": name}}
            privilege = _of(grant, WavefrontPrivilege.TOKEN_OWN_PUT, WavefrontPrivilege.TOKEN_ALL_PUT)
            version = row.version + 1
            self._session.write(
                _change(privilege, row, version, detail),
                _RENAME,
                uid=row.uid,
                name=name,
                name_caseless=searched(name),
                version=version,
            )
        return _token(self._there(_ONE, token), token.lower())

    def revoke(
        self, grant: Grant, token: str, identifier: str | None = None, conditions: Conditions = NO_CONDITIONS
    ) -> list[Token]:
        """Delete a token, of the caller's own or of the service account `identifier`; lists those that are left.

        Raises RefusedError: NoSuchObject, PreconditionFailed.
        """
        row = self._theirs(grant, token, identifier)
        conditions.check(row.version)
        self._delete(grant, row)
        return self.listed(self._session.read(_OF_ACCOUNT, account=row.account_uid))

    def revoke_anybodys(self, grant: Grant, token: str) -> Token:
        """Delete a token of anybody's; returns what it was. Raises RefusedError(NoSuchObject)."""
        everything(grant)
        row = self._there(_ONE_LOCKED, token)
        self._delete(grant, row)
        return _token(row, token.lower())

    def uid_of(self, token: str) -> str | None:
        """Return under which uid a token is kept, also one of an account that is not active."""
        row = self._session.read(_ONE, digest=digest_of(token)).one_or_none()
        return None if row is None else str(row.uid)

    def revoke_by_uid(self, grant: Grant, uid: str) -> bool:
        """Delete the token that is kept under `uid`; tells whether there was one."""
        row = self._session.read(_BY_UID, uid=uid).one_or_none()
        if row is not None:
            self._delete(grant, row)
        return row is not None

    # -- Below ----------------------------------------------------------------

    def _service(self, grant: Grant, identifier: str) -> str:
        everything(grant)
        rows = self._session.read(_OWNER_OF_NAME, **means(identifier)).all()
        row = matching((identifier,), rows).get(identifier)
        if row is None or row.kind != SERVICE:
            raise RefusedError(NoSuchObject("GET", identifier))
        return str(row.uid)

    def _there(self, statement: Statement, token: str) -> Row[Any]:
        row = self._session.read(statement, digest=digest_of(token)).one_or_none()
        if row is None:
            raise RefusedError(NoSuchObject("GET", "API token"))
        return row

    def _theirs(self, grant: Grant, token: str, identifier: str | None) -> Row[Any]:
        owner = _own(grant) if identifier is None else self._service(grant, identifier)
        row = self._there(_ONE_LOCKED, token)
        if row.account_uid != owner:
            # That it is somebody else's is no matter of theirs.
            raise RefusedError(NoSuchObject("GET", "API token"))
        return row

    def _made(self, account: str, name: str | None, privilege: WavefrontPrivilege) -> list[Token]:
        self.make_for(account, name, privilege)
        return self.listed(self._session.read(_OF_ACCOUNT, account=account))

    def make_for(
        self, account: str, name: str | None, privilege: WavefrontPrivilege = WavefrontPrivilege.TOKEN_ALL_CREATE
    ) -> str:
        """Make a token for the account of this uid, and return it. Raises RefusedError as `make` does."""
        owner = self._session.read(_OWNER, account=account).one_or_none()
        if owner is None:
            raise RefusedError(NoSuchObject("POST", "the account"))
        there = self._session.read(_OF_ACCOUNT, account=account).all()
        if len(there) >= MOST:
            raise RefusedError(AgainstTheRules(Rule.TOO_MANY_TOKENS, str(MOST)))
        uid, token = uuid.uuid4().hex, str(uuid.uuid4())
        self._session.write(
            Change(
                FAMILY_NAME,
                "",
                privilege.action,
                f"token {uid} of {owner.identifier}",
                uid,
                1,
                {"created": True, "name": name},
            ),
            _CREATE,
            uid=uid,
            account_uid=account,
            number=1 + max((row.number for row in there), default=0),
            digest=digest_of(token),
            sealed=self._session.vault.seal(Place(FAMILY_NAME, uid, _ATTRIBUTE), token),
            name=name,
            name_caseless=searched(name),
            created_us=self._session.now_us,
            last_used_us=None,
            version=1,
        )
        return token

    def _delete(self, grant: Grant, row: Row[Any]) -> None:
        privilege = _of(grant, WavefrontPrivilege.TOKEN_OWN_DELETE, WavefrontPrivilege.TOKEN_ALL_DELETE)
        self._session.write(_change(privilege, row, row.version + 1, {"name": row.name}), _DELETE, uid=row.uid)

    def listed(self, rows: Iterable[Row[Any]]) -> list[Token]:
        """Make tokens of rows of JOINED, in their order."""
        tokens = []
        for row in rows:
            try:
                tokens.append(self._shown(row))
            except UnreadableSecretError as error:
                # Among many, one that does not open must not hide all.
                log.error("secret.unreadable", account=row.identifier, uid=row.uid, key=error.key)
        return tokens

    def _shown(self, row: Row[Any]) -> Token:
        return _token(row, self._session.vault.open(Place(FAMILY_NAME, row.uid, _ATTRIBUTE), row.sealed))


def _token(row: Row[Any], value: str) -> Token:
    return Token(
        uid=row.uid,
        value=value,
        name=row.name,
        account=row.identifier,
        account_uid=row.account_uid,
        kind=row.kind,
        active=bool(row.active),
        created_us=row.created_us,
        last_used_us=row.last_used_us,
        version=row.version,
    )


def _own(grant: Grant) -> str:
    if not isinstance(grant.scope, Own):
        raise RefusedError(NotPermitted())
    return grant.scope.identifier


def _of(grant: Grant, own: WavefrontPrivilege, every: WavefrontPrivilege) -> WavefrontPrivilege:
    return every if isinstance(grant.scope, Everything) else own


def _change(privilege: WavefrontPrivilege, row: Row[Any], version: int, detail: dict[str, Json]) -> Change:
    return Change(FAMILY_NAME, "", privilege.action, f"token {row.uid} of {row.identifier}", row.uid, version, detail)
