"""What a search may cost, what it shows of what cannot be read, and what an exclusion keeps from it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from accounts_service.families.signals import examples
from accounts_service.faults import Json
from tests.support.service import Service

SEARCH = "/_signals/account/_search"
IN_BLUE = "/_signals/account/blue/_search"
SECRETIVE = {**examples.GOOD["email"], "user": "u", "password": "hunter2"}


def search(service: Service, body: Json, path: str = SEARCH, **options: Any) -> Any:
    return service.ask("POST", path, json=body, **options)


def names(answer: Any) -> list[str]:
    return [hit["_id"] for hit in answer.json["hits"]["hits"]]


def _excluding(*actions: str) -> dict[str, object]:
    def everywhere() -> list[dict[str, list[str]]]:
        return [{"tenant_patterns": ["*"], "allowed_actions": ["*"]}]

    return {
        "sg_roles.yml": {
            "most": {
                "cluster_permissions": ["*"],
                "exclude_cluster_permissions": [f"cluster:admin:searchguard:signals:{action}" for action in actions],
                "tenant_permissions": everywhere(),
            },
            "scrolling": {"cluster_permissions": ["indices:data/read/scroll"], "tenant_permissions": everywhere()},
        },
        "sg_roles_mapping.yml": {
            "SGS_ALL_ACCESS": {"users": ["admin"]},
            "most": {"users": ["reader"]},
            "scrolling": {"users": ["manager"]},
        },
    }


@pytest.mark.parametrize("excluded", (("account/search",), ("account/*",)))
def test_who_is_excluded_from_the_global_search_finds_nothing_global_in_a_tenant(
    service: Service, excluded: tuple[str, ...]
) -> None:
    service.put("/_signals/account/email/global", SECRETIVE)
    service.put("/_signals/account/blue/email/own", SECRETIVE)
    service.configure(_excluding(*excluded))
    assert search(service, {}, by="reader").status_code == 403
    assert names(search(service, {}, IN_BLUE, by="reader")) == ["blue/email/own"]
    # Not to hold the privilege is less than to be excluded.
    assert names(search(service, {}, IN_BLUE, by="manager")) == ["email/global", "blue/email/own"]


def test_an_exclusion_that_comes_later_holds_for_the_next_page(service: Service) -> None:
    for number in range(3):
        service.put(f"/_signals/account/email/g{number}", SECRETIVE)
        service.put(f"/_signals/account/blue/email/b{number}", SECRETIVE)
    service.configure(_excluding())
    first = search(service, {"size": 1}, f"{IN_BLUE}?scroll=1m", by="reader")
    assert names(first) == ["email/g0"]
    service.configure(_excluding("account/search"))
    rest = search(service, {"scroll_id": first.json["_scroll_id"]}, "/_search/scroll", by="reader")
    assert names(rest) == ["blue/email/b0"]


@pytest.mark.parametrize(
    "body",
    (
        {"_source": ["*a" * 101]},
        {"_source": {"excludes": [f"a{number}" for number in range(65)]}},
        {"query": {"simple_query_string": {"query": "a" * 4001}}},
        {"query": {"simple_query_string": {"query": "a|b+" * 100}}},
        {"query": {"simple_query_string": {"query": " ".join(f"w{n} | x{n} +" for n in range(100))}}},
    ),
)
def test_what_costs_too_much_to_look_at_is_refused(service: Service, body: Json) -> None:
    answer = search(service, body)
    assert (answer.status_code, answer.json["error"]["type"]) == (400, "illegal_argument_exception")


@pytest.mark.parametrize("count", (7, 100, 250))
def test_many_conditions_are_borne_alike(service: Service, count: int) -> None:
    service.put("/_signals/account/email/a", examples.GOOD["email"])
    service.put("/_signals/account/email/b", examples.GOOD["email"])
    musts: list[Json] = [{"term": {"_name": "a"}}] * count
    assert names(search(service, {"query": {"bool": {"must": musts}}})) == ["email/a"]
    words: dict[str, Json] = {"query": " ".join(["a"] * count), "default_operator": "and", "fields": ["_name"]}
    assert names(search(service, {"query": {"simple_query_string": words}})) == ["email/a"]
    assert names(search(service, {"query": {"bool": {"must_not": musts}}})) == ["email/b"]


def _spoil(service: Service, statement: str) -> None:
    with service.services.database.begin() as connection:
        connection.execute(text(statement))


def test_one_secret_that_cannot_be_read_hides_no_other_account(service: Service) -> None:
    service.put("/_signals/account/email/bad", SECRETIVE)
    service.put("/_signals/account/email/good", SECRETIVE)
    _spoil(service, """UPDATE signals_account SET secrets = '{"password": "garbage"}' WHERE name = 'bad'""")
    for who in ("admin", "reader"):
        found = {hit["_source"]["_name"]: hit["_source"] for hit in search(service, {}, by=who).json["hits"]["hits"]}
        assert "password" not in found["bad"]
        assert found["bad"]["host"] == SECRETIVE["host"]
        assert "password" in found["good"]


def test_an_account_of_a_type_that_is_not_known_here_is_shown_as_it_is(service: Service) -> None:
    service.put("/_signals/account/email/odd", examples.GOOD["email"])
    _spoil(service, "UPDATE signals_account SET type = 'fax' WHERE name = 'odd'")
    (hit,) = search(service, {}).json["hits"]["hits"]
    assert (hit["_id"], hit["_source"]["type"], hit["_source"]["port"]) == ("fax/odd", "fax", 587)
