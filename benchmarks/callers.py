"""How many callers at once fare: `make bench`.

Starts the service as it is run, on SQLite and PostgreSQL (both on this machine;
PostgreSQL without fsync), and writes accounts on 1 to 64 kept-alive connections.
Prints how many writes a second there are, how long they take in milliseconds,
and how many were refused. A last line has 16 connections of one user, and what
another user's writes take meanwhile. No test asserts any of it.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from accounts_service.families.signals import examples
from accounts_service.storage import migrations
from accounts_service.storage.database import SqliteDatabase, open_database
from accounts_service.storage.sealed import Keyring, Vault
from tests.support import personas
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer
from tests.support.served import Served

SECONDS = 4.0
CONNECTIONS = (1, 8, 16, 32, 64)


class Writer:
    """Writes one account over and over on one connection."""

    def __init__(self, served: Served, by: str, name: str) -> None:
        self._served, self._name = served, name
        self._headers = {**personas.authorization(by), "Content-Type": "application/json"}
        self._body = json.dumps(examples.GOOD["email"])
        self.seconds: list[float] = []
        self.refused = 0

    def run(self) -> None:
        """Write for a while."""
        end = time.monotonic() + SECONDS
        with closing(self._served.connect()) as connection:
            while time.monotonic() < end:
                start = time.perf_counter()
                connection.request("PUT", f"/_signals/account/email/{self._name}", self._body, self._headers)
                with closing(connection.getresponse()) as response:
                    response.read()
                self.seconds.append(time.perf_counter() - start)
                self.refused += response.status not in (200, 201)


def run(writers: Sequence[Writer]) -> None:
    """Let writers write, all at once."""
    with ThreadPoolExecutor(len(writers)) as pool:
        for future in [pool.submit(writer.run) for writer in writers]:
            future.result()


def line(what: str, writers: Sequence[Writer]) -> str:
    """Write what came of it."""
    taken = sorted(seconds for writer in writers for seconds in writer.seconds)
    refused = sum(writer.refused for writer in writers)
    middle, late = (1000 * taken[int(len(taken) * share)] for share in (0.5, 0.99))
    rate = len(taken) / SECONDS
    return f"{what:32} {rate:7.0f}/s  median {middle:6.1f}  p99 {late:6.1f}  refused {refused} of {len(taken)}"


def measure(name: str, url: str, folder: Path) -> None:
    """Print a line for each number of connections."""
    database = open_database(url, Vault(Keyring.generate()))
    migrations.upgrade(database)
    database.dispose()
    with Served(Installation(folder / "installation", url)) as served:
        for by in ("admin", "manager"):
            served.ask("GET", "/_searchguard/authinfo", by=by)
        for connections in CONNECTIONS:
            writers = [Writer(served, "admin", f"a{number}") for number in range(connections)]
            run(writers)
            print(line(f"{name}, {connections} writers", writers), flush=True)
        flood, other = [Writer(served, "admin", f"a{number}") for number in range(16)], Writer(served, "manager", "b")
        flooding = threading.Thread(target=run, args=(flood,))
        flooding.start()
        other.run()
        flooding.join()
        print(line(f"{name}, one beside 16 of another", [other]), flush=True)


def main() -> None:
    """Measure both databases."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        measure("SQLite", f"sqlite:///{path}", Path(folder) / "sqlite")
        server = PostgresServer()
        try:
            engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("CREATE DATABASE bench"))
            engine.dispose()
            url = make_url(server.url).set(database="bench").render_as_string(hide_password=False)
            measure("PostgreSQL", url, Path(folder) / "postgresql")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
