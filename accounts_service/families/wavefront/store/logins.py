"""When accounts last asked for something, and what single sign-on calls them.

Both are notes: they are in no audit record and change no version.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select, update

from accounts_service.families.wavefront.store.directory import OF_NAME, USER, matching, means
from accounts_service.families.wavefront.tables import ACCOUNT
from accounts_service.storage.clocks import have_passed, is_long_ago, span
from accounts_service.storage.database import Store
from accounts_service.storage.statements import Statement, given

# The shortest time between two notes about one account or token.
NOTED_US = 60 * 1_000_000


def is_due(noted_us: int | None, now_us: int) -> bool:
    """Return whether the last note is old enough for another one."""
    return have_passed(NOTED_US, noted_us, now_us)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is noted about an account. `login_us`: its last request."""

    uid: str
    login_us: int | None
    sso_id: str | None

    def is_to_be_noted(self, now_us: int, sso_id: str) -> bool:
        """Return whether a request at `now_us` tells something new; `sso_id` is empty without single sign-on."""
        return is_due(self.login_us, now_us) or (self.sso_id is None and bool(sso_id))


_FIND = Statement(select(ACCOUNT).where(OF_NAME, ACCOUNT.c.kind == USER))
# A row that a change holds is passed over: a note does not wait, and the next request makes it.
_DUE = (
    select(ACCOUNT.c.uid)
    .where(
        ACCOUNT.c.uid == given("uid"),
        or_(
            is_long_ago(ACCOUNT.c.last_login_us),
            and_(ACCOUNT.c.sso_id.is_(None), given("sso_id") != ""),
        ),
    )
    .with_for_update(skip_locked=True)
)
_NOTE = Statement(
    update(ACCOUNT)
    .where(ACCOUNT.c.uid.in_(_DUE))
    .values(
        last_login_us=given("now_us"),
        # What an administrator has written stays.
        sso_id=func.coalesce(ACCOUNT.c.sso_id, func.nullif(given("sso_id"), "")),
    )
)


class Logins(Store):
    """Notes about accounts."""

    def of_user(self, identifier: str) -> Seen | None:
        """Return what is noted about the user of this identifier, None when there is none."""
        row = matching((identifier,), self._session.read(_FIND, **means(identifier))).get(identifier)
        return None if row is None else Seen(row.uid, row.last_login_us, row.sso_id)

    def note(self, uid: str, sso_id: str = "") -> None:
        """Note that an account asks for something now, unless that was noted within the last minute.

        `sso_id`: what single sign-on calls it, which is kept once.
        """
        now_us = self._session.now_us
        self._session.note(_NOTE, uid=uid, now_us=now_us, sso_id=sso_id, **span(NOTED_US, now_us))
