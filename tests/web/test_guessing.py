"""Attacks on passwords: how many guesses are checked, and who can still log in meanwhile."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import bcrypt
import pytest

from accounts_service import app
from tests.support import personas
from tests.support.installation import Installation
from tests.support.mention_page import Clock
from tests.support.service import Answer, Service

ATTACKER, HOME, OTHER = "192.0.2.7", "198.51.100.1", "203.0.113.9"
INFO = "/_searchguard/authinfo"
WINDOW_S = 900


@pytest.fixture
def clock(service: Service, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(service.services.database, "_clock", clock)
    return clock


@pytest.fixture
def strict(installation: Installation) -> Iterator[Callable[[], Service]]:
    """Return what starts a worker with low limits; all of them share the installation and a clock."""
    clock, started = Clock(), list[Service]()

    def start() -> Service:
        service = Service(
            installation,
            ACCOUNTS_LOGIN_FAILURES_PER_BOTH="3",
            ACCOUNTS_LOGIN_FAILURES_PER_NETWORK="10",
            ACCOUNTS_LOGIN_FAILURES_PER_USER="15",
        )
        service.services.database._clock = clock
        started.append(service)
        return service

    yield start
    for service in started:
        service.close()


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return the list of the passwords that were hashed."""
    found: list[bytes] = []
    check = bcrypt.checkpw

    def counted(password: bytes, stored: bytes) -> bool:
        found.append(password)
        return check(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    return found


def ask(service: Service, name: str, password: str | bytes | None = None, peer: str = HOME, path: str = INFO) -> Answer:
    """Log in; with the right password by default."""
    secret = personas.password(name) if password is None else password
    raw = name.encode() + b":" + (secret if isinstance(secret, bytes) else secret.encode())
    headers = {"Authorization": f"Basic {base64.b64encode(raw).decode()}"}
    return service.get(path, by=None, headers=headers, peer=peer)


def statuses(service: Service, name: str, times: int, peer: str = ATTACKER) -> list[int]:
    """Send wrong passwords, each another one."""
    return [ask(service, name, f"wrong-{number}", peer).status_code for number in range(times)]


def test_parallel_guesses_pass_the_limit_as_often_as_it_says(installation: Installation, hashed: list[bytes]) -> None:
    # However slow the machine is.
    service = Service(installation, ACCOUNTS_WAIT_SECONDS="30")
    service.services.database._clock = Clock()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: ask(service, "admin", f"guess-{number}", ATTACKER), range(100)))
    assert Counter(answer.status_code for answer in answers) == {401: 10, 429: 90}
    assert len(hashed) == 10
    assert {answer.headers["Retry-After"] for answer in answers if answer.status_code == 429} == {str(WINDOW_S)}
    # The right password is not checked there any longer; elsewhere the owner logs in.
    assert ask(service, "admin", peer=ATTACKER).status_code == 429
    assert ask(service, "admin", peer=HOME).status_code == 200
    # Other users of that network log in.
    assert ask(service, "reader", peer=ATTACKER).status_code == 200
    service.close()


def test_every_family_answers_a_limited_log_in_in_its_words(service: Service, clock: Clock) -> None:
    statuses(service, "admin", 10)
    clock.seconds += 100
    for path in (
        "/_signals/account/email/a",
        "/api/v2/account/user",
        "/api/users",
        "/mention/api/accounts/me",
        "/_accounts/explain?method=GET&path=/livez",
    ):
        answer = ask(service, "admin", peer=ATTACKER, path=path)
        assert (answer.status_code, answer.headers.get("Retry-After")) == (429, str(WINDOW_S - 100)), path
    clock.seconds += WINDOW_S - 100
    assert ask(service, "admin", peer=ATTACKER).status_code == 200


def test_network_that_guesses_many_names_is_stopped_but_for_users_known_there(
    strict: Callable[[], Service], hashed: list[bytes]
) -> None:
    service, other = strict(), strict()
    assert ask(service, "reader", peer=ATTACKER).status_code == 200
    found = [ask(service, f"nobody-{number}", "x", ATTACKER).status_code for number in range(15)]
    assert found == [401] * 10 + [429] * 5
    assert len(hashed) == 11
    # This worker remembers the password of `reader`; another one does not, and lets that user in as well.
    assert ask(other, "reader", peer=ATTACKER).status_code == 200
    assert ask(other, "manager", peer=ATTACKER).status_code == 429
    assert ask(other, "manager", peer=HOME).status_code == 200


def test_many_networks_do_not_lock_an_owner_out_of_a_known_network(strict: Callable[[], Service]) -> None:
    service, other = strict(), strict()
    assert ask(service, "admin", peer=HOME).status_code == 200
    for number in range(5):
        assert statuses(service, "admin", 4, f"192.0.2.{number}") == [401] * 3 + [429]
    assert statuses(service, "admin", 1, OTHER) == [429]
    assert ask(other, "admin", peer=HOME).status_code == 200
    # The limit of both holds there as well.
    assert statuses(other, "admin", 4, HOME) == [401] * 3 + [429]


@pytest.mark.usefixtures("clock")
def test_callers_without_an_address_have_limits_together(service: Service) -> None:
    assert statuses(service, "admin", 12, peer="") == [401] * 10 + [429] * 2
    assert ask(service, "admin", peer=HOME).status_code == 200


@pytest.mark.usefixtures("clock")
def test_password_with_nul_is_wrong_and_counted(service: Service) -> None:
    right = personas.password("admin").encode()
    forms = (right + b"\0", right + b"\0" + right, b"\0" + right, right + b"\0x", b"\0")
    assert [ask(service, "admin", form, ATTACKER).status_code for form in forms * 2] == [401] * 10
    assert ask(service, "admin", right, ATTACKER).status_code == 429


def test_callers_at_work_are_not_evicted_by_a_flood(strict: Callable[[], Service], hashed: list[bytes]) -> None:
    service = strict()
    assert ask(service, "admin", peer=ATTACKER).status_code == 200
    statuses(service, "admin", 4)
    assert [ask(service, f"nobody-{number}", "x", ATTACKER).status_code for number in range(8)] == [401] * 7 + [429]
    before = len(hashed)
    # Nothing is counted or hashed for a remembered password, so it works while the counts are held by another.
    with service.services.limits.begin():
        assert ask(service, "admin", peer=ATTACKER).status_code == 200
    assert len(hashed) == before


def test_limits_hold_while_counts_cannot_be_reached(installation: Installation) -> None:
    service = Service(installation)
    if installation.database_url.startswith("sqlite"):
        (installation.folder.parent / "accounts.db.limits").mkdir()
    else:
        with service.services.database.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE log_in_failure RENAME TO away")
    try:
        assert statuses(service, "admin", 12) == [401] * 10 + [429] * 2
        assert ask(service, "admin", peer=HOME).status_code == 200
    finally:
        if not installation.database_url.startswith("sqlite"):
            with service.services.database.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE away RENAME TO log_in_failure")
        service.close()


def test_limited_log_ins_are_on_record_as_failed_ones(service: Service, clock: Clock) -> None:
    for number in range(12):
        headers = {"Authorization": "Basic " + base64.b64encode(f"admin:wrong-{number}".encode()).decode()}
        service.get(INFO, by=None, headers=headers, peer=ATTACKER, buffered=True)
    clock.seconds += 60
    services = service.services
    jobs = {job.name: job.run for job in app.make_jobs(services.settings, services.database, services.limits)}
    jobs["attempts"](lambda: False)
    (record,) = service.audited()
    assert (record.act, record.object) == ("cluster:admin:signals:log-in/failed", f"from {ATTACKER}")
    assert json.loads(record.detail)["failed"] == 12
