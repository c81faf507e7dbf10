"""On record besides changes: who was refused a privilege, and from where log-ins have failed. Sums add up."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DataError

from accounts_service import app
from accounts_service.families.signals import examples
from accounts_service.storage.database import open_database
from accounts_service.storage.limits import TALLY, open_limits
from accounts_service.storage.sealed import Vault, load_keyring
from accounts_service.storage.tallies import OTHERS, Kind, Tallies
from accounts_service.storage.witness import SINGLE_REFUSALS, Records
from tests.storage.kit import sqlite
from tests.support import netbird, wavefront
from tests.support.installation import Installation
from tests.support.lines import occupied
from tests.support.mention_page import Clock
from tests.support.served import Served
from tests.support.service import Service

EMAIL = "/_signals/account/email/default"
PUT = "cluster:admin:searchguard:signals:account/put"
CANARY = "canary-77aa-of-a-password"
UUID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def clock(service: Service, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(service.services.database, "_clock", clock)
    return clock


def ask(service: Service, method: str, path: str, **options: Any) -> int:
    """Ask, and let all be done that is done when the answer is on its way."""
    return service.ask(method, path, buffered=True, **options).status_code


def job(service: Service) -> None:
    """Record what was counted."""
    services = service.services
    jobs = {job.name: job.run for job in app.make_jobs(services.settings, services.database, services.limits)}
    jobs["attempts"](lambda: False)


def told(service: Service) -> list[tuple[str, str, str, Any]]:
    """Read the trail: who, the act, about what, the detail."""
    return [(row.actor, row.act, row.object, json.loads(row.detail)) for row in service.audited()]


# -- Refusals -------------------------------------------------------------------


@pytest.mark.usefixtures("clock")
def test_who_is_refused_a_privilege_is_on_record_with_what_he_asked_for(service: Service) -> None:
    assert ask(service, "PUT", f"{EMAIL}?pretty=x", json={"password": CANARY}, by="reader") == 403
    assert ask(service, "GET", "/_signals/account/red/email/a", by="native") == 403
    assert ask(service, "GET", f"/api/v2/account/user/{UUID}", by="reader") == 403
    once = {"refused": True, "calls": 1}
    within = "cluster:admin:searchguard:tenant:signals:account/get/refused"
    found = told(service)
    assert found[:2] == [
        ("reader", f"{PUT}/refused", f"PUT {EMAIL}", once),
        ("native", within, "GET /_signals/account/red/email/a", once),
    ]
    assert found[2][2:] == ("GET /api/v2/account/user/<uuid>", once)
    assert {row.tenant for row in service.audited()} == {""}
    assert CANARY not in str(service.audited())
    # Nothing of this is a refused privilege, or about somebody.
    assert ask(service, "GET", EMAIL, by="reader") == 404
    assert ask(service, "GET", EMAIL, by=None) == 401
    assert ask(service, "GET", EMAIL, by="reader", headers={"_sg_x": "y"}) == 403
    assert len(service.audited()) == 3


@pytest.mark.usefixtures("clock")
def test_who_is_refused_beside_the_gate_is_on_record_as_well(service: Service) -> None:
    slack, body = "/_signals/account/slack/", examples.GOOD["slack"]
    for name in ("old", "new"):
        service.put(f"{slack}{name}", body)

    def allow(*actions: str) -> None:
        service.configure({"sg_roles.yml": {"manager": {"cluster_permissions": [*actions]}}})

    allow("SGS_SIGNALS_ALL")
    key = {"Idempotency-Key": "1"}
    assert ask(service, "PUT", f"{slack}mine", json=body, headers=key, by="manager") == 201
    allow("SGS_SIGNALS_ACCOUNT_MANAGE")
    before = len(service.audited())
    assert ask(service, "PUT", f"{slack}mine", json=body, headers=key, by="manager") == 403
    assert ask(service, "DELETE", f"{slack}old?replace_with=slack/new", by="manager") == 403
    assert ask(service, "GET", "/_accounts/explain?principal=admin&method=GET&path=/livez", by="manager") == 403
    assert [row[:3] for row in told(service)[before:]] == [
        ("manager", f"{PUT}/refused", f"PUT {slack}mine"),
        ("manager", "cluster:admin:accounts:reference/put/refused", f"DELETE {slack}old"),
        ("manager", "cluster:admin:accounts:explain/get/refused", "GET /_accounts/explain"),
    ]


@pytest.mark.usefixtures("clock")
def test_what_a_store_or_a_rule_of_a_family_refuses_is_on_record_as_what_the_route_asks_for(service: Service) -> None:
    plain = wavefront.bearer(wavefront.token_of(service, "plain@example.com"))
    names = netbird.furnish(service.services)
    before = len(service.audited())
    user, admin = "/api/v2/account/user", f"/api/users/{names['uid:owner']}/tokens"
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("GET", f"{user}/admin@example.com", plain),
        ("DELETE", f"/api/accounts/{names['A']}", {"Authorization": f"Token {names['pat:b_owner']}"}),
        ("GET", admin, {"Authorization": f"Token {names['pat:admin']}"}),
        ("GET", "/api/users", {"Authorization": f"Token {names['pat:blocked']}"}),
    ]
    for method, path, headers in asked:
        assert ask(service, method, path, headers={**headers, "Host": "localhost"}, by=None) == 403
    found = told(service)[before:]
    assert [about for _, _, about, _ in found] == [f"{method} {path}" for method, path, _ in asked]
    assert [act.removesuffix("/refused") for _, act, _, _ in found] == [
        "cluster:admin:wavefront:account/get",
        "cluster:admin:netbird:accounts/delete",
        "cluster:admin:netbird:pats/read",
        "cluster:admin:netbird:users/read",
    ]


@pytest.mark.usefixtures("clock")
def test_no_path_keeps_a_refusal_from_being_recorded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(service, "GET", f"/_signals/account/slack/%2500{UUID}", by="stranger") == 403
    assert [about for _, _, about, _ in told(service)] == ["GET /_signals/account/slack/\ufffd<uuid>"]

    def fail(*_: object) -> None:
        raise DataError("INSERT", {}, ValueError())

    monkeypatch.setattr(Records, "refused", fail)
    assert ask(service, "GET", EMAIL, by="stranger") == 403
    with service.services.limits.begin() as connection:
        (counted,) = connection.execute(select(TALLY.c.subject)).scalars()
    assert json.loads(counted)[1] == "stranger"


def test_of_many_refusals_some_have_records_and_the_others_are_counted(service: Service, clock: Clock) -> None:
    calls = SINGLE_REFUSALS + 20
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: ask(service, "PUT", EMAIL, json={}, by="reader"), range(calls))) == {403}
    single = told(service)
    assert 0 < len(single) <= SINGLE_REFUSALS
    job(service)  # The minute is not over.
    assert len(told(service)) == len(single)
    clock.seconds += 60
    for _ in range(2):
        job(service)
    (counted,) = told(service)[len(single) :]
    assert counted[:3] == ("reader", f"{PUT}/refused", f"{calls - len(single)} calls")
    assert counted[3] == {"refused": True, "calls": calls - len(single), "minute": "2027-01-15T08:00:00Z"}
    # In the next minute the first ones have records again.
    assert ask(service, "PUT", EMAIL, json={}, by="reader") == 403
    assert told(service)[-1][2] == f"PUT {EMAIL}"


def test_a_refusal_that_cannot_be_recorded_at_once_is_counted(service: Service, clock: Clock) -> None:
    with occupied(service.services.lines.refusing):
        for by in ("reader", "reader", "native"):
            assert ask(service, "PUT", EMAIL, json={}, by=by) == 403
        # It keeps nobody from writing.
        assert service.put(EMAIL, {"host": "h", "port": 25}).status_code == 201
    clock.seconds += 60
    job(service)
    assert [(who, about) for who, _, about, _ in told(service)[1:]] == [("native", "1 calls"), ("reader", "2 calls")]


# -- Log-ins --------------------------------------------------------------------


def failing(service: Service) -> list[int]:
    """Log in by each family's ways, with what is not good."""
    basic = {"Authorization": "Basic YWRtaW46Y2FuYXJ5LTc3YWEtb2YtYS1wYXNzd29yZA=="}
    ways: list[tuple[str, dict[str, str]]] = [
        (EMAIL, basic),
        (EMAIL, {"Authorization": "Bearer a.b.c"}),
        ("/api/v2/account", {"X-AUTH-TOKEN": "no-uuid"}),
        ("/api/v2/account", {"Authorization": f"Bearer {UUID}"}),
        ("/api/users", {"Authorization": "Token nbp_nobody"}),
        ("/mention/api/accounts/me", {"Authorization": "Bearer nobody"}),
        ("/mention/api/accounts/me?access_token=nobody", {}),
        ("/_accounts/references/signals/email/default", basic),
    ]
    return [ask(service, "GET", path, headers=headers, by=None) for path, headers in ways]


def test_failed_log_ins_of_all_families_are_one_record_for_each_source_family_and_minute(
    service: Service, clock: Clock
) -> None:
    service.configure(
        {
            "sg_authc.yml": {
                "auth_domains": [{"type": "basic/internal_users_db"}],
                "network": {"trusted_proxies": ["10.0.0.0/8"]},
            }
        }
    )
    assert failing(service) == [401] * 8
    # Nobody has tried anything here.
    for path in (EMAIL, "/api/v2/account", "/api/users", "/mention/api/accounts/me"):
        assert ask(service, "GET", path, by=None) == 401
    assert ask(service, "GET", EMAIL, by="admin") == 404
    bad = {"Authorization": "Basic bm9ib2R5Ong="}
    for hop in ("192.0.2.7", "192.0.2.7", "2001:db8:1:2ff::1", "2001:db8:1:200::2"):
        assert ask(service, "GET", EMAIL, headers={**bad, "X-Forwarded-For": hop}, by=None, peer="10.1.1.1") == 401
    assert service.audited() == []
    job(service)
    assert service.audited() == []
    clock.seconds += 60
    for _ in range(2):
        job(service)
    found = Counter({(act, about): detail["failed"] for _, act, about, detail in told(service)})
    assert found == {
        ("cluster:admin:signals:log-in/failed", "from 127.0.0.1"): 2,
        ("cluster:admin:wavefront:log-in/failed", "from 127.0.0.1"): 2,
        ("cluster:admin:netbird:log-in/failed", "from 127.0.0.1"): 1,
        ("cluster:admin:mention:log-in/failed", "from 127.0.0.1"): 2,
        ("cluster:admin:admin:log-in/failed", "from 127.0.0.1"): 1,
        ("cluster:admin:signals:log-in/failed", "from 192.0.2.7"): 2,
        ("cluster:admin:signals:log-in/failed", "from 2001:db8:1:200::/56"): 2,
    }
    assert {(who, detail["minute"]) for who, _, _, detail in told(service)} == {("jobs", "2027-01-15T08:00:00Z")}
    for word in ("canary", "nobody", UUID):
        assert word not in str(service.audited())


def test_who_comes_from_everywhere_fills_no_trail(service: Service, clock: Clock) -> None:
    tallies, kind = Tallies(service.services.limits), Kind("signals log-ins", 3)
    for number in (1, 2, 3, 4, 5, 1):
        tallies.count(kind, f"192.0.2.{number}")
    clock.seconds += 60
    assert [(tally.subject, tally.number) for tally in tallies.ended()] == [
        ("192.0.2.1", 2),
        ("192.0.2.2", 1),
        ("192.0.2.3", 1),
        (OTHERS, 2),
    ]
    tally = tallies.ended()[0]
    # What somebody adds whose clock is behind is told, too.
    clock.seconds -= 60
    tallies.count(kind, tally.subject)
    clock.seconds += 60
    tallies.tell(tally)
    assert tallies.ended()[0].number == 1
    # A minute that is yet to come is over.
    clock.seconds -= 3600
    assert len(tallies.ended()) == 4
    tallies.count(Kind("signals refusals", 0), '["realm", "name", "act"]')
    clock.seconds += 60
    job(service)
    assert [(who, act, about) for who, act, about, _ in told(service)][-2:] == [
        ("jobs", "cluster:admin:signals:log-in/failed", f"from {OTHERS}"),
        ("jobs", "cluster:admin:signals:others/refused", "1 calls"),
    ]


def test_what_cannot_be_counted_is_in_the_log(
    tmp_path: Path, sqlite_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    service = Service(Installation(tmp_path / "installation", sqlite_url))
    Path(f"{sqlite(service.services.database).path}.limits").mkdir()
    with occupied(service.services.lines.refusing):
        assert ask(service, "PUT", EMAIL, json={}, by="reader") == 403
    assert failing(service) == [401] * 8
    assert "".join(capfd.readouterr()).count("witness.not_counted") == 9
    service.close()


@pytest.mark.usefixtures("socket_enabled")
def test_failed_log_ins_of_two_workers_add_up(tmp_path: Path, sqlite_url: str) -> None:
    """Two workers count in one place, and what they have counted outlasts them."""
    installation = Installation(tmp_path / "installation", sqlite_url)
    with Served(installation) as served, ThreadPoolExecutor(4) as pool:
        assert len(served.workers()) == 2
        asked = [
            pool.submit(served.ask, "GET", "/api/v2/account", by=None, headers={"X-AUTH-TOKEN": "no"})
            for _ in range(24)
        ]
        assert {one.result().status for one in asked} == {401}
        # They count once they have answered.
        served.end()
    vault = Vault(load_keyring(installation.keys_file))
    database = open_database(installation.database_url, vault, clock=lambda: time.time() + 120)
    ended = Tallies(open_limits(database, vault)).ended()
    assert {(tally.kind, tally.subject) for tally in ended} == {("wavefront log-ins", "127.0.0.1")}
    assert sum(tally.number for tally in ended) == 24
    database.dispose()
