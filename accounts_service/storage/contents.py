"""Whether a database is in use."""

from __future__ import annotations

from sqlalchemy import Connection, column, inspect, literal, select, table

from accounts_service.storage.database import Database
from accounts_service.storage.tables import METADATA

# The migrations make system groups.
_GROUPS = "wavefront_group"


def filled_table(database: Database) -> str:
    """Return the name of one of our tables that holds rows, or an empty text.

    Rows that the migrations make do not count. Of tables whose modules were not imported nothing is known. Raises
    RefusedError.
    """
    if database.is_missing():
        return ""
    with database.looking() as connection:
        names = sorted(METADATA.tables.keys() & set(inspect(connection).get_table_names()))
        return next((name for name in names if _is_filled(connection, name)), "")


def _is_filled(connection: Connection, name: str) -> bool:
    query = select(literal(1)).select_from(table(name)).limit(1)
    if name == _GROUPS:
        query = query.where(column("system") == "")
    return connection.execute(query).first() is not None
