"""Checks of the database: whether it can be reached, and whether it can do what the service relies on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from accounts_service.access.documents import few
from accounts_service.config import CONNECTIONS_BESIDE, Settings
from accounts_service.doctor.contents import judge_contents
from accounts_service.doctor.files import judge_files, judge_sqlite
from accounts_service.doctor.findings import Finding, Status, fail, ok, warn
from accounts_service.faults import Overloaded, RefusedError
from accounts_service.storage import migrations
from accounts_service.storage.causes import RESTORE, UNRESPONSIVE, CausedError, cause_of, damaged
from accounts_service.storage.checkup import (
    PostgresFacts,
    SqliteFacts,
    facts_of,
    is_ambiguous,
    name_of,
)
from accounts_service.storage.database import (
    Database,
    ReadInterruptedError,
    SqliteDatabase,
    UnopenedError,
    open_database,
)
from accounts_service.storage.key_checks import ForeignKeysFileError
from accounts_service.storage.rotation import Process, Processes
from accounts_service.storage.sealed import Keyring, Vault
from accounts_service.storage.writability import try_to_write

_OLDEST_POSTGRES = 130000
_CLOCKS_APART_SECONDS = 2


def judge_database(settings: Settings, keyring: Keyring | None, *, secrets: bool) -> Iterator[Finding]:
    """Visit the database of `settings`; with `secrets`, and the keys, also open all that is sealed in it."""
    # Without keys everything else can be looked at all the same.
    vault = Vault(keyring or Keyring.generate())
    vault.source = str(settings.keys_file)
    try:
        database = open_database(settings.database_url, vault)
        name = name_of(settings.database_url)
    except UnopenedError as error:
        text, _, todo = str(error).partition(": ")
        yield fail("database", text, todo)
        return
    database.outage.keep_quiet()
    try:
        yield from _visit(database, name, settings, keyring, secrets=secrets and keyring is not None)
    finally:
        database.dispose()


def _visit(
    database: Database, name: str, settings: Settings, keyring: Keyring | None, *, secrets: bool
) -> Iterator[Finding]:
    try:
        if isinstance(database, SqliteDatabase):
            yield from judge_files(database.path)
            database.require_paired()
        if database.is_missing():
            return
        yield from _connected(database, name, settings)
        if migrations.fits(database):
            yield from _fitting(database, name, settings, keyring, secrets=secrets)
    except (RefusedError, ReadInterruptedError, CausedError) as error:
        yield _unreached(name, settings.database_url, error)
    except (OSError, migrations.SchemaMismatchError) as error:
        yield _unexamined(name, error)
    except DBAPIError as error:
        if damaged(error):
            yield fail("integrity", f"{name} is damaged or no database", RESTORE)
            return
        # Its class and state only: the words of a server may quote anything.
        state = getattr(error.orig, "sqlstate", None) or ""
        text = f"{name} refuses what the service asks: {type(error.orig).__name__} {state}".rstrip()
        yield fail("database", text, "look the state up in the server's manual, and at its log")
    except TypeError as error:
        if "bytes-like" not in str(error):
            raise
        # SQLAlchemy gets bytes where the database has no text encoding (SQL_ASCII).
        text = f"could not be carried out ({type(error).__name__})"
        yield fail("database", text, "if its encoding is not UTF8, create it anew with ENCODING 'UTF8'")


def _fitting(
    database: Database, name: str, settings: Settings, keyring: Keyring | None, *, secrets: bool
) -> Iterator[Finding]:
    findings = [*judge_keys(database, keyring, settings.keys_file)]
    yield from findings
    # Without the keys of this database nothing is written into it.
    if keyring is not None and not any(finding.status is Status.FAIL for finding in findings):
        yield from _writes(database, name)
    yield from judge_contents(database, settings, secrets=secrets)


def judge_keys(database: Database, keyring: Keyring | None, path: Path) -> Iterator[Finding]:
    """Find a keys file of another database or an older one, and keys whose file is gone while processes hold them."""
    foreign = ""
    if keyring is not None:
        try:
            database.judge_keys(keyring)
        except ForeignKeysFileError as error:
            foreign = str(error)
            yield fail("keys", foreign, "the service refuses to start and to write with it")
    with database.reading(Processes) as processes:
        live = processes.live()
    if keyring is not None and not foreign:
        yield _judge_lacking(database.recorded_keys() - keyring.wrapping.keys(), live, path)
        return
    if live:
        text = f"the keys exist only in the memory of {few(map(str, live))}"
        yield fail("keys", text, f"restore {path} from its backup, and end none of these processes before")


_TODO_ABOUT_LACKING = (
    "put the key back from another copy of the keys file; 'keys report' tells what needs it. If it is lost for good,"
    " give it up: 'keys remove --lost ID'"
)


def _judge_lacking(lacking: frozenset[str], live: list[Process], path: Path) -> Finding:
    if not lacking:
        return ok("keys", "they are those the database was written with")
    text = f"{path} lacks {few(sorted(lacking))}, which 'keys remove' has not removed"
    holders = [str(process) for process in live if not lacking.isdisjoint(process.keys)]
    if not holders:
        return warn("keys", text, _TODO_ABOUT_LACKING)
    todo = f"restore the later {path} from its backup, and end none of these processes before"
    return fail("keys", f"{text}: only {few(holders)} can be seen to hold it", todo)


def _writes(database: Database, name: str) -> Iterator[Finding]:
    if isinstance(database, SqliteDatabase) and database.path.stat().st_uid != os.geteuid():
        # The files that SQLite and the queue make would be this user's, and keep the service out.
        yield warn("writes", "not tried, since the file is another user's", "run this as the service's user")
        return
    try:
        try_to_write(database)
    except RefusedError as error:
        if isinstance(error.fault, Overloaded):
            yield warn("writes", f"{name} was busy: no turn to write within some seconds", UNRESPONSIVE.todo)
        else:
            cause = cause_of(error)
            yield fail("writes", f"{name} takes no writes: {cause.text}", cause.todo)
    else:
        yield ok("writes", "a row was written and taken back")


def _unexamined(name: str, error: OSError | migrations.SchemaMismatchError) -> Finding:
    if isinstance(error, OSError):
        return fail("database", f"{name} cannot be looked at: {error.strerror}", "run this as the service's user")
    text, _, todo = str(error).partition("; ")
    return fail("database", f"{name} cannot be used: {text}", todo)


def _unreached(name: str, url: str, error: BaseException) -> Finding:
    cause = cause_of(error)
    if cause.name == "damaged":
        return fail("integrity", f"{name} is damaged or no database", cause.todo)
    if is_ambiguous(url):
        text = f"{name} cannot be used: {cause.text}"
        return fail("database", text, "the password in ACCOUNTS_DATABASE_URL must be percent-encoded")
    return fail("database", f"{name} cannot be used: {cause.text}", cause.todo)


def _connected(database: Database, name: str, settings: Settings) -> Iterator[Finding]:
    facts = facts_of(database)
    revision = migrations.current(database)
    if migrations.fits(database):
        yield ok("database", f"{name}, at revision {revision}")
    else:
        text = f"{name} is at revision {revision or 'none'}, this release needs {migrations.head()}"
        yield fail("database", text, migrations.todo_about(revision))
    match facts:
        case SqliteFacts():
            yield from judge_sqlite(facts)
        case PostgresFacts():
            yield from judge_postgres(facts, settings)


def judge_postgres(facts: PostgresFacts, settings: Settings) -> Iterator[Finding]:
    """Find a server that cannot do what we rely on."""
    if facts.version < _OLDEST_POSTGRES:
        yield fail("version", f"PostgreSQL {facts.version // 10000}", "13 or newer is needed")
    else:
        yield ok("version", f"PostgreSQL {facts.version // 10000}")
    each = settings.database_connections
    wanted = settings.workers * each + CONNECTIONS_BESIDE
    text = f"{settings.workers} workers of {each} connections, and jobs, may take {wanted} of {facts.connections}"
    if wanted > facts.connections:
        yield fail(
            "connections", text, "raise max_connections, or lower ACCOUNTS_WORKERS or ACCOUNTS_DATABASE_CONNECTIONS"
        )
    elif 2 * wanted > facts.connections:
        todo = "none is left for a second instance, as in a deployment; raise max_connections"
        yield warn("connections", text, todo)
    else:
        yield ok("connections", text)
    if facts.synchronous_commit == "off":
        text = "synchronous_commit is off: a crash may lose what was acknowledged"
        yield warn("commit", text, "turn it on for this database")
    else:
        yield ok("commit", f"synchronous_commit is {facts.synchronous_commit}")
    if facts.encoding != "UTF8":
        yield fail("encoding", f"the database's encoding is {facts.encoding}", "create it anew with ENCODING 'UTF8'")
    else:
        yield ok("encoding", facts.encoding)
    apart = f"the database's clock is {facts.ahead_seconds:+.1f} s from this machine's"
    if abs(facts.ahead_seconds) > _CLOCKS_APART_SECONDS:
        yield warn("clock", apart, "have both follow a time server")
    else:
        yield ok("clock", apart)
