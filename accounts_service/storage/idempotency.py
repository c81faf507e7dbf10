"""Answers that are kept for the Idempotency-Key of their requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from sqlalchemy import Column, Index, Table, Text, delete, exc, null, select, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.faults import RefusedError, StillRunning
from accounts_service.storage.clocks import CLOCKS_DIFFER_SECONDS, Moment
from accounts_service.storage.database import Store
from accounts_service.storage.envelopes import Sealed
from accounts_service.storage.sealed import Place
from accounts_service.storage.statements import Statement, given
from accounts_service.storage.tables import METADATA, MICROSECONDS, NAME

# `digest` is a MAC over who asked for what with which key, `body` one over what was sent with it. `answer` is an
# envelope (storage/sealed.py).
IDEMPOTENCY = Table(
    "idempotency",
    METADATA,
    Column("digest", NAME, primary_key=True),
    Column("body", NAME, nullable=False),
    Column("answer", Text),
    Column("expires_us", MICROSECONDS, nullable=False),
    Index(None, "expires_us"),
)

SEALED = Sealed("stored answers", IDEMPOTENCY.c.answer, "idempotency", uid="digest", attribute="answer")
_KEPT_US = 24 * 3600 * 1_000_000
# So many are deleted at once; others write in between.
_AT_ONCE = 1000

S = TypeVar("S", bound=Store)


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept for a key: a MAC over the body it came with, and the sealed answer; None while there is none."""

    body: str
    sealed: str | None = field(repr=False)


_THIS = IDEMPOTENCY.c.digest == given("digest")
_EXPIRED = IDEMPOTENCY.c.expires_us <= given("now_us")
_NEW = upsert(IDEMPOTENCY).values({name: given(name) for name in ("digest", "body", "expires_us")})
# Who finds a row that somebody has written and not committed waits; a row whose time is over is as good as none.
_CLAIM = Statement(
    _NEW.on_conflict_do_update(
        index_elements=["digest"],
        set_={"body": _NEW.excluded.body, "answer": null(), "expires_us": _NEW.excluded.expires_us},
        where=_EXPIRED,
    ).returning(IDEMPOTENCY.c.digest)
)
_FIND = Statement(
    select(IDEMPOTENCY.c.body, IDEMPOTENCY.c.answer).where(_THIS, IDEMPOTENCY.c.expires_us > given("now_us"))
)
_KEEP = Statement(update(IDEMPOTENCY).where(_THIS).values(answer=given("answer")))
_RELEASE = Statement(delete(IDEMPOTENCY).where(_THIS))
_SOME_EXPIRED = select(IDEMPOTENCY.c.digest).where(_EXPIRED).order_by(IDEMPOTENCY.c.expires_us).limit(_AT_ONCE)
# Said twice, since a row may have been claimed anew between finding and deleting it.
_FORGET = Statement(delete(IDEMPOTENCY).where(IDEMPOTENCY.c.digest.in_(_SOME_EXPIRED), _EXPIRED))
# What a clock kept that was ahead is kept from now on like any other answer. Were it deleted, a retry would do the same
# once more.
_SOME_AHEAD = (
    select(IDEMPOTENCY.c.digest)
    .where(IDEMPOTENCY.c.expires_us > given("last_us"))
    .order_by(IDEMPOTENCY.c.expires_us)
    .limit(_AT_ONCE)
)
_BOUND = Statement(
    update(IDEMPOTENCY).where(IDEMPOTENCY.c.digest.in_(_SOME_AHEAD)).values(expires_us=given("expires_us"))
)
# How far ahead each time may lie.
MOMENTS = (Moment(IDEMPOTENCY.c.expires_us, _KEPT_US // 1_000_000),)

# Longer than other locks are waited for: what one waits for is one's own request.
_PATIENT = "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '6s'"
_AS_USUAL = "SET LOCAL lock_timeout TO DEFAULT; SET LOCAL statement_timeout TO DEFAULT"
_LOCK_TIMEOUT = "55P03"


class Answers(Store):
    """Kept answers, by the digest of who asked for what with which key."""

    def beside(self, store: type[S]) -> S:
        """Make a store that works in the same transaction."""
        return store(self._session)

    def find(self, digest: str) -> Kept | None:
        """Read what is kept; None for nothing, or nothing that still counts."""
        row = self._session.read(_FIND, digest=digest, now_us=self._session.now_us).one_or_none()
        return None if row is None else Kept(row.body, row.answer)

    def claim(self, digest: str, body: str) -> Kept | None:
        """Take hold of a key, or read what is kept for it; None when it is ours now, till the transaction ends.

        Raises RefusedError(StillRunning) when somebody who has it takes too long.
        """
        now_us = self._session.now_us
        self._say(_PATIENT)
        try:
            claimed = self._session.note(_CLAIM, digest=digest, body=body, expires_us=now_us + _KEPT_US, now_us=now_us)
            ours = claimed.first() is not None
        except exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) == _LOCK_TIMEOUT:
                raise RefusedError(StillRunning()) from error
            raise
        self._say(_AS_USUAL)
        return None if ours else self.find(digest)

    def keep(self, digest: str, answer: str) -> None:
        """Keep an answer for a key that is ours."""
        sealed = self._session.vault.seal(place_of(digest), answer)
        self._session.note(_KEEP, digest=digest, answer=sealed)

    def release(self, digest: str) -> None:
        """Let a key that is ours go: who comes with it again is answered anew."""
        self._session.note(_RELEASE, digest=digest)

    def forget(self) -> bool:
        """Delete some of those whose time is over, and bound the time of others; tells whether there may be more."""
        now_us = self._session.now_us
        expires_us = now_us + _KEPT_US
        last_us = expires_us + CLOCKS_DIFFER_SECONDS * 1_000_000
        bounded = self._session.note(_BOUND, expires_us=expires_us, last_us=last_us).rowcount
        deleted = self._session.note(_FORGET, now_us=now_us).rowcount
        return _AT_ONCE in (bounded, deleted)

    def _say(self, words: str) -> None:
        # SQLite has no such time-outs: its writers have waited in line before the transaction began.
        if self._session.connection.dialect.name == "postgresql":
            self._session.connection.exec_driver_sql(words, execution_options={"no_parameters": True})


def place_of(digest: str) -> Place:
    """Name the place that an answer is sealed for."""
    return Place("idempotency", digest, "answer")


# One that has the key, and one that waits for it: each has a connection, and so many would soon have all.
_OF_ONE_KEY = 2


class Running:
    """The requests with keys that this process works on, by digest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._digests: Counter[str] = Counter()

    @contextmanager
    def having(self, digest: str) -> Iterator[None]:
        """Count a request for the length of the block.

        Raises RefusedError(StillRunning) when another one waits for the same already.
        """
        with self._lock:
            if self._digests[digest] >= _OF_ONE_KEY:
                raise RefusedError(StillRunning())
            self._digests[digest] += 1
        try:
            yield
        finally:
            with self._lock:
                self._digests[digest] -= 1
                if not self._digests[digest]:
                    del self._digests[digest]

    def are_several(self, digest: str) -> bool:
        """Tell whether there is more than one with this key."""
        with self._lock:
            return self._digests[digest] > 1
