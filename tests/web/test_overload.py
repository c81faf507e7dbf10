"""Requests that wait for a hash or for the writer are served in turns, and keep nobody from reading."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import bcrypt
import pytest

from accounts_service.access.roles import REALM
from accounts_service.families.signals import examples
from tests.support.installation import Installation
from tests.support.lines import occupied
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"
UNKNOWN = {"Authorization": "Basic bm9ib2R5Ong="}


@pytest.fixture
def narrow(installation: Installation) -> Iterator[Service]:
    """Return a service that hashes one password at a time and in which two threads may write or wait to write."""
    service = Service(
        installation,
        ACCOUNTS_HASHES_AT_ONCE="1",
        ACCOUNTS_HASH_PLACES="1",
        ACCOUNTS_WRITER_PLACES="1",
        ACCOUNTS_DATABASE_CONNECTIONS="4",
    )
    yield service
    service.close()


def test_full_hashing_line_is_503_and_keeps_nobody_known_waiting(narrow: Service) -> None:
    narrow.put(EMAIL, examples.GOOD["email"], by="admin")
    with occupied(narrow.services.lines.hashing):
        for answer in (narrow.get(EMAIL, by="manager"), narrow.get(EMAIL, headers=UNKNOWN, by=None)):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        # A caller who was recognised a moment ago needs no hash, and health checks need no caller.
        assert narrow.put(EMAIL, examples.GOOD["email"], by="admin").status_code == 200
        assert narrow.get("/livez", by=None).status_code == 200
    assert narrow.get(EMAIL, by="manager").status_code == 200


def test_full_writers_line_is_503_and_keeps_nobody_from_reading(narrow: Service) -> None:
    narrow.put(EMAIL, examples.GOOD["email"], by="admin")
    turns = 1 if narrow.installation.database_url.startswith("sqlite") else 2
    with occupied(narrow.services.database.writers, turns):
        refused = narrow.put(EMAIL, examples.GOOD["email"], by="admin")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert narrow.get(EMAIL, by="admin").status_code == 200
        assert narrow.get("/readyz", by=None).status_code == 200
    assert narrow.put(EMAIL, examples.GOOD["email"], by="admin").json["_version"] == 2


def test_caller_with_slow_reads_leaves_connections_to_others(narrow: Service) -> None:
    """One caller has half of the turns to read, whatever its queries take; the others are read for meanwhile."""
    narrow.put(EMAIL, examples.GOOD["email"], by="admin")
    readers = narrow.services.database.readers
    assert narrow.get(EMAIL, by="manager").status_code == 200
    with ThreadPoolExecutor(1) as pool, ExitStack() as slow:
        # As a query of the administrator that runs for long.
        slow.enter_context(readers.turn((REALM, "admin")))
        waits = pool.submit(lambda: narrow.get(EMAIL, by="admin").status_code)
        while not readers.waiting:
            pass
        assert narrow.get(EMAIL, by="manager").status_code == 200
        assert narrow.get("/readyz", by=None).status_code == 200
        slow.close()
        assert waits.result() == 200


def test_many_connections_with_one_password_hash_it_once(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(installation, ACCOUNTS_HASHES_AT_ONCE="1")
    hashed: list[bytes] = []
    all_wait = threading.Event()
    real = bcrypt.checkpw

    def slow(password: bytes, stored: bytes) -> bool:
        hashed.append(password)
        assert all_wait.wait(30)
        return real(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(lambda: service.get("/_searchguard/authinfo").status_code) for _ in range(8)]
        while service.services.lines.hashing.waiting < 7:
            pass
        all_wait.set()
        assert [one.result() for one in asked] == [200] * 8
    assert len(hashed) == 1
    service.close()
