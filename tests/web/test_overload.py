"""When too many hash passwords or wait for the writer, the next is told to come again and nobody else waits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import pytest

from accounts_service.families.signals import examples
from tests.support.installation import Installation
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"


@pytest.fixture
def two_threads(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    """Give a service of two threads, of which one may hash or write."""
    service = Service(Installation(tmp_path / "installation", sqlite_url), ACCOUNTS_THREADS="2")
    yield service
    service.close()


def test_hashing_never_takes_all_threads(two_threads: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    two_threads.put(EMAIL, examples.GOOD["email"], by="admin")
    hashing, done = threading.Event(), threading.Event()
    real = bcrypt.checkpw

    def slow(password: bytes, stored: bytes) -> bool:
        hashing.set()
        assert done.wait(30)
        return real(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(two_threads.get(EMAIL, by="reader").status_code))
    thread.start()
    assert hashing.wait(30)
    try:
        refused = two_threads.get(EMAIL, by="manager")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        unknown = two_threads.get(EMAIL, headers={"Authorization": "Basic bm9ib2R5Ong="}, by=None)
        assert unknown.status_code == 503
        # Who was recognised a moment ago needs no hash, and nobody to read the health.
        assert two_threads.get(EMAIL, by="admin").status_code == 200
        assert two_threads.get("/livez", by=None).status_code == 200
    finally:
        done.set()
        thread.join()
    assert first == [200]
    assert two_threads.get(EMAIL, by="manager").status_code == 200


def test_waiting_for_the_writer_never_takes_all_threads(two_threads: Service) -> None:
    two_threads.put(EMAIL, examples.GOOD["email"], by="admin")
    with two_threads.services.database.begin():
        refused = two_threads.put(EMAIL, examples.GOOD["email"], by="admin")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert two_threads.get(EMAIL, by="admin").status_code == 200
    assert two_threads.put(EMAIL, examples.GOOD["email"], by="admin").json["_version"] == 2
