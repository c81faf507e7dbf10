"""What a family stores in versions, to be held against the records: nothing changes without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, false, literal


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A table whose rows have a version. Only where every version is recorded exactly once.

    `object` and `tenant` are what the family's records call a row, so that it
    cannot be moved to another place. `first` is the version that a `uid` begins
    with, None where another's may go before; `is_untouched` holds for rows of the
    migrations' that nobody has changed, and of which nothing is on record.
    `newest`: the row is of the last version there was (a row of the bin of the one
    before it, hence `version` plus one); else it is of one among many. `writes`
    are the acts after which the row must be there; none where it also goes along
    with something else, which alone is recorded then. `purged` is the word under
    which the detail of such an act names the `uid` of a row that went for good.
    """

    family: str
    table: Table
    uid: ColumnElement[str]
    version: ColumnElement[int]
    object: ColumnElement[str]
    tenant: ColumnElement[str] = literal("")
    first: ColumnElement[Any] | None = literal(1)
    is_untouched: ColumnElement[bool] = false()
    newest: bool = True
    writes: frozenset[str] = frozenset()
    purged: str | None = None
