"""Counts of wrong passwords: what is limited for whom, what is given back, and that no table grows without bound."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Table, func, select

from accounts_service.faults import Fault, Overloaded, RefusedError, TooManyAttempts, Unavailable
from accounts_service.storage.database import Capacity, Database, open_database
from accounts_service.storage.limits import ATTEMPT, Limit, Limits, open_limits
from accounts_service.storage.log_in_limits import LogInCounts, Rules, forget
from accounts_service.storage.log_in_tables import KNOWN_NETWORK, LOG_IN_FAILURE
from tests.storage.kit import VAULT
from tests.support.mention_page import NOON, Clock

RULES = Rules(per_network=20, per_user=15, per_both=3, window_s=60)
DAY_S = 24 * 3600


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(database_url: str, clock: Clock) -> Iterator[Database]:
    database = open_database(database_url, VAULT, Capacity(wait_s=10), clock=clock)
    yield database
    database.dispose()


@pytest.fixture
def limits(database: Database) -> Limits:
    return open_limits(database, VAULT)


@pytest.fixture
def counts(limits: Limits) -> LogInCounts:
    return LogInCounts(limits, VAULT, RULES, 10)


def attempt(counts: LogInCounts, name: str = "ann", network: str | None = "home", *, right: bool = False) -> object:
    """Try a password; returns whether it was right, or the fault instead of that."""
    try:
        return counts.checked("test", name, network, lambda: right)
    except RefusedError as error:
        return error.fault


def rows(limits: Limits, table: Table = LOG_IN_FAILURE) -> int:
    with limits.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_failures_are_counted_by_both_by_network_and_by_user(counts: LogInCounts, clock: Clock) -> None:
    refused = TooManyAttempts(NOON + 60, 60)
    assert [attempt(counts) for _ in range(4)] == [False, False, False, refused]
    # What is refused by one limit is not counted by another: 17 are left of the network's.
    assert [attempt(counts) for _ in range(30)] == [refused] * 30
    assert [attempt(counts, f"name-{number}") for number in range(18)] == [False] * 17 + [refused]
    # 12 are left of the user's, three for each of four networks.
    found = [attempt(counts, network=f"network-{number % 5}") for number in range(15)]
    assert [type(one) for one in found].count(bool) == 12
    clock.seconds += 59
    assert attempt(counts) == TooManyAttempts(NOON + 60, 1)
    clock.seconds += 1
    assert attempt(counts) is False


def test_right_passwords_leave_no_count_and_reset_none(counts: LogInCounts, limits: Limits) -> None:
    assert [attempt(counts, right=True) for _ in range(30)] == [True] * 30
    assert rows(limits) == 0
    assert [attempt(counts), attempt(counts), attempt(counts, right=True), attempt(counts)] == [
        False,
        False,
        True,
        False,
    ]
    assert isinstance(attempt(counts, right=True), TooManyAttempts)


def test_realm_name_and_network_are_counted_apart(counts: LogInCounts) -> None:
    for name, network in (("ann", "home"), ("Ann", "home"), ("ann", "elsewhere"), ("annhome", ""), ("", None)):
        assert [attempt(counts, name, network) for _ in range(3)] == [False] * 3
        assert isinstance(attempt(counts, name, network), TooManyAttempts)
    with pytest.raises(ZeroDivisionError):
        counts.checked("other", "ann", "home", lambda: bool(1 // 0))
    assert counts.checked("other", "ann", "home", lambda: False) is False


def test_check_that_raises_is_given_back(counts: LogInCounts, limits: Limits) -> None:
    def fail() -> bool:
        raise RefusedError(Overloaded())

    for _ in range(5):
        with pytest.raises(RefusedError):
            counts.checked("test", "ann", "home", fail)
    assert rows(limits) == 0
    assert rows(limits, KNOWN_NETWORK) == 0


def test_known_network_passes_the_limits_of_user_and_network(counts: LogInCounts, clock: Clock, limits: Limits) -> None:
    assert attempt(counts, right=True) is True
    clock.seconds += 29 * DAY_S
    for number in range(5):
        assert [attempt(counts, network=f"network-{number}") for _ in range(3)] == [False] * 3
    for number in range(20):
        assert attempt(counts, f"name-{number}") is False
    assert isinstance(attempt(counts, network="another", right=True), TooManyAttempts)
    assert isinstance(attempt(counts, "bob", right=True), TooManyAttempts)
    assert [attempt(counts), attempt(counts, right=True)] == [False, True]
    clock.seconds += 31 * DAY_S
    forget(limits)
    assert (rows(limits), rows(limits, KNOWN_NETWORK)) == (0, 0)


def test_guesses_wait_for_checks_that_would_use_up_the_limit(counts: LogInCounts, limits: Limits) -> None:
    going, let_go = threading.Barrier(4), threading.Event()

    def slow(*, right: bool) -> bool:
        going.wait(30)
        assert let_go.wait(30)
        return right

    with ThreadPoolExecutor(4) as pool:
        slow_ones = [
            pool.submit(counts.checked, "test", "ann", "home", lambda: slow(right=True)),
            *(pool.submit(counts.checked, "test", "ann", "home", lambda: slow(right=False)) for _ in range(2)),
        ]
        going.wait(30)
        # The limit is used up by checks that are going on, and not by failures: that is an overload.
        hasty = LogInCounts(limits, VAULT, RULES, 0)
        assert attempt(hasty, right=True) == Overloaded()
        waiting = pool.submit(attempt, counts, right=True)
        let_go.set()
        assert waiting.result() is True
        assert [one.result() for one in slow_ones] == [True, False, False]
    assert attempt(counts) is False
    assert isinstance(attempt(counts), TooManyAttempts)


def test_many_guesses_at_once_in_two_processes_pass_as_often_as_allowed(database: Database, limits: Limits) -> None:
    both = (LogInCounts(limits, VAULT, RULES, 10), LogInCounts(open_limits(database, VAULT), VAULT, RULES, 10))
    with ThreadPoolExecutor(8) as pool:
        tried = [pool.submit(attempt, both[number % 2]) for number in range(40)]
        found = [one.result() for one in tried]
    assert found.count(False) == 3
    assert {type(one) for one in found if one is not False} == {TooManyAttempts}


def test_check_of_a_killed_process_counts_for_half_a_minute(counts: LogInCounts, limits: Limits, clock: Clock) -> None:
    class KilledError(BaseException):
        pass

    hasty = LogInCounts(limits, VAULT, RULES, 0)

    def killed() -> bool:
        # Nothing is settled: as if the process were gone.
        hasty._settle = lambda *_, **__: None  # type: ignore[method-assign]
        raise KilledError

    for _ in range(3):
        with pytest.raises(KilledError):
            hasty.checked("test", "ann", "home", killed)
    assert attempt(LogInCounts(limits, VAULT, RULES, 0)) == Overloaded()
    clock.seconds += 31
    assert attempt(counts) is False


def test_clock_that_was_ahead_limits_nobody_afterwards(counts: LogInCounts, clock: Clock) -> None:
    clock.seconds += 365 * DAY_S
    assert [attempt(counts) for _ in range(3)] == [False] * 3
    clock.seconds -= 365 * DAY_S
    assert [attempt(counts) for _ in range(3)] == [False] * 3
    assert attempt(counts) == TooManyAttempts(NOON + 60, 60)
    # Hosts' clocks differ by some seconds: that resets nothing.
    clock.seconds -= 20
    assert attempt(counts) == TooManyAttempts(NOON + 60, 80)


def test_flood_of_names_and_networks_leaves_the_tables_bounded(limits: Limits) -> None:
    limits.most_rows, limits.counts_per_trim = 100, 20
    counts = LogInCounts(limits, VAULT, RULES, 10)
    for number in range(15):
        assert attempt(counts, "victim", f"network-{number // 3}") is False
    for number in range(120):
        assert attempt(counts, f"name-{number}", f"2001:db8:{number:x}::") is False
        limits.take(Limit("test-calls", 5, 60), f"at {number}")
    # Up to three rows a check come between two trims.
    assert rows(limits) <= 100 + 3 * 20
    assert rows(limits, ATTEMPT) <= 100 + 20
    # A user under attack is not forgotten for names that are made up.
    assert isinstance(attempt(counts, "victim", "new"), TooManyAttempts)


def test_user_has_at_most_sixteen_known_networks(counts: LogInCounts, limits: Limits, clock: Clock) -> None:
    for number in range(20):
        clock.seconds += 1
        assert attempt(counts, network=f"network-{number}", right=True) is True
    assert rows(limits, KNOWN_NETWORK) == 16


def test_counts_in_memory_hold_while_the_others_cannot_be_reached() -> None:
    database = open_database("postgresql+psycopg://nobody@127.0.0.1:1/none", VAULT)
    limits = open_limits(database, VAULT)
    counts = LogInCounts(limits, VAULT, RULES)
    found: list[object | Fault] = [attempt(counts) for _ in range(4)]
    assert found[:3] == [False] * 3
    assert isinstance(found[3], TooManyAttempts)
    assert attempt(counts, network="elsewhere", right=True) is True
    with pytest.raises(RefusedError) as refused:
        forget(limits)
    assert isinstance(refused.value.fault, Unavailable)
    database.dispose()
