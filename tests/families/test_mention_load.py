"""Many who guess passwords at once, at two workers: each is answered, and nobody else has to wait or to pay."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from accounts_service.access.passwords import MEMORY_KIB
from tests.families.test_netbird_races import serving
from tests.support.mention import furnish
from tests.support.mention_page import COOKIE, page_at
from tests.support.netbird import behind
from tests.support.served import Served

pytestmark = pytest.mark.usefixtures("socket_enabled")

GUESSES = 200
# What a worker hashes at once.
PLACES = 2
# What threads, connections and the interpreter take that have had nothing to do before.
SLACK_KIB = 80 * 1024


@pytest.fixture(params=("sqlite", "postgresql"))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Give the service as it is by default, but that one address may guess for longer."""
    with serving(request, tmp_path_factory, {}, ACCOUNTS_LOGIN_FAILURES_PER_NETWORK="1000") as server:
        yield server


@pytest.fixture
def names(served: Served) -> dict[str, str]:
    with behind(served) as services:
        return furnish(services)


class Guessing:
    """A browser of which many windows send the form."""

    def __init__(self, served: Served) -> None:
        self._served = served
        shown = served.ask("GET", page_at(), by=None)
        found = re.match(rf"{COOKIE}=[^;]+", shown.headers["Set-Cookie"])
        assert found is not None
        self._headers = {"Cookie": found[0], "Content-Type": "application/x-www-form-urlencoded"}
        (self._proof,) = set(re.findall(r'name="proof" value="([^"]*)"', shown.body.decode()))

    def guess(self, email: str) -> int:
        """Try a wrong password; gives the status."""
        fields = {"proof": self._proof, "action": "sign-in", "email": email, "password": "Wrongpass1"}
        return self._served.ask(
            "POST", page_at(), by=None, headers=self._headers, body=urlencode(fields).encode()
        ).status


def memory_kib(pid: int, what: str) -> int:
    """Read VmRSS, what a process has now, or VmHWM, the most that it has had."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def test_two_hundred_who_guess_at_once_are_answered_and_keep_nobody_from_reading(
    served: Served, names: dict[str, str]
) -> None:
    guessing = Guessing(served)
    headers = {"Authorization": f"Bearer {names['TOKEN_JOHN']}"}
    assert {guessing.guess("nobody@example.com") for _ in range(9)} == {400}
    workers = served.workers()
    before = {pid: memory_kib(pid, "VmRSS") for pid in workers}
    barrier, done = threading.Barrier(GUESSES + 4), threading.Event()

    def guess(number: int) -> int:
        barrier.wait()
        # Of each account some more than may be wrong.
        return guessing.guess("j.smith@nasa.com" if number % 8 == 0 else f"{number % 16}@example.com")

    def read() -> list[int]:
        barrier.wait()
        statuses = []
        while not done.is_set():
            statuses.append(served.ask("GET", "/accounts/me", by=None, headers=headers).status)
        return statuses

    with ThreadPoolExecutor(GUESSES + 4) as pool:
        reading = [pool.submit(read) for _ in range(4)]
        guesses = Counter(pool.map(guess, range(GUESSES)))
        done.set()
        reads = Counter(status for one in reading for status in one.result())
    assert set(guesses) <= {400, 429, 503}
    assert guesses[400] > 0
    assert guesses.total() == GUESSES
    assert set(reads) == {200}
    assert served.workers() == workers
    for pid in workers:
        assert memory_kib(pid, "VmHWM") - before[pid] <= PLACES * MEMORY_KIB + SLACK_KIB
    # And afterwards all is as it was.
    assert guessing.guess("another@example.com") == 400
