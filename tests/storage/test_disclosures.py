"""Disclosures that wait together are recorded together, each in its author's name."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import DBAPIError

from accounts_service.faults import Overloaded, RefusedError, Unavailable
from accounts_service.lines import Line
from accounts_service.storage.audit import Author
from accounts_service.storage.database import Database
from accounts_service.storage.disclosures import Disclosures
from accounts_service.storage.reveals import Disclosure, Reveal, Reveals, who_of
from tests.storage.kit import VAULT, audited, opened

FAMILY = "signals"


def disclosure(name: str, *uids: str) -> Disclosure:
    """Return the disclosure of accounts to a reader of this name."""
    author = Author("realm", name, f"request of {name}")
    reveals = tuple(Reveal("", "reveal", f"email/{uid}", uid, 1, f"email/{uid}") for uid in uids)
    return Disclosure(FAMILY, author, who_of(VAULT, author), reveals)


def recorded(database: Database) -> Counter[tuple[str, str]]:
    """Count records by actor and object."""
    return Counter((row.actor, row.object) for row in audited(database))


def at_once(database: Database, line: Line, disclosures: list[Disclosure]) -> list[object]:
    """Record disclosures in threads that all wait before the first has its turn; returns what each raised, or None."""
    recording = Disclosures(database, line)

    def record(one: Disclosure) -> object:
        try:
            recording.record(one)
        except (RefusedError, UnicodeError, DBAPIError) as error:
            return error
        return None

    with ThreadPoolExecutor(len(disclosures)) as pool:
        with line.turn("tests"):
            futures = [pool.submit(record, one) for one in disclosures]
            while line.waiting < len(disclosures):
                pass
        return [future.result() for future in futures]


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note how many disclosures each transaction records."""
    together: list[int] = []
    real = Reveals.record_together

    def counted(store: Reveals, disclosures: list[Disclosure]) -> None:
        together.append(len(disclosures))
        real(store, disclosures)

    monkeypatch.setattr(Reveals, "record_together", counted)
    return together


def test_readers_of_one_principal_share_one_record(database_url: str, transactions: list[int]) -> None:
    with opened(database_url) as database:
        assert at_once(database, Line(1, 64, 60), [disclosure("ann", "x")] * 30) == [None] * 30
        assert recorded(database) == {("ann", "email/x"): 1}
    assert transactions == [30]


def test_principals_have_a_record_each_in_one_transaction(database_url: str, transactions: list[int]) -> None:
    names = [f"reader {number}" for number in range(30)]
    with opened(database_url) as database:
        assert at_once(database, Line(1, 64, 60), [disclosure(name, "x") for name in names]) == [None] * 30
        assert recorded(database) == {(name, "email/x"): 1 for name in names}
        assert {row.request_id for row in audited(database)} == {f"request of {name}" for name in names}
    assert transactions == [30]


def test_large_disclosure_is_recorded_by_itself(database_url: str, transactions: list[int]) -> None:
    many = disclosure("ann", *map(str, range(1001)))
    with opened(database_url) as database:
        assert at_once(database, Line(1, 64, 60), [many, disclosure("bob", "x")]) == [None] * 2
        assert recorded(database)["bob", "email/x"] == 1
    assert transactions == [1, 1]


def test_outage_refuses_every_reader(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise RefusedError(Unavailable())

    monkeypatch.setattr(Reveals, "record_together", away)
    with opened(database_url) as database:
        outcomes = at_once(database, Line(1, 64, 60), [disclosure("ann", "x"), disclosure("bob", "y")])
        assert [one.fault for one in outcomes if isinstance(one, RefusedError)] == [Unavailable()] * 2
        assert recorded(database) == {}


def test_bug_in_one_disclosure_fails_no_other_reader(database_url: str) -> None:
    broken = disclosure("eve", "\ud800")  # No text that a database takes.
    with opened(database_url) as database:
        ann, eve, bob = at_once(database, Line(1, 64, 60), [disclosure("ann", "x"), broken, disclosure("bob", "x")])
        assert (ann, bob) == (None, None)
        assert eve is not None
        assert recorded(database) == {("ann", "email/x"): 1, ("bob", "email/x"): 1}


def test_reader_who_gives_up_is_refused_and_not_recorded(database_url: str) -> None:
    with opened(database_url) as database:
        line = Line(1, 64, 0.05)
        recording = Disclosures(database, line)
        with line.turn("tests"), ThreadPoolExecutor(1) as pool:
            refused = pool.submit(recording.record, disclosure("ann", "x")).exception()
        assert isinstance(refused, RefusedError)
        assert isinstance(refused.fault, Overloaded)
        recording.record(disclosure("bob", "x"))
        assert recorded(database) == {("bob", "email/x"): 1}
