"""Creates that are sent till they are answered, while workers are killed: each is done once."""

from __future__ import annotations

import http.client
import os
import signal
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import wavefront
from tests.support.scale import scaled
from tests.support.served import Answer, Served

CREATES, CLIENTS, KILL_EVERY = scaled(200, 10_000), 8, 100
DEADLINE_SECONDS = scaled(100, 1800)
COME_AGAIN = (409, 503)


def created(served: Served, headers: dict[str, str], number: int, deadline: float) -> Answer:
    """Make a group, which may be called like another, and go on till it is answered."""
    sent = {**headers, "Idempotency-Key": uuid.uuid4().hex}
    while True:
        try:
            answer = served.ask("POST", "/api/v2/usergroup", by=None, headers=sent, body={"name": f"{number}"})
        except (OSError, http.client.HTTPException):
            answer = None  # Killed before or after it was done; nobody knows.
        if answer is not None and answer.status not in COME_AGAIN:
            return answer
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.proof
@pytest.mark.timeout(2 * DEADLINE_SECONDS)
def test_no_retried_create_is_done_twice_or_lost_when_workers_are_killed(served: Served) -> None:
    headers = wavefront.bearer(wavefront.admin_of(served))
    deadline, killed = time.monotonic() + DEADLINE_SECONDS, 0

    def create(number: int) -> Answer:
        nonlocal killed
        if number % KILL_EVERY == KILL_EVERY // 2 and (workers := served.workers()):
            os.kill(workers[number // KILL_EVERY % len(workers)], signal.SIGKILL)
            killed += 1
        return created(served, headers, number, deadline)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(create, range(CREATES)))
    assert {answer.status for answer in answers} == {200}
    identifiers = {answer.json["response"]["id"] for answer in answers}
    assert (len(identifiers), killed) == (CREATES, CREATES // KILL_EVERY)
    there: list[str] = []
    page = {"moreItems": True}
    while page["moreItems"]:
        path = f"/api/v2/usergroup?offset={len(there)}&limit=1000"
        page = served.ask("GET", path, by=None, headers=headers).json["response"]
        there += [group["id"] for group in page["items"]]
    assert sorted(there) == sorted((*identifiers, wavefront.EVERYONE, wavefront.SERVICE_ACCOUNTS))
