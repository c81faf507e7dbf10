"""What the service costs: `make bench`.

Prints, for SQLite and PostgreSQL (both on this machine, durable: fsync on),
writes and reads a second through the real store from several processes, the
99th percentile of a write's time, and how long a decision of the permission
engine takes. No test asserts any of it.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
import timeit
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from accounts_service import app
from accounts_service.access.decisions import Rules
from accounts_service.access.privileges import Everything, Grant
from accounts_service.access.roles import Identity, RoleMappings
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.accounts import SCHEMAS
from accounts_service.families.signals.store.accounts import Accounts, Document, Key, references_of
from accounts_service.storage import migrations
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database, SqliteDatabase, TransactionRefusedError, open_database
from accounts_service.storage.sealed import Keyring, Vault
from tests.support.postgres import PostgresServer

PROCESSES = 4
THREADS = 4
SECONDS = 5.0
ACCOUNTS = 500

SCHEMA = SCHEMAS["email"]
LOADED = SCHEMA.check({"host": "mail.example", "port": 587, "user": "u", "password": "x" * 40, "enable_tls": True})
DOCUMENT = Document.of(LOADED, SCHEMA.marked("secret"), SCHEMA.marked("destination"))
GRANT = Grant(SignalsPrivilege.ACCOUNT_PUT, Everything())
AUTHOR = Author("bench", "bench", "bench")


class Always:
    """A condition that always holds."""

    def check(self, version: int | None, kind: str = "") -> None:
        """Hold."""


def write(database: Database, number: int) -> None:
    """Put an account, again when somebody else was first, as a view is run again."""
    while True:
        try:
            with database.transaction(Accounts, AUTHOR) as accounts:
                accounts.put(GRANT, Key("email", f"a{number}"), DOCUMENT, Always())
        except TransactionRefusedError:
            continue
        return


class ShownAccounts(Accounts):
    """Accounts, and what is shown of their secrets."""

    def referred(self, key: Key) -> None:
        """Get an account and show its secrets as references."""
        references_of(self._session.vault, self.get(GRANT, key))


def read(database: Database, number: int) -> None:
    """Get an account and show its secrets as references."""
    with database.reading(ShownAccounts) as accounts:
        accounts.referred(Key("email", f"a{number}"))


def worker(url: str, keyring: str, act: Callable[[Database, int], None], seed: int, results: object) -> None:
    """Act in several threads for a while; puts the times of all acts into `results`."""
    database = open_database(url, Vault(Keyring.from_json(keyring)))
    times: list[float] = []

    def run(offset: int) -> None:
        number = seed * 7919 + offset * 104729
        end = time.perf_counter() + SECONDS
        while (start := time.perf_counter()) < end:
            number += 1
            act(database, number % ACCOUNTS)
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=run, args=(offset,)) for offset in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.dispose()
    results.put(times)  # type: ignore[attr-defined]  # a queue of a spawn context has no public type


def measure(name: str, url: str, keyring: str) -> None:
    """Print one line for each act."""
    database = open_database(url, Vault(Keyring.from_json(keyring)))
    migrations.upgrade(database)
    for number in range(ACCOUNTS):
        write(database, number)
    database.dispose()
    context = multiprocessing.get_context("spawn")
    for act in (write, read):
        results = context.Queue()
        processes = [
            context.Process(target=worker, args=(url, keyring, act, seed, results)) for seed in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        times = [taken for _ in processes for taken in results.get()]
        for process in processes:
            process.join()
        p99 = statistics.quantiles(times, n=100)[98] * 1000
        print(f"{name:11} {act.__name__:6} {len(times) / SECONDS:8.0f}/s   p99 {p99:6.1f} ms")


def decisions() -> None:
    """Print how long it takes to decide a request of somebody who was seen before."""
    built_ins = app.built_ins()
    identity = Identity("bench", "someone", roles=frozenset(("SGS_ALL_ACCESS",)))
    rules = Rules(built_ins.roles, built_ins.groups, RoleMappings())
    rules.grant(identity, SignalsPrivilege.ACCOUNT_PUT, {})
    count = 200_000
    taken = timeit.timeit(lambda: rules.grant(identity, SignalsPrivilege.ACCOUNT_PUT, {}), number=count)
    print(f"decision    {taken / count * 1e6:8.2f} us")


def main() -> None:
    """Measure all."""
    keyring = Keyring.generate().to_json()
    print(f"{PROCESSES} processes with {THREADS} threads each, {ACCOUNTS} accounts, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        measure("sqlite", f"sqlite:///{path}", keyring)
    server = PostgresServer(durable=True)
    try:
        with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("CREATE DATABASE bench"))
        url = make_url(server.url).set(database="bench").render_as_string(hide_password=False)
        measure("postgresql", url, keyring)
    finally:
        server.stop()
    decisions()


if __name__ == "__main__":
    main()
