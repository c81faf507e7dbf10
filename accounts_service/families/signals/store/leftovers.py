"""What is kept of accounts, and no longer than it has to be."""

from __future__ import annotations

from sqlalchemy import and_, delete, exists, func, literal, not_, or_, select

from accounts_service.families.signals.store.bin import Bin
from accounts_service.families.signals.tables import ACCOUNT, ACCOUNT_BIN, ACCOUNT_VERSION
from accounts_service.storage.clocks import Moment
from accounts_service.storage.statements import Statement, given
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
    delete(ACCOUNT_VERSION).where(
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
)


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
            self._session.note(_PRUNE, after_us=after_us, up_to_us=up_to_us, more=kept - 1)
        return up_to_us
