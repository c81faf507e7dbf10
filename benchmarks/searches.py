"""What a search costs among many accounts: part of `make bench`.

Prints, for SQLite and PostgreSQL, the median and the longest time of a few
searches, each run several times through the real store. No test asserts any of it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from accounts_service.access.privileges import Everything, Grant
from accounts_service.families.signals.privileges import SignalsPrivilege
from accounts_service.families.signals.schemas.search import read_search
from accounts_service.families.signals.store.accounts import Accounts, Key
from accounts_service.families.signals.store.search import Page, Position, Searches
from accounts_service.faults import Json
from accounts_service.storage import migrations
from accounts_service.storage.database import Database, SqliteDatabase, open_database
from accounts_service.storage.sealed import Keyring, Vault
from benchmarks.writes import AUTHOR, DOCUMENT, GRANT, Always
from tests.support.postgres import PostgresServer

ACCOUNTS = 20_000
RUNS = 15
SEARCHING = Grant(SignalsPrivilege.ACCOUNT_SEARCH, Everything())

SEARCHES: dict[str, Json] = {
    "one by name": {"query": {"match": {"_name": "A19999"}}},
    "all of a type": {"query": {"match": {"type": "EMAIL"}}},
    "by prefix": {"query": {"simple_query_string": {"query": "a199*", "fields": ["_name", "type"]}}},
    "by wildcard": {"query": {"wildcard": {"_name": "a*99"}}},
    "sorted": {"sort": [{"_name.keyword": "desc"}]},
    "from 9 990": {"from": 9990},
}


def fill(database: Database) -> None:
    """Make the accounts."""
    migrations.upgrade(database)
    with database.transaction(Accounts, AUTHOR) as accounts:
        for number in range(ACCOUNTS):
            accounts.put(GRANT, Key("email", f"a{number}"), DOCUMENT, Always())


def page(database: Database, body: Json, last: Position | None = None) -> Page:
    """Find one page."""
    with database.reading(Searches) as searches:
        return searches.page(SEARCHING, "", read_search(body, {}), last, most_bytes=2**30)


def measure(name: str, database: Database) -> None:
    """Print one line for each search, and one for a scroll through everything."""
    fill(database)
    for title, body in SEARCHES.items():
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            page(database, body)
            times.append((time.perf_counter() - start) * 1000)
        times.sort()
        print(f"{name:11} {title:14} median {times[RUNS // 2]:6.1f} ms   longest {times[-1]:6.1f} ms")
    start, seen = time.perf_counter(), 0
    found = page(database, {"size": 1000})
    while found.hits:
        seen += len(found.hits)
        found = page(database, {"size": 1000}, found.last)
    print(f"{name:11} scroll of {seen} in {time.perf_counter() - start:.1f} s")


def main() -> None:
    """Measure both databases."""
    print(f"{ACCOUNTS} accounts, Python {sys.version.split()[0]}")
    vault = Vault(Keyring.generate())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        database = open_database(f"sqlite:///{path}", vault)
        measure("sqlite", database)
        database.dispose()
    server = PostgresServer(durable=True)
    try:
        with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("CREATE DATABASE bench"))
        url = make_url(server.url).set(database="bench").render_as_string(hide_password=False)
        database = open_database(url, vault)
        measure("postgresql", database)
        database.dispose()
    finally:
        server.stop()


if __name__ == "__main__":
    main()
