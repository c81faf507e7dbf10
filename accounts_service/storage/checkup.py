"""What a database says about itself and about the processes that use it, for `doctor` and `/readyz`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from accounts_service.storage.database import Database, Store
from accounts_service.storage.rotation import Process, Processes
from accounts_service.storage.seals import Seals


@dataclass(frozen=True, slots=True)
class SqliteFacts:
    """`damages`: what quick_check found."""

    damages: tuple[str, ...]
    journal_mode: str


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """What we rely on. `connections`: as many as are for us; `ahead_seconds`: how far its clock is before ours."""

    version: int
    connections: int
    synchronous_commit: str
    encoding: str
    ahead_seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """Which processes of the service live, and for how many seconds the oldest unsealed audit record has waited."""

    processes: tuple[Process, ...]
    unsealed_s: float | None

    def has(self, kind: str) -> bool:
        """Return whether a process of that kind lives."""
        return any(process.kind == kind for process in self.processes)


class Workings(Store):
    """What processes of the service do."""

    def work(self) -> Work:
        """Read it."""
        return Work(tuple(Processes(self._session).live()), Seals(self._session).oldest_unsealed_seconds())


def facts_of(database: Database) -> SqliteFacts | PostgresFacts:
    """Ask the database. Raises RefusedError."""
    with database.looking() as connection:
        if connection.dialect.name == "sqlite":
            return SqliteFacts(
                damages=tuple(line for (line,) in connection.execute(text("PRAGMA quick_check")) if line != "ok"),
                journal_mode=_one(connection, "PRAGMA journal_mode"),
            )
        return PostgresFacts(
            version=int(_one(connection, "SHOW server_version_num")),
            connections=_connections(connection),
            synchronous_commit=_one(connection, "SHOW synchronous_commit"),
            encoding=_one(connection, "SHOW server_encoding"),
            ahead_seconds=_ahead(connection),
        )


def connections_of(database: Database) -> int | None:
    """Return how many connections the server allows to all clients together; None on SQLite. Raises RefusedError."""
    with database.looking() as connection:
        return None if connection.dialect.name == "sqlite" else _connections(connection)


def _connections(connection: Connection) -> int:
    reserved = int(_one(connection, "SHOW superuser_reserved_connections"))
    return int(_one(connection, "SHOW max_connections")) - reserved


def _one(connection: Connection, statement: str) -> str:
    return str(connection.execute(text(statement)).scalar_one())


def _ahead(connection: Connection) -> float:
    before = time.time()
    theirs = float(_one(connection, "SELECT extract(epoch from clock_timestamp())"))
    # They answered somewhere between, most likely in the middle.
    return theirs - (before + time.time()) / 2


def name_of(url: str) -> str:
    """Name the database of `url` without user, password and options."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return f"SQLite at {Path(parsed.database or '').absolute()}"
    if is_ambiguous(url):
        return "PostgreSQL"
    return f"PostgreSQL at {parsed.host or 'the local socket'}/{parsed.database or ''}"


def is_ambiguous(url: str) -> bool:
    """Tell whether host or database may hold a part of the password, as when it was not percent-encoded."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return False
    # One @ ends the password and is the only one of a good address. An address
    # of IPv6 has colons by right.
    places = f"{parsed.host or ''} {parsed.database or ''}"
    _, _, rest = url.partition("://")
    odd = rest.count("@") > 1 or (parsed.password is None and "@" in rest and parsed.username is None)
    try:
        ip_address(parsed.host or "")
    except ValueError:
        odd = odd or ":" in (parsed.host or "")
    return (
        odd or ":" in (parsed.database or "") or any(char in places for char in "@/?#%\\") or not places.isprintable()
    )
