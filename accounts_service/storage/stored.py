"""What a family stores in versions, to be held against the records: nothing changes without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, literal


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A table whose rows have a version. Only where every version is recorded exactly once.

    `first` is the version that a `uid` begins with, None where another's may go
    before. `newest`: the row is of the last version there was (a row of the bin
    of the one before it, hence `version` plus one); else it is of one among many.
    `writes` are the acts after which the row must be there; none where it also
    goes along with something else, which alone is recorded then.
    """

    table: Table
    uid: ColumnElement[str]
    version: ColumnElement[int]
    tenant: ColumnElement[str] = literal("")
    first: ColumnElement[Any] | None = literal(1)
    newest: bool = True
    writes: frozenset[str] = frozenset()
