"""A client that nobody here wrote: Wavefront's own for Python, against the service as it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import wavefront_api_client as wavefront  # type: ignore[import-untyped]  # it has no types
from wavefront_api_client.rest import ApiException  # type: ignore[import-untyped]  # it has no types

from tests.support.served import Served
from tests.support.wavefront import ADMIN, PLAIN, admin_of, token_of

pytestmark = pytest.mark.usefixtures("socket_enabled")

USER, ROBOT = "Round+Trip@example.com", "sa::round-trip"
SEARCHES = ("account", "role", "service_account", "token", "user", "user_group")


class Apis:
    """Those parts of the client that are about accounts. `called`: what a test has called of them."""

    def __init__(self, client: Any) -> None:
        self.called: set[str] = set()
        self.account = self._counted(wavefront.AccountUserAndServiceAccountApi(client))
        self.user = self._counted(wavefront.UserApi(client))
        self.group = self._counted(wavefront.UserGroupApi(client))
        self.role = self._counted(wavefront.RoleApi(client))
        self.token = self._counted(wavefront.ApiTokenApi(client))
        self.search = wavefront.SearchApi(client)

    def _counted(self, api: Any) -> Any:
        for name in methods_of(type(api)):
            setattr(api, name, self._counting(name, getattr(api, name)))
        return api

    def _counting(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self.called.add(name)
            return method(*arguments, **more)

        return call


def methods_of(api: type) -> list[str]:
    """Name what a part of the client can be asked."""
    return [name for name in vars(api) if name[0] != "_" and not name.endswith("_with_http_info")]


@contextmanager
def connected(served: Served, token: str, header: str) -> Iterator[Apis]:
    configuration = wavefront.Configuration()
    configuration.host = f"http://127.0.0.1:{served.port}"
    if header == "X-AUTH-TOKEN":
        configuration.api_key["X-AUTH-TOKEN"] = token
        client = wavefront.ApiClient(configuration)
    else:
        client = wavefront.ApiClient(configuration, header_name=header, header_value=f"Bearer {token}")
    try:
        yield Apis(client)
    finally:
        client.rest_client.pool_manager.clear()
        client.pool.close()
        client.pool.join()


def status_of(call: Callable[..., Any], *arguments: Any, **more: Any) -> int:
    """Make a call that is to be refused; gives the status."""
    with pytest.raises(ApiException) as caught:
        call(*arguments, **more)
    return int(caught.value.status)


@pytest.fixture
def apis(request: pytest.FixtureRequest, served: Served) -> Iterator[Apis]:
    with connected(served, admin_of(served), getattr(request, "param", "X-AUTH-TOKEN")) as apis:
        yield apis


def test_a_round_trip_of_users_and_service_accounts(apis: Apis, served: Served) -> None:  # noqa: PLR0915  # one trip
    account = apis.account
    group = apis.group.create_user_group(body=wavefront.UserGroupWrite(name="group", role_ids=[])).response.id
    body = wavefront.RoleCreateDTO(name="role", permissions=["events_management"])
    role = apis.role.create_role(body).response.id

    # A user, made and changed.
    body = wavefront.UserToCreate(email_address=USER, groups=["ingestion"], user_groups=[group], roles=[role])
    user = account.create_or_update_user_account(send_email=True, body=body)
    assert (user.identifier, user.customer, user.groups) == (USER, "accounts", ["ingestion"])
    assert [one.name for one in user.user_groups] == ["Everyone", "group"]
    assert [one.id for one in user.roles] == [role]
    assert account.get_user_account(USER).identifier == USER
    body = wavefront.UserToCreate(email_address=USER, groups=["log_management"], user_groups=[], roles=[])
    assert account.create_or_update_user_account(send_email=False, body=body).groups == ["log_management"]
    assert [one.identifier for one in account.get_all_user_accounts().response] == [ADMIN, USER]
    body = wavefront.UserRequestDTO(identifier=USER, groups=["embedded_charts"], user_groups=[group], roles=[])
    assert account.update_user_account(USER, body=body).groups == ["embedded_charts"]
    assert account.create_or_update_user_account(body={"emailAddress": USER}).groups == ["embedded_charts"]

    # What he may do.
    assert account.grant_account_permission(USER, "ingestion").groups == ["embedded_charts", "ingestion"]
    assert account.revoke_account_permission(USER, "embedded_charts").groups == ["ingestion"]
    assert account.grant_permission_to_accounts("user_management", body=[USER]).identifier == USER
    assert account.get_users_with_accounts_permission().response == [ADMIN, USER]
    account.revoke_permission_from_accounts("user_management", body=[USER])
    assert account.remove_account_from_user_groups(USER, body=[group]).user_groups[0].name == "Everyone"
    account.add_account_to_user_groups(USER, body=[group])
    account.add_account_to_roles(USER, body=[role])
    found = account.get_account(USER).response
    assert (found.roles, group in found.user_groups) == ([role], True)
    assert set(found.united_permissions) == {"ingestion", "events_management"}
    assert account.remove_account_from_roles(USER, body=[role]).roles == []
    assert "LOGIN" in account.get_account_business_functions(USER).response
    invited = account.invite_user_accounts(
        body=[wavefront.UserToCreate(email_address="invited@example.com", groups=[], user_groups=[])]
    )
    assert invited.identifier == "invited@example.com"
    assert status_of(account.grant_account_permission, USER, "nonsense") == 400

    # A service account and its token.
    body = wavefront.ServiceAccountWrite(identifier=ROBOT, active=True, tokens=[], groups=["metrics_management"])
    robot = account.create_service_account(body=body).response
    assert (robot.identifier, robot.active, robot.groups) == (ROBOT, True, ["metrics_management"])
    secret = apis.token.generate_token_service_account(ROBOT, body={"tokenName": "main"}).response[-1].token_id
    with connected(served, secret, "Authorization") as itself:
        assert itself.account.get_users_with_accounts_permission().response == [ADMIN]
        assert status_of(itself.account.get_all_user_accounts) == 403
        assert account.deactivate_account(ROBOT).response.active is False
        assert status_of(itself.account.get_users_with_accounts_permission) == 401
        assert account.activate_account(ROBOT).response.active is True
        itself.account.get_users_with_accounts_permission()
    body = wavefront.ServiceAccountWrite(identifier=ROBOT, description="d")
    assert account.update_service_account(ROBOT, body=body).response.description == "d"
    assert account.get_service_account(ROBOT).response.tokens[0].token_id == secret
    assert [one.identifier for one in account.get_all_service_accounts().response] == [ROBOT]

    # The end of them.
    page = account.get_all_accounts(offset=0, limit=1).response
    assert (len(page.items), page.more_items, page.total_items) == (1, True, 4)
    checked = account.validate_accounts(body=[USER, "nobody"]).response
    assert ([one.identifier for one in checked.valid_users], checked.invalid_identifiers) == ([USER], ["nobody"])
    assert account.delete_multiple_accounts(body=[ROBOT, "nobody"]).response == [ROBOT]
    assert account.delete_account(USER).response.identifier == USER
    assert status_of(account.get_user_account, USER) == 404
    assert status_of(account.get_service_account, ROBOT) == 404
    assert apis.group.delete_user_group(group).response.id == group
    assert apis.role.delete_role(role).response.id == role
    assert set(methods_of(wavefront.AccountUserAndServiceAccountApi)) <= apis.called


def test_a_round_trip_of_the_former_form(apis: Apis) -> None:
    users = apis.user
    group = apis.group.create_user_group(body=wavefront.UserGroupWrite(name="group", role_ids=[])).response.id
    body = wavefront.UserToCreate(email_address=USER, groups=[], user_groups=["nobody's"])
    assert users.create_user(send_email=True, body=body).identifier == USER
    assert users.get_user(USER).groups == []
    assert [one.identifier for one in users.get_all_users()] == [ADMIN, USER]
    body = wavefront.UserRequestDTO(identifier=USER, groups=["ingestion"], user_groups=[])
    assert users.update_user(USER, body=body).groups == ["ingestion"]
    assert users.grant_user_permission(USER, group="log_management").groups == ["ingestion", "log_management"]
    assert users.revoke_user_permission(USER, group="ingestion").groups == ["log_management"]
    assert users.grant_permission_to_users("ingestion", body=[USER]).groups == ["log_management", "ingestion"]
    assert users.revoke_permission_from_users("ingestion", body=[USER]).groups == ["log_management"]
    assert len(users.add_user_to_user_groups(USER, body=[group]).user_groups) == 2
    assert len(users.remove_user_from_user_groups(USER, body=[group]).user_groups) == 1
    assert users.get_user_business_functions(USER).identifier == USER
    assert users.validate_users(body=[USER, "x"]).response.invalid_identifiers == ["x"]
    invited = [
        wavefront.UserToCreate(email_address=f"{name}@example.com", groups=[], user_groups=[])
        for name in ("one", "two")
    ]
    assert users.invite_users(body=invited).identifier == "two@example.com"
    assert users.delete_multiple_users(body=["one@example.com", "x"]).response == ["one@example.com"]
    assert users.delete_user(USER) is None
    assert status_of(users.get_user, USER) == 404
    assert set(methods_of(wavefront.UserApi)) <= apis.called


def test_a_round_trip_of_groups_and_roles(apis: Apis, served: Served) -> None:
    token_of(served, PLAIN)
    groups, roles = apis.group, apis.role
    role = roles.create_role(wavefront.RoleCreateDTO(name="role", permissions=["ingestion"])).response
    body = wavefront.UserGroupWrite(name="group", role_ids=[role.id], description="d")
    group = groups.create_user_group(body=body).response
    assert (group.name, group.description, [one.id for one in group.roles]) == ("group", "d", [role.id])
    assert groups.get_user_group(group.id).response == group
    body = wavefront.UserGroupWrite(name="other", role_ids=[])
    assert groups.update_user_group(group.id, body=body).response.name == "other"
    assert groups.add_users_to_user_group(group.id, body=[PLAIN]).response.users == [PLAIN]
    assert groups.remove_users_from_user_group(group.id, body=[PLAIN]).response.users == []
    assert groups.add_roles_to_user_group(group.id, body=[role.id]).response.role_count == 1
    assert groups.remove_roles_from_user_group(group.id, body=[role.id]).response.role_count == 0
    page = groups.get_all_user_groups(offset=0, limit=2).response
    assert (len(page.items), page.total_items, page.more_items) == (2, 3, True)

    assert roles.get_role(role.id).response == role
    body = wavefront.RoleUpdateDTO(id=role.id, name="role", permissions=["log_management"])
    assert roles.update_role(role.id, body).response.permissions == ["log_management"]
    assigned = roles.add_assignees(role.id, [PLAIN, group.id]).response
    assert (assigned.linked_accounts_count, assigned.linked_groups_count) == (1, 1)
    assert roles.remove_assignees(role.id, [PLAIN]).response.linked_accounts_count == 0
    assert status_of(roles.remove_assignees, role.id, ["nobody"]) == 400
    assert roles.grant_permission_to_roles("ingestion", [role.id]).response.permissions[-1] == "ingestion"
    assert roles.revoke_permission_from_roles("ingestion", [role.id]).response.permissions == ["log_management"]
    assert [one.id for one in roles.get_all_roles(offset=0, limit=1).response.items] == [role.id]
    assert groups.delete_user_group(group.id).response.name == "other"
    assert roles.delete_role(role.id).response.linked_groups_count == 0
    assert set(methods_of(wavefront.UserGroupApi)) | set(methods_of(wavefront.RoleApi)) <= apis.called


def test_a_round_trip_of_tokens(apis: Apis, served: Served) -> None:
    tokens, robots = apis.token, token_of(served, ROBOT)
    mine = tokens.create_token().response[-1].token_id
    renamed = wavefront.UserApiToken(token_id=mine, token_name="mine")
    assert tokens.update_token_name(mine, body=renamed).response.token_name == "mine"
    assert [one.token_id for one in tokens.get_all_tokens().response][-1] == mine
    assert mine not in [one.token_id for one in tokens.delete_token(mine).response]

    assert [one.token_id for one in tokens.get_tokens_service_account(ROBOT).response] == [robots]
    new = tokens.generate_token_service_account(ROBOT).response[-1].token_id
    renamed = wavefront.UserApiToken(token_id=new, token_name="new")
    assert tokens.update_token_name_service_account(ROBOT, new, body=renamed).response.token_name == "new"
    assert len(tokens.delete_token_service_account(ROBOT, new).response) == 1

    assert {one.account for one in tokens.get_customer_tokens().response} == {ADMIN, ROBOT}
    assert tokens.get_customer_token(robots).response.account == ROBOT
    body = wavefront.UserApiToken(token_id=robots)
    assert tokens.delete_customer_token(body=body).response.token_id == robots
    assert status_of(tokens.get_customer_token, robots) == 404
    assert set(methods_of(wavefront.ApiTokenApi)) <= apis.called


@pytest.mark.parametrize("apis", ("X-AUTH-TOKEN", "Authorization"), indirect=True)
def test_every_search(apis: Apis, served: Served) -> None:
    token_of(served, ROBOT)
    apis.role.create_role(wavefront.RoleCreateDTO(name="role"))
    condition = wavefront.SearchQuery(key="id", value="", matching_method="CONTAINS")
    for kind in SEARCHES:
        search = getattr(apis.search, f"search_{kind}_entities")
        everything = search(body=wavefront.SortableSearchRequest(limit=10, offset=0)).response
        assert everything.total_items == len(everything.items) >= 1, kind
        assert search().response.items == everything.items
        if kind != "token":
            body = wavefront.SortableSearchRequest(
                query=[condition], sort=wavefront.Sorting(ascending=False, field="id")
            )
            assert search(body=body).response.total_items == everything.total_items
        body = {"query": [{"key": "id", "value": "none", "matchingMethod": "EXACT"}]}
        assert search(body=body).response.items == []


def test_every_search_for_facets(apis: Apis, served: Served) -> None:
    token_of(served, ROBOT)
    apis.role.create_role(wavefront.RoleCreateDTO(name="role", permissions=["ingestion"]))
    for kind, facet in (
        ("account", "id"),
        ("role", "permissions"),
        ("service_account", "id"),
        ("token", "account"),
        ("user", "groups"),
        ("user_group", "name"),
    ):
        one, some = (getattr(apis.search, f"search_{kind}_for_{name}") for name in ("facet", "facets"))
        found = one(facet, body=wavefront.FacetSearchRequestContainer(limit=10, offset=0)).response
        assert found.total_items == len(found.items) >= 1, kind
        assert one(facet).response.items == found.items
        body = wavefront.FacetsSearchRequestContainer(facets=[facet], limit=10)
        assert some(body=body).response.facets == {facet: found.items}
        body = wavefront.FacetSearchRequestContainer(facet_query=found.items[0], facet_query_matching_method="EXACT")
        assert one(facet, body=body).response.items == found.items[:1]


def test_ten_parallel_wavefront_writers_all_succeed(served: Served) -> None:
    token = admin_of(served)

    def write(number: int) -> list[tuple[str, list[str]]]:
        written: list[tuple[str, list[str]]] = []
        with connected(served, token, "X-AUTH-TOKEN") as apis:
            for turn in range(5):
                identifier = f"user{number}.{turn}@example.com"
                body = wavefront.UserToCreate(email_address=identifier, groups=["ingestion"], user_groups=[])
                apis.account.create_or_update_user_account(body=body)
                apis.account.grant_account_permission(identifier, "log_management")
                user = apis.user.update_user(identifier, body=wavefront.UserRequestDTO(identifier=identifier))
                written.append((user.identifier, user.groups))
            return written

    with ThreadPoolExecutor(10) as pool:
        done = [one for many in pool.map(write, range(10)) for one in many]
    assert sorted(done) == [(f"user{number}.{turn}@example.com", []) for number in range(10) for turn in range(5)]
