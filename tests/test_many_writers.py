"""Many callers at once on kept-alive connections, against the service as it is run: none is refused for the others."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from accounts_service.families.signals import examples
from tests.support import personas
from tests.support.installation import Installation
from tests.support.scale import FULL
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")

EMAIL = "/_signals/account/email"
# Sent by each connection; enough that all of them are at it at once.
EACH = 10


@pytest.fixture(params=("sqlite", "postgresql"))
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    """Return the service with its default settings."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    with Served(Installation(tmp_path / "installation", url)) as server:
        # Both callers are known, so that what is waited for is the writer alone.
        for by in ("admin", "manager"):
            assert server.ask("GET", "/_searchguard/authinfo", by=by).status == 200
        yield server


def send(served: Served, by: str, method: str, paths: list[str], body: object = None) -> Counter[int]:
    """Send requests one after the other on one connection; returns how often each status came."""
    headers = {**personas.authorization(by), "Content-Type": "application/json"}
    statuses: Counter[int] = Counter()
    with closing(served.connect()) as connection:
        for path in paths:
            raw = None if body is None else json.dumps(body).encode()
            connection.request(method, path, raw, headers if raw else personas.authorization(by))
            with closing(connection.getresponse()) as response:
                response.read()
                statuses[response.status] += 1
    return statuses


def at_once(tasks: list[Callable[[], Counter[int]]]) -> Counter[int]:
    """Run all tasks at the same moment; returns the sum of what they count."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], Counter[int]]) -> Counter[int]:
        barrier.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return sum(pool.map(run, tasks), Counter())


@pytest.mark.proof
@pytest.mark.parametrize("writers", (8, 16, 32) if FULL else (32,))
def test_every_write_of_many_connections_succeeds(served: Served, writers: int) -> None:
    def write(number: int) -> Counter[int]:
        paths = [f"{EMAIL}/{number}-{turn % 3}" for turn in range(EACH)]
        return send(served, "admin", "PUT", paths, examples.GOOD["email"])

    statuses = at_once([lambda number=number: write(number) for number in range(writers)])  # type: ignore[misc]  # a lambda's default
    assert statuses == {201: 3 * writers, 200: (EACH - 3) * writers}


def test_every_write_to_one_account_succeeds(served: Served) -> None:
    def write() -> Counter[int]:
        return send(served, "admin", "PUT", [f"{EMAIL}/one"] * EACH, examples.GOOD["email"])

    assert at_once([write] * 16) == {201: 1, 200: 16 * EACH - 1}


def test_sixteen_connections_of_one_user_refuse_no_write_of_another(served: Served) -> None:
    done = threading.Event()

    def flood(number: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        while not done.is_set():
            statuses += send(served, "admin", "PUT", [f"{EMAIL}/{number}"] * EACH, examples.GOOD["email"])
        return statuses

    def write() -> Counter[int]:
        try:
            return send(served, "manager", "PUT", [f"{EMAIL}/other"] * 30, examples.GOOD["email"])
        finally:
            done.set()

    with ThreadPoolExecutor(17) as pool:
        flooding = [pool.submit(flood, number) for number in range(16)]
        assert pool.submit(write).result() == {201: 1, 200: 29}
        assert set().union(*(one.result() for one in flooding)) == {200, 201}


def test_sixty_readers_of_one_secret_share_its_record(served: Served) -> None:
    served.ask("PUT", f"{EMAIL}/shown", body=examples.GOOD["email"] | {"user": "u", "password": "hunter2"})
    statuses = at_once([lambda: send(served, "admin", "GET", [f"{EMAIL}/shown"])] * 60)
    assert statuses == {200: 60}
    trail = served.ask("GET", "/_accounts/audit?action=cluster:admin:searchguard:signals:account/reveal").json
    assert len(trail["records"]) == 1


def test_reads_and_health_checks_are_answered_while_every_line_is_full(tmp_path: Path, sqlite_url: str) -> None:
    done = threading.Event()
    settings = {"ACCOUNTS_WORKERS": "1", "ACCOUNTS_THREADS": "16"}
    with Served(Installation(tmp_path / "installation", sqlite_url), **settings) as served:
        assert served.ask("PUT", f"{EMAIL}/read", body=examples.GOOD["email"]).status == 201

        def flood(number: int) -> Counter[int]:
            statuses: Counter[int] = Counter()
            while not done.is_set():
                statuses += send(served, "admin", "PUT", [f"{EMAIL}/{number}"] * EACH, examples.GOOD["email"])
            return statuses

        with ThreadPoolExecutor(40) as pool:
            flooding = [pool.submit(flood, number) for number in range(40)]
            try:
                read = send(served, "admin", "GET", [f"{EMAIL}/read", "/livez", "/readyz"] * 8)
            finally:
                done.set()
            statuses = set().union(*(one.result() for one in flooding))
    assert read == {200: 24}
    # The flood is more than this service has places for, and nobody but its sender is told so.
    assert statuses == {200, 201, 503}
