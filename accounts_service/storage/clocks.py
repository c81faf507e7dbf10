"""Stored times that lie in the future, as a clock leaves them that was ahead.

Whatever such a time delays or blocks, it does so for no longer than the service itself ever means it to: each store
bounds the times that it compares with now, and lists them as `Moment`, so that `doctor` can name those beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, and_, func, or_, select

from accounts_service.storage.database import Store
from accounts_service.storage.statements import Value, given

# Processes and machines commit in another order than that in which they read their clocks. A time that is further
# ahead than this was written by a clock that was wrong.
CLOCKS_DIFFER_SECONDS = 60
_DIFFER_US = CLOCKS_DIFFER_SECONDS * 1_000_000


def have_passed(span_us: int, since_us: int | None, now_us: int) -> bool:
    """Return whether `span_us` have passed; since None and since a time in the future they have."""
    return since_us is None or not -_DIFFER_US <= now_us - since_us < span_us


def is_long_ago(column: Column[Any]) -> ColumnElement[bool]:
    """Compare a column as `have_passed` does, with the values of `span`."""
    return or_(column.is_(None), column <= given("before_us"), column > given("until_us"))


def is_recent(column: Column[Any]) -> ColumnElement[bool]:
    """Return the contrary of `is_long_ago`."""
    return and_(column > given("before_us"), column <= given("until_us"))


def span(span_us: int, now_us: int) -> dict[str, Value]:
    """Return the values of `is_long_ago` and `is_recent`."""
    return {"before_us": now_us - span_us, "until_us": now_us + _DIFFER_US}


@dataclass(frozen=True)
class Moment:
    """A column of microseconds since the epoch, and for how many seconds ahead the service writes it."""

    column: Column[Any]
    ahead_seconds: int = 0

    def __str__(self) -> str:
        return f"{self.column.table.name}.{self.column.name}"


@dataclass(frozen=True, slots=True)
class Ahead:
    """How many rows of a column lie too far in the future, and the furthest."""

    where: str
    number: int
    furthest_us: int


class Moments(Store):
    """Times in the future; for columns with an index, and small tables."""

    def ahead(self, moment: Moment) -> Ahead | None:
        """Count the rows beyond the bound; None when there are none."""
        last_us = self._session.now_us + (moment.ahead_seconds + CLOCKS_DIFFER_SECONDS) * 1_000_000
        query = select(func.count(), func.max(moment.column)).where(moment.column > last_us)
        number, furthest_us = self._session.connection.execute(query).one()
        return Ahead(str(moment), number, furthest_us) if number else None
