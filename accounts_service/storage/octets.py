"""How many bytes a text takes, counted in the database: what is too large is never sent to this process."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class octets(FunctionElement[int]):  # noqa: N801  # a function, as func.length is
    """The number of bytes of a text in UTF-8; null for null."""

    name = "octets"
    inherit_cache = True
    type = BigInteger()


@compiles(octets, "sqlite")
def _octets_on_sqlite(element: octets, compiler: SQLCompiler, **options: object) -> str:
    # octet_length() is there since 3.43 only.
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"


@compiles(octets, "postgresql")
def _octets_on_postgresql(element: octets, compiler: SQLCompiler, **options: object) -> str:
    return f"octet_length({compiler.process(element.clauses, **options)})"
