"""Searches over accounts: the same answer from both databases.

Values are compared as bytes or in the folded form that was stored with them;
neither database is ever asked about case. The order is total, since the key of
an account ends it, so a page can start after any account.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
)

from accounts_service.families.signals.schemas.search import (
    WINDOW,
    AllOf,
    AtLeast,
    Equals,
    Has,
    Ids,
    Like,
    MatchAll,
    Not,
    Order,
    Pattern,
    Query,
    Search,
    Wild,
)
from accounts_service.families.signals.store.accounts import Account, Accounts, Key
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_TERM
from accounts_service.storage.statements import Glob

# A value for each key of the order, and the account's key; where a page begins after.
Place: TypeAlias = "tuple[str | int | None, ...]"

_KEY = (ACCOUNT.c.tenant, ACCOUNT.c.type, ACCOUNT.c.name)
_NUMBERS = frozenset(("port", "proxy_port", "session_timeout"))


@dataclass(frozen=True, slots=True)
class Hit:
    """An account that was found, with what it was sorted by."""

    account: Account
    sorted_by: tuple[str | int | float | None, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """What a search found. `total` counts no further than WINDOW; `last`: where the next page begins after."""

    hits: tuple[Hit, ...]
    total: int
    more: bool
    last: Place | None


class AccountSearch(Accounts):
    """Finds accounts of the tenants that are named; the empty one has the global accounts."""

    def search(self, tenants: Iterable[str], search: Search, after: Place | None = None) -> Page:
        """Find one page, from `search.start` or after a place."""
        there = and_(ACCOUNT.c.tenant.in_(sorted(tenants)), _condition(search.query))
        counted = self._session.select(
            select(func.count()).select_from(select(literal(1)).where(there).limit(WINDOW + 1).subquery())
        ).scalar_one()
        keys = [key for order in search.order for key in _keys(order)] + [_Key(column) for column in _KEY]
        columns = [key.column.label(f"key_{number}") for number, key in enumerate(keys)]
        page: Select[Any] = select(ACCOUNT, *columns).where(there).order_by(*(key.ordering for key in keys))
        if after is not None:
            page = page.where(_follows(keys, after))
        rows = self._session.select(page.offset(search.start).limit(search.size)).all() if search.size else []
        hits = tuple(Hit(_account(row), _sorted_by(search.order, _place(row, len(keys)))) for row in rows)
        last = _place(rows[-1], len(keys)) if rows else after
        return Page(hits, min(counted, WINDOW), counted > WINDOW, last)


def _account(row: Any) -> Account:  # noqa: ANN401  # a row has the columns it was asked for
    key = Key(row.type, row.name, row.tenant)
    return Account(key, row.uid, row.version, json.loads(row.attributes), json.loads(row.secrets))


def _place(row: Any, count: int) -> Place:  # noqa: ANN401
    return tuple(row[len(ACCOUNT.columns) + number] for number in range(count))


def _sorted_by(orders: Sequence[Order], place: Place) -> tuple[str | int | float | None, ...]:
    values: list[str | int | float | None] = []
    rest = iter(place)
    for order in orders:
        if order.field == "_score":
            values.append(1.0)
        elif order.field == "_doc":
            values.append(0)
        else:
            absent, rank = next(rest), next(rest)
            there = bool(absent) is order.missing_first
            values.append(None if not there else int(rank or 0) if order.field in _NUMBERS else rank)
    return tuple(values)


# -- order ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Key:
    column: ColumnElement[Any]
    descending: bool = False

    @property
    def ordering(self) -> ColumnElement[Any]:
        return self.column.desc() if self.descending else self.column.asc()

    def beyond(self, value: str | int | None) -> ColumnElement[bool]:
        return self.column < value if self.descending else self.column > value


def _keys(order: Order) -> list[_Key]:
    if order.field in ("_score", "_doc"):
        return []
    term = ACCOUNT_TERM.alias()
    # Of several values the one that comes first, as with Elasticsearch.
    first = func.max(term.c.rank) if order.descending else func.min(term.c.rank)
    rank = select(first).where(term.c.uid == ACCOUNT.c.uid, term.c.field == order.field).scalar_subquery()
    absent, there = (0, 1) if order.missing_first else (1, 0)
    return [
        _Key(case((rank.is_(None), absent), else_=there)),
        _Key(func.coalesce(rank, ""), order.descending),
    ]


def _follows(keys: Sequence[_Key], place: Place) -> ColumnElement[bool]:
    """Compare with a place, key by key: row values do not help where directions differ."""
    ways: list[ColumnElement[bool]] = []
    for number, (key, value) in enumerate(zip(keys, place, strict=True)):
        before = [one.column == other for one, other in zip(keys[:number], place[:number], strict=True)]
        ways.append(and_(*before, key.beyond(value)))
    return or_(*ways)


# -- conditions ----------------------------------------------------------------


def _condition(query: Query) -> ColumnElement[bool]:  # noqa: PLR0911  # one case a query
    match query:
        case MatchAll():
            return true()
        case Equals(fields, values, folded):
            return _some_term(fields, lambda term: (term.c.folded if folded else term.c.value).in_(values))
        case Like(fields, pattern, folded):
            return _some_term(fields, lambda term: Glob.of(term.c.folded if folded else term.c.value, _wild(pattern)))
        case Has(field):
            return _some_term((field,), lambda _: true())
        case Ids(values):
            keys = [key for value in values if (key := _key(value)) is not None]
            return tuple_(*_KEY).in_(keys) if keys else false()
        case AllOf(parts):
            return and_(true(), *map(_condition, parts))
        case AtLeast(parts, 1):
            return or_(false(), *map(_condition, parts))
        case AtLeast(parts, least):
            held = [case((_condition(part), 1), else_=0) for part in parts]
            return sum(held, literal(0)) >= least
        case Not(part):
            return not_(_condition(part))
        case _:
            assert_never(query)


def _some_term(fields: tuple[str, ...], holds: Callable[[FromClause], ColumnElement[bool]]) -> ColumnElement[bool]:
    term = ACCOUNT_TERM.alias()
    of_fields = (term.c.field.in_(fields),) if fields else ()
    return exists().where(term.c.uid == ACCOUNT.c.uid, *of_fields, holds(term))


def _wild(pattern: Pattern) -> tuple[tuple[bool, str], ...]:
    return tuple((True, part.value) if isinstance(part, Wild) else (False, part) for part in pattern)


def _key(identifier: str) -> tuple[str, str, str] | None:
    match identifier.split("/"):
        case [account_type, name]:
            return "", account_type, name
        case [tenant, account_type, name]:
            return tenant, account_type, name
        case _:
            return None
