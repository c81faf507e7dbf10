"""Accounts, groups and roles as they are stored, put together from their tables in a bounded number of queries."""

from __future__ import annotations

import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Column, ColumnElement, CompoundSelect, Row, Select, Table, func, or_, select, union_all

from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Tenants
from accounts_service.families.wavefront.privileges import NOT_FOR_SERVICE_ACCOUNTS
from accounts_service.families.wavefront.tables import (
    ACCOUNT,
    ACCOUNT_GROUP,
    ACCOUNT_PERMISSION,
    ACCOUNT_ROLE,
    EVERYONE,
    GROUP,
    GROUP_ROLE,
    ROLE,
    ROLE_PERMISSION,
    SERVICE_ACCOUNTS,
)
from accounts_service.faults import AnswerTooLarge, NotPermitted, RefusedError
from accounts_service.identifiers import folded
from accounts_service.storage.lists import listed, texts
from accounts_service.storage.reveals import Revealing
from accounts_service.storage.statements import Statement, given

FAMILY_NAME = "wavefront"

USER = "user"
SERVICE = "service"

SYSTEM_OF = {USER: EVERYONE, SERVICE: SERVICE_ACCOUNTS}

# So many of those in a group, or with a role, are named beside their number.
SAMPLE = 20

# So many objects are listed at once, and so many groups, roles or permissions of them are read.
MOST_LISTED = 50_000
_MOST_LINKS = 200_000

# For so many owners one statement asks, the fewest of these that suffice: each number is a statement that is kept.
# SQLite bears five hundred parts of one.
_AT_ONCE = (1, 5, 25, 100)


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a group or has a role: how many, and the names of some of them, sorted."""

    number: int = 0
    sample: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """A role as it is stored. `accounts` and `groups` have it directly, and are known where they were asked for."""

    uid: str
    name: str
    description: str | None
    permissions: tuple[str, ...]
    created_us: int
    updated_us: int
    updated_by: str
    version: int
    accounts: Members = Members()
    groups: Members = Members()
    sample_groups: tuple[Group, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A group as it is stored. `system`: which of the two it is; empty for a group that somebody made."""

    uid: str
    name: str
    description: str | None
    system: str
    created_us: int
    version: int
    roles: tuple[Role, ...] = ()
    members: Members = Members()


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is listed. `value` is the token itself."""

    uid: str
    value: str = field(repr=False)
    name: str | None
    account: str
    account_uid: str
    kind: str
    active: bool
    created_us: int
    last_used_us: int | None
    version: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored.

    `groups` begins with the system group that everyone of its kind is in;
    `tokens` are known of service accounts, where they were asked for.
    """

    uid: str
    identifier: str
    kind: str
    active: bool
    description: str | None
    sso_id: str | None
    last_login_us: int | None
    created_us: int
    version: int
    permissions: tuple[str, ...]
    roles: tuple[Role, ...]
    groups: tuple[Group, ...]
    tokens: tuple[Token, ...] = ()

    @property
    def united_roles(self) -> tuple[Role, ...]:
        """Its own roles, and those of its groups."""
        roles = [*self.roles, *(role for group in self.groups for role in group.roles)]
        return tuple({role.uid: role for role in roles}.values())

    @property
    def united_permissions(self) -> tuple[str, ...]:
        """What it is permitted, directly or by any of its roles."""
        permissions = [*self.permissions, *(one for role in self.united_roles for one in role.permissions)]
        denied = NOT_FOR_SERVICE_ACCOUNTS if self.kind == SERVICE else frozenset()
        return tuple(one for one in dict.fromkeys(permissions) if one not in denied)


class Conditions(Protocol):
    """What the caller makes a change depend on."""

    def check(self, version: int | None, kind: str = "") -> None:
        """Raise RefusedError unless it holds for what is stored; `kind` where a version alone is ambiguous."""
        ...


class _NoConditions:
    def check(self, version: int | None, kind: str = "") -> None:
        """Let everything pass."""


NO_CONDITIONS: Conditions = _NoConditions()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: `offset` were passed over, at most `limit` are here, and there are `total` in all."""

    items: Sequence[Any]
    offset: int
    limit: int
    total: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """Ids in a request that are nobody's: they were passed over."""

    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


def spelled(identifier: str) -> str:
    """Return an identifier with ASCII letters in lower case: its exact spelling, as far as that tells twins apart."""
    return identifier.translate(_LOWER)


_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


# What an identifier may mean, for `matching`. A row that a release before schema 0009 has written after the upgrade is
# not folded, and is found by its exact spelling alone.
OF_NAME = or_(ACCOUNT.c.caseless == given("caseless"), ACCOUNT.c.folded == given("spelled"))
OF_NAMES = or_(ACCOUNT.c.caseless.in_(texts(given("caseless"))), ACCOUNT.c.folded.in_(texts(given("spelled"))))


def means(identifier: str) -> dict[str, str]:
    """Return the values that OF_NAME is given for an identifier."""
    return {"caseless": folded(identifier), "spelled": spelled(identifier)}


def all_mean(identifiers: Sequence[str]) -> dict[str, str]:
    """Return the values that OF_NAMES is given for identifiers."""
    return {"caseless": list_of(map(folded, identifiers)), "spelled": list_of(map(spelled, identifiers))}


def matching(identifiers: Iterable[str], rows: Iterable[Row[Any]]) -> dict[str, Row[Any]]:
    """Return the row of ACCOUNT that each identifier means, out of rows found by OF_NAME or OF_NAMES.

    Of several, which were there before two spellings were one, it is the one that
    is spelled like that, else the one that is no twin, else the first by uid.
    """
    exact: dict[str, Row[Any]] = {}
    first: dict[str, Row[Any]] = {}
    for row in sorted(rows, key=lambda row: (row.twin, row.uid)):
        exact[row.folded] = row
        first.setdefault(row.caseless or folded(row.identifier), row)
    found = {one: exact.get(spelled(one)) or first.get(folded(one)) for one in identifiers}
    return {one: row for one, row in found.items() if row is not None}


def searched(text: str | None) -> str | None:
    """Return what searches look at of a text that may be missing."""
    return None if text is None else folded(text)


def list_of(values: Iterable[str]) -> str:
    """Write texts as the one parameter that a list is."""
    return listed((value,) for value in values)


def numbered(values: Iterable[str]) -> str:
    """Write texts with their places, as the rows of a list of links."""
    return listed(enumerate(values))


def everything(grant: Grant) -> None:
    """Be sure that the grant is for all objects. Raises RefusedError(NotPermitted)."""
    match grant.scope:
        case Everything():
            return
        case Own() | Tenants() | Nothing():
            raise RefusedError(NotPermitted())


def listable(rows: Iterable[Row[Any]]) -> list[Row[Any]]:
    """Return rows that are all listed. Raises RefusedError(AnswerTooLarge) for more than MOST_LISTED."""
    there = list(rows)
    if len(there) > MOST_LISTED:
        raise RefusedError(AnswerTooLarge())
    return there


def _among(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    return column.in_(texts(given(name)))


def _links(table: Table, owner: str, owned: str) -> Statement:
    """Select what the given owners have, in the order in which they were given it."""
    return Statement(
        select(table.c[owner].label("owner"), table.c[owned].label("owned"))
        .where(_among(table.c[owner], "owners"))
        .order_by(table.c[owner], table.c.number, table.c[owned])
        .limit(_MOST_LINKS + 1)
    )


def _counts(table: Table, owner: str) -> Statement:
    return Statement(
        select(table.c[owner].label("owner"), func.count().label("number"))
        .where(_among(table.c[owner], "owners"))
        .group_by(table.c[owner])
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """Who of those linked to an owner is named: `shown` of some of them, in their `order`."""

    link: Table
    owner: str
    owned: str
    order: Column[Any]
    shown: Column[Any]

    def of(self, owners: Iterable[str]) -> CompoundSelect[Any]:
        """Select some for each owner. Without looking at the others: a group may have everybody in it."""
        return union_all(*map(self._of_one, owners))

    def _of_one(self, owner: str) -> Select[Any]:
        few = (
            select(self.link.c[self.owner].label("owner"), self.link.c[self.owned].label("owned"))
            .where(self.link.c[self.owner] == owner)
            .order_by(self.link.c[self.owned])
            .limit(SAMPLE)
            .subquery()
        )
        named = self.order.table
        return select(few.c.owner, self.shown.label("shown"), self.order.label("rank")).join(
            named, named.c.uid == few.c.owned
        )


def _rows(table: Table) -> Statement:
    return Statement(select(table).where(_among(table.c.uid, "uids")))


_PERMISSIONS_OF_ACCOUNTS = _links(ACCOUNT_PERMISSION, "account_uid", "permission")
_ROLES_OF_ACCOUNTS = _links(ACCOUNT_ROLE, "account_uid", "role_uid")
_GROUPS_OF_ACCOUNTS = _links(ACCOUNT_GROUP, "account_uid", "group_uid")
_ROLES_OF_GROUPS = _links(GROUP_ROLE, "group_uid", "role_uid")
_PERMISSIONS_OF_ROLES = _links(ROLE_PERMISSION, "role_uid", "permission")

_SOME_GROUPS = Statement(select(GROUP).where((GROUP.c.system != "") | _among(GROUP.c.uid, "uids")))
_SOME_ROLES = _rows(ROLE)

_MEMBERS_OF_GROUPS = _counts(ACCOUNT_GROUP, "group_uid")
_ACCOUNTS_OF_ROLES = _counts(ACCOUNT_ROLE, "role_uid")
_GROUPS_OF_ROLES = _counts(GROUP_ROLE, "role_uid")
_SAMPLE_OF_GROUPS = _Sample(ACCOUNT_GROUP, "group_uid", "account_uid", ACCOUNT.c.folded, ACCOUNT.c.identifier)
_SAMPLE_OF_ROLES = _Sample(ACCOUNT_ROLE, "role_uid", "account_uid", ACCOUNT.c.folded, ACCOUNT.c.identifier)
_SAMPLE_GROUPS_OF_ROLES = _Sample(GROUP_ROLE, "role_uid", "group_uid", GROUP.c.name, GROUP.c.uid)
_KINDS = Statement(select(ACCOUNT.c.kind, func.count().label("number")).group_by(ACCOUNT.c.kind))
_FIRST_OF_KIND = Statement(
    select(ACCOUNT.c.identifier).where(ACCOUNT.c.kind == given("kind")).order_by(ACCOUNT.c.folded).limit(SAMPLE)
)


class Directory(Revealing):
    """What the stores of this family read together. `full` adds who is in the groups and has the roles."""

    def accounts(self, rows: Iterable[Row[Any]], *, full: bool = False) -> list[Account]:
        """Make accounts of rows of ACCOUNT, in their order."""
        there = list(rows)
        uids = [row.uid for row in there]
        permissions = self._linked(_PERMISSIONS_OF_ACCOUNTS, uids)
        roles_of = self._linked(_ROLES_OF_ACCOUNTS, uids)
        groups_of = self._linked(_GROUPS_OF_ACCOUNTS, uids)
        groups, roles = self._groups_and_roles(_all(groups_of), _all(roles_of), full=full)
        system = {group.system: group for group in groups.values() if group.system}
        return [
            Account(
                uid=row.uid,
                identifier=row.identifier,
                kind=row.kind,
                active=bool(row.active),
                description=row.description,
                sso_id=row.sso_id,
                last_login_us=row.last_login_us,
                created_us=row.created_us,
                version=row.version,
                permissions=tuple(permissions[row.uid]),
                # What was deleted between two of these reads is not there any more.
                roles=tuple(roles[uid] for uid in roles_of[row.uid] if uid in roles),
                groups=(system[SYSTEM_OF[row.kind]], *(groups[uid] for uid in groups_of[row.uid] if uid in groups)),
            )
            for row in there
        ]

    def groups(self, rows: Iterable[Row[Any]], *, full: bool = True) -> list[Group]:
        """Make groups of rows of GROUP, in their order."""
        uids = [row.uid for row in rows]
        groups, _ = self._groups_and_roles(uids, (), full=full)
        return [groups[uid] for uid in uids if uid in groups]

    def roles(self, rows: Iterable[Row[Any]], *, full: bool = True) -> list[Role]:
        """Make roles of rows of ROLE, in their order."""
        uids = [row.uid for row in rows]
        roles = self._roles(uids, full=full)
        return [roles[uid] for uid in uids if uid in roles]

    def _groups_and_roles(
        self, group_uids: Iterable[str], role_uids: Iterable[str], *, full: bool
    ) -> tuple[dict[str, Group], dict[str, Role]]:
        rows = self._session.read(_SOME_GROUPS, uids=list_of(group_uids)).all()
        uids = [row.uid for row in rows]
        roles_of = self._linked(_ROLES_OF_GROUPS, uids)
        roles = self._roles(dict.fromkeys((*role_uids, *_all(roles_of))), full=full)
        members = self._members(rows) if full else {}
        groups = {
            row.uid: Group(
                uid=row.uid,
                name=row.name,
                description=row.description,
                system=row.system,
                created_us=row.created_us,
                version=row.version,
                roles=tuple(roles[uid] for uid in roles_of[row.uid] if uid in roles),
                members=members.get(row.uid, Members()),
            )
            for row in rows
        }
        return groups, roles

    def _roles(self, uids: Iterable[str], *, full: bool) -> dict[str, Role]:
        rows = self._session.read(_SOME_ROLES, uids=list_of(uids)).all()
        there = [row.uid for row in rows]
        permissions = self._linked(_PERMISSIONS_OF_ROLES, there)
        accounts: Mapping[str, Members] = {}
        groups: Mapping[str, Members] = {}
        named: dict[str, Group] = {}
        if full:
            samples = self._sampled(_SAMPLE_GROUPS_OF_ROLES, there)
            accounts = self._counted(_ACCOUNTS_OF_ROLES, self._sampled(_SAMPLE_OF_ROLES, there), there)
            groups = self._counted(_GROUPS_OF_ROLES, samples, there)
            named = self._plain_groups(_all(samples))
        return {
            row.uid: Role(
                uid=row.uid,
                name=row.name,
                description=row.description,
                permissions=tuple(permissions[row.uid]),
                created_us=row.created_us,
                updated_us=row.updated_us,
                updated_by=row.updated_by,
                version=row.version,
                accounts=accounts.get(row.uid, Members()),
                groups=groups.get(row.uid, Members()),
                sample_groups=tuple(named[uid] for uid in groups.get(row.uid, Members()).sample if uid in named),
            )
            for row in rows
        }

    # -- Who is where ---------------------------------------------------------

    def _plain_groups(self, uids: Iterable[str]) -> dict[str, Group]:
        rows = self._session.read(_SOME_GROUPS, uids=list_of(uids)).all()
        return {
            row.uid: Group(row.uid, row.name, row.description, row.system, row.created_us, row.version) for row in rows
        }

    def _members(self, rows: Iterable[Row[Any]]) -> dict[str, Members]:
        there = list(rows)
        uids = [row.uid for row in there]
        members = self._counted(_MEMBERS_OF_GROUPS, self._sampled(_SAMPLE_OF_GROUPS, uids), uids)
        numbers = {row.kind: row.number for row in self._session.read(_KINDS)}
        for kind, system in SYSTEM_OF.items():
            first = tuple(row.identifier for row in self._session.read(_FIRST_OF_KIND, kind=kind))
            members |= {row.uid: Members(numbers.get(kind, 0), first) for row in there if row.system == system}
        return members

    def _counted(
        self, counts: Statement, samples: Mapping[str, Sequence[str]], owners: Sequence[str]
    ) -> dict[str, Members]:
        return {
            row.owner: Members(row.number, tuple(samples.get(row.owner, ())))
            for row in self._session.read(counts, owners=list_of(owners))
        }

    def _sampled(self, sample: _Sample, owners: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for start in range(0, len(owners), _AT_ONCE[-1]):
            some = owners[start : start + _AT_ONCE[-1]]
            number = next(number for number in _AT_ONCE if number >= len(some))
            # No object has an empty uid.
            asked = [*some, *[""] * (number - len(some))]
            for row in self._session.select(sample.of(asked), again=True):
                found[row.owner].append((row.rank, row.shown))
        return {owner: [shown for _, shown in sorted(ranked)] for owner, ranked in found.items()}

    def _linked(self, statement: Statement, owners: Iterable[str]) -> dict[str, list[str]]:
        linked: dict[str, list[str]] = defaultdict(list)
        rows = self._session.read(statement, owners=list_of(owners)).all()
        if len(rows) > _MOST_LINKS:
            raise RefusedError(AnswerTooLarge())
        for row in rows:
            linked[row.owner].append(row.owned)
        return linked


def _all(linked: Mapping[str, Iterable[str]]) -> Iterable[str]:
    return dict.fromkeys(one for many in linked.values() for one in many)
