"""How much memory a worker takes: `python -m benchmarks.memory [SECONDS]`.

Starts the service as it is run, with one worker, on SQLite and PostgreSQL (both on
this machine). First it stores accounts that are as large as they may be and searches
for all of them, one caller and ten at once. Then it sends mixed load for SECONDS
(180 by default) over 16 connections: reads, writes, and searches of many shapes.
Prints the worker's private memory in MiB after each step and every 20 seconds of
the load. No test asserts any of it.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from accounts_service.families.signals import examples
from accounts_service.faults import Json
from accounts_service.storage import migrations
from accounts_service.storage.database import SqliteDatabase, open_database
from accounts_service.storage.sealed import Keyring, Vault
from tests.support import personas
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer
from tests.support.served import Served

LARGE = 600
CONNECTIONS = 16
SEARCH = "/_signals/account/_search"

# What one release before bounds on texts took, and what is taken since.
SIZES = (950_000, 8000)


def mebibytes(pid: int) -> float:
    """Return the private memory of a process."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_\w+:\s+(\d+) kB", rollup, re.MULTILINE)) / 1024


def large(size: int) -> Json:
    """Return an account that is large, whose texts have `size` characters."""
    several: list[Json] = [f"{number:04}" + "h" * 60 for number in range(1000)]
    lists: dict[str, Json] = {} if size > 8192 else {"trusted_hosts": several}
    return {**examples.GOOD["email"], "user": "u" * size, **lists}


class Client:
    """Sends requests on one connection, and counts what is answered."""

    def __init__(self, served: Served, answers: Counter[int], by: str = "admin") -> None:
        self._connection = served.connect()
        self._headers = {**personas.authorization(by), "Content-Type": "application/json"}
        self._answers = answers

    def ask(self, method: str, path: str, body: Json = None) -> int:
        """Send a request; returns the status."""
        raw = None if body is None else json.dumps(body)
        self._connection.request(method, path, raw, self._headers)
        with closing(self._connection.getresponse()) as response:
            while response.read(1 << 16):
                pass
        self._answers[response.status] += 1
        return int(response.status)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def at_once(served: Served, number: int, act: Callable[[Client, int], None]) -> Counter[int]:
    """Have several clients act at once; returns how often each status was answered."""
    answers = Counter[int]()

    def one(place: int) -> None:
        with closing(Client(served, answers)) as client:
            act(client, place)

    with ThreadPoolExecutor(number) as pool:
        for future in [pool.submit(one, place) for place in range(number)]:
            future.result()
    return answers


def store(client: Client, _: int) -> None:
    """Store accounts of the first of SIZES that is taken."""
    for size in SIZES:
        for number in range(LARGE):
            if client.ask("PUT", f"/_signals/account/email/large{number}", large(size)) == 400:
                break
        else:
            return


def search_for_all(client: Client, _: int) -> None:
    """Ask for the largest page."""
    client.ask("POST", SEARCH, {"size": 10_000})


def flood(served: Served, pid: int, name: str) -> None:
    """Store large accounts and search for all of them."""
    answers = at_once(served, 1, store)
    print(f"{name}, stored {dict(answers)}, {mebibytes(pid):.0f} MiB", flush=True)
    for callers in (1, 10):
        answers = at_once(served, callers, search_for_all)
        print(f"{name}, {callers} searched for all {dict(answers)}, {mebibytes(pid):.0f} MiB", flush=True)


def _term(number: int) -> Json:
    return {"bool": {"should": [{"term": {"host": f"h{number}"}}, {"prefix": {"user": f"u{number}"}}]}}


def searched(numbers: random.Random) -> Json:
    """Return a search of one of many shapes."""
    several: list[Json] = [_term(numbers.randrange(1000)) for _ in range(numbers.randrange(1, 60))]
    return {"size": numbers.randrange(1, 50), "query": {"bool": {"should": several}}, "sort": ["host"]}


def mixed(served: Served, pid: int, name: str, seconds: float) -> None:
    """Send mixed load and print what the worker has meanwhile."""
    end = time.monotonic() + seconds

    def act(client: Client, place: int) -> None:
        numbers = random.Random(place)
        while time.monotonic() < end:
            path = f"/_signals/account/email/a{numbers.randrange(2000)}"
            chosen = numbers.random()
            try:
                if chosen < 0.2:
                    client.ask("PUT", path, {**examples.GOOD["email"], "user": f"u{numbers.randrange(1000)}"})
                elif chosen < 0.3:
                    client.ask("POST", SEARCH, searched(numbers))
                elif chosen < 0.35:
                    client.ask("GET", f"{path}/_versions")
                elif chosen < 0.4:
                    client.ask("GET", f"/api/v2/account?limit={numbers.randrange(1, 200)}")
                else:
                    client.ask("GET", path)
            except http.client.HTTPException:
                return

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(at_once, served, CONNECTIONS, act)
        while time.monotonic() < end:
            time.sleep(min(20.0, max(0.1, end - time.monotonic())))
            print(f"{name}, {seconds - max(0.0, end - time.monotonic()):.0f} s: {mebibytes(pid):.1f} MiB", flush=True)
        print(f"{name}, answers {dict(running.result())}", flush=True)


def measure(name: str, url: str, folder: Path, seconds: float) -> None:
    """Measure on one database."""
    database = open_database(url, Vault(Keyring.generate()))
    migrations.upgrade(database)
    database.dispose()
    installation = Installation(folder, url)
    for step in ("load", "flood"):
        with Served(installation, ACCOUNTS_WORKERS="1") as served:
            (pid,) = served.workers()
            served.ask("GET", "/_searchguard/authinfo")
            print(f"{name}, started: {mebibytes(pid):.1f} MiB", flush=True)
            if step == "load" and seconds:
                mixed(served, pid, name, seconds)
            if step == "flood":
                flood(served, pid, name)


def main() -> None:
    """Measure both databases."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 180.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "accounts.db"
        SqliteDatabase.create(path)
        measure("SQLite", f"sqlite:///{path}", Path(folder) / "sqlite", seconds)
        server = PostgresServer()
        try:
            engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("CREATE DATABASE bench"))
            engine.dispose()
            url = make_url(server.url).set(database="bench").render_as_string(hide_password=False)
            measure("PostgreSQL", url, Path(folder) / "postgresql", seconds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
