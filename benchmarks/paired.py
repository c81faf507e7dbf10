"""What a change costs: `PYTHONPATH=. .venv/bin/python benchmarks/paired.py OTHER`.

OTHER is a checkout of another commit, with an environment of its own (`make install`
there). Serves both with one worker each, on SQLite and PostgreSQL (both on this
machine; PostgreSQL without fsync), and sends blocks of the same requests to one
and the other by turns. Prints the processor time that the workers spent on a
request, and the median of the differences between neighbouring blocks.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url, text

from accounts_service.families.signals import examples
from accounts_service.storage.database import SqliteDatabase
from tests.support import personas
from tests.support.installation import Installation
from tests.support.postgres import PostgresServer

BLOCKS = 30
REQUESTS = {"GET": 300, "PUT": 150}
PATH = "/_signals/account/email/paired"


@dataclass(frozen=True, slots=True)
class Server:
    """A running service with one worker, and a connection to it."""

    worker: int
    connection: http.client.HTTPConnection

    def spent_us(self, method: str) -> float:
        """Send a block of requests; return the processor time of one in microseconds."""
        headers = {**personas.authorization("admin"), "Content-Type": "application/json"}
        body = json.dumps(examples.GOOD["email"]) if method == "PUT" else None
        self.connection.close()  # It may have been idle for longer than the server keeps one.
        before = self._processor_ns()
        for _ in range(REQUESTS[method]):
            self.connection.request(method, PATH, body, headers)
            response = self.connection.getresponse()
            response.read()
            if response.status not in (200, 201):
                raise SystemExit(f"{method} was answered with {response.status}")
        return (self._processor_ns() - before) / REQUESTS[method] / 1000

    def _processor_ns(self) -> int:
        """Sum the processor time of all threads (https://docs.kernel.org/scheduler/sched-stats.html, schedstat)."""
        tasks = Path(f"/proc/{self.worker}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


@contextmanager
def serving(checkout: Path, url: str, folder: Path) -> Iterator[Server]:
    """Serve a checkout on an empty database."""
    installation = Installation(folder, url)
    environment = installation.environment(ACCOUNTS_WORKERS="1")
    command = checkout / ".venv" / "bin" / "accounts-service"
    subprocess.run([command, "db", "upgrade"], env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    log = folder / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen([command, "serve"], env=environment, cwd=folder, stdout=out, stderr=out)
    try:
        port = _port_in(log)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Server(int(children[0]), http.client.HTTPConnection("127.0.0.1", port, timeout=60))
    finally:
        process.terminate()
        process.wait()


def _port_in(log: Path) -> int:
    said = ""
    for _ in range(600):
        said = log.read_text()
        if (found := re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", said)) and "Booting worker" in said:
            return int(found[1])
        time.sleep(0.1)
    raise SystemExit(f"the service did not start:\n{said}")


def compare(name: str, ours: Server, theirs: Server) -> None:
    """Print one line a method."""
    for method in ("PUT", "GET"):
        for server in (ours, theirs):
            server.spent_us(method)
        pairs = []
        for block in range(BLOCKS):
            # Each goes first as often as the other.
            if block % 2:
                own, other = ours.spent_us(method), theirs.spent_us(method)
            else:
                other, own = theirs.spent_us(method), ours.spent_us(method)
            pairs.append((own, other))
        own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        change = statistics.median(own / other - 1 for own, other in pairs)
        print(f"{name:11} {method} {own:6.0f} us, before {other:6.0f} us: {change:+.1%}")


def main() -> None:
    """Compare this checkout with the one that is named on the command line."""
    if len(sys.argv) != 2:
        raise SystemExit("name the folder of the other checkout")
    checkouts = (Path(), Path(sys.argv[1]))
    server = PostgresServer()
    try:
        for kind in ("sqlite", "postgresql"):
            with tempfile.TemporaryDirectory() as folder:
                urls = []
                for number in range(len(checkouts)):
                    if kind == "sqlite":
                        path = Path(folder) / f"{number}.db"
                        SqliteDatabase.create(path)
                        urls.append(f"sqlite:///{path}")
                    else:
                        with create_engine(server.url, isolation_level="AUTOCOMMIT").connect() as connection:
                            connection.execute(text(f"CREATE DATABASE paired{number}"))
                        url = make_url(server.url).set(database=f"paired{number}")
                        urls.append(url.render_as_string(hide_password=False))
                here, there = (
                    serving(checkout.resolve(), url, Path(folder) / f"installation{number}")
                    for number, (checkout, url) in enumerate(zip(checkouts, urls, strict=True))
                )
                with here as ours, there as theirs:
                    compare(kind, ours, theirs)
    finally:
        server.stop()


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)  # Each command finds its own checkout.
    main()
