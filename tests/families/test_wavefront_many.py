"""Thousands of users: what is answered is right, and costs as many statements as with ten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert

from accounts_service.families.wavefront.tables import (
    ACCOUNT,
    ACCOUNT_GROUP,
    ACCOUNT_PERMISSION,
    ACCOUNT_ROLE,
    GROUP_ROLE,
)
from tests.support.scale import scaled
from tests.support.service import Service
from tests.support.wavefront import ADMIN, Client, admin

pytestmark = pytest.mark.proof

# More than any page or list of a statement holds.
FEW, MANY = 10, scaled(2_500, 10_000)
# As many statements as any answer may cost, a change that is read before and after it included.
MOST = 40


def name_of(number: int) -> str:
    return f"user{number:05}@example.com"


class Crowd:
    """Users who have a permission, a group and a role each; the group has the role, too."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.role = client.role("Role", "ingestion", "log_management")
        self.group = client.group("Group", roleIDs=[self.role])
        self.number = 0

    def grow(self, number: int) -> None:
        """Be so many."""
        new = [f"{one:032x}" for one in range(self.number, number)]
        accounts = [
            {
                "uid": uid,
                "identifier": name_of(one),
                "folded": name_of(one),
                "caseless": name_of(one),
                "kind": "user",
                "active": 1,
                "created_us": 1,
                "version": 1,
            }
            for one, uid in enumerate(new, self.number)
        ]
        linked = [{"account_uid": uid, "number": 0} for uid in new]
        with self.client.service.services.database.begin() as connection:
            connection.execute(insert(ACCOUNT), accounts)
            connection.execute(insert(ACCOUNT_PERMISSION), [{**one, "permission": "embedded_charts"} for one in linked])
            connection.execute(insert(ACCOUNT_GROUP), [{**one, "group_uid": self.group} for one in linked])
            connection.execute(insert(ACCOUNT_ROLE), [{**one, "role_uid": self.role} for one in linked])
            # As autovacuum does: what was known of the tables is that they are empty.
            connection.exec_driver_sql("ANALYZE")
        self.number = number


@pytest.fixture
def crowd(service: Service) -> Crowd:
    service.is_described = False
    return Crowd(admin(service))


@contextmanager
def counted(service: Service) -> Iterator[list[str]]:
    """Give a list of the statements that are sent meanwhile."""
    database: Any = service.services.database
    engines: list[Engine] = [value for value in vars(database).values() if isinstance(value, Engine)]
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


QUESTIONS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/account/user", None),
    ("GET", "/user", None),
    ("GET", "/account?limit=1000", None),
    ("GET", f"/account/{name_of(7)}", None),
    ("GET", f"/account/user/{name_of(7)}", None),
    ("GET", "/account/user/admin", None),
    ("GET", "/usergroup", None),
    ("GET", "/role", None),
    ("POST", "/account/validateAccounts", [name_of(number) for number in range(1000)]),
    ("POST", "/search/user", {"query": None, "limit": 1000}),
    ("POST", "/search/account", {"query": [{"key": "roles", "value": "role"}], "limit": 1000}),
    ("POST", "/search/user", {"query": [{"key": "userGroups", "value": "Everyone"}], "limit": 1000}),
    ("POST", "/search/usergroup", {"query": [{"key": "users", "value": "user"}]}),
    ("POST", "/search/role", None),
    ("POST", "/search/user/id", {"query": [{"key": "roles", "value": "role"}], "limit": 1000}),
    ("POST", "/search/user/facets", {"facets": ["groups", "roles", "userGroups"]}),
    ("POST", "/search/usergroup/users", None),
    ("PUT", f"/user/{name_of(7)}", {"identifier": name_of(7), "groups": ["embedded_charts"]}),
    ("POST", "/account/user", {"emailAddress": name_of(7), "groups": ["ingestion"]}),
    ("POST", f"/account/{name_of(7)}/revoke/ingestion", None),
)


def test_each_answer_costs_as_many_statements_for_many_as_for_few(crowd: Crowd) -> None:
    client = crowd.client
    client.ask("GET", "/apitoken", buffered=True)  # The use of the token is noted once.
    costs: dict[int, list[int]] = {}
    for number in (FEW, MANY):
        crowd.grow(number)
        costs[number] = []
        for method, path, body in QUESTIONS:
            with counted(client.service) as statements:
                client.ok(method, path, body)
            costs[number].append(len(statements))
    assert costs[MANY] == costs[FEW]
    assert max(costs[MANY]) <= MOST


def test_many_are_listed_whole_and_in_order(crowd: Crowd) -> None:
    crowd.grow(MANY)
    everybody = [ADMIN, *map(name_of, range(MANY))]
    for users in (crowd.client.ok("GET", "/account/user"), crowd.client.ask("GET", "/user").json):
        assert [user["identifier"] for user in users] == everybody
        assert [one["name"] for one in users[-1]["userGroups"]] == ["Everyone", "Group"]
        assert (users[-1]["groups"], users[-1]["roles"][0]["id"]) == (["embedded_charts"], crowd.role)


def _listed(client: Client, offset: int) -> Any:
    return client.ok("GET", f"/account?offset={offset}&limit=1000")


def _searched(client: Client, offset: int) -> Any:
    return client.ok("POST", "/search/account", {"query": None, "offset": offset, "limit": 1000})


@pytest.mark.parametrize("read", (_listed, _searched))
def test_many_are_read_page_by_page_each_once(crowd: Crowd, read: Callable[[Client, int], Any]) -> None:
    crowd.grow(MANY)
    seen: list[str] = []
    while True:
        page = read(crowd.client, len(seen))
        assert page["totalItems"] == MANY + 1
        seen += [one["identifier"] for one in page["items"]]
        if not page["moreItems"]:
            break
    assert seen == [ADMIN, *map(name_of, range(MANY))]
    last = page["items"][-1]
    assert last["unitedPermissions"] == ["embedded_charts", "ingestion", "log_management"]


def test_one_among_many_is_found(crowd: Crowd) -> None:
    crowd.grow(MANY)
    client = crowd.client
    query = [{"key": "id", "value": name_of(MANY - 1), "matchingMethod": "EXACT"}]
    page = client.ok("POST", "/search/user", {"query": query})
    assert ([one["id"] for one in page["items"]], page["totalItems"]) == ([name_of(MANY - 1)], 1)
    query = [{"key": "id", "value": "user0099"}]
    assert client.ok("POST", "/search/user", {"query": query})["totalItems"] == 10
    group = client.ok("GET", f"/usergroup/{crowd.group}")
    assert (group["userCount"], len(group["users"]), group["users"][0]) == (MANY, 20, name_of(0))
    role = client.ok("GET", f"/role/{crowd.role}")
    assert (role["linkedAccountsCount"], len(role["sampleLinkedAccounts"])) == (MANY, 20)


def test_one_role_more_of_their_group_counts_for_all(crowd: Crowd) -> None:
    crowd.grow(MANY)
    role = crowd.client.role("Managing", "user_management")
    with crowd.client.service.services.database.begin() as connection:
        connection.execute(insert(GROUP_ROLE), [{"group_uid": crowd.group, "number": 9, "role_uid": role}])
    assert len(crowd.client.ok("GET", "/account/user/admin")) == MANY + 1
