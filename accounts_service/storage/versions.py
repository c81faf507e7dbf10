"""What is stored in versions, held against what is on record of them.

A record that went together with its trace in the chain is missed here, and so
is a row that somebody changed by himself and gave a new version.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import Row, Select, func, null, select, tuple_

from accounts_service.storage import lasts
from accounts_service.storage.audit import AUDIT_RECORD, COUNTED, FORMAT, OBJECT, reference
from accounts_service.storage.database import Session
from accounts_service.storage.findings import Findings, Kind
from accounts_service.storage.stored import Stored

_PAGE = 500


class Versions:
    """One look at all versions. `shortened`: the tenants whose oldest records are gone because of their age."""

    def __init__(self, session: Session, findings: Findings, shortened: Collection[str]) -> None:
        self._session = session
        self._findings = findings
        self._shortened = shortened

    def check(self, stored: Sequence[Stored]) -> None:
        """Look at everything that is stored, and at everything that is on record."""
        for one in stored:
            for page in self._rows(one):
                records = self._records([row.named for row in page if row.named is not None])
                kept = lasts.kept(self._session, [row.uid for row in page if row.last is None])
                for row in page:
                    self._look_at_row(one, row, records.get(row.named), kept.get(row.uid))
        for page in self._recorded():
            for row in page:
                self._look_at_records(row)
            self._look_for_rows(stored, page)

    def _rows(self, stored: Stored) -> Iterator[Sequence[Row[Any]]]:
        keys = stored.table.primary_key.columns
        recorded = select(AUDIT_RECORD.c.id).where(AUDIT_RECORD.c.uid == stored.uid, COUNTED)
        one = recorded.where(AUDIT_RECORD.c.version == stored.version).with_only_columns(func.min(AUDIT_RECORD.c.id))
        another = recorded.with_only_columns(func.max(AUDIT_RECORD.c.id)).scalar_subquery()
        first, last = (
            recorded.with_only_columns(extreme(AUDIT_RECORD.c.version)).scalar_subquery()
            for extreme in (func.min, func.max)
        )
        query = select(
            *(key.label(f"key_{number}") for number, key in enumerate(keys)),
            stored.uid.label("uid"),
            stored.version.label("version"),
            stored.tenant.label("tenant"),
            stored.object.label("object"),
            (null() if stored.first is None else stored.first).label("begin"),
            stored.is_untouched.label("is_untouched"),
            one.scalar_subquery().label("record"),
            # One whose own record has expired is named by the others.
            func.coalesce(one.scalar_subquery(), another).label("named"),
            first.label("first"),
            last.label("last"),
        ).select_from(stored.table)
        query = query.order_by(*keys).limit(_PAGE)
        page = self._session.select(query, again=True)
        while page:
            yield page
            after = tuple_(*page[-1][: len(keys)])
            page = self._session.select(query.where(tuple_(*keys) > after), again=True) if len(page) == _PAGE else ()

    def _records(self, ids: list[int]) -> dict[int, Row[Any]]:
        its = AUDIT_RECORD.c
        query = select(its.id, its.format, its.family, its.tenant, its.object).where(its.id.in_(ids))
        return {row.id: row for row in self._session.select(query, again=True)}

    def _look_at_row(self, stored: Stored, row: Row[Any], record: Row[Any] | None, last: Row[Any] | None) -> None:
        if row.is_untouched and row.last is None:
            return
        # Older versions than those on record may be among those that went.
        gone = row.tenant in self._shortened and row.last is not None and row.version < row.first
        known = row.last
        if known is None and last is not None:
            known = last.version
        name = stored.table.name
        if known is None:
            self._tell(row, f"{name} has version {row.version}, and no version is on record")
        elif row.version > known or (stored.newest and row.version != known):
            self._tell(row, f"{name} has version {row.version}, the last on record is {known}")
        elif row.record is None and row.last is not None and not gone:
            self._tell(row, f"{name} has version {row.version}, which is not on record")
        elif not self._is_of(stored, row, record or last):
            self._tell(row, f"{name} has it in another place than the one that is on record")
        elif stored.first is not None and row.first not in {None, row.begin} and row.tenant not in self._shortened:
            self._tell(row, f"the first version on record is {row.first}")

    def _is_of(self, stored: Stored, row: Row[Any], record: Row[Any] | None) -> bool:
        """Tell whether a record names a row as it is named now. Nothing in versions is ever given another name."""
        if record is None:
            return False
        named = row.object
        if record.format == FORMAT and named is not None:
            named = reference(self._session.vault, OBJECT, stored.family, named)
        return bool((record.family, record.tenant, record.object) == (stored.family, row.tenant, named))

    def _recorded(self) -> Iterator[Sequence[Row[Any]]]:
        version = AUDIT_RECORD.c.version
        query: Select[Any] = (
            select(
                AUDIT_RECORD.c.uid,
                func.min(AUDIT_RECORD.c.tenant).label("tenant"),
                func.min(version).label("first"),
                func.max(version).label("last"),
                func.count().label("number"),
                func.count(version.distinct()).label("different"),
            )
            .where(COUNTED)
            .group_by(AUDIT_RECORD.c.uid)
            .order_by(AUDIT_RECORD.c.uid)
            .limit(_PAGE)
        )
        page = self._session.select(query, again=True)
        while page:
            yield page
            page = (
                self._session.select(query.where(AUDIT_RECORD.c.uid > page[-1].uid), again=True)
                if len(page) == _PAGE
                else ()
            )

    def _look_at_records(self, row: Row[Any]) -> None:
        if row.number != row.different:
            self._tell(row, "a version is on record twice")
        if row.last - row.first + 1 != row.different and not self._was_away(row.uid):
            self._tell(row, f"between version {row.first} and version {row.last} one is not on record")

    def _was_away(self, uid: str) -> bool:
        """Tell whether all versions that are not on record are others', who had the name while this was deleted."""
        query = select(AUDIT_RECORD.c.version, AUDIT_RECORD.c.detail).where(AUDIT_RECORD.c.uid == uid, COUNTED)
        rows = self._session.select(query.order_by(AUDIT_RECORD.c.version), again=True)
        return all(after.version - before.version == 1 or _comes_back(after.detail) for before, after in pairwise(rows))

    def _look_for_rows(self, stored: Sequence[Stored], page: Sequence[Row[Any]]) -> None:
        # What is no text has been found already, and must not decide what the others are sent as.
        newest = {row.uid: row.last for row in page if isinstance(row.uid, str)}
        query = select(AUDIT_RECORD.c.uid, AUDIT_RECORD.c.version, AUDIT_RECORD.c.act, AUDIT_RECORD.c.tenant)
        query = query.where(tuple_(AUDIT_RECORD.c.uid, AUDIT_RECORD.c.version).in_([*newest.items()]), COUNTED)
        written = self._session.select(query, again=True)
        for one in stored:
            wanted = {row.uid: row for row in written if row.act in one.writes}
            there = select(one.uid.label("uid")).select_from(one.table).where(one.uid.in_([*wanted]))
            found = {row.uid for row in self._session.select(there, again=True)} if wanted else set()
            missing = wanted.keys() - found
            if missing and one.purged is not None:
                missing -= self._purged(one, one.purged)
            for uid in missing:
                self._tell(wanted[uid], f"{one.table.name} has it no more, and that is not on record")

    def _purged(self, stored: Stored, word: str) -> set[str]:
        """Name what went for good, and the records that say so, which have a `uid` of their own."""
        its = AUDIT_RECORD.c
        query = select(its.uid, its.detail).where(its.act.in_(stored.writes), its.detail.contains(f'"{word}"'))
        purged = set[str]()
        for row in self._session.select(query, again=True):
            if isinstance(uid := _detail(row.detail).get(word), str):
                purged |= {row.uid, uid}
        return purged

    def _tell(self, row: Row[Any], sentence: str) -> None:
        self._findings.add(Kind.VERSION, row.tenant, f"uid {row.uid}", sentence)


def _comes_back(detail: object) -> bool:
    return bool(_detail(detail).get("undeleted"))


def _detail(text: object) -> dict[str, Any]:
    # What is no record of ours is found elsewhere.
    try:
        detail = json.loads(str(text))
    except (ValueError, RecursionError):
        return {}
    return detail if isinstance(detail, dict) else {}
