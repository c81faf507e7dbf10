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
def few_threads(tmp_path: Path, sqlite_url: str) -> Iterator[Service]:
    """Give a service of four threads, of which one may hash and one may write."""
    service = Service(Installation(tmp_path / "installation", sqlite_url), ACCOUNTS_THREADS="4")
    yield service
    service.close()


def test_hashing_never_takes_all_threads(few_threads: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    few_threads.put(EMAIL, examples.GOOD["email"], by="admin")
    hashing, done = threading.Event(), threading.Event()
    real = bcrypt.checkpw

    def slow(password: bytes, stored: bytes) -> bool:
        hashing.set()
        assert done.wait(30)
        return real(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    first: list[int] = []
    thread = threading.Thread(target=lambda: first.append(few_threads.get(EMAIL, by="reader").status_code))
    thread.start()
    assert hashing.wait(30)
    try:
        refused = few_threads.get(EMAIL, by="manager")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        # Nor does it keep anybody from writing.
        assert few_threads.put(EMAIL, examples.GOOD["email"], by="admin").status_code == 200
        unknown = few_threads.get(EMAIL, headers={"Authorization": "Basic bm9ib2R5Ong="}, by=None)
        assert unknown.status_code == 503
        # Who was recognised a moment ago needs no hash, and nobody to read the health.
        assert few_threads.get(EMAIL, by="admin").status_code == 200
        assert few_threads.get("/livez", by=None).status_code == 200
    finally:
        done.set()
        thread.join()
    assert first == [200]
    assert few_threads.get(EMAIL, by="manager").status_code == 200


def test_waiting_for_the_writer_never_takes_all_threads(few_threads: Service) -> None:
    few_threads.put(EMAIL, examples.GOOD["email"], by="admin")
    with few_threads.services.database.begin():
        refused = few_threads.put(EMAIL, examples.GOOD["email"], by="admin")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert few_threads.get(EMAIL, by="admin").status_code == 200
    assert few_threads.put(EMAIL, examples.GOOD["email"], by="admin").json["_version"] == 2
