"""Whether what stands in a table is of the type of its column: SQLite keeps whatever it is given.

A text that was made a BLOB has the same bytes, and so the same MAC, and is yet
equal to no text: it would hide from every comparison.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal_column, not_, select, true
from sqlalchemy.exc import DBAPIError

from accounts_service.storage.database import Session

_PAGE = 20_000
_TYPES = {int: "integer", str: "text", bytes: "blob"}


def is_sound(connection: Connection, table: Table) -> ColumnElement[bool]:
    """Make the condition that all values of a row are of their columns' types."""
    if connection.dialect.name != "sqlite":
        return true()
    return and_(
        *(
            func.typeof(column).in_([_TYPES[column.type.python_type], *(("null",) if column.nullable else ())])
            for column in table.columns
        )
    )


def misshapen(session: Session, table: Table) -> Iterator[int]:
    """Give the numbers of the rows that are not sound; all of the table is read."""
    if session.connection.dialect.name != "sqlite":
        return
    # A name that no table has for a column of its own.
    row: ColumnElement[int] = literal_column(f"{table.name}._rowid_")
    marked = select(row.label("row"), not_(is_sound(session.connection, table)).label("bad")).select_from(table)
    marked = marked.order_by(row).limit(_PAGE)
    after = None
    while True:
        part = (marked if after is None else marked.where(row > after)).subquery()
        ends = select(func.max(part.c.row).label("last"), func.count().label("number")).select_from(part)
        seen = session.connection.execute(ends).one()
        yield from (one.row for one in session.select(select(part.c.row).where(part.c.bad)))
        if seen.number < _PAGE:
            return
        after = seen.last


def is_undecodable(error: DBAPIError) -> bool:
    """Tell whether a text was read that is none: its bytes are not UTF-8."""
    return isinstance(error.orig, sqlite3.OperationalError) and str(error.orig).startswith("Could not decode")
