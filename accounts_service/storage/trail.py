"""Reading the audit trail: the newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.exc import DBAPIError

from accounts_service.identifiers import normalized
from accounts_service.storage import audit
from accounts_service.storage.audit import ACTOR, AUDIT_NAME, AUDIT_RECORD, FORMAT, OBJECT
from accounts_service.storage.database import Store
from accounts_service.storage.shapes import is_undecodable
from accounts_service.storage.statements import Statement, given


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are wanted; None is any. From `from_us` on and before `to_us`, older than `before_id`."""

    actor: str | None = None
    object: str | None = None
    act: str | None = None
    tenant: str | None = None
    from_us: int | None = None
    to_us: int | None = None
    before_id: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it is read. A name is None once it was erased, and `number` till the record is sealed.

    Whatever is not of its type is None, too: that record was tampered with, and must not hide the rest.
    """

    id: int
    number: int | None
    at_us: int | None
    family: str | None
    tenant: str | None
    realm: str | None
    actor: str | None
    act: str | None
    object: str | None
    uid: str | None
    version: int | None
    detail: str | None
    request_id: str | None


# Without what may be no text of bytes, which the driver would stumble over.
_READ = [column for column in AUDIT_RECORD.columns if column.name not in {"mac", "link"}]

# Names are looked up by their reference, which has the space in it: a step from one space to the next is one by the
# index, and there are few.
_NEXT_SPACE = Statement(
    select(AUDIT_NAME.c.space)
    .where(AUDIT_NAME.c.kind == given("kind"), AUDIT_NAME.c.space > given("space"))
    .order_by(AUDIT_NAME.c.space)
    .limit(1)
)


class Trail(Store):
    """The records, for those who may read them."""

    def find(self, wanted: Wanted, size: int) -> list[Record]:
        """Give the newest of the wanted records, `size` at most.

        Raises RefusedError(Overloaded) when that takes too long: what is wanted is too rare.
        """
        query = self._query(wanted).order_by(AUDIT_RECORD.c.id.desc()).limit(size)
        try:
            return self._records(query)
        except DBAPIError as error:
            if not is_undecodable(error):
                raise
        # One after the other, without the one that cannot be read.
        records = []
        for row in self._session.select(query.with_only_columns(AUDIT_RECORD.c.id)):
            with suppress(DBAPIError):
                records += self._records(select(*_READ).where(AUDIT_RECORD.c.id == row.id))
        return records

    def _query(self, wanted: Wanted) -> Select[Any]:
        query = select(*_READ)
        for kind, name in ((ACTOR, wanted.actor), (OBJECT, wanted.object)):
            if name is not None:
                # Records of format 1 hold the name itself.
                query = query.where(AUDIT_RECORD.c[kind].in_([name, *self._references(kind, name)]))
        for column, value in ((AUDIT_RECORD.c.act, wanted.act), (AUDIT_RECORD.c.tenant, wanted.tenant)):
            if value is not None:
                query = query.where(column == value)
        if wanted.from_us is not None:
            query = query.where(AUDIT_RECORD.c.at_us >= wanted.from_us)
        if wanted.to_us is not None:
            query = query.where(AUDIT_RECORD.c.at_us < wanted.to_us)
        if wanted.before_id is not None:
            query = query.where(AUDIT_RECORD.c.id < wanted.before_id)
        return query

    def _records(self, query: Select[Any]) -> list[Record]:
        rows = self._session.select(query)
        names = audit.names_of(self._session.connection, rows)
        return [_record(row, names) for row in rows]

    def _references(self, kind: str, name: str) -> Iterator[str]:
        """Give what stands for a name that there is. Of one that was erased nobody is told any more what it did."""
        refs = [*self._possible(kind, name)]
        for row in self._session.select(select(AUDIT_NAME.c.ref).where(AUDIT_NAME.c.ref.in_(refs))):
            yield row.ref

    def _possible(self, kind: str, name: str) -> Iterator[str]:
        space: str | None = ""
        while (space := self._session.read(_NEXT_SPACE, kind=kind, space=space).scalar()) is not None:
            # Callers are recorded in the normal form, and what they change as it is called.
            for spelling in {name, normalized(name)}:
                yield audit.reference(self._session.vault, kind, space, spelling)


def _record(row: Row[Any], names: dict[str, Row[Any]]) -> Record:
    def named(value: str) -> str | None:
        if row.format != FORMAT:
            return _text(value)
        return _text(names[value].name) if value in names else None

    return Record(
        id=row.id,
        number=_number(row.number),
        at_us=_number(row.at_us),
        family=_text(row.family),
        tenant=_text(row.tenant),
        realm=_text(row.realm),
        actor=named(row.actor),
        act=_text(row.act),
        object=named(row.object),
        uid=_text(row.uid),
        version=_number(row.version),
        detail=_text(row.detail),
        request_id=_text(row.request_id),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
