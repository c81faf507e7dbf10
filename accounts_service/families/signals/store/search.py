"""Searches in accounts, page by page.

A query becomes one statement of SQLAlchemy Core over the terms of accounts
(tables.py). Nothing that was sent gets into its text, and nothing in it depends
on how a database compares: equality and order are by code point on both, case
was folded when the term was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, assert_never

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler

from accounts_service.access.decisions import normal_tenant
from accounts_service.access.privileges import Everything, Grant, Nothing, Own, Tenants
from accounts_service.access.roles import Identity
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.schemas.notes import MAPPED
from accounts_service.families.signals.schemas.queries import (
    IDENTIFIER,
    Bool,
    Bound,
    ByField,
    Equal,
    Exists,
    Fields,
    Ids,
    MatchAll,
    OneOf,
    Prefix,
    Query,
    Range,
    Sort,
    Special,
    Wild,
    Wildcard,
)
from accounts_service.families.signals.schemas.search import Search
from accounts_service.families.signals.store.accounts import FAMILY_NAME, Account, Accounts, Key
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_TERM
from accounts_service.faults import BadQuery, Json, NoSuchScroll, NotPermitted, QueryFlaw, QueryProblem, RefusedError
from accounts_service.storage.lists import listed, texts
from accounts_service.storage.octets import octets
from accounts_service.storage.sealed import Place

LONGEST_CURSOR = 64 * 1024
_CURSOR = Place(FAMILY_NAME, "scroll", "cursor")
_CURSOR_FORMAT = 1
_MICROSECONDS = 1_000_000

# Where an account stands in the order of a search: what it is sorted by, then what names it.
Position = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """An account that was found, and the values by which it was sorted."""

    account: Account
    sort: tuple[str | int | float | None, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what was found. `last` is where the page ends.

    `total` counts one further than the search says at most; None if it says that nothing is counted.
    """

    hits: tuple[Hit, ...]
    total: int | None
    last: Position | None


class PageTooLargeError(Exception):
    """The accounts of a page have more bytes than the caller of the store wants to read; none of them was read."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


@dataclass(frozen=True, slots=True)
class Cursor:
    """How a search goes on. Nothing of it is kept here: the caller has it, sealed."""

    realm: str
    name: str
    tenant: str
    body: str = attribute(repr=False)
    last: Position | None = attribute(repr=False)
    expires_us: int


class Searches(Accounts):
    """Searches in the accounts of a tenant and the global ones, or, with the empty tenant, in the global ones alone."""

    def page(  # noqa: PLR0913  # what a page depends on
        self,
        grant: Grant,
        tenant: str,
        search: Search,
        after: Position | None = None,
        *,
        most_bytes: int,
        with_global: bool = True,
    ) -> Page:
        """Find accounts; those that come after a position, or from `search.start` on.

        A tenant's search finds the global accounts as well, unless told otherwise.
        Of accounts only what the search shows is read. Raises PageTooLargeError when
        that has more than `most_bytes`, and RefusedError(NotPermitted) outside the
        grant's scope.
        """
        visible = [one for one in _visible(grant, tenant) if one or with_global]
        found = and_(ACCOUNT.c.tenant.in_(visible), _condition(search.query, apart=_leaves(search.query) > _JOINED))
        total = self._total(search, found) if search.is_counted else None
        fields = [sort for sort in search.sort if isinstance(sort, ByField)]
        contents = _contents(search)
        ranks = (_rank(sort).label(f"rank_{number}") for number, sort in enumerate(fields))
        size = sum(map(octets, contents), literal(_FRAME)).label("size")
        query = select(*_LABELS, size, *ranks).where(found)
        columns: ReadOnlyColumnCollection[str, Any] = ACCOUNT.c
        if fields:
            # Only what is selected from can be sorted by and compared.
            there = query.subquery()
            query, columns = select(there), there.c
        keys = _keys(columns, fields)
        query = query.order_by(*_directed(keys))
        after = search.after if after is None else after
        if after is not None:
            query = query.where(_later(keys, _values(after, len(fields))))
        rows = self._session.select(
            _within(query.offset(search.start).limit(search.size), contents, fields, most_bytes)
        )
        if rows and rows[0].together > most_bytes:
            raise PageTooLargeError(rows[0].together)
        hits = tuple(Hit(_account(row), tuple(_sort_values(search.sort, row))) for row in rows)
        return Page(hits, total, _position(rows[-1], len(fields)) if rows else after)

    def _total(self, search: Search, found: ColumnElement[bool]) -> int:
        counted = select(literal(1)).select_from(ACCOUNT).where(found)
        if search.counted_to is not None:
            counted = counted.limit(search.counted_to + 1)
        ((total,),) = self._session.select(select(func.count()).select_from(counted.subquery()))
        return int(total)

    def sealed(self, caller: Identity, tenant: str, search: Search, last: Position | None, until: int | None) -> str:
        """Write how the search goes on after `last`, for the caller alone.

        It holds for as long as the search says, or else until `until`.
        Raises RefusedError(BadQuery) when it gets too long to be sent.
        """
        seconds = search.scroll_seconds
        expires_us = until if seconds is None else self._session.now_us + seconds * _MICROSECONDS
        text = json.dumps(
            [_CURSOR_FORMAT, caller.realm, caller.name, tenant, search.body, last, expires_us], ensure_ascii=False
        )
        token = self._session.vault.seal_token(_CURSOR, text)
        if len(token) > LONGEST_CURSOR:
            reason = "the search is too long for a scroll"
            raise RefusedError(BadQuery((QueryProblem(QueryFlaw.ILLEGAL_ARGUMENT, reason),)))
        return token

    def opened(self, caller: Identity, token: str) -> Cursor:
        """Read what `sealed` wrote.

        Raises RefusedError(NoSuchScroll) unless it is whole, the caller's and not too old.
        """
        text = self._session.vault.open_token(_CURSOR, token) if len(token) <= LONGEST_CURSOR else None
        match [] if text is None else json.loads(text):
            case [1, str(realm), str(name), str(tenant), str(body), list() | None as last, int(expires_us)] if (
                realm,
                name,
            ) == (caller.realm, caller.name) and self._session.now_us < expires_us:
                return Cursor(realm, name, tenant, body, None if last is None else tuple(last), expires_us)
            case _:
                raise RefusedError(NoSuchScroll())


def _visible(grant: Grant, tenant: str) -> tuple[str, ...]:
    match grant.scope:
        case Everything() if not tenant:
            return ("",)
        case Tenants(names) if tenant and normal_tenant(tenant) in names:
            # A tenant may use what is global, so it may see that it is there.
            return ("", tenant)
        case Everything() | Tenants() | Own() | Nothing():
            raise RefusedError(NotPermitted())


# What names an account, and what a hit takes in an answer besides the contents of its account.
_LABELS = tuple(ACCOUNT.c[name] for name in ("uid", "tenant", "type", "name", "version"))
_FRAME = 128


# What a source shows of where an account is, and what it shows without a secret being read.
_NAMING = frozenset(("type", "_name", "_tenant"))
_PLAIN = (_NAMING | MAPPED).difference(*(schema.marked("secret") for schema in SCHEMAS.values()))


def _contents(search: Search) -> list[Column[Any]]:
    """Return the columns that hold something the search shows."""
    if search.source is None or search.source.shows_only(_NAMING):
        return []
    return [ACCOUNT.c.attributes, *([] if search.source.shows_only(_PLAIN) else [ACCOUNT.c.secrets])]


def _within(
    page: Select[Any], contents: Sequence[Column[Any]], fields: Sequence[ByField], most_bytes: int
) -> Select[Any]:
    """Select the accounts of a page with their contents; a single row without any where they are too large together.

    One statement, since between two an account may change. The sizes are added up
    before the contents are joined, which a window function would copy.
    """
    one = page.cte("page")
    whole = select(func.sum(one.c.size).label("together"), func.min(one.c.uid).label("first")).cte("whole")
    fits = whole.c.together <= most_bytes
    its = {column.name: case((fits, column)).label(column.name) for column in contents}
    empty = {name: literal("{}").label(name) for name in ("attributes", "secrets") if name not in its}
    joined = one.join(whole, or_(fits, one.c.uid == whole.c.first))
    if contents:
        joined = joined.join(ACCOUNT, ACCOUNT.c.uid == one.c.uid)
    chosen = select(one, whole.c.together, *its.values(), *empty.values()).select_from(joined)
    return chosen.order_by(*_directed(_keys(one.c, fields)))


def _account(row: Row[Any]) -> Account:
    key = Key(row.type, row.name, row.tenant)
    return Account(key, row.uid, row.version, json.loads(row.attributes), json.loads(row.secrets))


# -- Queries ------------------------------------------------------------------

_OF_ACCOUNT = (ACCOUNT_TERM.c.uid, ACCOUNT_TERM.c.version)


# So many lists of terms PostgreSQL may join with the accounts. It looks for the best
# order of the joins, and the time for that grows without bound: a hundred take seconds.
_JOINED = 6


def _leaves(query: Query) -> int:
    if not isinstance(query, Bool):
        return 1
    return sum(map(_leaves, (*query.must, *query.should, *query.must_not)))


def _condition(query: Query, *, apart: bool) -> ColumnElement[bool]:  # noqa: PLR0911  # one case a query
    """Write a query as a condition; `apart`: with each list of terms looked up by itself, never joined."""
    match query:
        case MatchAll():
            return true()
        case Equal(fields, value, any_case):
            # The folded text leads the way in the index, whether or not case counts.
            folded = ACCOUNT_TERM.c.folded == value.casefold()
            return _has(fields, folded if any_case else and_(folded, ACCOUNT_TERM.c.value == value), apart=apart)
        case OneOf(field, values):
            return _has((field,), ACCOUNT_TERM.c.value.in_(_list(values)), apart=apart)
        case Ids(values):
            return _IDENTIFIER.in_(_list(_identifiers(values)))
        case Prefix(fields, prefix, any_case):
            return _has(fields, _begins(*_compared(prefix, any_case=any_case)), apart=apart)
        case Wildcard(fields, pattern, any_case):
            column = ACCOUNT_TERM.c.folded if any_case else ACCOUNT_TERM.c.value
            folded_pattern = (part.casefold() if isinstance(part, str) and any_case else part for part in pattern)
            return _has(fields, _Like(column, tuple(folded_pattern)), apart=apart)
        case Exists(fields):
            return _has(fields, true(), apart=apart)
        case Range(field, bounds):
            return _has((field,), and_(true(), *(_on_its_side(*bound) for bound in bounds)), apart=apart)
        case Bool(must, should, must_not, minimum):
            return and_(
                true(),
                *(_condition(one, apart=apart) for one in must),
                *(not_(_condition(one, apart=apart)) for one in must_not),
                _at_least(minimum, [_condition(one, apart=apart) for one in should]),
            )
        case _:
            assert_never(query)


def _has(fields: Fields, condition: ColumnElement[bool], *, apart: bool) -> ColumnElement[bool]:
    within = true() if fields is None else ACCOUNT_TERM.c.field.in_(fields)
    listed_there = tuple_(ACCOUNT.c.uid, ACCOUNT.c.version).in_(select(*_OF_ACCOUNT).where(within, condition))
    # A condition within CASE is no join to PostgreSQL.
    return case((listed_there, 1), else_=0) == 1 if apart else listed_there


def _compared(text: str, *, any_case: bool) -> tuple[ColumnElement[str], str]:
    return (ACCOUNT_TERM.c.folded, text.casefold()) if any_case else (ACCOUNT_TERM.c.value, text)


def _begins(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    # Not LIKE: on SQLite it passes over case, but of ASCII only.
    return func.substr(column, 1, len(prefix)) == prefix


def _on_its_side(bound: Bound, rank: str) -> ColumnElement[bool]:
    match bound:
        case Bound.GT:
            return ACCOUNT_TERM.c.rank > rank
        case Bound.GTE:
            return ACCOUNT_TERM.c.rank >= rank
        case Bound.LT:
            return ACCOUNT_TERM.c.rank < rank
        case Bound.LTE:
            return ACCOUNT_TERM.c.rank <= rank


def _at_least(minimum: int, conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    if minimum == 0:
        return true()
    if minimum > len(conditions):
        return false()
    if minimum == 1:
        return or_(*conditions)
    return _sum([case((condition, 1), else_=0) for condition in conditions]) >= minimum


def _sum(terms: Sequence[ColumnElement[int]]) -> ColumnElement[int]:
    # Halved and halved again: SQLite bears an expression of a thousand levels, Python less.
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return _sum(terms[:middle]).self_group() + _sum(terms[middle:]).self_group()


def _list(values: Iterable[str]) -> Select[str]:
    return texts(bindparam(None, listed((value,) for value in values), unique=True))


_IDENTIFIER = ACCOUNT.c.tenant + "/" + ACCOUNT.c.type + "/" + ACCOUNT.c.name


def _identifiers(values: Iterable[str]) -> list[str]:
    # `type/name` of a global account, whose tenant is empty, or `tenant/type/name`.
    # No part has a slash: a path with an encoded one is refused.
    return ["/" + value if value.count("/") == 1 else value for value in values if not value.startswith("/")]


class _Like(ColumnElement[bool]):
    """The column is as the pattern says; case counts."""

    # What is compiled holds the pattern, so another pattern is another statement.
    inherit_cache = False

    def __init__(self, column: ColumnElement[str], pattern: tuple[str | Wild, ...]) -> None:
        self.column = column
        self.pattern = pattern


@compiles(_Like, "sqlite")
def _like_on_sqlite(like: _Like, compiler: SQLCompiler, **options: object) -> str:
    signs = {Wild.ANY: "*", Wild.ONE: "?"}
    escaped = str.maketrans({sign: f"[{sign}]" for sign in "*?["})
    return str(compiler.process(like.column.op("GLOB")(_written(like.pattern, signs, escaped)), **options))


@compiles(_Like, "postgresql")
def _like_on_postgresql(like: _Like, compiler: SQLCompiler, **options: object) -> str:
    signs = {Wild.ANY: "%", Wild.ONE: "_"}
    escaped = str.maketrans({sign: f"\\{sign}" for sign in "%_\\"})
    return str(compiler.process(like.column.like(_written(like.pattern, signs, escaped)), **options))


def _written(pattern: Iterable[str | Wild], signs: dict[Wild, str], escaped: dict[int, str]) -> str:
    return "".join(part.translate(escaped) if isinstance(part, str) else signs[part] for part in pattern)


# -- Order --------------------------------------------------------------------

_NAMES = ("tenant", "type", "name")


def _rank(sort: ByField) -> ColumnElement[Any]:
    if sort.field == IDENTIFIER:
        return case((ACCOUNT.c.tenant == "", ACCOUNT.c.type + "/" + ACCOUNT.c.name), else_=_IDENTIFIER)
    extreme = func.max if sort.descending else func.min
    here = (ACCOUNT_TERM.c.uid == ACCOUNT.c.uid, ACCOUNT_TERM.c.version == ACCOUNT.c.version)
    return select(extreme(ACCOUNT_TERM.c.rank)).where(*here, ACCOUNT_TERM.c.field == sort.field).scalar_subquery()


def _keys(
    columns: ReadOnlyColumnCollection[str, Any], fields: Sequence[ByField]
) -> list[tuple[ColumnElement[Any], bool]]:
    """Make what a search is ordered by, none of it ever null; each with whether it goes down."""
    keys: list[tuple[ColumnElement[Any], bool]] = []
    for number, sort in enumerate(fields):
        rank = columns[f"rank_{number}"]
        keys.append((case((rank.is_(None), 1), else_=0), sort.missing_first))
        keys.append((func.coalesce(rank, ""), sort.descending))
    return [*keys, *((columns[name], False) for name in _NAMES)]


def _directed(keys: Iterable[tuple[ColumnElement[Any], bool]]) -> Iterator[ColumnElement[Any]]:
    return (key.desc() if down else key.asc() for key, down in keys)


def _position(row: Row[Any], ranks: int) -> Position:
    return tuple(getattr(row, name) for name in (*(f"rank_{number}" for number in range(ranks)), *_NAMES))


def _values(position: Position, ranks: int) -> list[Json]:
    """Write a position as values of `_keys`, or of the first of them where it ends before the names."""
    values: list[Json] = []
    for rank in position[:ranks]:
        values += [1 if rank is None else 0, rank or ""]
    return [*values, *position[ranks:]]


def _later(keys: Sequence[tuple[ColumnElement[Any], bool]], values: Sequence[Json]) -> ColumnElement[bool]:
    ways = []
    for number, ((key, down), value) in enumerate(zip(keys, values, strict=False)):
        same = [earlier == its for (earlier, _), its in zip(keys[:number], values, strict=False)]
        ways.append(and_(*same, key < value if down else key > value))
    return or_(*ways)


def _sort_values(sorts: Iterable[Sort], row: Row[Any]) -> Iterable[str | int | float | None]:
    number = 0
    for sort in sorts:
        if isinstance(sort, Special):
            yield sort.value
            continue
        rank: str | None = getattr(row, f"rank_{number}")
        number += 1
        yield int(rank) if rank is not None and sort.numeric else rank
