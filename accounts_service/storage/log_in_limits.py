"""Limits on wrong passwords: by network, by user, and by both, for all processes that share the counts.

A check is counted before the password is hashed and taken back if the password
was right, so of a hundred guesses at once only as many are hashed as are left.
While earlier checks that are not finished would use up a limit, the next one waits.

A user who has logged in from a network within thirty days passes the limits of
the user and of the network there, so guesses from elsewhere and guesses of other
names do not lock that user out. The limit of both always applies.

Every table is bounded, whatever names and addresses are made up
(docs/adr/0041-limits-on-log-ins.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert  # SQLite writes it the same way

from accounts_service.faults import Overloaded, RefusedError, TooManyAttempts, Unavailable
from accounts_service.storage.database import TransactionRefusedError
from accounts_service.storage.limits import Limits, MemoryLimits
from accounts_service.storage.log_in_tables import KNOWN_NETWORK, LOG_IN_FAILURE
from accounts_service.storage.sealed import Vault
from accounts_service.storage.statements import Statement, Value, given

log = structlog.get_logger(__name__)

# Callers without an address, as over a unix socket whose users are not trusted, are one network.
_NO_ADDRESS = "no address"
_KNOWN_S = 30 * 24 * 3600
_NETWORKS_PER_USER = 16
# A check that was begun before and is not finished was cut off: its process is gone.
_LONGEST_CHECK_S = 30
# Clocks of two hosts may differ by this much; a time further ahead was written by a clock that was wrong.
_CLOCK_SKEW_S = 60
LONGEST_WINDOW_S = 24 * 3600
# More than anyone can reach within a window.
_NO_LIMIT = 1_000_000_000
_POLL_S = 0.02
_AWAY_S = 5.0


@dataclass(frozen=True, slots=True)
class Rules:
    """At most as many wrong passwords per window of `window_s` seconds."""

    per_network: int = 100
    per_user: int = 100
    per_both: int = 10
    window_s: int = 900


@dataclass(frozen=True, slots=True)
class _LogIn:
    """The keys of one attempt."""

    network: str
    user: str
    both: str


class _PendingError(Exception):
    """Checks that are not finished use up a limit."""


_IS_OVER = or_(LOG_IN_FAILURE.c.ends_s <= given("now_s"), LOG_IN_FAILURE.c.ends_s > given("latest_s"))
_PENDING = case((or_(_IS_OVER, LOG_IN_FAILURE.c.asked_s < given("cut_off_s")), 0), else_=LOG_IN_FAILURE.c.pending)
_FAILED = case((_IS_OVER, 0), else_=LOG_IN_FAILURE.c.failed)
_TAKE = Statement(
    upsert(LOG_IN_FAILURE)
    .values(key=given("key"), ends_s=given("ends_s"), failed=0, pending=1, asked_s=given("now_s"))
    .on_conflict_do_update(
        index_elements=[LOG_IN_FAILURE.c.key],
        set_={
            "ends_s": case((_IS_OVER, given("ends_s")), else_=LOG_IN_FAILURE.c.ends_s),
            "failed": _FAILED,
            "pending": _PENDING + 1,
            "asked_s": given("now_s"),
        },
        # An attempt that is refused takes no place.
        where=given("most") > _FAILED + _PENDING,
    )
    .returning(LOG_IN_FAILURE.c.ends_s)
)
_THIS = LOG_IN_FAILURE.c.key == given("key")
_STATE = Statement(select(LOG_IN_FAILURE.c.ends_s, LOG_IN_FAILURE.c.failed).where(_THIS))
_SETTLE = Statement(
    update(LOG_IN_FAILURE)
    .where(_THIS)
    .values(
        failed=LOG_IN_FAILURE.c.failed + given("failed"),
        pending=case((LOG_IN_FAILURE.c.pending > 0, LOG_IN_FAILURE.c.pending - 1), else_=0),
    )
)
_CLEAR = Statement(delete(LOG_IN_FAILURE).where(_THIS, LOG_IN_FAILURE.c.failed == 0, LOG_IN_FAILURE.c.pending == 0))

_WHOSE = KNOWN_NETWORK.c.whose == given("whose")
_IS_KNOWN = Statement(
    select(KNOWN_NETWORK.c.seen_s).where(
        _WHOSE, KNOWN_NETWORK.c.network == given("network"), KNOWN_NETWORK.c.seen_s > given("known_s")
    )
)
_SEEN = Statement(
    upsert(KNOWN_NETWORK)
    .values(whose=given("whose"), network=given("network"), seen_s=given("now_s"))
    .on_conflict_do_update(index_elements=[*KNOWN_NETWORK.primary_key.columns], set_={"seen_s": given("now_s")})
)
_LATEST = (
    select(KNOWN_NETWORK.c.network).where(_WHOSE).order_by(KNOWN_NETWORK.c.seen_s.desc()).limit(_NETWORKS_PER_USER)
)
_FORGET_OLDEST = Statement(delete(KNOWN_NETWORK).where(_WHOSE, KNOWN_NETWORK.c.network.not_in(_LATEST)))

_FORGET_ENDED = Statement(
    delete(LOG_IN_FAILURE).where(
        or_(LOG_IN_FAILURE.c.ends_s <= given("now_s"), LOG_IN_FAILURE.c.ends_s > given("latest_s"))
    )
)
_FORGET_KNOWN = Statement(
    delete(KNOWN_NETWORK).where(
        or_(KNOWN_NETWORK.c.seen_s <= given("known_s"), KNOWN_NETWORK.c.seen_s > given("latest_s"))
    )
)
_ROWS = Statement(select(func.count()).select_from(LOG_IN_FAILURE))
# Made-up names and addresses have one failure each; a user or network under attack has many, and stays.
_FEWEST = select(LOG_IN_FAILURE.c.key).order_by(LOG_IN_FAILURE.c.failed, LOG_IN_FAILURE.c.ends_s).limit(given("number"))
_DROP = Statement(delete(LOG_IN_FAILURE).where(LOG_IN_FAILURE.c.key.in_(_FEWEST)))
_KNOWN_ROWS = Statement(select(func.count()).select_from(KNOWN_NETWORK))
_PAIR = tuple_(*KNOWN_NETWORK.primary_key.columns)
_STALEST = select(*KNOWN_NETWORK.primary_key.columns).order_by(KNOWN_NETWORK.c.seen_s).limit(given("number"))
_DROP_KNOWN = Statement(delete(KNOWN_NETWORK).where(_PAIR.in_(_STALEST)))


class LogInCounts:
    """Limits wrong passwords; see access/log_in_limits.py. One per process.

    Where the counts cannot be reached, as when the disk is full or the database
    away, this process counts in its own memory meanwhile: log-ins go on, and so do the limits.
    """

    def __init__(self, limits: Limits, vault: Vault, rules: Rules, wait_s: float = 2.0) -> None:
        self._limits = limits
        self._memory: Limits = MemoryLimits(limits, vault)
        self._vault = vault
        self._rules = rules
        self._wait_s = wait_s
        # Threads may lose an increment to each other, which makes a turn of trimming come later.
        self._checks = 0
        self._away_until = 0.0

    def checked(self, realm: str, name: str, network: str | None, check: Callable[[], bool]) -> bool:
        """Return what `check` returns; see access/log_in_limits.py."""
        log_in = self._keys(realm, name, network or _NO_ADDRESS)
        counts = self._take(log_in)
        try:
            right = check()
        except BaseException:
            self._settle(counts, log_in, failed=False)
            raise
        self._settle(counts, log_in, failed=not right, known=right)
        return right

    def _keys(self, realm: str, name: str, network: str) -> _LogIn:
        fields = (("network", network), ("user", realm, name), ("both", realm, name, network))
        return _LogIn(*(self._vault.mac("log-in", *each).hex() for each in fields))

    def _now_s(self) -> int:
        return self._limits.now_us() // 1_000_000

    def _take(self, log_in: _LogIn) -> Limits:
        """Count an attempt that begins; returns the counts in which it is counted."""
        if time.monotonic() >= self._away_until:
            try:
                self._taken(self._limits, log_in)
            except RefusedError as error:
                if not isinstance(error.fault, Unavailable):
                    raise
                log.warning("log_in_limits.counted_in_memory")
                self._away_until = time.monotonic() + _AWAY_S
            else:
                return self._limits
        self._taken(self._memory, log_in)
        return self._memory

    def _taken(self, counts: Limits, log_in: _LogIn) -> None:
        self._checks += 1
        if self._checks % self._limits.counts_per_trim == 0:
            # In a transaction of its own: an attempt that is refused undoes its own.
            values = _times(self._now_s(), self._rules.window_s)
            self._tried(counts, log_in, lambda connection: _trim(connection, values, self._limits.most_rows))
        self._tried(counts, log_in, lambda connection: self._take_in(connection, log_in))

    def _tried(self, counts: Limits, log_in: _LogIn, act: Callable[[Connection], None]) -> None:
        """Do something in one transaction, and again for as long as one waits when other attempts are in its way."""
        deadline = time.monotonic() + self._wait_s
        while True:
            try:
                with counts.begin(log_in.network) as connection:
                    act(connection)
            except (_PendingError, TransactionRefusedError):
                if time.monotonic() > deadline:
                    raise RefusedError(Overloaded()) from None
            except RefusedError as error:
                if not isinstance(error.fault, Overloaded) or time.monotonic() > deadline:
                    raise
            else:
                return
            time.sleep(_POLL_S)

    def _take_in(self, connection: Connection, log_in: _LogIn) -> None:
        """Count an attempt by all three keys, or raise, which undoes it."""
        rules, now_s = self._rules, self._now_s()
        values = _times(now_s, rules.window_s)
        whose: dict[str, Value] = {"whose": log_in.user, "network": log_in.both}
        limits = [(log_in.both, rules.per_both)]
        if _IS_KNOWN.run(connection, values | whose).one_or_none() is None:
            limits += [(log_in.network, rules.per_network), (log_in.user, rules.per_user)]
        else:
            limits += [(log_in.network, _NO_LIMIT), (log_in.user, _NO_LIMIT)]
        # Always in this order, in which two transactions cannot wait for each other.
        for key, most in limits:
            if _TAKE.run(connection, {**values, "key": key, "most": most}).one_or_none() is None:
                state = _STATE.run(connection, {"key": key}).one()
                if state.failed < most:
                    raise _PendingError
                raise RefusedError(TooManyAttempts(state.ends_s, max(1, state.ends_s - now_s)))

    def _settle(self, counts: Limits, log_in: _LogIn, *, failed: bool, known: bool = False) -> None:
        def settle(connection: Connection) -> None:
            for key in (log_in.both, log_in.network, log_in.user):
                _SETTLE.run(connection, {"key": key, "failed": int(failed)})
                if not failed:
                    _CLEAR.run(connection, {"key": key})
            if known:
                seen: dict[str, Value] = {"whose": log_in.user, "network": log_in.both, "now_s": self._now_s()}
                _SEEN.run(connection, seen)
                _FORGET_OLDEST.run(connection, seen)

        try:
            self._tried(counts, log_in, settle)
        except RefusedError as error:
            # The attempt stays pending for a while. Whether the password is right is known all the same.
            log.warning("log_in_limits.not_settled", reason=type(error.fault).__name__)


def forget(limits: Limits) -> None:
    """Delete what limits nothing any longer. Raises RefusedError(Overloaded or Unavailable)."""
    with limits.begin() as connection:
        _trim(connection, _times(limits.now_us() // 1_000_000, LONGEST_WINDOW_S), limits.most_rows)


def _times(now_s: int, window_s: int) -> dict[str, Value]:
    return {
        "now_s": now_s,
        "ends_s": now_s + window_s,
        "latest_s": now_s + window_s + _CLOCK_SKEW_S,
        "cut_off_s": now_s - _LONGEST_CHECK_S,
        "known_s": now_s - _KNOWN_S,
    }


def _trim(connection: Connection, values: dict[str, Value], most_rows: int) -> None:
    for ended, rows, drop in ((_FORGET_ENDED, _ROWS, _DROP), (_FORGET_KNOWN, _KNOWN_ROWS, _DROP_KNOWN)):
        ended.run(connection, values)
        found = rows.run(connection, {}).scalar_one()
        if found > most_rows:
            # Some more, so that this is not done again at once.
            drop.run(connection, {"number": found - most_rows * 9 // 10})
