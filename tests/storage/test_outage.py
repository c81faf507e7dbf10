"""What a process tells of an outage: to callers, and to its log."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from sqlalchemy import exc

from accounts_service.faults import RefusedError, Unavailable
from accounts_service.storage.causes import UNKNOWN, Cause, cause_of
from accounts_service.storage.outage import Access, Outage
from tests.storage.kit import CANARY

FULL = OSError(errno.ENOSPC, CANARY)
READ_ONLY = OSError(errno.EROFS, CANARY)


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage(clock)


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Give the lines of the log."""
    with structlog.testing.capture_logs() as captured:
        yield captured


def retry_after(error: RefusedError) -> int:
    assert isinstance(error.fault, Unavailable)
    return error.fault.retry_after


def test_retry_after_is_one_first_and_grows_while_the_outage_lasts(outage: Outage, clock: Clock) -> None:
    told = {}
    for after_s in (0, 1, 3, 7, 8, 20, 60, 3600):
        clock.now = 1000.0 + after_s
        told[after_s] = retry_after(outage.failed(Access.WRITE, FULL))
    assert told == {0: 1, 1: 1, 3: 1, 7: 1, 8: 2, 20: 5, 60: 15, 3600: 15}
    outage.passed(Access.WRITE)
    assert retry_after(outage.failed(Access.WRITE, FULL)) == 1


def test_read_does_not_end_the_outage_of_writes_and_a_write_ends_both(outage: Outage, clock: Clock) -> None:
    outage.failed(Access.WRITE, FULL)
    outage.failed(Access.READ, FULL)
    clock.now += 40
    outage.passed(Access.READ)
    assert retry_after(outage.failed(Access.READ, FULL)) == 1, "a new one"
    assert retry_after(outage.failed(Access.WRITE, FULL)) == 10, "the same one"
    outage.passed(Access.WRITE)
    assert outage.cause is None


def test_stack_is_logged_once_per_cause_and_then_a_count_per_second(
    outage: Outage, clock: Clock, lines: list[MutableMapping[str, Any]]
) -> None:
    for _ in range(1000):
        outage.failed(Access.WRITE, FULL)
    clock.now += 1
    for _ in range(1000):
        outage.failed(Access.WRITE, FULL)
    outage.failed(Access.WRITE, READ_ONLY)
    clock.now += 2
    outage.passed(Access.WRITE)
    assert [(line["event"], line.get("cause"), line.get("failures"), "trace" in line) for line in lines] == [
        ("storage.unavailable", "disk_full", None, True),
        ("storage.still_unavailable", "disk_full", 1000, False),
        ("storage.unavailable", "read_only", None, True),
        ("storage.available", None, 2001, False),
    ]
    assert (lines[0]["reason"], lines[-1]["after_s"]) == ("its disk is full (ENOSPC)", 3.0)
    assert CANARY not in repr(lines)


def test_failures_between_successes_do_not_fill_the_log(
    outage: Outage, clock: Clock, lines: list[MutableMapping[str, Any]]
) -> None:
    for _ in range(300):
        outage.failed(Access.WRITE, FULL)
        outage.passed(Access.WRITE)
        clock.now += 0.01
    assert [line["event"] for line in lines if "trace" in line] == ["storage.unavailable"]
    assert len(lines) <= 2 * 3
    clock.now += 100
    outage.failed(Access.WRITE, FULL)
    assert "trace" in lines[-1], "another outage, whose stack may be another"


def test_command_writes_nothing_into_the_log(outage: Outage, lines: list[MutableMapping[str, Any]]) -> None:
    outage.keep_quiet()
    outage.failed(Access.WRITE, FULL)
    outage.passed(Access.WRITE)
    assert lines == []


# -- Causes -------------------------------------------------------------------


def of_driver(words: str, **known: object) -> exc.OperationalError:
    """Make an error as psycopg raises it and SQLAlchemy wraps it."""
    original = type("OperationalError", (Exception,), {"__module__": "psycopg", "sqlstate": None, **known})(words)
    return exc.OperationalError("statement", {}, original)


def of_sqlite(code: int, name: str) -> exc.OperationalError:
    original = sqlite3.OperationalError(CANARY)
    original.sqlite_errorcode, original.sqlite_errorname = code, name
    return exc.OperationalError("statement", {}, original)


@pytest.mark.parametrize(
    ("error", "name", "told"),
    (
        (of_driver("", sqlstate="53100"), "disk_full", "SQLSTATE 53100"),
        (of_driver("", sqlstate="57P01"), "shut_down", "SQLSTATE 57P01"),
        (of_driver("", sqlstate="25006"), "read_only", "SQLSTATE 25006"),
        (of_driver(f'FATAL:  password authentication failed for user "{CANARY}"'), "wrong_password", "SQLSTATE 28P01"),
        (of_driver(f'FATAL:  role "{CANARY}" does not exist'), "role_refused", "SQLSTATE 28000"),
        (of_driver(f'FATAL:  no pg_hba.conf entry for host "{CANARY}"'), "role_refused", "SQLSTATE 28000"),
        (of_driver(f'FATAL:  database "{CANARY}" does not exist'), "no_database", "SQLSTATE 3D000"),
        (of_driver("FATAL:  sorry, too many clients already"), "too_many_connections", "SQLSTATE 53300"),
        (of_driver('FATAL:  too many connections for role "x"'), "too_many_connections", "SQLSTATE 53300"),
        (of_driver("FATAL:  the database system is starting up"), "starting", "SQLSTATE 57P03"),
        (of_driver('FATAL:  database "x" is not currently accepting connections'), "starting", "SQLSTATE 57P03"),
        (of_driver(f"failed to resolve host '{CANARY}': [Errno -2] Name or service not known"), "unknown_host", "EAI_"),
        (of_driver(f"connection to server at {CANARY} failed: Connection refused"), "refused", "ECONNREFUSED"),
        (of_driver("connection timeout expired"), "no_answer", "ETIMEDOUT"),
        (of_driver("server does not support SSL, but SSL was required"), "tls_refused", "TLS"),
        (of_driver("SSL error: certificate verify failed"), "tls_refused", "TLS"),
        (of_driver("server closed the connection unexpectedly"), "connection_lost", "SQLSTATE 08006"),
        (of_driver(f'invalid sslmode value: "{CANARY}"'), "bad_parameter", "(sslmode)"),
        (of_driver('connection is bad: invalid port number: "99999"'), "bad_parameter", "(port)"),
        (of_driver(f'invalid integer value "{CANARY}" for connection option "keepalives"'), "bad_parameter", "keep"),
        (of_driver('FATAL:  invalid value for parameter "client_encoding": "x"'), "bad_parameter", "client_encoding"),
        (of_driver(f'invalid connection option "{CANARY}"'), "bad_parameter", "cannot be used"),
        (of_driver(f'could not parse network address "{CANARY}": Name or service not known'), "bad_parameter", ""),
        (of_driver("GSSAPI encryption required but no credential cache"), "not_offered", ""),
        (of_driver("connection to server failed: session is read-only"), "not_offered", ""),
        (of_driver(CANARY), "unknown", ""),
        (of_sqlite(sqlite3.SQLITE_FULL, "SQLITE_FULL"), "disk_full", "SQLITE_FULL"),
        (of_sqlite(sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC"), "disk_fails", "SQLITE_IOERR_FSYNC"),
        (of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED, "SQLITE_READONLY_DBMOVED"), "read_only", "SQLITE_READONLY_DBMOVED"),
        (of_sqlite(sqlite3.SQLITE_CORRUPT_INDEX, "SQLITE_CORRUPT_INDEX"), "damaged", "SQLITE_CORRUPT_INDEX"),
        (FileNotFoundError(errno.ENOENT, CANARY), "no_file", "ENOENT"),
        (OSError(errno.ENODEV, CANARY), "system", "ENODEV"),
        (ValueError(CANARY), "unknown", ""),
    ),
)
def test_cause_is_named_with_what_to_do_and_none_of_the_words(error: Exception, name: str, told: str) -> None:
    outer = RefusedError(Unavailable())
    outer.__cause__ = error
    cause = cause_of(outer)
    assert (cause.name, told in cause.text) == (name, True)
    assert cause.todo
    assert CANARY not in str(cause)


def test_error_without_a_known_cause_is_told_as_unknown() -> None:
    assert isinstance(UNKNOWN, Cause)
    assert cause_of(None) == UNKNOWN
