"""Pages of other sites cannot use what a browser knows of its user."""

from __future__ import annotations

import pytest

from accounts_service.families.wavefront.store.native import AccountTokens
from accounts_service.storage.audit import Author
from accounts_service.web.services import TokenOrder
from tests.support.service import Service

GRANT = "/api/v2/account/someone@mycompany.example/grant/user_management"
USER = "/api/v2/account/user"

FOREIGN = (
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "https://other.localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
)
OWN: tuple[dict[str, str], ...] = (
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost:8080"},
)


@pytest.fixture
def someone(service: Service) -> Service:
    body = {"emailAddress": "someone@mycompany.example", "groups": []}
    assert service.ask("POST", USER, json=body).status_code == 200
    return service


@pytest.mark.any_database
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_changes_nothing_with_a_password(someone: Service, headers: dict[str, str]) -> None:
    assert someone.ask("POST", GRANT, headers=headers).status_code == 403
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    assert someone.ask("POST", USER, headers=form, data='{"emailAddress": "a@evil.example"}').status_code == 403
    assert someone.get("/api/v2/account/user/someone@mycompany.example").json["groups"] == []
    assert someone.get("/api/v2/account/user/a@evil.example").status_code == 404
    assert someone.get("/api/v2/account/user/someone@mycompany.example", headers=headers).status_code == 200


@pytest.mark.any_database
@pytest.mark.parametrize("headers", OWN)
def test_pages_of_our_own_and_other_clients_do(someone: Service, headers: dict[str, str]) -> None:
    assert someone.ask("POST", GRANT, headers=headers).json["groups"] == ["user_management"]


@pytest.mark.parametrize("headers", FOREIGN)
def test_who_has_a_token_has_it_from_its_owner(someone: Service, headers: dict[str, str]) -> None:
    order = TokenOrder("admin@mycompany.example", create=True, name="t", permissions=("user_management",))
    with someone.services.database.transaction(AccountTokens, Author("test", "test", "test-0001")) as tokens:
        token = tokens.create(order, someone.services.settings)
    answer = someone.ask("POST", GRANT, by=None, headers={**headers, "X-AUTH-TOKEN": token})
    assert answer.json["groups"] == ["user_management"]
