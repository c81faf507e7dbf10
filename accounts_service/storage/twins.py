"""Rows that were there before two spellings of an identifier were one, and that stay apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Column, select

from accounts_service.storage.database import Store

_MOST = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """Where twins are: the identifier as it was written, folded, and the column that tells twins apart."""

    things: str
    identifier: Column[Any]
    caseless: Column[Any]
    twin: Column[Any]


class Spellings(Store):
    """The twins of all families."""

    def twins(self, where: Twins) -> Iterator[Sequence[str]]:
        """Return identifiers that fold to one, the one that is no twin first; of at most a thousand rows."""
        table = where.caseless.table
        several = select(where.caseless).where(where.twin != "").distinct()
        query = (
            select(where.caseless.label("caseless"), where.identifier.label("identifier"))
            .select_from(table)
            .where(where.caseless.in_(several))
            .order_by(where.caseless, where.twin)
            .limit(_MOST)
        )
        for _, rows in groupby(self._session.select(query), key=lambda row: row.caseless):
            yield [row.identifier for row in rows]
