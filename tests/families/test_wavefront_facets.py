"""Facets: `/search/{kind}/{facet}` and `/search/{kind}/facets` list the values of attributes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.service import Service
from tests.support.wavefront import ADMIN, EVERYONE, SERVICE_ACCOUNTS, Client, admin, token_of

ANN, BOB, ROBOT = "ann@example.com", "Bob_X@example.com", "sa::robot"
KINDS = ("user", "account", "serviceaccount", "usergroup", "role", "token")


@pytest.fixture
def client(service: Service) -> Client:
    client = admin(service)
    client.role("Unused")
    client.user(ANN, groups=["alerts_management", "ingestion"], userGroups=[client.group("G", description="%")])
    client.user(BOB, groups=["ingestion"], roles=[client.role("R", "log_management")])
    client.ok(
        "POST", "/account/serviceaccount", {"identifier": ROBOT, "description": "Scrapes", "groups": ["ingestion"]}
    )
    client.ok("POST", f"/apitoken/serviceaccount/{ROBOT}", {"tokenName": "Main"})
    return client


def values(client: Client, path: str, **more: Any) -> list[str]:
    page = client.ok("POST", f"/search/{path}", more)
    assert page["totalItems"] == len(page["items"])
    assert page["moreItems"] is False
    found: list[str] = page["items"]
    return found


def named(client: Client, kind: str, name: str) -> str:
    (found,) = client.ok("POST", f"/search/{kind}", {"query": [{"key": "name", "value": name}]})["items"]
    return str(found["id"])


def test_the_values_of_a_facet_are_listed_once_and_in_order(client: Client) -> None:
    group, role = named(client, "usergroup", "G"), named(client, "role", "R")
    permissions = ["alerts_management", "ingestion", "token_management", "user_management"]
    assert values(client, "user/groups") == permissions
    assert values(client, "user/id") == values(client, "user/identifier") == [BOB, ADMIN, ANN]
    assert values(client, "user/roles") == [role]
    assert values(client, "user/userGroups") == sorted((EVERYONE, group))
    assert values(client, "user/description") == []
    assert values(client, "serviceaccount/groups") == ["ingestion"]
    assert values(client, "serviceaccount/description") == ["Scrapes"]
    assert values(client, "serviceaccount/userGroups") == [SERVICE_ACCOUNTS]
    assert values(client, "account/groups") == permissions
    assert values(client, "account/id") == [BOB, ADMIN, ANN, ROBOT]
    assert values(client, "usergroup/name") == ["Everyone", "G", "Service Accounts"]
    assert values(client, "usergroup/users") == [BOB, ADMIN, ANN, ROBOT]
    assert values(client, "usergroup/roles") == []
    assert values(client, "role/name") == ["R", "Unused"]
    assert values(client, "role/permissions") == ["log_management"]
    assert values(client, "token/account") == [ADMIN, ROBOT]
    assert values(client, "token/tokenName") == values(client, "token/name") == ["Main", "test"]


def test_a_value_finds_the_objects_that_have_it(client: Client, subtests: pytest.Subtests) -> None:
    facets = {
        "user": ["id", "identifier", "groups", "roles", "userGroups"],
        "serviceaccount": ["id", "description", "groups", "userGroups"],
        "account": ["id", "groups", "roles", "userGroups"],
        "usergroup": ["id", "name", "description", "users"],
        "role": ["id", "name", "permissions"],
        "token": ["name", "tokenName", "account"],
    }
    for kind, names in facets.items():
        for facet in names:
            for value in values(client, f"{kind}/{facet}"):
                with subtests.test(kind=kind, facet=facet, value=value):
                    query = [{"key": facet, "value": value, "matchingMethod": "EXACT"}]
                    assert client.ok("POST", f"/search/{kind}", {"query": query})["totalItems"] > 0


def test_only_what_the_query_finds_has_values(client: Client) -> None:
    group = named(client, "usergroup", "G")
    by_id = [{"key": "id", "value": ANN, "matchingMethod": "EXACT"}]
    assert values(client, "user/groups", query=by_id) == ["alerts_management", "ingestion"]
    assert values(client, "user/userGroups", query=by_id) == sorted((EVERYONE, group))
    by_both = [*by_id, {"key": "userGroups", "value": "G"}, {"key": "groups", "value": "ingestion"}]
    assert values(client, "user/id", query=by_both) == [ANN]
    assert values(client, "user/id", query=[{"key": "id", "value": "nobody"}]) == []
    assert values(client, "usergroup/users", query=[{"key": "name", "value": "G"}]) == [ANN]
    assert values(client, "usergroup/users", query=[{"key": "users", "value": ANN}]) == [BOB, ADMIN, ANN]
    assert values(client, "role/permissions", query=[{"key": "permissions", "value": "log"}]) == ["log_management"]
    assert values(client, "token/account", query=[{"key": "name", "value": "Main"}]) == [ROBOT]


@pytest.mark.parametrize(
    ("method", "text", "found"),
    (
        (None, "MANAGE", ["alerts_management", "token_management", "user_management"]),
        ("CONTAINS", "_", ["alerts_management", "token_management", "user_management"]),
        ("STARTSWITH", "A", ["alerts_management"]),
        ("STARTSWITH", "management", []),
        ("EXACT", "Ingestion", ["ingestion"]),
        ("EXACT", "ingest", []),
        ("TAGPATH", "ingest", ["ingestion"]),
        ("CONTAINS", "%", []),
        ("CONTAINS", "\\", []),
        ("CONTAINS", "' OR 1=1 --", []),
    ),
)
def test_a_facet_query_narrows_the_values(client: Client, method: str | None, text: str, found: list[str]) -> None:
    body = {"facetQuery": text, **({} if method is None else {"facetQueryMatchingMethod": method})}
    assert values(client, "user/groups", **body) == found
    facets = client.ok("POST", "/search/user/facets", {"facets": ["groups"], **body})["facets"]
    assert facets == {"groups": found}


def test_values_come_page_by_page(client: Client) -> None:
    page = client.ok("POST", "/search/user/groups", {"limit": 3, "offset": 2})
    expected = {
        "items": ["token_management", "user_management"],
        "offset": 2,
        "limit": 3,
        "totalItems": 4,
        "moreItems": False,
    }
    assert page == expected
    assert client.ok("POST", "/search/user/groups", {"limit": 1})["moreItems"] is True
    assert client.ok("POST", "/search/user/groups", {"offset": 9})["items"] == []


def test_several_facets_are_answered_at_once(client: Client) -> None:
    body = {"facets": ["groups", "roles", "groups"], "limit": 2}
    role = named(client, "role", "R")
    expected = {"facets": {"groups": ["alerts_management", "ingestion"], "roles": [role]}, "limit": 2}
    assert client.ok("POST", "/search/user/facets", body) == expected
    assert client.ok("POST", "/search/role/facets", {"facets": []}) == {"facets": {}, "limit": 100}


@pytest.mark.parametrize("body", (None, {}, {"query": None}, {"query": [], "facetQuery": None}))
def test_every_kind_answers_a_body_that_asks_for_all(client: Client, body: Any) -> None:
    for kind in KINDS:
        assert client.ok("POST", f"/search/{kind}/{'name' if kind == 'token' else 'id'}", body)["totalItems"] > 0


def test_an_unknown_facet_is_told_with_those_that_there_are(client: Client) -> None:
    told = "facet must be one of id, name, description, permissions"
    assert client.refused("POST", "/search/role/tags") == told
    body = {"facets": ["id", "tags"], "query": [{"key": "x", "value": "y"}]}
    both = "facets.1 must be one of id, name, description, permissions; query.0.key must be one of"
    assert client.refused("POST", "/search/role/facets", body).startswith(both)


def test_every_fault_of_a_body_is_told_at_once(client: Client) -> None:
    body = {"facetQuery": 7, "facetQueryMatchingMethod": "LIKE", "limit": 0, "query": [{"key": "id"}]}
    told = client.refused("POST", "/search/user/facets", body)
    for part in ("facetQuery must be a string", "facetQueryMatchingMethod must be one of", "limit must be between"):
        assert part in told
    assert "facets is required" in told
    assert told.endswith("query.0.value is required")
    assert client.refused("POST", "/search/user/id", [1]) == "body must be an object"
    assert client.refused("POST", "/search/user/facets") == "facets is required"


@pytest.mark.parametrize("facet", ("id", "tokenID", "digest", "sealed"))
def test_no_facet_lists_tokens(client: Client, facet: str) -> None:
    assert client.refused("POST", f"/search/token/{facet}") == "facet must be one of name, tokenName, account"
    assert client.refused("POST", "/search/token/facets", {"facets": [facet]})
    body = client.ask("POST", "/search/token/facets", {"facets": ["name", "tokenName", "account"]}).text
    assert client.token not in body


def test_a_plain_user_lists_no_values(client: Client) -> None:
    plain = Client(client.service, token_of(client.service, ANN))
    for kind in KINDS:
        plain.refused("POST", f"/search/{kind}/id", status=403)
        plain.refused("POST", f"/search/{kind}/facets", {"facets": ["id"]}, 403)


def test_a_facet_is_read_by_post_alone(client: Client) -> None:
    assert client.ask("GET", "/search/user/id").status_code == 405
    assert client.ask("POST", "/search/nothing/id").status_code == 404


def test_an_ignored_attribute_of_a_facet_search_is_named(client: Client) -> None:
    body = {"facets": [], "offset": 1, "query": [{"key": "id", "value": "", "valeu": 1}]}
    answer = client.ask("POST", "/search/user/facets", body)
    assert (answer.status_code, answer.headers["Accounts-Ignored"]) == (200, "offset, query.0.valeu")
    del body["facets"]
    answer = client.ask("POST", "/search/user/id", body)
    assert answer.headers["Accounts-Ignored"] == "query.0.valeu"
    body = {"query": [{"key": "id", "value": ""}], "limit": 5}
    assert "Accounts-Ignored" not in client.ask("POST", "/search/user/id", body).headers
