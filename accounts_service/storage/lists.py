"""Lists as one parameter: JSON that the database takes apart, written once for both kinds.

The number of parameters is bounded, and a statement whose text depends on the
length of a list is another one for each length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Insert,
    Select,
    Table,
    Text,
    cast,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import Insert as Upsert
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from accounts_service.storage.statements import Value, given


class _Elements(FunctionElement[Any]):
    """The elements of a JSON array, in FROM."""

    name = "elements"
    inherit_cache = True


@compiles(_Elements, "sqlite")
def _elements_of_sqlite(element: _Elements, compiler: SQLCompiler, **options: object) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Elements, "postgresql")
def _elements_of_postgresql(element: _Elements, compiler: SQLCompiler, **options: object) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS JSON))"


class _Part(ColumnElement[str]):
    """One part of an element that is an array itself, as text."""

    inherit_cache = False
    type = Text()

    def __init__(self, element: ColumnElement[Any], index: int) -> None:
        self.element = element
        self.index = index


@compiles(_Part, "sqlite")
def _part_of_sqlite(part: _Part, compiler: SQLCompiler, **options: object) -> str:
    return f"json_extract({compiler.process(part.element, **options)}, '$[{part.index}]')"


@compiles(_Part, "postgresql")
def _part_of_postgresql(part: _Part, compiler: SQLCompiler, **options: object) -> str:
    return f"({compiler.process(part.element, **options)} ->> {part.index})"


def listed(rows: Iterable[Sequence[str | int]]) -> str:
    """Write rows as the value of a parameter."""
    return json.dumps([list(row) for row in rows], ensure_ascii=False)


def texts(parameter: BindParameter[Value]) -> Select[str]:
    """Select the first text of each listed row."""
    elements = _Elements(parameter).table_valued("value", name="element")
    return select(_Part(elements.c.value, 0)).select_from(elements)


def insertion_of_rows(table: Table, shared: Sequence[str], parameter: str) -> Insert:
    """Insert as many rows as are listed; the `shared` columns have one given value each, the others come from the list.

    The listed rows have the other columns in the table's order.
    """
    names, rows = _rows_of(table, shared, parameter)
    return insert(table).from_select(names, rows)


def upsertion_of_rows(table: Table, shared: Sequence[str], parameter: str) -> Upsert:
    """Insert as `insertion_of_rows` does, for who says besides what happens with a row that is there."""
    names, rows = _rows_of(table, shared, parameter)
    # SQLite would take ON for that of a join (https://www.sqlite.org/lang_upsert.html#parsing_ambiguity).
    return upsert(table).from_select(names, rows.where(text("1 = 1")))


def _rows_of(table: Table, shared: Sequence[str], parameter: str) -> tuple[list[str], Select[Any]]:
    elements = _Elements(given(parameter)).table_valued("value", name="element")
    others = [one for one in table.columns if one.name not in shared]
    values: list[ColumnElement[Any]] = [cast(given(name), table.columns[name].type) for name in shared]
    for index, one in enumerate(others):
        part: ColumnElement[Any] = _Part(elements.c.value, index)
        values.append(cast(part, BigInteger) if isinstance(one.type, BigInteger) else part)
    return [*shared, *(one.name for one in others)], select(*values).select_from(elements)
