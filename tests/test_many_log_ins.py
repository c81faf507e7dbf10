"""A flood of wrong passwords beside correct log-ins, against the service as it is run."""

from __future__ import annotations

import base64
import http.client
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from accounts_service.access.authenticators.internal_users import hash_password
from tests.support import personas
from tests.support.installation import Installation
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")

USERS = tuple(f"user-{number}" for number in range(24))
PASSWORD = "correct-horse"  # of a test


def log_in(served: Served, name: str, password: str, source: str) -> int:
    """Log in from an address of this host; returns the status."""
    header = base64.b64encode(f"{name}:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60, source_address=(source, 0))
    with closing(connection):
        connection.request("GET", "/_searchguard/authinfo", headers={"Authorization": f"Basic {header}"})
        with closing(connection.getresponse()) as response:
            response.read()
            return response.status


@pytest.mark.parametrize("kind", ("sqlite", "postgresql"))
def test_ten_connections_that_guess_stop_none_of_24_log_ins(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    files = personas.configuration()
    # Dear enough that guesses and log-ins meet.
    stored = hash_password(PASSWORD, cost=6)
    files["sg_internal_users.yml"] = {name: {"hash": stored} for name in (*USERS, "admin")}
    installation = Installation(tmp_path / "installation", request.getfixturevalue(f"{kind}_url"), files)
    # However slow the machine is.
    with Served(installation, ACCOUNTS_WAIT_SECONDS="30", ACCOUNTS_LOGIN_FAILURES_PER_NETWORK="20") as served:
        done, begun = threading.Event(), threading.Barrier(11)

        def guess(number: int) -> Counter[tuple[str, int]]:
            """Guess a password from the users' own network, or passwords of made-up names from another one."""
            near, found, turn = number % 2 == 0, Counter[tuple[str, int]](), 0
            begun.wait(60)
            while turn < 6 or not done.is_set():
                turn += 1
                name = "admin" if near else f"nobody-{number}-{turn}"
                source = "127.0.0.1" if near else "127.0.0.2"
                found[source, log_in(served, name, f"guess-{number}-{turn}", source)] += 1
            return found

        with ThreadPoolExecutor(34) as pool:
            guesses = [pool.submit(guess, number) for number in range(10)]
            begun.wait(60)
            right = [pool.submit(log_in, served, name, PASSWORD, "127.0.0.1") for name in USERS]
            statuses = [one.result() for one in right]
            done.set()
            guessed = sum((one.result() for one in guesses), Counter())
        assert statuses == [200] * 24
        # In both workers together.
        assert {status for _, status in guessed} == {401, 429}
        assert (guessed["127.0.0.1", 401], guessed["127.0.0.2", 401]) == (10, 20)
