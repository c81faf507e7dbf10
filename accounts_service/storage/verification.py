"""Whether anybody who writes the database has changed the audit trail.

Records and names are held against their MACs, chains against their links and
heads, and what is stored in versions against what is on record. All is read in
pages, in one snapshot, so that it does not matter how long it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Row, Table, select, tuple_
from sqlalchemy.exc import DBAPIError

from accounts_service.faults import RefusedError
from accounts_service.storage import audit, names, seals
from accounts_service.storage.audit import (
    ACTOR,
    AUDIT_HEAD,
    AUDIT_LAST,
    AUDIT_NAME,
    AUDIT_RECORD,
    AUDIT_SEGMENT,
    FORMAT,
    OBJECT,
    Author,
)
from accounts_service.storage.chain import Head, is_genuine_segment, start
from accounts_service.storage.database import Database, Session, Store
from accounts_service.storage.findings import Findings, Kind, Report
from accounts_service.storage.shapes import is_sound, is_undecodable, misshapen
from accounts_service.storage.stored import Stored
from accounts_service.storage.versions import Versions

_PAGE = 1000
# The job that seals runs every second; when records wait longer than this, somebody has to look after it.
_LATE_US = 600_000_000

_KINDS = {
    AUDIT_RECORD: Kind.RECORD,
    AUDIT_NAME: Kind.NAME,
    AUDIT_HEAD: Kind.HEAD,
    AUDIT_SEGMENT: Kind.SEGMENT,
    AUDIT_LAST: Kind.SEGMENT,
}

_AUTHOR = Author("accounts", "verification", "")


def verify(database: Database, stored: Sequence[Stored], given: Iterable[Head] = ()) -> Report:
    """Seal what is not, and look at everything. `given`: heads from elsewhere, such as the log, that must be there.

    Raises RefusedError with Overloaded or Unavailable.
    """
    findings = Findings()
    # Before they are sealed: a trail from which records were taken is whole again once the rest has new numbers.
    with database.reading(Verification) as verification:
        verification.look_for_unsealed(findings)
    # What keeps records from being sealed is found below.
    with suppress(RefusedError, DBAPIError):
        for _ in seals.seal(database, _AUTHOR):
            pass
    with database.snapshot(Verification) as verification:
        return verification.check(stored, given, findings)


class Verification(Store):
    """One look at the audit trail."""

    def check(self, stored: Sequence[Stored], given: Iterable[Head] = (), findings: Findings | None = None) -> Report:
        """Look at everything as it is."""
        findings = Findings() if findings is None else findings
        self.look_for_unsealed(findings)
        all_sound = self._look_at_shapes(stored, findings)
        look = _Look(self._session, findings, given)
        with _bearing(findings, all_sound=all_sound):
            look.begin()
            for row in self._pages((AUDIT_RECORD.c.tenant, AUDIT_RECORD.c.number), sealed=True):
                look.sealed(row)
            look.end()
            for row in self._pages((AUDIT_RECORD.c.id,), sealed=False):
                look.record(row)
            look.names()
        with _bearing(findings, all_sound=all_sound):
            self._look_for_copies(findings)
        with _bearing(findings, all_sound=all_sound):
            Versions(self._session, findings, look.shortened).check(stored)
        return findings.report(look.records, look.heads, look.uncompared)

    def _look_at_shapes(self, stored: Sequence[Stored], findings: Findings) -> bool:
        """Note what is not of its column's type; tells whether everything is."""
        kinds = {**_KINDS, **{one.table: Kind.VERSION for one in stored}}
        before = len(findings)
        for table, kind in kinds.items():
            for number in misshapen(self._session, table):
                findings.add(kind, "", f"row {number} of {table.name}", "something in it is not of its column's type")
        return len(findings) == before

    def look_for_unsealed(self, findings: Findings) -> None:
        """Note it when records wait for their numbers longer than the job that seals should let them."""
        late = AUDIT_RECORD.c.at_us < self._session.now_us - _LATE_US
        query = select(AUDIT_RECORD.c.id, AUDIT_RECORD.c.tenant).where(AUDIT_RECORD.c.number.is_(None), late)
        query = query.where(is_sound(self._session.connection, AUDIT_RECORD))
        for row in self._session.select(query.order_by(AUDIT_RECORD.c.id).limit(1), again=True):
            sentence = "it and maybe others have waited too long for a number: no job has sealed them, or it was taken"
            findings.add(Kind.UNSEALED, row.tenant, f"id {row.id}", sentence)

    def _look_for_copies(self, findings: Findings) -> None:
        """Note records that are there twice: a copy is as genuine as what it is a copy of, but for its place."""
        at_us, record_id = AUDIT_RECORD.c.at_us, AUDIT_RECORD.c.id
        query = select(at_us, record_id, AUDIT_RECORD.c.tenant, AUDIT_RECORD.c.mac)
        query = query.where(is_sound(self._session.connection, AUDIT_RECORD))
        query = query.order_by(at_us, record_id).limit(_PAGE)
        page = self._session.select(query, again=True)
        moment, macs = None, set[bytes]()
        while page:
            for row in page:
                if row.at_us != moment:
                    moment, macs = row.at_us, set()
                if row.mac in macs:
                    findings.add(Kind.RECORD, row.tenant, f"id {row.id}", "it is a copy of another one")
                macs.add(row.mac)
            after = tuple_(at_us, record_id) > tuple_(page[-1].at_us, page[-1].id)
            page = self._session.select(query.where(after), again=True) if len(page) == _PAGE else ()

    def _pages(self, keys: tuple[Any, ...], *, sealed: bool) -> Iterator[Row[Any]]:
        number = AUDIT_RECORD.c.number
        query = select(AUDIT_RECORD).where(number.is_not(None) if sealed else number.is_(None))
        query = query.where(is_sound(self._session.connection, AUDIT_RECORD)).order_by(*keys).limit(_PAGE)
        page = self._session.select(query, again=True)
        while page:
            yield from page
            last = tuple_(*(getattr(page[-1], key.name) for key in keys))
            page = self._session.select(query.where(tuple_(*keys) > last), again=True) if len(page) == _PAGE else ()


class _Look:
    """What has been seen so far."""

    def __init__(self, session: Session, findings: Findings, given: Iterable[Head]) -> None:
        self._session = session
        self._findings = findings
        # By tenant and number: there may be as many as there were records.
        self._given: dict[str, dict[int, bytes]] = {}
        for head in given:
            links = self._given.setdefault(head.tenant, {})
            if links.setdefault(head.number, head.link) != head.link:
                sentence = "it was given with two different links: there were two chains, one after the other"
                findings.add(Kind.HEAD, head.tenant, f"number {head.number}", sentence)
        self._heads: dict[str, Head] = {}
        self._segments: dict[str, list[Row[Any]]] = {}
        self._erased: dict[str, int] = {}
        self._unnamed: list[Row[Any]] = []
        self._ended: set[str] = set()
        self._at: Head | None = None
        self.records = 0
        # How many heads are of records that are gone because of their age, so that nothing can be said of them.
        self.uncompared = 0
        # The tenants of whose records the oldest are gone because of their age.
        self.shortened: set[str] = set()

    def begin(self) -> None:
        """Read what is known of the chains."""
        for row in self._sound(AUDIT_HEAD):
            self._heads[row.tenant] = Head(row.tenant, row.number, row.link)
        for row in self._sound(AUDIT_SEGMENT):
            self._segments.setdefault(row.tenant, []).append(row)
        self._erased = names.erased(self._session)

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads of all chains, by tenant."""
        return tuple(self._heads[tenant] for tenant in sorted(self._heads))

    def sealed(self, row: Row[Any]) -> None:
        """Look at a record in its place. They come by tenant and number."""
        at = self._at
        if at is None or at.tenant != row.tenant:
            at = self._begin(row.tenant)
        new = at.followed_by(self._session.vault, row)
        if row.number != new.number:
            self._findings.add(Kind.CHAIN, row.tenant, f"number {row.number}", f"it follows number {at.number}")
        elif row.link != new.link:
            sentence = "its link is not the one that was made over it and the records before"
            self._findings.add(Kind.CHAIN, row.tenant, f"number {row.number}", sentence)
        # From here on as if it were right, so that one thing is told once.
        self._at = Head(row.tenant, row.number if isinstance(row.number, int) else new.number, row.link or b"")
        self._compare(self._at)
        self.record(row)

    def record(self, row: Row[Any]) -> None:
        """Look at a record by itself."""
        self.records += 1
        if not audit.is_genuine(self._session.vault, row):
            self._findings.add(Kind.RECORD, row.tenant, _place(row), "it is not as it was written")
        elif row.format == FORMAT:
            self._unnamed.append(row)
            if len(self._unnamed) == _PAGE:
                self.names()

    def end(self) -> None:
        """Look at what is known of chains without records, once all records were seen."""
        self._finish()
        for tenant in sorted((self._heads.keys() | self._segments.keys() | self._given.keys()) - self._ended):
            self._begin(tenant)
            self._finish()

    def names(self) -> None:
        """Look at the names of the records since the last time."""
        rows, self._unnamed = self._unnamed, []
        found = audit.names_of(self._session.connection, rows)
        for row in rows:
            for kind, ref, space in ((ACTOR, row.actor, row.realm), (OBJECT, row.object, row.family)):
                name = found.get(ref)
                if name is None:
                    if self._erased.get(ref, 0) < row.id:
                        self._findings.add(Kind.NAME, row.tenant, _place(row), f"the name of the {kind} was taken away")
                elif (name.kind, name.space, ref) != (kind, space, self._reference(kind, space, name.name)):
                    sentence = f"the name of the {kind} is not the one that was written"
                    self._findings.add(Kind.NAME, row.tenant, _place(row), sentence)

    def _sound(self, table: Table) -> Sequence[Row[Any]]:
        return self._session.select(select(table).where(is_sound(self._session.connection, table)), again=True)

    def _reference(self, kind: str, space: str, name: str) -> str:
        return audit.reference(self._session.vault, kind, space, name)

    def _begin(self, tenant: str) -> Head:
        self._finish()
        self._at = at = start(tenant)
        segments = self._segments.get(tenant, [])
        for row in segments:
            if len(segments) == 1 and row.first == 1 and is_genuine_segment(self._session.vault, row):
                self._at = at = Head(tenant, row.last, row.link)
                self.shortened.add(tenant)
                self.uncompared += sum(number < row.last for number in self._given.get(tenant, ()))
            else:
                sentence = "what it says of records that are gone was not written by us, or not alone"
                self._findings.add(Kind.SEGMENT, tenant, f"numbers {row.first} to {row.last}", sentence)
        self._compare(at)
        return at

    def _finish(self) -> None:
        at, self._at = self._at, None
        if at is None:
            return
        self._ended.add(at.tenant)
        head = self._heads.get(at.tenant, start(at.tenant))
        if head != at:
            sentence = f"the last record has number {at.number}, the head says {head.number} or has another link"
            self._findings.add(Kind.HEAD, at.tenant, f"number {head.number}", sentence)
        for number in self._given.get(at.tenant, ()):
            if number > at.number:
                sentence = f"there was a record of this number, and now {at.number} is the last"
                self._findings.add(Kind.HEAD, at.tenant, f"number {number}", sentence)

    def _compare(self, at: Head) -> None:
        if self._given.get(at.tenant, {}).get(at.number, at.link) != at.link:
            sentence = "it has not the link that it once had: the chain was made anew"
            self._findings.add(Kind.HEAD, at.tenant, f"number {at.number}", sentence)


@contextmanager
def _bearing(findings: Findings, *, all_sound: bool) -> Iterator[None]:
    """Go on after what cannot be read or compared, which is a finding or, as what is not sound, has been one."""
    try:
        yield
    except DBAPIError as error:
        if not is_undecodable(error):
            raise
        findings.add(Kind.RECORD, "", "a row", "a text in it cannot be read, and hides what comes after it")
    except (TypeError, ValueError, AttributeError):
        if all_sound:
            raise


def _place(row: Row[Any]) -> str:
    return f"id {row.id}" if row.number is None else f"number {row.number}"
