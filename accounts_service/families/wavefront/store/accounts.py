"""Every query on users and service accounts."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, delete, exists, func, or_, select, update

from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Tenants
from accounts_service.families.wavefront.privileges import NOT_FOR_SERVICE_ACCOUNTS, USER_MANAGEMENT, WavefrontPrivilege
from accounts_service.families.wavefront.store.directory import (
    FAMILY_NAME,
    MOST_LISTED,
    NO_CONDITIONS,
    OF_NAME,
    OF_NAMES,
    SERVICE,
    SYSTEM_OF,
    USER,
    Account,
    Conditions,
    Directory,
    Ignored,
    Page,
    all_mean,
    everything,
    list_of,
    listable,
    matching,
    means,
    numbered,
    searched,
    spelled,
)
from accounts_service.families.wavefront.store.tokens import Tokens
from accounts_service.families.wavefront.tables import (
    ACCOUNT,
    ACCOUNT_GROUP,
    ACCOUNT_PERMISSION,
    ACCOUNT_ROLE,
    GROUP,
    GROUP_ROLE,
    ROLE,
    ROLE_PERMISSION,
)
from accounts_service.faults import (
    AgainstTheRules,
    AlreadyExists,
    InvalidBody,
    Json,
    Kind,
    NoSuchObject,
    NotA,
    NotPermitted,
    Problem,
    RefusedError,
    Rule,
)
from accounts_service.identifiers import folded, is_misleading
from accounts_service.storage.audit import Change
from accounts_service.storage.database import ForeignKeyError, RecordedStatement, TransactionRefusedError
from accounts_service.storage.lists import insertion_of_rows, texts
from accounts_service.storage.statements import Statement, given, insertion


class Existing(Enum):
    """What to do with an account that is there when one is to be made."""

    UPDATE = "change it"
    KEEP = "leave it as it is"
    REFUSE = "refuse the request"


@dataclass(frozen=True, slots=True)
class Wish:
    """What an account is to be. None: as it is, or for a new one by default. Ids of groups and roles may be unknown.

    An empty `description` is none.
    """

    permissions: Sequence[str] | None = None
    groups: Sequence[str] | None = None
    roles: Sequence[str] | None = None
    description: str | None = None
    active: bool | None = None
    sso_id: str | None = None
    # The uid of the account that must not lose `user_management` by this: the caller's own, when a list was left out.
    manager: str | None = None


@dataclass(frozen=True, slots=True)
class Making:
    """How accounts are made. `permissions`: what a new one gets when the wish says nothing of them."""

    existing: Existing = Existing.UPDATE
    permissions: Sequence[str] = ()
    # Where users come from an identity provider none is made here.
    single_sign_on: bool = False
    # Of a new one they are held against nothing.
    conditions: Conditions = NO_CONDITIONS


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a request. `account`: as it is now."""

    account: Account
    created: bool = False
    ignored: Ignored = Ignored()


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a request; the account itself is read only where somebody wants to see it."""

    identifier: str
    created: bool = False
    ignored: Ignored = Ignored()

    def written(self, accounts: Accounts, grant: Grant) -> Written:
        """Read the account."""
        return Written(accounts.get(grant, self.identifier), self.created, self.ignored)


_AS_USUAL = Making()

# By uid, so that no two who lock twins wait for each other.
_OF_NAME = select(ACCOUNT).where(OF_NAME).order_by(ACCOUNT.c.uid)
_OF_THIS = given("uid")

_FIND = Statement(_OF_NAME)
_FIND_AND_LOCK = Statement(_OF_NAME.with_for_update())
_OF_NAMES = select(ACCOUNT).where(OF_NAMES).order_by(ACCOUNT.c.folded)
_FIND_SOME = Statement(_OF_NAMES)
# In one order whoever asks, so that no two wait for each other.
_LOCK_SOME = Statement(_OF_NAMES.with_for_update())
_KNOWN_GROUPS = Statement(select(GROUP.c.uid, GROUP.c.system).where(GROUP.c.uid.in_(texts(given("uids")))))
_KNOWN_ROLES = Statement(select(ROLE.c.uid).where(ROLE.c.uid.in_(texts(given("uids")))))

_LINKS = {"permissions": ACCOUNT_PERMISSION, "roles": ACCOUNT_ROLE, "groups": ACCOUNT_GROUP}
_CLEAR = {name: Statement(delete(table).where(table.c.account_uid == _OF_THIS)) for name, table in _LINKS.items()}
_FILL = {name: insertion_of_rows(table, ("account_uid",), name) for name, table in _LINKS.items()}
_CREATE = RecordedStatement(insertion(ACCOUNT), *_FILL.values())
_CHANGED = ("description", "description_caseless", "active", "sso_id", "version")
_UPDATE = update(ACCOUNT).where(ACCOUNT.c.uid == _OF_THIS).values({name: given(name) for name in _CHANGED})
# By the links that change, so that a grant to a thousand accounts writes no others.
_REPLACE = {
    frozenset(names): RecordedStatement(*(_FILL[name] for name in names), _UPDATE)
    for number in range(len(_LINKS) + 1)
    for names in itertools.combinations(_LINKS, number)
}
_DELETE = RecordedStatement(delete(ACCOUNT).where(ACCOUNT.c.uid == _OF_THIS))

# Who holds a permission: directly, by a role, or by a role of a group, the system group of his kind included.
_ROLES_WITH = select(ROLE_PERMISSION.c.role_uid).where(ROLE_PERMISSION.c.permission == given("permission"))
_GROUPS_WITH = select(GROUP_ROLE.c.group_uid).where(GROUP_ROLE.c.role_uid.in_(_ROLES_WITH))


def _is_linked(table: Table, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(table.c.account_uid == ACCOUNT.c.uid, condition).correlate(ACCOUNT)


_HOLDERS = Statement(
    select(ACCOUNT.c.identifier)
    .where(
        ACCOUNT.c.kind == USER,
        or_(
            _is_linked(ACCOUNT_PERMISSION, ACCOUNT_PERMISSION.c.permission == given("permission")),
            _is_linked(ACCOUNT_ROLE, ACCOUNT_ROLE.c.role_uid.in_(_ROLES_WITH)),
            _is_linked(ACCOUNT_GROUP, ACCOUNT_GROUP.c.group_uid.in_(_GROUPS_WITH)),
            exists().where(GROUP.c.system == SYSTEM_OF[USER], GROUP.c.uid.in_(_GROUPS_WITH)),
        ),
    )
    .order_by(ACCOUNT.c.folded)
)
_ALL_OF_KIND = Statement(
    select(ACCOUNT).where(ACCOUNT.c.kind == given("kind")).order_by(ACCOUNT.c.folded).limit(MOST_LISTED + 1)
)
_COUNT = Statement(select(func.count()).select_from(ACCOUNT))
_PART = Statement(select(ACCOUNT).order_by(ACCOUNT.c.folded).offset(given("offset")).limit(given("limit")))

# Who somebody is elsewhere. The audit trail says that it was changed; the value could not be forgotten there.
_PERSONAL = "sso_id"


class Accounts(Directory):
    """Users and service accounts. A method acts within the scope of the grant it is given."""

    def get(self, grant: Grant, identifier: str, kind: str | None = None) -> Account:
        """Read an account, of one kind if that is given. Raises RefusedError(NoSuchObject or NotPermitted)."""
        row = self._named(_FIND, identifier)
        return self._full(grant, _seen(grant, row, identifier, kind))

    def all(self, grant: Grant, kind: str) -> list[Account]:
        """Read every account of one kind, by identifier, without who else is in its groups.

        Raises RefusedError(AnswerTooLarge) for more than are listed at once.
        """
        everything(grant)
        return self.with_tokens(grant, self.accounts(listable(self._session.read(_ALL_OF_KIND, kind=kind))))

    def part(self, grant: Grant, offset: int, limit: int) -> Page:
        """Read accounts of both kinds, by identifier."""
        everything(grant)
        total: int = self._session.read(_COUNT).scalar_one()
        rows = self._session.read(_PART, offset=offset, limit=limit)
        return Page(self.accounts(rows), offset, limit, total)

    def administrators(self) -> list[str]:
        """Name the users who may manage users, by identifier."""
        return [row.identifier for row in self._session.read(_HOLDERS, permission=USER_MANAGEMENT)]

    def named(self, identifiers: Iterable[str], kind: str | None = None) -> tuple[list[Account], list[str]]:
        """Read those accounts that are there, of one kind if that is given, and name the others; in that order."""
        wanted = list(dict.fromkeys(identifiers))
        meant = self._meant(_FIND_SOME, wanted, kind)
        rows = list({row.uid: row for row in meant.values()}.values())
        return self.accounts(rows), [one for one in wanted if one not in meant]

    # -- Changes --------------------------------------------------------------

    def make(self, grant: Grant, identifier: str, kind: str, wish: Wish, making: Making = _AS_USUAL) -> Written:
        """Make an account, or do with one that is there what `making` says.

        Raises RefusedError: NotPermitted, AlreadyExists, NoSuchObject for one of
        the other kind, InvalidBody for a new identifier that looks like another,
        AgainstTheRules, what the conditions of `making` raise;
        TransactionRefusedError when somebody made it at the same moment.
        """
        return self._made(grant, identifier, kind, wish, making).written(self, grant)

    def _made(self, grant: Grant, identifier: str, kind: str, wish: Wish, making: Making) -> Applied:
        everything(grant)
        row = self._named(_FIND_AND_LOCK, identifier)
        if row is not None and (making.existing is Existing.REFUSE or row.kind != kind):
            raise RefusedError(AlreadyExists(row.identifier))
        if row is not None and making.existing is Existing.KEEP:
            return Applied(row.identifier)
        if row is None and making.single_sign_on:
            raise RefusedError(AgainstTheRules(Rule.SINGLE_SIGN_ON))
        making.conditions.check(*((None,) if row is None else (row.version, row.uid)))
        if row is None and is_misleading(identifier):
            name, of = ("identifier", Kind.IDENTIFIER) if kind == SERVICE else ("emailAddress", Kind.EMAIL_ADDRESS)
            raise RefusedError(InvalidBody((Problem((name,), NotA(of), identifier),)))
        if row is None:
            new = wish if wish.permissions is not None else replace(wish, permissions=making.permissions)
            return self._applied(_blank(identifier, kind, self._session.now_us), new)
        return self._applied(self.accounts((row,))[0], wish)

    def change(
        self,
        grant: Grant,
        identifier: str,
        wish: Wish,
        kind: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Written:
        """Change an account that is there.

        Raises RefusedError: NoSuchObject, NotPermitted, PreconditionFailed, AgainstTheRules.
        """
        (account,) = self.accounts((self._locked(grant, identifier, kind, conditions),))
        written = self._applied(account, wish).written(self, grant)
        if account.uid == wish.manager and USER_MANAGEMENT not in written.account.united_permissions:
            raise RefusedError(AgainstTheRules(Rule.OWN_MANAGEMENT, account.identifier))
        return written

    def permit(
        self,
        grant: Grant,
        identifiers: Sequence[str],
        permission: str,
        *,
        held: bool,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Account:
        """Let all of some accounts hold a permission, or none of them; returns the last one named.

        Raises RefusedError: NoSuchObject or PreconditionFailed, when nothing was changed, or AgainstTheRules.
        """
        for account in self._locked_all(grant, identifiers, conditions):
            self._write(account, Wish(permissions=joined(account.permissions, (permission,), linked=held)))
        return self.get(grant, identifiers[-1])

    def link(  # noqa: PLR0913  # what is put where, how, and on what conditions
        self,
        grant: Grant,
        identifiers: Sequence[str],
        *,
        groups: Sequence[str] = (),
        roles: Sequence[str] = (),
        linked: bool,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Written:
        """Put all of some accounts into groups and give them roles, or take them out again; returns the last one named.

        Raises RefusedError: NoSuchObject or PreconditionFailed, when nothing was changed.
        """
        known_groups, known_roles, ignored = self._known(groups, roles)
        for account in self._locked_all(grant, identifiers, conditions):
            there = [group.uid for group in account.groups if not group.system]
            held = [role.uid for role in account.roles]
            wish = Wish(
                groups=joined(there, known_groups, linked=linked),
                roles=joined(held, known_roles, linked=linked),
            )
            self._write(account, wish)
        return Written(self.get(grant, identifiers[-1]), ignored=ignored if linked else Ignored())

    def delete(
        self,
        grant: Grant,
        identifier: str,
        caller: str | None,
        kind: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
    ) -> Account:
        """Delete an account that is not the caller's own; returns what it was.

        Raises RefusedError: NoSuchObject, NotPermitted, PreconditionFailed, or AgainstTheRules.
        """
        account = self._full(grant, self._locked(grant, identifier, kind, conditions))
        self._delete(account, caller)
        return account

    def delete_all(
        self, grant: Grant, identifiers: Iterable[str], caller: str | None, kind: str | None = None
    ) -> list[str]:
        """Delete those accounts, of one kind if that is given, that are there; names them in the order given.

        Raises as `delete` does.
        """
        everything(grant)
        meant = self._meant(_LOCK_SOME, list(dict.fromkeys(identifiers)), kind)
        rows = list({row.uid: row for row in meant.values()}.values())
        for account in self.accounts(rows):
            self._delete(account, caller)
        return [row.identifier for row in rows]

    # -- Below ----------------------------------------------------------------

    def _named(self, statement: Statement, identifier: str) -> Row[Any] | None:
        rows = self._session.read(statement, **means(identifier)).all()
        return matching((identifier,), rows).get(identifier)

    def _meant(self, statement: Statement, identifiers: Sequence[str], kind: str | None = None) -> dict[str, Row[Any]]:
        """Return the rows that identifiers mean, of one kind if that is given."""
        rows = self._session.read(statement, **all_mean(identifiers)).all()
        return {one: row for one, row in matching(identifiers, rows).items() if kind in (None, row.kind)}

    def _full(self, grant: Grant, row: Row[Any]) -> Account:
        (account,) = self.with_tokens(grant, self.accounts((row,), full=True))
        return account

    def with_tokens(self, grant: Grant, accounts: Sequence[Account]) -> list[Account]:
        """Add their tokens to those of some accounts that are service accounts, for who may see everybody's."""
        seen = WavefrontPrivilege.TOKEN_ALL_GET in grant.also
        services = [account.uid for account in accounts if seen and account.kind == SERVICE]
        tokens = Tokens(self._session).of_accounts(services) if services else {}
        return [replace(account, tokens=tuple(tokens.get(account.uid, ()))) for account in accounts]

    def _locked(self, grant: Grant, identifier: str, kind: str | None, conditions: Conditions) -> Row[Any]:
        everything(grant)
        row = _seen(grant, self._named(_FIND_AND_LOCK, identifier), identifier, kind)
        conditions.check(row.version, row.uid)
        return row

    def _locked_all(self, grant: Grant, identifiers: Sequence[str], conditions: Conditions) -> list[Account]:
        everything(grant)
        meant = self._meant(_LOCK_SOME, identifiers)
        missing = [one for one in identifiers if one not in meant]
        if missing:
            raise RefusedError(NoSuchObject("POST", ", ".join(missing)))
        rows = list({row.uid: row for row in meant.values()}.values())
        for row in rows:
            conditions.check(row.version, row.uid)
        return self.accounts(rows)

    def _applied(self, account: Account, wish: Wish) -> Applied:
        groups, roles, ignored = self._known(wish.groups or (), wish.roles or ())
        known = replace(
            wish,
            groups=None if wish.groups is None else groups,
            roles=None if wish.roles is None else roles,
        )
        self._write(account, known)
        return Applied(account.identifier, created=account.version == 0, ignored=ignored)

    def _known(self, groups: Iterable[str], roles: Iterable[str]) -> tuple[list[str], list[str], Ignored]:
        """Tell known ids from others. The system groups are known, and nobody is put into them or taken out."""
        known_groups = {row.uid: row.system for row in self._session.read(_KNOWN_GROUPS, uids=list_of(groups))}
        known_roles = {row.uid for row in self._session.read(_KNOWN_ROLES, uids=list_of(roles))}
        return (
            [one for one in dict.fromkeys(groups) if known_groups.get(one) == ""],
            [one for one in dict.fromkeys(roles) if one in known_roles],
            Ignored(
                groups=tuple(one for one in dict.fromkeys(groups) if one not in known_groups),
                roles=tuple(one for one in dict.fromkeys(roles) if one not in known_roles),
            ),
        )

    def _write(self, account: Account, wish: Wish) -> None:
        """Make an account, locked or new, what it is to be. The ids in `wish` are known ones."""
        before = _state(account)
        changed = {name: value for name, value in _wanted(wish).items() if value not in (None, before[name])}
        new = account.version == 0
        if not changed and not new:
            return
        now: dict[str, Any] = {**before, **changed}
        if account.kind == SERVICE and (denied := NOT_FOR_SERVICE_ACCOUNTS.intersection(now["permissions"])):
            raise RefusedError(AgainstTheRules(Rule.NOT_FOR_SERVICE_ACCOUNTS, min(denied)))
        links = frozenset(changed.keys() & _LINKS.keys())
        for name in () if new else links:
            self._session.note(_CLEAR[name], uid=account.uid)
        detail: dict[str, Json] = {
            name: {"from": before[name], "to": value} if name != _PERSONAL else True for name, value in changed.items()
        }
        try:
            self._session.write(
                _change(WavefrontPrivilege.ACCOUNT_PUT, account, {"created": new, **detail}),
                _CREATE if new else _REPLACE[links],
                uid=account.uid,
                identifier=account.identifier,
                folded=spelled(account.identifier),
                caseless=folded(account.identifier),
                # Of one spelling there is one account, whoever makes it: the index over both answers who comes second.
                twin="",
                kind=account.kind,
                active=int(now["active"]),
                description=now["description"] or None,
                description_caseless=searched(now["description"] or None),
                sso_id=now["sso_id"],
                last_login_us=account.last_login_us,
                created_us=account.created_us,
                version=account.version + 1,
                account_uid=account.uid,
                permissions=numbered(now["permissions"]),
                roles=numbered(now["roles"]),
                groups=numbered(now["groups"]),
            )
        except ForeignKeyError:
            # A group or role was deleted since we looked; the next look will tell.
            raise TransactionRefusedError from None

    def _delete(self, account: Account, caller: str | None) -> None:
        if account.uid == caller:
            raise RefusedError(AgainstTheRules(Rule.OWN_ACCOUNT, account.identifier))
        last = {name: value for name, value in _state(account).items() if name != _PERSONAL}
        change = _change(WavefrontPrivilege.ACCOUNT_DELETE, account, {"last": last})
        self._session.write(change, _DELETE, uid=account.uid)


def _blank(identifier: str, kind: str, now_us: int) -> Account:
    """Give an account that is not there yet: its version is 0."""
    return Account(
        uid=uuid.uuid4().hex,
        identifier=identifier,
        kind=kind,
        active=True,
        description=None,
        sso_id=None,
        last_login_us=None,
        created_us=now_us,
        version=0,
        permissions=(),
        roles=(),
        groups=(),
    )


def _state(account: Account) -> dict[str, Json]:
    return {
        "permissions": [*account.permissions],
        "roles": [role.uid for role in account.roles],
        "groups": [group.uid for group in account.groups if not group.system],
        "description": account.description or "",
        "active": account.active,
        "sso_id": account.sso_id,
    }


def _wanted(wish: Wish) -> dict[str, Json]:
    return {
        "permissions": None if wish.permissions is None else [*dict.fromkeys(wish.permissions)],
        "roles": None if wish.roles is None else [*wish.roles],
        "groups": None if wish.groups is None else [*wish.groups],
        "description": wish.description,
        "active": wish.active,
        "sso_id": wish.sso_id,
    }


def _change(privilege: WavefrontPrivilege, account: Account, detail: dict[str, Json]) -> Change:
    return Change(FAMILY_NAME, "", privilege.action, account.identifier, account.uid, account.version + 1, detail)


def _seen(grant: Grant, row: Row[Any] | None, identifier: str, kind: str | None) -> Row[Any]:
    match grant.scope:
        case Everything():
            if row is None or (kind is not None and row.kind != kind):
                raise RefusedError(NoSuchObject("GET", identifier))
            return row
        case Own(own):
            # Whose name it is, or whether it is anybody's, is no matter of theirs.
            if row is None or row.uid != own:
                raise RefusedError(NotPermitted())
            if kind is not None and row.kind != kind:
                raise RefusedError(NoSuchObject("GET", identifier))
            return row
        case Tenants() | Nothing():
            raise RefusedError(NotPermitted())


def joined(there: Sequence[str], others: Sequence[str], *, linked: bool) -> list[str]:
    """Add the others to what is there, or take them away, in the order in which they came."""
    if linked:
        return list(dict.fromkeys((*there, *others)))
    return [one for one in there if one not in others]
