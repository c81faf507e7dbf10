"""Statements that are compiled once for each kind of database, and run as their text.

Building an expression and finding its compiled form again costs several times
what the driver needs to send it, with each execution; the statements of a store
never change, only the values do.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    Connection,
    CursorResult,
    Delete,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    insert,
)
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

Value: TypeAlias = str | int | bytes | None
Change: TypeAlias = Insert | Update | Delete
Executable: TypeAlias = Select[*tuple[Any, ...]] | Change


def given(name: str) -> BindParameter[Value]:
    """Stand for the value that is given under `name` when the statement is run."""
    return bindparam(f"given_{name}")


def insertion(table: Table, prefix: str = "", leaving: Collection[str] = (), **others: str) -> Insert:
    """Insert a row of given values, each under its column's name after `prefix`, or as `others` name it.

    A column that numbers itself gets no value, nor do those that are `leaving`.
    """
    return insert(table).values(
        {
            column.name: given(others.get(column.name, prefix + column.name))
            for column in table.columns
            if column is not table.autoincrement_column and column.name not in leaving
        }
    )


def claim(table: Table) -> Insert:
    """Take hold of the row of given values, making it first if need be; whoever else claims it waits.

    On conflict a value is set to what it is: doing nothing would lock nothing.
    """
    columns = [*table.primary_key.columns]
    held = upsert(table).values({column.name: given(column.name) for column in columns})
    return held.on_conflict_do_update(index_elements=columns, set_={columns[-1].name: held.excluded[columns[-1].name]})


class Statement:
    """One statement, or several changes that belong together.

    On PostgreSQL several travel as one (data-modifying CTEs), which saves a
    round trip each; so none of them may depend on another's effect.
    """

    def __init__(self, last: Executable, *before: Change) -> None:
        """Take the statement whose result counts, and the changes that belong to it."""
        self._last = last
        self._before = before
        self._compiled: dict[str, list[tuple[str, dict[str, Value]]]] = {}

    def run(self, connection: Connection, values: Mapping[str, Value]) -> CursorResult[Any]:
        """Run the statement with `values` by name; returns the result of the last part."""
        parts = self._compiled.get(connection.dialect.name)
        if parts is None:
            parts = self._compiled[connection.dialect.name] = list(map(_compile(connection), self._joined(connection)))
        named = {f"given_{name}": value for name, value in values.items()}
        *first, (text, constants) = parts
        for earlier, its_constants in first:
            connection.exec_driver_sql(earlier, {**named, **its_constants})
        return connection.exec_driver_sql(text, {**named, **constants})

    def _joined(self, connection: Connection) -> Sequence[Executable]:
        if connection.dialect.name != "postgresql":
            return (*self._before, self._last)
        return (self._last.add_cte(*(part.cte(f"part_{number}") for number, part in enumerate(self._before))),)


def _compile(connection: Connection) -> Callable[[Executable], tuple[str, dict[str, Value]]]:
    def compile_part(part: Executable) -> tuple[str, dict[str, Value]]:
        compiled = part.compile(dialect=connection.dialect)
        return str(compiled), {name: value for name, value in compiled.params.items() if not name.startswith("given_")}

    return compile_part
