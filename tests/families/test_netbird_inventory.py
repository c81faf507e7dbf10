"""NetBird's groups, peers, setup keys and installation over HTTP, which clients read to test their connection."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest

from tests.support.netbird import ROOT, NetBird, give_groups
from tests.support.service import Service

LISTS = ("/groups", "/peers", "/setup-keys")
PERMITTED: dict[str, Any] = {"role": "user", "auto_groups": [], "is_blocked": False}
MAKING: dict[str, Any] = {"role": "user", "is_service_user": True, "name": "ci", "auto_groups": []}
READERS = ("owner", "admin", "network_admin", "auditor", "svc_admin", "svc_user")
NO_READERS = ("user", "billing_admin")


@pytest.fixture
def netbird(service: Service) -> NetBird:
    return NetBird(service)


# -- Groups -----------------------------------------------------------------------


def test_a_list_of_groups_has_the_group_of_all(netbird: NetBird) -> None:
    found = netbird.ok("GET", "/groups")
    assert found == [
        {
            "id": netbird.names["group"],
            "name": "All",
            "peers_count": 0,
            "resources_count": 0,
            "issued": "api",
            "peers": [],
            "resources": [],
        }
    ]
    assert netbird.ok("GET", "/groups/{group}") == found[0]
    assert netbird.ok("GET", "/groups") == found


def test_the_group_of_all_is_the_one_that_settings_know(netbird: NetBird) -> None:
    (found,) = netbird.ok("GET", "/groups")
    assert netbird.settings()["ipv6_enabled_groups"] == [found["id"]]
    assert netbird.patch(ipv6_enabled_groups=[found["id"]])["ipv6_enabled_groups"] == [found["id"]]


def test_groups_are_those_of_ones_own_account(netbird: NetBird) -> None:
    (other,) = netbird.ok("GET", "/groups", by="b_owner")
    assert other["id"] != netbird.names["group"]
    told = netbird.refused(404, "GET", "/groups/{group}", by="b_owner")
    assert told == f"group: {netbird.names['group']} not found"


@pytest.mark.parametrize(
    ("name", "there"), (("All", True), ("", True), ("all", False), ("none", False), ("%20", False))
)
def test_groups_are_found_by_name(netbird: NetBird, name: str, *, there: bool) -> None:
    if there:
        assert netbird.ok("GET", f"/groups?name={name}") == netbird.ok("GET", "/groups")
    else:
        assert netbird.refused(404, "GET", f"/groups?name={name}").endswith("not found")


# -- Peers and setup keys -----------------------------------------------------------


@pytest.mark.parametrize("path", ("/peers", "/setup-keys", "/peers?name=x&ip=100.64.0.1"))
def test_lists_of_what_is_not_here_are_empty(netbird: NetBird, path: str) -> None:
    assert netbird.ok("GET", path) == []


@pytest.mark.parametrize(
    ("path", "message"),
    (
        ("/groups/None", "group: none not found"),
        ("/peers/X1", "peer: x1 not found"),
        ("/setup-keys/X1", "setup key: x1 not found"),
    ),
)
def test_what_does_not_exist_is_not_found(netbird: NetBird, path: str, message: str) -> None:
    assert netbird.refused(404, "GET", path) == message


@pytest.mark.parametrize("path", ("/setup-keys/{pat:owner}", "/groups?name={pat:owner}"))
def test_a_token_in_place_of_an_id_is_not_told_again(netbird: NetBird, path: str) -> None:
    assert netbird.refused(404, "GET", path).endswith(": <token> not found")


@pytest.mark.any_database
@pytest.mark.parametrize("name", READERS)
def test_readers_see_every_list(netbird: NetBird, name: str) -> None:
    for path in LISTS:
        assert isinstance(netbird.ok("GET", path, by=name), list)


@pytest.mark.parametrize("blocked", (True, False))
@pytest.mark.parametrize("name", NO_READERS)
def test_regular_users_see_their_own_peers_and_nothing_else(netbird: NetBird, name: str, *, blocked: bool) -> None:
    netbird.patch(regular_users_view_blocked=blocked)
    assert netbird.ok("GET", "/peers", by=name) == []
    assert netbird.refused(404, "GET", "/peers/x", by=name) == "peer: x not found"
    for path in ("/groups", "/groups/{group}", "/groups/none", "/groups?name=x", "/setup-keys", "/setup-keys/x"):
        assert netbird.refused(403, "GET", path, by=name) == "permission denied"


@pytest.mark.any_database
@pytest.mark.parametrize("path", (*LISTS, "/groups/x", "/peers/x", "/setup-keys/x", "/instance/version"))
def test_a_list_is_for_those_who_are_known_and_let_in(netbird: NetBird, path: str) -> None:
    assert netbird.refused(401, "GET", path, by=None) == "no valid authentication provided"
    assert netbird.refused(401, "GET", path, by="expired") == "token invalid"
    for name in ("blocked", "pending"):
        assert netbird.refused(403, "GET", path, by=name).startswith("failed to validate user permissions: user is")


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("method", "path"),
    (
        *(("POST", path) for path in LISTS),
        *((method, f"{path}/x") for path in LISTS for method in ("PUT", "DELETE")),
        ("POST", "/instance"),
    ),
)
def test_what_is_read_only_has_no_other_method(netbird: NetBird, method: str, path: str) -> None:
    answer = netbird.ask(method, path, {"name": "x"})
    assert (answer.status_code, answer.text, answer.headers["Allow"]) == (405, "", "GET")


@pytest.mark.any_database
@pytest.mark.parametrize("path", ("/groups/", "/peers/x/accessible-peers", "/policies", "/setup", "/instance/x"))
def test_an_unknown_path_is_a_page_of_text(netbird: NetBird, path: str) -> None:
    answer = netbird.ask("GET", path)
    assert (answer.status_code, answer.text, answer.mimetype) == (404, "404 page not found\n", "text/plain")


# -- The installation -----------------------------------------------------------------


@pytest.mark.any_database
@pytest.mark.parametrize("by", (None, "owner", "blocked", "expired"))
def test_everybody_is_told_that_nothing_is_to_be_set_up(netbird: NetBird, by: str | None) -> None:
    assert netbird.ok("GET", "/instance", by=by) == {"setup_required": False}


@pytest.mark.any_database
@pytest.mark.parametrize("by", ("owner", "user", "svc_user", "b_owner"))
def test_the_version_is_for_those_who_have_logged_in(netbird: NetBird, by: str) -> None:
    assert netbird.ok("GET", "/instance/version", by=by) == {
        "management_current_version": version("accounts-service"),
        "management_update_available": False,
    }


def test_no_public_answer_tells_the_version(netbird: NetBird) -> None:
    for path in ("/instance", "/instance/version", "/users/invites/x"):
        answer = netbird.service.ask("GET", ROOT + path, by=None)
        assert version("accounts-service") not in answer.text + str(answer.headers)


# -- Groups of users --------------------------------------------------------------------


def test_a_user_is_not_put_into_groups_that_do_not_exist(netbird: NetBird) -> None:
    before = netbird.ok("GET", "/users")
    told = netbird.refused(422, "PUT", "/users/{uid:user}", PERMITTED | {"auto_groups": ["G1"]})
    assert told == "provided group id g1 in the user user-id update doesn't exist"
    told = netbird.refused(422, "PUT", "/users/{uid:user}", PERMITTED | {"auto_groups": ["{group}"]})
    assert told == "can't add all group to the user"
    told = netbird.refused(422, "PUT", "/users/{uid:svc_user}", PERMITTED | {"auto_groups": ["a", "{group}", "b", "a"]})
    user = netbird.names["uid:svc_user"]
    assert told.split("; ") == [
        f"provided group id a in the user {user} update doesn't exist",
        "can't add all group to the user",
        f"provided group id b in the user {user} update doesn't exist",
    ]
    assert (netbird.ok("GET", "/users"), netbird.events()) == (before, [])


def test_the_group_of_another_account_does_not_exist(netbird: NetBird) -> None:
    (other,) = netbird.ok("GET", "/groups", by="b_owner")
    told = netbird.refused(422, "PUT", "/users/{uid:user}", PERMITTED | {"auto_groups": [other["id"]]})
    assert told == f"provided group id {other['id']} in the user user-id update doesn't exist"


def test_a_service_user_is_not_made_in_groups_that_do_not_exist(netbird: NetBird) -> None:
    before = netbird.ok("GET", "/users")
    told = netbird.refused(422, "POST", "/users", MAKING | {"auto_groups": ["G1", "{group}"]})
    assert told == "provided group id g1 doesn't exist; can't add all group to the user"
    assert (netbird.ok("GET", "/users"), netbird.events()) == (before, [])


@pytest.mark.parametrize("group", ("{x}", "{}", "%s", "{user}"))
def test_a_group_is_named_as_it_was_sent(netbird: NetBird, group: str) -> None:
    told = netbird.refused(422, "POST", "/users", MAKING | {"auto_groups": [group]})
    assert told == f"provided group id {group} doesn't exist"


def test_groups_of_an_earlier_release_are_kept_until_they_are_taken_away(netbird: NetBird) -> None:
    give_groups(netbird.service.services, "user-id", ["old", "older"])
    found = netbird.ok("PUT", "/users/{uid:user}", PERMITTED | {"auto_groups": ["old", "older"], "role": "auditor"})
    assert (found["role"], found["auto_groups"]) == ("auditor", ["old", "older"])
    assert netbird.ok("PUT", "/users/{uid:user}", PERMITTED | {"auto_groups": ["old"]})["auto_groups"] == ["old"]
    netbird.refused(422, "PUT", "/users/{uid:user}", PERMITTED | {"auto_groups": ["old", "older"]})


def test_what_is_never_done_to_a_user_is_told_before_their_groups(netbird: NetBird) -> None:
    body = PERMITTED | {"role": "user", "auto_groups": ["g"]}
    assert netbird.refused(403, "PUT", "/users/{uid:admin}", body, by="admin").endswith(
        "admins can't change their role"
    )
