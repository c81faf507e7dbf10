"""What trust costs: `make bench`.

Prints, for SQLite and PostgreSQL (both on this machine, durable: fsync on), how
many records a second are sealed and verified, how many rows with secrets are
wrapped anew, and what an Idempotency-Key adds to a change. No test asserts any
of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from accounts_service import app, logs
from accounts_service.families.signals.store.accounts import Accounts, Key
from accounts_service.jobs.rewrap import Rewrap
from accounts_service.jobs.seal import Trail
from accounts_service.storage import migrations
from accounts_service.storage.database import Database, SqliteDatabase, open_database
from accounts_service.storage.idempotency import Answers
from accounts_service.storage.sealed import Keyring, Vault
from accounts_service.storage.verification import verify
from benchmarks.writes import AUTHOR, DOCUMENT, GRANT, Always
from tests.support.postgres import PostgresServer

ACCOUNTS = 10_000
KEYS = 1_000


@contextmanager
def _timed(name: str, what: str, number: int) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{name:11} {what:28} {number / (time.perf_counter() - start):8.0f}/s")


def fill(database: Database) -> None:
    """Make accounts with a secret each, many in a transaction."""
    for start in range(0, ACCOUNTS, 500):
        with database.transaction(Accounts, AUTHOR) as accounts:
            for number in range(start, start + 500):
                accounts.put(GRANT, Key("email", f"a{number}"), DOCUMENT, Always())


def change(database: Database, number: int, *, key: bool) -> None:
    """Change an account, with its answer kept or without."""
    with database.transaction(Answers, AUTHOR) as answers:
        if key:
            answers.claim(f"{number:064}", "0" * 64)
        answers.beside(Accounts).put(GRANT, Key("email", f"a{number}"), DOCUMENT, Always())
        if key:
            answers.keep(f"{number:064}", "x" * 400)


def measure(name: str, url: str) -> None:
    """Print one line for each act."""
    old, other = Keyring.generate(), Keyring.generate()
    new = Keyring(other.active, {**old.wrapping, **other.wrapping}, old.mac, old.fingerprint)
    database = open_database(url, Vault(old))
    migrations.upgrade(database)
    fill(database)
    with _timed(name, "records sealed", ACCOUNTS):
        Trail(database, None).seal(lambda: False)
    with _timed(name, "records verified", ACCOUNTS):
        report = verify(database, app.STORED)
    if not report.ok:
        raise SystemExit("what was written does not verify")
    for key in (False, True):
        with _timed(name, "changes with a key" if key else "changes", KEYS):
            for number in range(KEYS):
                change(database, number, key=key)
    database.dispose()
    database = open_database(url, Vault(new))
    rewrap = Rewrap(database, app.sealed_columns())
    rewrap.ask()
    # Accounts, their versions, and kept answers.
    with _timed(name, "rows with secrets re-wrapped", 2 * ACCOUNTS + 3 * KEYS):
        while rewrap.step():
            pass
    database.dispose()


def main() -> None:
    """Measure all."""
    logs.configure("warning")
    print(f"{ACCOUNTS} accounts with a secret each, one process, one thread")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        measure("sqlite", f"sqlite:///{path}")
    server = PostgresServer(durable=True)
    try:
        with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("CREATE DATABASE bench"))
        measure("postgresql", make_url(server.url).set(database="bench").render_as_string(hide_password=False))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
