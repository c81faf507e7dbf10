"""Mails that wait to be sent, written in the transaction of what they tell of.

A mail is there if, and only if, the change is. The jobs process (`jobs/mail.py`)
claims one after another, each for the length of a lease, so that any number of
such processes may run: who dies with a claim loses it when the lease ends.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, Column, Index, Table, Text, delete, func, or_, select, update

from accounts_service.faults import SecretUnreadable
from accounts_service.storage.clocks import CLOCKS_DIFFER_SECONDS, Moment
from accounts_service.storage.database import Store
from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.sealed import Place, UnreadableSecretError
from accounts_service.storage.statements import Statement, Value, given, insertion
from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `sealed` is an envelope (storage/sealed.py) around to, subject and text. A row
# is held by who wrote `lease`, until `lease_us`. `failed_us` is null while there
# is hope; `last_error` is a type and a code, never words of a server.
OUTBOX_MESSAGE = Table(
    "outbox_message",
    METADATA,
    Column("uid", NAME, primary_key=True),
    Column("message_id", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_us", MICROSECONDS, nullable=False),
    Column("due_us", MICROSECONDS, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("lease", NAME),
    Column("lease_us", MICROSECONDS),
    Column("failed_us", MICROSECONDS),
    Column("last_error", Text),
    Index(None, "failed_us", "due_us"),
)

# Much longer than any exchange with a server may take: a test compares it with
# the deadlines in jobs/smtp.py.
LEASE_SECONDS = 240
# No mail is postponed for longer.
LONGEST_DELAY_SECONDS = 4320

# All that ends a line for anybody among them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_FAMILY = "outbox"
_ATTRIBUTE = "message"


@dataclass(frozen=True, slots=True)
class Message:
    """A mail. `to` is one mailbox, `local@domain` with or without a display name.

    Raises ValueError for a control character in `to` or `subject`, which would
    begin another header.
    """

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)

    def __post_init__(self) -> None:
        if _CONTROL.search(self.to + self.subject):
            raise ValueError("a mail's address and subject are one line each")


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that is ours to send till the lease ends. It is a fault where the keys do not open it."""

    uid: str
    lease: str
    message_id: str
    attempts: int
    message: Message | SecretUnreadable


@dataclass(frozen=True, slots=True)
class Standing:
    """How many mails wait, since when the oldest does, since when one is due and not claimed, how many failed.

    `error`: of the last try of a mail that is due.
    """

    waiting: int
    oldest_us: int | None
    overdue_us: int | None
    failed: int
    error: str | None = None


# What lies further ahead than the service ever puts it was written by a clock that was wrong, and holds nothing up.
_FREE = or_(
    OUTBOX_MESSAGE.c.lease_us.is_(None),
    OUTBOX_MESSAGE.c.lease_us <= given("now_us"),
    OUTBOX_MESSAGE.c.lease_us > given("last_lease_us"),
)
_ALIVE = OUTBOX_MESSAGE.c.failed_us.is_(None)
_IS_PAST = OUTBOX_MESSAGE.c.due_us <= given("now_us")
_IS_TOO_FAR = OUTBOX_MESSAGE.c.due_us > given("last_due_us")
_DUE = (_ALIVE, or_(_IS_PAST, _IS_TOO_FAR), _FREE)
_OURS = (OUTBOX_MESSAGE.c.uid == given("uid"), OUTBOX_MESSAGE.c.lease == given("lease"))

_ADD = Statement(insertion(OUTBOX_MESSAGE))
# One condition after the other, so that each is a range of the index, however many mails wait.
_IS_ANY_PAST = Statement(select(OUTBOX_MESSAGE.c.uid).where(_ALIVE, _IS_PAST, _FREE).limit(1))
_IS_ANY_TOO_FAR = Statement(select(OUTBOX_MESSAGE.c.uid).where(_ALIVE, _IS_TOO_FAR, _FREE).limit(1))
# PostgreSQL passes over rows that another claims at this moment, and takes what
# stands in WITH once, however it joins (a subquery it may run again, and lock
# more than one). SQLite has one writer at a time, and leaves FOR UPDATE out.
_NEXT = (
    select(OUTBOX_MESSAGE.c.uid)
    .where(*_DUE)
    .order_by(OUTBOX_MESSAGE.c.due_us)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("next_due")
)
_CLAIM = Statement(
    update(OUTBOX_MESSAGE)
    .where(OUTBOX_MESSAGE.c.uid.in_(select(_NEXT.c.uid)))
    .values(lease=given("lease"), lease_us=given("lease_us"))
    .returning(OUTBOX_MESSAGE.c.uid, OUTBOX_MESSAGE.c.message_id, OUTBOX_MESSAGE.c.sealed, OUTBOX_MESSAGE.c.attempts)
)
_DELIVERED = Statement(delete(OUTBOX_MESSAGE).where(*_OURS))
_TRIED = Statement(
    update(OUTBOX_MESSAGE)
    .where(*_OURS)
    .values(
        due_us=given("due_us"),
        attempts=OUTBOX_MESSAGE.c.attempts + 1,
        lease=None,
        lease_us=None,
        failed_us=given("failed_us"),
        last_error=given("last_error"),
    )
)
_RELEASE = Statement(
    update(OUTBOX_MESSAGE).where(*_OURS).values(lease=None, lease_us=None, last_error=given("last_error"))
)
_FORGET = Statement(delete(OUTBOX_MESSAGE).where(OUTBOX_MESSAGE.c.failed_us < given("before_us")))
# A clock that was ahead must not keep personal data for longer than any other mail's.
_FAILED_AHEAD = Statement(
    update(OUTBOX_MESSAGE).where(OUTBOX_MESSAGE.c.failed_us > given("last_us")).values(failed_us=given("now_us"))
)
_STANDING = Statement(
    select(
        func.count().filter(_ALIVE).label("waiting"),
        func.min(OUTBOX_MESSAGE.c.created_us).filter(_ALIVE).label("oldest_us"),
        func.min(OUTBOX_MESSAGE.c.due_us).filter(*_DUE).label("overdue_us"),
        func.count(OUTBOX_MESSAGE.c.failed_us).label("failed"),
    )
)
_LAST_ERROR = Statement(
    select(OUTBOX_MESSAGE.c.last_error)
    .where(*_DUE, OUTBOX_MESSAGE.c.last_error.is_not(None))
    .order_by(OUTBOX_MESSAGE.c.due_us)
    .limit(1)
)

# How far ahead each time may lie.
MOMENTS = (
    Moment(OUTBOX_MESSAGE.c.created_us),
    Moment(OUTBOX_MESSAGE.c.due_us, LONGEST_DELAY_SECONDS),
    Moment(OUTBOX_MESSAGE.c.lease_us, LEASE_SECONDS),
    Moment(OUTBOX_MESSAGE.c.failed_us),
)

# The sealed contents of all mails.
SEALED = Sealed("outbox", OUTBOX_MESSAGE.c.sealed, _FAMILY, attribute=_ATTRIBUTE)


class Outbox(Store):
    """The mails that wait. Not a caller's: who may have a mail sent is for the act that it belongs to.

    Another store adds to it in its own transaction: `Outbox(self._session).add(message)`.
    """

    def add(self, message: Message) -> str:
        """Have `message` sent once the transaction is committed, however long a server is away; returns its uid."""
        uid = uuid.uuid4().hex
        content = json.dumps({"to": message.to, "subject": message.subject, "text": message.text}, ensure_ascii=False)
        now_us = self._session.now_us
        self._session.note(
            _ADD,
            uid=uid,
            # Made once, so that who gets a mail twice can see that it is one. Who
            # sends it, and in which domain, is not known yet: `.invalid` is
            # nobody's (RFC 2606 section 2), and the uid alone is unique.
            message_id=f"<{uid}@accounts-service.invalid>",
            sealed=self._session.vault.seal(_place(uid), content),
            created_us=now_us,
            due_us=now_us,
            attempts=0,
            lease=None,
            lease_us=None,
            failed_us=None,
            last_error=None,
        )
        return uid

    def is_any_due(self) -> bool:
        """Tell whether `claim` would find a mail; for reading blocks, which hold up nobody who writes."""
        times = self._times()
        past, too_far = (self._session.read(one, **times).first() for one in (_IS_ANY_PAST, _IS_ANY_TOO_FAR))
        return past is not None or too_far is not None

    def claim(self) -> Claimed | None:
        """Take the mail that is due for longest, and keep others from it till the lease ends; None if none is due.

        One at a time, so that the lease has to outlive no more than one exchange.
        """
        lease, now_us = uuid.uuid4().hex, self._session.now_us
        lease_us = now_us + LEASE_SECONDS * 1_000_000
        row = self._session.note(_CLAIM, **self._times(), lease=lease, lease_us=lease_us).one_or_none()
        if row is None:
            return None
        return Claimed(row.uid, lease, row.message_id, row.attempts, self._opened(row.uid, row.sealed))

    def delivered(self, uid: str, lease: str) -> bool:
        """Remove a mail that a server has taken; tells whether the lease still held."""
        return self._session.note(_DELIVERED, uid=uid, lease=lease).rowcount == 1

    def released(self, uid: str, lease: str, error: str) -> bool:
        """Let another try begin at once, since the mail itself was not tried; tells whether the lease still held."""
        return self._session.note(_RELEASE, uid=uid, lease=lease, last_error=error).rowcount == 1

    def postponed(self, uid: str, lease: str, seconds: float, error: str) -> bool:
        """Let a mail wait for so many seconds, and count the attempt; tells whether the lease still held."""
        due_us = self._session.now_us + int(seconds * 1_000_000)
        tried = self._session.note(_TRIED, uid=uid, lease=lease, due_us=due_us, failed_us=None, last_error=error)
        return tried.rowcount == 1

    def given_up(self, uid: str, lease: str, error: str) -> bool:
        """Try a mail no more, and keep it for who asks; tells whether the lease still held."""
        now_us = self._session.now_us
        tried = self._session.note(_TRIED, uid=uid, lease=lease, due_us=now_us, failed_us=now_us, last_error=error)
        return tried.rowcount == 1

    def forget(self, seconds: float) -> int:
        """Remove what was given up for longer than so many seconds; returns how many."""
        now_us = self._session.now_us
        self._session.note(_FAILED_AHEAD, now_us=now_us, last_us=now_us + CLOCKS_DIFFER_SECONDS * 1_000_000)
        return self._session.note(_FORGET, before_us=now_us - int(seconds * 1_000_000)).rowcount

    def standing(self) -> Standing:
        """Count."""
        row = self._session.read(_STANDING, **self._times()).one()
        error: str | None = self._session.read(_LAST_ERROR, **self._times()).scalar_one_or_none()
        return Standing(row.waiting, row.oldest_us, row.overdue_us, row.failed, error)

    def _times(self) -> dict[str, Value]:
        now_us = self._session.now_us
        return {
            "now_us": now_us,
            "last_due_us": now_us + (LONGEST_DELAY_SECONDS + CLOCKS_DIFFER_SECONDS) * 1_000_000,
            "last_lease_us": now_us + (LEASE_SECONDS + CLOCKS_DIFFER_SECONDS) * 1_000_000,
        }

    def _opened(self, uid: str, sealed: str) -> Message | SecretUnreadable:
        try:
            content = json.loads(self._session.vault.open(_place(uid), sealed))
        except UnreadableSecretError as error:
            return SecretUnreadable(error.key)
        return Message(content["to"], content["subject"], content["text"])


def _place(uid: str) -> Place:
    return Place(_FAMILY, uid, _ATTRIBUTE)
