"""Statements that are compiled once for each kind of database, and run as their text.

Building an expression and finding its compiled form again costs several times
what the driver needs to send it, with each execution; the statements of a store
never change, only the values do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    Boolean,
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Insert,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    cast,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

Value: TypeAlias = str | int | bytes | None
Change: TypeAlias = Insert | Update | Delete
Executable: TypeAlias = Select[Any] | Change


def given(name: str) -> BindParameter[Value]:
    """Stand for the value that is given under `name` when the statement is run."""
    return bindparam(f"given_{name}")


def insertion(table: Table, prefix: str = "", **others: str) -> Insert:
    """Insert a row of given values, each under its column's name after `prefix`, or as `others` name it.

    A column that numbers itself gets no value.
    """
    return insert(table).values(
        {
            column.name: given(others.get(column.name, prefix + column.name))
            for column in table.columns
            if column is not table.autoincrement_column
        }
    )


class Glob(FunctionElement[bool]):
    """A column is as a pattern; case counts on both databases, other than with LIKE on SQLite.

    https://www.sqlite.org/lang_expr.html#glob,
    https://www.postgresql.org/docs/current/functions-matching.html
    """

    name = "glob"
    type = Boolean()
    inherit_cache = True

    @classmethod
    def of(cls, column: ColumnElement[str], parts: Iterable[tuple[bool, str]]) -> Glob:
        """Take a pattern as parts: `*` and `?` where the flag is set, else text."""
        listed = list(parts)
        glob = "".join(text if wild else re.sub(r"([*?\[])", r"[\1]", text) for wild, text in listed)
        likes = {"*": "%", "?": "_"}
        like = "".join(likes[text] if wild else re.sub(r"([\\%_])", r"\\\1", text) for wild, text in listed)
        return cls(column, literal(glob), literal(like))


@compiles(Glob, "sqlite")
def _glob_sqlite(element: Glob, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own
    column, glob, _ = element.clauses
    return f"({compiler.process(column, **options)} GLOB {compiler.process(glob, **options)})"


@compiles(Glob, "postgresql")
def _glob_postgresql(element: Glob, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    column, _, like = element.clauses
    return f"({compiler.process(column, **options)} LIKE {compiler.process(like, **options)})"


class _EachRow(FunctionElement[Any]):
    """The elements of a JSON list."""

    name = "each_row"
    inherit_cache = True


@compiles(_EachRow, "sqlite")
def _each_row_sqlite(element: _EachRow, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401  # SQLAlchemy's own
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_EachRow, "postgresql")
def _each_row_postgresql(element: _EachRow, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS json))"


class _Item(FunctionElement[str]):
    """An element of a JSON list, by its number, as text."""

    name = "item"
    type = Text()
    inherit_cache = True


@compiles(_Item, "sqlite")
def _item_sqlite(element: _Item, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    row, number = element.clauses
    return f"json_extract({compiler.process(row, **options)}, '$[' || {compiler.process(number, **options)} || ']')"


@compiles(_Item, "postgresql")
def _item_postgresql(element: _Item, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    row, number = element.clauses
    return f"({compiler.process(row, **options)} ->> {compiler.process(number, **options)})"


def insertion_of_each(table: Table, name: str, own: Sequence[str]) -> Insert:
    """Insert a row for each element of the JSON list that is given under `name`.

    An element is a list of the columns' values in their order, but for the
    columns in `own`, which are given once for all. However many rows, it is one
    statement, and can be part of another.
    """
    row = _EachRow(given(name)).table_valued("value").alias("each_row").c.value
    others = [column for column in table.columns if column.name not in own]
    values = [cast(_Item(row, literal_column(str(number))), column.type) for number, column in enumerate(others)]
    names = [*own, *(column.name for column in others)]
    return insert(table).from_select(names, select(*(cast(given(one), table.c[one].type) for one in own), *values))


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
