"""What an attack found: each of these let somebody see, lose or stop something."""

from __future__ import annotations

import socket

import pytest

from accounts_service.access.privileges import Everything, Grant
from accounts_service.families.wavefront.privileges import WavefrontPrivilege
from accounts_service.families.wavefront.store.accounts import Accounts
from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.faults import Json
from accounts_service.jobs.smtp import NoMailboxError, compose
from accounts_service.storage.audit import Author
from accounts_service.storage.outbox import Message
from accounts_service.web.services import MailServer, TokenOrder
from tests.support.served import Served
from tests.support.service import Service
from tests.support.wavefront import token_of

READER = "cluster:admin:wavefront:account/"
AUTHOR = Author("test", "test", "test-0001")


def _as_reader(service: Service) -> None:
    role = {"cluster_permissions": [READER + "get", READER + "search", READER + "put"]}
    service.configure({"sg_roles.yml": {"reader": role}})


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "path", "body"),
    (
        ("GET", "/api/v2/account/serviceaccount", None),
        ("GET", "/api/v2/account/serviceaccount/sa::root", None),
        ("PUT", "/api/v2/account/serviceaccount/sa::root", {"description": "x"}),
        ("POST", "/api/v2/account/serviceaccount/sa::root/activate", None),
        ("POST", "/api/v2/search/serviceaccount", {}),
    ),
)
def test_tokens_are_shown_to_who_may_list_them_and_to_nobody_else(
    service: Service, method: str, path: str, body: Json
) -> None:
    token = token_of(service, "sa::root", "user_management")
    assert token in service.ask(method, path, json=body).text
    _as_reader(service)
    answer = service.ask(method, path, by="reader", json=body)
    assert (answer.status_code, token in answer.text) == (200, False)
    assert service.get("/api/v2/apitoken/serviceaccount/sa::root", by="reader").status_code == 403


def test_a_million_blanks_are_no_work(service: Service) -> None:
    # It took minutes, with the lock of the interpreter held; now the time-out of tests would tell.
    body = {"emailAddress": "a" + " " * 900_000 + "b"}
    assert service.ask("POST", "/api/v2/account/user", json=body).status_code == 400


def test_a_token_made_beside_a_grant_takes_nothing_back(service: Service) -> None:
    token_of(service, "user@example.com")
    grant = Grant(WavefrontPrivilege.ACCOUNT_PUT, Everything())
    with service.services.database.transaction(AccountTokens, AUTHOR) as tokens:
        # What others have granted since is seen under the lock, and not what was read before.
        Accounts(tokens._session).permit(grant, ["user@example.com"], "ingestion", held=True)
        order = TokenOrder("user@example.com", create=False, name="t", permissions=("embedded_charts",))
        tokens.create(order, service.services.settings)
    account = service.get("/api/v2/account/user@example.com").json["response"]
    assert account["groups"] == ["ingestion", "embedded_charts"]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    (
        ("/api/v2/role", {"name": "r" * 256}, "name must have at most 255 characters"),
        ("/api/v2/role", {"name": "a\nb"}, "name must be a line of text"),
        ("/api/v2/usergroup", {"name": "g", "description": "d" * 2001}, "at most 2000 characters"),
        ("/api/v2/search/user", {"query": [{"key": "id", "value": "%" * 256}]}, "at most 255 characters"),
        ("/api/v2/search/user", {"query": [{"key": "id", "value": "a"}] * 9}, "at most 8 elements"),
        ("/api/v2/search/user", [], "body must be an object"),
    ),
)
def test_whatever_is_stored_or_searched_for_is_bounded(service: Service, path: str, body: Json, message: str) -> None:
    answer = service.ask("POST", path, json=body)
    assert answer.status_code == 400
    assert message in answer.json["status"]["message"]


@pytest.mark.parametrize("name", ("\u4e2d" * 170, "\u023a" * 250, "\u0130" * 200))
def test_a_service_account_can_be_reached_by_the_identifier_it_was_given(service: Service, name: str) -> None:
    answer = service.ask("POST", "/api/v2/account/serviceaccount", json={"identifier": name})
    if answer.status_code == 200:
        identifier = answer.json["response"]["identifier"]
        assert service.get(f"/api/v2/account/serviceaccount/{identifier}").status_code == 200
    else:
        assert answer.status_code == 400


def test_identifiers_that_look_alike_are_one_user(service: Service) -> None:
    for address in ("kate@example.com", "\u212aate@example.com"):
        assert service.ask("POST", "/api/v2/account/user", json={"emailAddress": address}).status_code == 200
    (user,) = service.get("/api/v2/account/user").json["response"]
    assert user["identifier"] == "kate@example.com"


def test_who_reads_himself_learns_of_nobody_else(service: Service) -> None:
    token_of(service, "admin@example.com", "user_management")
    token = token_of(service, "plain@example.com")
    for path in ("/api/v2/account/user/plain@example.com", "/api/v2/user/plain@example.com/businessFunctions"):
        answer = service.get(path, by=None, headers={"X-AUTH-TOKEN": token})
        assert (answer.status_code, "admin@example.com" in answer.text) == (200, False)


@pytest.mark.parametrize("address", ("=?utf-8?q?bob?=@example.com", "=?utf-8?q?x=40evil.com?=@example.com"))
def test_a_mail_goes_to_the_address_that_is_written_or_to_none(address: str) -> None:
    server = MailServer("mail.example", 25, sender="accounts@example.com")
    with pytest.raises(NoMailboxError):
        compose(server, Message(address, "Subject", "Text"), "<id@example>")


def test_no_token_gets_into_the_log_by_a_mistaken_address(served: Served) -> None:
    token = "3f1b0a52-7c1d-4a6e-9a55-0d7e3c2b1a90"
    for path in ("tokens", "customertokens", "account/serviceaccount/sa::x", "account", "api%2574oken"):
        served.ask("DELETE", f"/api/v2/{path}/{token}")
    served.ask("GET", f"/elsewhere/{token}")
    for line in (f"GET /api/v2/apitoken/{token}", f"GET / HTTP/1.1\r\nAuthorization Bearer {token}"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(f"{line}\r\n\r\n".encode())
            connection.recv(1000)
    assert served.ask("GET", "/readyz", by=None).status == 200
    assert token not in served.log.read_text()
    assert "Invalid request" in served.log.read_text()
