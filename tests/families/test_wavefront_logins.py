"""When an account last asked for something, and what single sign-on calls it: `lastSuccessfulLogin` and `ssoId`."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import NoReturn

import pytest

from accounts_service.families.wavefront.tables import ACCOUNT
from accounts_service.faults import RefusedError, Unavailable
from accounts_service.storage.database import Database
from tests.support import personas, tokens
from tests.support.service import Service
from tests.support.wavefront import ROOT, Client, admin, bearer, token_of

ANN, ROBOT = "Ann@example.com", "sa::robot"
USER = f"/account/user/{ANN}"
JWT = {"type": "jwt", "jwt": {"signing_key": base64.b64encode(tokens.SECRET).decode()}}
PROXY = {"type": "trusted_origin", "user_mapping": {"user_name": {"from": "request.headers.x-user"}}}


@pytest.fixture
def client(service: Service) -> Client:
    client = admin(service)
    client.user(ANN)
    return client


@pytest.fixture
def clock(client: Client) -> list[float]:
    """Return the clock of the database, to be put forward."""
    clock = [time.time()]
    client.service.services.database._clock = lambda: clock[0]
    return clock


def login(client: Client) -> int | None:
    found: int | None = client.ok("GET", USER).get("lastSuccessfulLogin")
    return found


def come(service: Service, headers: dict[str, str], path: str = "/account/user/admin") -> int:
    """Send a request whose answer is closed, as a server does once it is sent."""
    return service.ask("GET", ROOT + path, by=None, headers=headers, buffered=True).status_code


# -- lastSuccessfulLogin ------------------------------------------------------


def test_a_login_is_noted_once_a_minute_after_the_answer(client: Client, clock: list[float]) -> None:
    token = bearer(token_of(client.service, ANN))
    start = int(clock[0] * 1000)
    assert login(client) is None
    assert come(client.service, token) == 200
    assert login(client) == start
    clock[0] += 59
    come(client.service, token)
    assert login(client) == start
    clock[0] += 1
    come(client.service, token)
    assert login(client) == start + 60_000
    # One that was noted while the clock was ahead is replaced once the clock is right.
    clock[0] += 366 * 86_400
    come(client.service, token)
    clock[0] -= 366 * 86_400
    come(client.service, token)
    assert login(client) == start + 60_000
    clock[0] += 1
    come(client.service, token)
    assert login(client) == start + 60_000


def test_a_login_is_shown_wherever_a_user_is(client: Client, clock: list[float]) -> None:
    come(client.service, bearer(token_of(client.service, ANN)))
    at = int(clock[0] * 1000)
    query = {"query": [{"key": "id", "value": ANN}], "sort": {"field": "lastSuccessfulLogin", "ascending": False}}
    shown = [
        client.ok("GET", USER),
        client.ask("GET", f"/user/{ANN}").json,
        client.ok("POST", "/account/user", {"emailAddress": ANN}),
        client.ok("POST", "/search/user", query)["items"][0],
        client.ok("POST", "/account/validateAccounts", [ANN])["validUsers"][0],
        *[one for one in client.ok("GET", "/account/user") if one["identifier"] == ANN],
        *[one for one in client.ask("GET", "/user").json if one["identifier"] == ANN],
    ]
    assert [one["lastSuccessfulLogin"] for one in shown] == [at] * 7


def test_a_second_token_does_not_hide_that_a_login_is_old(client: Client, clock: list[float]) -> None:
    first, second = (bearer(token_of(client.service, ANN)) for _ in range(2))
    come(client.service, first)
    clock[0] += 59
    come(client.service, second)
    clock[0] += 59
    come(client.service, second)
    assert login(client) == int(clock[0] * 1000)


def test_a_login_is_in_no_record_and_no_version(client: Client, clock: list[float]) -> None:
    token = token_of(client.service, ANN)
    tag, records = client.ask("GET", USER).headers["ETag"], len(client.service.audited())
    clock[0] += 100
    come(client.service, bearer(token))
    assert client.ask("GET", USER).headers["ETag"] == tag
    assert len(client.service.audited()) == records
    headers = bearer(client.token) | {"If-Match": tag}
    body = {"groups": ["ingestion"]}
    assert client.service.ask("PUT", ROOT + USER, by=None, headers=headers, json=body).status_code == 200
    assert login(client) == int(clock[0] * 1000)


def test_a_refused_token_is_no_login(client: Client, clock: list[float]) -> None:
    token = token_of(client.service, ANN)
    client.ok("PUT", "/apitoken/customertokens/revoke", {"tokenID": token})
    clock[0] += 100
    assert come(client.service, bearer(token)) == 401
    assert login(client) is None


def test_a_failing_writer_keeps_no_caller_out(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    token = bearer(token_of(client.service, ANN))

    def begin(*_: object) -> NoReturn:
        raise RefusedError(Unavailable())

    with monkeypatch.context() as patch:
        patch.setattr(Database, "begin", begin)
        assert come(client.service, token) == 200
    assert login(client) is None


@pytest.mark.parametrize("database_url", ("postgresql",), indirect=True)
def test_a_login_waits_for_no_change_of_the_account(client: Client, clock: list[float]) -> None:
    # On SQLite, which has one writer, a note waits for its turn after the answer.
    database = client.service.services.database
    token = bearer(token_of(client.service, ANN))
    with database.begin() as connection:
        connection.execute(ACCOUNT.select().with_for_update())
        assert come(client.service, token) == 200
    assert login(client) is None
    clock[0] += 60
    come(client.service, token)
    assert login(client) == int(clock[0] * 1000)


# -- Callers of sg_authc.yml, and ssoId ---------------------------------------


def configure(service: Service, *domains: Mapping[str, object]) -> None:
    files = personas.configuration()
    users = files["sg_internal_users.yml"]
    assert isinstance(users, dict)
    network = {"trusted_proxies": "127.0.0.0/8"}
    authc = {"auth_domains": [*domains, {"type": "basic/internal_users_db"}], "network": network}
    service.configure(
        {
            "sg_authc.yml": authc,
            "sg_internal_users.yml": {**users, ANN: {"hash": personas.hash_of("admin")}},
            "sg_roles_mapping.yml": {"WF_ACCOUNT": {"users": ["*"]}},
        }
    )


def signed(name: str) -> dict[str, str]:
    return bearer(tokens.token(said=tokens.claims(sub=name)))


@pytest.mark.parametrize("way", ("jwt", "proxy"))
def test_a_user_who_came_by_single_sign_on_has_its_name(client: Client, clock: list[float], way: str) -> None:
    configure(client.service, JWT, PROXY)
    tag, records = client.ask("GET", USER).headers["ETag"], len(client.service.audited())
    come(client.service, signed(ANN.upper()) if way == "jwt" else {"X-User": ANN.upper()})
    answer = client.ask("GET", USER)
    assert (answer.json["ssoId"], answer.json["lastSuccessfulLogin"]) == (ANN.upper(), int(clock[0] * 1000))
    assert (answer.headers["ETag"], len(client.service.audited())) == (tag, records)
    (listed,) = [one for one in client.ok("GET", "/account/user") if one["identifier"] == ANN]
    assert listed["ssoId"] == ANN.upper()
    # What is noted stays, whatever he is called next, and a change keeps it.
    clock[0] += 100
    come(client.service, signed(ANN))
    assert client.user(ANN, groups=["ingestion"])["ssoId"] == ANN.upper()
    assert login(client) == int(clock[0] * 1000)


def test_single_sign_on_is_noted_within_the_minute_of_a_token(client: Client, clock: list[float]) -> None:
    configure(client.service, JWT)
    come(client.service, bearer(token_of(client.service, ANN)))
    assert "ssoId" not in client.ok("GET", USER)
    come(client.service, signed(ANN))
    assert client.ok("GET", USER)["ssoId"] == ANN
    assert login(client) == int(clock[0] * 1000)


def test_a_password_is_a_login_and_no_single_sign_on(client: Client, clock: list[float]) -> None:
    configure(client.service)
    headers = personas.authorization("admin")
    assert come(client.service, headers) == 200
    assert {"ssoId", "lastSuccessfulLogin"}.isdisjoint(client.ok("GET", USER))
    credentials = f"{ANN}:{personas.password('admin')}"
    come(client.service, {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"})
    assert "ssoId" not in client.ok("GET", USER)
    assert login(client) == int(clock[0] * 1000)


def test_an_anonymous_caller_of_that_name_is_no_login(client: Client) -> None:
    configure(client.service, {"type": "anonymous", "user_mapping": {"user_name": {"static": ANN}}})
    assert come(client.service, {}) == 200
    assert {"ssoId", "lastSuccessfulLogin"}.isdisjoint(client.ok("GET", USER))


def test_a_refused_signature_is_no_login(client: Client) -> None:
    configure(client.service, JWT)
    assert come(client.service, {"Authorization": signed(ANN)["Authorization"] + "x"}) == 401
    assert {"ssoId", "lastSuccessfulLogin"}.isdisjoint(client.ok("GET", USER))


def test_a_service_account_does_not_come_by_single_sign_on(client: Client) -> None:
    configure(client.service, JWT)
    client.ok("POST", "/account/serviceaccount", {"identifier": ROBOT})
    assert come(client.service, signed(ROBOT)) == 200
    assert come(client.service, signed("nobody@example.com")) == 200
    assert "ssoId" not in client.ok("POST", f"/account/{ROBOT}/grant/ingestion")


def test_what_an_administrator_wrote_stays(client: Client) -> None:
    configure(client.service, JWT)
    client.ok("PUT", USER, {"ssoId": "written"})
    come(client.service, signed(ANN))
    assert client.ok("GET", USER)["ssoId"] == "written"


def test_a_failing_database_keeps_no_caller_of_single_sign_on_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(client.service, JWT)

    def reading(*_: object) -> NoReturn:
        raise RefusedError(Unavailable())

    with monkeypatch.context() as patch:
        patch.setattr(Database, "reading", reading)
        assert come(client.service, signed(ANN), "/nowhere") == 404
    assert login(client) is None
