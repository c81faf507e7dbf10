"""Limits on mails to strangers: one a day to an address, and a number an hour for each principal.

Counted in the transaction that the mail belongs to: what is undone has counted nothing, and of two at once one waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Column, Index, Table, case, delete, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.faults import RefusedError, TooManyAttempts
from accounts_service.identifiers import folded
from accounts_service.storage.clocks import Moment, is_long_ago, span
from accounts_service.storage.database import Store
from accounts_service.storage.lists import listed, upsertion_of_rows
from accounts_service.storage.statements import Statement, given
from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `key` is a MAC: neither who was written to nor who had it done can be read here. `number` mails since `since_us`.
MAIL_LIMIT = Table(
    "mail_limit",
    METADATA,
    Column("key", NAME, primary_key=True),
    Column("since_us", MICROSECONDS, nullable=False),
    Column("number", BigInteger, nullable=False),
    Index(None, "since_us"),
)

# How far ahead each time may lie.
MOMENTS = (Moment(MAIL_LIMIT.c.since_us),)

_HOUR_S = 3600
_DAY_S = 24 * _HOUR_S
_SECOND_US = 1_000_000
# At most this many are deleted at once; others write in between.
_AT_ONCE = 1000

_IS_OVER = is_long_ago(MAIL_LIMIT.c.since_us)
_RECIPIENTS = upsertion_of_rows(MAIL_LIMIT, ("since_us", "number"), "listed")
_WRITE_TO = Statement(
    _RECIPIENTS.on_conflict_do_update(
        index_elements=[MAIL_LIMIT.c.key], set_={"since_us": _RECIPIENTS.excluded.since_us}, where=_IS_OVER
    ).returning(MAIL_LIMIT.c.key)
)
_COUNTED = upsert(MAIL_LIMIT).values({name: given(name) for name in ("key", "since_us", "number")})
_COUNT = Statement(
    _COUNTED.on_conflict_do_update(
        index_elements=[MAIL_LIMIT.c.key],
        set_={
            "number": case((_IS_OVER, given("number")), else_=MAIL_LIMIT.c.number + given("number")),
            "since_us": case((_IS_OVER, given("since_us")), else_=MAIL_LIMIT.c.since_us),
        },
        where=or_(_IS_OVER, MAIL_LIMIT.c.number + given("number") <= given("most")),
    ).returning(MAIL_LIMIT.c.number)
)
_BEGAN = Statement(select(MAIL_LIMIT.c.since_us).where(MAIL_LIMIT.c.key == given("key")))
_SOME_OVER = select(MAIL_LIMIT.c.key).where(_IS_OVER).limit(_AT_ONCE)
_FORGET = Statement(delete(MAIL_LIMIT).where(MAIL_LIMIT.c.key.in_(_SOME_OVER), _IS_OVER))


class MailLimits(Store):
    """How many mails of a kind were written, to whom and for whom."""

    def unwritten(self, kind: str, addresses: Iterable[str]) -> Sequence[str]:
        """Return those of `addresses` that no mail of this kind was written to within a day, and note that one is now.

        Spellings that differ in case only are one address.
        """
        by_key = {self._key("to", kind, folded(address)): address for address in addresses}
        # In one order, so that no two transactions each hold a row that the other waits for.
        keys = listed([key] for key in sorted(by_key))
        now_us = self._session.now_us
        of_day = span(_DAY_S * _SECOND_US, now_us)
        written = self._session.note(_WRITE_TO, since_us=now_us, number=1, listed=keys, **of_day)
        unwritten = {row.key for row in written}
        return [address for key, address in by_key.items() if key in unwritten]

    def take(self, kind: str, number: int, most: int) -> None:
        """Count `number` mails of the author's, who may have `most` written in an hour; `number` is at most `most`.

        Raises RefusedError(TooManyAttempts).
        """
        now_us, author = self._session.now_us, self._session.author
        key = self._key("by", kind, author.realm, author.name)
        of_hour = span(_HOUR_S * _SECOND_US, now_us)
        counted = self._session.note(_COUNT, key=key, since_us=now_us, number=number, most=most, **of_hour)
        if counted.first() is not None:
            return
        since_us: int = self._session.read(_BEGAN, key=key).scalar_one()
        reset_us = since_us + _HOUR_S * _SECOND_US
        wait_s = max(1, -(-(reset_us - now_us) // _SECOND_US))
        raise RefusedError(TooManyAttempts(-(-reset_us // _SECOND_US), wait_s))

    def forget(self) -> bool:
        """Delete some counts that hold nothing back any more; tells whether there may be more."""
        return self._session.note(_FORGET, **span(_DAY_S * _SECOND_US, self._session.now_us)).rowcount == _AT_ONCE

    def _key(self, *fields: str) -> str:
        return self._session.vault.mac("mail-limit", *fields).hex()
