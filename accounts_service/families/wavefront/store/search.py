"""Searches in accounts, groups, roles and tokens.

Conditions are joined by "and". Texts are compared without regard to case, in the
form that `identifiers.folded` gives them: texts that were written by somebody
are kept in that form as well, since the databases' own lower() differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Select, Table, bindparam, case, exists, func, or_, select

from accounts_service.access.privileges import Grant
from accounts_service.families.wavefront.store.accounts import Accounts
from accounts_service.families.wavefront.store.directory import SERVICE, SYSTEM_OF, USER, Page, everything
from accounts_service.families.wavefront.store.tokens import JOINED, Tokens, digest_of
from accounts_service.families.wavefront.tables import (
    ACCOUNT,
    ACCOUNT_GROUP,
    ACCOUNT_PERMISSION,
    ACCOUNT_ROLE,
    GROUP,
    GROUP_ROLE,
    ROLE,
    ROLE_PERMISSION,
    TOKEN,
)
from accounts_service.faults import InvalidBody, NotOneOf, Problem, RefusedError
from accounts_service.identifiers import folded


class Method(Enum):
    """How a value is to match."""

    CONTAINS = "CONTAINS"
    STARTSWITH = "STARTSWITH"
    EXACT = "EXACT"
    TAGPATH = "TAGPATH"


@dataclass(frozen=True, slots=True)
class Condition:
    """What one attribute has to be."""

    key: str
    value: str
    method: Method = Method.CONTAINS


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for, and which part of it to give. `sort` None: by name, upwards."""

    conditions: Sequence[Condition] = ()
    offset: int = 0
    limit: int = 100
    sort: str | None = None
    ascending: bool = True


Matches = Callable[[Condition], ColumnElement[bool]]


def _ascii(column: ColumnElement[Any]) -> Matches:
    """Compare a column of our own words and ids, which are ASCII."""
    return _folded(func.lower(column))


def _text(column: ColumnElement[Any]) -> Matches:
    """Compare a column of texts by its folded form, which what is built in does not have."""
    return _folded(func.coalesce(column.table.c[f"{column.name}_caseless"], func.lower(column)))


def _folded(column: ColumnElement[Any]) -> Matches:
    """Compare a column that is kept in the folded form."""
    return lambda condition: matches_folded(column, condition.value, condition.method)


def matches_folded(column: ColumnElement[Any], text: str, method: Method) -> ColumnElement[bool]:
    """Compare a column that is kept in the folded form with a text in any form."""
    return column.like(_pattern(folded(text), method), escape="\\")


def _pattern(value: str, method: Method) -> BindParameter[str]:
    escaped = "".join(f"\\{sign}" if sign in "%_\\" else sign for sign in value)
    before = "%" if method is Method.CONTAINS else ""
    # A path of tags is found by what it begins with; there are no tags here that it could mean otherwise.
    after = "" if method is Method.EXACT else "%"
    return bindparam(None, before + escaped + after, unique=True)


def _linked(link: Table, owner: str, to: ColumnElement[Any], owned: str, *names: ColumnElement[Any]) -> Matches:
    """Compare what an object is linked to: by its id, or by any of `names` of a table that has them."""

    def matches(condition: Condition) -> ColumnElement[bool]:
        alternatives = [_ascii(link.c[owned])(condition)]
        for name in names:
            uid = name.table.c.uid
            alternatives.append(link.c[owned].in_(select(uid).where(_text(name)(condition))))
        return exists().where(link.c[owner] == to, or_(*alternatives))

    return matches


def _any(*alternatives: Matches) -> Matches:
    return lambda condition: or_(*(matches(condition) for matches in alternatives))


def _in_system_group(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    # Who is in a system group is decided by the kind of the account and stands nowhere.
    return exists().where(case(SYSTEM_OF, value=ACCOUNT.c.kind) == GROUP.c.system, condition)


def _has_group(condition: Condition) -> ColumnElement[bool]:
    return _in_system_group(or_(_ascii(GROUP.c.uid)(condition), _text(GROUP.c.name)(condition)))


def _has_member(condition: Condition) -> ColumnElement[bool]:
    # Not by the uid of the account, which nobody outside knows.
    linked = exists().where(
        ACCOUNT_GROUP.c.group_uid == GROUP.c.uid,
        ACCOUNT_GROUP.c.account_uid.in_(select(ACCOUNT.c.uid).where(_IDENTIFIER(condition))),
    )
    return or_(linked, _in_system_group(_IDENTIFIER(condition)))


_IDENTIFIER = _folded(func.coalesce(ACCOUNT.c.caseless, ACCOUNT.c.folded))
_OF_ACCOUNTS: Mapping[str, Matches] = {
    "id": _IDENTIFIER,
    "identifier": _IDENTIFIER,
    "description": _text(ACCOUNT.c.description),
    "groups": _linked(ACCOUNT_PERMISSION, "account_uid", ACCOUNT.c.uid, "permission"),
    "roles": _linked(ACCOUNT_ROLE, "account_uid", ACCOUNT.c.uid, "role_uid", ROLE.c.name),
    "userGroups": _any(_linked(ACCOUNT_GROUP, "account_uid", ACCOUNT.c.uid, "group_uid", GROUP.c.name), _has_group),
}
_OF_GROUPS: Mapping[str, Matches] = {
    "id": _ascii(GROUP.c.uid),
    "name": _text(GROUP.c.name),
    "description": _text(GROUP.c.description),
    "roles": _linked(GROUP_ROLE, "group_uid", GROUP.c.uid, "role_uid", ROLE.c.name),
    "users": _has_member,
}
_OF_ROLES: Mapping[str, Matches] = {
    "id": _ascii(ROLE.c.uid),
    "name": _text(ROLE.c.name),
    "description": _text(ROLE.c.description),
    "permissions": _linked(ROLE_PERMISSION, "role_uid", ROLE.c.uid, "permission"),
}
_OF_TOKENS: Mapping[str, Matches] = {
    # A token is found whole or not at all: only its hash can be looked up.
    "id": lambda condition: TOKEN.c.digest == digest_of(condition.value),
    "tokenID": lambda condition: TOKEN.c.digest == digest_of(condition.value),
    "name": _text(TOKEN.c.name),
    "tokenName": _text(TOKEN.c.name),
    "account": _IDENTIFIER,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What is searched: rows, the attributes by which they are found, and those by which they are sorted.

    By default they are in the order of `otherwise`; `last` puts equal ones in one.
    """

    rows: Select[Any]
    keys: Mapping[str, Matches]
    sorts: Mapping[str, ColumnElement[Any]]
    otherwise: ColumnElement[Any]
    last: ColumnElement[Any] = field(repr=False)


def _accounts(*conditions: ColumnElement[bool]) -> Kind:
    sorts = {
        "id": ACCOUNT.c.folded,
        "identifier": ACCOUNT.c.folded,
        "lastSuccessfulLogin": func.coalesce(ACCOUNT.c.last_login_us, 0),
        "description": func.coalesce(ACCOUNT.c.description, ""),
    }
    return Kind(select(ACCOUNT).where(*conditions), _OF_ACCOUNTS, sorts, ACCOUNT.c.folded, ACCOUNT.c.uid)


def _named(table: Table, keys: Mapping[str, Matches]) -> Kind:
    sorts = {
        "id": table.c.uid,
        "name": table.c.name,
        "description": func.coalesce(table.c.description, ""),
        "createdEpochMillis": table.c.created_us,
    }
    return Kind(select(table), keys, sorts, table.c.name, table.c.uid)


USERS = _accounts(ACCOUNT.c.kind == USER)
SERVICES = _accounts(ACCOUNT.c.kind == SERVICE)
BOTH = _accounts()
GROUPS = _named(GROUP, _OF_GROUPS)
ROLES = _named(ROLE, _OF_ROLES)
TOKENS = Kind(
    JOINED,
    _OF_TOKENS,
    {
        "name": func.coalesce(TOKEN.c.name, ""),
        "tokenName": func.coalesce(TOKEN.c.name, ""),
        "account": ACCOUNT.c.folded,
        "dateGenerated": TOKEN.c.created_us,
        "lastUsed": func.coalesce(TOKEN.c.last_used_us, 0),
    },
    ACCOUNT.c.folded,
    TOKEN.c.number,
)


class Searches(Accounts):
    """Searches. Every method raises RefusedError: NotPermitted, or InvalidBody for a key that there is not."""

    def users(self, grant: Grant, search: Search) -> Page:
        """Search users."""
        return self._found(grant, search, USERS, self.accounts)

    def services(self, grant: Grant, search: Search) -> Page:
        """Search service accounts, with their tokens."""
        return self._found(grant, search, SERVICES, lambda rows: self.with_tokens(grant, self.accounts(rows)))

    def both(self, grant: Grant, search: Search) -> Page:
        """Search accounts of both kinds."""
        return self._found(grant, search, BOTH, self.accounts)

    def user_groups(self, grant: Grant, search: Search) -> Page:
        """Search user groups."""
        return self._found(grant, search, GROUPS, self.groups)

    def all_roles(self, grant: Grant, search: Search) -> Page:
        """Search roles."""
        return self._found(grant, search, ROLES, self.roles)

    def tokens(self, grant: Grant, search: Search) -> Page:
        """Search tokens."""
        return self._found(grant, search, TOKENS, Tokens(self._session).listed)

    def _found(self, grant: Grant, search: Search, kind: Kind, made: Callable[[Sequence[Any]], Sequence[Any]]) -> Page:
        everything(grant)
        _verify(search, kind)
        query = kind.rows.where(*(kind.keys[one.key](one) for one in search.conditions))
        total = self._session.select(select(func.count()).select_from(query.subquery()))[0][0]
        column = kind.otherwise if search.sort is None else kind.sorts[search.sort]
        order = column if search.ascending else column.desc()
        part = query.order_by(order, kind.last).offset(search.offset).limit(search.limit)
        return Page(made(self._session.select(part)), search.offset, search.limit, int(total))


def unknown_keys(conditions: Sequence[Condition], kind: Kind) -> list[Problem]:
    """List the conditions whose key is not one of the attributes by which `kind` is found."""
    return [
        Problem(("query", number, "key"), NotOneOf(tuple(kind.keys)), condition.key)
        for number, condition in enumerate(conditions)
        if condition.key not in kind.keys
    ]


def _verify(search: Search, kind: Kind) -> None:
    problems = unknown_keys(search.conditions, kind)
    if search.sort is not None and search.sort not in kind.sorts:
        problems.append(Problem(("sort", "field"), NotOneOf(tuple(kind.sorts)), search.sort))
    if problems:
        raise RefusedError(InvalidBody(tuple(problems)))
