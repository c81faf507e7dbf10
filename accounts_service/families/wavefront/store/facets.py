"""Facets: the distinct values of an attribute among the objects that a search finds.

A value is one by which a search finds the object again: the id of a group or role, not its name. Attributes that are
secrets have no facets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, FromClause, Select, Subquery, Table, case, func, select, union_all

from accounts_service.access.privileges import Grant
from accounts_service.families.wavefront.store import search
from accounts_service.families.wavefront.store.directory import SYSTEM_OF, Page, everything
from accounts_service.families.wavefront.store.search import Condition, Kind, Method
from accounts_service.families.wavefront.tables import (
    ACCOUNT,
    ACCOUNT_GROUP,
    ACCOUNT_PERMISSION,
    ACCOUNT_ROLE,
    GROUP,
    GROUP_ROLE,
    ROLE_PERMISSION,
)
from accounts_service.faults import InvalidBody, NotOneOf, Problem, RefusedError
from accounts_service.storage.database import Store

_Rows: TypeAlias = Select[Any]
_Values: TypeAlias = Callable[[Subquery], Sequence[_Rows]]


@dataclass(frozen=True, slots=True)
class FacetSearch:
    """Which values to list: of objects that meet the conditions, and with `text` those that match it by `method`."""

    conditions: Sequence[Condition] = ()
    text: str | None = None
    method: Method = Method.CONTAINS
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Facetted:
    """A kind of objects, and how the values of its attributes are read, by the name of the attribute."""

    kind: Kind
    values: Mapping[str, _Values]


def _own(column: str) -> _Values:
    """Read a column of the objects themselves that holds our own words and ids, which are ASCII."""
    return lambda found: (_select(found.c[column]),)


def _text(column: str) -> _Values:
    """Read a column of texts, which may be missing or empty: neither is a value."""

    def values(found: Subquery) -> Sequence[_Rows]:
        text = found.c[column]
        compared = func.coalesce(found.c[f"{column}_caseless"], func.lower(text))
        return (_select(text, compared).where(func.length(text) > 0),)

    return values


def _identifiers(found: FromClause) -> _Rows:
    return _select(found.c.identifier, func.coalesce(found.c.caseless, found.c.folded))


def _identifier(found: Subquery) -> Sequence[_Rows]:
    return (_identifiers(found),)


def _linked(link: Table, owner: str, owned: str) -> _Values:
    """Read what the objects are linked to."""
    return lambda found: (_select(link.c[owned]).join(found, found.c.uid == link.c[owner]),)


def _groups(found: Subquery) -> Sequence[_Rows]:
    # Which accounts are in a system group is decided by their kind and is not stored.
    in_system_group = case(SYSTEM_OF, value=found.c.kind) == GROUP.c.system
    return *_GROUPS_OF_ACCOUNTS(found), _select(GROUP.c.uid).join(found, in_system_group)


def _members(found: Subquery) -> Sequence[_Rows]:
    in_system_group = case(SYSTEM_OF, value=ACCOUNT.c.kind) == found.c.system
    linked = _identifiers(ACCOUNT).join(ACCOUNT_GROUP, ACCOUNT_GROUP.c.account_uid == ACCOUNT.c.uid)
    return (
        linked.join(found, found.c.uid == ACCOUNT_GROUP.c.group_uid),
        _identifiers(ACCOUNT).join(found, in_system_group),
    )


def _select(value: ColumnElement[Any], compared: ColumnElement[Any] | None = None) -> _Rows:
    """Select a value, and its folded form by which it is compared."""
    return select(value.label("value"), (func.lower(value) if compared is None else compared).label("compared"))


_GROUPS_OF_ACCOUNTS = _linked(ACCOUNT_GROUP, "account_uid", "group_uid")
_OF_ACCOUNTS: Mapping[str, _Values] = {
    "id": _identifier,
    "identifier": _identifier,
    "description": _text("description"),
    "groups": _linked(ACCOUNT_PERMISSION, "account_uid", "permission"),
    "roles": _linked(ACCOUNT_ROLE, "account_uid", "role_uid"),
    "userGroups": _groups,
}
_OF_GROUPS: Mapping[str, _Values] = {
    "id": _own("uid"),
    "name": _text("name"),
    "description": _text("description"),
    "roles": _linked(GROUP_ROLE, "group_uid", "role_uid"),
    "users": _members,
}
_OF_ROLES: Mapping[str, _Values] = {
    "id": _own("uid"),
    "name": _text("name"),
    "description": _text("description"),
    "permissions": _linked(ROLE_PERMISSION, "role_uid", "permission"),
}
# Not `id` and `tokenID`: these are the token itself, which is shown on record only.
_OF_TOKENS: Mapping[str, _Values] = {
    "name": _text("name"),
    "tokenName": _text("name"),
    "account": _identifier,
}

USERS = Facetted(search.USERS, _OF_ACCOUNTS)
SERVICES = Facetted(search.SERVICES, _OF_ACCOUNTS)
BOTH = Facetted(search.BOTH, _OF_ACCOUNTS)
GROUPS = Facetted(search.GROUPS, _OF_GROUPS)
ROLES = Facetted(search.ROLES, _OF_ROLES)
TOKENS = Facetted(search.TOKENS, _OF_TOKENS)


class Facets(Store):
    """Values of attributes, in order. Raises RefusedError: NotPermitted, InvalidBody for unknown facets and keys."""

    def of(self, grant: Grant, facetted: Facetted, facet: str, asked: FacetSearch) -> Page:
        """List the values of one facet."""
        everything(grant)
        _verify(facetted, {("facet",): facet}, asked)
        values = _matching(facetted, facet, asked)
        total = self._session.select(select(func.count()).select_from(values))[0][0]
        return Page(self._listed(values, asked), asked.offset, asked.limit, int(total))

    def of_several(
        self, grant: Grant, facetted: Facetted, facets: Sequence[str], asked: FacetSearch
    ) -> dict[str, list[str]]:
        """List the values of several facets, at most `asked.limit` of each."""
        everything(grant)
        _verify(facetted, {("facets", number): facet for number, facet in enumerate(facets)}, asked)
        return {facet: self._listed(_matching(facetted, facet, asked), asked) for facet in facets}

    def _listed(self, values: Subquery, asked: FacetSearch) -> list[str]:
        part = select(values.c.value).order_by(values.c.value).offset(asked.offset).limit(asked.limit)
        return [row.value for row in self._session.select(part)]


def _matching(facetted: Facetted, facet: str, asked: FacetSearch) -> Subquery:
    kind = facetted.kind
    found = kind.rows.where(*(kind.keys[one.key](one) for one in asked.conditions)).subquery()
    values = union_all(*facetted.values[facet](found)).subquery()
    matches = () if asked.text is None else (search.matches_folded(values.c.compared, asked.text, asked.method),)
    return select(values.c.value).where(*matches).distinct().subquery()


def _verify(facetted: Facetted, facets: Mapping[tuple[str | int, ...], str], asked: FacetSearch) -> None:
    problems = [
        Problem(path, NotOneOf(tuple(facetted.values)), facet)
        for path, facet in facets.items()
        if facet not in facetted.values
    ]
    if problems := [*problems, *search.unknown_keys(asked.conditions, facetted.kind)]:
        raise RefusedError(InvalidBody(tuple(problems)))
