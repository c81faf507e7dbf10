"""Who is shown secrets of Signals in clear is on record before the answer; what cannot be recorded is not shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text, update

from accounts_service import app
from accounts_service.faults import Json
from accounts_service.storage import reveals as module
from accounts_service.storage.audit import AUDIT_REVEAL
from accounts_service.storage.database import TransactionRefusedError
from accounts_service.storage.sealed import REFERENCE
from accounts_service.storage.verification import verify
from tests.storage.kit import rows
from tests.support.installation import Installation
from tests.support.lines import occupied
from tests.support.mention_page import Clock
from tests.support.service import Answer, Service

EMAIL, OF_BLUE = "/_signals/account/email/default", "/_signals/account/blue/email/default"
SEARCH, SEARCH_BLUE = "/_signals/account/_search", "/_signals/account/blue/_search"
CANARY = "canary-5e1d-of-a-secret"
BODY: dict[str, Json] = {"host": "mail.example", "port": 25, "user": "u", "password": CANARY}
GLOBALLY = "cluster:admin:searchguard:signals:account/reveal"
WITHIN = "cluster:admin:searchguard:tenant:signals:account/reveal"


@pytest.fixture
def clock(service: Service, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(service.services.database, "_clock", clock)
    return clock


def reveals(service: Service) -> list[Any]:
    """Read what is on record of secrets that were shown."""
    return [row for row in service.audited() if row.act in (GLOBALLY, WITHIN)]


def secret_of(answer: Answer) -> str:
    """Read the secret of an answer about one account."""
    assert answer.status_code == 200, answer.text
    return str(answer.json["_source"]["password"])


def test_a_reveal_is_recorded_once_in_ten_minutes_for_each_principal_object_and_version(
    service: Service, clock: Clock
) -> None:
    tag = service.put(EMAIL, BODY).headers["ETag"]
    unchanged = service.get(EMAIL, headers={"If-None-Match": tag})
    assert (unchanged.status_code, reveals(service)) == (304, [])
    for path in (EMAIL, EMAIL, "/_signals/account/default"):
        answer = service.get(path, headers={"X-Request-ID": "request-of-who-saw"})
        assert secret_of(answer) == CANARY
    (first,) = reveals(service)
    assert (first.family, first.tenant, first.actor, first.act) == ("signals", "", "admin", GLOBALLY)
    assert (first.object, first.version, first.request_id) == ("email/default", 1, "request-of-who-saw")
    # Nobody reads in the table who it was.
    (recent,) = rows(service.services.database, AUDIT_REVEAL)
    assert (recent.uid, recent.version) == (first.uid, 1)
    assert "admin" not in recent.actor
    assert secret_of(service.get(EMAIL, by="revealer")) == CANARY
    service.put(EMAIL, BODY)
    assert secret_of(service.get(EMAIL)) == CANARY
    assert [(row.actor, row.version) for row in reveals(service)] == [("admin", 1), ("revealer", 1), ("admin", 2)]
    clock.seconds += 599
    service.get(EMAIL)
    assert len(reveals(service)) == 3
    clock.seconds += 1
    service.get(EMAIL)
    assert len(reveals(service)) == 4
    # Another process read its clock before the one that has recorded it.
    clock.seconds -= 60
    service.get(EMAIL)
    assert len(reveals(service)) == 4
    clock.seconds += 60
    # A clock that was wrong keeps nothing from being recorded.
    clock.seconds -= 3600
    service.get(EMAIL)
    assert len(reveals(service)) == 5
    service.put(OF_BLUE, BODY)
    assert secret_of(service.get(OF_BLUE)) == CANARY
    assert [(row.tenant, row.act, row.object) for row in reveals(service)[5:]] == [
        ("blue", WITHIN, "blue/email/default")
    ]
    assert CANARY not in str(service.audited())


@pytest.mark.usefixtures("clock")
def test_a_row_that_somebody_made_up_keeps_no_reveal_out_of_the_trail(service: Service) -> None:
    database, other = service.services.database, f"{EMAIL}2"
    service.put(EMAIL, BODY)
    service.put(other, BODY)
    uid_of_other = service.audited()[-1].uid
    service.get(EMAIL)
    (genuine,) = rows(database, AUDIT_REVEAL)
    with database.begin() as connection:
        connection.execute(insert(AUDIT_REVEAL).values(genuine._asdict() | {"uid": uid_of_other}))
    # Together with one that is genuine, and by itself; then there is one of ours.
    assert service.ask("POST", SEARCH, json={}).text.count(CANARY) == 2
    assert [row.object for row in reveals(service)] == ["email/default", "email/default2"]
    with database.begin() as connection:
        connection.execute(update(AUDIT_REVEAL).values(at_us=AUDIT_REVEAL.c.at_us - 1))
    for _ in range(2):
        assert secret_of(service.get(other)) == CANARY
    assert [row.object for row in reveals(service)][2:] == ["email/default2"]


def test_what_was_shown_long_ago_is_forgotten(service: Service, clock: Clock) -> None:
    services = service.services
    jobs = {job.name: job.run for job in app.make_jobs(services.settings, services.database, services.limits)}
    service.put(EMAIL, BODY)
    service.get(EMAIL)
    clock.seconds += 599
    jobs["reveals-forgotten"](lambda: False)
    assert len(rows(services.database, AUDIT_REVEAL)) == 1
    clock.seconds += 1
    jobs["reveals-forgotten"](lambda: False)
    assert rows(services.database, AUDIT_REVEAL) == []


@pytest.mark.usefixtures("clock")
def test_a_search_has_one_record_a_tenant_that_lists_what_it_shows(service: Service) -> None:
    for name in ("a", "b", "c"):
        service.put(f"/_signals/account/email/{name}", BODY)
    service.put("/_signals/account/slack/without", {"url": "https://hooks.slack.example/x"})
    service.put("/_signals/account/email/open", {"host": "h", "port": 25})
    service.put(OF_BLUE, BODY)
    # None of these shows a secret.
    for source in ({"_source": False}, {"_source": ["_name", "host"]}, {"_source": {"excludes": ["password", "url"]}}):
        assert CANARY not in service.ask("POST", SEARCH, json=source).text
    assert service.ask("POST", SEARCH, json={}, by="reader").text.count("secret:") == 4
    assert reveals(service) == []
    page = service.ask("POST", SEARCH + "?scroll=60s", json={"size": 2, "sort": ["_name.keyword"]})
    assert page.text.count(CANARY) == 2
    (row,) = reveals(service)
    accounts = json.loads(row.detail)["accounts"]
    assert (row.object, row.uid, row.version, row.act) == ("2 accounts", "", 0, GLOBALLY)
    assert [(one["object"], one["version"]) for one in accounts] == [("email/a", 1), ("email/b", 1)]
    # The next page has one that is new and one without secrets: it is told as by itself.
    service.ask("POST", "/_search/scroll", json={"scroll": "60s", "scroll_id": page.json["_scroll_id"]})
    assert [row.object for row in reveals(service)] == ["2 accounts", "email/c"]
    both = service.ask("POST", SEARCH_BLUE, json={})
    assert both.text.count(CANARY) == 4
    assert [(row.tenant, row.act, row.object) for row in reveals(service)[2:]] == [
        ("", GLOBALLY, "slack/without"),
        ("blue", WITHIN, "blue/email/default"),
    ]
    service.ask("POST", SEARCH_BLUE, json={})
    assert len(reveals(service)) == 4
    assert CANARY not in str(service.audited())


def test_what_a_search_shows_is_listed_in_as_many_records_as_it_takes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.MOST_LISTED == 100
    monkeypatch.setattr(module, "MOST_LISTED", 2)
    for name in "abcde":
        service.put(f"/_signals/account/email/{name}", BODY)
    assert service.ask("POST", SEARCH, json={"sort": ["_name.keyword"]}).text.count(CANARY) == 5
    first, second, last = reveals(service)
    assert (first.object, second.object, last.object) == ("2 accounts", "2 accounts", "email/e")
    assert len({row.request_id for row in (first, second, last)}) == 1
    listed = [one["object"] for row in (first, second) for one in json.loads(row.detail)["accounts"]]
    assert listed == ["email/a", "email/b", "email/c", "email/d"]
    assert verify(service.services.database, app.STORED).ok


def test_where_every_reader_sees_secrets_every_reader_is_on_record(installation: Installation) -> None:
    service = Service(installation, ACCOUNTS_SIGNALS_SECRETS_IN_READS="clear")
    service.put(EMAIL, BODY)
    assert secret_of(service.get(EMAIL, by="reader")) == CANARY
    assert CANARY in service.ask("POST", SEARCH, json={}, by="manager").text
    assert [(row.actor, row.act, row.object) for row in reveals(service)] == [
        ("reader", GLOBALLY, "email/default"),
        ("manager", GLOBALLY, "email/default"),
    ]
    service.close()


def assert_withheld(service: Service) -> None:
    """Be sure that secrets that cannot be recorded as shown are refused, and references are not."""
    before = len(service.audited())
    for answer in (service.get(EMAIL), service.get("/_signals/account/default"), service.ask("POST", SEARCH, json={})):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert CANARY not in answer.text
    assert REFERENCE.match(secret_of(service.get(EMAIL, by="reader")))
    assert len(service.audited()) == before


def refusals(service: Service) -> tuple[str, ...]:
    """Name the ways to keep everybody from writing: the turn of SQLite; a standby of PostgreSQL, and a role there."""
    if service.installation.database_url.startswith("sqlite"):
        return ("turn",)
    return "default_transaction_read_only = on", "role = pg_read_all_data"


@contextmanager
def nobody_writes(service: Service, refusing: str) -> Iterator[None]:
    """Keep everybody from writing, by a turn that somebody has or by a setting of the server."""
    database: Any = service.services.database
    if refusing == "turn":
        database._turnstile._timeout = 0.05
        with database.begin():
            yield
        return
    engine = create_engine(service.installation.database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar_one()
        connection.execute(text(f"ALTER DATABASE {name} SET {refusing}"))
        database.dispose()
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {name} RESET ALL"))
            database.dispose()
    engine.dispose()


def test_what_cannot_be_recorded_is_not_shown(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.put(EMAIL, BODY)
    for refusing in refusals(service):
        with nobody_writes(service, refusing):
            assert_withheld(service)
            assert service.put(EMAIL, BODY).status_code == 503
    with monkeypatch.context() as patched:

        def lost(*_: object) -> None:
            raise TransactionRefusedError

        patched.setattr(service.services.database, "transaction", lost)
        patched.setattr("accounts_service.storage.database.pause_after", lambda _: 0)
        assert_withheld(service)
    assert secret_of(service.get(EMAIL)) == CANARY
    assert len(reveals(service)) == 1


def test_who_has_references_is_shown_secrets_as_soon_as_he_may_see_them(service: Service) -> None:
    service.put(EMAIL, BODY)
    for path, body in ((EMAIL, BODY), ("/_signals/account/default", {"type": "email", **BODY})):
        references, clear = (service.get(path, by=by).headers["ETag"] for by in ("reader", "admin"))
        assert service.get(path, by="reader", headers={"If-None-Match": references}).status_code == 304
        assert service.get(path, headers={"If-None-Match": clear}).status_code == 304
        assert secret_of(service.get(path, headers={"If-None-Match": references})) == CANARY
        assert REFERENCE.match(secret_of(service.get(path, by="reader", headers={"If-None-Match": clear})))
        # Either names the version that a change is one of.
        for tag in (references, clear):
            assert service.put(path, body, headers={"If-None-Match": tag}).status_code == 412
        assert service.put(path, body, headers={"If-Match": references}).status_code == 200
        assert service.put(path, body, headers={"If-Match": references}).status_code == 412


def test_full_writers_line_keeps_no_disclosure_from_being_recorded(service: Service) -> None:
    service.put(EMAIL, BODY)
    with occupied(service.services.database.writers):
        assert secret_of(service.get(EMAIL)) == CANARY
    assert len(reveals(service)) == 1


def test_full_disclosure_line_refuses_a_reader_and_no_writer(installation: Installation) -> None:
    service = Service(installation, ACCOUNTS_DISCLOSURE_PLACES="1")
    service.put(EMAIL, BODY)
    with occupied(service.services.lines.disclosing):
        assert_withheld(service)
        assert service.put(EMAIL, BODY).status_code == 200
    service.close()
