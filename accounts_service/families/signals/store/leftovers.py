"""What is kept of accounts, and no longer than it has to be."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, and_, delete, exists, func, literal, not_, or_, select

from accounts_service.families.signals.store.accounts import tenant_of
from accounts_service.families.signals.store.bin import Bin
from accounts_service.families.signals.store.kept import KEPT, SIZE, release
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.storage.clocks import Moment
from accounts_service.storage.statements import Statement, given
from accounts_service.storage.usage import ALL, PRINCIPAL, Charges, Subject
from accounts_service.web.services import Leftovers

# How far ahead each time may lie.
MOMENTS = (Moment(ACCOUNT_BIN.c.deleted_us), Moment(ACCOUNT_VERSION.c.at_us))

# Purging is one record each, deleting versions none.
_BINNED = 50
_VERSIONS = 500

_OLD = ACCOUNT_VERSION.alias("old")
_NEWER = ACCOUNT_VERSION.alias("newer")
_IN_TIME = (_OLD.c.at_us > given("after_us"), _OLD.c.at_us < given("before_us"))
_PIECE = select(_OLD.c.at_us).where(*_IN_TIME).order_by(_OLD.c.at_us).limit(given("most")).subquery()
_UP_TO = Statement(select(func.max(_PIECE.c.at_us)))

_NEWER_OF_NAME = and_(
    *(_NEWER.c[name] == ACCOUNT_VERSION.c[name] for name in ("tenant", "type", "name")),
    _NEWER.c.version > ACCOUNT_VERSION.c.version,
)
_GONE = not_(
    or_(
        exists().where(ACCOUNT.c.uid == ACCOUNT_VERSION.c.uid),
        exists().where(ACCOUNT_BIN.c.uid == ACCOUNT_VERSION.c.uid),
    )
)
_PRUNE = Statement(
    delete(ACCOUNT_VERSION)
    .where(
        ACCOUNT_VERSION.c.at_us > given("after_us"),
        ACCOUNT_VERSION.c.at_us <= given("up_to_us"),
        # The newest of a name says which version comes next, so it stays whatever becomes of the account.
        exists().where(_NEWER_OF_NAME),
        or_(
            _GONE,
            exists(
                select(literal(1))
                .where(_NEWER_OF_NAME, _NEWER.c.uid == ACCOUNT_VERSION.c.uid)
                .limit(1)
                .offset(given("more"))
            ),
        ),
    )
    .returning(*KEPT)
)

_ACCOUNTS = Statement(
    select(ACCOUNT.c.tenant, ACCOUNT.c.realm, ACCOUNT.c.owner, func.count().label("number")).group_by(
        ACCOUNT.c.tenant, ACCOUNT.c.realm, ACCOUNT.c.owner
    )
)
_BYTES = Statement(select(*KEPT[:3], func.sum(SIZE).label("size")).group_by(*KEPT[:3]))


class AccountLeftovers(Leftovers):
    """Versions of accounts, and those in the bin."""

    def purge(self, before_us: int) -> bool:
        """Forget some of what was deleted before then; tells whether there may be more."""
        return Bin(self._session).purge_old(before_us, _BINNED)

    def prune(self, after_us: int, before_us: int, kept: int) -> int | None:
        """Delete a piece of what is too old; see Leftovers."""
        values = {"after_us": after_us, "before_us": before_us, "most": _VERSIONS}
        up_to_us: int | None = self._session.read(_UP_TO, **values).scalar_one()
        if up_to_us is not None:
            freed = self._session.note(_PRUNE, after_us=after_us, up_to_us=up_to_us, more=kept - 1)
            release(self._session, freed)
        return up_to_us

    def drift(self) -> Charges:
        """Return what is stored besides what is counted; see Leftovers. Reads the sizes of all versions."""
        drift = Charges()
        for row in self._session.read(_ACCOUNTS):
            _charge(drift, row, row.owner, row.number, 0)
        for row in self._session.read(_BYTES):
            _charge(drift, row, row.writer, 0, int(row.size))
        for row in self._session.read(ALL):
            drift.add(Subject(row.kind, row.space, row.name), -row.objects, -row.bytes)
        return drift


def _charge(charges: Charges, row: Row[Any], principal: str | None, objects: int, size: int) -> None:
    charges.add(tenant_of(row.tenant), objects, size)
    if principal is not None:
        charges.add(Subject(PRINCIPAL, row.realm or "", principal), objects, size)
